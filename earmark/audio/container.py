"""What is known of a recording's container, and the one rule for sound that is shorter or longer than it is stated."""

from dataclasses import dataclass
from typing import NoReturn

from earmark.audio.defects import LONGER, SHORTER, defect
from earmark.errors import BadAudioError

RATES_HZ = range(1_000, 1_000_001)  # sample rates that exist; a header with another one is damaged
MAX_CHANNELS = 1_024  # channels; libsndfile's own limit
READER = "header"


@dataclass(frozen=True)
class Stretch:
    """Bytes [start, end) of a file."""

    start: int
    end: int


@dataclass(frozen=True)
class Link:
    """A stream that is decoded on its own: the pieces of the file that it is made of, and headers that are set right.

    Without pieces it is the file as it is, which holds one recording and states it rightly. `n_samples` counts the
    sample frames that the pieces hold, 0 where they were not counted; a decoder may give `slack` fewer. `remedy` are
    the pieces for a decoder that would stop before. `md5` of a FLAC's samples, empty where none is stated or where it
    cannot be theirs.
    """

    pieces: tuple[bytes | Stretch, ...] = ()
    n_samples: int = 0
    slack: int = 0
    remedy: tuple[bytes | Stretch, ...] = ()
    md5: str = ""


@dataclass(frozen=True)
class Container:
    """What a file's own bytes say: `form` is "wav" "flac" "ogg" "opus" "mp3" or "other".

    `links` are decoded one after the other. `defects` are what is known before anything is decoded.
    """

    form: str
    links: tuple[Link, ...] = (Link(),)
    defects: tuple[str, ...] = ()

    @property
    def as_it_is(self) -> bool:
        """Whether the file is decoded with the headers that it has."""
        return not any(link.pieces for link in self.links)


def check_format(rate_hz: int, channels: int) -> None:
    """Raise BadAudioError (wrong header) for a sample rate or a channel count that no recording has."""
    if rate_hz not in RATES_HZ:
        limits = f"{RATES_HZ.start:,} to {RATES_HZ.stop - 1:,} Hz"
        raise BadAudioError("wrong header", f"expected a sample rate of {limits}, got {rate_hz:,} Hz", READER)
    if not 1 <= channels <= MAX_CHANNELS:
        raise BadAudioError("wrong header", f"expected 1 to {MAX_CHANNELS:,} channels, got {channels:,}", READER)


def truncated(what: str, expected: int, got: int) -> NoReturn:
    """Raise BadAudioError for a file that ends too early."""
    raise BadAudioError("truncated", f"expected {expected:,} bytes {what}, got {got:,}", READER)


def shorter(missing_s: float, max_short: float, detail: str, decoder: str = READER) -> str:
    """Return the defect of a recording that ends `missing_s` seconds early.

    Raises BadAudioError (truncated, with `detail`) if that is more than the dataset's `max_short`.
    """
    if missing_s > max_short:
        raise BadAudioError("truncated", detail, decoder)
    return defect(SHORTER, f"{missing_s:.3f} s" if missing_s >= 0.0005 else "less than 0.001 s")


def longer(found: str) -> str:
    """Return the defect of a recording whose header states less than there is."""
    return defect(LONGER, found)
