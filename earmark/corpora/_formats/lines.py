"""Label files as numbered lines, and the errors that name a line.

UTF-8, with or without a byte order mark, lines ended by LF or CRLF; nothing else is cut or changed.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from earmark.errors import CorpusError

SHOWN_CHARACTERS = 80  # of a broken line, in its error

T = TypeVar("T")
Entry = tuple[str, str, T]  # id, where it is ("file:line" or "file"), and what the label file says of that id


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) of a label file; empty lines are passed over.

    Raises CorpusError when the file cannot be read or is not UTF-8.
    """
    try:
        # Bytes: text mode would end lines at a lone CR too, and str.splitlines() at U+0085 and U+2028, as texts have.
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                line = decode_line(path, number, raw)
                if line:
                    yield number, line
    except OSError as error:
        raise unreadable(path, error) from error


def decode_line(path: Path, number: int, raw: bytes) -> str:
    """Return one line without its end (LF or CRLF) and, on line 1, without a byte order mark. Raises CorpusError."""
    if number == 1:
        raw = raw.removeprefix(codecs.BOM_UTF8)
    raw = raw[:-2] if raw.endswith(b"\r\n") else raw.removesuffix(b"\n")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}:{number}: not UTF-8: expected UTF-8 text, got byte 0x{raw[error.start]:02x} at byte {error.start}"
            " of the line. Extract the archive again, or convert the file."
        ) from error


def unreadable(path: Path, error: OSError) -> CorpusError:
    """Return the error for a label file that the disk does not give."""
    return CorpusError(
        f"{path}: label file cannot be read: expected a readable file, got: {error.strerror}."
        " Extract the archive again."
    )


def bad_line(path: Path, number: int, expected: str, got: str) -> CorpusError:
    """Return the error for a line that does not have the form that the corpus documents."""
    shown = got if len(got) <= SHOWN_CHARACTERS else f"{got[:SHOWN_CHARACTERS]}..."
    return CorpusError(
        f"{path}:{number}: broken label line: expected {expected}, got {shown!r}."
        " Extract the archive again, or correct the line."
    )
