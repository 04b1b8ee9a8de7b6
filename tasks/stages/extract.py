"""extract: unpack a dataset's archives, every member written, read back and sealed; or adopt a tree that is there."""

import contextlib
import fnmatch
import os
import time
from collections import Counter
from pathlib import Path

import msgspec

from earmark.archives import adoption, proof, unpack
from earmark.catalog.project import Project
from earmark.catalog.tables import ArchiveTable
from earmark.disk import watch
from earmark.disk.files import make_folder, publishing
from earmark.disk.hashing import stat_key
from earmark.disk.junk import is_counted
from earmark.disk.receipts import Inputs, Receipt, SealedFile, make_key, publish_receipt, read_receipt
from earmark.errors import ArchiveError, CorpusError
from tasks.engine import deletions
from tasks.engine.judge import broken, seal_file
from tasks.engine.stage import Built, Rule, Run, Stage
from tasks.engine.units import Unit
from tasks.stages import archive_records, presence

NAME, VERSION = archive_records.STAGE, 1
TREE = "tree"  # the part under which a tree without its archives is adopted


class Extracted(msgspec.Struct, frozen=True):
    """What a dataset's extraction seals: the list of members of each archive, and of a tree that was adopted."""

    members: dict[str, SealedFile]


class TreeRead(msgspec.Struct, frozen=True):
    """What the adoption of a tree without its archives seals."""

    members: SealedFile


class ExtractInputs(msgspec.Struct, frozen=True):
    """What a dataset's extraction is made from, as its receipt says it."""

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
    return own | ({"parts": parts} if parts else {})


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
        if all(there) or (any(there) and known is None):
            part, wrote = _extract(run, dataset, archive)
            written += wrote
        elif known is None:
            gone.append(archive.file)
            continue
        else:
            part = known
            _require_members(run, dataset, archive, part)
        members[archive.file] = part.outputs.members
    if gone:
        members[TREE] = _adopt(run, dataset, gone)
    files = _check_expectations(project, dataset)
    return Built(Extracted(members), {"archives": len(members), "files": files}, written)


def _extract(run: Run, dataset: str, archive: ArchiveTable) -> tuple[Receipt[archive_records.ArchiveRead], int]:
    """Extract one archive, or find that its receipt still holds; return the receipt and the bytes written."""
    project = run.project
    paths, part = archive_records.files_of(project, dataset, archive), archive_records.part_name(archive.file)
    where, inputs = project.receipt(NAME, dataset, part), _archive_inputs(archive)
    reusable = presence.has_files(project.root(dataset)) and not run.force
    key, known = make_key(f"{NAME}/archive", VERSION, inputs), read_receipt(where, archive_records.ArchiveRead)
    if known is not None and known.key == key and not broken(project, [known.outputs.members]) and reusable:
        same_stat = known.outputs.archive_stat == archive_records.stat_of(path.stat() for path in paths)
        if (
            same_stat
            or archive_records.hash_of([project.memo.hash_file(path) for path in paths]) == known.outputs.archive_xxh3
        ):
            return known, 0
    there = [path for path in paths if path.exists()]  # what is missing of a split one, reading it says
    label, target, started = f"{NAME}:{dataset} {archive.file}", project.members(dataset, part), time.time()
    with (
        publishing(target, project.scratch) as temporary,
        run.log.progress(label, sum(path.stat().st_size for path in there), unit="bytes") as bar,
    ):
        made = unpack.extract_archive(
            archive_records.source_of(project, dataset, archive),
            make_folder(project.folder(dataset)),
            temporary,
            scratch=project.scratch,
            staging_name=f"{dataset}-{part}",
            on_bytes=bar.advance,
            memo=project.memo,
        )
    hashes = [sums["xxh3"] for sums in made.sums]
    project.memo.put(zip(map(stat_key, made.stats), hashes, strict=True))
    outputs = archive_records.ArchiveRead(
        archive_records.stat_of(made.stats), archive_records.hash_of(hashes), seal_file(project, target), started
    )
    counts = {
        "members": made.n_members,
        "files": made.n_files,
        "written": made.n_written,
        "resumed": made.n_resumed,
        "matched": made.n_matched,
        "completed": made.n_completed,
        "skipped": made.n_skipped,
        "member_bytes": made.member_bytes,
    }
    if made.n_matched and not made.written_bytes:
        run.log.note(f"{archive.file}: already extracted: {made.n_matched:,} files on disk match it, none was written")
    seconds = round(max(0.0, time.time() - started), 3)
    receipt = Receipt(f"{NAME}/archive", VERSION, key, inputs, outputs, counts, seconds)
    publish_receipt(where, receipt, project.scratch)
    return receipt, made.written_bytes


def _require_members(run: Run, dataset: str, archive: ArchiveTable, part: Receipt[archive_records.ArchiveRead]) -> None:
    """Where `doit -a extract:<dataset>` cannot restore from an archive that was deleted, say what differs from it."""
    project = run.project
    again = deletions.words(project, dataset) if run.force and f"{NAME}:{dataset}" in run.named else ""
    members = project.home / part.outputs.members.path
    for fault in proof.faults(members, project.folder(dataset), reading="changed", memo=project.memo) if again else ():
        raise ArchiveError(f"{archive.file}: {fault}. {again}")


def _adopt(run: Run, dataset: str, gone: list[str]) -> SealedFile:
    """Seal a tree whose archives are gone from its files alone; return the list of its members."""
    project = run.project
    folder, where = project.folder(dataset), project.receipt(NAME, dataset, TREE)
    run.log.note(
        f"{dataset}: {len(gone)} archive(s) gone ({', '.join(gone[:3])}{'…' if len(gone) > 3 else ''}): the tree is"
        " taken as it is, from the files alone; that it is complete cannot be proved"
    )
    target = project.members(dataset, TREE)
    tables = project.dataset(dataset).archives
    present = {download.file.split("/")[0] for table in tables for download in table.downloads}
    with (
        publishing(target, project.scratch) as temporary,
        run.log.progress(f"{NAME}:{dataset} adopting", 0, unit="bytes") as bar,
    ):
        made = adoption.adopt_tree(folder, temporary, ignored=present, on_bytes=bar.advance, memo=project.memo)
    inputs = {"adopted": sorted(gone)}
    counts = {"members": made.n_members, "files": made.n_files, "member_bytes": made.member_bytes}
    key = make_key(f"{NAME}/{TREE}", VERSION, inputs)
    outputs = TreeRead(seal_file(project, target))
    publish_receipt(where, Receipt(f"{NAME}/{TREE}", VERSION, key, inputs, outputs, counts, 0.0), project.scratch)
    return outputs.members


def _check_expectations(project: Project, dataset: str) -> int:
    """Compare the tree with what the catalog expects of it; return the number of files below the root."""
    root, expect = project.root(dataset), project.dataset(dataset).expect
    where = f"{project.path.name}: [datasets.{dataset}.expect]"
    if not root.is_dir():
        raise CorpusError(
            f"{project.relative(root)}: no such folder after extraction: the archive holds another layout, or root is"
            f" wrong in [datasets.{dataset}]. It holds: {', '.join(_some_names(project.folder(dataset))) or 'nothing'}."
        )
    for name in expect.folders:
        if not (root / name).is_dir():
            raise CorpusError(f"{where}: folder {name} is not below {project.relative(root)}: incomplete extraction?")
    found: Counter[str] = Counter()
    files = 0
    for entry in watch.walk(root):
        if not entry.is_dir(follow_symlinks=False) and is_counted(entry.name):
            files += 1
            found.update(pattern for pattern in expect.files if fnmatch.fnmatchcase(entry.name, pattern))
    if not files:
        raise CorpusError(f"{project.relative(root)}: empty: expected the files of {dataset} there, got none.")
    for pattern, count in expect.files.items():
        if found[pattern] != count:
            raise CorpusError(
                f"{where}: {project.relative(root)}: expected {count:,} files {pattern}, got {found[pattern]:,}."
                f" {_why_other(project, dataset)}, or the expectation is of another release."
                f" {deletions.words(project, dataset)}".rstrip()
            )
    return files


def _why_other(project: Project, dataset: str) -> str:
    """Say why a count may differ: which archives of the catalog are not here, or that one is incomplete."""
    archives = project.dataset(dataset).archives
    absent = [
        archive.file
        for archive in archives
        if archive_records.extraction_of(project, dataset, archive.file) is None
        and not all(path.exists() for path in archive_records.files_of(project, dataset, archive))
    ]
    if not absent:
        return "An archive is incomplete"
    some = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
    return f"Not here: {some} (get them, or take them and these counts out of [datasets.{dataset}])"


def _holds_tree(project: Project, dataset: str) -> bool:
    """Say whether a root holds anything but the dataset's own archives, to which a downloader appends suffixes."""
    root, archives = project.root(dataset), project.dataset(dataset).archives
    own = tuple(
        path.name for one in archives for path in archive_records.files_of(project, dataset, one) if path.parent == root
    )
    with contextlib.suppress(OSError), os.scandir(root) as entries:
        return any(not entry.name.startswith((".", *own)) for entry in entries)
    return False


def _some_names(folder: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return sorted(entry.name for entry in folder.iterdir())[:6]
    return []


RULE = Rule(NAME, VERSION, Extracted, _inputs, _intact, _build, _prepare)
STAGE = Stage(NAME, "unpack and verify {}", RULE)
