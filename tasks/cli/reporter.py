"""doit REPORTER, with the methods that doit's runner calls."""

import sys
from typing import TextIO

from doit.exceptions import UnmetDependency

from tasks.cli.doit_types import DoitTask, Failure
from tasks.engine.opened import OPENED
from tasks.terminal import say


class Reporter:
    """A line for each unit that was built or failed, silence for what is current, then the summary."""

    desc = "earmark: what works, what fails, a summary"

    def __init__(self, outstream: TextIO, options: dict[str, object]) -> None:
        self._file = None if outstream is sys.__stdout__ else outstream  # doit's own option --output-file
        self._errors: list[str] = []
        self._unmet: list[str] = []
        self._log = OPENED.run.log

    def initialize(self, tasks: dict[str, DoitTask], selected_tasks: list[str]) -> None:
        """Begin a run."""
        self._log.reset()

    def get_status(self, task: DoitTask) -> None:
        """Say nothing while doit asks whether a task must run."""

    def execute_task(self, task: DoitTask) -> None:
        """Say nothing before a unit is built: it may turn out that its receipt is current."""

    def add_success(self, task: DoitTask) -> None:
        """Name a unit that was built."""
        # doit calls this for a task that found its receipt current, too, and for groups
        if self._log.units_done and self._log.units_done[-1] == task.name:
            self._write(f".  {task.name}")

    def add_failure(self, task: DoitTask, fail: Failure) -> None:
        """Say in one line why a unit failed; a bug keeps its traceback."""
        if isinstance(fail, UnmetDependency):  # one for each of a thousand tasks after one that failed: only counted
            self._unmet.append(task.name)
            return
        trace = getattr(fail, "traceback", None)
        line = "".join(trace or fail.message).strip()
        if all(line != known for _, known in self._log.failures):  # printed once, where a thousand shards fail alike
            for at, part in enumerate(line.split("\n") if trace else [line]):
                # what a text of an exception begins is no line of ours, so all but the first are set in
                self._write(f"     {part}" if at else f"!! {task.name}: {part}")
        self._log.failures.append((task.name, line))

    def skip_uptodate(self, task: DoitTask) -> None:
        """Count a unit that is current."""
        if task.actions:  # a group has none
            self._log.reused(task.name)

    def skip_ignore(self, task: DoitTask) -> None:
        """Name a unit that the user told doit to ignore."""
        self._write(f"ignored: {task.name} (doit forget {task.name} brings it back)")

    def cleanup_error(self, exception: object) -> None:
        """Say what failed while cleaning up."""
        self._errors.append(str(exception))

    def runtime_error(self, msg: str) -> None:
        """Keep an error of doit's own for the end."""
        self._errors.append(msg)

    def teardown_task(self, task: DoitTask) -> None:
        """Say nothing of teardown."""

    def complete_run(self) -> None:
        """End with the summary."""
        for message in self._errors:
            self._write(f"!! {message}")
        alike = len(self._log.failures) - len({line for _, line in self._log.failures})
        if alike:
            self._write(f"!! and {alike:,} more failed in the same way, such as {self._log.failures[-1][0]}")
        if self._unmet:
            more = f" and {len(self._unmet) - 1:,} more" if len(self._unmet) > 1 else ""
            self._write(f"not run, because what they need failed: {self._unmet[0]}{more}")
        if (
            self._log.units_done or self._log.units_reused or self._log.failures or self._unmet
        ):  # not after `doit check`
            self._write(self._log.summary())

    def _write(self, line: str) -> None:
        say(line, to=self._file)
