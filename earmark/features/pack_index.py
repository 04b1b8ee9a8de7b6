"""The index over one encoder's packs: in which pack each audio hash is. Derived; losing it costs a rescan."""

import errno
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, TypeVar

import xxhash

from earmark.disk.files import clear_disk_errors, disk_error, flush_folder, make_folder
from earmark.disk.hashing import HashMemo
from earmark.disk.plainly import database_error
from earmark.disk.sqlite import connect, delete, primary_code, transaction
from earmark.errors import AbsentError
from earmark.features.packs import (
    PackError,
    Seal,
    hash_faults,
    pack_damage,
    read_seal,
    size_faults,
    small_files,
    structure_faults,
)

T = TypeVar("T")

# Errors that say nothing of what is in the file; after any other one it is made again from the packs.
_NOT_OF_THE_FILE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
}

INDEX_VERSION = 3  # raise it when the tables change; an index of another version is deleted and made again
INDEX_CACHE_KIB = 64 << 10  # SQLite's page cache; the index of 10 million recordings is several times that
QUERY_HASHES = 500  # hashes in one query
INSERT_ROWS = 200_000  # rows that one transaction of a rescan sorts and inserts; pack by pack takes three times as long


class DamagedIndexError(sqlite3.DatabaseError):
    """An entry is not as it was made: the whole index is made again from the packs."""


class PackPlace(NamedTuple):
    """Where a recording's features are: row `row` of the pack `pack`, `n_frames` frames."""

    pack: str
    row: int
    n_frames: int


class PackIndex:
    """In which pack each audio hash is: SQLite `folder`/index.db over `folder`/packs, for one encoder.

    Derived from the packs alone, so losing it costs a rescan; a corrupt file is rebuilt. Memory is bounded by SQLite's
    page cache. Of a hash in two packs, the first in name order is found. Use it from one thread at a time.

    Raises DiskFullError, and PackError if the file cannot be used.
    """

    def __init__(self, folder: Path, memo: HashMemo | None = None) -> None:
        self._memo = memo
        self._packs = folder / "packs"
        self._damaged = folder / "damaged"
        self._path = folder / "index.db"
        self._database: sqlite3.Connection | None = None

    def sync(self) -> list[str]:
        """Make the index agree with the packs folder; return a line for each damaged pack, moved to `damaged`.

        Raises AbsentError if the packs folder is a link to nowhere.
        """
        return self._rebuilding(lambda: self._sync(set_aside=True))

    def find(self, hashes: Iterable[str]) -> dict[str, PackPlace]:
        """Return the places of those hashes that were in a pack at the last `sync` or `add`."""
        if self._database is None and not self._path.exists():
            return {}
        wanted = list(hashes)
        return self._rebuilding(lambda: self._find(wanted))

    def add(self, pack: Path) -> None:
        """Take a finished pack into the index. Raises PackError if it is damaged."""
        try:
            seal = _indexable(pack)
        except PackError as error:
            raise PackError(f"{pack}: {error}. Run doit features again.") from error
        self._rebuilding(lambda: self._insert({pack.name: seal}))

    def faults(self) -> list[str]:
        """Compare every entry with the packs; an index in which one is wrong is made again, and that is returned."""
        if not self._path.exists():
            return []
        try:
            self._compare()
        except (sqlite3.DatabaseError, ValueError, TypeError, OverflowError) as error:
            if isinstance(error, sqlite3.DatabaseError) and primary_code(error) in _NOT_OF_THE_FILE:
                raise PackError(f"{self._path}: cannot be used: {error}.") from error
            self._rebuild()
            return [str(error)]
        return []

    def _compare(self) -> None:
        database = self._open()
        self._require_complete()
        query = "select hash, name, row, n_frames, seal, proof from held left join packs using (pack)"
        for entry in database.execute(query):
            _require_proved(*entry)
        ((said,),) = database.execute("pragma quick_check(1)")
        if said != "ok":
            raise DamagedIndexError(said)

    def _require_complete(self) -> None:
        """Raise DamagedIndexError if entries were lost, whose recordings would be encoded again into a second pack.

        Counted as a whole, which SQLite does from its pages: pack by pack it takes a thousand times as long.
        """
        ((stored, expected),) = self._open().execute("select (select count(*) from held), (select sum(n) from packs)")
        if stored != (expected or 0):
            raise DamagedIndexError(f"{stored:,} entries instead of {expected or 0:,}")

    def close(self) -> None:
        """Close the database file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            make_folder(self._path.parent)
            self._database = database = connect(self._path, f"pragma cache_size = -{INDEX_CACHE_KIB}")
            (version,) = database.execute("pragma user_version").fetchone()
            (tables,) = database.execute("select count(*) from sqlite_master").fetchone()
            if tables and version != INDEX_VERSION:
                self._discard()
                return self._open()
            if not tables:
                # The table `held` has a row for each recording of each pack, by hash: without rowids the rows are in
                # the tree of the primary key itself, about half the size of a table and an index.
                with transaction(database):
                    database.execute(
                        "create table packs (pack integer primary key, name text unique, seal text, n int)"
                    )
                    database.execute(
                        "create table held (hash blob, pack int, row int, n_frames int, proof int,"
                        " primary key (hash, pack)) without rowid"
                    )
                    database.execute(f"pragma user_version = {INDEX_VERSION}")
        return self._database

    def _discard(self) -> None:
        self.close()
        delete(self._path)

    def _rebuilding(self, action: Callable[[], T]) -> T:
        """Do something with the database; if its file turns out corrupt, rebuild it and do it again."""
        try:
            try:
                return action()
            except sqlite3.DatabaseError as error:
                if primary_code(error) in _NOT_OF_THE_FILE:
                    raise
            except (ValueError, TypeError, OverflowError):  # text that is no UTF-8, a value of another type
                pass
            self._rebuild()
            return action()
        except sqlite3.Error as error:
            if primary_code(error) == sqlite3.SQLITE_FULL:
                raise disk_error(OSError(errno.ENOSPC, str(error)), self._path) from error
            raise PackError(database_error(error, self._path)) from error

    def _rebuild(self) -> None:
        self._discard()
        self._sync(set_aside=False)

    def _sync(self, *, set_aside: bool) -> list[str]:
        if self._packs.is_symlink() and not self._packs.exists():
            raise AbsentError(f"{self._packs}: links to a folder that is not there. Mount its volume and run again.")
        names = {path.name for path in self._packs.glob("[!.]*.zarr")} if self._packs.is_dir() else set()
        database = self._open()
        known: dict[str, str] = dict(database.execute("select name, seal from packs"))
        self._require_complete()
        lines = []
        new: dict[str, Seal] = {}
        for name in sorted(names):
            try:
                # A pack never changes, so one whose seal is known needs no more than a stat of its files.
                seal = read_seal(self._packs / name)
                damage = pack_damage(self._packs / name, self._memo)
                if damage:
                    raise PackError(damage)
                if known.get(name) != seal.digest:
                    new[name] = _indexable(self._packs / name)
            except PackError as error:
                lines.append(f"pack {name}: {error}")
                names.remove(name)
                if set_aside:
                    self._set_aside(name)
            if sum(seal.n for seal in new.values()) >= INSERT_ROWS:
                self._insert(new)
                new = {}
        self._insert(new)
        gone = known.keys() - names
        if gone:
            with transaction(database):
                _forget(database, gone)
        return lines

    def _insert(self, packs: dict[str, Seal]) -> None:
        import zarr

        if not packs:
            return
        database = self._open()
        rows: list[tuple[bytes, int | None, int, int, int]] = []
        with transaction(database):
            _forget(database, packs)
            for name, seal in packs.items():
                group = zarr.open_group(str(self._packs / name), mode="r")
                edges, octets = group["offsets"][:].tolist(), group["audio_hash"][:]
                place = database.execute(
                    "insert into packs (name, seal, n) values (?, ?, ?)", (name, seal.digest, seal.n)
                ).lastrowid
                for i in range(seal.n):
                    held = (octets[i].tobytes(), i, edges[i + 1] - edges[i])
                    rows.append((held[0], place, held[1], held[2], _proof(name, seal.digest, *held)))
            # sorted by hash: at random places each row would touch another page of a tree larger than the cache
            database.executemany("insert into held values (?, ?, ?, ?, ?)", sorted(rows))

    def _find(self, hashes: list[str]) -> dict[str, PackPlace]:
        database = self._open()
        places: dict[str, PackPlace] = {}
        for start in range(0, len(hashes), QUERY_HASHES):
            keys = [bytes.fromhex(audio_hash) for audio_hash in hashes[start : start + QUERY_HASHES]]
            marks = ",".join("?" * len(keys))
            columns = "hash, name, row, n_frames, seal, proof"
            query = f"select {columns} from held left join packs using (pack) where hash in ({marks})"  # noqa: S608 - marks
            for key, name, row, n_frames, seal, proof in database.execute(query, keys):
                _require_proved(key, name, row, n_frames, seal, proof)
                place = PackPlace(name, row, n_frames)
                places[key.hex()] = min(places.get(key.hex(), place), place)
        return places

    def _set_aside(self, name: str) -> None:
        # Moved, not deleted: hours of encoding may be in it, and its owner may know what happened to it.
        target = make_folder(self._damaged) / name
        n = 1
        while target.exists():
            n += 1
            target = self._damaged / f"{name}.{n}"
        with clear_disk_errors(target):
            (self._packs / name).replace(target)
            flush_folder(self._damaged)
            flush_folder(self._packs)


def _indexable(pack: Path) -> Seal:
    """Return a pack's seal once everything but its frames is found as sealed. Raises PackError."""
    seal = read_seal(pack)
    for faults in (size_faults(pack, seal), hash_faults(pack, seal, small_files(seal)), structure_faults(pack, seal)):
        for fault in faults:
            raise PackError(fault)
    return seal


def _proof(name: str, seal: str, key: bytes, row: int, n_frames: int) -> int:
    """Return 63 bits over an entry and the seal of its pack: SQLite notices a torn file, and no changed digit."""
    return xxhash.xxh3_64_intdigest(b"%s %s %s %d %d" % (name.encode(), seal.encode(), key, row, n_frames)) >> 1


def _require_proved(key: bytes, name: str, row: int, n_frames: int, seal: str, proof: int) -> None:
    """Raise DamagedIndexError unless an entry is as it was made."""
    if name is None or proof != _proof(name, seal, key, row, n_frames):
        raise DamagedIndexError(f"an entry of pack {name} was changed")


def _forget(database: sqlite3.Connection, names: Iterable[str]) -> None:
    """Delete packs and their recordings, inside a transaction."""
    if database.executemany("delete from packs where name = ?", [(name,) for name in names]).rowcount > 0:
        database.execute("delete from held where pack not in (select pack from packs)")
