"""Members of an archive on their way to disk: staged, compared, read back, and moved into the tree at the end.

A members file holds one JSON object a line, in archive order: {"path", "size", "xxh3"} for a file, {"path", "link"} for
a symbolic link, {"path", "dir": true} for a folder; paths are POSIX, relative to the tree.
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
    """What an extraction did: counts of members, of files (n_written to n_completed add up to n_files), and bytes.

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


def is_unicode(name: str) -> bool:
    """Say whether a name can be written as UTF-8: bytes that are none arrive as surrogates."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


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
                other, other_folder = seen.get(folded, ("", False))
                if other and other != one:
                    raise refused(one, f"on file systems that ignore case or Unicode form it is one with {other!r}")
                if other and folder != other_folder:
                    raise refused(one, "it is a file and also a folder that other members lie in")
                if other and not folder:
                    raise refused(one, "it occurs twice")
                seen[folded] = (one, folder)


class Staging:
    """Where members of one archive lie until all of them are proved whole; `count` counts as Extraction does."""

    def __init__(self, path: Path, folder: Path, memo: HashMemo | None) -> None:
        self.path = path
        self.folder = folder
        self.names = Names()
        self.count: dict[str, int] = {}
        self._memo = memo
        self._remembered: list[tuple[StatKey, str]] = []
        self._resumed = path.exists()
        self._entered: dict[str, bool] = {}

    def place(self, member: Member) -> dict[str, Any] | None:
        """Stage one member, or find it in the tree already; return its row for the members file, None for the root.

        Raises ArchiveError for what must not reach the tree or differs from it, DiskFullError where it does not fit.
        """
        path = safe_path(member.name)
        if not path and member.kind == "folder":
            return None
        if not path:
            raise refused(member.name, "it stands where the tree itself is")
        try:
            row = self._placed(path, member)
        except OSError as error:
            if error.errno in NAME_ERRORS:
                raise refused(member.name, f"this file system cannot hold its name ({error.strerror})") from error
            if error.errno in SHAPE_ERRORS:
                raise refused(member.name, f"something else is in its place ({error.strerror})") from error
            raise disk_error(error, self.folder / path, member.size) from error
        self._add("n_members")
        return row

    def _placed(self, path: str, member: Member) -> dict[str, Any]:
        if member.kind == "special":
            raise refused(path, "it is neither file, folder nor link")
        in_tree = self._enter(path if member.kind == "folder" else path.rpartition("/")[0])
        if member.kind == "folder":
            if not in_tree:
                (self.path / path).mkdir(parents=True, exist_ok=True)
            return {"path": path, "dir": True}
        self.names.files.append(_hash(_fold(path)))
        if member.kind == "symlink":
            self._place_link(path, member.target, in_tree)
            return {"path": path, "link": member.target}
        if member.kind == "hardlink":
            member = self._resolved(path, member)
        xxh3 = self._place_file(path, member, in_tree)
        self._add("n_files")
        self._add("member_bytes", member.size)
        return {"path": path, "size": member.size, "xxh3": xxh3}

    def _add(self, name: str, number: int = 1) -> None:
        self.count[name] = self.count.get(name, 0) + number

    def _enter(self, path: str) -> bool:
        """Check that a folder and those above it are neither links nor files; say whether the tree has it."""
        if not path:
            return True
        known = self._entered.get(path)
        if known is not None:
            return known
        in_tree = self._enter(path.rpartition("/")[0])
        for root in (self.folder, self.path) if in_tree else (self.path,):
            status = _lstat(root / path)
            if status is not None and stat.S_ISLNK(status.st_mode):
                raise refused(path, "it is a link, and a member lies below it")
            if status is not None and not stat.S_ISDIR(status.st_mode):
                raise refused(path, "it is a file and also a folder that other members lie in")
            if root == self.folder:
                in_tree = status is not None
        self.names.add_folder(path)
        if len(self._entered) >= FOLDERS_KNOWN:
            self._entered.clear()
        self._entered[path] = in_tree
        return in_tree

    def _place_link(self, path: str, target: str, in_tree: bool) -> None:
        """Make a symbolic link, if it cannot lead out of the tree.

        Only leading `..` are taken: no member lies below a link, so those go up real folders, and the rest goes down
        through links that were held to the same rule.
        """
        parts = target.split("/")
        up = sum(1 for _ in itertools.takewhile("..".__eq__, parts))
        if not target or "\0" in target or "\\" in target or target.startswith("/") or re.match("[A-Za-z]:", target):
            raise refused(path, f"a link to {target!r}")
        if up > path.count("/") or ".." in parts[up:] or not is_unicode(target):
            raise refused(path, f"a link to {target!r}, which may leave the tree")
        for root in (self.folder, self.path) if in_tree else (self.path,):
            at = root / path
            status = _lstat(at)
            if status is not None and stat.S_ISLNK(status.st_mode) and str(at.readlink()) == target:
                return
            if status is not None and root == self.folder:
                raise _differs(at, path)
            if status is not None:
                at.unlink()
        at.parent.mkdir(parents=True, exist_ok=True)
        at.symlink_to(target)

    def _resolved(self, path: str, member: Member) -> Member:
        """Return a hard link as a file with its target's bytes: a copy, so that no edit ever changes two recordings."""
        target = safe_path(member.target)
        in_tree = self._enter(target.rpartition("/")[0])
        for root in (self.path, self.folder) if in_tree else (self.path,):
            status = _lstat(root / target)
            if status is not None and stat.S_ISREG(status.st_mode) and target != path:
                self.names.linked.append(_hash(_fold(target)))
                executable = bool(status.st_mode & 0o100)
                blocks = _blocks(root / target)
                return replace(member, kind="file", size=status.st_size, executable=executable, blocks=blocks)
        raise refused(path, f"a hard link to {member.target!r}, which is no earlier member")

    def _place_file(self, path: str, member: Member, in_tree: bool) -> str:
        final = self.folder / path
        status = _lstat(final) if in_tree else None
        if status is None:
            return self._stage(path, member, member.blocks)
        if not stat.S_ISREG(status.st_mode) or status.st_size > member.size:
            raise _differs(final, path)
        blocks = _compared(member.blocks, final, status.st_size, path)
        if status.st_size < member.size:
            return self._stage(path, member, blocks, "n_completed")
        hasher = new_hasher("xxh3")
        for block in blocks:
            hasher.update(block)
        if self._resumed:  # what an interrupted run staged must not replace what matched
            (self.path / path).unlink(missing_ok=True)
        self._add("n_matched")
        self._remember([(stat_key(status), hasher.hexdigest())])
        return hasher.hexdigest()

    def _stage(self, path: str, member: Member, blocks: Iterable[bytes], kind: str = "") -> str:
        """Write a member, save for what an interrupted run wrote of it; return its hash."""
        staged = self.path / path
        before = _lstat(staged) if self._resumed else None
        if before is not None and not (stat.S_ISREG(before.st_mode) and before.st_nlink == 1):
            staged.unlink()
            before = None
        descriptor = _open(staged, 0o755 if member.executable else 0o644)
        try:
            hasher = new_hasher("xxh3")
            at, same = 0, before is not None
            for block in blocks:
                hasher.update(block)
                same = same and os.pread(descriptor, len(block), at) == block
                if not same:
                    _write(descriptor, block, at)
                    self._add("written_bytes", len(block))
                at += len(block)
            if before is not None and before.st_size > at:
                os.ftruncate(descriptor, at)
                same = False
            if not same:
                _set_mtime(descriptor, member.mtime)
        finally:
            os.close(descriptor)
        self._add(kind or ("n_resumed" if same else "n_written"))
        return hasher.hexdigest()

    def _remember(self, entries: Iterable[tuple[StatKey, str]]) -> None:
        if self._memo is not None:
            self._remembered.extend(entries)
            if len(self._remembered) >= MEMO_ENTRIES:
                self.flush_memo()

    def flush_memo(self) -> None:
        """Hand the hashes of files read so far to the memo."""
        if self._memo is not None and self._remembered:
            self._memo.put(self._remembered)
            self._remembered.clear()

    def publish(self, members: Path) -> None:
        """Read everything staged back from the disk, compare, then move it into the tree.

        Raises ArchiveError, with the tree as it was, for names that collide and for files that read back otherwise.
        """
        self.names.check(members)
        try:
            if self.path.exists():
                if self._resumed:
                    self.names.remove_strays(self.path)
                self._read_back(members)
                _merge(self.path, self.folder)
                self.path.rmdir()
        except OSError as error:
            raise disk_error(error, self.folder) from error
        self.flush_memo()

    def _read_back(self, members: Path) -> None:
        os.sync()  # once for all: a flush a file is many times slower
        expected = sum(self.count.get(name, 0) for name in ("n_written", "n_resumed", "n_completed"))
        found = 0
        with ThreadPoolExecutor(READERS) as pool, members.open("rb") as lines:
            while batch := list(itertools.islice(lines, READERS * READ_BACK_LINES)):
                parts = [batch[at : at + READ_BACK_LINES] for at in range(0, len(batch), READ_BACK_LINES)]
                for entries in pool.map(lambda part: _read_staged(self.path, part), parts):
                    found += len(entries)
                    self._remember(entries)
        if found != expected:
            raise ArchiveError(f"{self.path}: {expected - found:,} of {expected:,} staged files are gone. Run again.")


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
    count = {"n_members": 0, "n_files": 0, "n_matched": 0, "member_bytes": 0}
    entries: list[tuple[StatKey, str]] = []
    with members.open("wb") as lines:
        for path, status in _tree(folder, "", {*ignored, SCRATCH_NAME}):
            row: dict[str, Any] = {"path": path, "dir": True}
            if stat.S_ISLNK(status.st_mode):
                row = {"path": path, "link": str((folder / path).readlink())}
            elif stat.S_ISREG(status.st_mode):
                key = stat_key(status)
                xxh3 = (memo.get(key) if memo else None) or _hash_tree_file(folder / path, on_bytes)
                entries.append((key, xxh3))
                row = {"path": path, "size": status.st_size, "xxh3": xxh3}
                count["n_files"] += 1
                count["n_matched"] += 1
                count["member_bytes"] += status.st_size
            lines.write(orjson.dumps(row) + b"\n")
            count["n_members"] += 1
            if memo and len(entries) >= MEMO_ENTRIES:
                memo.put(entries)
            if len(entries) >= MEMO_ENTRIES:
                entries.clear()
    if memo and entries:
        memo.put(entries)
    return Extraction(archive_xxh3="", archive_size=0, sums={}, **count)


def _hash_tree_file(path: Path, on_bytes: Callable[[int], None]) -> str:
    hasher = new_hasher("xxh3")
    try:
        for block in _blocks(path):
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


def _read_staged(staging: Path, lines: list[bytes]) -> list[tuple[StatKey, str]]:
    """Hash those of some members that lie in staging, from the disk rather than from its cache, and compare."""
    entries = []
    for line in lines:
        row = orjson.loads(line)
        if "xxh3" not in row:
            continue
        try:
            file = (staging / row["path"]).open("rb", buffering=0)
        except FileNotFoundError:  # it matched in the tree
            continue
        with file:
            key = stat_key(os.fstat(file.fileno()))
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            hasher = new_hasher("xxh3")
            while block := file.read(BLOCK_BYTES):
                hasher.update(block)
        if hasher.hexdigest() != row["xxh3"]:
            raise ArchiveError(
                f"member {row['path']!r}: read back otherwise than written: expected xxh3 {row['xxh3']}, got"
                f" {hasher.hexdigest()}. Check the disk and the memory of this machine."
            )
        entries.append((key, row["xxh3"]))
    return entries


def _merge(staging: Path, folder: Path) -> None:
    """Move what lies in one folder into another; what both have is descended into, or replaced if it was cut short."""
    make_folder(folder)
    while True:
        with os.scandir(staging) as found:  # anew for each batch: moving names away under a listing loses some
            names = [entry.name for entry in itertools.islice(found, FOLDERS_KNOWN)]
        if not names:
            break
        for name in names:
            _move(staging / name, folder / name)
    flush_folder(folder)


def _move(source: Path, target: Path) -> None:
    here, there = source.lstat(), _lstat(target)
    if there is None:
        source.rename(target)
    elif stat.S_ISDIR(here.st_mode) and stat.S_ISDIR(there.st_mode):
        _merge(source, target)
        source.rmdir()
    elif stat.S_ISREG(here.st_mode) and stat.S_ISREG(there.st_mode) and there.st_size <= here.st_size:
        for _ in _compared(_blocks(source), target, there.st_size, str(target)):  # it may have changed meanwhile
            pass
        source.replace(target)
    else:
        raise _differs(target, str(target))


def _compared(blocks: Iterable[bytes], path: Path, size: int, name: str) -> Iterator[bytes]:
    """Pass blocks on; raise ArchiveError unless they begin with the `size` bytes of a file."""
    with path.open("rb", buffering=0) as file:
        for block in blocks:
            wanted = min(size, len(block))
            part = file.read(wanted) if wanted else b""
            if len(part) != wanted or not block.startswith(part):
                raise _differs(path, name)
            size -= wanted
            yield block


def _differs(path: Path, name: str) -> ArchiveError:
    return ArchiveError(
        f"member {name!r} differs from the file on disk {path}. Delete or move that file and run again, or the archive"
        " is another version. Nothing was extracted."
    )


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _open(path: Path, mode: int) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    try:
        return os.open(path, flags, mode)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, mode)


def _write(descriptor: int, block: bytes, at: int) -> None:
    view = memoryview(block)
    while view:  # a disk that is nearly full takes a part first
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written


def _set_mtime(descriptor: int, mtime: float) -> None:
    try:
        os.utime(descriptor, (mtime, mtime))
    except (
        OSError,
        OverflowError,
        ValueError,
    ):  # a time that this file system does not know: the time of writing stays
        return
