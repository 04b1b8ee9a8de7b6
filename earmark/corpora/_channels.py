"""Channels of a recording by the names that label files give them, and how many a file has.

A and B, left and right are the first and the second channel. A bare number is counted from 0 or from 1 by its format.
"""

from pathlib import Path

from earmark.errors import BadAudioError

SIDES = {"a": 0, "b": 1, "l": 0, "r": 1, "left": 0, "right": 1}
LARGEST = 1024  # channels that a decoder takes; a larger number is no channel


def channel_number(published: str, first: int) -> int | None:
    """Return the channel, from 0, that a word names where numbers begin at `first`; None for any other word."""
    word = published.strip().lower()
    if word in SIDES:
        return SIDES[word]
    number = int(word) - first if word.isascii() and word.isdecimal() else -1
    return number if 0 <= number < LARGEST else None


def channels_in(path: Path) -> int:
    """Return how many channels a sound file has by its header; 0 where it cannot be opened, which decoding will say."""
    from earmark.audio.decoding import open_decoder  # here: most readers never ask, and decoders are slow to import

    try:
        with open_decoder(path) as decoder:
            return decoder.channels
    except (BadAudioError, OSError):
        return 0
