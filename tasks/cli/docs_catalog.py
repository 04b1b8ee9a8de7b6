"""docs/catalog.md: every key of the catalog in words, from the classes that read it."""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, get_args, get_origin

import annotated_types
from pydantic import ByteSize
from pydantic.fields import FieldInfo

from earmark import encoders
from earmark.catalog import tables
from earmark.catalog.licences import LICENCES
from earmark.catalog.tables import PATTERNS, Catalog
from earmark.table import Table

WORDS: dict[object, str] = {  # of Python's types, and of the checks that make a narrower type
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    object: "any value",
    ByteSize: 'size such as `"3.0 TB"`',
    tables.parse_size: 'size such as `"3.0 TB"`',
    tables.parse_language: "BCP 47 tag",
    tables.parse_licence: "licence",
    tables.parse_pattern: "licence, or any version of one",
    tables.parse_wanted: "value or list of values",
    tables.parse_reason: "reason, in words",
}
PLURALS = {
    "text": "texts",
    "table": "tables",
    "whole number": "whole numbers",
    "BCP 47 tag": "BCP 47 tags",
    WORDS[tables.parse_pattern]: "licences, or any version of them",
}
BOUNDS: dict[type, tuple[str, str]] = {
    annotated_types.Ge: ("ge", "at least"),
    annotated_types.Gt: ("gt", "above"),
    annotated_types.Le: ("le", "at most"),
    annotated_types.Lt: ("lt", "below"),
}

CATALOG_HEAD = """\
# The catalog

`datasets.toml` at the head of the checkout, or the file that the variable `EARMARK_CATALOG` names, is the catalog:
facts about corpora, encoders, jobs and disk, in TOML, and no code. It is read strictly: an unknown key, a value of
another type or a name that nothing has is an error of one line, which names the file, the table, the key, what was
expected and what was found.

## A catalog of your own

`doit new-catalog at=/some/where` writes one that takes over the shipped catalog. Put into it what differs:

```toml
extends = "earmark"

[paths]
data = "/volumes/corpora"

[disk]
budget = "3.0 TB"

[encoders.whisper-base]
model = "mlx-community/whisper-base-mlx"

[datasets]
timit = false

[datasets.commonvoice_en]
root     = "cv-corpus-25.0-2026-03-09/de"
archives = [{ file = "cv-corpus-25.0-2026-03-09-de.tar.gz" }]
expect   = false
language = "de"

[datasets.my_books]
corpus   = "audiofolder"
language = "en"
licence  = "CC-BY-4.0"
```

- `extends`, above the first table, is `"earmark"` for the shipped catalog, a path (relative to the file that names
  it), or a list of several. A later one changes an earlier one, and the file itself changes them all. An extended
  catalog may extend others.
- A table of the same name is merged key by key, and so are the tables inside it. Every other value replaces the one
  before; so does a list, whole.
- `false` in place of a table drops it: `timit = false` below `[datasets]`, `jobs = false` for all jobs,
  `expect = false` for what a dataset should contain. What is dropped also leaves the lists of the jobs, joint
  manifests and datasets that were taken over; a job or joint manifest with no dataset left is dropped too. A list of
  your own that names it is an error.
- A dataset of another `corpus`, or an encoder of another `kind`, is another thing: its table replaces the one before.
- Encoders that your file adds come before those that it takes over, so your first is that of datasets which name none.
- Relative paths, in whichever file they are written, are below the folder of your own file.

## Keys

A key whose default is empty is absent unless it is given.
"""

LICENCES_HEAD = """\
## Licences

`licence` is an [SPDX expression](https://spdx.org/licenses/): a name, or names joined by `AND` and `OR`. What SPDX does
not know has a name that begins with `LicenseRef-`; any such name is taken. The shipped catalog and the readers use:
"""

LICENCES_TAIL = """\
A job's `licences` lists what it takes. An entry is the name of one licence, in any of SPDX's spellings (`GPL-3.0` is
`GPL-3.0-only`), or a name whose version is `*`: `CC-BY-*` takes CC-BY-3.0, CC-BY-4.0 and CC-BY-3.0-IGO, but neither
CC-BY-NC-4.0 nor CC-BY-SA-4.0, which are other licences. Of `A AND B` both must be in the list, of `A OR B` one. Rows
may have a licence of their own in words that are no SPDX expression, such as `public domain` or an address; an entry
of the same words takes them. A row whose licence nobody knows is left out.
"""


def catalog_page() -> str:
    """Return docs/catalog.md: every key of every table, its type, default and meaning."""
    lines = [CATALOG_HEAD, *_section("The head of the file", Catalog)]
    lines += [LICENCES_HEAD, "| licence | what it permits |", "|---|---|"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in LICENCES.items()]
    return "\n".join([*lines, "", LICENCES_TAIL])


def _section(title: str, table: type[Table]) -> Iterator[str]:
    """Yield the lines of one table of the catalog, and of those inside it."""
    yield f"### {title}\n\n{(table.__doc__ or '').strip()}\n\n| key | type | default | meaning |\n|---|---|---|---|"
    for name, field in table.model_fields.items():
        cells = (f"`{name}`", _type_of(field), _default_of(field), meaning_of(table, name))
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""
    for name, field in table.model_fields.items():
        for inner in _tables_in(field.annotation):
            yield from _section(_title(title, table, name, field, inner), inner)


def _title(outer: str, table: type[Table], name: str, field: FieldInfo, inner: type[Table]) -> str:
    """Return how a table inside another is written."""
    if table is not Catalog:
        return f"An entry of `{name}`" if get_origin(field.annotation) is tuple else f"`{name}` of {outer}"
    if get_origin(field.annotation) is not dict:
        return f"`[{name}]`"
    kind = inner.model_fields.get("kind")
    several = len(_tables_in(field.annotation)) > 1 and kind is not None
    return f"`[{name}.NAME]`" + (f' with `kind = "{get_args(kind.annotation)[0]}"`' if several and kind else "")


def _tables_in(annotation: object) -> list[type[Table]]:
    """Return the table classes inside an annotation, each kind of a family by itself."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return _kinds(annotation)
    return [table for argument in get_args(annotation) for table in _tables_in(argument)]


def _kinds(table: type[Table]) -> list[type[Table]]:
    """Return the tables of the kinds of encoders, whose folder is their registry; else the table itself."""
    return [encoders.kind(name) for name in encoders.names()] if table is encoders.EncoderTable else [table]


def meaning_of(table: type[Table], name: str) -> str:
    """Return what a key means: as its table describes it, or the table that this one narrows."""
    fields = (base.model_fields.get(name) for base in table.__mro__ if issubclass(base, Table))
    return next((field.description for field in fields if field and field.description), "")


def _type_of(field: FieldInfo) -> str:
    """Return the type of a key in words."""
    return _words(field.annotation, field.metadata)


def _words(annotation: object, metadata: Sequence[object] = ()) -> str:
    """Return a type in words, with what narrows it."""
    functions = [getattr(one, "func", None) for one in metadata]
    known = next((WORDS[function] for function in functions if function in WORDS), None)
    if known is not None:
        return known
    words = f"one or a {_plain(annotation)}" if tables.in_list in functions else _plain(annotation)
    notes = [note for one in metadata if (note := _note(one))]
    return ", ".join([words, *notes])


def _note(metadata: object) -> str:
    """Return what narrows a type, in words."""
    if isinstance(metadata, annotated_types.MinLen):
        return "not empty"
    if type(metadata) in BOUNDS:
        name, words = BOUNDS[type(metadata)]
        return f"{words} {getattr(metadata, name):g}"
    return PATTERNS.get(getattr(metadata, "pattern", None) or "", "")


def _plain(annotation: object) -> str:
    """Return a type in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(arguments[0], arguments[1:])
    if origin is Literal:
        return " or ".join(f'`"{value}"`' if isinstance(value, str) else f"`{value}`" for value in arguments)
    if origin is tuple:
        return f"list of {_plural(arguments[0])}"
    if origin is dict:
        return "tables by name" if _tables_in(arguments[1]) else f"table: name = {_plain(arguments[1])}"
    if arguments:
        return " or ".join(_plain(one) for one in arguments if one is not type(None))
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return "table"
    return WORDS.get(annotation, str(annotation))


def _plural(annotation: object) -> str:
    words = _plain(annotation)
    return PLURALS.get(words, words)


def _default_of(field: FieldInfo) -> str:
    """Return the default of a key as TOML has it; nothing where the key is then absent."""
    value = field.default
    if field.is_required():
        return "required"
    if value is None or isinstance(value, Table):
        return ""
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"
