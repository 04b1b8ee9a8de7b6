"""Whether a tree still holds every member of an archive as its extraction sealed it; see earmark.extraction."""

import itertools
import os
import stat
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from earmark.archives.merging import lstat
from earmark.archives.staging import FOLDERS_KNOWN, MEMO_ENTRIES, READ_BACK_LINES, READERS, hand_over
from earmark.disk.hashing import HashMemo, StatKey, hash_from_disk, stat_key
from earmark.workers.prefetch import threaded_prefetch

# Whose content is read: nobody's; that of files of which the memo does not know that they hold it; everybody's.
Reading = Literal["sizes", "changed", "all"]


@dataclass
class _Checked:
    """What was found of some members."""

    faults: list[str] = field(default_factory=list)
    read: list[tuple[StatKey, str]] = field(default_factory=list)
    size: int = 0


class _Tree:
    """A tree that members are looked for in; folders are remembered once they are seen to be its own."""

    def __init__(self, folder: Path, reading: Reading, memo: HashMemo | None) -> None:
        self.folder, self.reading, self.memo = folder, reading, memo
        self.device = folder.stat().st_dev
        self._folders: set[str] = {""}

    def check(self, lines: list[bytes]) -> _Checked:
        """Compare members with what lies on disk."""
        found = _Checked()
        for line in lines:
            row = orjson.loads(line)
            try:
                fault = self._fault(row, found)
            except OSError as error:
                fault = f"cannot be read ({error.strerror})"
            if fault:
                found.faults.append(f"member {row['path']!r}: {fault}")
            found.size += row.get("size", 0)
        return found

    def _fault(self, row: dict[str, Any], found: _Checked) -> str:
        path = row["path"]
        if fault := self._folder_fault(path if "dir" in row else path.rpartition("/")[0]):
            return fault
        if "dir" in row:
            return ""
        status = lstat(self.folder / path)
        if status is None:
            return "gone"
        if "link" in row:
            same = stat.S_ISLNK(status.st_mode) and str((self.folder / path).readlink()) == row["link"]
            return "" if same else f"no link to {row['link']!r} any more"
        if not stat.S_ISREG(status.st_mode):
            return "a link is in its place" if stat.S_ISLNK(status.st_mode) else "no file is in its place"
        if status.st_size != row["size"]:
            return f"{status.st_size:,} bytes instead of {row['size']:,}"
        if self.reading == "sizes" or (self.reading == "changed" and self._known(status) == row["xxh3"]):
            return ""
        key, content = hash_from_disk(self.folder / path)
        found.read.append((key, content))
        return "" if content == row["xxh3"] else "same size, other content"

    def _folder_fault(self, path: str) -> str:
        """Say what is wrong with a folder and those above it; a mount inside a tree may show the archive itself."""
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
            return f"its folder {path!r} lies on another volume than the archive"
        if len(self._folders) >= FOLDERS_KNOWN:
            self._folders = {""}
        self._folders.add(path)
        return ""

    def _known(self, status: os.stat_result) -> str | None:
        return self.memo.get(stat_key(status)) if self.memo else None


def faults(
    members: Path,
    folder: Path,
    *,
    reading: Reading,
    memo: HashMemo | None = None,
    on_bytes: Callable[[int], None] = lambda n_bytes: None,
) -> Generator[str, None, None]:
    """Yield a sentence for each member that does not lie below `folder` as the members file says; none: all do.

    Links are not followed. What was read is given to the memo; `on_bytes` hears of members' sizes as they pass.
    Raises OSError where the list or the folder itself cannot be read.
    """
    tree, fresh = _Tree(folder, reading, memo), list[tuple[StatKey, str]]()
    with members.open("rb") as lines:
        batches = iter(lambda: list(itertools.islice(lines, READ_BACK_LINES)), [])
        with closing(threaded_prefetch(tree.check, batches, READERS, 2 * READERS)) as checked:
            for found in checked:
                on_bytes(found.size)
                fresh += found.read
                if len(fresh) >= MEMO_ENTRIES:
                    hand_over(fresh, memo)
                yield from found.faults
    hand_over(fresh, memo)
