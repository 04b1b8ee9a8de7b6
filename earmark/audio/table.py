"""The table of a standardized shard: one line of JSON for each of its recordings, good or bad, in the shard's order."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import orjson

from earmark.audio.policy import Policy
from earmark.disk.hashing import hash_bytes
from earmark.json_bytes import json_bytes

# Inside a JSON string every quote is escaped, so these bytes can be nothing but a key: no line needs two decodings.
_BAD_KEY = b',"bad":'


class GoodAudio(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A recording that became canonical audio.

    `path` below the dataset's root; `source_hash` and `audio_hash` XXH3-128; `n_samples` at 16 kHz; levels as in
    `earmark.audio.levels` (1.0 is full scale, shares are of samples and of 20 ms frames). `file_size` in bytes and
    `file_xxh3` are those of the standard file, and absent where none is kept. `defects` as in `earmark.audio.defects`.
    """

    path: str
    source_hash: str
    audio_hash: str
    n_samples: int
    source_rate_hz: int
    source_channels: int
    decoder: str
    peak: float
    rms: float
    clipped: float
    silence: float
    dc: float
    file_size: int | None = None
    file_xxh3: str | None = None
    policy: Policy
    defects: tuple[str, ...] = ()


class BadAudio(msgspec.Struct, frozen=True):
    """A recording that cannot be used: `bad` is the kind of fault, `detail` what was expected and what was found."""

    path: str
    source_hash: str
    bad: str
    detail: str
    decoder: str
    policy: Policy


AudioRow = GoodAudio | BadAudio
_DECODE_GOOD, _DECODE_BAD = msgspec.json.Decoder(GoodAudio).decode, msgspec.json.Decoder(BadAudio).decode


def dump_row(row: AudioRow) -> bytes:
    """Return a row as a line of JSON.

    orjson writes it, not msgspec: the two spell very large and very small numbers differently, and the table's hash is
    in the keys of later stages.
    """
    return json_bytes(msgspec.to_builtins(row), option=orjson.OPT_APPEND_NEWLINE)


def read_table(path: Path) -> Iterator[AudioRow]:
    """Yield the rows of a table.

    Raises OSError, and ValueError for a line that is no row.
    """
    with path.open("rb") as file:
        for line in file:
            yield _DECODE_BAD(line) if _BAD_KEY in line else _DECODE_GOOD(line)


def read_good(path: Path) -> Iterator[GoodAudio]:
    """Yield the rows of a table whose recordings can be used. Raises as `read_table`."""
    return (row for row in read_table(path) if isinstance(row, GoodAudio))


def read_whole_rows(path: Path) -> Iterator[AudioRow]:
    """Yield the whole rows of a table that may be missing, torn or damaged: what is lost is made again.

    A row that is read so may still be a wrong one: it names files, and nothing is made from it.
    """
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        with contextlib.suppress(ValueError):  # msgspec's errors are ValueErrors
            yield _DECODE_BAD(line) if _BAD_KEY in line else _DECODE_GOOD(line)


def journal_line(row: AudioRow) -> bytes:
    """Return a row as a journal has it: no receipt seals a journal, so each of its lines carries its own hash."""
    line = dump_row(row)
    return hash_bytes(line).encode() + b" " + line


def read_journal(path: Path) -> Iterator[AudioRow]:
    """Yield the rows of a journal that are as they were written; it may be missing, torn or damaged."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            xxh3, _, row = line.partition(b" ")
            if hash_bytes(row).encode() == xxh3:
                with contextlib.suppress(ValueError):
                    yield _DECODE_BAD(row) if _BAD_KEY in row else _DECODE_GOOD(row)
