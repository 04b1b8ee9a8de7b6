"""manifest: one JSON row a recording, a file a split, in the shards' order; whole or not there."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from earmark.catalog.project import Project
from earmark.corpora import SPLITS
from earmark.disk.files import publishing, remove
from earmark.disk.hashing import digest
from earmark.disk.receipts import Receipt
from earmark.disk.shards import Row, read_rows
from earmark.errors import CorpusError
from earmark.training.manifest_row import dump_row, make_row
from tasks.engine.stage import Built, Stage, Unit, UpstreamError, broken, receipt_of, seal
from tasks.report import LOG
from tasks.stages import scan
from tasks.stages.standardize import audio_folder, audio_path, read_table
from tasks.stages.standardize_gather import tables_of

NAME, VERSION = "manifest", 1


def _inputs(project: Project, unit: Unit) -> dict[str, Any]:
    shards, tables = scan.shards_of(project, unit.dataset), tables_of(project, unit.dataset)
    if receipt_of(project, Unit("standardize", unit.dataset)) is None:
        raise UpstreamError(f"standardize:{unit.dataset} has not finished")
    return {
        "stem": project.dataset(unit.dataset).manifest or unit.dataset,
        "folder": project.catalog.paths.manifests,
        "per_split": project.dataset(unit.dataset).per_split,
        "format": project.catalog.standard.format,
        "below": project.relative(audio_folder(project, unit.dataset)),
        "labels": digest("labels", {shard: sealed["labels"] for shard, sealed in shards.items()}),
        "audio": digest("tables", {shard: receipt.outputs["table"]["xxh3"] for shard, receipt in tables.items()}),
    }


def _intact(project: Project, unit: Unit, receipt: Receipt) -> list[str]:
    return broken(project, receipt.outputs["files"].values())


def manifest_path(project: Project, dataset: str, split: str | None) -> Path:
    """Return `manifests/<stem>_<split>.jsonl`; `<stem>.jsonl` without a split, or where all go in one file."""
    table = project.dataset(dataset)
    stem = table.manifest or dataset
    return project.manifests / (f"{stem}_{split}.jsonl" if split and table.per_split else f"{stem}.jsonl")


def _good(project: Project, dataset: str) -> Iterator[tuple[Row, dict[str, Any], str]]:
    """Yield every good recording, shard by shard: its row, what was made of it, and the path of its audio."""
    path_of = audio_path(project, dataset)
    for shard in scan.shards_of(project, dataset):
        listed = read_rows(project.shard_list(dataset, shard))
        for row, made in zip(listed, read_table(project.table(dataset, shard)), strict=True):
            if "bad" not in made:
                yield row, made, path_of(row.path)


def _rows(project: Project, dataset: str, lost: list[str]) -> Iterator[tuple[str | None, bytes, int]]:
    """Yield split, line and samples of every good recording; stems that are not among them are added to `lost`."""
    form = project.catalog.standard.format
    stems: dict[str, dict[str, str]] | None = None
    for row, made, path in _good(project, dataset):
        line = make_row(dataset, row, made, path, form)
        if "stems" in line:
            if stems is None:  # read when the first mixture comes: most corpora have none
                stems = {
                    row.id: {"id": row.id, "audio_path": path, "audio_hash": made["audio_hash"]}
                    for row, made, path in _good(project, dataset)
                    if "stem" in row.labels
                }
            lost += [f"{row.id}: {name}" for name in _resolve_stems(line, stems)]
        yield row.split, dump_row(line), made["n_samples"]


def _resolve_stems(line: dict[str, Any], stems: dict[str, dict[str, str]]) -> list[str]:
    """Put what is known of its stems into a mixture's row; return the names of those that are lost, a defect of it."""
    wished: dict[str, str] = line.pop("stems")
    lost = [name for name, recording in wished.items() if recording not in stems]
    if len(lost) < len(wished):
        line["stems"] = {name: stems[recording] for name, recording in wished.items() if recording in stems}
    if lost:
        line["defects"] = [*line.get("defects", ()), *(f"no stem {name}" for name in lost)]
    return lost


def _build(project: Project, unit: Unit) -> Built:
    dataset = unit.dataset
    before = receipt_of(project, unit)
    counts = {"rows": 0, "samples": 0}
    lost: list[str] = []
    with contextlib.ExitStack() as stack:
        files: dict[Path, IO[bytes]] = {}
        by_split: dict[str | None, IO[bytes]] = {}  # several splits may go into one file
        for split, line, n_samples in _rows(project, dataset, lost):
            if split not in by_split:
                path = manifest_path(project, dataset, split)
                if path not in files:
                    temporary = stack.enter_context(publishing(path, project.scratch))
                    files[path] = stack.enter_context(temporary.open("wb"))
                by_split[split] = files[path]
            by_split[split].write(line)
            counts["rows"] += 1
            counts["samples"] += n_samples
    if not counts["rows"]:
        raise CorpusError(
            f"{dataset}: not one good recording in it: nothing to write. All are listed, with reasons, in"
            f" {project.relative(project.quarantine(dataset))}."
        )
    if lost:
        counts["stems lost"] = len(lost)
        LOG.note(f"{unit}: {len(lost):,} stems are not among the good recordings, so left out (such as {lost[0]})")
    for old in before.outputs["files"].values() if before else ():
        path = project.home / old["path"]
        if path not in files and not _claimed(project, dataset, path):  # a split or a stem that is no more
            remove(path)
    sealed = {path.name: seal(project, path) for path in sorted(files)}
    return Built({"files": sealed}, counts, sum(entry["size"] for entry in sealed.values()))


def _claimed(project: Project, dataset: str, path: Path) -> bool:
    """Say whether another dataset's manifest, or a joint one, bears this name by now."""
    others = [name for name in project.catalog.datasets if name != dataset]
    joint = [project.manifests / f"{name}.jsonl" for name in project.catalog.manifests]
    return path in joint or any(
        path == manifest_path(project, name, split) for name in others for split in (None, *SPLITS)
    )


STAGE = Stage(NAME, VERSION, _inputs, _intact, _build)
