"""Names of members: which may be written below a tree, and which cannot be together on every file system."""

import os
import re
import unicodedata
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import xxhash

from earmark.disk.junk import RESERVED
from earmark.errors import ArchiveError

NOT_UNICODE = "its name is not Unicode"
MAX_DEPTH = 100  # folders inside each other; corpora have a few, and recursion here and elsewhere counts on a bound


def safe_path(name: str) -> str:
    """Return a member's name as a plain relative path, "" for the tree itself. Raises ArchiveError if it is none."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    problems = {
        "its name is empty": not name,
        "its name holds a NUL": "\0" in name,
        "its path is absolute": name.startswith("/"),
        "its path is a Windows one": "\\" in name or re.match("[A-Za-z]:", parts[0] if parts else "") is not None,
        "its path leaves the tree": ".." in parts,
        f"it is more than {MAX_DEPTH} folders deep": len(parts) > MAX_DEPTH,
        "its path has a name that earmark keeps for itself": any(map(is_reserved, parts)),
        NOT_UNICODE: not is_unicode(name),
    }
    for problem, is_so in problems.items():
        if is_so:
            raise refusal(name, problem)
    return "/".join(parts)


def is_reserved(name: str) -> bool:
    """Say whether some file system takes a name for one of our own: of another case or form, with dots at its end.

    Letters that are not shown are passed over by HFS+, dots and blanks at the end by FAT and NTFS.
    """
    if name.isascii():
        return name.lower().rstrip(". ") in RESERVED
    shown = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    return fold(unicodedata.normalize("NFKC", shown)).rstrip(". ") in RESERVED


def is_unicode(name: str) -> bool:
    """Say whether a name can be written as UTF-8: bytes that are none arrive as surrogates."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def refusal(name: str, problem: str) -> ArchiveError:
    """Return the error for a member that must not reach the tree."""
    way = "`names` of the archive in the catalog names the encoding, such as `latin-1`"
    if problem != NOT_UNICODE:
        way = (
            "if it is of no use, `skip` of the archive in the catalog leaves it out, and cleanup then keeps the archive"
        )
    return ArchiveError(f"member {name!r} refused: {problem}. Nothing was extracted; {way}.")


class MemberNames:
    """The paths of one archive as 64-bit hashes of their folded form: finds names that collide.

    8 bytes a file, since archives have millions: the paths themselves would take a hundred. Two paths whose hashes
    happen to be equal cost a second look at the members file, nothing else.
    """

    def __init__(self) -> None:
        self.files = array("Q")
        self.linked = array("Q")
        self.folders = array("Q")  # pairs: folded, exact

    def add_folder(self, path: str) -> None:
        """Note a folder, listed or implied, perhaps again."""
        self.folders.extend((hash_path(fold(path)), hash_path(path)))

    def check(self, members: Path, are_one: Callable[[str, str], bool]) -> "Collisions":
        """Return which members share a name, or one but for case or Unicode form.

        `are_one` says of two paths whether this file system takes them for the same. Raises ArchiveError, with both
        names, where it does, and for a path that is a file and also a folder.
        """
        import numpy as np

        files = np.asarray(self.files)
        files.sort()  # in place: a copy would double the memory
        folders = np.unique(np.asarray(self.folders).reshape(-1, 2), axis=0)[:, 0]
        suspects = set(np.intersect1d(files, folders).tolist())
        for hashes in (files, folders):
            suspects.update(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
        found = _name_collisions(members, suspects, are_one) if suspects else Collisions()
        if not np.isin(np.asarray(self.linked), files).all():
            raise ArchiveError("a hard link in it points to a file that is no member of it. Nothing was extracted.")
        return found

    def remove_strays(self, staging: Path) -> None:
        """Delete from staging what an interrupted run of another archive left there; `check` comes first."""
        import numpy as np

        files, folders = np.asarray(self.files), np.unique(np.asarray(self.folders))
        for root, below, names in os.walk(staging, topdown=False):
            for name in below + names:
                path = Path(root) / name
                is_folder = name in below and not path.is_symlink()
                known, key = (folders if is_folder else files), hash_path(fold(path.relative_to(staging).as_posix()))
                at = int(np.searchsorted(known, np.uint64(key)))
                if at == len(known) or int(known[at]) != key:
                    path.rmdir() if is_folder else path.unlink()


@dataclass
class Collisions:
    """Names that several members have: `repeated` exactly, `twins` as pairs that differ in case or Unicode form."""

    repeated: set[str] = field(default_factory=set)
    twins: list[tuple[str, str]] = field(default_factory=list)


def _name_collisions(members: Path, suspects: set[int], are_one: Callable[[str, str], bool]) -> Collisions:
    """Look at the members a second time, now for the few names whose hashes are equal. Raises ArchiveError."""
    found = Collisions()
    seen: dict[str, dict[str, bool]] = {}  # folded -> spellings -> whether it is a folder
    with members.open("rb") as lines:
        for line in lines:
            row = orjson.loads(line)
            path, is_folder = row["path"], "dir" in row
            for end in [*(match.start() for match in re.finditer("/", path)), len(path)]:
                one, folder = path[:end], is_folder or end < len(path)
                if hash_path(folded := fold(one)) not in suspects:
                    continue
                spellings = seen.setdefault(folded, {})
                if one not in spellings:
                    for other in spellings:
                        if are_one(one, other):
                            raise ArchiveError(_no_place_for_both(one, other))
                        found.twins.append((other, one))
                elif spellings[one] != folder:
                    raise refusal(one, "it is a file and also a folder that other members are in")
                elif not folder:
                    found.repeated.add(one)
                spellings[one] = folder
    return found


def _no_place_for_both(one: str, other: str) -> str:
    """Say that two members have one place here; `skip` would lose one of them."""
    return (
        f"members {other!r} and {one!r}: this file system, which ignores case or Unicode form, takes both for one file."
        " Nothing was extracted. Put the dataset's `folder` on a volume that tells them apart, such as a case-sensitive"
        " APFS volume or ext4, and run again."
    )


def fold(path: str) -> str:
    """Return one spelling for all that a file system without case or with one Unicode form takes for the same."""
    if path.isascii():
        return path.lower()
    # folding case can bring back letters that are composed otherwise, so the form is made last as well as first
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


def hash_path(path: str) -> int:
    """Return the XXH3-64 of a path."""
    return xxhash.xxh3_64_intdigest(path.encode())
