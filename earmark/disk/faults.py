"""Which errors are the machine's: they say nothing about the file that was read, so no verdict on it is kept."""

import errno
from pathlib import Path

from earmark.errors import EarmarkError

# A disk, a network share or a kernel that fails or has run out: the same file may be well the next time.
MACHINE = {
    errno.EIO,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.EAGAIN,
    errno.ENODEV,
    errno.ENXIO,
    errno.ENOTCONN,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENOSPC,
    errno.EDQUOT,
}

SPARE_BYTES = 1 << 28  # more than anything here needs at once: where this much is to be had, memory has not run out


def is_machine_fault(error: BaseException) -> bool:
    """Say whether an error is one of the machine (disk, memory, handles, network) and not of what was read."""
    if isinstance(error, MemoryError):
        return not _has_memory()
    return isinstance(error, OSError) and error.errno in MACHINE


def _has_memory() -> bool:
    """Say whether memory is to be had: then it was a header that asked for more than there ever is, and is wrong."""
    try:
        bytearray(SPARE_BYTES)
    except MemoryError:
        return False
    return True


class MachineError(EarmarkError):
    """The machine failed while something was read: nothing is known of its content, and no verdict on it is kept."""

    def __init__(self, name: str, error: BaseException) -> None:
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error) or "out of memory"
        super().__init__(
            f"{name}: could not be read: {reason}. Disk, memory or network failed, which says nothing about the file:"
            " nothing of it is kept. Run again; if it happens again, look after the disk."
        )
        self.reason, self._parts = reason, (name, error)

    def __reduce__(self) -> "tuple[type[MachineError], tuple[str, BaseException]]":
        """Travel between processes with its parts."""
        return (type(self), self._parts)


def require_content(path: Path, error: BaseException) -> None:
    """Raise MachineError where an error is the machine's, so that what follows is said of the file itself."""
    if is_machine_fault(error):
        raise MachineError(str(path), error) from error
