"""The run of this process, for what doit creates by itself.

doit makes tasks (from dodo.py), commands, its loader and its reporter (from entry points) independently and passes
nothing of ours between them, so the one run has to be in a module. Everything else is given its `Run` as an argument.
"""

from __future__ import annotations

import dataclasses

from earmark.workers import apart
from tasks.engine.stage import Run


class Opened:
    """The run that dodo.py opened; `working` once tasks are about to be run, and not only listed."""

    def __init__(self) -> None:
        self._run: Run | None = None
        self.working = False

    def open(self, run: Run) -> None:
        """Take over the run of a catalog that was just read."""
        self._run, self.working = run, False

    @property
    def is_open(self) -> bool:
        """Say whether dodo.py has opened a catalog."""
        return self._run is not None

    @property
    def run(self) -> Run:
        """The run of this process."""
        assert self._run is not None, "dodo.py opens the catalog first"
        return self._run

    def begin(self, *, force: bool, named: frozenset[str]) -> Run:
        """Set the user's options, which doit parses after dodo.py is loaded; tasks are about to be run."""
        self._run, self.working = dataclasses.replace(self.run, force=force, named=named), True
        return self._run

    def stop_workers(self) -> None:
        """End the run's worker processes at once, if it has started any, and the one beside it."""
        apart.stop()
        if self._run is not None:
            self._run.pool.stop()


OPENED = Opened()
