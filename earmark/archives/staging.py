"""Members of an archive on their way to disk: staged, compared, read back, and moved into the tree at the end.

A members file lists them in archive order, a JSON object a line (`members.ListedMember`): {"path", "size", "xxh3"} for
a file, {"path", "link"} for a symbolic link, {"path", "dir": true} for a folder.
"""

import contextlib
import errno
import itertools
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from earmark.archives.members import ListedMember, Member, parse_member
from earmark.archives.merging import DiffersError, checked, differs, file_blocks, lstat, merge, read_staged
from earmark.archives.safe_names import MemberNames, fold, hash_path, is_unicode, refusal, safe_path
from earmark.disk.files import disk_error, require_space
from earmark.disk.hashing import HashMemo, Known, new_hasher, stat_key
from earmark.disk.volumes import NO_VOLUMES, Volumes
from earmark.errors import ArchiveError

FOLDERS_KNOWN = 65_536  # folders remembered as checked; one that is forgotten is checked again
READERS = 4  # threads that read back: a disk answers several requests faster than one after the other
LOOK_BYTES = 256 << 20  # bytes written between two looks at the free space
RESERVE_BYTES = 512 << 20  # that an extraction leaves free
DIFFERING_KNOWN = 100_000  # members that differ from the tree, counted before they are told
EXAMPLES = 5  # of them that an error names
UNKNOWN = "0" * 32  # in place of the hash of a member that was not read to its end
READ_BACK_LINES = 128  # members a thread takes at a time
MEMO_ENTRIES = 10_000  # hashes remembered in one transaction
NAME_ERRORS = {errno.ENAMETOOLONG, errno.EILSEQ}  # a file system that refuses a name
# Two members of which one is a file and the other a folder of the same name, once case is ignored.
SHAPE_ERRORS = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.ELOOP}


@dataclass(frozen=True)
class Extraction:
    """What an extraction did. The four kinds from `n_written` to `n_completed` add up to `n_files`."""

    archive_size: int = 0  # bytes
    sums: Sequence[Mapping[str, str]] = ()  # of each file of the archive: algorithm -> hex digits
    stats: Sequence[os.stat_result] = ()  # of each file of the archive, the same before it was read and after
    n_members: int = 0
    n_files: int = 0
    n_written: int = 0  # files that were not on disk
    n_resumed: int = 0  # that an interrupted run had staged whole
    n_matched: int = 0  # that the tree had
    n_completed: int = 0  # that were cut short in the tree
    n_skipped: int = 0  # members left out by pattern, in no other count
    member_bytes: int = 0
    written_bytes: int = 0
    repeated: Sequence[str] = ()  # members that occur several times: the last one is what is in the tree
    twins: Sequence[tuple[str, str]] = ()  # members whose names differ in case or Unicode form alone


class Staging:
    """Where the members of one archive are until all of them are proved whole; `count` counts as Extraction does.

    `others` are the members files of the dataset's other archives.
    After a run that was interrupted the folder is still there, and what is whole in it is not written again.
    """

    def __init__(
        self,
        path: Path,
        folder: Path,
        memo: HashMemo | None,
        others: Sequence[Path] = (),
        volumes: Volumes = NO_VOLUMES,
    ) -> None:
        self.path = path
        self.folder = folder
        self._volumes = volumes
        self.names = MemberNames()
        self.count: Counter[str] = Counter()
        self.repeated: list[str] = []
        self.twins: list[tuple[str, str]] = []
        self._memo = memo
        self._until_look = LOOK_BYTES
        self._others = others
        self._remembered: list[Known] = []
        self._resumed = path.exists()
        self._entered: dict[str, bool] = {}  # folders that were checked -> whether the tree has them
        self._differing: dict[str, int] = {}  # members in whose place the tree has another file -> its bytes

    def place(self, member: Member) -> ListedMember | None:
        """Stage one member, or find it in the tree already; return it for the members file, None for the tree itself.

        Raises ArchiveError for what must not reach the tree or differs from it, DiskFullError where it does not fit.
        """
        path = safe_path(member.name)
        if not path and member.kind == "folder":
            return None
        if not path:
            raise refusal(member.name, "it is in the place of the tree itself")
        try:
            listed = self._placed(path, member)
        except OSError as error:
            if error.errno in NAME_ERRORS:
                raise refusal(member.name, f"this file system cannot hold its name ({error.strerror})") from error
            if error.errno in SHAPE_ERRORS:
                raise refusal(member.name, f"something else is in its place ({error.strerror})") from error
            raise disk_error(error, self.folder / path, member.size) from error
        self.count["n_members"] += 1
        return listed

    def _placed(self, path: str, member: Member) -> ListedMember:
        if member.kind == "special":
            raise refusal(path, "it is neither file, folder nor link")
        in_tree = self._enter(path if member.kind == "folder" else path.rpartition("/")[0])
        if member.kind == "folder":
            if not in_tree:
                _make_folder(self.path / path, self._volumes)
            return ListedMember(path)
        self.names.files.append(hash_path(fold(path)))
        if member.kind == "symlink":
            self._place_link(path, member.target, in_tree)
            return ListedMember(path, link=member.target)
        if member.kind == "hardlink":
            member = self._resolved(path, member)
        xxh3 = self._place_file(path, member, in_tree)
        self.count["n_files"] += 1
        self.count["member_bytes"] += member.size
        return ListedMember(path, member.size, xxh3)

    def _enter(self, path: str) -> bool:
        """Check that a folder and those above it are neither links nor files; return whether the tree has it.

        Looked at on the disk and not only in the archive: a link that was in the tree before could lead anywhere.
        """
        if not path:
            return True
        known = self._entered.get(path)
        if known is not None:
            return known
        in_tree = self._enter(path.rpartition("/")[0])
        for root in (self.folder, self.path) if in_tree else (self.path,):
            status = lstat(root / path)
            if status is not None and stat.S_ISLNK(status.st_mode):
                raise refusal(path, "it is a link, and a member is below it")
            if status is not None and not stat.S_ISDIR(status.st_mode):
                raise refusal(path, "it is a file and also a folder that other members are in")
            if root == self.folder:
                in_tree = status is not None
        self.names.add_folder(path)
        if len(self._entered) >= FOLDERS_KNOWN:
            self._entered.clear()
        self._entered[path] = in_tree
        return in_tree

    def _place_link(self, path: str, target: str, in_tree: bool) -> None:
        """Make a symbolic link, if it cannot lead out of the tree.

        Only leading `..` are allowed. No member is below a link, so those go up real folders, and the rest goes down
        through links that obeyed the same rule.
        """
        parts = target.split("/")
        up = sum(1 for _ in itertools.takewhile("..".__eq__, parts))
        if not target or "\0" in target or "\\" in target or target.startswith("/") or re.match("[A-Za-z]:", target):
            raise refusal(path, f"a link to {target!r}")
        if up > path.count("/") or ".." in parts[up:] or not is_unicode(target):
            raise refusal(path, f"a link to {target!r}, which may leave the tree")
        for root in (self.folder, self.path) if in_tree else (self.path,):
            at = root / path
            status = lstat(at)
            if status is not None and stat.S_ISLNK(status.st_mode) and str(at.readlink()) == target:
                return
            if status is not None and root == self.folder:
                raise differs(at, path)
            if status is not None:
                at.unlink()
        _make_folder(at.parent, self._volumes)
        at.symlink_to(target)

    def _resolved(self, path: str, member: Member) -> Member:
        """Return a hard link as a file with its target's bytes: a copy, so that no edit ever changes two recordings."""
        target = safe_path(member.target)
        in_tree = self._enter(target.rpartition("/")[0])
        for root in (self.path, self.folder) if in_tree else (self.path,):
            status = lstat(root / target)
            if status is not None and stat.S_ISREG(status.st_mode) and target != path:
                self.names.linked.append(hash_path(fold(target)))
                executable = bool(status.st_mode & 0o100)
                blocks = file_blocks(root / target)
                return replace(member, kind="file", size=status.st_size, executable=executable, blocks=blocks)
        raise refusal(path, f"a hard link to {member.target!r}, which is no earlier member")

    def _place_file(self, path: str, member: Member, in_tree: bool) -> str:
        """Stage a file, unless the tree has it; return its hash."""
        final = self.folder / path
        status = lstat(final) if in_tree else None
        if status is None:
            return self._stage(path, member, member.blocks)
        if not stat.S_ISREG(status.st_mode):
            raise differs(final, path)
        if status.st_size > member.size or (status.st_size < member.size and self._is_whole(path, status.st_size)):
            return self._differs(path, status.st_size)
        blocks = checked(member.blocks, final, status.st_size, path)
        hasher = new_hasher("xxh3")
        try:
            if status.st_size < member.size:
                xxh3 = self._stage(path, member, blocks, "n_completed")
                self._differing.pop(path, None)
                return xxh3
            for block in blocks:
                hasher.update(block)
        except DiffersError:
            (self.path / path).unlink(missing_ok=True)  # what was staged of it
            return self._differs(path, status.st_size)
        self._differing.pop(path, None)
        if self._resumed:  # what an interrupted run staged must not replace what matched
            (self.path / path).unlink(missing_ok=True)
        self.count["n_matched"] += 1
        self._remember([(final, stat_key(status), hasher.hexdigest())])
        return hasher.hexdigest()

    def _is_whole(self, path: str, size: int) -> bool:
        """Say whether a file that is shorter than a member is a whole one of another archive, and so not cut short."""
        needle = orjson.dumps(path)
        for members in self._others:
            with contextlib.suppress(FileNotFoundError), members.open("rb") as lines:
                for line in lines:
                    if needle in line and (other := parse_member(line)).path == path and other.size == size:
                        return True
        return False

    def _differs(self, path: str, size: int) -> str:
        """Note that the tree has another file in a member's place: all such are told at the end, not one a run.

        A later member of the same name may be the one that the tree has.
        """
        if len(self._differing) < DIFFERING_KNOWN:
            self._differing[path] = size
        return UNKNOWN

    def _stage(self, path: str, member: Member, blocks: Iterable[bytes], kind: str = "") -> str:
        """Write a member, except for the bytes that an interrupted run wrote of it; return its hash."""
        staged = self.path / path
        before = lstat(staged) if self._resumed else None
        if before is not None and not (stat.S_ISREG(before.st_mode) and before.st_nlink == 1):
            staged.unlink()  # a link there would have the member written to wherever it leads
            before = None
        if member.size > LOOK_BYTES:  # a sparse member of a small archive may claim terabytes
            require_space(self.folder, member.size, f"{self.folder / path}")
        descriptor = _open(staged, 0o755 if member.executable else 0o644, self._volumes)
        try:
            hasher = new_hasher("xxh3")
            at, same = 0, before is not None
            for block in blocks:
                hasher.update(block)
                self._require_space(len(block))
                same = same and os.pread(descriptor, len(block), at) == block
                if not same:
                    _write(descriptor, block, at)
                    self.count["written_bytes"] += len(block)
                at += len(block)
            if os.fstat(descriptor).st_size > at:  # of an interrupted run, or of an earlier member of this name
                os.ftruncate(descriptor, at)
                same = False
            if not same:
                _set_mtime(descriptor, member.mtime)
        finally:
            os.close(descriptor)
        self.count[kind or ("n_resumed" if same else "n_written")] += 1
        return hasher.hexdigest()

    def _require_space(self, n_bytes: int) -> None:
        """Stop while there is still some space: an archive of kilobytes may unpack to more than any disk holds.

        Raises DiskFullError, before the volume is full and everything else on it suffers.
        """
        self._until_look -= n_bytes
        if self._until_look > 0:
            return
        self._until_look = LOOK_BYTES
        require_space(self.path, RESERVE_BYTES, f"{self.folder}: extracting")

    def _remember(self, entries: Iterable[Known]) -> None:
        self._remembered.extend(entries)
        if len(self._remembered) >= MEMO_ENTRIES:
            remember(self._remembered, self._memo)

    def publish(self, members: Path) -> None:
        """Read everything staged back from the disk, compare, then move it into the tree.

        Raises ArchiveError, with the tree as it was, for names that collide and for files that read back otherwise.
        """
        for place in (self.path, self.folder):
            self._volumes.require(place)
        found = self.names.check(members, self._are_one)
        if self._differing:
            raise ArchiveError(self._differing_words())
        if found.repeated:
            self._keep_last(members, found.repeated)
        self.repeated, self.twins = sorted(found.repeated), found.twins
        try:
            if self.path.exists():
                if self._resumed:
                    self.names.remove_strays(self.path)
                self._read_back(members)
                merge(self.path, self.folder)
                self.path.rmdir()
        except OSError as error:
            raise disk_error(error, self.folder) from error
        remember(self._remembered, self._memo)

    def _are_one(self, one: str, other: str) -> bool:
        """Say whether two paths of members are one file or folder on this file system."""
        places = [lstat(self.path / path) or lstat(self.folder / path) for path in (one, other)]
        first, second = places
        return first is not None and second is not None and os.path.samestat(first, second)

    def _differing_words(self) -> str:
        names = [f"{path!r} ({size:,} bytes)" for path, size in itertools.islice(self._differing.items(), EXAMPLES)]
        more = f" and {len(self._differing) - EXAMPLES:,} more" if len(self._differing) > EXAMPLES else ""
        count = f"{len(self._differing):,}{'+' if len(self._differing) == DIFFERING_KNOWN else ''}"
        return (
            f"{count} of its members differ from the files of that name on disk: {', '.join(names)}{more}. Is the"
            " archive another version, or do two archives hold files of one name? Nothing was extracted. Move those"
            " files away and run again, and the archive's come in their place."
        )

    def _keep_last(self, members: Path, repeated: set[str]) -> None:
        """Take all but the last of the members of one name out of the list: the last is what is on the disk."""
        lines = members.read_bytes().splitlines(keepends=True)
        kept, seen = list[bytes](), set[str]()
        for line in reversed(lines):
            member = parse_member(line)
            if member.path in repeated and member.path in seen:
                self.count["n_members"] -= 1
                self.count["n_files"] -= 1
                self.count["member_bytes"] -= member.size
                if lstat(self.path / member.path):  # it was staged, and the later one written over it
                    self.count["n_written" if self.count["n_written"] else "n_resumed"] -= 1
                continue
            seen.add(member.path) if member.path in repeated else None
            kept.append(line)
        members.write_bytes(b"".join(reversed(kept)))

    def _read_back(self, members: Path) -> None:
        """Raise ArchiveError unless every staged file is read back from the disk as it was written."""
        os.sync()  # once for all: a flush a file is many times slower
        expected = sum(self.count[name] for name in ("n_written", "n_resumed", "n_completed"))
        n_read = 0
        with ThreadPoolExecutor(READERS) as pool, members.open("rb") as lines:
            while batch := list(itertools.islice(lines, READERS * READ_BACK_LINES)):
                parts = [batch[at : at + READ_BACK_LINES] for at in range(0, len(batch), READ_BACK_LINES)]
                for entries in pool.map(lambda part: read_staged(self.path, self.folder, part), parts):
                    n_read += len(entries)
                    self._remember(entries)
        if n_read != expected:
            raise ArchiveError(f"{self.path}: {expected - n_read:,} of {expected:,} staged files are gone. Run again.")


def remember(entries: list[Known], memo: HashMemo | None) -> None:
    """Put hashes of files into the memo, if there is one, and empty the list."""
    if memo is not None and entries:
        memo.put(entries)
    entries.clear()


def _open(path: Path, mode: int, volumes: Volumes) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    try:
        return os.open(path, flags, mode)
    except FileNotFoundError:
        _make_folder(path.parent, volumes)
        return os.open(path, flags, mode)


def _make_folder(path: Path, volumes: Volumes) -> None:
    """Make a folder of staging; what has vanished with its volume is not begun anew under the mount point."""
    volumes.require(path)
    path.mkdir(parents=True, exist_ok=True)


def _write(descriptor: int, block: bytes, at: int) -> None:
    view = memoryview(block)
    while view:  # a disk that is nearly full takes a part first
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written


def _set_mtime(descriptor: int, mtime: float) -> None:
    # A time that this file system does not know: the time of writing stays.
    with contextlib.suppress(OSError, OverflowError, ValueError):
        os.utime(descriptor, (mtime, mtime))
