"""standardize: decode a shard to canonical audio (16 kHz, mono, int16), hash and measure it, quarantine bad recordings.

Rows are kept in a journal while a shard is built, so a run that is killed goes on where it stopped.
"""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import orjson

from earmark.audio.batch import Work, standardize_batch
from earmark.audio.policy import Policy
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
from earmark.disk import owners
from earmark.disk.files import Scratch, make_folder, publish
from earmark.disk.hashing import digest
from earmark.disk.inside import locate
from earmark.disk.receipts import Inputs, Receipt, SealedFile, as_inputs
from earmark.disk.shards import ShardRow, read_rows
from earmark.errors import CorpusError
from earmark.rates import RATE_HZ
from tasks.engine.judge import broken, receipt_of, seal_file
from tasks.engine.stage import Built, Rule, Run
from tasks.engine.units import Unit
from tasks.stages import presence, scan, standard_files

NAME, VERSION = "standardize", 1
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
    standard = project.catalog.standard
    return Policy(project.dataset(dataset).channel, standard.resampler, standard.format)


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
    if policy.format != "none":
        made_here = next(project.table(dataset, "0").parent.glob("*.jsonl"), None) is not None
        where = project.standard / dataset
        owners.take(where, project.owner, project.scratch, made_here=made_here, name="paths.standard")
    known = {} if run.force else _known(run, unit, policy)  # forced: decoded again, whatever it was before
    sealed_at = standard_files.sealed_at(project, dataset, shard)
    results: dict[str, AudioRow] = {}
    todo = []
    for row in rows:
        before = known.get((row.path, row.source_hash))
        if before is not None and standard_files.is_whole(project, dataset, before, sealed_at):
            results[row.path] = before
        else:
            todo.append(_work(project, dataset, row))
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
    hashes = [result.audio_hash if isinstance(result, GoodAudio) else None for result in in_order]
    outputs = StandardizedShard(seal_file(project, table), digest("audio-hashes", hashes))
    return Built(outputs, _counts(in_order, len(todo)), written)


def journal_path(project: Project, dataset: str, shard: str) -> Path:
    """Return the file of a shard's rows while it is built; a run that was killed leaves it for the next."""
    return project.scratch.tmp / f"journal-{dataset}-{shard}.jsonl"


def _standardize(run: Run, unit: Unit, todo: list[Work], policy: Policy, journal: Path) -> dict[str, AudioRow]:
    """Decode recordings in worker processes; each row goes into the journal as soon as its batch is done."""
    results: dict[str, AudioRow] = {}
    scratch = run.project.scratch
    progress = run.log.progress(str(unit), len(todo), after=scan.files_after(run.project, unit))
    with progress as bar, journal.open("ab") as kept:
        for batch in run.pool.open().map(standardize_batch, _batches(todo, policy, scratch)):
            for result in batch:
                kept.write(journal_line(result))
                results[result.path] = result
                bar.advance(1, result.n_samples / RATE_HZ if isinstance(result, GoodAudio) else 0.0)
            kept.flush()
    return results


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
    rows = itertools.chain(
        read_table(table) if sealed else (), read_journal(journal_path(run.project, unit.dataset, unit.part))
    )
    return {(row.path, row.source_hash): row for row in rows if row.policy == policy}


def _work(project: Project, dataset: str, row: ShardRow) -> Work:
    form = project.catalog.standard.format
    target = None if form == "none" else standard_files.audio_file(project, dataset, row.path)
    source = project.root(dataset) / row.path
    return Work(row.path, row.source_hash, row.size, row.mtime_ns, source, target)


def _batches(todo: list[Work], policy: Policy, scratch: Scratch) -> Iterator[tuple[list[Work], Policy, Scratch]]:
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
    """Note the standard files that a shard no longer has; gathering deletes those that no other shard has either.

    Not deleted here: a recording that moved to a shard which is built later still needs its file.
    """
    kept = set(standard_files.standard_names(rows))
    names = [name for name in standard_files.standard_names(read_whole_rows(table)) if name not in kept]
    if names:
        path = orphans_path(project, dataset, table.stem)
        before = path.read_bytes() if path.exists() else b""
        publish(path, before + b"".join(orjson.dumps(name) + b"\n" for name in names), project.scratch)


def orphans_path(project: Project, dataset: str, shard: str) -> Path:
    """Return the list of standard files that a shard had and no longer has."""
    return project.table(dataset, shard).with_suffix(".orphans")


RULE = Rule(NAME, VERSION, StandardizedShard, _inputs, _intact, _build)
