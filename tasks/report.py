"""What a run prints: progress while it works, a line for each failure, a summary at the end."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import TextIO

from earmark.printable import printable
from earmark.rates import HOUR_S
from tasks.terminal import complain, say

PLAIN_EVERY_S = 10.0  # seconds between progress lines where there is no terminal: a log of one night stays readable


class Bar:
    """Progress of one piece of long work; this one shows nothing, its subclasses do.

    `total`: files or, with `unit` "bytes", bytes, 0 where it is not known; `after`: as many of later shards.
    """

    def __init__(self, label: str, total: int, unit: str, after: int) -> None:
        self.label = label
        self.total, self.unit, self.after = total, unit, after
        self.done, self.audio_s = 0, 0.0
        self.started = time.monotonic()

    def advance(self, done: int = 0, audio_s: float = 0.0) -> None:
        """Count work that is done."""
        self.done += done
        self.audio_s += audio_s

    def words(self) -> str:
        """Return in words how much is done: files or bytes, hours of audio, hours a minute, time left."""
        # never 0: the clock may not have moved between two calls
        spent = max(time.monotonic() - self.started, 1e-3)
        if self.unit == "bytes":
            parts = [f"{human(self.done)} of {human(self.total)}" if self.total else human(self.done)]
        else:
            parts = [f"{self.done:,} of {self.total:,} files" if self.total else f"{self.done:,} files"]
        if self.audio_s:
            hours = self.audio_s / HOUR_S
            parts.append(f"{hours:.2f} h, {hours / spent * 60:.2f} h a minute")
        if 0 < self.done < self.total:
            parts.append(f"{_clock(spent / self.done * (self.total - self.done))} left")
        if self.done and self.after:
            parts.append(f"{_clock(spent / self.done * self.after)} for the shards after it")
        return ", ".join(parts)

    def stop(self) -> None:
        """Remove the bar from the terminal."""


class _PlainBar(Bar):
    """Lines every few seconds, for a log file."""

    def __init__(self, label: str, total: int, unit: str, after: int, log: "RunLog") -> None:
        super().__init__(label, total, unit, after)
        self._log = log

    def advance(self, done: int = 0, audio_s: float = 0.0) -> None:
        super().advance(done, audio_s)
        if time.monotonic() - self._log.last_line >= PLAIN_EVERY_S:  # the log's: short shards share it
            self._log.last_line = time.monotonic()
            complain(f"   {self.label}: {self.words()}")


class _LiveBar(Bar):
    """A live line on a terminal."""

    def __init__(self, label: str, total: int, unit: str, after: int, stream: TextIO) -> None:
        super().__init__(label, total, unit, after)
        # late: where there is no terminal, and for commands that show no progress, rich need not be imported
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        label_column = TextColumn("   {task.description}", markup=False)
        columns = (label_column, BarColumn(bar_width=16), TextColumn("{task.fields[words]}"))
        self._progress = Progress(*columns, console=Console(file=stream), transient=True)
        self._task = self._progress.add_task(printable(label), total=total or None, words="")
        self._progress.start()

    def advance(self, done: int = 0, audio_s: float = 0.0) -> None:
        super().advance(done, audio_s)
        self._progress.update(self._task, completed=self.done, words=self.words())

    def stop(self) -> None:
        self._progress.stop()


class RunLog:
    """Counts of one run, and how its lines are printed."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the previous run."""
        self.started = self.last_line = time.monotonic()
        self.units_done: list[str] = []
        self.units_reused = 0
        self.quarantined = 0
        self.written_bytes = 0
        self.failures: list[tuple[str, str]] = []
        self._notes: set[str] = set()

    def done(self, unit: str, written_bytes: int) -> None:
        """Count a unit that was built."""
        self.units_done.append(unit)
        self.written_bytes += written_bytes

    def reused(self, unit: str) -> None:
        """Count a unit whose receipt was already current."""
        self.units_reused += 1

    def note(self, line: str) -> None:
        """Print a line once in a run."""
        if line not in self._notes:
            self._notes.add(line)
            self.show(line)

    def show(self, line: str) -> None:
        """Print a line."""
        say(f"   {line}")

    @contextlib.contextmanager
    def progress(self, label: str, total: int, *, unit: str = "files", after: int = 0) -> Iterator[Bar]:
        """Show progress of a piece of work: live on a terminal, plain lines elsewhere."""
        with _own_stderr() as stream:
            bar: Bar = _PlainBar(label, total, unit, after, self)
            if stream is not None and stream.isatty():
                bar = _LiveBar(label, total, unit, after, stream)
            try:
                yield bar
            finally:
                bar.stop()

    def summary(self) -> str:
        """Return in one line what the run did."""
        parts = [f"{len(self.units_done):,} done", f"{self.units_reused:,} reused"]
        if self.quarantined:
            parts.append(f"{self.quarantined:,} quarantined")
        parts.append(f"{len(self.failures):,} failed")
        parts.append(f"{human(self.written_bytes)} written")
        return f"{', '.join(parts)} in {_clock(time.monotonic() - self.started)}"


@contextlib.contextmanager
def _own_stderr() -> Iterator[TextIO | None]:
    """Yield standard error under a descriptor of its own, seen while `earmark.workers.chatter` takes the usual one.

    None where it is closed.
    """
    stream = sys.__stderr__  # doit replaces sys.stderr while a task runs
    if stream is None:
        yield None
        return
    try:
        own = os.fdopen(os.dup(stream.fileno()), "w", encoding=stream.encoding, errors=stream.errors)
    except (OSError, ValueError, AttributeError):  # closed, or no file
        yield stream
        return
    try:
        yield own
    finally:
        with contextlib.suppress(OSError):  # nobody reads it any more
            own.close()


def human(size_bytes: float) -> str:
    """Return a size with an SI unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


def _clock(seconds: float) -> str:
    """Return a duration in words."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours = int(seconds // 60), int(seconds // HOUR_S)
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min {int(seconds % 60)} s"
