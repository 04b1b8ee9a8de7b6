"""Manifests of one JSON object a line, packed with gzip or not."""

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.json_files import json_object
from earmark.corpora._formats.lines import decode_line, open_label_file, unreadable
from earmark.errors import CorpusError
from earmark.rows import JSON

FIRST_LINES, FIRST_BYTES = 10, 1 << 20  # of a file, among which its first object is looked for; bytes of a line


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, JSON]]]:
    """Yield (line number, object) of each line that is not empty; a broken line is noted and passed over.

    Raises CorpusError for a file that cannot be read or unpacked.
    """
    try:
        with open_label_file(path) as file:
            for number, raw in enumerate(gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file, 1):
                with one_row(path, number):
                    if line := decode_line(path, number, raw).strip():
                        yield number, json_object(path, number, line)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorpusError(f"{path}: cannot be unpacked: expected gzip, got: {error}. Download it again.") from error
    except OSError as error:
        raise unreadable(path, error) from error


def first_object(path: Path) -> dict[str, JSON]:
    """Return the object on the first line of a file that has one; nothing where none of the first lines has.

    Of the first lines, since one that is broken must not hide all the others.
    """
    with contextlib.suppress(OSError, EOFError, zlib.error, CorpusError), open_label_file(path) as file:
        source = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
        for number in range(1, FIRST_LINES + 1):
            line = source.readline(FIRST_BYTES)
            with contextlib.suppress(ValueError, CorpusError):
                return json_object(path, number, decode_line(path, number, line))
    return {}
