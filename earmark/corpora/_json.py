"""JSON label files: one object a file, or one a line."""

from pathlib import Path
from typing import Any

import orjson

from earmark.corpora._labels import bad_line, lines


def json_object(path: Path, number: int, text: str) -> dict[str, Any]:
    """Return the JSON object of one line. Raises CorpusError for anything else, NaN among it."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise bad_line(path, number, "a JSON object", text)
    return value


def json_file(path: Path) -> dict[str, Any]:
    """Return the JSON object that a file is. Raises CorpusError for anything else."""
    return json_object(path, 1, "\n".join(line for _, line in lines(path)))
