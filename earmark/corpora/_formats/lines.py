"""Label files as numbered lines, and the errors that name a line.

UTF-8, with or without a byte order mark, lines ended by LF or CRLF; nothing else is cut or changed. A line that is not
UTF-8 is broken and passed over like any other broken row (see `broken`).
"""

import codecs
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from earmark.corpora._formats.broken import BrokenLabelError, one_row, shorten
from earmark.disk.faults import is_machine_fault
from earmark.errors import CorpusError

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
ADVICE = "Extract the archive again, or correct the line."

T = TypeVar("T")
Entry = tuple[str, str, T]  # id, where it is ("file:line" or "file"), and what the label file says of that id


def lines(path: Path, *, strict: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) of a label file; empty lines are passed over.

    Raises CorpusError when the file cannot be read, and with `strict` for a line that is not UTF-8: for files all of
    whose lines belong to one recording.
    """
    try:
        # Bytes: text mode would end lines at a lone CR too, and str.splitlines() at U+0085 and U+2028, as texts have.
        with open_label_file(path) as file:
            for number, raw in enumerate(file, 1):
                line = ""
                if strict:
                    line = decode_line(path, number, raw)
                else:
                    with one_row(path, number):
                        line = decode_line(path, number, raw)
                if line:
                    yield number, line
    except OSError as error:
        raise unreadable(path, error) from error


def open_label_file(path: Path) -> BinaryIO:
    """Open a label file for its bytes.

    Raises OSError where the disk does not give it, CorpusError for what is no file: a pipe would be waited for, and a
    device may have no end.
    """
    require_file(path)
    return path.open("rb")


def label_bytes(path: Path) -> bytes:
    """Return all of a small label file. Raises as `open_label_file`."""
    with open_label_file(path) as file:
        return file.read()


def require_file(path: Path) -> None:
    """Raise OSError or CorpusError where `open_label_file` does; for files that a library opens by their path."""
    try:
        mode = path.stat().st_mode
    except ValueError as error:  # a NUL in the name
        raise CorpusError(f"{path}: label file cannot be read: expected a file name, got one with a NUL.") from error
    if not stat.S_ISREG(mode):
        got = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise CorpusError(f"{path}: label file cannot be read: expected a file, got {got}. Take it away.")


def decode_line(path: Path, number: int, raw: bytes) -> str:
    """Return one line without its end (LF or CRLF) and, on line 1, without a byte order mark. Raises CorpusError."""
    if number == 1:
        if raw.startswith(UTF_16):
            raise CorpusError(f"{path}: not UTF-8: expected UTF-8 text, got UTF-16. Convert the file.")
        raw = raw.removeprefix(codecs.BOM_UTF8)
    raw = raw[:-2] if raw.endswith(b"\r\n") else raw.removesuffix(b"\n")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        got = f"not UTF-8: expected UTF-8 text, got byte 0x{raw[error.start]:02x} at byte {error.start} of the line"
        raise BrokenLabelError(path, number, got, "Extract the archive again, or convert the file.") from error


def unreadable(path: Path, error: OSError) -> CorpusError:
    """Return the error for a label file that the disk does not give."""
    if is_machine_fault(error):
        return CorpusError(f"{path}: label file cannot be read: {error.strerror}, which is not the file's. Run again.")
    return CorpusError(
        f"{path}: label file cannot be read: expected a readable file, got: {error.strerror}."
        " See what is there and whether it may be read; run again."
    )


def bad_header(path: Path, number: int, expected: str, got: str) -> CorpusError:
    """Return the error for a header that its corpus does not have: without it no row of the table can be read."""
    return CorpusError(f"{path}:{number}: broken label line: expected {expected}, got {shorten(got)!r}. {ADVICE}")


def bad_line(path: Path, number: int | None, expected: str, got: str) -> BrokenLabelError:
    """Return the error for a line that does not have the form that the corpus documents."""
    return BrokenLabelError(path, number, f"expected {expected}, got {shorten(got)!r}", ADVICE)
