"""Errors of the machine in one line: what failed, where, and what to do, so far as the error itself says it.

A cause is named where the error's number names it, never guessed: "download it again" costs a night, and is wrong where
a disk gave no bytes.
"""

import errno
import os
import resource
import sqlite3
from pathlib import Path

from earmark.disk.files import FULL, REFUSED, disk_error
from earmark.disk.sqlite import is_damaged, primary_code
from earmark.errors import AbsentError, EarmarkError

HANDLES = {errno.EMFILE, errno.ENFILE}
BUGS = {errno.EBADF, errno.EFAULT, errno.EINVAL}  # what a program does wrong by itself: a traceback says where
NO_MEMORY = ("cannot allocate memory", "failed to map segment", "out of memory", "can't start new thread")
DATABASE_ADVICE = {
    sqlite3.SQLITE_FULL: "The disk is full: free some space and run the same command again; finished work is kept.",
    sqlite3.SQLITE_READONLY: "See whether it may be written; run again.",
    sqlite3.SQLITE_PERM: "See whether it may be written; run again.",
    sqlite3.SQLITE_CANTOPEN: "See whether its folder may be written and there are free file handles; run again.",
    sqlite3.SQLITE_IOERR: "The disk failed to read or write it: check the disk, and run again.",
    sqlite3.SQLITE_BUSY: "Another program has it open: close that, and run again.",
    sqlite3.SQLITE_LOCKED: "Another program has it open: close that, and run again.",
    sqlite3.SQLITE_NOMEM: "Memory is used up: close other programs, and run again.",
}


def in_one_line(error: BaseException, place: Path) -> str | None:
    """Return the line for an error that the world caused; None for a fault of the program, which keeps its traceback.

    `place` is where the error was, for one that does not say it.
    """
    if isinstance(error, EarmarkError):
        return str(error)
    if isinstance(error, sqlite3.Error):
        return None if isinstance(error, sqlite3.ProgrammingError) else database_error(error, place)
    if _is_of_memory(error):
        return f"{_memory_words(error)}. Close other programs or lower [run] workers, and run the same command again."
    if _is_of_handles(error):
        return handles_words()
    if isinstance(error, OSError) and error.errno is not None and error.errno not in BUGS:
        return _system_words(error, place)
    return None


def cannot_read(error: OSError, path: object = None) -> str:
    """Return the line for a file or folder that could not be read, where no more is known of it than the error says."""
    if _is_of_handles(error):
        return handles_words()
    return f"{error.filename if path is None else path}: cannot be read: {error.strerror or error}"


def unreadable(error: BaseException, path: object) -> AbsentError:
    """Return the error for a file that the system gives no bytes of: that is no verdict on what is in it."""
    if isinstance(error, OSError):
        return AbsentError(f"{cannot_read(error, path)}. Check the disk, and whether it may be read; run again.")
    return AbsentError(f"{path}: cannot be read: {_memory_words(error)}. Run again.")


def gives_no_bytes(error: BaseException) -> bool:
    """Say whether an error is the system's refusal to read, and not of what was read.

    EINVAL is what seeking to where a damaged header points ends in; an OSError without a number is a library's own.
    """
    if isinstance(error, OSError):
        return error.errno is not None and error.errno != errno.EINVAL
    return isinstance(error, MemoryError)


def database_error(error: sqlite3.Error, place: Path) -> str:
    """Return the line for a database that cannot be used, with advice where the error says its cause."""
    if is_damaged(error):
        advice = "It is damaged: move it away, and it is made again."
    else:
        advice = DATABASE_ADVICE.get(primary_code(error), "Run again.")
    if place.suffix == ".db":
        return f"{place}: it cannot be used: {error}. {advice}"
    return f"{place}: a database there cannot be used: {error}. {advice}"


def _system_words(error: OSError, place: Path) -> str:
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(place)
    if error.errno in FULL:
        return str(disk_error(error, Path(path)))
    if error.errno in REFUSED:  # whether it was to be read or written, the error does not say
        return f"{path}: {error.strerror}. See what is there and whether it may be read and written; run again."
    if error.errno == errno.EIO:
        return f"{path}: the disk failed to read or write it: {error.strerror}. Check the disk, and run again."
    return f"{path}: {error.strerror}. See what is there, and run again."


def _is_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    # libraries that are loaded, and threads, say it in words
    return isinstance(error, ImportError | RuntimeError) and _says_no_memory(str(error))


def _says_no_memory(text: str) -> bool:
    return any(words in text.lower() for words in NO_MEMORY)


def _is_of_handles(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in HANDLES:
        return True
    return isinstance(error, ImportError) and os.strerror(errno.EMFILE).lower() in str(error).lower()


def handles_words() -> str:
    """Return the line for a process that may open no more files, with its limit."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return f"too many open files: the limit is {limit:,} (ulimit -n). Raise it, and run the same command again."


def _memory_words(error: BaseException) -> str:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    bound = "" if limit == resource.RLIM_INFINITY else f", and this process may have {limit:,} bytes (ulimit -v)"
    # a library that cannot be loaded explains itself on a page; one of its lines says which
    said = next((line for line in str(error).splitlines() if _says_no_memory(line)), "")
    return f"memory is used up{bound}{f' ({said.strip()})' if said else ''}"
