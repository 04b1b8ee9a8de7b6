"""Channels of a recording by the names that label files give them, and how many a file has.

A and B, left and right are the first and the second channel. A bare number is counted from 0 or from 1 by its format.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from earmark.corpora import CONTRADICTION, Finding, ReaderOptions, Recording
from earmark.corpora._options import wrong_option
from earmark.disk.inside import channel_of
from earmark.errors import BadAudioError
from earmark.rows import Label, Labels

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


OPTION = "first_channel"
COLUMN = "channel"


@dataclass(frozen=True, slots=True)
class Side:
    """What a column `channel` says: its word, and the channel, from 0; None where a number may be of two channels."""

    published: str
    channel: int | None


def first_channel(options: ReaderOptions) -> int | None:
    """Return where the numbers of a column `channel` begin, if the catalog says it. Raises CatalogError."""
    value = options.options.get(OPTION)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value in (0, 1)):
        return value
    raise wrong_option(options, OPTION, "0 or 1, the number of the first channel", repr(value))


def side_of(labels: Labels, first: int | None) -> tuple[Labels, Side | None]:
    """Take the side out of the labels of a home-made table; a column `channel` of other words stays in `extra`."""
    extra = cast("Mapping[str, Label]", labels.get("extra", {}))
    value = extra.get(COLUMN)
    word = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    channel = channel_number(word, first or 0)
    if channel is None:
        return labels, None
    rest = {name: cell for name, cell in extra.items() if name != COLUMN}
    kept = {name: label for name, label in labels.items() if name != "extra"} | ({"extra": rest} if rest else {})
    known = first is not None or word.strip().lower() in SIDES
    return kept | {"channel": word}, Side(word, channel if known else None)


def unclear(root: Path, path: str, name: str, where: str, side: Side) -> Finding | None:
    """Return the finding for a number that may be either of two channels; None where the file has but one."""
    if side.channel is not None or (count := channels_in(root / path)) <= 1:
        return None
    remedy = f"say in the catalog where numbers begin: options = {{ {OPTION} = 0 }}, or 1"
    detail = f"{name}: channel {side.published} of {path}, which has {count}: {remedy}"
    return Finding(CONTRADICTION, where, detail)


def on_its_side(root: Path, item: Recording, where: str, first: int | None) -> Recording | Finding:
    """Return a recording as the one side that its column `channel` names, if it names one and the file has others."""
    labels, side = side_of(dict(item.labels), first)
    if side is None:
        return item
    if finding := unclear(root, item.path, item.id, where, side):
        return finding
    alone = side.channel is None or channels_in(root / item.path) == 1
    return replace(item, path=item.path if alone else channel_of(item.path, side.channel or 0), labels=labels)
