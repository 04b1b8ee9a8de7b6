"""The run of this process. doit makes tasks, commands and its reporter apart from one another; here they meet."""

from __future__ import annotations

import dataclasses

from tasks.engine.stage import Run


class Opened:
    """What dodo.py opened; `working` once tasks are about to be run, rather than looked at."""

    def __init__(self) -> None:
        self._run: Run | None = None
        self.working = False

    def open(self, run: Run) -> None:
        """Keep the run of a catalog that was just read."""
        self._run, self.working = run, False

    @property
    def run(self) -> Run:
        """The run of this process."""
        assert self._run is not None, "dodo.py opens the catalog first"
        return self._run

    def begin(self, *, force: bool, named: frozenset[str]) -> Run:
        """Take what the user asked for; tasks are about to be run."""
        self._run, self.working = dataclasses.replace(self.run, force=force, named=named), True
        return self._run

    def stop_workers(self) -> None:
        """End the run's workers at once, if a run has any."""
        if self._run is not None:
            self._run.pool.stop()


OPENED = Opened()
