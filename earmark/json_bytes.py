"""JSON as everything of earmark writes it: numbers that are not finite are refused by name.

orjson writes NaN and the infinities as null, so a label would vanish, and an input of a key would be equal to none.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping

import orjson

from earmark.errors import EarmarkError


class NotFiniteError(EarmarkError):
    """A number that JSON has no word for: NaN or an infinity."""


def json_bytes(value: object, option: int = 0) -> bytes:
    """Return a value as JSON; `option` as of orjson. Raises NotFiniteError that names the field."""
    data = orjson.dumps(value, option=option)
    if b"null" in data:  # rare, and the only thing that such a number can have become
        for name in _not_finite(value, ""):
            raise NotFiniteError(f"{name or 'a value'}: expected a finite number, got NaN or an infinity.")
    return data


def _not_finite(value: object, name: str) -> Iterator[str]:
    """Yield the places of numbers that are not finite, as `segments[0].start`."""
    if isinstance(value, float):
        if not math.isfinite(value):
            yield name
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _not_finite(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _not_finite(item, f"{name}[{number}]")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from _not_finite({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, name)
