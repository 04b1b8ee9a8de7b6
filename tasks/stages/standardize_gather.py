"""Sealing a standardized dataset: its quarantine is gathered and compared with `max_bad`, its orphans are deleted.

An orphan is a standard file that no shard has any more.
"""

import contextlib
import functools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import orjson
import xxhash

from earmark.audio.defects import kind_of
from earmark.audio.table import BadAudio, read_table, read_whole_rows
from earmark.catalog.project import Project
from earmark.disk.files import publishing
from earmark.disk.hashing import hash_file
from earmark.disk.receipts import Inputs, Receipt, SealedFile
from earmark.errors import CorpusError
from earmark.json_bytes import json_bytes
from tasks.engine.judge import broken, receipt_of, require_receipt, seal_file
from tasks.engine.stage import Built, Rule, Run, Stage
from tasks.engine.units import Unit
from tasks.stages import scan, standard_files, standardize
from tasks.stages.standardize import NAME, StandardizedShard, note_orphans, orphans_path, read_orphans

VERSION = 2  # 2: the list of defects


class BadRecording(msgspec.Struct, frozen=True):
    """A line of the quarantine: `path` below the dataset's root, what is wrong with it, and in which shard it is."""

    path: str
    reason: str
    detail: str
    shard: str
    decoder: str
    source_hash: str


class DefectiveRecording(msgspec.Struct, frozen=True):
    """A line of the list of defects: a recording that stays, and what is wrong with its sound."""

    path: str
    defects: tuple[str, ...]
    shard: str
    source_hash: str


class Gathered(msgspec.Struct, frozen=True):
    """What a standardized dataset seals in addition to its shards."""

    quarantine: SealedFile
    defects: SealedFile


def tables_of(project: Project, dataset: str) -> dict[str, Receipt[StandardizedShard]]:
    """Return the receipts of a dataset's shards by name, all of them.

    Raises UpstreamError when one has not run.
    """
    shards = scan.shards_of(project, dataset)
    return {shard: require_receipt(project, Unit(NAME, dataset, shard), StandardizedShard) for shard in shards}


def require_accepted(project: Project, dataset: str) -> None:
    """Refuse a dataset of which more is bad than its `max_bad` allows, by the shards that are standardized so far.

    So far: a hopeless dataset is refused after its first shards, not after a night of decoding. Raises CorpusError.
    """
    files = sum(sealed.files for sealed in scan.shards_of(project, dataset).values())
    bad = _bad_so_far(project, dataset)
    allowed = project.dataset(dataset).max_bad
    if bad <= allowed * files:
        return
    where = project.quarantine(dataset)
    first = next(_quarantined(project, dataset), None)
    example = f" (such as {first.path}: {first.reason})" if first else ""
    raise CorpusError(
        f"{dataset}: {bad:,} of {files:,} recordings are bad, max_bad allows {allowed:.2%}{example}. All are listed in"
        f" {project.relative(where)}; mend them, or raise max_bad in [datasets.{dataset}]."
    )


def _bad_so_far(project: Project, dataset: str) -> int:
    """Count the bad recordings in receipts, again only when a receipt was published since: every shard asks for it."""
    folder = project.receipt(NAME, dataset, "0").parent
    return _count_bad(project, dataset, folder.stat().st_mtime_ns) if folder.is_dir() else 0


@functools.lru_cache(maxsize=64)
def _count_bad(project: Project, dataset: str, _published: int) -> int:
    shards = scan.shards_of(project, dataset)
    receipts = (receipt_of(project, Unit(NAME, dataset, shard), StandardizedShard) for shard in shards)
    return sum(receipt.counts["bad"] for receipt in receipts if receipt)


def _inputs(run: Run, unit: Unit) -> Inputs:
    receipts = tables_of(run.project, unit.dataset)
    require_accepted(run.project, unit.dataset)
    tables = {shard: receipt.outputs.table.xxh3 for shard, receipt in receipts.items()}
    return {"tables": tables, "max_bad": run.project.dataset(unit.dataset).max_bad}


def _intact(run: Run, _unit: Unit, receipt: Receipt[Gathered]) -> list[str]:
    return broken(run.project, [receipt.outputs.quarantine, receipt.outputs.defects])


def _prepare(run: Run, unit: Unit) -> None:
    """Write quarantine and defects, which messages name, before the dataset is judged; delete what no shard has."""
    project, dataset = run.project, unit.dataset
    _forget_shards(run, dataset)
    _delete_orphans(run, dataset)
    with contextlib.ExitStack() as stack:
        bad, defective = (
            stack.enter_context(stack.enter_context(publishing(path, project.scratch)).open("wb"))
            for path in (project.quarantine(dataset), project.defects(dataset))
        )
        for row in _noted_recordings(project, dataset):
            file = bad if isinstance(row, BadRecording) else defective
            file.write(json_bytes(msgspec.to_builtins(row), option=orjson.OPT_APPEND_NEWLINE))


def _noted_recordings(project: Project, dataset: str) -> Iterator[BadRecording | DefectiveRecording]:
    for shard in tables_of(project, dataset):
        for row in read_table(project.table(dataset, shard)):
            if isinstance(row, BadAudio):
                yield BadRecording(row.path, row.bad, row.detail, shard, row.decoder, row.source_hash)
            elif row.defects:
                yield DefectiveRecording(row.path, row.defects, shard, row.source_hash)


def _quarantined(project: Project, dataset: str) -> Iterator[BadRecording]:
    """Yield the quarantine as it was last gathered; nothing where it is missing or damaged."""
    path = project.quarantine(dataset)
    with contextlib.suppress(ValueError):
        for line in path.read_bytes().splitlines() if path.exists() else ():
            yield msgspec.json.decode(line, type=BadRecording)


def _build(run: Run, unit: Unit) -> Built[Gathered]:
    project, dataset = run.project, unit.dataset
    receipts, target = tables_of(project, dataset), project.quarantine(dataset)
    bad = list(_quarantined(project, dataset))
    files = sum(receipt.counts["files"] for receipt in receipts.values())
    if bad:
        example = f"such as {bad[0].path}: {bad[0].reason}"
        run.log.note(
            f"{unit}: {len(bad):,} of {files:,} recordings in quarantine ({example}); all in {project.relative(target)}"
        )
    defective = _note_defects(run, unit)
    counts = {"files": files, "bad": len(bad), "shards": len(receipts)} | (
        {"defective": defective} if defective else {}
    )
    return Built(Gathered(seal_file(project, target), seal_file(project, project.defects(dataset))), counts)


def _note_defects(run: Run, unit: Unit) -> int:
    """Say how many recordings have each kind of defect, with an example; return the number of recordings."""
    path = run.project.defects(unit.dataset)
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    n_recordings = 0
    with path.open("rb") as file:
        for line in file:
            row = msgspec.json.decode(line, type=DefectiveRecording)
            n_recordings += 1
            for kind in dict.fromkeys(map(kind_of, row.defects)):
                counts[kind] += 1
                examples.setdefault(kind, row.path)
    for kind, count in counts.items():
        where = run.project.relative(path)
        run.log.note(f"{unit}: {count:,} x {kind} (such as {examples[kind]}); kept, all in {where}")
    return n_recordings


def _forget_shards(run: Run, dataset: str) -> None:
    """Delete the tables of shards that no longer exist, and have every stage forget them."""
    project = run.project
    shards = scan.shards_of(project, dataset)
    for table in project.table(dataset, "0").parent.glob("*.jsonl"):
        if table.stem not in shards and table.stem.isdigit():
            # the table goes last: a run that is killed in between finds it again and does the rest
            note_orphans(project, dataset, table, [])
            for stage in run.stages:
                if stage.shard:
                    stage.forget(project, Unit(stage.name, dataset, table.stem))
            table.unlink()


def _delete_orphans(run: Run, dataset: str) -> None:
    """Delete the orphans among the standard files that shards noted, if they are as they were made."""
    project = run.project
    noted = list(orphans_path(project, dataset, "0").parent.glob("*.orphans"))
    if not noted:
        return
    standard_files.require_own(project, dataset)
    rows = (row for shard in scan.shards_of(project, dataset) for row in read_whole_rows(project.table(dataset, shard)))
    # 64 bits of each name, not the names: a dataset may have ten million. If two ever collide, an orphan stays.
    live = {xxhash.xxh3_64_intdigest(name.encode()) for name in standard_files.standard_names(rows)}
    changed: list[Path] = []
    for path in noted:
        for name, xxh3 in read_orphans(path):
            orphan = project.standard / dataset / name
            if xxhash.xxh3_64_intdigest(name.encode()) in live or not orphan.is_file():
                continue
            if not orphan.is_symlink() and hash_file(orphan) == xxh3:
                orphan.unlink()
            else:
                changed.append(orphan)
        path.unlink()
    if changed:
        run.log.note(
            f"{dataset}: {len(changed):,} standard files that no recording has any more were changed since they were"
            f" made, and stay (such as {project.relative(changed[0])})"
        )


RULE = Rule(NAME, VERSION, Gathered, _inputs, _intact, _build, _prepare)
STAGE = Stage(NAME, "16 kHz mono audio of {}", RULE, follows=("scan",), shard=standardize.RULE, shard_follows="scan")
