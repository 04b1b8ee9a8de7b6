"""Members of an archive on their way to disk: staged, compared, read back, and moved into the tree at the end.

A members file holds one JSON object a line, in archive order: {"path", "size", "xxh3"} for a file, {"path", "link"} for a
symbolic link, {"path", "dir": true} for a folder; paths are POSIX, relative to the tree.
"""

import errno
import itertools
import os
import re
import stat
import unicodedata
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import orjson
import xxhash

from earmark.errors import ArchiveError
from earmark.files import disk_error, flush_folder, make_folder
from earmark.hashing import BLOCK_BYTES, HashMemo, StatKey, new_hasher, stat_key

MAX_DEPTH = 100  # folders inside each other
FOLDERS_KNOWN = 65_536  # folders remembered as checked; one that is forgotten is checked again
READERS = 4  # threads that read back
READ_BACK_LINES = 128  # members a thread takes at a time
MEMO_ENTRIES = 10_000  # hashes remembered in one transaction
SCRATCH_NAME = ".earmark-tmp"  # files.Scratch's own folder on a volume
NAME_ERRORS = {errno.ENAMETOOLONG, errno.EILSEQ}
SHAPE_ERRORS = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.ELOOP}

Kind = Literal["file", "folder", "symlink", "hardlink", "special"]


@dataclass(frozen=True)
class Member:
    """One member, its name as the archive spells it; `blocks` must be used before the next member is asked for.

    `blocks` yields exactly `size` bytes or raises.
    """

    name: str
    kind: Kind
    size: int = 0
    mtime: float = 0.0
    executable: bool = False
    target: str = ""
    blocks: Iterator[bytes] = field(default_factory=lambda: iter(()))


@dataclass(frozen=True)
class Extraction:
    """What an extraction did: counts of members, of which files (n_written to n_completed add up to n_files), and bytes.

    `n_written` were not on disk, `n_resumed` lay complete in staging from an interrupted run, `n_matched` in the tree,
    `n_completed` were cut short in the tree; `n_skipped` were left out by pattern and are in no other count.
    """

    archive_xxh3: str = ""
    archive_size: int = 0
    sums: Mapping[str, str] = field(default_factory=dict)
    n_members: int = 0
    n_files: int = 0
    n_written: int = 0
    n_resumed: int = 0
    n_matched: int = 0
    n_completed: int = 0
    n_skipped: int = 0
    member_bytes: int = 0
    written_bytes: int = 0


def safe_path(name: str) -> str:
    """Return a member's name as a plain relative path, "" for the tree itself. Raises ArchiveError if it is none."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    problems = {
        "its name is empty": not name,
        "its name holds a NUL": "\0" in name,
        "its path is absolute": name.startswith("/"),
        "its path is a Windows one": "\\" in name or re.match("[A-Za-z]:", parts[0] if parts else "") is not None,
        "its path leaves the tree": ".." in parts,
        f"it lies more than {MAX_DEPTH} folders deep": len(parts) > MAX_DEPTH,
        f"its path goes into {SCRATCH_NAME}": SCRATCH_NAME in parts[:1],
        "its name is not Unicode": any("\ud800" <= letter <= "\udfff" for letter in name)
        if not name.isascii()
        else False,
    }
    for problem, found in problems.items():
        if found:
            raise refused(name, problem)
    return "/".join(parts)


def refused(name: str, problem: str) -> ArchiveError:
    """Return the error for a member that must not reach the tree."""
    return ArchiveError(
        f"member {name!r} refused: {problem}. Nothing was extracted; `skip` in the catalog leaves it out."
    )


class Names:
    """The paths of one archive as 64-bit hashes of their folded form, 8 bytes a file: finds names that collide."""

    def __init__(self) -> None:
        self.files = array("Q")
        self.linked = array("Q")
        self.folders = array("Q")  # pairs: folded, exact

    def add_folder(self, path: str) -> None:
        """Note a folder, listed or implied, perhaps again."""
        self.folders.extend((_hash(_fold(path)), _hash(path)))

    def check(self, members: Path) -> None:
        """Raise ArchiveError, with both names, if two members cannot lie side by side on every file system."""
        import numpy as np

        files = np.asarray(self.files)
        files.sort()  # in place: a copy would double the memory
        folders = np.unique(np.asarray(self.folders).reshape(-1, 2), axis=0)[:, 0]
        suspects = set(np.intersect1d(files, folders).tolist())
        for hashes in (files, folders):
            suspects.update(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
        if suspects:
            _name_collisions(members, suspects)
        if not np.isin(np.asarray(self.linked), files).all():
            raise ArchiveError("a hard link in it points to a file that is no member of it. Nothing was extracted.")

    def remove_strays(self, staging: Path) -> None:
        """Delete from staging what an interrupted run of another archive left; needs `check` before."""
        import numpy as np

        files, folders = np.asarray(self.files), np.unique(np.asarray(self.folders))
        for root, below, names in os.walk(staging, topdown=False):
            for name in below + names:
                path = Path(root) / name
                is_folder = name in below and not path.is_symlink()
                known, key = (folders if is_folder else files), _hash(_fold(path.relative_to(staging).as_posix()))
                at = int(np.searchsorted(known, np.uint64(key)))
                if at == len(known) or int(known[at]) != key:
                    path.rmdir() if is_folder else path.unlink()


def _fold(path: str) -> str:
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


def _hash(path: str) -> int:
    return xxhash.xxh3_64_intdigest(path.encode())


def _name_collisions(members: Path, suspects: set[int]) -> None:
    """Look at the members a second time, now for the few names whose hashes are equal."""
    seen: dict[str, tuple[str, bool]] = {}
    with members.open("rb") as lines:
        for line in lines:
            row = orjson.loads(line)
            path, is_folder = row["path"], "dir" in row
            for end in [*(match.start() for match in re.finditer("/", path)), len(path)]:
                one, folder = path[:end], is_folder or end < len(path)
                if _hash(folded := _fold(one)) not in suspects:
                    continue
                other, other_folder = seen.setdefault(folded, (one, folder))
                if other != one:
                    raise refused(one, f"on file systems that ignore case or Unicode form it is one with {other!r}")
                if folder != other_folder:
                    raise refused(one, "a file where another member needs a folder")
                if not folder and seen.pop(folded, None) and not _first(seen, folded):
                    seen[folded + "\0"] = (one, folder)
    return None
