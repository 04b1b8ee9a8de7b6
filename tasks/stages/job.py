"""job: the rows of its datasets that carry what a training job needs, a file a split, and a summary of what was taken.

A dataset that is not on this disk is named and left out; a leak between splits fails the job and writes nothing.
"""

import contextlib
from typing import Any

import orjson

from earmark.catalog.project import Project
from earmark.catalog.tables import JobTable
from earmark.corpora import SPLITS
from earmark.disk.files import publishing
from earmark.disk.receipts import Receipt
from earmark.training.jobs import write_job
from earmark.training.selection import Source
from tasks.engine.stage import Built, Stage, Unit, UpstreamError, broken, receipt_of, seal
from tasks.report import LOG
from tasks.stages import features
from tasks.stages.joint import hashes, manifest_of, note_skipped, present, require_some

NAME, VERSION = "job", 1
PASSES = 2  # over the manifests


def _table(project: Project, unit: Unit) -> JobTable:
    return project.catalog.jobs[unit.dataset]


def _features(project: Project, dataset: str, encoder: str) -> tuple[dict[str, Any], str]:
    """Return the sealed feature manifest of a dataset, and the folder of the encoder that made the features."""
    receipt = receipt_of(project, Unit("features", dataset))
    if receipt is None or encoder not in receipt.outputs["files"]:
        raise UpstreamError(f"features:{dataset} has not run")
    folder = features.folder_of(project, encoder, receipt.inputs["encoders"][encoder])
    return receipt.outputs["files"][encoder], project.relative(folder)


def _inputs(project: Project, unit: Unit) -> dict[str, Any]:
    table = _table(project, unit)
    here, absent = require_some(project, table.datasets)
    said = {name: project.dataset(name) for name in here}
    made = {name: {encoder: _features(project, name, encoder) for encoder in table.features} for name in here}
    return {
        "table": table.model_dump(mode="json"),
        "folder": project.catalog.paths.manifests,
        "absent": absent,
        "manifests": {name: hashes(manifest_of(project, name)) for name in here},
        "features": {
            name: {encoder: [folder, entry["xxh3"]] for encoder, (entry, folder) in found.items()}
            for name, found in made.items()
        },
        "licences": {name: dataset.licence for name, dataset in said.items()} if table.licences else {},
        "disjoint": {name: list(dataset.disjoint) for name, dataset in said.items()},
        "spaces": {name: dict(dataset.spaces) for name, dataset in said.items()},
    }


def _intact(project: Project, unit: Unit, receipt: Receipt) -> list[str]:
    return broken(project, receipt.outputs["files"].values())


def _source(project: Project, name: str, encoders: tuple[str, ...]) -> Source:
    """Return one dataset as the job reads it: its manifest's files by name, and what the catalog says."""
    table, files = project.dataset(name), manifest_of(project, name).outputs["files"]
    made = {encoder: project.home / _features(project, name, encoder)[0]["path"] for encoder in encoders}
    paths = tuple(project.home / entry["path"] for _, entry in sorted(files.items()))
    return Source(name, paths, table.licence, table.disjoint, table.spaces, made)


def _build(project: Project, unit: Unit) -> Built:
    table, folder = _table(project, unit), project.manifests / "jobs" / unit.dataset
    here, absent = present(project, table.datasets)
    note_skipped(unit, absent)
    sources = [_source(project, name, table.features) for name in here]
    size = sum(path.stat().st_size for source in sources for path in source.files)
    targets = [*(folder / f"{split}.jsonl" for split in SPLITS), folder / "summary.json", folder / "summary.txt"]
    with contextlib.ExitStack() as stack:
        paths = {path.stem: stack.enter_context(publishing(path, project.scratch)) for path in targets[: len(SPLITS)]}
        with LOG.progress(str(unit), PASSES * size, unit="bytes") as bar:
            summary = write_job(unit.dataset, table, sources, paths, bar.advance)
        summary.skipped = tuple(absent)
        summary.encoders = {encoder: _features(project, here[0], encoder)[1] for encoder in table.features}
        lines = summary.table()
        told = orjson.dumps(summary.told(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        for path, data in zip(targets[len(SPLITS) :], (told, "\n".join([*lines, ""]).encode()), strict=True):
            stack.enter_context(publishing(path, project.scratch)).write_bytes(data)
    for line in lines:
        print(f"   {line}", flush=True)
    if not summary.splits["train"].rows:
        LOG.note(f"{unit}: not one row is left in train")
    sealed = {path.name: seal(project, path) for path in targets}
    counts = {split: part.rows for split, part in summary.splits.items()}
    counts |= {"left_out": sum(found.total() for found in summary.left_out.values()), "skipped": len(absent)}
    return Built({"files": sealed, "skipped": absent}, counts, sum(entry["size"] for entry in sealed.values()))


STAGE = Stage(NAME, VERSION, _inputs, _intact, _build)
