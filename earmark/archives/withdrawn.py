"""Members that an archive no longer has: when a newer one replaces it, they must not stay in the tree as recordings.

They are moved aside, not deleted: the archive that held them may be gone.
"""

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

from earmark.archives.members import ListedMember, parse_member
from earmark.archives.merging import lstat
from earmark.archives.safe_names import hash_path
from earmark.disk.files import make_folder
from earmark.disk.hashing import hash_file


def withdrawn(before: Path, now: Sequence[Path]) -> Iterator[ListedMember]:
    """Yield the files and links of one members file that none of others lists.

    Memory: 8 bytes a member. Of two paths with one 64-bit hash, a withdrawn one may be kept.
    """
    import numpy as np

    hashes = array("Q")
    for members in now:
        with members.open("rb") as lines:
            hashes.extend(hash_path(parse_member(line).path) for line in lines)
    known = np.sort(np.asarray(hashes))
    with before.open("rb") as lines:
        for line in lines:
            member = parse_member(line)
            key = np.uint64(hash_path(member.path))
            at = int(np.searchsorted(known, key))
            if not member.is_folder and (at == len(known) or known[at] != key):
                yield member


def move_aside(member: ListedMember, folder: Path, aside: Path) -> bool:
    """Move a member from a tree to the same path below `aside`; return whether it was there as it was extracted.

    A file that was changed since is somebody's work, and stays.
    """
    path, target = folder / member.path, aside / member.path
    status = lstat(path)
    if status is None or not (_is_link_to(path, member.link) if member.link else _is_file(path, member)):
        return False
    make_folder(target.parent)
    path.replace(target)
    return True


def _is_link_to(path: Path, target: str) -> bool:
    return path.is_symlink() and str(path.readlink()) == target


def _is_file(path: Path, member: ListedMember) -> bool:
    return (
        path.is_file()
        and not path.is_symlink()
        and path.stat().st_size == member.size
        and hash_file(path) == member.xxh3
    )
