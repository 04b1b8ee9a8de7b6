"""Which errors are the machine's: they say nothing about the file that was read, so no verdict on it is kept."""

import errno

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


def is_machine_fault(error: BaseException) -> bool:
    """Say whether an error is one of the machine (disk, memory, handles, network) and not of what was read."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, OSError) and error.errno in MACHINE
