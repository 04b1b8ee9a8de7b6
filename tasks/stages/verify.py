"""verify: read every sealed file again; damaged files that can be made again are moved away, so that a run makes them.

Moved, not deleted: what damaged a file may be worth knowing. Sources are never touched.
"""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from earmark.audio.table import read_good
from earmark.catalog.project import Project
from earmark.disk.files import make_folder
from earmark.disk.hashing import hash_file
from earmark.disk.inside import locate
from earmark.disk.names import fitting
from earmark.disk.receipts import SealedFile
from earmark.disk.shards import read_rows
from earmark.errors import AbsentError, EarmarkError
from earmark.features.packs import verify_pack
from earmark.workers.prefetch import threaded_prefetch
from tasks.engine import deletions
from tasks.engine.judge import broken, receipt_of
from tasks.engine.stage import Run
from tasks.engine.units import Unit
from tasks.stages import archive_records, features, presence, scan, standard_files
from tasks.stages.combined import combined_tasks
from tasks.stages.joint import CombinedFiles
from tasks.stages.standardize import StandardizedShard
from tasks.terminal import say

READERS = 4  # files hashed at a time: hashing is faster than one disk
LOOKAHEAD = 64  # files hashed ahead of the one that is reported


class Check(NamedTuple):
    """A file to read again, with the size and hash that it should have; a `source` cannot be made again.

    `unread`: it lists other files, and why it could not be read.
    """

    path: Path
    size: int
    xxh3: str
    source: bool = False
    unread: str = ""


class Found(NamedTuple):
    """What reading a file again came to: what is wrong with it, or ""; `unread`: its bytes were not seen."""

    check: Check
    fault: str = ""
    unread: bool = False


class _Counts:
    """Counts what was read, and prints what is wrong. What could not be read is no verdict: it stays as it is."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.read = self.damaged = self.unread = 0

    def count(self, found: Found, remedy: Callable[[Path], str]) -> None:
        """Count a file; `remedy` does what can be done about a damaged one, and says what is left to do."""
        path = found.check.path
        self.read += 1
        if found.unread:
            self.unread += 1
            say(f"!! {self.project.relative(path)}: {found.fault}. Check the disk, and whether it may be read.")
        elif found.fault:
            self.damaged += 1
            say(f"!! {self.project.relative(path)}: {found.fault}. {remedy(path)}")

    def words(self) -> str:
        """Return the last line."""
        unread = f", {self.unread:,} that cannot be read" if self.unread else ""
        return f"{self.read - self.unread:,} files and packs read, {self.damaged:,} damaged{unread}"


def verify(run: Run, datasets: list[str]) -> int:
    """Read datasets again and print what is damaged; return how many files are damaged or cannot be read."""
    project = run.project
    counts = _Counts(project)
    for dataset in datasets:
        sources, made_here = _sources_remedy(project, dataset), _remedy(project, f"features:{dataset}")
        files = list(_or_unread(_sealed(run, dataset), project.cache))
        with run.log.progress(f"verify:{dataset}", len(files)) as bar:
            for found in threaded_prefetch(_check, files, READERS, LOOKAHEAD):
                bar.advance(1)
                counts.count(found, sources if found.check.source else made_here)
        for check in _or_unread(_packs(project, dataset), project.cache):
            counts.count(_check_pack(check), made_here)
    for check, task in _combined(project, datasets):
        counts.count(_check(check), _remedy(project, task))
    say(counts.words())
    return counts.damaged + counts.unread


def _as_check(project: Project, sealed: SealedFile) -> Check:
    return Check(project.home / sealed.path, sealed.size, sealed.xxh3)


def _combined(project: Project, datasets: list[str]) -> Iterator[tuple[Check, str]]:
    """Yield the files of joint manifests and jobs all of whose datasets are verified, with the names of their tasks."""
    for name, task in combined_tasks(project).items():
        receipt = receipt_of(project, task.unit, CombinedFiles) if set(task.datasets) <= set(datasets) else None
        for sealed in receipt.outputs.files.values() if receipt else ():
            yield _as_check(project, sealed), name


def _sealed(run: Run, dataset: str) -> Iterator[Check]:
    """Yield every sealed file of a dataset."""
    project = run.project
    for stage in run.stages:
        receipt = receipt_of(project, Unit(stage.name, dataset), stage.whole.outputs)
        for sealed in sealed_files(receipt.outputs) if receipt else ():
            yield _as_check(project, sealed)
    sources = _present(run, lambda: presence.require_present(project, dataset))
    standard = _present(run, lambda: standard_files.require_standard(project, dataset))
    for shard in scan.known_shards(project, dataset):
        yield from _or_unread(_shard(project, dataset, shard, sources=sources, standard=standard), project.cache)


def _or_unread(checks: Iterator[Check], place: Path) -> Iterator[Check]:
    """Yield checks; where a list of files cannot be read, that, and nothing more of it."""
    try:
        yield from checks
    except OSError as error:
        yield Check(Path(error.filename or place), 0, "", unread=f"cannot be read ({error.strerror})")


def _shard(project: Project, dataset: str, shard: str, *, sources: bool, standard: bool) -> Iterator[Check]:
    """Yield the files of a shard."""
    if sources and scan.list_intact(project, dataset, shard):
        yield from _sources(project, dataset, shard)
    shard_receipt = receipt_of(project, Unit("standardize", dataset, shard), StandardizedShard)
    if shard_receipt is None:
        return
    table = shard_receipt.outputs.table
    yield _as_check(project, table)
    if standard and not broken(project, [table]):  # a damaged table would call whole files damaged
        yield from _standard_files(project, dataset, shard)


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


def _packs(project: Project, dataset: str) -> Iterator[Check]:
    """Yield the packs that a dataset's receipts name."""
    packs: set[Path] = set()
    for shard in scan.known_shards(project, dataset):
        receipt = receipt_of(project, Unit(features.NAME, dataset, shard), features.EncodedShard)
        packs |= set(features.packs_of(project, receipt)) if receipt else set()
    for pack in sorted(packs):
        yield Check(pack, 0, "")


def _check(check: Check) -> Found:
    """Read one file again."""
    if check.unread:
        return Found(check, check.unread, unread=True)
    try:
        size = check.path.stat().st_size
        if size != check.size:
            return Found(check, f"{size:,} bytes instead of {check.size:,}")
        return Found(check, "" if hash_file(check.path) == check.xxh3 else "same size, other content")
    except (FileNotFoundError, NotADirectoryError):
        return Found(check, "gone")
    except OSError as error:
        return Found(check, f"cannot be read ({error.strerror})", unread=True)


def _check_pack(check: Check) -> Found:
    """Read one pack again."""
    if check.unread:
        return Found(check, check.unread, unread=True)
    try:
        faults = verify_pack(check.path) if check.path.exists() else ["gone"]
    except OSError as error:
        return Found(check, f"cannot be read ({error.strerror})", unread=True)
    except AbsentError as error:
        return Found(check, f"cannot be read ({getattr(error.__cause__, 'strerror', error)})", unread=True)
    return Found(check, next(iter(faults), ""))


def _remedy(project: Project, task: str) -> Callable[[Path], str]:
    """Return what sets a damaged file aside that a task makes again, and says so."""
    return lambda path: f"{_set_aside(project, path)}`doit {task}` makes it again."


def _sources_remedy(project: Project, dataset: str) -> Callable[[Path], str]:
    """Return what says how to mend a source: from an archive that is there and holds it, or else from elsewhere.

    A source is never deleted, and no message says that it should be: it may be the only copy, or an edit.
    """
    holding: dict[str, str] | None = None  # read at the first damaged source: a list may have a million lines
    edited = f"if you edited it, run `doit scan:{dataset}`."

    def remedy(path: Path) -> str:
        nonlocal holding
        if holding is None:
            holding = archive_records.members_here(project, dataset)
        if archive := holding.get(os.path.relpath(path, project.folder(dataset))):
            return (
                f"It is a source, and {archive} holds it: move it away and run `doit -a extract:{dataset}`, which"
                f" restores it; or, {edited}"
            )
        if deleted := deletions.words(project, dataset):
            return f"It is a source: {deleted} Or, {edited}"
        return f"It is a source, and no archive on this disk holds it: restore it from a copy of yours; or, {edited}"

    return remedy


def _set_aside(project: Project, path: Path) -> str:
    """Move a damaged file away, if it is there, and return in words where to."""
    if not path.exists():
        return ""
    aside = make_folder(project.cache / "damaged") / fitting(f"{uuid.uuid4().hex[:6]}-{path.name}")
    shutil.move(str(path), str(aside))
    return f"Set aside as {project.relative(aside)}; "
