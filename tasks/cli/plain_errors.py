"""Expected failures and interruptions of a command: one line on standard error, and an exit code."""

import contextlib
import signal
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from doit.cmdparse import CmdParseError
from doit.exceptions import InvalidCommand, InvalidDodoFile, InvalidTask

from earmark.disk.plainly import in_one_line
from tasks.engine.opened import OPENED
from tasks.terminal import OutputLostError, complain, discard, say_error, say_traceback

GOES_ON = "what is finished is kept; the same command goes on from here."
EXPECTED_FAILURE = 3  # the exit code of a failure in one line: that of doit's own errors


class Interrupted(BaseException):
    """SIGTERM or SIGHUP, as an exception: what is unfinished is cleaned up on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class PlainErrors:
    """Placed before one of doit's commands: expected failures are one line on standard error and an exit code."""

    name: str
    asks_receipts = False  # true: what it prints comes from receipts and the catalog, so no tasks need be made
    works = False  # true: it reads, writes or deletes for hours, so a reader of its lines who is gone is an error
    flags_anywhere: tuple[str, ...] = ()  # options that may follow the names, where doit takes them for more names

    def parse_execute(self, in_args: list[str]) -> int:
        """Parse and execute; doit itself prints an unknown option with every option that it knows as Python objects."""
        try:
            return int(super().parse_execute(in_args) or 0)  # type: ignore[misc]  # that of the command
        except CmdParseError as error:
            fault = " ".join(str(error).partition(" (parsing options")[0].split())
            fault = fault.removeprefix("Error parsing Command: ").removeprefix("Error parsing Task: ")
            more = f"`doit help {self.name}` lists the options, `doit help TASK` those of a task."
            complain(f"ERROR: {fault}. {more}")
        except InvalidCommand as error:
            unknown = f'no task "{error.not_found}". `doit list --all` names them all.'
            complain(f"ERROR: {error if error.not_found is None else unknown}")
        except (InvalidDodoFile, InvalidTask) as error:
            say_error(str(error), "ERROR: ")
        return EXPECTED_FAILURE

    def execute(self, params: dict[str, object], args: list[str]) -> int:
        """Execute the command, which says what its exit code means."""
        flags = {f"--{name}": name for name in self.flags_anywhere}
        params.update({flags[arg]: True for arg in args if arg in flags})
        with _plain_failures(works=self.works) as failed:
            # some of doit's own return None
            return int(super().execute(params, [arg for arg in args if arg not in flags]) or 0)  # type: ignore[misc]
        return failed.code


class _Failed:
    """The exit code of a command that ended in an expected failure."""

    code = EXPECTED_FAILURE


@contextlib.contextmanager
def _plain_failures(*, works: bool) -> Iterator[_Failed]:
    """Turn expected failures and interruptions into one line and an exit code."""
    failed = _Failed()
    try:
        yield failed
    except KeyboardInterrupt:
        OPENED.stop_workers()
        failed.code = 128 + signal.SIGINT
        complain("")  # the terminal has just shown ^C
        complain(f"interrupted: {GOES_ON}")
    except Interrupted as interrupted:
        OPENED.stop_workers()
        failed.code = 128 + interrupted.number
        complain(f"terminated: {GOES_ON}")
    except OutputLostError as lost:
        OPENED.stop_workers()
        discard(lost)
        failed.code = lost.code
        # `doit list | head` is no fault, and says nothing, as other programs that SIGPIPE ends
        if works or not lost.reader_gone:
            complain(f"ERROR: {lost}: {GOES_ON if works else 'the rest is lost.'}")
    except (CmdParseError, InvalidCommand, InvalidDodoFile, InvalidTask):
        raise  # doit's own, of one line
    except Exception as error:
        line = in_one_line(error, _place())
        if line is None:  # a bug, which keeps its traceback
            say_traceback(traceback.format_exc())
        else:
            say_error(line, "ERROR: ")


@contextlib.contextmanager
def terminating() -> Iterator[None]:
    """Let SIGTERM, and the end of a terminal, unwind the run as Ctrl-C does.

    By themselves they would end Python and leave the workers running. `nohup` ignores SIGHUP, and so it stays.
    """

    def unwind(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(number)

    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, unwind) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _place() -> Path:
    """Return where an error was that names no path: the cache, or the catalog before there is one."""
    return OPENED.run.project.cache if OPENED.is_open else Path.cwd()
