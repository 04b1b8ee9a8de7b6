"""job: the rows that a training job can use, from all of its datasets, a file for each split, and a summary.

A dataset that is not on this disk is left out with a note. A leak between splits fails the job, and nothing is written.
"""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from earmark.catalog import licences
from earmark.catalog.project import Project
from earmark.catalog.tables import JobTable
from earmark.disk.receipts import Inputs, Receipt, SealedFile
from earmark.json_bytes import json_bytes
from earmark.printable import printable
from earmark.rows import SPLITS
from tasks.engine.judge import broken, receipt_of, seal_file
from tasks.engine.products import Products
from tasks.engine.stage import Built, Rule, Run, UpstreamError
from tasks.engine.units import Unit
from tasks.stages import encoder_packs, features, presence
from tasks.stages.joint import CombinedFiles, hashes, manifest_of, note_skipped
from tasks.stages.standardize_gather import tables_of

if TYPE_CHECKING:  # imported where a job is built: its states need receipts alone
    from earmark.training.job_summary import Summary
    from earmark.training.selection import JobDataset

NAME, VERSION = "job", 2
PASSES = 2  # over the manifests: leaks are found in the first, rows written in the second


def _table(project: Project, unit: Unit) -> JobTable:
    return project.catalog.jobs[unit.dataset]


def _features(project: Project, dataset: str, encoder: str) -> tuple[SealedFile, str]:
    """Return the sealed feature manifest of a dataset, and the folder of the encoder that made the features."""
    receipt = receipt_of(project, Unit("features", dataset), features.FeatureFiles)
    if receipt is None or encoder not in receipt.outputs.files:
        raise UpstreamError(f"features:{dataset} has not run")
    folder = encoder_packs.folder_of(project, encoder, receipt.made_from(encoder_packs.MadeBy).encoders[encoder])
    return receipt.outputs.files[encoder], project.relative(folder)


def _inputs(run: Run, unit: Unit) -> Inputs:
    project = run.project
    table = _table(project, unit)
    here, absent = presence.require_any(project, table.datasets)
    tables = {name: project.dataset(name) for name in here}
    encoded = {name: {encoder: _features(project, name, encoder) for encoder in table.features} for name in here}
    return {
        "table": table.model_dump(mode="json"),
        "folder": project.catalog.paths.manifests,
        "absent": absent,
        "manifests": {name: hashes(manifest_of(project, name)) for name in here},
        "features": {
            name: {encoder: [folder, sealed.xxh3] for encoder, (sealed, folder) in by_encoder.items()}
            for name, by_encoder in encoded.items()
        },
        "licences": {name: dataset.licence for name, dataset in tables.items()} if table.licences else {},
        "disjoint": {name: list(dataset.disjoint) for name, dataset in tables.items()},
        "spaces": {name: dict(dataset.spaces) for name, dataset in tables.items()},
        **({"licence_rule": licences.RULE} if table.licences else {}),
        **({"levels": {name: _audio_hashes(project, name) for name in here}} if table.asks_levels else {}),
    }


def _audio_hashes(project: Project, dataset: str) -> dict[str, str]:
    """Return the hashes of a dataset's tables of canonical audio, by shard."""
    return {shard: receipt.outputs.table.xxh3 for shard, receipt in tables_of(project, dataset).items()}


def _intact(run: Run, _unit: Unit, receipt: Receipt[CombinedFiles]) -> list[str]:
    return broken(run.project, receipt.outputs.files.values())


def _source(project: Project, name: str, job: JobTable) -> "JobDataset":
    """Return one dataset as the job reads it: its manifest's files, and what the catalog says of it."""
    from earmark.training.selection import JobDataset

    table, files = project.dataset(name), manifest_of(project, name).outputs.files
    encoded = {encoder: project.home / _features(project, name, encoder)[0].path for encoder in job.features}
    paths = tuple(project.home / sealed.path for _, sealed in sorted(files.items()))
    shards = tables_of(project, name) if job.asks_levels else ()
    tables = tuple(project.table(name, shard) for shard in shards)
    return JobDataset(name, paths, table.licence, table.disjoint, table.spaces, encoded, tables)


def _build(run: Run, unit: Unit) -> Built[CombinedFiles]:
    from earmark.training.jobs import write_job

    project = run.project
    table, folder = _table(project, unit), project.manifests / "jobs" / unit.dataset
    here, absent = presence.here_and_absent(project, table.datasets)
    note_skipped(run, unit, absent)
    sources = [_source(project, name, table) for name in here]
    size = sum(path.stat().st_size for source in sources for path in source.files)
    rows = [folder / f"{split}.jsonl" for split in SPLITS]
    before = receipt_of(project, unit, CombinedFiles)
    products = Products(run, unit, before.outputs.files.values() if before else ())
    # one stack for all files: none is published before the last is written, and none after an error
    with contextlib.ExitStack() as stack:
        paths = {path.stem: stack.enter_context(products.publishing(path)) for path in rows}
        with run.log.progress(str(unit), PASSES * size, unit="bytes") as bar:
            summary = write_job(unit.dataset, table, sources, paths, bar.advance)
        summary.skipped = tuple(absent)
        summary.encoders = {encoder: _features(project, here[0], encoder)[1] for encoder in table.features}
        for path, data in _summaries(folder, summary).items():
            stack.enter_context(products.publishing(path)).write_bytes(data)
        products.settle()
    for line in summary.table():
        run.log.show(line)
    if not summary.splits["train"].rows:
        run.log.note(f"{unit}: not one row is left in train")
    sealed = {path.name: seal_file(project, path) for path in (*rows, *_summaries(folder, summary))}
    counts = {split: part.rows for split, part in summary.splits.items()}
    counts |= {"left_out": sum(reasons.total() for reasons in summary.left_out.values()), "skipped": len(absent)}
    return Built(CombinedFiles(sealed, absent), counts, sum(entry.size for entry in sealed.values()))


def _summaries(folder: Path, summary: "Summary") -> dict[Path, bytes]:
    """Return the contents of the summary's two files by path: for programs, and for people."""
    as_json = json_bytes(summary.as_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    as_text = "".join(f"{printable(line)}\n" for line in summary.table())
    return {folder / "summary.json": as_json, folder / "summary.txt": as_text.encode()}


RULE = Rule(NAME, VERSION, CombinedFiles, _inputs, _intact, _build)
