"""Whose a folder is: a mark in it names the collection that made its files.

Without it two catalogs that name one folder would replace each other's files, each sure that they are its own. A
collection is known by its cache, which has a mark with an id: folders may be moved and mounted elsewhere.
"""

import uuid
from collections.abc import Collection
from pathlib import Path

import msgspec

from earmark.disk.files import Scratch, make_folder, publish
from earmark.disk.junk import OWNER_NAME
from earmark.errors import ForeignError
from earmark.json_bytes import json_bytes


class Owner(msgspec.Struct, frozen=True):
    """A collection: the id of its cache, where the cache is, and its catalog, as they were when it was last marked."""

    cache: str
    folder: str
    catalog: str


def read_mark(folder: Path) -> Owner | None:
    """Return the owner that a folder's mark names; None where there is no mark, or a damaged one."""
    try:
        return msgspec.json.decode((folder / OWNER_NAME).read_bytes(), type=Owner)
    except (OSError, msgspec.MsgspecError):
        return None


def require_own_cache(cache: Path, catalog: Path, names: Collection[str]) -> None:
    """Raise ForeignError for a cache with files in it that have none of `names`, or one of a catalog elsewhere.

    Catalogs of one folder may share a cache, and one that was moved or copied with its catalog is its own.
    """
    found = read_mark(cache)
    if found is None:
        if not (cache / "receipts").is_dir():  # as earlier versions left it
            _require_nothing_else(cache, names)
        return
    other, still_here = Path(found.catalog), Path(found.folder).is_dir() and Path(found.folder).samefile(cache)
    if still_here and other.is_file() and not other.parent.samefile(catalog.parent):
        raise ForeignError(
            f"{cache}: it is the cache of {other}. Name another paths.cache in {catalog.name}: two collections that"
            " share one would take each other's receipts for their own."
        )


def mark_cache(cache: Path, catalog: Path, scratch: Scratch) -> Owner:
    """Return the owner of a cache, after marking one that has no mark, or that of another catalog."""
    found = read_mark(cache)
    owner = Owner(found.cache if found else uuid.uuid4().hex, str(cache), str(catalog))
    if owner == found:
        return found
    publish(cache / OWNER_NAME, json_bytes(msgspec.to_builtins(owner)), scratch)
    return owner


def take(folder: Path, owner: Owner, scratch: Scratch, *, made_here: bool, name: str) -> None:
    """Mark a folder of files that are made as a collection's own, or raise ForeignError where it is not.

    `made_here`: receipts say that the collection made files in it, before there were marks. `name` is the catalog's key
    by which another folder is chosen.
    """
    found = read_mark(folder)
    if found is not None and found.cache == owner.cache:
        return
    if found is not None and found.catalog != owner.catalog:
        raise ForeignError(
            f"{folder}: it was made by {found.catalog}. Name another {name}: two collections that share one would"
            " replace each other's files."
        )
    if found is None and not made_here and _has_entries(folder):
        raise ForeignError(
            f"{folder}: there are files in it that earmark did not make. Move them away, or name another {name}."
        )
    make_folder(folder)
    publish(folder / OWNER_NAME, json_bytes(msgspec.to_builtins(owner)), scratch)


def _has_entries(folder: Path) -> bool:
    return folder.is_dir() and next(folder.iterdir(), None) is not None


def _require_nothing_else(cache: Path, names: Collection[str]) -> None:
    others = sorted(entry.name for entry in cache.iterdir() if entry.name not in names) if cache.is_dir() else []
    if others:
        raise ForeignError(
            f"{cache}: expected a folder for the cache alone, got one with {len(others):,} other entries (such as"
            f" {others[0]}). Name another paths.cache."
        )
