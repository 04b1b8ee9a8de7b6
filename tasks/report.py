"""What a run tells its user: progress while it works, one line a failure, a summary at the end."""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any, TextIO

from earmark.rates import HOUR_S

PLAIN_EVERY_S = 10.0  # seconds between progress lines where there is no terminal


class Bar:
    """Progress of one piece of long work; what it shows is the log's business.

    `total` counts files or, with `unit` "bytes", bytes; `after` are those of the pieces of this dataset still to come.
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
        """Say how far it is: files or bytes, hours of audio, hours a minute, time left."""
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
        """Take away what is shown."""


class _PlainBar(Bar):
    """Lines every few seconds, for a log file."""

    def __init__(self, label: str, total: int, unit: str, after: int, stream: TextIO) -> None:
        super().__init__(label, total, unit, after)
        self._stream = stream

    def advance(self, done: int = 0, audio_s: float = 0.0) -> None:
        super().advance(done, audio_s)
        if time.monotonic() - LOG.said >= PLAIN_EVERY_S:  # over many short shards, too, a line every so often
            LOG.said = time.monotonic()
            print(f"   {self.label}: {self.words()}", file=self._stream, flush=True)


class _LiveBar(Bar):
    """A live line on a terminal."""

    def __init__(self, label: str, total: int, unit: str, after: int, stream: TextIO) -> None:
        super().__init__(label, total, unit, after)
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("   {task.description}"), BarColumn(bar_width=16), TextColumn("{task.fields[words]}"))
        self._progress = Progress(*columns, console=Console(file=stream), transient=True)
        self._task = self._progress.add_task(label, total=total or None, words="")
        self._progress.start()

    def advance(self, done: int = 0, audio_s: float = 0.0) -> None:
        super().advance(done, audio_s)
        self._progress.update(self._task, completed=self.done, words=self.words())

    def stop(self) -> None:
        self._progress.stop()


class RunLog:
    """Counts of one run, and the way its lines reach the user."""

    def __init__(self) -> None:
        self.force = False
        self.in_full: set[str] = set()
        self.reset()

    def reset(self) -> None:
        """Forget the run before."""
        self.started = self.said = time.monotonic()
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
            print(f"   {line}", flush=True)

    @contextlib.contextmanager
    def progress(self, label: str, total: int, *, unit: str = "files", after: int = 0) -> Iterator[Bar]:
        """Show progress of a piece of work: live on a terminal, plain lines elsewhere."""
        stream = sys.__stderr__ or sys.stderr
        bar = (_LiveBar if stream.isatty() else _PlainBar)(label, total, unit, after, stream)
        try:
            yield bar
        finally:
            bar.stop()

    def summary(self) -> str:
        """Say in one line what the run did."""
        parts = [f"{len(self.units_done):,} done", f"{self.units_reused:,} reused"]
        if self.quarantined:
            parts.append(f"{self.quarantined:,} quarantined")
        parts.append(f"{len(self.failures):,} failed")
        parts.append(f"{human(self.written_bytes)} written")
        return f"{', '.join(parts)} in {_clock(time.monotonic() - self.started)}"


LOG = RunLog()


class Reporter:
    """doit's reporter: a line for each unit that works or fails, silence for what is current, then the summary."""

    desc = "earmark: what works, what fails, a summary"

    def __init__(self, outstream: TextIO, options: dict[str, Any]) -> None:
        self._out = outstream
        self._errors: list[str] = []
        self._unmet: list[str] = []

    def initialize(self, tasks: dict[str, Any], selected_tasks: list[str]) -> None:
        """Begin a run."""
        LOG.reset()

    def get_status(self, task: Any) -> None:
        """Say nothing while doit asks whether a task must run."""

    def execute_task(self, task: Any) -> None:
        """Say nothing before a unit works: it may find that its receipt is current."""

    def add_success(self, task: Any) -> None:
        """Name a unit that was built."""
        if LOG.units_done and LOG.units_done[-1] == task.name:
            self._write(f".  {task.name}")

    def add_failure(self, task: Any, fail: Any) -> None:
        """Say in one line why a unit failed; a bug keeps its traceback."""
        if type(fail).__name__ == "UnmetDependency":
            self._unmet.append(task.name)
            return
        line = "".join(getattr(fail, "traceback", None) or fail.message).strip()
        if all(line != known for _, known in LOG.failures):  # what fails a thousand shards alike is said once
            self._write(f"!! {task.name}: {line}")
        LOG.failures.append((task.name, line))

    def skip_uptodate(self, task: Any) -> None:
        """Count a unit that is current."""
        if task.actions:
            LOG.reused(task.name)

    def skip_ignore(self, task: Any) -> None:
        """Name a unit that the user told doit to ignore."""
        self._write(f"ignored: {task.name} (doit forget {task.name} brings it back)")

    def cleanup_error(self, exception: Any) -> None:
        """Say what failed while cleaning up."""
        self._errors.append(str(exception))

    def runtime_error(self, msg: str) -> None:
        """Keep an error of doit's own for the end."""
        self._errors.append(msg)

    def teardown_task(self, task: Any) -> None:
        """Say nothing of teardown."""

    def complete_run(self) -> None:
        """End with the summary."""
        for message in self._errors:
            self._write(f"!! {message}")
        alike = len(LOG.failures) - len({line for _, line in LOG.failures})
        if alike:
            self._write(f"!! and {alike:,} more failed in the same way, such as {LOG.failures[-1][0]}")
        if self._unmet:
            more = f" and {len(self._unmet) - 1:,} more" if len(self._unmet) > 1 else ""
            self._write(f"not run, because what they need failed: {self._unmet[0]}{more}")
        if LOG.units_done or LOG.units_reused or LOG.failures or self._unmet:  # not after `doit check`
            self._write(LOG.summary())

    def _write(self, line: str) -> None:
        self._out.write(f"{line}\n")
        self._out.flush()


def human(size_bytes: float) -> str:
    """Return a size with an SI unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


def _clock(seconds: float) -> str:
    """Return a duration as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours = int(seconds // 60), int(seconds // HOUR_S)
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min {int(seconds % 60)} s"
