"""Jobs: the rows of several manifests that carry what a training job needs, each in one split, without leakage.

Two passes over the manifests: the first decides which rows are taken and finds what two splits share (8 bytes a
recording in memory, see `earmark.training.leakage`), the second writes. Rows in memory instead would be several
gigabytes. Same manifests and table, same bytes: rows come in the order of the job's datasets, then of their manifests.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import orjson

from earmark.audio.defects import SEGMENT_BEYOND
from earmark.audio.table import GoodAudio, read_good
from earmark.catalog.tables import JobTable
from earmark.errors import JobError
from earmark.features.manifest import read_rows
from earmark.rows import SPLITS
from earmark.schema import SchemaError, job_rows
from earmark.training.job_summary import SharedValues, Summary
from earmark.training.leakage import LeakFinder, Leaks, disjoint_labels, gives_way, marks_of
from earmark.training.manifest_row import AUDIO, FeaturePlace, ManifestRow, dump_row
from earmark.training.selection import JobDataset, refusal, refused_level, rows_of, split_of, without_beyond

EXAMPLES = 3  # leaks of a kind that an error names
PROGRESS_BYTES = 1 << 20  # bytes read between two calls of `on_bytes`


PickedRow: TypeAlias = tuple[JobDataset, ManifestRow, str]  # a row that a job takes, and its split


@dataclass(frozen=True)
class _Job:
    """A job as both passes need it."""

    name: str
    table: JobTable
    datasets: list[JobDataset]
    labels: tuple[str, ...]  # that must not be shared between splits
    on_bytes: Callable[[int], None]

    def find_leaks(self) -> Leaks:
        """Read the manifests once and return what splits share. Raises JobError where no row is taken."""
        finder, summary = LeakFinder(), Summary(self.name)
        for dataset, row, split in self.picks(summary):
            summary.rows += 1
            for mark in marks_of(row, dataset, self.labels):
                finder.add(split, mark)
        _require_rows(summary)
        return finder.leaks()

    def write(self, paths: Mapping[str, Path], leaks: Leaks, barred: list[str]) -> Summary:
        """Read the manifests again and write the rows, but for those that leak and give way."""
        summary = Summary(self.name)
        with contextlib.ExitStack() as stack:
            files = {split: stack.enter_context(paths[split].open("wb")) for split in SPLITS}
            for dataset, row, split in self.picks(summary, features=True):
                shared = leaks.by_kind(row, dataset, split, self.labels)
                leaking = next((kind for kind in barred if gives_way(split, shared.get(kind, []))), "")
                if leaking:
                    summary.leaking_rows[leaking] += 1
                    summary.leave_out(dataset, f"leaks {leaking}")
                    continue
                summary.leaking_rows.update(kind for kind in shared if kind not in barred)
                summary.add(dataset, row, split)
                _require_schema(self.name, dataset, row)
                files[split].write(dump_row(row))
        return summary

    def picks(self, summary: Summary, *, features: bool = False) -> Iterator[PickedRow]:
        """Yield the rows that a job takes, with their features if asked; count in `summary` what it leaves out."""
        for dataset in self.datasets:
            for path in dataset.files:
                # A feature manifest covers all splits, a file of the manifest one: each file reads from the beginning.
                cursors = {name: _FeatureCursor(where) for name, where in dataset.features.items()} if features else {}
                levels = _LevelCursor(dataset)
                for recording in _read_manifest(path, self.on_bytes):
                    level = refused_level(self.table, levels.find(recording)) if self.table.asks_levels else ""
                    yield from self._rows(dataset, recording, cursors, level, summary)

    def _rows(
        self,
        dataset: JobDataset,
        recording: ManifestRow,
        cursors: Mapping[str, "_FeatureCursor"],
        level: str,
        summary: Summary,
    ) -> Iterator[PickedRow]:
        split = split_of(self.table, dataset, recording)
        places: dict[str, FeaturePlace] = {}
        if self.table.unit == "recording":
            recording, n_beyond = without_beyond(self.table, recording)
            for _ in range(n_beyond):
                summary.leave_out(dataset, SEGMENT_BEYOND)
        for row in rows_of(self.table, recording):
            reason = refusal(self.table, dataset, row) or level or ("" if split else "no split")
            if reason or split is None:
                summary.leave_out(dataset, reason)
                continue
            # Only for a recording that is taken, and once for all its segments: a cursor does not go back.
            if cursors and not places:
                places = {name: cursor.find(recording, dataset) for name, cursor in cursors.items()}
            picked: ManifestRow = {**row, "split": split}
            if places:
                picked["features"] = places
            yield dataset, picked, split


def write_job(
    name: str, job: JobTable, datasets: list[JobDataset], paths: Mapping[str, Path], on_bytes: Callable[[int], None]
) -> Summary:
    """Write the rows of each split to its path in `paths`; return what was taken and what was left out.

    `on_bytes` is called with the bytes read since the call before, twice each manifest's size in all.
    Raises JobError where no row is left or where splits leak into one another.
    """
    work = _Job(name, job, datasets, disjoint_labels(datasets), on_bytes)
    leaks = work.find_leaks()
    barred = [kind for kind in leaks.kinds if kind not in job.accept_leakage]
    if barred and job.leakage == "fail":
        raise JobError(_leakage_message(work, leaks, barred))
    summary = work.write(paths, leaks, barred)
    for kind in leaks.kinds:
        shared: SharedValues = {"shared": leaks.counts(kind)}
        if kind in barred:
            shared["rows_dropped"] = summary.leaking_rows[kind]
        else:
            shared["rows_kept"] = summary.leaking_rows[kind]
            shared["accepted"] = job.accept_leakage.get(kind)
        summary.leakage[kind] = shared
    _require_rows(summary)  # once more: every row may have leaked
    return summary


def _require_schema(job: str, dataset: JobDataset, row: ManifestRow) -> None:
    """Raise JobError for a row that is not as the schema of jobs says: its manifest is not what earmark wrote."""
    try:
        job_rows().check(row)
    except SchemaError as error:
        raise JobError(
            f"{job}: {dataset.name}: {row['id']}: {error}. Its manifest is of another version or was changed: run"
            f" `doit -a manifest:{dataset.name}`."
        ) from None


def _require_rows(summary: Summary) -> None:
    if not summary.rows:
        why = summary.why_left_out() or "the manifests are empty"
        raise JobError(f"not one row to write: left out are {why}. Change [jobs.{summary.name}].")


def _read_manifest(path: Path, on_bytes: Callable[[int], None]) -> Iterator[ManifestRow]:
    """Yield the rows of a manifest."""
    n_bytes = 0
    with path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)
            n_bytes += len(line)
            if n_bytes >= PROGRESS_BYTES:
                on_bytes(n_bytes)
                n_bytes = 0
    on_bytes(n_bytes)


class _FeatureCursor:
    """Reads a feature manifest along with one file of a manifest.

    Both list recordings in one order, and the file of one split lacks those of the others: so one row at a time
    suffices, where a table of all places would be as large as the manifest.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows = read_rows(path)

    def find(self, recording: ManifestRow, dataset: JobDataset) -> FeaturePlace:
        """Return the place of a recording's features; the recordings asked for come in the manifest's order.

        Raises JobError when the feature manifest has no such recording, or other audio at its path.
        """
        for row in self._rows:
            if row.audio_path == recording["audio_path"] and row.audio_hash == recording[AUDIO]:
                return {"pack": row.pack, "row": row.row, "n_frames": row.n_frames}
        raise JobError(
            f"{self._path.parent.name}/{self._path.name}: no features of {recording['id']}, or of other audio, or in"
            f" another order than the manifest's: run `doit features:{dataset.name}`."
        )


class _LevelCursor:
    """Reads a dataset's tables of canonical audio along with one file of its manifest, as `_FeatureCursor` does.

    Levels are not in manifest rows: they would make each a third longer for the few jobs that ask.
    """

    def __init__(self, dataset: JobDataset) -> None:
        self._name = dataset.name
        self._rows = (row for table in dataset.tables for row in read_good(table))

    def find(self, recording: ManifestRow) -> GoodAudio:
        """Return a recording's canonical audio; recordings come in the manifest's order. Raises JobError."""
        for row in self._rows:
            if row.audio_hash == recording[AUDIO]:
                return row
        raise JobError(
            f"{self._name}: {recording['id']}: its levels are not in the tables of its audio, or in another order than"
            f" the manifest's: run `doit manifest:{self._name}`."
        )


def _leakage_message(job: _Job, leaks: Leaks, kinds: list[str]) -> str:
    """Say in one line what leaks: how much of each kind, some examples, what to do."""
    # The manifests are read once more: names of all rows that might leak were not kept in the first pass.
    sides: dict[str, dict[int, dict[str, str]]] = {kind: {} for kind in kinds}  # by kind, mark and split: a row's name
    for dataset, row, split in job.picks(Summary(job.name)):
        for kind, _, mark in marks_of(row, dataset, job.labels):
            known = sides.get(kind, {})
            if kind in kinds and leaks.others(kind, split, mark) and (mark in known or len(known) < EXAMPLES):
                known.setdefault(mark, {}).setdefault(split, f"{dataset.name} {row['id']} ({split})")
    sentences = []
    for kind in kinds:
        counts = ", ".join(f"{count:,} in {pair}" for pair, count in leaks.counts(kind).items())
        examples = "; ".join(" and ".join(rows.values()) for rows in sides[kind].values())
        sentences.append(f"values of {kind} that two splits share: {counts}, such as {examples}")
    return (
        f'leakage: {". ".join(sentences)}. Nothing was written. In [jobs.{job.name}] set leakage = "drop", which'
        f' leaves rows of train (then dev) out, or say why it is right: accept_leakage = {{ {kinds[0]} = "..." }}.'
    )
