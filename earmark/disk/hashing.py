"""XXH3-128 of files, samples and typed values, with a memo so that an unchanged file is read once.

XXH3 is fast and finds every accident; it does not resist somebody who wants two contents to collide. Sums that a
publisher gives are compared by their own algorithm.
"""

import contextlib
import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import orjson
import xxhash

from earmark.disk.sqlite import connect_anew_if_damaged, transaction
from earmark.errors import ForeignError
from earmark.json_bytes import json_bytes

if TYPE_CHECKING:
    from typing_extensions import Buffer  # collections.abc has it from Python 3.12 on

BLOCK_BYTES = 1 << 20  # read at a time; larger blocks were not faster
CHECK_DIGITS = 16  # hex digits of an entry's own check
# One entry a path, of what it was last: the table grows with the files, not with their edits. Earlier versions knew a
# file by its stat alone, in a table `memo`; where inodes are not stable that gave one file the hash of another.
MEMO_TABLE = (
    "create table if not exists known (what text, path int, dev int, ino int, size int, mtime int, ctime int,"
    " hash text, primary key (what, path)) without rowid"
)


StatKey = tuple[int, int, int, int, int]
Known = tuple[Path, StatKey, str]  # a file, its stat key from before it was read, and its hash


class Hasher(Protocol):
    """What the hashers of hashlib and xxhash share."""

    def update(self, data: "Buffer", /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the hash of the bytes so far in lower-case hex."""


def new_hasher(algorithm: str) -> Hasher:
    """Return an empty hasher for `md5`, `sha256` or `xxh3` (XXH3-128)."""
    if algorithm == "xxh3":
        return xxhash.xxh3_128()
    return hashlib.new(algorithm, usedforsecurity=False)  # else a system in FIPS mode refuses md5


def hash_bytes(data: "Buffer") -> str:
    """Return the XXH3-128 of a bytes-like object as 32 lower-case hex digits."""
    return xxhash.xxh3_128_hexdigest(data)


def hash_file(path: Path, algorithm: str = "xxh3") -> str:
    """Return the hash of a file's bytes, read once in blocks."""
    hasher = new_hasher(algorithm)
    # not waiting: of a pipe in the place of a file nothing is read, and its hash is that of nothing
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            hasher.update(block)
    return hasher.hexdigest()


def hash_from_disk(path: Path) -> tuple[StatKey, str]:
    """Return stat key and XXH3-128 of a file, read from the disk and not from the system's cache where possible.

    The key is from before the reading, so that a write meanwhile shows as another key. A link is not followed.
    """
    hasher = new_hasher("xxh3")
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0) as file:
        key = stat_key(os.fstat(file.fileno()))
        if hasattr(os, "posix_fadvise"):  # macOS has no way to drop one file from its cache
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while block := file.read(BLOCK_BYTES):
            hasher.update(block)
    return key, hasher.hexdigest()


def digest(tag: str, value: object) -> str:
    """Return the XXH3-128 of a type tag and a JSON value; the tag keeps two kinds from ever colliding."""
    return hash_bytes(tag.encode() + b"\0" + json_bytes(value, option=orjson.OPT_SORT_KEYS))


def stat_key(status: os.stat_result) -> StatKey:
    """Return (device, inode, size, mtime_ns, ctime_ns): equal keys mean that nothing wrote to the file.

    ctime cannot be set by a program, so an edit with its old mtime put back still shows.
    """
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class HashMemo:
    """Hashes of files remembered by path and stat, in one SQLite file shared by all tasks.

    Losing it costs time, never correctness: so work goes on without a memo that cannot be opened or written. Paths are
    remembered relative to `home`, so that a collection may be moved. Threads may share one.
    """

    def __init__(self, path: Path, home: Path | None = None) -> None:
        self._path = path
        self._below = f"{home or path.parent}{os.sep}"
        self._database: sqlite3.Connection | None = None
        self._lock = threading.Lock()  # a connection has one transaction, whichever thread began it

    def _open(self, *, create: bool) -> sqlite3.Connection | None:
        """Return the connection, or None; call it under the lock. Without `create`, no file is made by looking."""
        if self._database is None and (create or self._path.exists()):
            try:
                self._database = connect_anew_if_damaged(self._path, MEMO_TABLE)
            except (sqlite3.Error, OSError, ForeignError):  # a memo is a convenience: work goes on without it
                return None
        return self._database

    def _name(self, path: Path) -> bytes:
        return os.fsencode(str(path).removeprefix(self._below))

    def get(self, path: Path, key: StatKey, what: str = "xxh3") -> str | None:
        """Return the remembered hash of a file whose stat key is still this one, or None."""
        name = self._name(path)
        with self._lock, contextlib.suppress(sqlite3.Error, ValueError, TypeError):  # of any damage: not known
            database = self._open(create=False)
            if database is None:
                return None
            row = database.execute(
                "select hash from known where what=? and path=? and dev=? and ino=? and size=? and mtime=? and ctime=?",
                (what, _place(name), *as_stored(key)),
            ).fetchone()
            return _proved(what, name, as_stored(key), row[0]) if row else None
        return None

    def last(self, path: Path, what: str = "xxh3") -> tuple[StatKey, str] | None:
        """Return what was remembered of a file last, whatever its stat is now: that key, `as_stored`, and the hash."""
        name = self._name(path)
        with self._lock, contextlib.suppress(sqlite3.Error, ValueError, TypeError):  # of any damage: not known
            database = self._open(create=False)
            query = "select dev, ino, size, mtime, ctime, hash from known where what=? and path=?"
            row = database.execute(query, (what, _place(name))).fetchone() if database is not None else None
            if row and (proved := _proved(what, name, row[:5], row[5])):
                return row[:5], proved
        return None

    def put(self, entries: Iterable[Known], what: str = "xxh3") -> None:
        """Remember hashes of files by their stat keys, which must be from before the files were read."""
        rows = []
        for path, key, value in entries:
            name = self._name(path)
            stat = as_stored(key)
            rows.append((what, _place(name), *stat, value + _check(what, name, stat, value)))
        with self._lock, contextlib.suppress(sqlite3.Error):
            database = self._open(create=True)
            if database is not None and rows:
                with transaction(database):  # a full disk: forgotten, not half-remembered
                    database.executemany("insert or replace into known values (?,?,?,?,?,?,?,?)", rows)

    def hash_file(self, path: Path) -> str:
        """Return the XXH3-128 of a file, reading it only if its stat was not seen before."""
        key = stat_key(path.stat())
        known = self.get(path, key)
        if known is None:
            known = hash_file(path)
            if stat_key(path.stat()) == key:  # else it was written to meanwhile, and the hash is of neither content
                self.put([(path, key, known)])
        return known

    def close(self) -> None:
        """Close the database file."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None


def _place(name: bytes) -> int:
    return _signed(xxhash.xxh3_64_intdigest(name))


def _check(what: str, name: bytes, key: StatKey, value: str) -> str:
    """Return 16 hex digits over an entry: SQLite notices a torn file, and no changed digit in a hash."""
    return xxhash.xxh3_64_hexdigest(b"%s %s %s %s" % (what.encode(), name, repr(key).encode(), value.encode()))


def _proved(what: str, name: bytes, key: StatKey, stored: object) -> str | None:
    """Return a remembered hash if it is as it was remembered."""
    if not isinstance(stored, str):
        return None
    value, check = stored[:-CHECK_DIGITS], stored[-CHECK_DIGITS:]
    return value if check == _check(what, name, key, value) else None


def as_stored(key: StatKey) -> StatKey:
    """Return a stat key as SQLite can store it."""
    dev, ino, size, mtime, ctime = map(_signed, key)
    return dev, ino, size, mtime, ctime


def _signed(value: int) -> int:
    """Return an unsigned 64-bit stat field as SQLite can store it: signed. Inodes of some file systems need it."""
    return value - (1 << 64) if value >= 1 << 63 else value
