"""standardize: a shard as canonical audio (16 kHz, mono, int16), hashed and measured; bad recordings quarantined."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from earmark.audio.batch import Work, standard_name, standardize_batch
from earmark.catalog.project import Project
from earmark.disk.files import make_folder, publish
from earmark.disk.hashing import digest
from earmark.disk.inside import locate
from earmark.disk.receipts import Receipt
from earmark.disk.shards import Row, read_rows
from earmark.errors import AbsentError, CorpusError
from earmark.rates import RATE_HZ
from tasks.engine.run_pool import pool
from tasks.engine.stage import Built, Stage, Unit, broken, seal
from tasks.report import LOG
from tasks.stages import extract, scan

NAME, VERSION = "standardize", 1
BATCH_FILES = 16  # recordings sent to a worker at a time
BATCH_BYTES = 16_000_000  # source bytes sent at a time, so that one long file travels alone
STAT_LIMIT = 100_000  # standard files of a dataset; above, their folder alone is looked at (as with watch = "auto")


def policy_of(project: Project, dataset: str) -> dict[str, Any]:
    """Return all that decides what a recording's canonical audio is, as JSON."""
    standard = project.catalog.standard
    channel = project.dataset(dataset).channel
    return {"channel": channel, "resampler": standard.resampler, "format": standard.format, "rate_hz": RATE_HZ}


def audio_folder(project: Project, dataset: str) -> Path:
    """Return the folder below which `audio_file` lies."""
    return project.root(dataset) if project.catalog.standard.format == "none" else project.standard / dataset


def audio_file(project: Project, dataset: str, path: str) -> Path:
    """Return where a recording's audio lies: its standard file, or the source where none is kept.

    Tables hold paths below the root only, so that folders may move without anything being made again.
    """
    form = project.catalog.standard.format
    return audio_folder(project, dataset) / (path if form == "none" else standard_name(path, form))


def audio_path(project: Project, dataset: str) -> Callable[[str], str]:
    """Return what tells `audio_file` as it is recorded, of any of a dataset's recordings: made once for millions."""
    form = project.catalog.standard.format
    folder = project.relative(audio_folder(project, dataset))
    below = "" if folder == "." else f"{folder}/"
    return lambda path: below + (path if form == "none" else standard_name(path, form))


def _inputs(project: Project, unit: Unit) -> dict[str, Any]:
    shards = scan.shards_of(project, unit.dataset)
    if unit.part not in shards:
        raise CorpusError(f"{unit}: no such shard: {unit.dataset} has {named(shards)}.")
    return {"audio": shards[unit.part]["audio"], "policy": policy_of(project, unit.dataset)}


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
    if problems or project.catalog.standard.format == "none" or not receipt.counts["standard_bytes"]:
        return problems
    require_standard(project, unit.dataset)
    if sum(sealed["files"] for sealed in scan.shards_of(project, unit.dataset).values()) > STAT_LIMIT:
        return problems
    rows = read_table(project.table(unit.dataset, unit.part))
    bad = [row["path"] for row in rows if not _whole(project, unit.dataset, row)]
    return [f"{len(bad):,} standard files gone or of another size (such as that of {bad[0]})"] if bad else []


def require_standard(project: Project, dataset: str) -> None:
    """Tell standard audio on a volume that is not mounted from files that were deleted.

    Raises AbsentError when the whole folder of standard audio is missing or empty.
    """
    if not (project.standard / dataset).is_dir() and not extract.holds_files(project.standard):
        raise AbsentError(
            f"{project.relative(project.standard)}: the folder of standard audio is missing or empty: not mounted?"
            f" Mount it, or make its files anew: `doit -a standardize:{dataset}`."
        )


def _whole(project: Project, dataset: str, row: dict[str, Any]) -> bool:
    """Say by a stat whether a row's standard file is there, whole; true where the row made none."""
    if "file_size" not in row:
        return True
    with contextlib.suppress(OSError):
        return bool(audio_file(project, dataset, row["path"]).stat().st_size == row["file_size"])
    return False


def _build(project: Project, unit: Unit) -> Built:
    dataset, shard = unit.dataset, unit.part
    extract.require_present(project, dataset)
    rows = list(read_rows(project.shard_list(dataset, shard)))
    policy, table = policy_of(project, dataset), project.table(dataset, shard)
    journal = make_folder(project.scratch.tmp) / f"journal-{dataset}-{shard}.jsonl"
    known = {} if LOG.force else _known([table, journal], policy)
    results: dict[str, dict[str, Any]] = {}
    todo = []
    for row in rows:
        before = known.get((row.path, row.source_hash))
        if before is not None and _whole(project, dataset, before):
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
    if written:
        os.sync()  # once for the whole shard: the receipt must not outlive the audio that it vouches for
    note_orphans(project, dataset, table, results)
    publish(table, b"".join(orjson.dumps(results[row.path]) + b"\n" for row in rows), project.scratch)
    journal.unlink(missing_ok=True)
    hashes = [results[row.path].get("audio_hash") for row in rows]
    outputs = {"table": seal(project, table), "audio": digest("audio-hashes", hashes)}
    return Built(outputs, _counts(rows, results, len(todo)), written)


def _counts(rows: list[Row], results: dict[str, dict[str, Any]], decoded: int) -> dict[str, int]:
    made = [results[row.path] for row in rows]
    return {
        "files": len(made),
        "bad": sum("bad" in result for result in made),
        "decoded": decoded,
        "samples": sum(result.get("n_samples", 0) for result in made),
        "standard_bytes": sum(result.get("file_size", 0) for result in made),
    }


def _known(paths: list[Path], policy: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return results made earlier under the same policy, from the last table and from a broken run's journal."""
    known = {}
    for path in paths:
        for row in lenient_rows(path):
            if row.get("policy") == policy:
                known[row["path"], row["source_hash"]] = row
    return known


def lenient_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole rows of a table that may be missing, torn or damaged: what is lost is made again."""
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        with contextlib.suppress(ValueError):
            row = orjson.loads(line)
            if isinstance(row, dict) and {"path", "source_hash"} <= row.keys():
                yield row


def _work(project: Project, dataset: str, row: Row) -> Work:
    form = project.catalog.standard.format
    target = None if form == "none" else audio_file(project, dataset, row.path)
    source = project.root(dataset) / row.path
    return Work(row.path, row.source_hash, row.size, row.mtime_ns, source, target)


def _batches(todo: list[Work], policy: dict[str, Any], project: Project) -> Iterator[tuple[Any, ...]]:
    batch: list[Work] = []
    size = 0
    for work in todo:
        added = 0 if locate(work.source).part == "row" else work.size  # rows of one table go together
        if batch and (len(batch) >= BATCH_FILES or size + added > BATCH_BYTES):
            yield (batch, policy, project.scratch)
            batch, size = [], 0
        batch.append(work)
        size += added
    if batch:
        yield (batch, policy, project.scratch)


def note_orphans(project: Project, dataset: str, table: Path, results: dict[str, dict[str, Any]]) -> None:
    """Note the standard files that a table is about to let go; sealing deletes those that no shard holds any more."""
    kept = {standard_of(row) for row in results.values() if "file_size" in row}
    left = [standard_of(row) for row in lenient_rows(table) if "file_size" in row]
    names = [name for name in left if name not in kept]
    if names:
        path = orphans_path(project, dataset, table.stem)
        before = path.read_bytes() if path.exists() else b""
        publish(path, before + b"".join(orjson.dumps(name) + b"\n" for name in names), project.scratch)


def standard_of(row: dict[str, Any]) -> str:
    """Return the name of a row's standard file below the dataset's folder, as it was made."""
    return standard_name(row["path"], row["policy"]["format"])


def orphans_path(project: Project, dataset: str, shard: str) -> Path:
    """Return the list of standard files that a shard let go."""
    return project.table(dataset, shard).with_suffix(".orphans")


STAGE = Stage(NAME, VERSION, _inputs, _intact, _build)
