"""Label tables with quoting: comma-separated by default, a header line, rows as {column: value}.

RFC 4180 as `csv` reads it: inside quotes a field may contain separators, doubled quotes and line ends. UTF-8, with or
without a byte order mark, LF or CRLF. Values are passed on unchanged.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from earmark.corpora._formats.lines import bad_line, decode_line, unreadable
from earmark.errors import CorpusError


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
    Raises CorpusError for a file that cannot be read, a missing column, a row with more or fewer fields than the
    header, and an unmatched quote.
    """
    header: list[str] = [] if headed else list(columns)
    table = csv.reader(_text(path, comment), delimiter=delimiter, skipinitialspace=spaced, strict=True)
    try:
        for fields in table:
            if not fields:
                continue
            if not header:
                header = fields
                for name in columns:
                    if name not in header:
                        raise bad_line(path, table.line_num, f"a header with a column {name}", delimiter.join(fields))
                if distinct and len(set(header)) < len(header):
                    raise bad_line(path, table.line_num, "a header with each column once", delimiter.join(fields))
                continue
            if len(fields) != len(header):
                got = f"{len(fields)}: {delimiter.join(fields)}"
                expected = f"{len(header)} columns, as in the header" if headed else f"the columns {', '.join(columns)}"
                raise bad_line(path, table.line_num, expected, got)
            yield table.line_num, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise bad_line(path, table.line_num, "quoted fields with commas between", str(error)) from error
    if not header:
        raise CorpusError(f"{path}: empty table: expected a header line, got none. Extract the archive again.")


def _text(path: Path, comment: str | None) -> Iterator[str]:
    """Yield the decoded lines with their ends, which count inside quotes; a comment as an empty line."""
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                line = decode_line(path, number, raw)
                if comment and line.startswith(comment):
                    line = ""
                yield line + ("\r\n" if raw.endswith(b"\r\n") else "\n")
    except OSError as error:
        raise unreadable(path, error) from error
