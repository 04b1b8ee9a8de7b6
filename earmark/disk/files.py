"""Files that are either whole or not there: written in a scratch folder, flushed, renamed, their folder flushed.

Guaranteed: a reader never sees half a file under its final name, whenever the process dies. After a power cut the
content is there if the disk did what it was asked to by fsync. Not guaranteed: anything against two runs at a time,
which the run's lock excludes.
"""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from earmark.disk.hashing import hash_bytes
from earmark.disk.junk import SCRATCH_NAME
from earmark.disk.volumes import NO_VOLUMES, Volumes
from earmark.errors import DiskFullError

SHARING = {"bcachefs", "btrfs", "ocfs2", "xfs", "zfs"}  # Linux file systems in which files may share blocks
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # EFBIG: a limit on the size of one file
REFUSED = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENOTEMPTY,
}
EARLIER = re.compile(r"(extract|nested|journal)-.+|[0-9a-f]{12}(\..{0,15})?(\..*)?")  # names of unfinished files
OTHERS = re.compile("[0-9a-f]{8}|[0-9a-f]{32}")  # a scratch folder of another cache, see `Scratch.id`; never our file


@dataclass(frozen=True)
class Scratch:
    """Where unfinished files are: in `.earmark-tmp` of the cache, and on any other volume in a folder of that name.

    The name is the proof that what is swept is ours: a cache may be any folder of the user's, with a `tmp` of its own.
    A rename is atomic within one file system only, so a target is written on the file system that it will be on.
    `roots` are the folders in which `.earmark-tmp` is made; on other volumes it has a folder of our own, `id`, which is
    that of the cache. `volumes` are looked at before anything is put into a folder.
    """

    tmp: Path
    roots: tuple[Path, ...] = ()
    id: str = ""
    volumes: Volumes = NO_VOLUMES

    def folder(self, near: Path) -> Path:
        """Return (and make) the scratch folder on the file system of `near`. Raises AbsentError, DiskFullError."""
        self.volumes.require(near)
        self.volumes.require(self.tmp)
        make_folder(self.tmp)
        home = nearest_existing(near)
        if home.stat().st_dev == self.tmp.stat().st_dev:
            return self.tmp
        if not home.is_dir():
            home = home.parent
        for root in self.roots:
            if root.is_dir() and home.is_relative_to(root) and root.stat().st_dev == home.stat().st_dev:
                home = root
        return make_folder(self._below(home))

    def find(self, name: str, near: Path) -> Path | None:
        """Return what an unfinished run left under a name in the folder that `folder(near)` would return, or None.

        Makes no folder: asking for it is looking, and looking writes nothing.
        """
        places = (folder / name for folder in (self.tmp, *map(self._below, (*self.roots, near))))
        return next((path for path in places if path.exists()), None)

    def _below(self, home: Path) -> Path:
        # Two collections may share a volume, and two machines may have them at the same path: neither deletes what the
        # other is writing.
        return home / SCRATCH_NAME / (self.id or hash_bytes(str(self.tmp).encode())[:8])

    def sweep(self, keep: tuple[str, ...]) -> None:
        """Delete what a killed run left in the scratch folders, except names that begin with one of `keep`."""
        for folder in (self.tmp, *map(self._below, self.roots)):
            if folder.is_symlink():  # none of ours, and it would lead to somebody's own files
                continue
            for entry in folder.iterdir() if folder.is_dir() else ():
                if not entry.name.startswith(keep) and not OTHERS.fullmatch(entry.name):
                    remove(entry)

    def adopt(self, earlier: Path) -> None:
        """Take over what earlier versions left unfinished, in a folder of the cache that may also be the user's.

        Nothing of it, if it has any name that those versions did not give. On other volumes theirs had a name of its
        own, made of the path of that folder.
        """
        found = sorted(earlier.iterdir()) if earlier.is_dir() and not earlier.is_symlink() else []
        if not found or not all(EARLIER.fullmatch(path.name) for path in found):
            return
        make_folder(self.tmp)
        for path in found:
            if not (self.tmp / path.name).exists():
                path.rename(self.tmp / path.name)
        for root in self.roots:
            there = root / SCRATCH_NAME / hash_bytes(str(earlier).encode())[:8]
            if there.is_dir() and not self._below(root).exists():
                there.rename(self._below(root))

    def new(self, target: Path) -> Path:
        """Return a fresh path to write before it is renamed to `target`."""
        return self.folder(target.parent) / f"{uuid.uuid4().hex[:12]}{target.suffix[:16]}"


def make_folder(path: Path) -> Path:
    """Make a folder and those above it, and return it. Raises DiskFullError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        clear = disk_error(error, path)
        if not isinstance(clear, DiskFullError):
            clear = DiskFullError(f"{path}: cannot be made: {error.strerror}. Name another folder in the catalog.")
        raise clear from error
    return path


def publish(path: Path, data: bytes, scratch: Scratch) -> None:
    """Write `data` to `path`, whole or not at all, and make it survive a power cut."""
    with publishing(path, scratch, needed=len(data)) as temporary, temporary.open("wb") as file:
        file.write(data)


@contextlib.contextmanager
def publishing(path: Path, scratch: Scratch, needed: int = 0) -> Iterator[Path]:
    """Yield a scratch path; if the block succeeds, flush and rename it to `path`, else delete it. Also for a folder.

    `needed` is the number of bytes that the block will write, for the message when they do not fit. Raises
    DiskFullError, and AbsentError where the folder is no longer the one that it was when the run began.
    """
    temporary = scratch.new(path)
    try:
        yield temporary
        flush(temporary)
        scratch.volumes.require(path)
        make_folder(path.parent)
        temporary.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        raise disk_error(error, path, needed, size_on_disk(temporary)) from error
    finally:
        remove(temporary)


@contextlib.contextmanager
def clear_disk_errors(path: Path, needed: int = 0) -> Iterator[None]:
    """Turn errors of writing to `path` within the block into DiskFullError where `disk_error` does."""
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
    except OSError as error:  # some network file systems refuse to fsync a folder; they offer nothing better
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Delete a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)  # what cannot be deleted now, the next run's sweep tries again
    else:
        path.unlink(missing_ok=True)


def size_on_disk(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; 0 where there is none."""
    if path.is_dir():
        return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
    return path.stat().st_size if path.exists() else 0


def may_share_blocks(source: Path, target: Path) -> bool:
    """Return whether a copy from one folder to another may take no space, as on APFS and some file systems of Linux.

    Only within one volume. Format: proc(5), mountinfo; a device that is not listed there, as of a btrfs subvolume, may
    share blocks.
    """
    device = nearest_existing(source).stat().st_dev
    if nearest_existing(target).stat().st_dev != device:
        return False
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines():
            mounted, _, kind = line.partition(" - ")
            if mounted.split(" ")[2] == f"{os.major(device)}:{os.minor(device)}":
                return kind.split(" ")[0] in SHARING
    return True


def real(path: Path) -> Path:
    """Return a path without links; of one that leads in a circle, as far as it leads anywhere.

    Path.resolve() raises RuntimeError there, and a single link would stop every command.
    """
    return Path(os.path.realpath(path))


def nearest_existing(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder


def disk_error(error: OSError, path: Path, needed: int = 0, written: int = 0) -> Exception:
    """Return a DiskFullError of one line for a disk that is full or refuses to be written; any other error as it is.

    `needed` is the size in bytes of what did not fit; where it is not known, `written` is what had been written of it.
    """
    if error.errno in FULL:
        free = shutil.disk_usage(nearest_existing(path)).free
        wanted = f"{needed:,} bytes needed, " if needed else f"more than {written:,} bytes needed, " if written else ""
        return DiskFullError(
            f"{path}: disk full or file size limit reached: {wanted}{free:,} bytes free"
            f" ({error.strerror}). Free some space and run the same command again; finished work is kept."
        )
    if error.errno in REFUSED:
        if (other := _other_file(error, path)) is not None:
            return DiskFullError(f"{other}: {error.strerror}. See what is there and whether it may be read; run again.")
        return DiskFullError(
            f"{path}: cannot be written: {error.strerror}. See what is there and whether it may be written; run again."
        )
    return error


def _other_file(error: OSError, path: Path) -> str | None:
    """Return the file that an error is of, where that is one which was read, and not `path` or what is written for it.

    None where the error does not say.
    """
    if not isinstance(error.filename, str) or error.filename2 is not None:
        return None
    named = Path(error.filename)
    ours = named == path or SCRATCH_NAME in named.parts or path.is_relative_to(named)
    return None if ours else error.filename


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise DiskFullError, with both numbers, before work begins whose `needed` bytes will not fit below `folder`."""
    free = shutil.disk_usage(nearest_existing(folder)).free
    if needed > free:
        raise DiskFullError(
            f"{what}: disk full: {needed:,} bytes needed below {folder}, {free:,} bytes free. Free some space and run"
            " the same command again; finished work is kept."
        )
