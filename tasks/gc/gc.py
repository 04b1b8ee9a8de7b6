"""doit gc: list what nothing names any more, and with --yes delete it. Under the run lock.

Receipts are moved aside first, so that nothing believes them while their files go, and deleted last: a gc that was
interrupted finds in them what is left to do.
"""

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from earmark.catalog.project import Project
from earmark.disk.files import flush_folder, make_folder
from earmark.disk.junk import OWNER_NAME
from earmark.disk.owners import require_not_another_s
from earmark.disk.sqlite import delete as delete_database
from earmark.errors import ForeignError
from earmark.features.packs import SEAL
from tasks.engine.stage import Run
from tasks.gc import named, orphans
from tasks.gc.orphans import Found, Orphan
from tasks.report import human
from tasks.terminal import say

CHANGED_NAMED = 3  # files that were changed since they were made, named in a line


def collect(run: Run, *, yes: bool) -> None:
    """Print the orphans, and with `yes` delete them. Raises CatalogError."""
    found = orphans.find(run)
    for note in found.notes:
        run.log.note(note)
    for line in _lines(found):
        run.log.show(line)
    size = sum(orphan.size for orphan in found.orphans)
    if not found.orphans:
        say("nothing: all that earmark made is named by a receipt")
    elif not yes:
        say(f"would free {size:,} bytes ({human(size)}). Nothing was deleted: `doit gc --yes` deletes.")
    else:
        _delete(run.project, found)
        say(f"{size:,} bytes freed ({human(size)})")


def _lines(found: Found) -> Iterator[str]:
    for orphan in found.orphans:
        n_files = len(orphan.files)
        what = "packs" if orphan.kind == orphans.PACKS else "files"
        kind = "features" if orphan.kind == orphans.PACKS else orphan.kind
        yield f"{kind} of {orphan.of}: {n_files:,} {what}, {human(orphan.size)}"
    if found.changed:
        some = ", ".join(map(str, found.changed[:CHANGED_NAMED]))
        yield f"kept, as they were changed since they were made: {len(found.changed):,} files (such as {some})"


def totals(found: Found) -> dict[str, dict[str, int]]:
    """Return files and bytes by kind, as `doit audit --json` has them."""
    files: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for orphan in found.orphans:
        files[orphan.kind] += len(orphan.files)
        sizes[orphan.kind] += orphan.size
    return {kind: {"files": files[kind], "bytes": sizes[kind]} for kind in files}


def _delete(project: Project, found: Found) -> None:
    receipts = [orphan for orphan in found.orphans if orphan.kind == orphans.RECEIPTS]
    aside = [_set_aside(project, path) for orphan in receipts for path in orphan.files]
    for orphan in found.orphans:
        if orphan.kind == orphans.PACKS:
            for pack in orphan.files:
                _delete_pack(pack)
            _prune_encoder(project.cache / "features" / orphan.of)
        elif orphan.kind == orphans.ASIDE:
            for path in orphan.files:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        elif orphan.kind != orphans.RECEIPTS:
            _delete_files(project, orphan)
    for path in aside:
        path.unlink(missing_ok=True)
        _prune(path.parent, project.cache)


def _set_aside(project: Project, receipt: Path) -> Path:
    """Move a receipt to where nothing believes it; return its new path."""
    below = project.cache / "receipts"
    if not receipt.is_relative_to(below):
        return receipt  # an interrupted gc moved it
    target = project.cache / named.ASIDE / receipt.relative_to(below)
    make_folder(target.parent)
    receipt.replace(target)
    flush_folder(target.parent)
    flush_folder(receipt.parent)
    _prune(receipt.parent, below)
    return target


def _delete_files(project: Project, orphan: Orphan) -> None:
    roots = (project.standard, project.manifests, project.cache)
    for path in orphan.files:
        path.unlink(missing_ok=True)
        root = next((root for root in roots if path.is_relative_to(root)), path.parent)
        _prune(path.parent, root)
    if orphan.kind == orphans.AUDIO:
        _unmark(project, project.standard / orphan.of)


def _unmark(project: Project, folder: Path) -> None:
    """Delete a folder of standard audio that has nothing but our own mark in it."""
    with contextlib.suppress(ForeignError, FileNotFoundError):
        require_not_another_s(folder, project.identity, "paths.standard")
        if os.listdir(folder) == [OWNER_NAME]:
            (folder / OWNER_NAME).unlink()
            folder.rmdir()


def _delete_pack(pack: Path) -> None:
    """Delete the files that a pack's seal names, the seal last, and the folders that are empty then."""
    seal = orphans.sealed(pack)
    for name in seal.files if seal else ():
        (pack / name).unlink(missing_ok=True)
        _prune((pack / name).parent, pack)
    (pack / SEAL).unlink(missing_ok=True)
    _prune(pack, pack.parent)


def _prune_encoder(folder: Path) -> None:
    """Delete an encoder's folder once no pack is left in it; its index is derived from them."""
    if not any((folder / "packs").glob("*")):
        delete_database(folder / "index.db")
        for name in ("packs", "damaged", ""):
            _prune(folder / name, folder.parent)


def _prune(folder: Path, root: Path) -> None:
    """Delete a folder and those above it, below `root`, as far as they are empty."""
    with contextlib.suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent
