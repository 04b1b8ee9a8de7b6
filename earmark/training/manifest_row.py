"""Manifest rows: one JSON object a recording, every number re-derivable from the receipts.

{id, audio_path, audio_hash, duration, sample_rate, dataset, split, text, speaker_id, language, ...}; `duration` in
seconds; paths relative to the catalog's folder; a field without a value is absent.
`earmark/manifest.schema.json` describes every field.
"""

from collections.abc import Mapping
from typing import Final, Required, TypedDict, cast

import orjson

from earmark.audio.table import GoodAudio
from earmark.disk.shards import ShardRow
from earmark.json_bytes import json_bytes
from earmark.rates import RATE_HZ
from earmark.rows import Labels
from earmark.training.bounds import with_defects

AUDIO: Final = "audio_hash"
SPEAKER: Final = "speaker_id"
GROUP: Final = "group_id"


class Segment(TypedDict, total=False):
    """A labelled stretch of a recording, from `start` to `end` in seconds; it may have more labels of the schema."""

    start: Required[float]
    end: Required[float]
    speaker_id: str
    defects: list[str]


class Stem(TypedDict):
    """A recording that is one of the sounds of a mixture."""

    id: str
    audio_path: str
    audio_hash: str


class FeaturePlace(TypedDict):
    """Where a recording's features are: row `row` of the pack `pack`, `n_frames` frames."""

    pack: str
    row: int
    n_frames: int


# A description for mypy of the JSON as it was parsed. Typed objects in its place would have to be written again with
# every label, in the order in which it was read, and a job reads millions of rows twice.
class ManifestRow(TypedDict, total=False):
    """A row as it is read again: the fields that code names. The schema has more, which are read as a Mapping."""

    id: Required[str]
    audio_path: Required[str]
    audio_hash: Required[str]
    duration: Required[float]
    dataset: Required[str]
    split: str
    language: str
    licence: str
    fold: int
    segments: list[Segment]
    stems: dict[str, Stem]
    start: float
    end: float
    overlapped: float
    defects: list[str]
    features: dict[str, FeaturePlace]


def make_row(dataset: str, row: ShardRow, audio: GoodAudio, audio_path: str, form: str) -> Labels:
    """Return a recording's manifest row from its shard row and its row of canonical audio.

    `sample_rate` is that of the file at `audio_path`: 16,000 for standard audio, the source's own with format "none".
    """
    fields: Labels = {
        "id": row.id,
        "audio_path": audio_path,
        "audio_hash": audio.audio_hash,
        "duration": audio.n_samples / RATE_HZ,
        "sample_rate": audio.source_rate_hz if form == "none" else RATE_HZ,
        "dataset": dataset,
    }
    if row.split:
        fields["split"] = row.split
    labels = with_defects(row.labels, audio.n_samples / RATE_HZ)
    # fields of ours first: people look at the heads of lines, and labels differ from corpus to corpus
    if fields.keys().isdisjoint(labels):  # always, since scan refuses a reader that gives one of ours
        fields.update(labels)
    else:
        fields |= {name: value for name, value in labels.items() if name not in fields}
    if audio.defects:  # behind those that the publisher names
        fields["defects"] = [*cast("list[str]", fields.get("defects", [])), *audio.defects]
    return fields


def dump_row(row: Mapping[str, object]) -> bytes:
    """Return a row as one line of JSON; text goes through unchanged."""
    return json_bytes(row, option=orjson.OPT_APPEND_NEWLINE)
