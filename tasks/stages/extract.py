"""extract: unpack a dataset's archives, every member written, read back and sealed; or adopt the tree that is there.

Each archive has a receipt of its own, so that one new archive of ten is one archive's work.
"""

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from earmark.catalog.project import Project
from earmark.catalog.tables import ArchiveTable
from earmark.disk.files import make_folder, publishing
from earmark.disk.hashing import stat_key
from earmark.disk.receipts import Inputs, Receipt, SealedFile, make_key, publish_receipt, read_receipt
from earmark.errors import ArchiveError
from tasks.engine import deletions
from tasks.engine.judge import broken, seal_file
from tasks.engine.stage import Built, Rule, Run, Stage
from tasks.engine.units import Unit
from tasks.stages import archive_records, expectations, presence
from tasks.stages.archive_records import ArchiveRead

if TYPE_CHECKING:  # what reads archives is imported where they are read: status and plans never do
    from earmark.archives.staging import Extraction

NAME, VERSION = archive_records.STAGE, 1
TREE = "tree"  # the part under which a tree without its archives is recorded, in place of an archive's name


class Extracted(msgspec.Struct, frozen=True):
    """What a dataset's extraction seals: the list of members of each archive, or of a tree that was adopted."""

    members: dict[str, SealedFile]


class TreeRead(msgspec.Struct, frozen=True):
    """What the adoption of a tree without its archives seals."""

    members: SealedFile


class ExtractInputs(msgspec.Struct, frozen=True):
    """The part of the inputs of a dataset's extraction that cleanup compares: what the catalog says of each archive."""

    archives: dict[str, dict[str, object]]


def _inputs(run: Run, unit: Unit) -> Inputs:
    project = run.project
    presence.require_present(project, unit.dataset)
    table = project.dataset(unit.dataset)
    for archive in table.archives:
        for path in archive_records.files_of(project, unit.dataset, archive):
            if path.exists() and not path.is_file():  # opening a pipe would wait for ever
                raise ArchiveError(f"{project.relative(path)}: expected an archive, got a folder, a pipe or a device.")
        if archive_records.extraction_of(project, unit.dataset, archive.file) is None and not archive.generator:
            _require_archive(project, unit.dataset, archive)
    return {
        "archives": {archive.file: _archive_inputs(archive) for archive in table.archives},
        "root": table.root,
        "expect": {"folders": list(table.expect.folders), "files": dict(table.expect.files)},
    }


def _archive_inputs(archive: ArchiveTable) -> dict[str, object]:
    parts = {part.file: {"size": part.size, "sums": part.sums} for part in archive.parts}
    own: dict[str, object] = {
        "size": archive.size,
        "sums": archive.sums,
        "nested": list(archive.nested),
        "skip": list(archive.skip),
    }
    rest = {"rest": archive.rest} if archive.rest != "refuse" else {}  # absent by default: keys stay as they were
    return own | ({"parts": parts} if parts else {}) | rest


def _require_archive(project: Project, dataset: str, archive: ArchiveTable) -> None:
    path, table = project.folder(dataset) / archive.file, project.dataset(dataset)
    if path.exists() or _holds_tree(project, dataset):
        return
    source = f" from {table.home}" if table.home else ""
    size = f" ({archive.size:,} bytes)" if archive.size else ""
    raise ArchiveError(
        f"{project.relative(path)}: no such archive{size}. Download it{source} and put it there, or name another"
        f" paths.data or folder in {project.path.name}."
    )


def _intact(run: Run, unit: Unit, receipt: Receipt[Extracted]) -> list[str]:
    project = run.project
    problems = broken(project, receipt.outputs.members.values())
    if not presence.has_files(project.root(unit.dataset)):
        problems.append("the tree is gone")
    for archive in project.dataset(unit.dataset).archives:
        part = archive_records.extraction_of(project, unit.dataset, archive.file)
        paths = archive_records.files_of(project, unit.dataset, archive)
        there = all(path.exists() for path in paths)
        if part is None and there:
            problems.append(f"{archive.file} arrived since the tree was adopted without it")
        if part is not None and there and not archive_records.is_as_read(project, paths, part.outputs):
            problems.append(f"{archive.file} was replaced or touched: it must be read again")
    return problems


def _prepare(run: Run, unit: Unit) -> None:
    project = run.project
    for archive in project.dataset(unit.dataset).archives:
        path = project.folder(unit.dataset) / archive.file
        done = project.receipt(NAME, unit.dataset, archive_records.part_name(archive.file)).exists()
        if archive.generator and not path.exists() and not (done and presence.has_files(project.root(unit.dataset))):
            from earmark.demo import corpus

            run.log.note(f"{project.relative(path)}: synthesised here (a demonstration corpus, nothing is downloaded)")
            corpus.write_corpus(path, project.scratch)


def _build(run: Run, unit: Unit) -> Built[Extracted]:
    project, dataset = run.project, unit.dataset
    table = project.dataset(dataset)
    members: dict[str, SealedFile] = {}
    written, gone = 0, []
    for archive in table.archives:
        known = archive_records.extraction_of(project, dataset, archive.file)
        there = [path.exists() for path in archive_records.files_of(project, dataset, archive)]
        # some parts of a split archive that was extracted: cleanup was killed half-way, and its receipt still lists all
        if all(there) or (any(there) and known is None):
            part, wrote = _extract(run, dataset, archive)
            written += wrote
        elif known is None:  # neither here nor ever extracted: perhaps its tree is
            gone.append(archive.file)
            continue
        else:
            part = known
            _require_members(run, dataset, archive, part)
        members[archive.file] = part.outputs.members
    if gone:
        members[TREE] = _adopt(run, dataset, gone)
    files = expectations.require_expected(project, dataset)
    return Built(Extracted(members), {"archives": len(members), "files": files}, written)


def _extract(run: Run, dataset: str, archive: ArchiveTable) -> tuple[Receipt[ArchiveRead], int]:
    """Extract one archive, unless its receipt is current; return the receipt and the bytes written."""
    project, part = run.project, archive_records.part_name(archive.file)
    where, inputs = project.receipt(NAME, dataset, part), _archive_inputs(archive)
    key, known = make_key(f"{NAME}/archive", VERSION, inputs), read_receipt(where, ArchiveRead)
    if known is not None and known.key == key and _is_reusable(run, dataset, archive, known):
        return known, 0
    started = time.time()
    unpacked = _unpack(run, dataset, archive, project.members(dataset, part))
    hashes = [sums["xxh3"] for sums in unpacked.sums]
    project.memo.put(zip(map(stat_key, unpacked.stats), hashes, strict=True))
    outputs = ArchiveRead(
        archive_records.stat_of(unpacked.stats),
        archive_records.hash_of(hashes),
        seal_file(project, project.members(dataset, part)),
        started,  # not the end: a member that is written to meanwhile must be read again
        accounted=archive.rest == "refuse",
    )
    if unpacked.n_matched and not unpacked.written_bytes:
        run.log.note(
            f"{archive.file}: already extracted: {unpacked.n_matched:,} files on disk match it, none was written"
        )
    seconds = round(max(0.0, time.time() - started), 3)  # a clock that was set back meanwhile gives no negative time
    receipt = Receipt(f"{NAME}/archive", VERSION, key, inputs, outputs, _counts(unpacked), seconds)
    publish_receipt(where, receipt, project.scratch)
    return receipt, unpacked.written_bytes


def _is_reusable(run: Run, dataset: str, archive: ArchiveTable, known: Receipt[ArchiveRead]) -> bool:
    """Say whether a receipt is of this very archive and its tree is there; only a touched archive is read for it."""
    project = run.project
    if run.force or broken(project, [known.outputs.members]) or not presence.has_files(project.root(dataset)):
        return False
    paths = archive_records.files_of(project, dataset, archive)
    if known.outputs.archive_stat == archive_records.stat_of(path.stat() for path in paths):
        return True
    return archive_records.hash_of([project.memo.hash_file(path) for path in paths]) == known.outputs.archive_xxh3


def _unpack(run: Run, dataset: str, archive: ArchiveTable, members: Path) -> "Extraction":
    """Unpack an archive into the dataset's folder; publish the list of its members."""
    from earmark.archives import unpack

    project = run.project
    # a part of a split archive may be missing: reading it reports that
    there = [path for path in archive_records.files_of(project, dataset, archive) if path.exists()]
    label, size = f"{NAME}:{dataset} {archive.file}", sum(path.stat().st_size for path in there)
    with publishing(members, project.scratch) as temporary, run.log.progress(label, size, unit="bytes") as bar:
        return unpack.extract_archive(
            archive_records.source_of(project, dataset, archive),
            make_folder(project.folder(dataset)),
            temporary,
            scratch=project.scratch,
            staging_name=archive_records.staging_name(dataset, archive),
            on_bytes=bar.advance,
            memo=project.memo,
        )


def _counts(unpacked: "Extraction") -> dict[str, int]:
    return {
        "members": unpacked.n_members,
        "files": unpacked.n_files,
        "written": unpacked.n_written,
        "resumed": unpacked.n_resumed,
        "matched": unpacked.n_matched,
        "completed": unpacked.n_completed,
        "skipped": unpacked.n_skipped,
        "member_bytes": unpacked.member_bytes,
    }


def _require_members(run: Run, dataset: str, archive: ArchiveTable, part: Receipt[ArchiveRead]) -> None:
    """Refuse a forced extraction of a damaged tree whose archive was deleted: it can restore nothing.

    Raises ArchiveError with what differs, and where the archive can be downloaded again.
    """
    from earmark.archives import proof

    project = run.project
    again = deletions.words(project, dataset) if run.force and f"{NAME}:{dataset}" in run.named else ""
    members = project.home / part.outputs.members.path
    for fault in proof.faults(members, project.folder(dataset), reading="changed", memo=project.memo) if again else ():
        raise ArchiveError(f"{archive.file}: {fault}. {again}")


def _adopt(run: Run, dataset: str, gone: list[str]) -> SealedFile:
    """Seal a tree by its files alone, as its archives are gone; return the list of its members."""
    from earmark.archives import adoption

    project = run.project
    folder, where = project.folder(dataset), project.receipt(NAME, dataset, TREE)
    run.log.note(
        f"{dataset}: {len(gone)} archive(s) gone ({', '.join(gone[:3])}{'…' if len(gone) > 3 else ''}): the tree is"
        " taken as it is, from the files alone; that it is complete cannot be proved"
    )
    target = project.members(dataset, TREE)
    tables = project.dataset(dataset).archives
    own = {download.file.split("/")[0] for table in tables for download in table.downloads}
    with (
        publishing(target, project.scratch) as temporary,
        run.log.progress(f"{NAME}:{dataset} adopting", 0, unit="bytes") as bar,
    ):
        tree = adoption.adopt_tree(folder, temporary, ignored=own, on_bytes=bar.advance, memo=project.memo)
    inputs = {"adopted": sorted(gone)}
    counts = {"members": tree.n_members, "files": tree.n_files, "member_bytes": tree.member_bytes}
    key = make_key(f"{NAME}/{TREE}", VERSION, inputs)
    outputs = TreeRead(seal_file(project, target))
    publish_receipt(where, Receipt(f"{NAME}/{TREE}", VERSION, key, inputs, outputs, counts, 0.0), project.scratch)
    return outputs.members


def _holds_tree(project: Project, dataset: str) -> bool:
    """Say whether a root contains anything but the dataset's own archives.

    By the beginnings of names: a downloader appends suffixes such as .part to what it is still writing.
    """
    root, archives = project.root(dataset), project.dataset(dataset).archives
    own = tuple(
        path.name
        for table in archives
        for path in archive_records.files_of(project, dataset, table)
        if path.parent == root
    )
    with contextlib.suppress(OSError), os.scandir(root) as entries:
        return any(not entry.name.startswith((".", *own)) for entry in entries)
    return False


RULE = Rule(NAME, VERSION, Extracted, _inputs, _intact, _build, _prepare)
STAGE = Stage(NAME, "unpack and verify {}", RULE)
