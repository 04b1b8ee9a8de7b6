"""Expected failures and interruptions of a command: one line on standard error, and an exit code."""

import contextlib
import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from types import FrameType

from doit.cmdparse import CmdParseError
from doit.exceptions import InvalidCommand

from earmark.errors import EarmarkError
from tasks.engine.opened import OPENED

EXPECTED_FAILURE = 3  # the exit code of a failure in one line: that of doit's own errors


class Interrupted(BaseException):
    """SIGTERM, as an exception: what is unfinished is cleaned up on the way out."""


class PlainErrors:
    """Placed before one of doit's commands: expected failures are one line on standard error and an exit code."""

    name: str
    asks_receipts = False  # true: what it prints comes from receipts and the catalog, so no tasks need be made
    flags_anywhere: tuple[str, ...] = ()  # options that may follow the names, where doit takes them for more names

    def parse_execute(self, in_args: list[str]) -> int:
        """Parse and execute.

        Raises InvalidCommand for an unknown option or a wrong value; doit itself prints every option that it knows as
        a Python object.
        """
        try:
            return int(super().parse_execute(in_args))  # type: ignore[misc]  # that of the command
        except CmdParseError as error:
            fault = " ".join(str(error).partition(" (parsing options")[0].split())
            fault = fault.removeprefix("Error parsing Command: ").removeprefix("Error parsing Task: ")
            more = f"`doit help {self.name}` lists the options, `doit help TASK` those of a task."
            raise InvalidCommand(f"{fault}. {more}") from None

    def execute(self, params: dict[str, object], args: list[str]) -> int:
        """Execute the command, which says what its exit code means."""
        flags = {f"--{name}": name for name in self.flags_anywhere}
        params.update({flags[arg]: True for arg in args if arg in flags})
        with _plain_failures() as failed:
            return int(super().execute(params, [arg for arg in args if arg not in flags]))  # type: ignore[misc]
        return failed.code


class _Failed:
    """The exit code of a command that ended in an expected failure."""

    code = EXPECTED_FAILURE


@contextlib.contextmanager
def _plain_failures() -> Iterator[_Failed]:
    """Turn expected failures and interruptions into one line and an exit code."""
    failed = _Failed()
    try:
        yield failed
    except EarmarkError as error:
        print(f"ERROR: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        OPENED.stop_workers()
        failed.code = 128 + signal.SIGINT
        print("\ninterrupted: what is finished is kept; the same command goes on from here.", file=sys.stderr)
    except Interrupted:
        OPENED.stop_workers()
        failed.code = 128 + signal.SIGTERM
        print("terminated: what is finished is kept; the same command goes on from here.", file=sys.stderr)
    except sqlite3.Error as error:
        print(f"ERROR: cache: a database there cannot be used: {error}. Free space, or delete it.", file=sys.stderr)
    except BrokenPipeError:  # `doit list --status | head`: nobody reads on, and nothing is wrong
        # Python flushes standard output when it exits, and would print a traceback for the same pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        failed.code = 0
    except OSError as error:
        print(f"ERROR: {error.filename or 'standard output'}: {error.strerror}.", file=sys.stderr)


@contextlib.contextmanager
def terminating() -> Iterator[None]:
    """Let SIGTERM unwind the run as Ctrl-C does: by itself it would end Python and leave the workers running."""

    def unwind(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
