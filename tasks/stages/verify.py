"""verify: read every sealed file again; damaged files that can be made again are moved away, so that a run makes them.

Moved, not deleted: what damaged a file may be worth knowing. Sources are never touched. Read is all that a product was
made from: sources, standard audio, lists, tables, packs and the index over them, receipts, and the products themselves.
"""

import contextlib
import functools
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from earmark.audio.table import read_good
from earmark.catalog.project import Project
from earmark.disk import watch
from earmark.disk.faults import MachineError
from earmark.disk.files import make_folder
from earmark.disk.hashing import hash_file
from earmark.disk.inside import locate
from earmark.disk.names import fitting
from earmark.disk.receipts import SealedFile, is_receipt, read_receipt
from earmark.disk.shards import read_rows
from earmark.errors import EarmarkError
from earmark.features.pack_index import PackIndex
from earmark.features.packs import verify_pack
from earmark.workers.prefetch import threaded_prefetch
from tasks.engine import deletions
from tasks.engine.judge import broken, receipt_of
from tasks.engine.speed import part_receipts
from tasks.engine.stage import Run
from tasks.engine.units import Unit
from tasks.stages import archive_records, features, presence, scan, standard_files, standardize
from tasks.stages.combined import combined_tasks
from tasks.stages.joint import CombinedFiles
from tasks.stages.standardize import StandardizedShard
from tasks.terminal import say

READERS = 4  # files hashed at a time: hashing is faster than one disk
LOOKAHEAD = 64  # files hashed ahead of the one that is reported
UNREADABLE = "cannot be read"  # begins what is said of a file whose content is not known
_UNREAD = "It stays where it is, for its content is not known: see that the disk and its permissions are well."


class Check(NamedTuple):
    """A file to read again, with the size and hash that it should have; a `source` cannot be made again.

    `fault`: what is wrong with it, where that is known without reading it.
    """

    path: Path
    size: int = 0
    xxh3: str = ""
    source: bool = False
    fault: str = ""


class _Verification:
    """One verification of some datasets: what was read, and what of it is damaged."""

    def __init__(self, run: Run) -> None:
        self.run, self.project = run, run.project
        self.checked = self.damaged = 0
        self._packs: set[Path] = set()  # that were read already: datasets share packs

    def report(self, path: Path, fault: str, remedy: str) -> None:
        """Print what is damaged."""
        self.damaged += 1
        say(f"!! {self.project.relative(path)}: {fault}. {remedy}")

    def dataset(self, dataset: str) -> None:
        """Read one dataset again."""
        project = self.project
        # all paths before the first file is set aside: a damaged receipt says nothing of what it sealed
        checks, packs = list(_sealed(self.run, dataset)), _packs(project, dataset)
        with self.run.log.progress(f"verify:{dataset}", len(checks)) as bar:
            for check, fault in threaded_prefetch(_check, checks, READERS, LOOKAHEAD):
                bar.advance(1)
                self.checked += 1
                if fault:
                    self.report(check.path, fault, _act(project, dataset, check.path, check.source, fault))
        for folder in sorted({pack.parents[1] for pack in packs} - {pack.parents[1] for pack in self._packs}):
            self._index(folder)
        for pack in sorted(packs - self._packs):
            self.checked += 1
            if fault := _check_pack(pack):
                self.report(pack, fault, _act(project, dataset, pack, False, fault))
        self._packs |= packs

    def _index(self, folder: Path) -> None:
        """Compare the index over an encoder's packs with them. It is derived: a wrong one is made again at once."""
        self.checked += 1
        index = PackIndex(folder)
        with contextlib.closing(index):
            for fault in index.faults():
                self.report(folder / "index.db", fault, "It was made again from the packs.")

    def combined(self, datasets: list[str]) -> None:
        """Read joint manifests and jobs again."""
        for check, task in _combined(self.project, datasets):
            self.checked += 1
            if fault := _check(check)[1]:
                again = f"{_set_aside(self.project, check.path)}`doit {task}` makes it again."
                self.report(check.path, fault, _UNREAD if fault.startswith(UNREADABLE) else again)


def verify(run: Run, datasets: list[str]) -> int:
    """Read datasets again and print what is damaged; return the number of damaged files."""
    verification = _Verification(run)
    for dataset in datasets:
        verification.dataset(dataset)
    verification.combined(datasets)
    say(f"{verification.checked:,} files and packs read, {verification.damaged:,} damaged")
    return verification.damaged


def _as_check(project: Project, sealed: SealedFile) -> Check:
    return Check(project.home / sealed.path, sealed.size, sealed.xxh3)


def _combined(project: Project, datasets: list[str]) -> Iterator[tuple[Check, str]]:
    """Yield the files of joint manifests and jobs all of whose datasets are verified, with the names of their tasks."""
    for name, task in combined_tasks(project).items():
        if not set(task.datasets) <= set(datasets):
            continue
        for check in _receipts([project.receipt(task.unit.stage, task.unit.dataset)]):
            yield check, name
        receipt = receipt_of(project, task.unit, CombinedFiles)
        for sealed in receipt.outputs.files.values() if receipt else ():
            yield _as_check(project, sealed), name


def _receipts(paths: Iterable[Path]) -> Iterator[Check]:
    """Yield receipts; one that is not as it was sealed has its fault already."""
    for path in paths:
        if path.exists():
            yield Check(path, fault="" if is_receipt(path) else "not what was sealed")


def _sealed(run: Run, dataset: str) -> Iterator[Check]:
    """Yield every sealed file of a dataset, and what seals them."""
    project = run.project
    for name in (*(stage.name for stage in run.stages), deletions.STAGE):
        whole = project.receipt(name, dataset)
        yield from _receipts([whole, *sorted(whole.with_suffix("").glob("*.json"))])
    watched = project.watch_list(dataset)
    if watched.exists():
        yield Check(watched, fault="" if watch.load(watched) else "not what was seen")
    for stage in run.stages:
        receipt = receipt_of(project, Unit(stage.name, dataset), stage.whole.outputs)
        for sealed in sealed_files(receipt.outputs) if receipt else ():
            yield _as_check(project, sealed)
    for part in part_receipts(project, archive_records.STAGE, dataset):
        read = read_receipt(part, archive_records.ArchiveRead)
        if read is not None:  # also of an archive that the catalog names no longer
            yield _as_check(project, read.outputs.members)
    sources = _present(run, lambda: presence.require_present(project, dataset))
    standard = _present(run, lambda: standard_files.require_standard(project, dataset))
    for shard in _shards(project, dataset):
        yield from _shard(project, dataset, shard, sources, standard)


def _shards(project: Project, dataset: str) -> list[str]:
    """Return the names of a dataset's shards, those too that a lost receipt of scan no longer names."""
    parts = part_receipts(project, standardize.NAME, dataset) + part_receipts(project, features.NAME, dataset)
    return sorted({*scan.known_shards(project, dataset), *(path.stem for path in parts)})


def _shard(project: Project, dataset: str, shard: str, sources: bool, standard: bool) -> Iterator[Check]:
    listed = project.shard_list(dataset, shard)
    if sources and _intact(lambda: scan.list_intact(project, dataset, shard)):
        yield from _legible(listed, _sources(project, dataset, shard))
    receipt = receipt_of(project, Unit(standardize.NAME, dataset, shard), StandardizedShard)
    if receipt is None:
        return
    table = receipt.outputs.table
    yield _as_check(project, table)
    # a damaged table would call whole files damaged
    if standard and _intact(lambda: not broken(project, [table])):
        yield from _legible(project.home / table.path, _standard_files(project, dataset, shard))


def _intact(ask: Callable[[], bool]) -> bool:
    """Say whether a list is as it was sealed; one that cannot be read is not, and is reported as such."""
    try:
        return ask()
    except OSError:
        return False


def _legible(path: Path, checks: Iterator[Check]) -> Iterator[Check]:
    """Yield the checks of a list; a list that cannot be read to its end is one more, and the rest goes on."""
    try:
        yield from checks
    except (OSError, ValueError) as error:
        yield Check(path, fault=f"{UNREADABLE} ({error})")


def _standard_files(project: Project, dataset: str, shard: str) -> Iterator[Check]:
    for row in read_good(project.table(dataset, shard)):
        if row.file_size is not None and row.file_xxh3 is not None:
            yield Check(standard_files.audio_file(project, dataset, row.path), row.file_size, row.file_xxh3)


def sealed_files(outputs: msgspec.Struct) -> Iterator[SealedFile]:
    """Yield the files that a record of outputs seals: fields that are one sealed file, or several by name."""
    for name in outputs.__struct_fields__:
        value = getattr(outputs, name)
        for sealed in value.values() if isinstance(value, dict) else (value,):
            if isinstance(sealed, SealedFile):
                yield sealed


def _present(run: Run, require: Callable[[], None]) -> bool:
    """Return whether files are there to be checked; note why not."""
    try:
        require()
    except EarmarkError as error:
        run.log.note(f"not checked: {error}")
        return False
    return True


def _sources(project: Project, dataset: str, shard: str) -> Iterator[Check]:
    """Yield the source files of a shard; one that contains several recordings, which follow each other, once."""
    last = None
    for row in read_rows(project.shard_list(dataset, shard)):
        path = locate(project.root(dataset) / row.path).file
        if path != last:
            yield Check(path, row.size, row.source_hash, source=True)
        last = path


def _packs(project: Project, dataset: str) -> set[Path]:
    """Return the packs that a dataset's receipts name."""
    packs: set[Path] = set()
    for shard in _shards(project, dataset):
        receipt = receipt_of(project, Unit(features.NAME, dataset, shard), features.EncodedShard)
        packs |= set(features.packs_of(project, receipt)) if receipt else set()
    return packs


def _check(check: Check) -> tuple[Check, str]:
    """Read one file again; return it with what is wrong with it, or ""."""
    if check.fault or not check.xxh3:
        return check, check.fault
    try:
        size = check.path.stat().st_size
        if size != check.size:
            return check, f"{size:,} bytes instead of {check.size:,}"
        return check, "" if hash_file(check.path) == check.xxh3 else "same size, other content"
    except OSError as error:
        return check, f"{UNREADABLE} ({error.strerror})"


def _check_pack(pack: Path) -> str:
    """Read a pack again; return what is wrong with it, or ""."""
    try:
        return next(iter(verify_pack(pack)), "") if pack.exists() else "gone"
    except OSError as error:
        return f"{UNREADABLE} ({error.strerror})"
    except MachineError as error:
        return f"{UNREADABLE} ({error.reason})"


def _act(project: Project, dataset: str, path: Path, source: bool, fault: str) -> str:
    """Set a damaged file aside, unless it is a source, and return in words what to do."""
    if fault.startswith(UNREADABLE):
        return _UNREAD
    if source:
        return _source_remedy(project, dataset, path)
    return f"{_set_aside(project, path)}`doit features:{dataset}` makes it again."


def _source_remedy(project: Project, dataset: str, path: Path) -> str:
    """Say how to mend a source: from an archive that is there and holds it, or else from elsewhere.

    A source is never deleted, and no message says that it should be: it may be the only copy, or an edit.
    """
    edited = f"if you edited it, run `doit scan:{dataset}`."
    if archive := _members_here(project, dataset).get(os.path.relpath(path, project.folder(dataset))):
        return (
            f"It is a source, and {archive} holds it: move it away and run `doit -a extract:{dataset}`, which restores"
            f" it; or, {edited}"
        )
    if deleted := deletions.words(project, dataset):
        return f"It is a source: {deleted} Or, {edited}"
    return f"It is a source, and no archive on this disk holds it: restore it from a copy of yours; or, {edited}"


@functools.lru_cache(maxsize=1)
def _members_here(project: Project, dataset: str) -> dict[str, str]:
    """Return which archive on the disk holds each member; read at the first damaged source alone."""
    return archive_records.members_here(project, dataset)


def _set_aside(project: Project, path: Path) -> str:
    """Move a damaged file away, if it is there, and return in words where to."""
    if not path.exists():
        return ""
    aside = make_folder(project.cache / "damaged") / fitting(f"{uuid.uuid4().hex[:6]}-{path.name}")
    shutil.move(str(path), str(aside))
    return f"Set aside as {project.relative(aside)}; "
