"""standardize: a shard as canonical audio (16 kHz, mono, int16), hashed and measured; bad recordings quarantined."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from earmark.errors import AbsentError, CorpusError
from earmark.files import make_folder, publish, publishing, remove
from earmark.project import Project
from earmark.receipts import Receipt
from earmark.shards import Row, read_rows
from earmark.standard import RATE_HZ, Work, standard_name, standardize_batch
from tasks import extract, scan
from tasks.report import LOG
from tasks.stage import Built, Stage, Unit, UpstreamError, broken, receipt_of, seal
from tasks.workers import pool

NAME, VERSION = "standardize", 1
BATCH_FILES = 16  # recordings sent to a worker at a time
BATCH_BYTES = 16_000_000  # source bytes sent at a time, so that one long file travels alone
STAT_LIMIT = 100_000  # standard files; above, only their folder is looked at (as with watch = "auto")


def _policy(project: Project, dataset: str) -> dict[str, Any]:
    standard = project.catalog.standard
    channel = project.dataset(dataset).channel
    return {"channel": channel, "resampler": standard.resampler, "format": standard.format, "rate_hz": RATE_HZ}


def _inputs(project: Project, unit: Unit) -> dict[str, Any]:
    shards = scan.shards_of(project, unit.dataset)
    if unit.part not in shards:
        raise CorpusError(f"{unit}: no such shard: {unit.dataset} has {named(shards)}.")
    return {"audio": shards[unit.part]["audio"], "policy": _policy(project, unit.dataset)}


def after(project: Project, unit: Unit) -> int:
    """Count the recordings in the shards after this one that this stage has not built yet, for the time left."""
    shards = scan.shards_of(project, unit.dataset)
    later = (shard for shard in shards if shard > unit.part)
    return sum(
        shards[shard]["files"] for shard in later if not project.receipt(unit.stage, unit.dataset, shard).exists()
    )


def named(shards: dict[str, Any]) -> str:
    """Say which shards there are."""
    names = sorted(shards)
    return f"shards {names[0]} to {names[-1]}" if len(names) > 1 else f"shard {names[0]} only" if names else "no shards"


def read_table(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what standardize made of each recording of a shard."""
    with path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)


def _intact(project: Project, unit: Unit, receipt: Receipt) -> list[str]:
    problems = broken(project, [receipt.outputs["table"]])
    if problems or project.catalog.standard.format == "none":
        return problems
    if not project.standard.is_dir():
        raise AbsentError(
            f"{project.relative(project.standard)}: the folder of standard audio is missing: not mounted?"
        )
    if receipt.counts["files"] > STAT_LIMIT:
        return problems
    bad = [row["file"] for row in read_table(project.table(unit.dataset, unit.part)) if not _whole(project, row)]
    return [f"{len(bad):,} standard files gone or of another size (such as {bad[0]})"] if bad else []


def _whole(project: Project, row: dict[str, Any]) -> bool:
    """Say by a stat whether a row's standard file is there, whole; true where the row made none."""
    if "bad" in row or "file_size" not in row:
        return True
    with contextlib.suppress(OSError):
        return bool((project.home / row["file"]).stat().st_size == row["file_size"])
    return False


def _build(project: Project, unit: Unit) -> Built:
    dataset, shard = unit.dataset, unit.part
    extract.require_present(project, dataset)
    rows = list(read_rows(project.shard_list(dataset, shard)))
    policy, table = _policy(project, dataset), project.table(dataset, shard)
    journal = make_folder(project.scratch.tmp) / f"journal-{dataset}-{shard}.jsonl"
    known = {} if LOG.force else _known(project, [table, journal], policy)
    results: dict[str, dict[str, Any]] = {}
    todo = []
    for row in rows:
        before = known.get((row.path, row.source_hash))
        if before is not None and _whole(project, before):
            results[row.path] = before
        else:
            todo.append(_work(project, dataset, row))
    written = 0
    with LOG.progress(str(unit), len(todo), after=after(project, unit)) as bar, journal.open("ab") as kept:
        for batch in pool(project).map(standardize_batch, _batches(todo, policy, project)):
            for result in batch:
                result["policy"] = policy
                kept.write(orjson.dumps(result, option=orjson.OPT_APPEND_NEWLINE))
                results[result["path"]] = result
                written += result.get("file_size", 0)
                bar.advance(1, result.get("n_samples", 0) / RATE_HZ)
            kept.flush()
    LOG.quarantined += sum("bad" in results[work.path] for work in todo)
    _drop_orphans(project, table, results)
    lines = [orjson.dumps(results[row.path], option=orjson.OPT_APPEND_NEWLINE) for row in rows]
    publish(table, b"".join(lines), project.scratch)
    journal.unlink(missing_ok=True)
    return Built(_outputs(project, table, rows, results), _counts(rows, results, len(todo)), written)


def _outputs(project: Project, table: Path, rows: list[Row], results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Seal the table, and name what the stages after it depend on: the audio hashes in order."""
    from earmark.hashing import digest

    hashes = [results[row.path].get("audio_hash") for row in rows]
    return {"table": seal(project, table), "audio": digest("audio-hashes", hashes)}


def _counts(rows: list[Row], results: dict[str, dict[str, Any]], decoded: int) -> dict[str, int]:
    made = [results[row.path] for row in rows]
    return {
        "files": len(made),
        "bad": sum("bad" in result for result in made),
        "decoded": decoded,
        "samples": sum(result.get("n_samples", 0) for result in made),
        "standard_bytes": sum(result.get("file_size", 0) for result in made),
    }


def _known(project: Project, paths: list[Path], policy: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return results made earlier under the same policy, from the last table and from a broken run's journal."""
    known = {}
    for path in paths:
        if not path.exists():
            continue
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError):  # the journal's last line may be torn; that recording is done again
                row = orjson.loads(line)
                if row.get("policy") == policy:
                    known[row["path"], row["source_hash"]] = row
    return known


def _work(project: Project, dataset: str, row: Row) -> Work:
    source, form = project.root(dataset) / row.path, project.catalog.standard.format
    target = None if form == "none" else project.standard / dataset / standard_name(row.path, form)
    return Work(
        path=row.path,
        source_hash=row.source_hash,
        size=row.size,
        mtime_ns=row.mtime_ns,
        source=source,
        target=target,
        file=project.relative(target or source),
    )


def _batches(todo: list[Work], policy: dict[str, Any], project: Project) -> Iterator[tuple[Any, ...]]:
    batch: list[Work] = []
    size = 0
    for work in todo:
        if batch and (len(batch) >= BATCH_FILES or size + work.size > BATCH_BYTES):
            yield (batch, policy, project.scratch)
            batch, size = [], 0
        batch.append(work)
        size += work.size
    if batch:
        yield (batch, policy, project.scratch)


def _drop_orphans(project: Project, table: Path, results: dict[str, dict[str, Any]]) -> None:
    """Delete standard files of recordings that left the shard or turned bad."""
    if not table.exists():
        return
    kept = {result["file"] for result in results.values() if "file_size" in result}
    for line in table.read_bytes().splitlines():
        with contextlib.suppress(ValueError):
            row = orjson.loads(line)
            if "file_size" in row and row["file"] not in kept:
                remove(project.home / row["file"])


STAGE = Stage(NAME, VERSION, _inputs, _intact, _build)


def tables_of(project: Project, dataset: str) -> dict[str, Receipt]:
    """Return the receipts of all of a dataset's shards.

    Raises UpstreamError when one has not run.
    """
    receipts = {}
    for shard in scan.shards_of(project, dataset):
        receipt = receipt_of(project, Unit(NAME, dataset, shard))
        if receipt is None:
            raise UpstreamError(f"standardize:{dataset}:{shard} has not run")
        receipts[shard] = receipt
    return receipts


def _seal_inputs(project: Project, unit: Unit) -> dict[str, Any]:
    tables = {shard: receipt.outputs["table"]["xxh3"] for shard, receipt in tables_of(project, unit.dataset).items()}
    return {"tables": tables, "max_bad": project.dataset(unit.dataset).max_bad}


def _seal_intact(project: Project, unit: Unit, receipt: Receipt) -> list[str]:
    return broken(project, [receipt.outputs["quarantine"]])


def _seal_build(project: Project, unit: Unit) -> Built:
    """Gather the quarantine of all shards, forget shards that are no more, hold the dataset to its max_bad."""
    dataset, receipts = unit.dataset, tables_of(project, unit.dataset)
    _forget_shards(project, dataset, set(receipts))
    bad, files = [], 0
    target = project.quarantine(dataset)
    with publishing(target, project.scratch) as temporary, temporary.open("wb") as file:
        for shard in receipts:
            for row in read_table(project.table(dataset, shard)):
                files += 1
                if "bad" in row:
                    bad.append(f"{row['path']}: {row['bad']}")
                    line = {"path": row["path"], "reason": row["bad"], "detail": row["detail"], "shard": shard}
                    line |= {"decoder": row["decoder"], "source_hash": row["source_hash"]}
                    file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    allowed = project.dataset(dataset).max_bad
    where = project.relative(target)
    if len(bad) > allowed * files:
        raise CorpusError(
            f"{dataset}: {len(bad):,} of {files:,} recordings are bad, max_bad allows {allowed:.2%} (such as {bad[0]})."
            f" All are listed in {where}; mend them, or raise max_bad in [datasets.{dataset}]."
        )
    if bad:
        LOG.note(f"{unit}: {len(bad):,} of {files:,} recordings in quarantine (such as {bad[0]}); all in {where}")
    return Built({"quarantine": seal(project, target)}, {"files": files, "bad": len(bad), "shards": len(receipts)})


def _forget_shards(project: Project, dataset: str, shards: set[str]) -> None:
    """Delete tables, standard files and receipts of shards whose recordings are all gone."""
    for table in project.table(dataset, "0").parent.glob("*.jsonl"):
        if table.stem not in shards:
            _drop_orphans(project, table, {})
            for stage in (NAME, "features"):
                project.receipt(stage, dataset, table.stem).unlink(missing_ok=True)
            table.unlink()


SEAL = Stage(NAME, VERSION, _seal_inputs, _seal_intact, _seal_build)
