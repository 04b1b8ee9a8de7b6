"""cleanup: delete archives all of whose members are proved to be on disk; or print what that would free.

All archives of a dataset are proved before the first is deleted, and any difference from a receipt is a refusal.
The order is that of crash safety: members reach the disk (sync), the record "deleting" is published, files are deleted,
the record "deleted" is published. Whenever a run is killed, the records and the files together show how far it was.
"""

import contextlib
import dataclasses
import datetime
import os
import time
from pathlib import Path

import msgspec
from doit.exceptions import TaskFailed

from earmark.archives.proof import Reading, faults
from earmark.archives.unpack import ArchiveFile, HashingReader
from earmark.catalog.project import Project
from earmark.catalog.tables import ArchiveTable
from earmark.disk.files import flush_folder
from earmark.disk.hashing import new_hasher, stat_key
from earmark.disk.plainly import in_one_line
from earmark.disk.receipts import Receipt, as_inputs, make_key, publish_receipt
from earmark.disk.volumes import mounted_below
from earmark.errors import ArchiveError
from earmark.rates import HOUR_S
from tasks.cleanup.candidates import Candidate, candidate_of, on_disk, record_path, require_no_member
from tasks.engine import deletions
from tasks.engine.judge import broken, judge, receipt_of
from tasks.engine.stage import Run
from tasks.engine.units import Unit
from tasks.report import human
from tasks.stages import archive_records, extract, presence
from tasks.terminal import say

VERSION = 1
# Content that was read within this time is not read again, unless its file was touched since: a disk may damage a file
# without a trace in its stat, and the archive is the only other copy.
FRESH_S = 24 * HOUR_S


def cleanup(run: Run, dataset: str, yes: bool = False) -> TaskFailed | None:
    """Delete a dataset's archives, or without `yes` print what that would free; a refusal deletes nothing."""
    gone: list[str] = []
    try:
        _cleanup(run, dataset, yes, gone)
    except Exception as error:
        fault = in_one_line(error, run.project.cache)
        if fault is None:
            raise
        return TaskFailed(f"{fault} {', '.join(gone) or 'Nothing'} was deleted.")
    return None


def _cleanup(run: Run, dataset: str, yes: bool, gone: list[str]) -> None:
    project = run.project
    presence.require_present(project, dataset)
    _finish_records(project, dataset)
    tables = [table for table in project.dataset(dataset).archives if on_disk(project, dataset, table)]
    if not tables:
        say(f"   {dataset}: no archive on disk: nothing to free. {deletions.words(project, dataset)}".rstrip())
        return
    _require_no_mount(project, dataset)
    candidates = [candidate_of(project, dataset, table) for table in tables]
    _require_extracted(run, dataset)
    require_no_member(project, [path for candidate in candidates for path in candidate.files])
    for candidate in candidates:
        _prove_archive(run, dataset, candidate)
        candidate.read_at = _read_at(project, dataset, candidate)
    for candidate in candidates:
        if yes and candidate.read_at is None:
            _read_members(run, dataset, candidate)
    for candidate in candidates:  # reading takes hours: a file that was touched meanwhile shows in its stat
        candidate.seen = _compare_members(run, dataset, candidate, "changed" if candidate.read_at else "sizes")
    if yes:
        os.sync()  # members that were in the tree before extraction may not have reached the disk
        for candidate in candidates:
            _look_again(run, dataset, candidate)
            _delete(project, dataset, candidate, gone)
        run.log.done(f"{deletions.STAGE}:{dataset}", 0)
    _print_freed(dataset, candidates, yes)


def _require_extracted(run: Run, dataset: str) -> None:
    """Refuse a dataset whose extraction is not current. Raises ArchiveError."""
    unit = Unit(extract.NAME, dataset)
    verdict = judge(run, extract.RULE, unit)
    if verdict.state == "A":
        raise ArchiveError(verdict.reasons[0])
    if verdict.state != "U":
        raise ArchiveError(f"{unit} is not current: {'; '.join(verdict.reasons)}. Run `doit {unit}` first.")


def _prove_archive(run: Run, dataset: str, candidate: Candidate) -> None:
    """Refuse an archive that is not the one its receipt was made from, and a receipt that contradicts another one.

    Raises ArchiveError.
    """
    project, unit = run.project, Unit(extract.NAME, dataset)
    table, receipt = candidate.table, candidate.receipt
    name = project.relative(next(iter(candidate.files)))
    again = f"`doit {unit}` reads it again."
    whole = receipt_of(project, unit, extract.Extracted)
    if whole is None or whole.outputs.members.get(table.file) != receipt.outputs.members:
        raise ArchiveError(f"{name}: its receipt is not the one that {unit} ended with. {again}")
    key = make_key(
        f"{extract.NAME}/archive", extract.VERSION, whole.made_from(extract.ExtractInputs).archives[table.file]
    )
    if (receipt.stage, receipt.key) != (f"{extract.NAME}/archive", key):
        raise ArchiveError(f"{name}: its receipt is of another archive or release. {again}")
    if problems := broken(project, [receipt.outputs.members]):
        raise ArchiveError(f"{name}: the list of its members cannot be trusted: {problems[0]}. {again}")
    if receipt.counts["skipped"]:
        raise ArchiveError(
            f"{name}: {receipt.counts['skipped']:,} members that `skip` leaves out are nowhere but in it: it stays."
        )
    if not receipt.counts["files"]:
        raise ArchiveError(f"{name}: its receipt lists no file.")
    if candidate.half_gone:  # what is left was proved before the first file went, and nothing wrote to it since
        return
    same = archive_records.stat_of(candidate.files.values()) == receipt.outputs.archive_stat
    content = archive_records.hash_of([_content(run, path, same) for path in candidate.files])
    if content != receipt.outputs.archive_xxh3:
        raise ArchiveError(f"{name}: not the archive that was extracted: other content. {again}")
    for path, status in candidate.files.items():
        _require_untouched(path, status)


def _content(run: Run, path: Path, same: bool) -> str:
    """Return a file's hash; it is read again unless its stat is that of its extraction (`same`), ctime included."""
    project, key = run.project, stat_key(path.stat())
    known = project.memo.get(path, key) if same else None
    if known is not None:
        return known
    raw = HashingReader([ArchiveFile(path)])
    with run.log.progress(f"{path.name} (read again)", path.stat().st_size, unit="bytes") as bar:
        for block in raw.blocks():
            bar.advance(len(block))
    content = raw.checked_sums()[0]["xxh3"]
    if stat_key(path.stat()) == key:  # not written to while it was read
        project.memo.put([(path, key, content)])
    return content


def _read_members(run: Run, dataset: str, candidate: Candidate) -> None:
    """Read every member again, compare it with what was sealed, and record when."""
    started = time.time()  # not the end: what is written meanwhile is newer than that
    _compare_members(run, dataset, candidate, "all")
    candidate.read_at = started
    _record(run.project, dataset, candidate, "deleting" if candidate.half_gone else "proved")


def _look_again(run: Run, dataset: str, candidate: Candidate) -> None:
    """Refuse an archive of whose members one was touched, or exchanged, since all were proved. Raises ArchiveError."""
    _require_no_mount(run.project, dataset)
    if _compare_members(run, dataset, candidate, "sizes") != candidate.seen:
        raise ArchiveError(
            f"{candidate.table.file}: files of its tree were written to or exchanged while it was proved. Run again."
        )


def _require_no_mount(project: Project, dataset: str) -> None:
    """Refuse a tree of which a part is mounted: it may be elsewhere tomorrow. Raises ArchiveError."""
    for place in mounted_below(project.folder(dataset)):
        raise ArchiveError(
            f"{project.relative(place)}: mounted in the tree: with it, members would go. Unmount it first."
        )


def _compare_members(run: Run, dataset: str, candidate: Candidate, reading: Reading) -> str:
    """Compare every member with the tree; return a hash over their stats.

    Raises ArchiveError for the first that differs from what was sealed.
    """
    project, receipt, table = run.project, candidate.receipt, candidate.table
    look = new_hasher("xxh3")
    label = f"{deletions.STAGE}:{dataset} {table.file}"
    with run.log.progress(label, receipt.counts["member_bytes"], unit="bytes") as bar:
        differences = faults(
            project.home / receipt.outputs.members.path,
            project.folder(dataset),
            reading=reading,
            memo=project.memo,
            on_bytes=bar.advance,
            look=look,
        )
        with contextlib.closing(differences):
            for fault in differences:
                raise ArchiveError(
                    f"{table.file}: {fault}. `doit -a extract:{dataset}` restores what is gone or cut short;"
                    " a file that differs must be moved away first."
                )
    return look.hexdigest()


def _read_at(project: Project, dataset: str, candidate: Candidate) -> float | None:
    """Return when all members were last read, by extraction or here; None where that is longer ago than FRESH_S."""
    times = [candidate.receipt.outputs.read_at]
    known = deletions.record(record_path(project, dataset, candidate.table))
    if known is not None and known.inputs == as_inputs(_identity(candidate)) and known.outputs.read_at is not None:
        times.append(known.outputs.read_at)
    return max((at for at in times if 0 <= time.time() - at < FRESH_S), default=None)


def _identity(candidate: Candidate) -> deletions.ArchiveIdentity:
    """Return the archive, and the list of its members, as a record names them."""
    read = candidate.receipt.outputs
    sums = _sums(candidate.table) or {"xxh3": read.archive_xxh3}
    return deletions.ArchiveIdentity(candidate.table.file, read.size, sums, read.archive_xxh3, read.members)


def _sums(table: ArchiveTable) -> dict[str, str]:
    """Return the published sums of an archive's files by name, with the file's name where there are several."""
    return {
        f"{download.file} {name}" if table.parts else name: value
        for download in table.downloads
        for name, value in download.sums.items()
    }


def _record(project: Project, dataset: str, candidate: Candidate, state: str) -> None:
    """Publish the record of an archive, whole or not at all."""
    inputs = as_inputs(_identity(candidate))
    files = {project.relative(path): list(stat_key(status)) for path, status in candidate.files.items()}
    outputs = deletions.Deletion(state, candidate.read_at, time.time(), files)
    counts = {"members": candidate.receipt.counts["members"], "freed": candidate.freed}
    key = make_key(deletions.STAGE, VERSION, inputs)
    receipt = Receipt(deletions.STAGE, VERSION, key, inputs, outputs, counts, 0.0)
    publish_receipt(record_path(project, dataset, candidate.table), receipt, project.scratch)


def _delete(project: Project, dataset: str, candidate: Candidate, gone: list[str]) -> None:
    """Delete an archive's files and add their names to `gone`; the record is on disk before the first is deleted."""
    _record(project, dataset, candidate, "deleting")
    for path, status in candidate.files.items():  # all of them before the first is deleted
        _require_untouched(path, status)
    for path, status in candidate.files.items():
        _unlink(path, status)
        gone.append(path.relative_to(project.folder(dataset)).as_posix())
    _record(project, dataset, candidate, "deleted")


def _require_untouched(path: Path, expected: os.stat_result) -> None:
    if stat_key(path.lstat()) != stat_key(expected):
        raise ArchiveError(f"{path}: replaced or written to while it was proved.")


def _unlink(path: Path, expected: os.stat_result) -> None:
    _require_untouched(path, expected)
    folder = path.parent.stat()
    path.unlink()
    flush_folder(path.parent)
    with contextlib.suppress(OSError):  # to a tree that is watched by its folders' times this must look like no change
        os.utime(path.parent, ns=(folder.st_atime_ns, folder.st_mtime_ns))


def _finish_records(project: Project, dataset: str) -> None:
    """Record as deleted what a killed run deleted and did not record any more."""
    for receipt in deletions.deleted(project, dataset):
        if receipt.outputs.state == "deleting":
            done = dataclasses.replace(receipt, outputs=msgspec.structs.replace(receipt.outputs, state="deleted"))
            part = archive_records.part_name(deletions.archive_of(receipt).file)
            publish_receipt(project.receipt(deletions.STAGE, dataset, part), done, project.scratch)


def _print_freed(dataset: str, candidates: list[Candidate], yes: bool) -> None:
    """Print what was freed or would be."""
    for candidate in candidates:
        n_members = candidate.receipt.counts["members"]
        line = f"   {candidate.table.file}: {candidate.size:,} bytes, its {n_members:,} members are on disk"
        if candidate.freed < candidate.size:
            line += "; a hard link keeps its bytes, they are not freed"
        if candidate.read_at:
            when = datetime.datetime.fromtimestamp(candidate.read_at).strftime("%Y-%m-%d %H:%M")
            line += f"; read and compared at {when}"
        elif not yes:
            line += f"; with --yes {human(candidate.receipt.counts['member_bytes'])} are read again first"
        say(line)
    freed = sum(candidate.freed for candidate in candidates)
    if yes:
        say(f"   {dataset}: {freed:,} bytes freed ({human(freed)}); the tree and what was made of it stay current.")
    else:
        say(
            f"   {dataset}: would free {freed:,} bytes ({human(freed)}). Nothing was deleted:"
            f" `doit cleanup:{dataset} --yes` deletes."
        )
