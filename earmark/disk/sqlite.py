"""SQLite files as this project opens them: a write-ahead log, one commit a unit of work, a few seconds' patience.

All of them are derived and can be made anew, so what a power cut may take is the last commit, never the file.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

# How long to wait for another process that writes; runs exclude each other, but commands that look go on meanwhile.
PATIENCE_S = 5.0
# synchronous = normal: in a write-ahead log the file stays whole without a flush a commit, which costs milliseconds.
SETTINGS = ("journal_mode = wal", "synchronous = normal")
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def connect(path: Path, *statements: str) -> sqlite3.Connection:
    """Open or make a database file, run some statements, and return the connection, each statement its own commit.

    Threads may share it, one at a time. Raises sqlite3.Error or OSError, with nothing left open.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
    try:
        for statement in (*(f"pragma {setting}" for setting in SETTINGS), *statements):
            database.execute(statement)
    except BaseException:
        database.close()
        raise
    return database


def connect_anew_if_damaged(path: Path, *statements: str) -> sqlite3.Connection:
    """Do as `connect` does; a file that is no database, or no whole one, is deleted and begun anew."""
    try:
        return connect(path, *statements)
    except sqlite3.Error as error:
        if not is_damaged(error):
            raise
    delete(path)
    return connect(path, *statements)


def is_damaged(error: sqlite3.Error) -> bool:
    """Say whether an error means that the file is no database, or no longer a whole one."""
    return primary_code(error) in DAMAGED


def primary_code(error: sqlite3.Error) -> int:
    """Return the kind of an SQLite error: the low byte of its code; the rest are details."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def delete(path: Path) -> None:
    """Delete a database file with its log and its index of the log; close it before."""
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Commit all that the block does, or nothing of it."""
    database.execute("begin immediate")
    try:
        yield
        database.execute("commit")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # the first error is the one to report
            database.execute("rollback")
        raise
