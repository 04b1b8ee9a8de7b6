"""The schema of manifest rows as a check of each row: `manifest.schema.json` made into types that msgspec compiles.

A row costs about a microsecond, where jsonschema takes about a millisecond. What the keywords of the schema mean is in
one function here: one that is not known is refused when the types are made, so that nothing in the schema goes
unchecked. Numbers are finite, and whole ones have at most 64 bits.
"""

import functools
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Annotated, Any, Literal, TypeAlias, Union, cast

import msgspec
import orjson

from earmark.errors import EarmarkError
from earmark.rows import RESERVED, SCHEMA, Labels

LARGEST_NUMBER = 1.7976931348623157e308
FEW = frozenset({"language"})  # fields with a pattern and so few values that each is looked at once
DEEPEST = 100  # lists and objects in one another in a value of free form; orjson writes no more than 254
# A type that is made at run time: there is no better word for it in Python's own typing.
Made: TypeAlias = Any
_convert = msgspec.convert
ABOUT = frozenset({"description", "title", "$schema", "$defs", "type", "required"})  # keywords that are no limit


class SchemaError(EarmarkError):
    """A row that is not as the schema says; the fields are what an error line is made of.

    `is_limit`: a number of the right kind, but too large or too small, as a wrong label file has it; anything else is
    a mistake of the code that made the row.
    """

    def __init__(self, field: str, expected: str, got: str, *, is_limit: bool = False) -> None:
        super().__init__(f"{field}: expected {expected}, got {got}")
        self.field, self.expected, self.got, self.is_limit = field, expected, got, is_limit


class Checker:
    """A check of rows of one kind.

    The type of rows has the fields that were seen so far, and grows with the next one: a row of some dataset has a
    dozen of the hundred fields, and a type of all of them would be filled with what is absent.
    """

    def __init__(self, name: str, fields: Mapping[str, Any], required: Collection[str]) -> None:
        self._name, self._all, self._required = name, fields, required
        self._fields: dict[str, Any] = {}
        self._free: list[str] = []
        self._lines_of: dict[str, Callable[[str], object]] = {}
        self._patterns: list[tuple[str, Callable[[Any], object]]] = []
        self._grow(required)

    def check(self, row: Mapping[str, object]) -> None:
        """Raise SchemaError for the first field of a row that is not as the schema says."""
        try:
            _convert(row, self._type)
        except msgspec.ValidationError as error:
            if self._grow(row):
                self.check(row)
                return
            raise _explained(row, str(error)) from None
        for name, fits in self._patterns:
            value = row.get(name)
            if value is not None and not fits(value):
                raise SchemaError(name, f"text of the form {self._all[name]['pattern']}", _shown(value))
        for name in self._free:
            if name in row:
                refuse_not_json(name, row[name])

    def check_all(self, rows: list[Labels]) -> tuple[int, SchemaError] | None:
        """Return the number of the first row that is not as the schema says, and what is wrong; or None.

        A batch costs half of what its rows cost one by one: a pattern is held against all values at once.
        """
        try:
            _convert(rows, self._rows_type)
            has_free = any(name in row for name in self._free for row in rows)
            if not has_free and all(self._all_fit(name, rows) for name, _ in self._patterns):
                return None
        except msgspec.ValidationError:
            pass
        for number, row in enumerate(rows):
            try:
                self.check(row)
            except SchemaError as error:
                return number, error
        return None

    def _all_fit(self, name: str, rows: list[Labels]) -> bool:
        """Return whether the values of a field with a pattern fit it, looked at as the lines of one text."""
        values = [row[name] for row in rows if name in row]
        lines = "\n".join(cast("list[str]", values))
        return not values or (lines.count("\n") == len(values) - 1 and bool(self._lines_of[name](lines)))

    def _grow(self, names: Iterable[str]) -> bool:
        """Take fields of the schema into the type; return whether there was a new one."""
        new = {name: self._all[name] for name in names if name in self._all and name not in self._fields}
        if not new and self._fields:
            return False
        self._fields |= new
        for name, about in new.items():
            # By re here, since msgspec calls it by way of Python: two patterns would take longer than all the rest.
            if "pattern" in about:
                self._patterns.append((name, _fits(name, about["pattern"])))
                form = about["pattern"][1:-1]
                self._lines_of[name] = re.compile(rf"(?:{form})(?:\n(?:{form}))*+").fullmatch
            if _is_free(about):
                self._free.append(name)
        plain = {name: {key: about[key] for key in about if key != "pattern"} for name, about in self._fields.items()}
        self._type = _struct(self._name, plain, self._required)
        self._rows_type: Made = list[self._type]  # type: ignore[name-defined]
        return bool(new)


@functools.cache
def manifest_rows() -> Checker:
    """Return the check of a manifest's rows."""
    schema = _schema()
    return Checker("ManifestRow", schema["properties"], schema["required"])


@functools.cache
def job_rows() -> Checker:
    """Return the check of a training job's rows, which have more fields."""
    schema = _schema()
    properties = schema["properties"] | schema["$defs"]["job"]["properties"]
    return Checker("JobRow", properties, schema["required"])


@functools.cache
def labels() -> Checker:
    """Return the check of the labels that a reader gives: no field that earmark fills, and stems by their ids."""
    fields = {name: field for name, field in _schema()["properties"].items() if name not in RESERVED}
    fields["stems"] = {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string", "minLength": 1}}
    return Checker("Labels", fields, ())


def refuse_not_json(name: str, value: object, depth: int = 0) -> None:
    """Raise SchemaError for what JSON cannot carry: numbers that are not finite, other types, nesting without end."""
    if depth > DEEPEST:
        raise SchemaError(name, f"at most {DEEPEST} lists and objects in one another", "more")
    if isinstance(value, float) and not math.isfinite(value):
        raise SchemaError(name, "a finite number", str(value))
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise SchemaError(name, "names that are text", repr(key))
            refuse_not_json(f"{name}.{key}", item, depth + 1)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            refuse_not_json(f"{name}[{number}]", item, depth + 1)
    elif not isinstance(value, str | int | float | None):
        raise SchemaError(name, "a value that JSON has", f"{type(value).__name__} {_shown(value)}")
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise SchemaError(name, "a number of at most 64 bits", _shown(value))


def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = orjson.loads(SCHEMA.read_bytes())
    return schema


def _fits(name: str, pattern: str) -> Callable[[Any], object]:
    """Return whether a text is of the form of a pattern, as a function; "^...$" means the whole."""
    if not (pattern.startswith("^") and pattern.endswith("$")):
        raise NotImplementedError(f"{name}: a pattern of a part of the text: {pattern}")
    fits = re.compile(pattern[1:-1]).fullmatch
    return functools.lru_cache(maxsize=1024)(fits) if name in FEW else fits


def _is_free(field: Mapping[str, Any]) -> bool:
    return field.get("type") == "object" and "properties" not in field and "additionalProperties" not in field


def _struct(name: str, fields: Mapping[str, Any], required: Collection[str]) -> Made:
    """Return a Struct with these fields; those that are not required may be absent, but never null."""
    # Every field gets a name of ours, since one of the schema may be a word of Python or of msgspec.
    named = {f"field_{number}": field for number, field in enumerate(fields)}
    members: list[Made] = []
    for ours, field in named.items():
        made = _made(f"{name}.{field}", fields[field])
        members.append((ours, made) if field in required else (ours, made | msgspec.UnsetType, msgspec.UNSET))
    return msgspec.defstruct(name, members, rename=named, forbid_unknown_fields=True, kw_only=True, gc=False)


def _made(name: str, field: Mapping[str, Any]) -> Made:
    """Return the type of a field of the schema. Raises NotImplementedError for a keyword that is not known here."""
    limits = {key: value for key, value in field.items() if key not in ABOUT}
    if "anyOf" in limits:
        choices = tuple(_made(name, choice) for choice in limits.pop("anyOf"))
        return _done(name, limits, Union[choices])  # noqa: UP007 - of a tuple
    if "enum" in limits:
        return _done(name, limits, Literal[tuple(limits.pop("enum"))])
    match field.get("type"):
        case "string":
            meta = {ours: limits.pop(key) for key, ours in TEXT_LIMITS.items() if key in limits}
            return _done(name, limits, Annotated[str, msgspec.Meta(**meta)])
        case "integer" | "number" as kind:
            meta = {ours: limits.pop(key) for key, ours in NUMBER_LIMITS.items() if key in limits}
            # NaN and the infinities are within no limits
            least, most = (-LARGEST_NUMBER, LARGEST_NUMBER) if kind == "number" else (-(2**63), 2**63 - 1)
            meta = ({} if "lt" in meta else {"le": most}) | ({} if "gt" in meta else {"ge": least}) | meta
            number = int if kind == "integer" else float
            return _done(name, limits, Annotated[number, msgspec.Meta(**meta)])
        case "boolean":
            return _done(name, limits, bool)
        case "array":
            item, fewest = _made(f"{name}[]", limits.pop("items")), msgspec.Meta(min_length=limits.pop("minItems", 0))
            return _done(name, limits, Annotated[list[item], fewest])  # type: ignore[valid-type]
        case "object" if "properties" in limits:
            if limits.pop("additionalProperties", True) is not False:
                raise NotImplementedError(f"{name}: properties beside others")
            return _done(name, limits, _struct(name, limits.pop("properties"), field.get("required", [])))
        case "object":
            of, fewest = (
                limits.pop("additionalProperties", None),
                msgspec.Meta(min_length=limits.pop("minProperties", 0)),
            )
            item = _made(f"{name}.*", of) if of else Any
            return _done(name, limits, Annotated[dict[str, item], fewest])  # type: ignore[valid-type]
    raise NotImplementedError(f"{name}: {dict(field)}")


TEXT_LIMITS = {"minLength": "min_length", "maxLength": "max_length", "pattern": "pattern"}
NUMBER_LIMITS = {"minimum": "ge", "maximum": "le", "exclusiveMinimum": "gt", "exclusiveMaximum": "lt"}


def _done(name: str, left: Mapping[str, Any], made: Made) -> Made:
    """Return a type if no keyword of the schema is left over."""
    if left:
        raise NotImplementedError(f"{name}: {', '.join(left)}")
    return made


def _explained(row: Mapping[str, object], message: str) -> SchemaError:
    """Return an error of msgspec, "Expected `str`, got `array` - at `$.text`", as one that names field and value."""
    what, _, at = message.partition(" - at `")
    field = at.removesuffix("`").removeprefix("$").removeprefix(".")
    if what.startswith(("Object contains unknown field", "Object missing required field")):
        name = what.rpartition("field `")[2].removesuffix("`")
        field = f"{field}.{name}" if field else name
        if "missing" in what:
            return SchemaError(field, "a value", "none")
        return SchemaError(field, "a field that manifest.schema.json lists", _shown(_value_at(row, field)))
    expected = what.partition(", got ")[0].removeprefix("Expected ").replace("`", "")
    for theirs, ours in WORDS.items():
        expected = expected.replace(theirs, ours)
    if what.startswith("Invalid enum value"):
        expected = f"one of {', '.join(_choices(field))}"
    is_limit = expected.startswith(("a number ", "a whole number ")) and "|" not in expected
    return SchemaError(field, expected or what, _shown(_value_at(row, field)), is_limit=is_limit)


WORDS = {
    f" <= {LARGEST_NUMBER!r}": " that is finite",
    f" >= {-LARGEST_NUMBER!r}": " that is finite",
    "1.7976931348623157e+308": "finite",
    "str of length >= 1": "text that is not empty",
    "str": "text",
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "array": "a list",
    "matching regex": "of the form",
}


def _choices(field: str) -> list[str]:
    known: list[str] = _schema()["properties"].get(field, {}).get("enum", ["the words of the schema"])
    return known


def _value_at(row: object, path: str) -> object:
    """Return the value at a place such as `segments[0].start`; the row itself where that leads nowhere."""
    for step in path.replace("[", ".[").split("."):
        try:
            row = row[int(step[1:-1])] if step.startswith("[") else row[step]  # type: ignore[index]
        except (KeyError, IndexError, TypeError, ValueError):
            return row
    return row


def _shown(value: object) -> str:
    try:
        text = orjson.dumps(value).decode() if not isinstance(value, float) else str(value)
    except TypeError:
        text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
