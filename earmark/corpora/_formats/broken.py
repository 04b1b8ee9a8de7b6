"""Rows of label files that are broken: each becomes a finding with its line, and the rest is read.

A parser wraps what it does with one row in `with one_row(path, number):`. What is wrong with the row (`bad_line`), and
what a row of another shape makes Python raise, is then noted for whoever reads the corpus, and the loop goes on.
Yielding inside the block is safe: what a consumer raises never enters a generator.

Whether too many rows are broken is not decided here but by `max_missing`, once all of them are counted.
"""

from collections import deque
from collections.abc import Mapping
from contextvars import ContextVar, Token
from pathlib import Path
from types import TracebackType

from earmark.errors import CorpusError

SHOWN_CHARACTERS = 80  # of a broken line, in its error
# What code that expects one shape raises when it meets another. Not OSError, which is about the disk and not the row,
# and not AssertionError or NameError, which are mistakes of ours.
OF_ANOTHER_SHAPE = (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError)
TABLES_KEPT = 4  # tables in which the line of a recording is looked up: a reader joins a few at a time


class BrokenLabelError(CorpusError):
    """A label line, or a small label file, that is not as its corpus documents it: one of them stops no corpus."""

    def __init__(self, path: Path, number: int | None, detail: str, advice: str) -> None:
        where = f"{path}:{number}" if number is not None else f"{path}"
        super().__init__(f"{where}: broken label line: {detail}. {advice}")
        self.path, self.number, self.detail = path, number, detail


class Reading:
    """What is known while a corpus is read: broken rows that were not told yet, and where the present row stands."""

    def __init__(self) -> None:
        self.broken: list[BrokenLabelError] = []
        self.at: tuple[Path, int | None] | None = None
        self._tables: deque[Mapping[str, tuple[str, object]]] = deque(maxlen=TABLES_KEPT)

    def remember(self, table: Mapping[str, tuple[str, object]]) -> None:
        """Keep a table, id -> (where, ...), so that an error of a recording can name its line."""
        self._tables.append(table)

    def where(self, name: str) -> str:
        """Return "file:line" of the label of a recording, as far as it is known; an empty string where it is not."""
        if self.at is not None:
            path, number = self.at
            return f"{path}:{number}" if number is not None else f"{path}"
        return next((table[name][0] for table in self._tables if name in table), "")


_READING: ContextVar[Reading | None] = ContextVar("reading", default=None)


def current() -> Reading | None:
    """Return what is being read; None where a parser is used by itself, and then broken rows raise."""
    return _READING.get()


class during:  # noqa: N801 - read as a statement: `with during(reading):`
    """Make a reading the current one inside the block, which may not yield: two corpora may be read in turns."""

    __slots__ = ("_reading", "_token")

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def __enter__(self) -> None:
        self._token: Token[Reading | None] = _READING.set(self._reading)

    def __exit__(self, *_: object) -> None:
        _READING.reset(self._token)


class one_row:  # noqa: N801 - read as a statement: `with one_row(path, number):`
    """One row of a label file, or a small file as a whole (no number): what is broken in it is noted, not raised."""

    __slots__ = ("_around", "_number", "_path")

    def __init__(self, path: Path, number: int | None = None) -> None:
        self._path, self._number = path, number
        self._around: tuple[Path, int | None] | None = None

    def __enter__(self) -> None:
        reading = _READING.get()
        if reading is not None:
            self._around, reading.at = reading.at, (self._path, self._number)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        reading = _READING.get()
        if reading is None:
            return False
        reading.at = self._around
        if isinstance(error, BrokenLabelError):
            reading.broken.append(error)
            return True
        if isinstance(error, OF_ANOTHER_SHAPE):
            reading.broken.append(unexpected(self._path, self._number, error))
            return True
        return False


def unexpected(path: Path, number: int | None, error: Exception) -> BrokenLabelError:
    """Return the error for a row that its reader did not foresee, with what Python said of it."""
    said = " ".join(f"{type(error).__name__}: {error}".split())
    detail = f"expected what the corpus documents, got another shape ({shorten(said)})"
    return BrokenLabelError(path, number, detail, "Extract the archive again, or correct the line.")


def shorten(text: str) -> str:
    """Return the first characters of a text that may be a whole row."""
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
