"""Whose a folder is: a mark in it names the collection that made its files.

Without it two catalogs that name one folder would replace each other's files, each sure that they are its own. A
collection is known by its cache, which has a mark with an id: folders may be moved and mounted elsewhere.
"""

import contextlib
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from earmark.disk.files import Scratch, make_folder, publish
from earmark.disk.hashing import digest
from earmark.disk.junk import OWNER_NAME
from earmark.disk.receipts import is_receipt
from earmark.errors import ForeignError
from earmark.json_bytes import json_bytes

# The folders of a cache in which nothing is published before the first receipt.
MADE_WITH_RECEIPTS = frozenset(
    {"receipts", "shards", "watch", "findings", "audio", "quarantine", "defects", "features", "damaged"}
)


class Owner(msgspec.Struct, frozen=True, omit_defaults=True):
    """A collection: the id of its cache, where the cache is, and its catalog, as they were when it was last marked.

    `place`: where the marked folder was, of one that is not the cache. `users`, of a cache: the files of all catalogs
    that use it, in the folder of `catalog`.
    """

    cache: str
    folder: str
    catalog: str
    place: str = ""
    users: tuple[str, ...] = ()


def read_mark(folder: Path) -> Owner | None:
    """Return the owner that a folder's mark names; None where there is no mark, or a damaged one."""
    try:
        raw = msgspec.json.decode((folder / OWNER_NAME).read_bytes(), type=dict[str, Any])
        if raw.pop("seal", None) not in (None, digest("owner", raw)):  # one changed letter names another collection
            return None
        return msgspec.convert(raw, Owner)
    except (OSError, ValueError, msgspec.MsgspecError):  # ValueError: bytes that are no UTF-8
        return None


def _dump(owner: Owner) -> bytes:
    raw = msgspec.to_builtins(owner)
    return json_bytes(raw | {"seal": digest("owner", raw)})


def users_of(cache: Path) -> list[Path]:
    """Return the catalogs that use a cache, those too that are no longer there."""
    mark = read_mark(cache)
    return [Path(mark.catalog).with_name(name) for name in mark.users] if mark else []


def require_own_cache(cache: Path, catalog: Path, names: Collection[str]) -> None:
    """Raise ForeignError for a cache with files in it that are not ours, or one of a catalog elsewhere.

    What is ours has one of `names`, and of an earlier version, which left no mark, there are receipts. Catalogs of one
    folder may share a cache, and one that was moved or copied with its catalog is its own.
    """
    found = read_mark(cache)
    if found is None:
        if not (cache / OWNER_NAME).exists() and not any(map(is_receipt, (cache / "receipts").rglob("*.json"))):
            _require_nothing_else(cache, catalog, names)
        return
    other, still_here = Path(found.catalog), Path(found.folder).is_dir() and Path(found.folder).samefile(cache)
    if still_here and other.is_file() and not other.parent.samefile(catalog.parent):
        raise ForeignError(
            f"{cache}: it is the cache of {other}. Name another paths.cache in {catalog.name}: two collections that"
            " share one would take each other's receipts for their own."
        )


def owner_of(cache: Path, catalog: Path) -> Owner:
    """Return the mark that a cache has or will have. Nothing is written.

    A copy of a cache that is still where it was gets an id of its own.
    """
    found = read_mark(cache)
    here, users = str(cache.absolute()), found.users if found else ()
    name = catalog.name
    known = found.cache if found and not _is_copy(cache, found, found.folder) else uuid.uuid4().hex
    return Owner(known, here, str(catalog.absolute()), users=users if name in users else (*users, name))


def mark_cache(cache: Path, owner: Owner, scratch: Scratch) -> Owner:
    """Mark a cache, unless it is marked so. Raises ForeignError if another run marked it since it was looked at."""
    found = read_mark(cache)
    if owner == found:
        return found
    if found is not None and found.folder == owner.folder and found.cache != owner.cache:
        raise ForeignError(f"{cache}: it was begun by another run a moment ago. Run again.")
    publish(cache / OWNER_NAME, _dump(owner), scratch)
    return owner


def take(folder: Path, owner: Owner, scratch: Scratch, *, made_here: bool, name: str) -> None:
    """Mark a folder of files that are made as a collection's own, or raise ForeignError where it is not.

    `made_here`: receipts say that the collection made files in it, before there were marks. `name` is the catalog's key
    by which another folder is chosen.
    """
    found = read_mark(folder)
    ours = msgspec.structs.replace(owner, place=str(folder.absolute()), users=())
    if found == ours:
        return
    require_not_another_s(folder, owner, name)
    if found is None and not made_here and _has_entries(folder):
        raise ForeignError(
            f"{folder}: there are files in it that earmark did not make. Move them away, or name another {name}."
        )
    make_folder(folder)
    publish(folder / OWNER_NAME, _dump(ours), scratch)


def require_not_another_s(folder: Path, owner: Owner, name: str) -> None:
    """Raise ForeignError for a folder whose mark names another collection; `name` is the catalog's key of it."""
    found = read_mark(folder)
    if found is None or _may_take_over(folder, found, owner):
        return
    gone = "" if Path(found.catalog).exists() else f"; or, if that collection is given up, delete {folder / OWNER_NAME}"
    raise ForeignError(
        f"{folder}: it was made by {found.catalog}. Name another {name}: two collections that share one would replace"
        f" each other's files{gone}."
    )


def _may_take_over(folder: Path, found: Owner, owner: Owner) -> bool:
    """Say whether a marked folder is a collection's own: made with its cache, or one at its place; or a copy."""
    return found.cache == owner.cache or found.catalog == owner.catalog or _is_copy(folder, found, found.place)


def _is_copy(folder: Path, mark: Owner, place: str) -> bool:
    """Say whether a marked folder is a copy of one that is still at its place."""
    original = read_mark(Path(place)) if place else None
    if original is None or original.cache != mark.cache:
        return False
    with contextlib.suppress(OSError):
        return not Path(place).samefile(folder)
    return False


def _has_entries(folder: Path) -> bool:
    return folder.is_dir() and next(folder.iterdir(), None) is not None


def _require_nothing_else(cache: Path, catalog: Path, names: Collection[str]) -> None:
    entries = sorted(cache.iterdir()) if cache.is_dir() else []
    if others := [path.name for path in entries if path.name not in names or _is_somebody_s(path)]:
        raise ForeignError(
            f"{cache}: expected a folder for the cache alone, got one with {len(others):,} other entries (such as"
            f" {others[0]}). Name another paths.cache in {catalog.name}."
        )


def _is_somebody_s(path: Path) -> bool:
    """Say whether something in a place of ours has files, in a cache without a receipt.

    A first run that was killed had lists of members, models and unfinished files at the most.
    """
    if path.name == "members":
        files = [file for file in path.rglob("*") if not file.is_dir()]
        return not all(file.suffix == ".jsonl" and _begins(file, b'{"path"') for file in files)
    if path.name == "run.lock":
        return not (path.is_file() and _begins(path, b"`doit"))
    return path.name in MADE_WITH_RECEIPTS and (not path.is_dir() or any(not file.is_dir() for file in path.rglob("*")))


def _begins(path: Path, head: bytes) -> bool:
    with path.open("rb") as file:
        return head.startswith(file.read(len(head)))  # an empty file is nobody's
