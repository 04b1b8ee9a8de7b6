"""Cells of a table's row, each with what it has to be: an error names the column and its value, not the row's head."""

import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from earmark.corpora._formats.lines import bad_line

Check = tuple[Callable[[str], bool], str]  # whether a cell is right, and in words what is


def require_cells(path: Path, number: int, row: Mapping[str, str], checks: Mapping[str, Check]) -> None:
    """Raise CorpusError for the first cell of a row that is not as its check has it."""
    for column, (is_right, expected) in checks.items():
        if not is_right(row[column]):
            raise bad_line(path, number, f"{expected} in column {column}", row[column])


def is_number(cell: str) -> bool:
    """Return whether a cell is a number that is finite."""
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def one_of(words: Collection[str], expected: str) -> Check:
    """Return the check of a cell that has one of some words."""
    return (lambda cell: cell in words), expected


FILLED: Check = (bool, "a value")
NUMBER: Check = (is_number, "a number")
WHOLE: Check = (str.isdecimal, "a whole number")
