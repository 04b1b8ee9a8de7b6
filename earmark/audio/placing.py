"""Putting a standard file in its place, where nothing but what earmark made is ever replaced.

Rows of tables and journals say what was made. A worker that is killed between putting a file there and its row leaves
a file that no row names: so the file is noted before, by its inode.
"""

import contextlib
import os
import stat
from collections.abc import Collection
from pathlib import Path

import orjson

from earmark.disk.files import Scratch
from earmark.disk.hashing import BLOCK_BYTES, hash_file
from earmark.errors import ForeignError
from earmark.json_bytes import json_bytes

NOTES = "journal-placed"  # in the scratch folder, whose sweep spares it; of one shard at a time


def place(temporary: Path, target: Path, made: Collection[str], scratch: Scratch) -> None:
    """Rename a finished standard file to its place; `made` are the hashes of files that were made for it before.

    What is there and was made so is replaced. What was made and changed since is renamed to `<name>.edited`. Raises
    ForeignError for what was never made, AbsentError where the folder is another one by now.
    """
    scratch.volumes.require(target)
    before = _lstat(target)
    if before is not None and not _is_ours(before, target, temporary, made, scratch):
        if not made:
            raise ForeignError(
                f"{target}: a file that earmark did not make is in the place of a standard file. Move it away, or name"
                " another paths.standard, and run again."
            )
        _note(scratch, {"kept": str(_keep_edited(target))})
    _note(scratch, {"placed": _marks(temporary.stat())})
    temporary.replace(target)


def kept(scratch: Scratch) -> list[Path]:
    """Return what was renamed to `<name>.edited` since the notes were begun."""
    return [Path(str(note["kept"])) for note in _notes(scratch) if "kept" in note]


def forget(scratch: Scratch) -> None:
    """Delete the notes: by now a table names all that was placed."""
    (scratch.tmp / NOTES).unlink(missing_ok=True)


def _is_ours(before: os.stat_result, target: Path, temporary: Path, made: Collection[str], scratch: Scratch) -> bool:
    if not stat.S_ISREG(before.st_mode):
        return False
    if made and hash_file(target) in made:
        return True
    if _has_nothing_else(target, temporary):
        return True
    return any(note.get("placed") == _marks(before) for note in _notes(scratch))


def _has_nothing_else(target: Path, temporary: Path) -> bool:
    """Say whether a file is the new one, whole or cut short, or with zeros in it, as a power cut leaves it."""
    with target.open("rb", buffering=0) as old, temporary.open("rb", buffering=0) as new:
        while block := old.read(BLOCK_BYTES):
            wanted = new.read(len(block))
            pages = range(0, len(block), 512)
            if block != wanted and any(
                block[at : at + 512] not in (wanted[at : at + 512], bytes(len(block[at : at + 512]))) for at in pages
            ):
                return False
    return True


def _keep_edited(target: Path) -> Path:
    place, n = target.with_name(f"{target.name}.edited"), 1
    while os.path.lexists(place):
        n += 1
        place = target.with_name(f"{target.name}.edited-{n}")
    return target.rename(place)


def _marks(status: os.stat_result) -> list[int]:
    """Return what a rename keeps and neither an edit nor another file has."""
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _note(scratch: Scratch, note: dict[str, object]) -> None:
    # one write of less than a page, appended: workers share the file
    descriptor = os.open(scratch.tmp / NOTES, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, json_bytes(note) + b"\n")
    finally:
        os.close(descriptor)


def _notes(scratch: Scratch) -> list[dict[str, object]]:
    found = []
    with contextlib.suppress(FileNotFoundError):
        for line in (scratch.tmp / NOTES).read_bytes().splitlines():
            with contextlib.suppress(ValueError):  # torn by a power cut
                note = orjson.loads(line)
                found += [note] if isinstance(note, dict) else []
    return found


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
