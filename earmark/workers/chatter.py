"""What libraries print by themselves: taken from standard error, so that it reaches nobody without a name to it.

libmpg123 prints a line for each frame that it does not like, hundreds for one file, and cannot be told not to. It
writes to the file descriptor, past Python: so the descriptor is exchanged while a library works.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

STDERR = 2  # the file descriptor, whatever sys.stderr is
READ_BYTES = 1 << 16  # of what was printed; the rest is counted with it
LINE_CHARACTERS = 160  # of a line that is told


@contextlib.contextmanager
def captured() -> Iterator[list[str]]:
    """Take what is printed to standard error while the block runs; its lines are in the list when it has ended.

    It holds for the whole process: what else wants to be seen meanwhile needs a descriptor of its own.
    """
    lines: list[str] = []
    try:
        taken, before = tempfile.TemporaryFile(), os.dup(STDERR)  # noqa: SIM115 - closed below, and not left at once
    except OSError:  # no handle left, no room: work goes on, and what is printed is seen
        yield lines
        return
    with taken:
        _flush()
        os.dup2(taken.fileno(), STDERR)
        try:
            yield lines
        finally:
            _flush()
            os.dup2(before, STDERR)
            os.close(before)
            taken.seek(0)
            lines += [line for line in taken.read(READ_BYTES).decode("utf-8", "replace").splitlines() if line.strip()]


def _flush() -> None:
    with contextlib.suppress(OSError, ValueError):  # closed, or nobody reads it any more
        sys.stderr.flush()


class _Notes:
    """What this process has to tell, until it is asked."""

    lines: tuple[str, ...] = ()


@contextlib.contextmanager
def told_of(name: str) -> Iterator[None]:
    """Take what libraries print while they work on something, and note it in one line with its name."""
    with captured() as lines:
        yield
    # not of what failed: its own error says more
    if lines:
        more = f", and {len(lines) - 1:,} more lines" if len(lines) > 1 else ""
        _Notes.lines += (f"{name}: {lines[0].strip()[:LINE_CHARACTERS]}{more}",)


def take_notes() -> tuple[str, ...]:
    """Return what was noted since this was last asked."""
    notes, _Notes.lines = _Notes.lines, ()
    return notes
