"""Trees whose archives are gone: listed and hashed from the files alone."""

import os
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import orjson

from earmark.archives.merging import file_blocks
from earmark.archives.safe_names import is_unicode
from earmark.archives.staging import MEMO_ENTRIES, Extraction, hand_over
from earmark.disk.hashing import HashMemo, StatKey, new_hasher, stat_key
from earmark.disk.junk import SCRATCH_NAME
from earmark.errors import ArchiveError


def adopt_tree(
    folder: Path,
    members: Path,
    *,
    ignored: Collection[str] = (),
    on_bytes: Callable[[int], None] = lambda n_bytes: None,
    memo: HashMemo | None = None,
) -> Extraction:
    """List and hash every file below a folder whose archive is gone, in the order of names, as a members file.

    `ignored` are names in the folder itself that are left out, and so is the scratch folder.
    Raises ArchiveError for what is neither file, folder nor link, names that are not Unicode, unreadable files.
    """
    n_members = n_files = member_bytes = 0
    fresh: list[tuple[StatKey, str]] = []
    with members.open("wb") as lines:
        for path, status in _tree(folder, "", {*ignored, SCRATCH_NAME}):
            row: dict[str, Any] = {"path": path, "dir": True}
            if stat.S_ISLNK(status.st_mode):
                row = {"path": path, "link": str((folder / path).readlink())}
            elif stat.S_ISREG(status.st_mode):
                key = stat_key(status)
                xxh3 = memo.get(key) if memo else None
                if xxh3 is None:
                    xxh3 = _hash_tree_file(folder / path, on_bytes)
                    fresh.append((key, xxh3))
                row = {"path": path, "size": status.st_size, "xxh3": xxh3}
                n_files += 1
                member_bytes += status.st_size
            lines.write(orjson.dumps(row) + b"\n")
            n_members += 1
            if len(fresh) >= MEMO_ENTRIES:
                hand_over(fresh, memo)
    hand_over(fresh, memo)
    return Extraction(n_members=n_members, n_files=n_files, n_matched=n_files, member_bytes=member_bytes)


def _hash_tree_file(path: Path, on_bytes: Callable[[int], None]) -> str:
    hasher = new_hasher("xxh3")
    try:
        for block in file_blocks(path):
            hasher.update(block)
            on_bytes(len(block))
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be read: {error.strerror}. Make it readable and run again.") from error
    return hasher.hexdigest()


def _tree(folder: Path, prefix: str, ignored: Collection[str]) -> Iterator[tuple[str, os.stat_result]]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise ArchiveError(f"{folder}: cannot be read: {error.strerror}. Make it readable and run again.") from error
    for name in names:
        if name in ignored:
            continue
        path, status = prefix + name, (folder / name).lstat()
        if not is_unicode(name):
            raise ArchiveError(f"{folder}: the name {name!r} is not Unicode. Rename it and run again.")
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode)):
            raise ArchiveError(f"{folder / name}: neither file, folder nor link. Move it away and run again.")
        yield path, status
        if stat.S_ISDIR(status.st_mode):
            yield from _tree(folder / name, path + "/", ())
