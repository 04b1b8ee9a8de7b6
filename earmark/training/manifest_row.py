"""Manifest rows: one JSON object a recording, every number re-derivable from the receipts.

{id, audio_path, audio_hash, duration, sample_rate, dataset, split, text, speaker_id, language, ...}; `duration` in
seconds; paths relative to the catalog's folder; a field without a value is absent.
`earmark/manifest.schema.json` describes every field.
"""

from typing import Any

import orjson

from earmark.audio.table import GoodAudio
from earmark.disk.shards import ShardRow
from earmark.rates import RATE_HZ


def make_row(dataset: str, row: ShardRow, audio: GoodAudio, audio_path: str, form: str) -> dict[str, Any]:
    """Return a recording's manifest row from its shard row and its row of canonical audio.

    `sample_rate` is that of the file at `audio_path`: 16,000 for standard audio, the source's own with format "none".
    """
    found = {
        "id": row.id,
        "audio_path": audio_path,
        "audio_hash": audio.audio_hash,
        "duration": audio.n_samples / RATE_HZ,
        "sample_rate": audio.source_rate_hz if form == "none" else RATE_HZ,
        "dataset": dataset,
    }
    if row.split:
        found["split"] = row.split
    return found | {name: value for name, value in row.labels.items() if name not in found}


def dump_row(row: dict[str, Any]) -> bytes:
    """Return a row as one line of JSON; text goes through unchanged."""
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
