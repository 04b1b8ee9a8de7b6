"""The catalog: `datasets.toml`, facts about corpora, encoders, jobs and disk, read strictly.

`EARMARK_CATALOG` names another file; every relative path in a catalog resolves against that file's own folder. A
catalog may extend others (earmark/catalog/extends.py); every message names the file in which the mistake is.
"""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from earmark.catalog.checks import check
from earmark.catalog.extends import FILE, KEY, VARIABLE, Layers, read_layers
from earmark.catalog.tables import PATTERNS, Catalog
from earmark.encoders import WHOLE_LINE
from earmark.errors import CatalogError, near
from earmark.table import Table

MISTAKES = 20  # that one error names
# pydantic reports each form that a value may take as a step of its own, which is no key of the catalog
FORMS = {"literal['mean']", "literal['last']", "constrained-int"}


def catalog_path(folder: Path) -> Path:
    """Return the catalog that `EARMARK_CATALOG` names, or `datasets.toml` in `folder`."""
    return Path(os.environ.get(VARIABLE) or folder / FILE).absolute()


def read_catalog(path: Path, text: str | None = None) -> Catalog:
    """Read and check a catalog and those that it extends; `text` is read in place of what is in the file.

    Raises CatalogError with one line a mistake: file, table, key, expected, got.
    """
    try:
        return _checked(read_layers(path, text))
    except RecursionError as error:  # in TOML, in what merges its tables, or in pydantic, by how deep it is
        raise CatalogError(f"{path.name}: its tables or lists are nested too deeply for a catalog.") from error


def _checked(layers: Layers) -> Catalog:
    """Return the catalog that some files are together. Raises CatalogError."""
    # Checked once merged, never file by file: a user's file may give a single key of a table that needs several.
    try:
        catalog = Catalog.model_validate(layers.merged)
    except ValidationError as error:
        lines: dict[tuple[int | str, ...], list[ErrorDetails]] = {}
        for detail in error.errors():  # of the forms that a value may take, each is refused: say them in one line
            where = tuple(step for step in detail["loc"] if step not in FORMS)
            lines.setdefault(where, []).append(detail)
        more = len(lines) - MISTAKES
        words = [_explain(layers, where, lines[where]) for where in itertools.islice(lines, MISTAKES)]
        raise CatalogError(*words, *([f"and {more:,} more mistakes."] if more > 0 else [])) from error
    check(layers, catalog)
    return catalog


def _explain(layers: Layers, where: tuple[int | str, ...], details: list[ErrorDetails]) -> str:
    """Say pydantic's findings on one key as file: [table]: key: expected, got."""
    *steps, key = where
    table = "".join(f" entry {step + 1}" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
    place, detail = f"{layers.file_of(*where)}: [{table or 'top level'}]", details[0]
    if detail["type"] == WHOLE_LINE:
        return f"{place}: {detail['msg']}."
    if detail["type"] == "extra_forbidden" and key == KEY:
        return f'{place}: unknown key "{key}": it belongs at the head of the file, above the first table.'
    if detail["type"] == "extra_forbidden":
        return f'{place}: unknown key "{key}"{near(str(key), _known_keys(steps))}.'
    if detail["type"] == "missing":
        return f'{place}: key "{key}" is missing: expected a value, got none.'
    expected = " or ".join(_expected(detail) for detail in details)
    what = f"entry {key + 1}" if isinstance(key, int) else key
    return f"{place}: {what}: expected {expected}, got {detail['input']!r} ({type(detail['input']).__name__})."


def _expected(detail: ErrorDetails) -> str:
    """Say what would have been right, in a catalog's words."""
    if detail["type"] == "string_pattern_mismatch":
        return PATTERNS.get(detail["ctx"]["pattern"], f"text of the form {detail['ctx']['pattern']}")
    if detail["type"] == "too_short":
        return "at least one entry"
    if detail["type"] in {"tuple_type", "model_type", "model_attributes_type", "dict_type"}:
        return "a list" if detail["type"] == "tuple_type" else "a table"
    message = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return message.removeprefix("expected ")


def _known_keys(steps: Sequence[int | str]) -> list[str]:
    """Return the keys of the table that some steps lead to; none where it is no table of the catalog's own classes."""
    table: type[Table] = Catalog
    rest = iter(steps)
    for step in rest:
        field = table.model_fields.get(str(step))
        below = _table_in(field.annotation) if field else None
        if field is None or below is None:
            return []
        if get_args(field.annotation):
            next(rest, None)  # a dict of tables, or a list of them: the step after is a name, or a number
        table = below
    return list(table.model_fields)


def _table_in(annotation: object) -> type[Table] | None:
    """Return the table class inside `dict[str, Table]`, `tuple[Table, ...]` or `Table` itself, None without one."""
    classes = (one for one in (annotation, *get_args(annotation)) if isinstance(one, type))
    return next((one for one in classes if issubclass(one, Table)), None)
