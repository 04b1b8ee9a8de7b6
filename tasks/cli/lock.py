"""One run at a time on one cache.

The lock is the kernel's (flock), which goes with the process that has it: a file with a process id in it would outlive
a kill, and someone would have to judge whether it is stale.
"""

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator

from earmark.catalog.project import Project
from earmark.disk.files import FULL, disk_error
from earmark.errors import AbsentError, DiskFullError, EarmarkError


class BusyError(EarmarkError):
    """Another run works on the same cache."""


@contextlib.contextmanager
def run_lock(project: Project) -> Iterator[None]:
    """Take the run lock for as long as the context lasts, or say who has it.

    Raises BusyError; AbsentError for a cache that is gone; ForeignError for one that is somebody
    else's; DiskFullError where it cannot be written.
    """
    project.require_own_cache()
    _require_cache(project)
    path = project.cache / "run.lock"
    try:
        project.cache.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _unusable(project, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 500).decode("utf-8", "replace").strip() or "another run"
            raise BusyError(
                f"{project.relative(project.cache)}: in use by {holder}. One run at a time;"
                " `doit list --status`, why, plan and audit work meanwhile."
            ) from None
        os.ftruncate(descriptor, 0)
        holder = f"`doit {' '.join(sys.argv[1:])}` (process {os.getpid()}, since {time.strftime('%H:%M:%S')})\n"
        with contextlib.suppress(OSError):  # only another run's message; a full disk is reported elsewhere
            os.pwrite(descriptor, holder.encode(), 0)
        project.claim()
        yield
    finally:
        os.close(descriptor)


def _unusable(project: Project, error: OSError) -> Exception:
    """Return the error for a cache that cannot be written: it names the key, not the file that came first."""
    if error.errno in FULL:
        return disk_error(error, project.cache)
    return DiskFullError(
        f"{project.path.name}: paths.cache: {project.cache}: cannot be written: {error.strerror}. Make it writable, or"
        " name another paths.cache."
    )


def _require_cache(project: Project) -> None:
    """Distinguish a cache on a volume that is not mounted from a fresh one, by the manifests that were made with it.

    Raises AbsentError.
    """
    receipts = project.cache / "receipts"
    manifest = None if receipts.is_dir() else next(project.manifests.glob("*.jsonl"), None)
    if manifest is not None:
        raise AbsentError(
            f"{project.relative(project.cache)}: missing or empty, yet {project.relative(manifest)} was made with it:"
            f" not mounted? Mount it; or, to make everything anew, `mkdir -p {project.relative(receipts)}`."
        )
