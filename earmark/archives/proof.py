"""Whether a tree still has every member of an archive, as the members file of its extraction lists them."""

import itertools
import os
import stat
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from earmark.archives.members import ListedMember, parse_member
from earmark.archives.merging import lstat
from earmark.archives.staging import FOLDERS_KNOWN, MEMO_ENTRIES, READ_BACK_LINES, READERS, remember
from earmark.disk.hashing import Hasher, HashMemo, Known, StatKey, hash_from_disk, stat_key
from earmark.workers.prefetch import threaded_prefetch

# Whose content is read: no file's; every file's except those that the memo knows to be what is listed; every file's.
Reading = Literal["sizes", "changed", "all"]


@dataclass
class _Checked:
    """What comparing some members with the tree came to."""

    faults: list[str] = field(default_factory=list)  # a sentence each
    hashes: list[Known] = field(default_factory=list)  # of the files that were read
    size: int = 0  # bytes of all these members, read or not
    seen: list[StatKey] = field(default_factory=list)  # of files and links, in the order of the list


class _Tree:
    """A tree that members are looked for in; folders are remembered once they are seen to be its own."""

    def __init__(self, folder: Path, reading: Reading, memo: HashMemo | None) -> None:
        self.folder, self.reading, self.memo = folder, reading, memo
        self.device = folder.stat().st_dev
        self._folders: set[str] = {""}

    def check(self, lines: list[bytes]) -> _Checked:
        """Compare some lines of a members file with the disk."""
        checked = _Checked()
        for line in lines:
            member = parse_member(line)
            try:
                fault = self._fault(member, checked)
            except OSError as error:
                fault = f"cannot be read ({error.strerror})"
            if fault:
                checked.faults.append(f"member {member.path!r}: {fault}")
            checked.size += member.size
        return checked

    def _fault(self, member: ListedMember, checked: _Checked) -> str:
        """Say what is wrong with a member, or return an empty string."""
        path = member.path
        if fault := self._folder_fault(path if member.is_folder else path.rpartition("/")[0]):
            return fault
        if member.is_folder:
            return ""
        status = lstat(self.folder / path)
        if status is None:
            return "gone"
        checked.seen.append(stat_key(status))
        if member.link:
            same = stat.S_ISLNK(status.st_mode) and str((self.folder / path).readlink()) == member.link
            return "" if same else f"no link to {member.link!r} any more"
        if not stat.S_ISREG(status.st_mode):
            return "a link is in its place" if stat.S_ISLNK(status.st_mode) else "no file is in its place"
        if status.st_size != member.size:
            return f"{status.st_size:,} bytes instead of {member.size:,}"
        if self.reading == "sizes" or (self.reading == "changed" and self._known(path, status) == member.xxh3):
            return ""
        key, xxh3 = hash_from_disk(self.folder / path)
        checked.hashes.append((self.folder / path, key, xxh3))
        return "" if xxh3 == member.xxh3 else "same size, other content"

    def _folder_fault(self, path: str) -> str:
        """Say what is wrong with a folder and those above it, or return an empty string.

        A folder on another volume is one: it may be a mount of the archive itself, which would then prove itself and
        be deleted as superfluous.
        """
        if path in self._folders:
            return ""
        if fault := self._folder_fault(path.rpartition("/")[0]):
            return fault
        status = lstat(self.folder / path)
        if status is None:
            return f"its folder {path!r} is gone"
        if not stat.S_ISDIR(status.st_mode):
            return f"its folder {path!r} is a link or a file"
        if status.st_dev != self.device:
            return f"its folder {path!r} is on another volume than the archive"
        if len(self._folders) >= FOLDERS_KNOWN:
            self._folders = {""}
        self._folders.add(path)
        return ""

    def _known(self, path: str, status: os.stat_result) -> str | None:
        return self.memo.get(self.folder / path, stat_key(status)) if self.memo else None


def faults(
    members: Path,
    folder: Path,
    *,
    reading: Reading,
    memo: HashMemo | None = None,
    on_bytes: Callable[[int], None] = lambda n_bytes: None,
    look: Hasher | None = None,
) -> Generator[str, None, None]:
    """Yield a sentence for each member that is not below `folder` as the members file lists it; none if all are.

    Links are not followed. Hashes of what was read go to the memo; `on_bytes` is called with the sizes of members as
    they are passed, read or not. `look` is given the stats of all members: where two looks come to the same, nothing
    was written to or exchanged between them. Raises OSError where the list or the folder itself cannot be read.
    """
    tree, fresh = _Tree(folder, reading, memo), list[Known]()
    with members.open("rb") as lines:
        batches = iter(lambda: list(itertools.islice(lines, READ_BACK_LINES)), [])
        with closing(threaded_prefetch(tree.check, batches, READERS, 2 * READERS)) as results:
            for checked in results:
                on_bytes(checked.size)
                if look is not None:
                    look.update(repr(checked.seen).encode())
                fresh += checked.hashes
                if len(fresh) >= MEMO_ENTRIES:
                    remember(fresh, memo)
                yield from checked.faults
    remember(fresh, memo)
