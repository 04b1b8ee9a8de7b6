"""manifest: a JSON row for each good recording, a file for each split, in the order of the shards."""

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

import msgspec

from earmark.audio.table import GoodAudio, read_table
from earmark.catalog.project import Project
from earmark.disk.hashing import digest
from earmark.disk.receipts import Inputs, Receipt, SealedFile, as_inputs
from earmark.disk.shards import ShardRow, read_rows
from earmark.errors import CorpusError
from earmark.rows import SPLITS, Labels
from earmark.schema import manifest_rows
from earmark.training.bounds import defects_found
from earmark.training.manifest_row import dump_row, make_row
from tasks.engine.judge import broken, receipt_of, require_receipt, seal_file
from tasks.engine.products import Products
from tasks.engine.stage import Built, Rule, Run, Stage
from tasks.engine.units import Unit
from tasks.stages import scan, standard_files
from tasks.stages.standardize_gather import Gathered, tables_of

NAME, VERSION = "manifest", 2
BATCH_ROWS = 500  # rows that are held against the schema at a time


class ManifestInputs(msgspec.Struct, frozen=True):
    """What a dataset's manifest is made from; `labels` and `audio` are digests over its shards."""

    stem: str
    folder: str
    per_split: bool
    format: str
    below: str
    labels: str
    audio: str


class ManifestFiles(msgspec.Struct, frozen=True):
    """What a manifest seals: its files by name."""

    files: dict[str, SealedFile]


def _inputs(run: Run, unit: Unit) -> Inputs:
    project, dataset = run.project, unit.dataset
    shards, tables = scan.shards_of(project, dataset), tables_of(project, dataset)
    require_receipt(project, Unit("standardize", dataset), Gathered, "has not finished")
    table = project.dataset(dataset)
    return as_inputs(
        ManifestInputs(
            stem=table.manifest or dataset,
            folder=project.catalog.paths.manifests,
            per_split=table.per_split,
            format=project.catalog.standard.format,
            below=project.relative(standard_files.audio_folder(project, dataset)),
            labels=digest("labels", {shard: sealed.labels for shard, sealed in shards.items()}),
            audio=digest("tables", {shard: receipt.outputs.table.xxh3 for shard, receipt in tables.items()}),
        )
    )


def _intact(run: Run, _unit: Unit, receipt: Receipt[ManifestFiles]) -> list[str]:
    return broken(run.project, receipt.outputs.files.values())


def manifest_path(project: Project, dataset: str, split: str | None) -> Path:
    """Return `manifests/<stem>_<split>.jsonl`; `<stem>.jsonl` without a split, or where all go in one file."""
    table = project.dataset(dataset)
    stem = table.manifest or dataset
    return project.manifests / (f"{stem}_{split}.jsonl" if split and table.per_split else f"{stem}.jsonl")


def _good(project: Project, dataset: str) -> Iterator[tuple[ShardRow, GoodAudio, str]]:
    """Yield every good recording, shard by shard: its shard row, its row of canonical audio, and the path of that."""
    path_of = standard_files.audio_path(project, dataset)
    for shard in scan.shards_of(project, dataset):
        listed = read_rows(project.shard_list(dataset, shard))
        for row, audio in zip(listed, read_table(project.table(dataset, shard)), strict=True):
            if isinstance(audio, GoodAudio):
                yield row, audio, path_of(row.path)


@dataclass
class _Beyond:
    """Labels that do not fit the length of their sound: how many of each kind, and a recording with one."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, recording: str, kinds: list[str]) -> None:
        """Count the kinds of one recording in."""
        for kind in kinds:
            self.counts[kind] += 1
            self.examples.setdefault(kind, recording)


def _lines(
    project: Project, dataset: str, lost: list[str], beyond: "_Beyond"
) -> Iterator[tuple[str | None, bytes, int]]:
    """Yield split, line and number of samples of every good recording, each held against the schema.

    Stems that are not good are added to `lost`, labels that do not fit the length of their sound to `beyond`.
    """
    check_all, rows = manifest_rows().check_all, _rows(project, dataset, lost)
    while batch := list(itertools.islice(rows, BATCH_ROWS)):
        if wrong := check_all([row for _, row, _ in batch]):
            number, error = wrong
            raise CorpusError(
                f"{dataset}: {batch[number][1]['id']}: label {error}. Its shard's list is of another version or was"
                f" changed: run `doit -a scan:{dataset}`."
            )
        for _, row, _ in batch:
            beyond.add(str(row["id"]), defects_found(row))
        yield from ((split, dump_row(row), n_samples) for split, row, n_samples in batch)


def _rows(project: Project, dataset: str, lost: list[str]) -> Iterator[tuple[str | None, Labels, int]]:
    """Yield split, row and number of samples of every good recording; stems that are not good are added to `lost`."""
    form = project.catalog.standard.format
    stems: dict[str, dict[str, str]] | None = None
    for row, audio, path in _good(project, dataset):
        line = make_row(dataset, row, audio, path, form)
        if "stems" in line:
            if stems is None:  # read when the first mixture comes: most corpora have none
                stems = {
                    row.id: {"id": row.id, "audio_path": path, "audio_hash": audio.audio_hash}
                    for row, audio, path in _good(project, dataset)
                    if "stem" in row.labels
                }
            lost += [f"{row.id}: {name}" for name in _resolve_stems(line, stems)]
        yield row.split, line, audio.n_samples


def _resolve_stems(line: Labels, stems: dict[str, dict[str, str]]) -> list[str]:
    """Replace the ids of stems in a mixture's row by their recordings; return the names of those that are lost.

    A stem is lost when it is not a good recording: the mixture stays, and the loss is a defect of it.
    """
    ids = cast("dict[str, str]", line.pop("stems"))
    lost = [name for name, recording in ids.items() if recording not in stems]
    if len(lost) < len(ids):
        line["stems"] = {name: stems[recording] for name, recording in ids.items() if recording in stems}
    if lost:
        line["defects"] = [*cast("list[str]", line.get("defects", [])), *(f"no stem {name}" for name in lost)]
    return lost


def _build(run: Run, unit: Unit) -> Built[ManifestFiles]:
    project, dataset = run.project, unit.dataset
    beyond, before = _Beyond(), receipt_of(project, unit, ManifestFiles)
    counts = {"rows": 0, "samples": 0}
    lost: list[str] = []
    products = Products(run, unit, before.outputs.files.values() if before else ())
    files: dict[Path, IO[bytes]] = {}
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as opened:
        by_split: dict[str | None, IO[bytes]] = {}  # several splits may go into one file
        for split, line, n_samples in _lines(project, dataset, lost, beyond):
            if split not in by_split:
                path = manifest_path(project, dataset, split)
                if path not in files:
                    temporary = stack.enter_context(products.publishing(path))
                    files[path] = opened.enter_context(temporary.open("wb"))
                by_split[split] = files[path]
            by_split[split].write(line)
            counts["rows"] += 1
            counts["samples"] += n_samples
        opened.close()
        products.settle()
    if not counts["rows"]:
        raise CorpusError(
            f"{dataset}: not one good recording in it: nothing to write. All are listed, with reasons, in"
            f" {project.relative(project.quarantine(dataset))}."
        )
    if lost:
        counts["stems lost"] = len(lost)
        run.log.note(f"{unit}: {len(lost):,} stems are not among the good recordings, so left out (such as {lost[0]})")
    counts |= beyond.counts
    for kind, n_labels in beyond.counts.items():
        run.log.note(f"{unit}: {n_labels:,} x {kind} (such as in {beyond.examples[kind]}); a job leaves them out")
    for old in before.outputs.files.values() if before else ():
        path = project.home / old.path
        if path not in files:  # of a split without rows, or an old name
            products.remove(path, is_claimed=_claimed(project, dataset, path))
    sealed = {path.name: seal_file(project, path) for path in sorted(files)}
    return Built(ManifestFiles(sealed), counts, sum(entry.size for entry in sealed.values()))


def _claimed(project: Project, dataset: str, path: Path) -> bool:
    """Say whether another dataset's manifest, or a joint one, has this path by now."""
    others = [name for name in project.catalog.datasets if name != dataset]
    joint = [project.manifests / f"{name}.jsonl" for name in project.catalog.manifests]
    return path in joint or any(
        path == manifest_path(project, name, split) for name in others for split in (None, *SPLITS)
    )


RULE = Rule(NAME, VERSION, ManifestFiles, _inputs, _intact, _build)
STAGE = Stage(NAME, "JSONL manifests of {}", RULE, follows=("scan", "standardize"))
