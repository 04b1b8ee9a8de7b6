"""The one place where text leaves for a terminal: one call, one line, and nothing in it that a terminal would act upon.

A file may be called "\\x1b[2J", or hold a newline and then a failure of the attacker's choice. So nothing else prints:
not `print`, which cannot tell a name's newline from the end of a line. `Guard` stands before standard output and error
for what others write, such as doit and warnings. An output that cannot be written any more ends the command: who reads
on must never take a run that stopped for one that was finished.
"""

import json
import locale
import os
import signal
import sys
from typing import TYPE_CHECKING, TextIO

from earmark.printable import printable, printable_json, printable_lines, shortened

if TYPE_CHECKING:
    from rich.table import Table


OUTPUT, ERRORS = "standard output", "standard error"


class OutputLostError(BaseException):
    """Standard output or error cannot be written any more: its reader is gone, or the disk is full.

    Not an Exception: whoever catches those means errors of the work, and would go on without a reader.
    """

    def __init__(self, stream: str, error: OSError | ValueError) -> None:
        self.stream = stream
        self.reader_gone = isinstance(error, BrokenPipeError)
        self.reason = getattr(error, "strerror", None) or str(error)
        super().__init__(f"{stream} cannot be written: {self.reason}")

    @property
    def code(self) -> int:
        """The exit code: that of a program which SIGPIPE ended, or that of doit's own errors."""
        return 128 + signal.SIGPIPE if self.reader_gone else 3


class Guard:
    """A stream that escapes what a terminal would act upon and, once it cannot be written, ends the command.

    Ends of lines pass: they cannot be told from a name's here, which is why our own lines go through `say`.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name

    def write(self, text: str) -> int:
        """Write text; each finished line at once, so that a reader who is gone is noticed."""
        return self.write_rendered(printable_lines(text))

    def write_rendered(self, text: str) -> int:
        """Write text as it is: what was rendered with a terminal's own sequences, from cells that are printable."""
        try:
            written = self._stream.write(text)
            if "\n" in text:
                self._stream.flush()
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            raise OutputLostError(self._name, error) from error
        return written

    def writelines(self, lines: list[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            raise OutputLostError(self._name, error) from error

    def __getattr__(self, name: str) -> object:
        """Return what else a stream has, such as its encoding and whether it is a terminal."""
        return getattr(self._stream, name)


def start() -> None:
    """Stand before standard output and error, once in a process, before the first line of a command."""
    if isinstance(sys.stdout, Guard):
        return
    _require_utf8()
    closed = _fill_closed_descriptors()
    for name, words in (("stdout", OUTPUT), ("stderr", ERRORS)):
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal in ASCII must not stop a run
        if stream is not None:
            setattr(sys, name, Guard(stream, words))
    if 1 in closed:
        complain("ERROR: standard output is closed. Say where the lines are to go, such as `> /dev/null`.")
        raise SystemExit(3)


def _require_utf8() -> None:
    """Begin again in Python's UTF-8 mode where the locale has another encoding.

    A path is bytes to the system, and manifests have it in UTF-8: in a Latin-1 locale Python would read each name as
    another one. What is printed stays in the locale's encoding. Never needed on macOS, whose paths are UTF-8.
    """
    if sys.getfilesystemencoding() == "utf-8":
        return
    if os.environ.get("PYTHONUTF8") == "1":  # tried, and Python was told to ignore it
        raise SystemExit("ERROR: file names are not read as UTF-8 here. Run it with `python -X utf8`.")
    environment = {"PYTHONIOENCODING": f"{locale.getencoding()}:backslashreplace"} | os.environ | {"PYTHONUTF8": "1"}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606 - this very program


def _fill_closed_descriptors() -> list[int]:
    """Put /dev/null where standard input, output or error is closed, and return which were.

    The next file that is opened would get that number, and what a library prints would be written into a database.
    """
    closed = []
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            closed.append(number)
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
    return closed


def say(line: str, *, whole: bool = False, to: TextIO | None = None) -> None:
    """Print one line; one that is too long to be read is shortened in its middle, except where it is to be `whole`."""
    _put(sys.stdout if to is None else to, line if whole else shortened(line))


def complain(line: str) -> None:
    """Print one line to standard error."""
    if sys.stderr is not None:
        _put(sys.stderr, shortened(line))


def _put(stream: TextIO, line: str) -> None:
    # one write: another process's line must not come between a line and its end
    stream.write(f"{printable(line)}\n")
    stream.flush()


def say_error(text: str, before: str = "") -> None:
    """Print the text of an error of ours, whose lines it ended itself, to standard error."""
    for at, line in enumerate(text.split("\n")):
        complain(line if at else f"{before}{line}")


def say_traceback(text: str) -> None:
    """Print a traceback to standard error, set in: what an error's text begins is no line of ours."""
    for at, line in enumerate(text.strip().split("\n")):
        complain(f"     {line}" if at else line)


def say_json(value: object) -> None:
    """Print a value as JSON: names are escaped as JSON does it, so a program reads them as they are."""
    # not orjson, which refuses a file name that is not UTF-8
    _rendered(printable_json(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)) + "\n")


def add_row(table: "Table", *cells: str) -> None:
    """Add a row of text to a table, in which nothing is read as an instruction to rich or to the terminal."""
    from rich.text import Text

    table.add_row(*(Text(printable(shortened(cell))) for cell in cells))


def width(plain: int, narrowest: int) -> int:
    """Return the columns of a table: the terminal's, or `plain` where there is no terminal."""
    if not sys.stdout.isatty():
        return plain
    from rich.console import Console

    return max(narrowest, Console(file=sys.stdout).width)


def show_table(table: "Table", columns: int) -> None:
    """Print a table whose rows came from `add_row`."""
    from io import StringIO

    from rich.console import Console

    class Rendered(StringIO):
        # rich draws lines in ASCII where the terminal has nothing else
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"

        def isatty(self) -> bool:
            return sys.stdout.isatty()

    rendered = Rendered()
    Console(file=rendered, width=columns, highlight=False, markup=False, emoji=False).print(table)
    _rendered(rendered.getvalue())


def _rendered(text: str) -> None:
    write = getattr(sys.stdout, "write_rendered", sys.stdout.write)
    write(text)
    sys.stdout.flush()


def discard(lost: OutputLostError) -> None:
    """Let what is still buffered go nowhere: Python would try to write it when it ends, and print a traceback."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1 if lost.stream == OUTPUT else 2)
    os.close(null)
