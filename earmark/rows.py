"""What a manifest row may contain: its fields, the values of labels, and the names of splits."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import orjson

SCHEMA = Path(__file__).with_name("manifest.schema.json")

SPLITS = ("train", "dev", "test")
# Fields that earmark itself fills; a corpus reader gives every other field.
RESERVED = frozenset({"id", "audio_path", "audio_hash", "duration", "sample_rate", "dataset", "split"})

# A value as JSON has it, when it was parsed and nothing is known of its shape.
JSON: TypeAlias = str | int | float | bool | list["JSON"] | dict[str, "JSON"] | None
# The value of one label: as in JSON, but not null itself, since a label without a value is absent.
Label: TypeAlias = str | int | float | bool | Sequence["Label | None"] | Mapping[str, "Label | None"]
Labels: TypeAlias = dict[str, Label]  # by field name, in the order in which a manifest row has them
DraftLabels: TypeAlias = dict[str, Label | None]  # before those without a value are left out


@functools.cache
def field_names() -> tuple[str, ...]:
    """Return the names of the fields that a row of a manifest or a job may have, sorted."""
    schema = orjson.loads(SCHEMA.read_bytes())
    return tuple(sorted(schema["properties"].keys() | schema["$defs"]["job"]["properties"].keys()))
