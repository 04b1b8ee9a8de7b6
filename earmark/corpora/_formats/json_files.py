"""JSON label files: one object in the file, or one on each line."""

from pathlib import Path

import orjson

from earmark.corpora._formats.lines import bad_line, lines
from earmark.rows import JSON


def json_object(path: Path, number: int, text: str) -> dict[str, JSON]:
    """Return the JSON object of one line. Raises CorpusError for anything else; NaN and Infinity are not JSON."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise bad_line(path, number, "a JSON object", text)
    return value


def json_file(path: Path) -> dict[str, JSON]:
    """Return the one JSON object of a file. Raises CorpusError for anything else."""
    return json_object(path, 1, "\n".join(line for _, line in lines(path, strict=True)))
