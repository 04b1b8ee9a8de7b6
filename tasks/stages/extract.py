"""extract: unpack a dataset's archives, every member written, read back and sealed; or adopt the tree that is there.

Each archive has a receipt of its own, so that one new archive of ten is one archive's work.
"""

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from earmark.catalog.project import Project
from earmark.catalog.tables import ArchiveTable
from earmark.disk.files import make_folder, publishing
from earmark.disk.hashing import hash_file, stat_key
from earmark.disk.junk import WITHDRAWN_NAME
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
EXAMPLES = 10  # missing archives that an error names
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
    _require_archives(project, unit.dataset)
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
    # absent by default, so that keys stay as they were
    rest = {"rest": archive.rest} if archive.rest != "refuse" else {}
    names = {"names": archive.names} if archive.names else {}
    return own | ({"parts": parts} if parts else {}) | rest | names


def _require_archives(project: Project, dataset: str) -> None:
    """Refuse a dataset of which archives are missing that were never extracted, naming all of them at once."""
    table = project.dataset(dataset)
    missing = [
        archive
        for archive in table.archives
        if not archive.generator
        and not (project.folder(dataset) / archive.file).exists()
        and archive_records.extraction_of(project, dataset, archive.file) is None
    ]
    if not missing or _holds_tree(project, dataset):
        return
    first = missing[0]
    size = f" ({first.size:,} bytes)" if first.size else ""
    source = f" from {table.home}" if table.home else ""
    others = [archive.file for archive in missing[1:]]
    more = f"; nor {', '.join(others[:EXAMPLES])}{', …' if len(others) > EXAMPLES else ''}" if others else ""
    here = len(table.archives) - len(missing)
    part = f" To go on with the {here} that are here, leave the others out of its `archives`." if here else ""
    what = "them" if others else "it"
    raise ArchiveError(
        f"{project.relative(project.folder(dataset) / first.file)}: no such archive{size}{more}. Download"
        f" {what}{source} and put {what} there, or name another paths.data or folder in {project.path.name}.{part}"
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
    before = _keep_list(run, dataset, archive, known)
    unpacked = _unpack(run, dataset, archive, project.members(dataset, part))
    hashes = [sums["xxh3"] for sums in unpacked.sums]
    paths = archive_records.files_of(project, dataset, archive)
    project.memo.put(zip(paths, map(stat_key, unpacked.stats), hashes, strict=True))
    outputs = ArchiveRead(
        archive_records.stat_of(unpacked.stats),
        archive_records.hash_of(hashes),
        seal_file(project, project.members(dataset, part)),
        started,  # not the end: a member that is written to meanwhile must be read again
        accounted=archive.rest == "refuse",
    )
    _note_names(run, archive, unpacked)
    if unpacked.n_matched and not unpacked.written_bytes:
        run.log.note(
            f"{archive.file}: already extracted: {unpacked.n_matched:,} files on disk match it, none was written"
        )
    seconds = round(max(0.0, time.time() - started), 3)  # a clock that was set back meanwhile gives no negative time
    receipt = Receipt(f"{NAME}/archive", VERSION, key, inputs, outputs, _counts(unpacked), seconds)
    if before is not None:
        _move_withdrawn(run, dataset, archive, before)
    publish_receipt(where, receipt, project.scratch)
    if before is not None:
        before.unlink()
    return receipt, unpacked.written_bytes


def _keep_list(run: Run, dataset: str, archive: ArchiveTable, known: Receipt[ArchiveRead] | None) -> Path | None:
    """Keep the members file of the archive that was there before, until what the new one lacks has left the tree.

    A run that is killed in between leaves it to the next.
    """
    members = run.project.members(dataset, archive_records.part_name(archive.file))
    before = members.with_suffix(".before")
    if not before.exists() and known is not None and not broken(run.project, [known.outputs.members]):
        with publishing(before, run.project.scratch) as temporary:
            shutil.copyfile(members, temporary)
    return before if before.exists() else None


def _move_withdrawn(run: Run, dataset: str, archive: ArchiveTable, before: Path) -> None:
    """Move what the archive before had and no archive of the dataset has now out of the tree, and say so."""
    from earmark.archives.withdrawn import move_aside, withdrawn

    project = run.project
    tables, folder, was = project.dataset(dataset).archives, project.folder(dataset), hash_file(before)
    lists = [project.members(dataset, archive_records.part_name(table.file)) for table in tables]
    if was == hash_file(project.members(dataset, archive_records.part_name(archive.file))):
        return
    aside = folder / WITHDRAWN_NAME / was[:8]
    moved, changed = list[str](), list[str]()
    for member in withdrawn(before, [path for path in lists if path.exists()]):
        if move_aside(member, folder, aside):
            moved.append(member.path)
        elif os.path.lexists(folder / member.path):
            changed.append(member.path)
    if moved:
        run.log.note(
            f"{archive.file}: {len(moved):,} members of the archive that it replaces are not in it (such as"
            f" {moved[0]}): moved to {project.relative(aside)}, to be deleted when nothing needs them"
        )
    if changed:
        run.log.note(
            f"{archive.file}: {len(changed):,} members of the archive that it replaces are not in it, but were changed"
            f" in the tree (such as {changed[0]}): they stay"
        )


def _note_names(run: Run, archive: ArchiveTable, unpacked: "Extraction") -> None:
    """Tell of members that share a name, and of those that only some file systems can hold side by side."""
    if unpacked.repeated:
        run.log.note(
            f"{archive.file}: {len(unpacked.repeated):,} members occur several times (such as {unpacked.repeated[0]}):"
            " the last of each counts, as tar and unzip have it"
        )
    if unpacked.twins:
        one, other = unpacked.twins[0]
        run.log.note(
            f"{archive.file}: {len(unpacked.twins):,} members differ in case or Unicode form alone (such as {one} and"
            f" {other}): the tree cannot be copied to a file system that ignores that"
        )


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
            others=[
                project.members(dataset, archive_records.part_name(other.file))
                for other in project.dataset(dataset).archives
                if other.file != archive.file
            ],
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
