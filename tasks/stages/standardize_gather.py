"""Sealing a standardized dataset: quarantine gathered and held to `max_bad`, what no shard holds any more deleted."""

import functools
from collections.abc import Iterator
from typing import Any

import orjson
import xxhash

from earmark.catalog.project import Project
from earmark.disk.files import publishing, remove
from earmark.disk.receipts import Receipt
from earmark.errors import CorpusError
from tasks.engine.stage import Built, Stage, Unit, UpstreamError, broken, receipt_of, seal
from tasks.report import LOG
from tasks.stages import scan
from tasks.stages.standardize import NAME, VERSION, lenient_rows, note_orphans, read_table, standard_of


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


def require_accepted(project: Project, dataset: str) -> None:
    """Hold a dataset to its `max_bad`, by the shards that are standardized so far.

    Raises CorpusError when more of the whole dataset is bad than that.
    """
    files = sum(sealed["files"] for sealed in scan.shards_of(project, dataset).values())
    bad = _bad_so_far(project, dataset)
    allowed = project.dataset(dataset).max_bad
    if bad <= allowed * files:
        return
    where = project.quarantine(dataset)
    first = next(lenient_rows(where), None)
    such = f" (such as {first['path']}: {first['reason']})" if first else ""
    raise CorpusError(
        f"{dataset}: {bad:,} of {files:,} recordings are bad, max_bad allows {allowed:.2%}{such}. All are listed in"
        f" {project.relative(where)}; mend them, or raise max_bad in [datasets.{dataset}]."
    )


def _bad_so_far(project: Project, dataset: str) -> int:
    """Count the bad recordings in receipts; counted again only when a receipt was published since."""
    folder = project.receipt(NAME, dataset, "0").parent
    return _count_bad(project, dataset, folder.stat().st_mtime_ns) if folder.is_dir() else 0


@functools.lru_cache(maxsize=64)
def _count_bad(project: Project, dataset: str, _published: int) -> int:
    shards = scan.shards_of(project, dataset)
    receipts = (receipt_of(project, Unit(NAME, dataset, shard)) for shard in shards)
    return sum(receipt.counts["bad"] for receipt in receipts if receipt)


def _inputs(project: Project, unit: Unit) -> dict[str, Any]:
    receipts = tables_of(project, unit.dataset)
    require_accepted(project, unit.dataset)
    tables = {shard: receipt.outputs["table"]["xxh3"] for shard, receipt in receipts.items()}
    return {"tables": tables, "max_bad": project.dataset(unit.dataset).max_bad}


def _intact(project: Project, unit: Unit, receipt: Receipt) -> list[str]:
    return broken(project, [receipt.outputs["quarantine"]])


def _prepare(project: Project, unit: Unit) -> None:
    """Gather the quarantine before the dataset is judged by it, and clear away what its shards let go."""
    dataset = unit.dataset
    _forget_shards(project, dataset)
    with publishing(project.quarantine(dataset), project.scratch) as temporary, temporary.open("wb") as file:
        for line in _lines(project, dataset):
            file.write(line)


def _lines(project: Project, dataset: str) -> Iterator[bytes]:
    for shard in tables_of(project, dataset):
        for row in read_table(project.table(dataset, shard)):
            if "bad" in row:
                line = {"path": row["path"], "reason": row["bad"], "detail": row["detail"], "shard": shard}
                line |= {"decoder": row["decoder"], "source_hash": row["source_hash"]}
                yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _build(project: Project, unit: Unit) -> Built:
    dataset, receipts = unit.dataset, tables_of(project, unit.dataset)
    target = project.quarantine(dataset)
    bad = list(read_table(target))
    files = sum(receipt.counts["files"] for receipt in receipts.values())
    if bad:
        such = f"such as {bad[0]['path']}: {bad[0]['reason']}"
        LOG.note(
            f"{unit}: {len(bad):,} of {files:,} recordings in quarantine ({such}); all in {project.relative(target)}"
        )
    return Built({"quarantine": seal(project, target)}, {"files": files, "bad": len(bad), "shards": len(receipts)})


def _forget_shards(project: Project, dataset: str) -> None:
    """Delete the tables and receipts of shards that are no more, and standard files that no shard holds."""
    shards = scan.shards_of(project, dataset)
    folder = project.table(dataset, "0").parent
    for table in folder.glob("*.jsonl"):
        if table.stem not in shards:
            note_orphans(project, dataset, table, {})
            for stage in (NAME, "features"):
                project.receipt(stage, dataset, table.stem).unlink(missing_ok=True)
            table.unlink()
    noted = list(folder.glob("*.orphans"))
    if not noted:
        return
    live = {
        xxhash.xxh3_64_intdigest(standard_of(row).encode())
        for shard in shards
        for row in lenient_rows(project.table(dataset, shard))
        if "file_size" in row
    }
    for path in noted:
        for name in map(orjson.loads, path.read_bytes().splitlines()):
            if xxhash.xxh3_64_intdigest(name.encode()) not in live:
                remove(project.standard / dataset / name)
        path.unlink()


SEAL = Stage(NAME, VERSION, _inputs, _intact, _build, _prepare)
