"""The feature manifest of a dataset and an encoder: where each recording's features are, one line of JSON each."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import orjson

from earmark.json_bytes import json_bytes


class FeatureRow(msgspec.Struct, frozen=True):
    """A recording's features: row `row` of the pack `pack`, `n_frames` frames."""

    audio_hash: str
    audio_path: str
    pack: str
    row: int
    n_frames: int


_decode = msgspec.json.Decoder(FeatureRow).decode


def dump_row(row: FeatureRow) -> bytes:
    """Return a row as a line of JSON."""
    return json_bytes(msgspec.to_builtins(row), option=orjson.OPT_APPEND_NEWLINE)


def read_rows(path: Path) -> Iterator[FeatureRow]:
    """Yield the rows of a feature manifest.

    Raises OSError, and ValueError for a line that is no row.
    """
    with path.open("rb") as file:
        for line in file:
            yield _decode(line)
