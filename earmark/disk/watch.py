"""What a tree looked like when it was scanned, so that an edit is noticed by stat alone.

Mode "files": size, mtime, ctime and inode of every file; ctime, since a program can set mtime back. Mode "folders":
mtime of every folder, which notices files that come and go, and is instant over millions of files; edits in place are
then found by a full scan or verify. Mode "content": the hash of every file, read at each look, for file systems whose
times or inode numbers say nothing.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson

from earmark.disk.entries import NOWHERE, is_folder_entry
from earmark.disk.hashing import digest, hash_bytes, hash_file
from earmark.disk.junk import UNSEEN

FILES_LIMIT = 100_000  # files; with watch = "auto", a larger tree is watched by its folders

Mode = Literal["files", "folders", "content"]


@dataclass(frozen=True)
class Snapshot:
    """Every watched entry by path: [size, mtime_ns, ctime_ns, inode], of a folder [mtime_ns].

    In mode "content": the size, and the two halves of its XXH3-128.
    """

    mode: Mode
    entries: dict[str, list[int]]

    @property
    def kind(self) -> str:
        """What is watched, in words: "files" or "folders"."""
        return "folders" if self.mode == "folders" else "files"


@dataclass(frozen=True)
class Changes:
    """Paths that came, changed or went."""

    new: list[str]
    changed: list[str]
    gone: list[str]

    def words(self, what: str) -> str:
        """Return the changes in words with counts; an empty string where there are none."""
        parts = []
        for verb, paths in (("new", self.new), ("changed", self.changed), ("gone", self.gone)):
            if paths:
                parts.append(f"{len(paths):,} {verb} (such as {paths[0]})")
        return f"{what}: {', '.join(parts)}" if parts else ""


def walk(root: Path, ignored: Iterable[str] = ()) -> Iterator[os.DirEntry[str]]:
    """Yield every file and folder below `root`, unsorted, a folder before what is in it.

    `ignored` are names that are passed over wherever they are, with all below them. Links to folders are followed, each
    folder once: a corpus may be linked together from several volumes, and a link may lead back up.
    """
    skip = UNSEEN | set(ignored)
    pending = [str(root)]
    entered = {_identity(root.stat())}
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                kept = [entry for entry in entries if entry.name not in skip]
        except (FileNotFoundError, NotADirectoryError):  # gone since its parent was listed
            continue
        for entry in kept:
            yield entry
            if is_folder_entry(entry):
                with contextlib.suppress(OSError):
                    identity = _identity(entry.stat())
                    if identity not in entered:
                        entered.add(identity)
                        pending.append(entry.path)


def _identity(status: os.stat_result) -> tuple[int, int]:
    """Return what no two folders share: device and inode."""
    return status.st_dev, status.st_ino


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Stat what an entry leads to, or a link to nowhere itself; None for what has just been deleted."""
    for follow in (True, False):
        try:
            return entry.stat(follow_symlinks=follow)
        except OSError as error:
            if error.errno not in NOWHERE:
                raise
    return None


def take(root: Path, watch: str, ignored: Iterable[str] = ()) -> Snapshot:
    """Look at a tree. `watch` is "files", "folders", "content" or "auto" (files up to 100,000)."""
    files: dict[str, list[int]] = {}
    folders = {".": [root.stat().st_mtime_ns]}
    start = len(str(root)) + 1
    for entry in walk(root, ignored):
        status = _stat(entry)
        if status is None:
            continue
        if is_folder_entry(entry):
            folders[entry.path[start:]] = [status.st_mtime_ns]
        elif watch == "content":
            files[entry.path[start:]] = _content(entry, status)
        elif watch != "folders":
            files[entry.path[start:]] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
            if watch == "auto" and len(files) > FILES_LIMIT:
                watch = "folders"  # from here on: the tree is not walked a second time
                files.clear()
    if watch == "folders":
        return Snapshot("folders", folders)
    return Snapshot("content" if watch == "content" else "files", files)


def _content(entry: os.DirEntry[str], status: os.stat_result) -> list[int]:
    """Return size and hash of a file; what cannot be read, or is none, counts as empty: its reader says why."""
    with contextlib.suppress(OSError):
        if entry.is_file():
            return [status.st_size, *divmod(int(hash_file(Path(entry.path)), 16), 1 << 64)]
    return [status.st_size, 0, 0]


def compare(root: Path, old: Snapshot, ignored: Iterable[str] = ()) -> Changes:
    """Stat the tree again and return what differs from the snapshot."""
    new = _stat_folders(root, old) if old.mode == "folders" else take(root, old.mode, ignored).entries
    return Changes(
        sorted(path for path in new if path not in old.entries),
        sorted(path for path, stat in new.items() if path in old.entries and old.entries[path] != stat),
        sorted(path for path in old.entries if path not in new),
    )


def _stat_folders(root: Path, old: Snapshot) -> dict[str, list[int]]:
    """Stat the folders that are known; a new one shows in the mtime of the folder above it."""
    times = {}
    for path in old.entries:
        try:
            times[path] = [(root / path).stat().st_mtime_ns]
        except OSError:  # deleted, which compare() reports
            continue
    return times


def _seal(seen: Mapping[str, object]) -> str:
    """Return the digest of a snapshot; names that are not UTF-8 are in it as JSON escapes them."""
    try:
        return digest("watch", seen)
    except TypeError:
        return hash_bytes(json.dumps(seen, sort_keys=True, allow_nan=False).encode())


def dump(snapshot: Snapshot) -> bytes:
    """Return a snapshot as JSON."""
    seen = {"mode": snapshot.mode, "entries": snapshot.entries}
    value = seen | {"seal": _seal(seen)}
    try:
        return orjson.dumps(value)
    except TypeError:  # a name that is not UTF-8, which orjson refuses; no reader takes it, but it is watched
        return json.dumps(value, allow_nan=False).encode()


def load(path: Path) -> Snapshot | None:
    """Read a snapshot; None when there is none or it is damaged."""
    try:
        if not path.is_file():  # a pipe would wait for ever
            return None
        data = path.read_bytes()
        # orjson refuses what stands for bytes that are not UTF-8, and reads everything else many times faster
        raw = json.loads(data) if b"\\udc" in data else orjson.loads(data)
        seen = {"mode": raw["mode"], "entries": raw["entries"]}
        if raw.get("seal", None) not in (None, _seal(seen)):  # earlier versions wrote none
            return None
        return Snapshot(raw["mode"], raw["entries"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
