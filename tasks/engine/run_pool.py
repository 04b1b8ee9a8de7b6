"""The run's pool of worker processes, started when the first shard needs it."""

from earmark.catalog.project import Project
from earmark.workers.pool import Pool


class _Held:
    """The one pool of this process."""

    pool: Pool | None = None


def pool(project: Project) -> Pool:
    """Return the run's pool."""
    if _Held.pool is None:
        _Held.pool = Pool(project.catalog.run.workers)
    return _Held.pool


def stop_workers() -> None:
    """End the workers at once; unfinished work is dropped."""
    if _Held.pool is not None:
        _Held.pool.kill()
        _Held.pool = None
