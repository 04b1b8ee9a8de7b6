"""Praat TextGrids: the interval tiers of a file, in the long or the short text form.

    File type = "ooTextFile"            the long form names each value, the short form gives the values alone
    Object class = "TextGrid"
    start, end, <exists>, number of tiers
    a tier: class, name, start, end, number of items; an item: start, end, text (a point: time, text)

Praat itself takes every number between blanks and every text in quotes as a value and ignores the rest, so one parser
serves both forms; a quote inside a text is doubled. Times in seconds. UTF-8, or UTF-16 with a byte order mark.
Point tiers are passed over. Strict parsers refuse two files of AISHELL-4, whose intervals reach beyond their tier, and
recipes then drop the whole sessions; here the reader decides. Source: the Praat manual, "TextGrid file formats".
"""

import codecs
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from earmark.corpora._formats.broken import BrokenLabelError
from earmark.corpora._formats.lines import bad_line, label_bytes, unreadable

VALUE = re.compile(r'"([^"]*(?:""[^"]*)*)"|(?<!\S)(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)')
HEADER = re.compile(r'\s*File type = "ooTextFile')
INTERVALS = "IntervalTier"

V = TypeVar("V", str, float)
Values = Iterator[tuple[int, str | float]]  # line number, value


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval of a tier; `text` is unchanged, and empty where nobody speaks."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier of intervals; `end` is that of its header, beyond which the intervals of broken files reach."""

    name: str
    end: float
    intervals: tuple[Interval, ...]


def read_tiers(path: Path, *, backward: bool = False) -> list[Tier]:
    """Return the interval tiers in the order of the file.

    Raises BrokenLabelError for another format, a file cut short, and an interval that ends before it starts, which is
    returned instead with `backward`.
    """
    text = _text(path)
    if not HEADER.match(text):
        raise bad_line(path, 1, 'File type = "ooTextFile"', text.partition("\n")[0])
    values = _values(text)
    for _ in range(2):  # file type, object class
        _take(path, values, str, "the header of a TextGrid")
    for _ in range(2):
        _take(path, values, float, "the file's start and end")
    tiers = [_tier(path, values, backward) for _ in range(_count(path, values))]
    for number, value in values:
        raise bad_line(path, number, "the end of the file after the announced tiers", str(value))
    return [tier for tier in tiers if tier is not None]


def _tier(path: Path, values: Values, backward: bool) -> Tier | None:
    """Read one tier; None for a tier of points."""
    kind, name = (_take(path, values, str, "a tier's class and name")[1] for _ in range(2))
    _, end = (_take(path, values, float, "a tier's start and end")[1] for _ in range(2))
    intervals = []
    for _ in range(_count(path, values)):
        number, start = _take(path, values, float, "an item's time")
        stop = _take(path, values, float, "an interval's end")[1] if kind == INTERVALS else start
        if not (start <= stop or backward) or min(start, stop) < 0 or not math.isfinite(start + stop):
            raise bad_line(path, number, "an interval that ends after its start", f"{start} to {stop}")
        intervals.append(Interval(start, stop, _take(path, values, str, "an item's text")[1]))
    return Tier(name, end, tuple(intervals)) if kind == INTERVALS else None


def _count(path: Path, values: Values) -> int:
    number, value = _take(path, values, float, "a number of tiers or items")
    if not value.is_integer() or value < 0:
        raise bad_line(path, number, "a number of tiers or items", str(value))
    return int(value)


def _take(path: Path, values: Values, kind: type[V], expected: str) -> tuple[int, V]:
    """Return the next value and its line. Raises CorpusError where it is missing or of another kind."""
    number, value = next(values, (0, None))
    if value is None:
        raise BrokenLabelError(path, None, f"cut short: expected {expected}, got the end", "Extract the archive again.")
    if not isinstance(value, kind):
        raise bad_line(path, number, expected, str(value))
    return number, value


def _values(text: str) -> Values:
    number, last = 1, 0
    for match in VALUE.finditer(text):
        number += text.count("\n", last, match.start())
        last = match.start()
        yield number, float(match[2]) if match[2] else match[1].replace('""', '"')


def _text(path: Path) -> str:
    try:
        raw = label_bytes(path)
        return raw.decode("utf-16" if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig")
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        detail = "not UTF-8: expected a TextGrid in UTF-8 or UTF-16, got other bytes"
        raise BrokenLabelError(path, None, detail, "Extract the archive again.") from error
