"""Files that are either whole or not there: written under a scratch folder, flushed, renamed, folder flushed.

Guaranteed: a reader never sees half a file under its final name, whenever the process dies. After a power cut the
content is as durable as the disk's own promise about fsync.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from earmark.disk.hashing import hash_bytes
from earmark.disk.junk import SCRATCH_NAME
from earmark.errors import DiskFullError

SHARING = {"bcachefs", "btrfs", "ocfs2", "xfs", "zfs"}  # Linux file systems in which files may share blocks
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Scratch:
    """Where unfinished files lie: `cache/tmp`, or `.earmark-tmp` on a volume of its own.

    A rename is atomic within one file system only, so each target gets a scratch folder on its own. `roots` are the
    folders below which that one is made.
    """

    tmp: Path
    roots: tuple[Path, ...] = ()

    def folder(self, near: Path) -> Path:
        """Return (and make) the scratch folder on the file system that holds `near`."""
        make_folder(self.tmp)
        home = existing(near)
        if home.stat().st_dev == self.tmp.stat().st_dev:
            return self.tmp
        if not home.is_dir():
            home = home.parent
        for root in self.roots:
            if root.is_dir() and home.is_relative_to(root) and root.stat().st_dev == home.stat().st_dev:
                home = root
        return make_folder(self._below(home))

    def find(self, name: str, near: Path) -> Path | None:
        """Return what an unfinished run left under a name where `folder(near)` lies, if it is there; makes nothing."""
        places = (folder / name for folder in (self.tmp, *map(self._below, (*self.roots, near))))
        return next((path for path in places if path.exists()), None)

    def _below(self, home: Path) -> Path:
        # two collections may share a volume: neither sweeps what the other is writing
        return home / SCRATCH_NAME / hash_bytes(str(self.tmp).encode())[:8]

    def sweep(self, keep: tuple[str, ...]) -> None:
        """Empty the scratch folders of what a killed run left, except entries whose name starts with one of `keep`."""
        for folder in (self.tmp, *map(self._below, self.roots)):
            for entry in folder.iterdir() if folder.is_dir() else ():
                if not entry.name.startswith(keep):
                    remove(entry)

    def new(self, target: Path) -> Path:
        """Return a fresh path to write before it is renamed to `target`."""
        return self.folder(target.parent) / f"{uuid.uuid4().hex[:12]}{target.suffix[:16]}"


def make_folder(path: Path) -> Path:
    """Make a folder and those above it; a plain line instead of a traceback when that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        said = disk_error(error, path)
        if not isinstance(said, DiskFullError):
            said = DiskFullError(f"{path}: cannot be made: {error.strerror}. Name another folder in the catalog.")
        raise said from error
    return path


def publish(path: Path, data: bytes, scratch: Scratch) -> None:
    """Write `data` to `path`, whole or not at all, and make it survive a power cut."""
    with publishing(path, scratch, needed=len(data)) as temporary, temporary.open("wb") as file:
        file.write(data)


@contextlib.contextmanager
def publishing(path: Path, scratch: Scratch, needed: int = 0) -> Iterator[Path]:
    """Yield a scratch path; when the block ends well, flush it and rename it to `path`, else delete it.

    `needed` is the number of bytes that the block will write, for the message when they do not fit.
    Works for a file and for a folder.
    """
    temporary = scratch.new(path)
    try:
        yield temporary
        flush(temporary)
        make_folder(path.parent)
        temporary.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        raise disk_error(error, path, needed, size_on_disk(temporary)) from error
    finally:
        remove(temporary)


@contextlib.contextmanager
def telling(path: Path, needed: int = 0) -> Iterator[None]:
    """Turn a disk that is full or refuses to be written into one clear line."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, path, needed) from error


def flush(path: Path) -> None:
    """Flush a file, or every file and folder below a folder, to the disk."""
    if path.is_dir():
        for entry in path.iterdir():
            flush(entry)
        flush_folder(path)
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # macOS: fsync leaves the data in the drive's own cache; this request empties that too
        if (full := getattr(fcntl, "F_FULLFSYNC", None)) is not None:
            with contextlib.suppress(OSError):  # not every file system there knows it; fsync follows in any case
                fcntl.fcntl(descriptor, full)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(path: Path) -> None:
    """Flush a folder's own entries (its names) to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # some network file systems refuse to fsync a folder; nothing better exists there
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Delete a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def size_on_disk(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; 0 where there is none."""
    if path.is_dir():
        return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
    return path.stat().st_size if path.exists() else 0


def may_share_blocks(source: Path, target: Path) -> bool:
    """Say whether a copy from one folder to another may take no space: APFS and some of Linux can do that in a volume.

    Format: proc(5), mountinfo. A device that is not in it, as of a btrfs subvolume, may share blocks.
    """
    device = existing(source).stat().st_dev
    if existing(target).stat().st_dev != device:
        return False
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines():
            mounted, _, kind = line.partition(" - ")
            if mounted.split(" ")[2] == f"{os.major(device)}:{os.minor(device)}":
                return kind.split(" ")[0] in SHARING
    return True


def existing(folder: Path) -> Path:
    """Return a folder, or the nearest above it that is there."""
    while not folder.exists():
        folder = folder.parent
    return folder


def disk_error(error: OSError, path: Path, needed: int = 0, written: int = 0) -> Exception:
    """Turn an operating system's refusal to write into one clear line; anything else is returned as it is.

    `needed` is the size of what did not fit; where it is not known, `written` is what had been written by then.
    """
    if error.errno in FULL:
        free = shutil.disk_usage(existing(path)).free
        wanted = f"{needed:,} bytes needed, " if needed else f"more than {written:,} bytes needed, " if written else ""
        return DiskFullError(
            f"{path}: disk full or file size limit reached: {wanted}{free:,} bytes free"
            f" ({error.strerror}). Free some space and run the same command again; finished work is kept."
        )
    if error.errno in {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.EISDIR,
        errno.ENOTEMPTY,
    }:
        return DiskFullError(
            f"{path}: cannot be written: {error.strerror}. See what stands there and whether it may be written; run"
            " again."
        )
    return error


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse work up front whose output will not fit: `needed` bytes below `folder`.

    Raises DiskFullError with both numbers.
    """
    free = shutil.disk_usage(existing(folder)).free
    if needed > free:
        raise DiskFullError(
            f"{what}: disk full: {needed:,} bytes needed below {folder}, {free:,} bytes free. Free some space and run"
            " the same command again; finished work is kept."
        )
