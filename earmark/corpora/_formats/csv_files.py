"""Label tables with quoting: comma-separated by default, a header line, rows as {column: value}.

RFC 4180 as `csv` reads it: inside quotes a field may contain separators, doubled quotes and line ends. UTF-8, with or
without a byte order mark, LF or CRLF. Values are passed on unchanged, whatever their length.
"""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from earmark.corpora._formats.broken import BrokenLabelError, one_row
from earmark.corpora._formats.lines import bad_header, bad_line, decode_line, open_label_file, unreadable
from earmark.errors import CorpusError

csv.field_size_limit(1 << 40)  # the library's own 131,072 characters are fewer than a transcript of some hours has
LONGEST_ROW = 1_000  # lines; of a row that goes on, a quote was never closed, and the lines after it are read anew


def csv_rows(
    path: Path,
    columns: Sequence[str],
    delimiter: str = ",",
    *,
    headed: bool = True,
    comment: str | None = None,
    spaced: bool = False,
    distinct: bool = False,
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (number of the row's last line, {column: value}) of a table that has at least `columns`.

    With `headed=False` the file has no header line, and its columns are exactly `columns`. Empty lines are passed over,
    and so are lines that start with `comment`. With `spaced`, blanks after a delimiter are no part of the value.
    With `distinct`, a header that repeats a column is an error; otherwise the last column of that name counts.
    A row with more or fewer fields than the header, and one with an unmatched quote, is broken and passed over.
    Raises CorpusError for a file that cannot be read, and for a missing column.
    """
    header: list[str] = [] if headed else list(columns)
    for number, fields in csv_fields(path, delimiter, comment=comment, spaced=spaced):
        if not header:
            header = fields
            for name in columns:
                if name not in header:
                    raise bad_header(path, number, f"a header with a column {name}", delimiter.join(fields))
            if distinct and len(set(header)) < len(header):
                raise bad_header(path, number, "a header with each column once", delimiter.join(fields))
            continue
        with one_row(path, number):
            if len(fields) != len(header):
                got = f"{len(fields)}: {delimiter.join(fields)}"
                expected = f"{len(header)} columns, as in the header" if headed else f"the columns {', '.join(columns)}"
                raise bad_line(path, number, expected, got)
            yield number, dict(zip(header, fields, strict=True))
    if not header:
        raise CorpusError(f"{path}: empty table: expected a header line, got none. Extract the archive again.")


def csv_fields(
    path: Path, delimiter: str, *, comment: str | None = None, spaced: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the last line, fields) of each row that is not empty; one with a wrong quote is broken."""
    try:
        with open_label_file(path) as file:
            text = _Lines(path, file, comment)
            table = csv.reader(text, delimiter=delimiter, skipinitialspace=spaced, strict=True)
            while True:
                text.begin_row()
                try:
                    fields = next(table)
                except StopIteration:
                    return
                except (csv.Error, BrokenLabelError) as error:
                    first = text.end_broken_row()
                    with one_row(path, first):
                        raise (
                            error
                            if isinstance(error, BrokenLabelError)
                            else bad_line(path, first, "quoted fields with separators between", str(error))
                        ) from error
                    continue
                if fields:
                    yield text.number, fields
    except OSError as error:
        raise unreadable(path, error) from error


class _Lines:
    """The decoded lines of a table with their ends, which count inside quotes; a comment is an empty line.

    The lines of the present row are kept: after a row whose quote is never closed, all but the first are given again.
    """

    def __init__(self, path: Path, file: BinaryIO, comment: str | None) -> None:
        self.number = 0  # of the line that was given last
        self._path, self._file, self._comment = path, file, comment
        self._row: list[tuple[int, bytes]] = []
        self._again: deque[tuple[int, bytes]] = deque()
        self._n_read = 0

    def begin_row(self) -> None:
        """Forget the lines of the row before."""
        self._row.clear()

    def end_broken_row(self) -> int:
        """Take back all lines of the row but its first; return the number of that."""
        self._again.extendleft(reversed(self._row[1:]))
        return self._row[0][0] if self._row else self.number

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if len(self._row) >= LONGEST_ROW:
            raise csv.Error(f"a quote that is not closed within {LONGEST_ROW:,} lines")
        if self._again:
            self.number, raw = self._again.popleft()
        else:
            raw = self._file.readline()
            if not raw:
                raise StopIteration
            self._n_read += 1
            self.number = self._n_read
        self._row.append((self.number, raw))
        line = decode_line(self._path, self.number, raw)
        if self._comment and line.startswith(self._comment):
            line = ""
        return line + ("\r\n" if raw.endswith(b"\r\n") else "\n")
