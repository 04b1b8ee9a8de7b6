"""standardize: decode a shard to canonical audio (16 kHz, mono, int16), hash and measure it, quarantine bad recordings.

Rows are kept in a journal while a shard is built, so a run that is killed goes on where it stopped.
"""

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import orjson

from earmark.audio import placing
from earmark.audio.batch import Batch, Work, require_source, standard_name, standardize_batch
from earmark.audio.defects import SHORTER, kind_of
from earmark.audio.policy import Policy, stated_max_short
from earmark.audio.table import (
    AudioRow,
    BadAudio,
    GoodAudio,
    dump_row,
    journal_line,
    read_journal,
    read_table,
    read_whole_rows,
)
from earmark.catalog.project import Project
from earmark.disk.files import Scratch, make_folder, publish
from earmark.disk.hashing import digest
from earmark.disk.inside import locate
from earmark.disk.receipts import Inputs, Receipt, SealedFile, as_inputs
from earmark.disk.shards import ShardRow, read_rows
from earmark.errors import CorpusError, WorkerError
from earmark.json_bytes import json_bytes
from earmark.rates import RATE_HZ
from tasks.engine.judge import broken, receipt_of, seal_file
from tasks.engine.stage import Built, Rule, Run
from tasks.engine.units import Unit
from tasks.stages import presence, scan, standard_files

if TYPE_CHECKING:
    from earmark.workers.pool import Pool

NAME = "standardize"
VERSION = 2  # 2: streams read to their end, sizes held against the file, a tolerance in time
BATCH_FILES = 16  # recordings sent to a worker at a time: so that short files do not cost a message each
BATCH_BYTES = 16_000_000  # source bytes sent at a time, so that one long file travels alone
STAT_LIMIT = 100_000  # standard files of a dataset; above, their folder alone is looked at (as with watch = "auto")


class ShardInputs(msgspec.Struct, frozen=True):
    """What a shard's canonical audio is made from: `audio` is a digest of its sources, see `SealedShard`."""

    audio: str
    policy: Policy


class StandardizedShard(msgspec.Struct, frozen=True):
    """What a standardized shard seals: its table, and a digest of its audio hashes in order."""

    table: SealedFile
    audio: str


def policy_of(project: Project, dataset: str) -> Policy:
    """Return the settings that canonical audio depends on."""
    standard, table = project.catalog.standard, project.dataset(dataset)
    max_short = stated_max_short(table.max_short)
    media_time = table.media_time or msgspec.UNSET
    return Policy(table.channel, standard.resampler, standard.format, max_short=max_short, media_time=media_time)


def _inputs(run: Run, unit: Unit) -> Inputs:
    project = run.project
    shards = scan.shards_of(project, unit.dataset)
    if unit.part not in shards:
        raise CorpusError(f"{unit}: no such shard: {unit.dataset} has {scan.shard_range(shards)}.")
    return as_inputs(ShardInputs(shards[unit.part].audio, policy_of(project, unit.dataset)))


def _intact(run: Run, unit: Unit, receipt: Receipt[StandardizedShard]) -> list[str]:
    project = run.project
    problems = broken(project, [receipt.outputs.table])
    if problems or project.catalog.standard.format == "none" or not receipt.counts["standard_bytes"]:
        return problems
    standard_files.require_standard(project, unit.dataset)
    if sum(sealed.files for sealed in scan.shards_of(project, unit.dataset).values()) > STAT_LIMIT:
        return problems
    rows = read_table(project.table(unit.dataset, unit.part))
    sealed_at = standard_files.sealed_at(project, unit.dataset, unit.part)
    lost = [row.path for row in rows if not standard_files.is_whole(project, unit.dataset, row, sealed_at)]
    return [f"{len(lost):,} standard files gone or changed (such as that of {lost[0]})"] if lost else []


def _build(run: Run, unit: Unit) -> Built[StandardizedShard]:
    project, dataset, shard = run.project, unit.dataset, unit.part
    presence.require_present(project, dataset)
    rows = list(read_rows(project.shard_list(dataset, shard)))
    policy, table = policy_of(project, dataset), project.table(dataset, shard)
    journal = journal_path(project, dataset, shard)
    make_folder(journal.parent)
    doubted = _is_of_earlier_version(project, unit)
    if policy.format != "none":
        standard_files.take(project, dataset)
    known = {} if run.force else _known(run, unit, policy)  # forced: decoded again, whatever it was before
    sealed_at = standard_files.sealed_at(project, dataset, shard)
    results: dict[str, AudioRow] = {}
    todo = []
    for row in rows:
        before = known.get((row.path, row.source_hash))
        if before is None or not standard_files.is_whole(project, dataset, before, sealed_at):
            todo.append(_work(project, dataset, row))
        elif not doubted:
            results[row.path] = before
        elif isinstance(before, GoodAudio):
            todo.append(_work(project, dataset, row, before))
        else:  # what was bad may be good enough today
            todo.append(_work(project, dataset, row))
    todo = _with_made(run, unit, todo)
    n_kept = len(placing.kept(project.scratch))
    decoded = _standardize(run, unit, todo, policy, journal)
    results |= decoded
    run.log.quarantined += sum(isinstance(result, BadAudio) for result in decoded.values())
    written = sum(_standard_bytes(result) for result in decoded.values())
    if written:
        # the receipt must not survive a power cut that its audio does not; once a shard, not an fsync for each file
        os.sync()
    in_order = [results[row.path] for row in rows]
    note_orphans(project, dataset, table, in_order)  # before the old table is replaced: it alone names them
    publish(table, b"".join(map(dump_row, in_order)), project.scratch)
    journal.unlink(missing_ok=True)
    _note_kept(run, unit, n_kept)
    hashes = [result.audio_hash if isinstance(result, GoodAudio) else None for result in in_order]
    outputs = StandardizedShard(seal_file(project, table), digest("audio-hashes", hashes))
    return Built(outputs, _counts(in_order, _n_decoded(todo, decoded)), written)


def _is_of_earlier_version(project: Project, unit: Unit) -> bool:
    """Say whether the rows of a shard are an earlier version's, of which some would come out otherwise today."""
    receipt = receipt_of(project, unit, StandardizedShard)
    return receipt is not None and receipt.version < VERSION


def _n_decoded(todo: list[Work], results: dict[str, AudioRow]) -> int:
    """Count what was decoded: not an earlier version's rows that still stand."""
    return sum(work.before is None or work.before != results[work.path] for work in todo)


def journal_path(project: Project, dataset: str, shard: str) -> Path:
    """Return the file of a shard's rows while it is built; a run that was killed leaves it for the next."""
    return project.scratch.tmp / f"journal-{dataset}-{shard}.jsonl"


def _standardize(run: Run, unit: Unit, todo: list[Work], policy: Policy, journal: Path) -> dict[str, AudioRow]:
    """Decode recordings in worker processes; each row goes into the journal as soon as its batch is done."""
    results: dict[str, AudioRow] = {}
    pool = run.pool.open()
    decoded = pool.map(
        standardize_batch,
        _batches(todo, policy, run.project.scratch),
        label=_batch_label,
        instead=lambda batch, _error: _one_by_one(pool, batch),
    )
    progress = run.log.progress(str(unit), len(todo), after=scan.files_after(run.project, unit))
    with progress as bar, journal.open("ab") as kept:
        for batch in decoded:
            for result in batch:
                kept.write(journal_line(result))
                results[result.path] = result
                bar.advance(1, result.n_samples / RATE_HZ if isinstance(result, GoodAudio) else 0.0)
            kept.flush()
    return results


def _with_made(run: Run, unit: Unit, todo: list[Work]) -> list[Work]:
    """Return work with the hashes of what was made in its places, by whatever row says so.

    Also by one that nothing vouches for: a file of that hash is what the row says, or it is not and stays.
    """
    project, dataset = run.project, unit.dataset
    table, journal = project.table(dataset, unit.part), journal_path(project, dataset, unit.part)
    rows = (read_whole_rows(table), read_journal(journal), read_whole_rows(journal))  # the last: of earlier versions
    made = _hashes(itertools.chain.from_iterable(rows))
    form = project.catalog.standard.format
    names = {work.path: standard_name(work.path, form) for work in todo if work.target is not None}
    if any(names[work.path] not in made and os.path.lexists(work.target) for work in todo if work.target is not None):
        # seldom: a recording that was in another shard before
        for other in table.parent.glob("*.jsonl"):
            for name, hashes in _hashes(read_whole_rows(other)).items():
                made.setdefault(name, set()).update(hashes)
        for name, xxh3 in itertools.chain.from_iterable(map(read_orphans, table.parent.glob("*.orphans"))):
            made.setdefault(name, set()).add(xxh3)
    return [replace(work, made=tuple(sorted(made.get(names.get(work.path, ""), ())))) for work in todo]


def _hashes(rows: Iterable[AudioRow]) -> dict[str, set[str]]:
    made: dict[str, set[str]] = {}
    for name, xxh3 in standard_files.standard_hashes(rows):
        made.setdefault(name, set()).add(xxh3)
    return made


def _note_kept(run: Run, unit: Unit, n_before: int) -> None:
    """Say which standard files were changed by hand; forget what was noted, unless another shard is unfinished."""
    project = run.project
    for path in placing.kept(project.scratch)[n_before:]:
        run.log.note(f"{unit}: a standard file was changed since it was made, and is kept as {project.relative(path)}")
    if not any(project.scratch.tmp.glob("journal-*.jsonl")):
        placing.forget(project.scratch)


def _batch_label(batch: Batch) -> str:
    works = batch[0]
    return works[0].path if len(works) == 1 else f"{works[0].path} to {works[-1].path}"


def _one_by_one(pool: "Pool", batch: Batch) -> list[AudioRow]:
    """Return the rows of a batch whose worker crashed, each recording decoded by itself: one of them is the cause."""
    works, policy, scratch = batch
    alone: list[Batch] = [([work], policy, scratch) for work in works]
    rows = pool.map(standardize_batch, alone, label=_batch_label, instead=lambda one, _error: _again(pool, one))
    return [row for of_one in rows for row in of_one]


def _again(pool: "Pool", batch: Batch) -> list[AudioRow]:
    """Decode a recording that crashed its worker alone once more; the second time it is what is bad."""

    def quarantined(batch: Batch, error: WorkerError) -> list[AudioRow]:
        ((work,), policy, _) = batch
        require_source(work)
        detail = f"expected samples, got {error.crashed} in a decoding library, twice"
        return [BadAudio(work.path, work.source_hash, "crashes its decoder", detail, "worker process", policy)]

    (rows,) = pool.map(standardize_batch, [batch], label=_batch_label, instead=quarantined)
    return rows


def _standard_bytes(row: AudioRow) -> int:
    return (row.file_size or 0) if isinstance(row, GoodAudio) else 0


def _counts(rows: list[AudioRow], decoded: int) -> dict[str, int]:
    return {
        "files": len(rows),
        "bad": sum(isinstance(row, BadAudio) for row in rows),
        "decoded": decoded,
        "samples": sum(row.n_samples for row in rows if isinstance(row, GoodAudio)),
        "standard_bytes": sum(map(_standard_bytes, rows)),
    }


def _known(run: Run, unit: Unit, policy: Policy) -> dict[tuple[str, str], AudioRow]:
    """Return results of the same policy, by path and source hash: of the last table, and of a killed run's journal.

    Of the table only if it is as its receipt seals it. A row that nothing vouches for is not taken over: sealed again,
    a wrong digit in it would be believed for ever.
    """
    table, receipt = run.project.table(unit.dataset, unit.part), receipt_of(run.project, unit, StandardizedShard)
    sealed = receipt is not None and not broken(run.project, [receipt.outputs.table])
    of_before = itertools.chain(
        read_table(table) if sealed else (), read_journal(journal_path(run.project, unit.dataset, unit.part))
    )
    rows = (_under(row, policy) for row in of_before)
    return {(row.path, row.source_hash): row for row in rows if row.policy == policy}


def _under(row: AudioRow, policy: Policy) -> AudioRow:
    """Return a row under another limit of what may be missing, where nothing is missing; else as it is."""
    same = msgspec.structs.replace(row.policy, max_short=policy.max_short) == policy
    whole = isinstance(row, GoodAudio) and SHORTER not in map(kind_of, row.defects)
    return msgspec.structs.replace(row, policy=policy) if same and whole else row


def _work(project: Project, dataset: str, row: ShardRow, before: GoodAudio | None = None) -> Work:
    form = project.catalog.standard.format
    target = None if form == "none" else standard_files.audio_file(project, dataset, row.path)
    source = project.root(dataset) / row.path
    return Work(row.path, row.source_hash, row.size, row.mtime_ns, source, target, before=before)


def _batches(todo: list[Work], policy: Policy, scratch: Scratch) -> Iterator[Batch]:
    """Yield what is sent to a worker at a time."""
    batch: list[Work] = []
    size = 0
    for work in todo:
        added = 0 if locate(work.source).part == "row" else work.size  # rows of one table go together
        if batch and (len(batch) >= BATCH_FILES or size + added > BATCH_BYTES):
            yield (batch, policy, scratch)
            batch, size = [], 0
        batch.append(work)
        size += added
    if batch:
        yield (batch, policy, scratch)


def note_orphans(project: Project, dataset: str, table: Path, rows: list[AudioRow]) -> None:
    """Note the standard files that a shard no longer has, with their hashes; gathering deletes those that none has.

    Not deleted here: a recording that moved to a shard which is built later still needs its file.
    """
    kept = set(standard_files.standard_names(rows))
    gone = [made for made in standard_files.standard_hashes(read_whole_rows(table)) if made[0] not in kept]
    if gone:
        path = orphans_path(project, dataset, table.stem)
        before = path.read_bytes() if path.exists() else b""
        publish(path, before + b"".join(json_bytes(made) + b"\n" for made in gone), project.scratch)


def orphans_path(project: Project, dataset: str, shard: str) -> Path:
    """Return the list of standard files that a shard had and no longer has."""
    return project.table(dataset, shard).with_suffix(".orphans")


def read_orphans(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the names and hashes of a list of orphans; an earlier version's has no hashes, so they are empty."""
    for line in map(orjson.loads, path.read_bytes().splitlines()):
        yield (line, "") if isinstance(line, str) else (line[0], line[1])


RULE = Rule(NAME, VERSION, StandardizedShard, _inputs, _intact, _build)
