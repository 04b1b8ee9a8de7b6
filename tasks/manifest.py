"""manifest: one JSON row a recording, a file a split, in the shards' order; whole or not there."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from earmark.corpora import SPLITS
from earmark.errors import CorpusError
from earmark.files import publishing, remove
from earmark.hashing import digest
from earmark.manifest import dump_row, make_row
from earmark.project import Project
from earmark.receipts import Receipt
from earmark.shards import read_rows
from tasks import scan
from tasks.quarantine import tables_of
from tasks.stage import Built, Stage, Unit, UpstreamError, broken, receipt_of, seal
from tasks.standardize import audio_file, audio_folder, read_table

NAME, VERSION = "manifest", 1


def _inputs(project: Project, unit: Unit) -> dict[str, Any]:
    shards, tables = scan.shards_of(project, unit.dataset), tables_of(project, unit.dataset)
    if receipt_of(project, Unit("standardize", unit.dataset)) is None:
        raise UpstreamError(f"standardize:{unit.dataset} has not finished")
    return {
        "stem": project.dataset(unit.dataset).manifest or unit.dataset,
        "folder": project.catalog.paths.manifests,
        "format": project.catalog.standard.format,
        "below": project.relative(audio_folder(project, unit.dataset)),
        "labels": digest("labels", {shard: sealed["labels"] for shard, sealed in shards.items()}),
        "audio": digest("tables", {shard: receipt.outputs["table"]["xxh3"] for shard, receipt in tables.items()}),
    }


def _intact(project: Project, unit: Unit, receipt: Receipt) -> list[str]:
    return broken(project, receipt.outputs["files"].values())


def manifest_path(project: Project, dataset: str, split: str | None) -> Path:
    """Return `manifests/<stem>_<split>.jsonl`, or `<stem>.jsonl` for recordings without a split."""
    stem = project.dataset(dataset).manifest or dataset
    return project.manifests / (f"{stem}_{split}.jsonl" if split else f"{stem}.jsonl")


def _rows(project: Project, dataset: str) -> Iterator[tuple[str | None, bytes, int]]:
    """Yield split, line and samples of every good recording, shard by shard."""
    form = project.catalog.standard.format
    for shard in scan.shards_of(project, dataset):
        listed = read_rows(project.shard_list(dataset, shard))
        for row, made in zip(listed, read_table(project.table(dataset, shard)), strict=True):
            if "bad" not in made:
                path = project.relative(audio_file(project, dataset, row.path))
                yield row.split, dump_row(make_row(dataset, row, made, path, form)), made["n_samples"]


def _build(project: Project, unit: Unit) -> Built:
    dataset = unit.dataset
    before = receipt_of(project, unit)
    counts = {"rows": 0, "samples": 0}
    with contextlib.ExitStack() as stack:
        files: dict[Path, IO[bytes]] = {}
        for split, line, n_samples in _rows(project, dataset):
            path = manifest_path(project, dataset, split)
            if path not in files:
                temporary = stack.enter_context(publishing(path, project.scratch))
                files[path] = stack.enter_context(temporary.open("wb"))
            files[path].write(line)
            counts["rows"] += 1
            counts["samples"] += n_samples
    if not counts["rows"]:
        raise CorpusError(
            f"{dataset}: not one good recording in it: nothing to write. All are listed, with reasons, in"
            f" {project.relative(project.quarantine(dataset))}."
        )
    for old in before.outputs["files"].values() if before else ():
        path = project.home / old["path"]
        if path not in files and not _claimed(project, dataset, path):  # a split or a stem that is no more
            remove(path)
    sealed = {path.name: seal(project, path) for path in sorted(files)}
    return Built({"files": sealed}, counts, sum(entry["size"] for entry in sealed.values()))


def _claimed(project: Project, dataset: str, path: Path) -> bool:
    """Say whether another dataset's manifest bears this name by now."""
    others = (name for name in project.catalog.datasets if name != dataset)
    return any(path == manifest_path(project, name, split) for name in others for split in (None, *SPLITS))


STAGE = Stage(NAME, VERSION, _inputs, _intact, _build)
