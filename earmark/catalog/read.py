"""The catalog: `datasets.toml`, facts about corpora, encoders, jobs and disk, read strictly.

`EARMARK_CATALOG` names another file; every relative path in a catalog resolves against that file's own folder. A
catalog may extend others (earmark/catalog/extends.py); every message names the file in which the mistake is.
"""

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from earmark.catalog.checks import check
from earmark.catalog.extends import FILE, KEY, VARIABLE, Layers, read_layers
from earmark.catalog.tables import PATTERNS, Catalog
from earmark.encoders import WHOLE_LINE
from earmark.errors import CatalogError, near
from earmark.table import Table

FORMS = {"literal['mean']", "literal['last']", "constrained-int"}  # pydantic's names for forms that one key may take


def catalog_path(folder: Path) -> Path:
    """Return the catalog that `EARMARK_CATALOG` names, or `datasets.toml` in `folder`."""
    return Path(os.environ.get(VARIABLE) or folder / FILE).absolute()


def read_catalog(path: Path, text: str | None = None) -> Catalog:
    """Read and check a catalog and those that it extends; `text` is read in place of what the file holds.

    Raises CatalogError with one line a mistake: file, table, key, expected, got.
    """
    layers = read_layers(path, text)
    try:
        catalog = Catalog.model_validate(layers.merged)
    except ValidationError as error:
        lines: dict[tuple[int | str, ...], list[ErrorDetails]] = {}
        for detail in error.errors():  # of the forms that a value may take, each is refused: say them in one line
            where = tuple(step for step in detail["loc"] if step not in FORMS)
            lines.setdefault(where, []).append(detail)
        raise CatalogError("\n".join(_explain(layers, where, details) for where, details in lines.items())) from error
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
        return f'{place}: unknown key "{key}"{near(str(key), _keys_beside(list(where)))}.'
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


def _keys_beside(steps: list[Any]) -> list[str]:
    """Return the keys that are known where an unknown one stands."""
    model: Any = Catalog
    for step in steps[:-1]:
        if isinstance(step, int) or not hasattr(model, "model_fields"):
            continue
        field = model.model_fields.get(str(step))
        if field is None:
            continue
        model = _table_in(field.annotation)
    return list(model.model_fields) if hasattr(model, "model_fields") else []


def _table_in(annotation: Any) -> Any:
    """Return the table class inside `dict[str, Table]`, `tuple[Table, ...]` or `Table` itself."""
    for argument in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(argument, type) and issubclass(argument, Table):
            return argument
    return annotation
