"""Trees whose archives are gone: listed and hashed from the files alone."""

import os
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from earmark.archives.members import ListedMember
from earmark.archives.merging import file_blocks
from earmark.archives.safe_names import is_unicode
from earmark.archives.staging import MEMO_ENTRIES, Extraction, remember
from earmark.disk.hashing import HashMemo, Known, new_hasher, stat_key
from earmark.disk.junk import SCRATCH_NAME
from earmark.disk.plainly import unreadable
from earmark.errors import ArchiveError


def adopt_tree(
    folder: Path,
    members: Path,
    *,
    ignored: Collection[str] = (),
    on_bytes: Callable[[int], None] = lambda n_bytes: None,
    memo: HashMemo | None = None,
) -> Extraction:
    """List and hash every file below a folder whose archive is gone, and write that list to `members`.

    The list is what an extraction would have written, in the order of names instead of the archive's. `ignored` are
    names in the folder itself that are left out, and so is the scratch folder. `on_bytes` is called with the bytes
    read; a file that the memo knows is not read.
    Raises ArchiveError for what is neither file, folder nor link, for names and links that are not Unicode, and for
    unreadable files.
    """
    n_members = n_files = member_bytes = 0
    fresh: list[Known] = []
    with members.open("wb") as lines:
        for path, status in _tree(folder, "", {*ignored, SCRATCH_NAME}):
            member = ListedMember(path)
            if stat.S_ISLNK(status.st_mode):
                member = ListedMember(path, link=_link_target(folder / path))
            elif stat.S_ISREG(status.st_mode):
                key = stat_key(status)
                xxh3 = memo.get(folder / path, key) if memo else None
                if xxh3 is None:
                    xxh3 = _hash_file(folder / path, on_bytes)
                    fresh.append((folder / path, key, xxh3))
                member = ListedMember(path, status.st_size, xxh3)
                n_files += 1
                member_bytes += status.st_size
            lines.write(member.line())
            n_members += 1
            if len(fresh) >= MEMO_ENTRIES:
                remember(fresh, memo)
    remember(fresh, memo)
    return Extraction(n_members=n_members, n_files=n_files, n_matched=n_files, member_bytes=member_bytes)


def _link_target(path: Path) -> str:
    target = str(path.readlink())
    if not is_unicode(target):
        raise ArchiveError(f"{path}: it links to {target!r}, which is not Unicode. Replace the link and run again.")
    return target


def _hash_file(path: Path, on_bytes: Callable[[int], None]) -> str:
    hasher = new_hasher("xxh3")
    try:
        for block in file_blocks(path):
            hasher.update(block)
            on_bytes(len(block))
    except OSError as error:
        raise unreadable(error, path) from error
    return hasher.hexdigest()


def _tree(folder: Path, prefix: str, ignored: Collection[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield path and stat of everything below a folder, names sorted folder by folder, links not followed.

    Not `watch.walk`: that one is unsorted, follows links, and passes over what it cannot list, while what is adopted
    here must come in the same order each time and be complete.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise unreadable(error, folder) from error
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
