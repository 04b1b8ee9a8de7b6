"""What a manifest row may hold: the names of its fields, by the schema that describes them."""

import functools
from pathlib import Path

import orjson

SCHEMA = Path(__file__).with_name("manifest.schema.json")


@functools.cache
def field_names() -> tuple[str, ...]:
    """Return the names of the fields that a row of a manifest or a job may have, sorted."""
    schema = orjson.loads(SCHEMA.read_bytes())
    return tuple(sorted(schema["properties"].keys() | schema["$defs"]["job"]["properties"].keys()))
