"""Label tables with tabs between fields, of which some are quoted and some are not, as the table itself shows.

Common Voice wrote releases 5 to 6.1 with csv's quotes (`"He said ""yes"" at once."`) and later ones without any, in
which a text may begin or end with a quote of its own. In the first kind every field with a quote in it stands in
quotes, and each quote of the text is doubled; a single field of another form shows that quotes are text.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.csv_files import csv_fields
from earmark.corpora._formats.lines import bad_header, bad_line, lines, open_label_file, unreadable
from earmark.errors import CorpusError

TAB = "\t"
QUOTED = re.compile(rb'"(?:[^"]|"")*"')


def tab_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, {column: value}) of a table with a header that has at least `columns`.

    Blanks at the end of a line are not cut, since the last columns may be empty. A row with more or fewer fields than
    the header is broken and passed over. Raises CorpusError for a file that cannot be read, and for a missing column.
    """
    header: list[str] = []
    for number, fields in tab_fields(path):
        if not header:
            header = fields
            for name in columns:
                if name not in header:
                    raise bad_header(path, number, f"a header with a column {name}", TAB.join(fields))
            continue
        with one_row(path, number):
            if len(fields) != len(header):
                got = f"{len(fields)}: {TAB.join(fields)}"
                raise bad_line(path, number, f"{len(header)} columns, as in the header", got)
            yield number, dict(zip(header, fields, strict=True))
    if not header:
        raise CorpusError(f"{path}: empty table: expected a header line, got none. Extract the archive again.")


def tab_fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of each line that is not empty."""
    if is_quoted(path):
        yield from csv_fields(path, TAB)
    else:
        yield from ((number, line.split(TAB)) for number, line in lines(path))


def is_quoted(path: Path) -> bool:
    """Return whether a table is written with csv's quotes: some doubled quote shows it, and nothing contradicts it."""
    shown = False
    try:
        with open_label_file(path) as file:
            for raw in file:
                if b'"' in raw:  # most lines have none
                    for field in raw.rstrip(b"\r\n").split(b"\t"):
                        if b'"' in field and not QUOTED.fullmatch(field):
                            return False
                        shown |= b'""' in field[1:-1]
    except OSError as error:
        raise unreadable(path, error) from error
    return shown
