"""SQLite files as this project opens them: a write-ahead log, one commit a unit of work, a few seconds' patience.

All of them are derived and can be made anew, so what a power cut may take is the last commit, never the file. They say
in their header whose they are: a file that is given by mistake is neither written to nor replaced.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from earmark.disk.junk import OWNER_NAME
from earmark.errors import ForeignError

# How long to wait for another process that writes; runs exclude each other, but commands that look go on meanwhile.
PATIENCE_S = 5.0
# synchronous = normal: in a write-ahead log the file stays whole without a flush a commit, which costs milliseconds.
SETTINGS = ("journal_mode = wal", "synchronous = normal")
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# SQLite's file format, 1.3: the first 16 bytes of every database, and 4 bytes at 68 that name the program it is of.
MAGIC, OWNER_AT, OWNER = b"SQLite format 3\0", 68, int.from_bytes(b"emrk", "big")
# Ours, by which a file without an owner is known: tables, and some of their columns.
TABLES = {
    "task": {"name", "data"},
    "memo": {"what", "dev", "ino"},
    "known": {"what", "path", "hash"},
    "packs": {"pack", "seal"},
    "held": {"hash", "pack"},
}
NAMES = {"state.db", "memo.db", "index.db"}  # what is called so in a cache, and cannot be read, was one of ours
DEPTH = 3  # folders above an index.db up to its cache


def connect(path: Path, *statements: str) -> sqlite3.Connection:
    """Open or make a database file, run some statements, and return the connection, each statement its own commit.

    Threads may share it, one at a time. Raises sqlite3.Error or OSError, with nothing left open; ForeignError for a
    file that is somebody else's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    require_own(path)
    database = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
    try:
        for statement in (*(f"pragma {setting}" for setting in SETTINGS), *statements):
            database.execute(statement)
        if database.execute("pragma application_id").fetchone() != (OWNER,):  # fresh, or of an earlier version
            database.execute(f"pragma application_id = {OWNER}")
    except BaseException:
        database.close()
        raise
    return database


def connect_anew_if_damaged(path: Path, *statements: str) -> sqlite3.Connection:
    """Do as `connect` does; one of ours that is no database, or no whole one, is set aside and begun anew."""
    try:
        return connect(path, *statements)
    except sqlite3.Error as error:
        if not is_damaged(error):
            raise
    _set_aside(path)
    return connect(path, *statements)


def require_own(path: Path) -> None:
    """Raise ForeignError for a file that is not empty, and neither a database of ours nor what is left of one."""
    if not path.exists() or path.is_dir():
        return
    head = b""
    if path.is_file():  # opening a pipe would wait for ever
        if not path.stat().st_size:
            return
        with path.open("rb") as file:
            head = file.read(OWNER_AT + 4)
    if _is_left_of_ours(path) and not head.startswith(MAGIC):
        return
    owner = int.from_bytes(head[OWNER_AT:], "big")
    if not head.startswith(MAGIC) or (owner != OWNER and not _has_only_our_tables(path, owner)):
        raise ForeignError(f"{path}: it is not earmark's own database, and stays as it is. Name another file, or none.")


def _is_left_of_ours(path: Path) -> bool:
    """Say whether a file that cannot be read must have been a database of ours: by its name, and a cache around it."""
    around = path.absolute().parents[:DEPTH]
    return path.name in NAMES and any((at / OWNER_NAME).is_file() or (at / "receipts").is_dir() for at in around)


def _has_only_our_tables(path: Path, owner: int) -> bool:
    """Say whether a database is ours by its tables, as earlier versions named no owner, and a header may be damaged."""
    if owner and not _is_left_of_ours(path):
        return False
    found = 0
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE_S)
    try:
        for kind, name in database.execute("select type, name from sqlite_master where name not glob 'sqlite_*'"):
            columns = {column for (column,) in database.execute("select name from pragma_table_info(?)", (name,))}
            if kind != "table" or name not in TABLES or not columns >= TABLES[name]:
                return False
            found += 1
    except sqlite3.Error as error:
        if not is_damaged(error):  # it was not read, so whose it is nobody knows
            raise
        return _is_left_of_ours(path)
    finally:
        database.close()
    return bool(found or not owner)


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


def _set_aside(path: Path) -> None:
    """Rename a database that cannot be read to `<name>.damaged`, and delete its log."""
    if path.exists():
        path.replace(path.with_name(f"{path.name}.damaged"))
    delete(path)


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
