"""Staged files: read back from the disk, then moved into a tree, where they replace only what was cut short."""

import itertools
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from earmark.archives.members import parse_member
from earmark.disk.files import flush_folder, make_folder
from earmark.disk.hashing import BLOCK_BYTES, StatKey, hash_from_disk
from earmark.errors import ArchiveError

NAMES_AT_ONCE = 65_536  # names of one folder that are listed before they are moved


def read_staged(staging: Path, lines: list[bytes]) -> list[tuple[StatKey, str]]:
    """Hash those of some listed members that are in staging, read from the disk, and compare; return what was read.

    From the disk rather than from the system's cache: what is in the cache was never in doubt. Raises ArchiveError.
    """
    entries = []
    for line in lines:
        member = parse_member(line)
        if not member.xxh3:
            continue
        try:
            key, xxh3 = hash_from_disk(staging / member.path)
        except FileNotFoundError:  # it matched in the tree
            continue
        if xxh3 != member.xxh3:
            raise ArchiveError(
                f"member {member.path!r}: read back otherwise than written: expected xxh3 {member.xxh3}, got"
                f" {xxh3}. Check the disk and the memory of this machine."
            )
        entries.append((key, xxh3))
    return entries


def merge(staging: Path, folder: Path) -> None:
    """Move everything in one folder into another. What both have is descended into, or replaced if it was cut short.

    Killed halfway, the next run finds some members in the tree and the others in staging, and goes on from there.
    Raises ArchiveError for what is in its place and different.
    """
    make_folder(folder)
    while True:
        with os.scandir(staging) as entries:  # anew for each batch: moving names away under a listing loses some
            names = [entry.name for entry in itertools.islice(entries, NAMES_AT_ONCE)]
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
        for _ in checked(file_blocks(source), target, there.st_size, str(target)):  # it may have changed meanwhile
            pass
        source.replace(target)
    else:
        raise differs(target, str(target))


def checked(blocks: Iterable[bytes], path: Path, size: int, name: str) -> Iterator[bytes]:
    """Pass blocks on; raise ArchiveError unless they begin with the `size` bytes of the file at `path`."""
    with path.open("rb", buffering=0) as file:
        for block in blocks:
            wanted = min(size, len(block))
            part = file.read(wanted) if wanted else b""
            if len(part) != wanted or not block.startswith(part):
                raise differs(path, name)
            size -= wanted
            yield block


def differs(path: Path, name: str) -> ArchiveError:
    """Return the error for a member in whose place the tree has something else."""
    return ArchiveError(
        f"member {name!r} differs from the file on disk {path}. Move that file away and run again, or the archive is"
        " another version. Nothing was extracted."
    )


def lstat(path: Path) -> os.stat_result | None:
    """Return the stat of what is at a path, links not followed, or None."""
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def file_blocks(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes in blocks."""
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            yield block
