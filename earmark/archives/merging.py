"""Staged files: read back from the disk, then moved into a tree, where they replace only what was cut short."""

import itertools
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from earmark.disk.files import flush_folder, make_folder
from earmark.disk.hashing import BLOCK_BYTES, StatKey, hash_from_disk
from earmark.errors import ArchiveError

NAMES_AT_ONCE = 65_536  # names of one folder that are listed before they are moved


def read_staged(staging: Path, lines: list[bytes]) -> list[tuple[StatKey, str]]:
    """Hash those of some members that lie in staging, from the disk rather than from its cache, and compare.

    Raises ArchiveError.
    """
    entries = []
    for line in lines:
        row = orjson.loads(line)
        if "xxh3" not in row:
            continue
        try:
            key, found = hash_from_disk(staging / row["path"])
        except FileNotFoundError:  # it matched in the tree
            continue
        if found != row["xxh3"]:
            raise ArchiveError(
                f"member {row['path']!r}: read back otherwise than written: expected xxh3 {row['xxh3']}, got"
                f" {found}. Check the disk and the memory of this machine."
            )
        entries.append((key, found))
    return entries


def merge(staging: Path, folder: Path) -> None:
    """Move what lies in one folder into another; what both have is descended into, or replaced if it was cut short.

    Raises ArchiveError for what is in its place and different.
    """
    make_folder(folder)
    while True:
        with os.scandir(staging) as found:  # anew for each batch: moving names away under a listing loses some
            names = [entry.name for entry in itertools.islice(found, NAMES_AT_ONCE)]
        if not names:
            break
        for name in names:
            _move(staging / name, folder / name)
    flush_folder(folder)


def _move(source: Path, target: Path) -> None:
    here, there = source.lstat(), lstat(target)
    if there is None:
        source.rename(target)
    elif stat.S_ISDIR(here.st_mode) and stat.S_ISDIR(there.st_mode):
        merge(source, target)
        source.rmdir()
    elif stat.S_ISREG(here.st_mode) and stat.S_ISREG(there.st_mode) and there.st_size <= here.st_size:
        for _ in compared(file_blocks(source), target, there.st_size, str(target)):  # it may have changed meanwhile
            pass
        source.replace(target)
    else:
        raise differs(target, str(target))


def compared(blocks: Iterable[bytes], path: Path, size: int, name: str) -> Iterator[bytes]:
    """Pass blocks on; raise ArchiveError unless they begin with the `size` bytes of a file."""
    with path.open("rb", buffering=0) as file:
        for block in blocks:
            wanted = min(size, len(block))
            part = file.read(wanted) if wanted else b""
            if len(part) != wanted or not block.startswith(part):
                raise differs(path, name)
            size -= wanted
            yield block


def differs(path: Path, name: str) -> ArchiveError:
    """Return the error for a member that is not what the tree holds in its place."""
    return ArchiveError(
        f"member {name!r} differs from the file on disk {path}. Delete or move that file and run again, or the archive"
        " is another version. Nothing was extracted."
    )


def lstat(path: Path) -> os.stat_result | None:
    """Return what lies at a path, links not followed, or None."""
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def file_blocks(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes in blocks."""
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            yield block
