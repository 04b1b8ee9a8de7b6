"""The run's pool of worker processes, started when the first shard needs it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earmark.workers.pool import Pool  # it loads multiprocessing, which commands that only look can do without


class RunPool:
    """A pool whose processes are started on first use: a run with nothing to decode would pay for them in vain.

    `notify` is given a line where a worker says nothing for long.
    """

    def __init__(self, workers: int, notify: Callable[[str], None]) -> None:
        self._workers, self._notify = workers, notify
        self._pool: Pool | None = None

    def open(self) -> "Pool":
        """Return the pool, its processes started."""
        if self._pool is None:
            from earmark.workers.pool import Pool

            self._pool = Pool(self._workers, self._notify)
        return self._pool

    def stop(self) -> None:
        """End the workers at once; unfinished work is dropped, and the next `open` starts new ones."""
        if self._pool is not None:
            self._pool.kill()
            self._pool = None
