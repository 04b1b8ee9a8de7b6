"""Jobs: the rows of several manifests that carry what a training job needs, each in one split, without leakage.

Two passes over the manifests: the first decides which rows are taken and finds what two splits share (8 bytes a
recording in memory, see `earmark.leakage`), the second writes. Same manifests and table, same bytes: rows stand in the
order of the job's datasets, then of their manifests.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import orjson

from earmark.catalog.tables import JobTable
from earmark.errors import JobError
from earmark.features.manifest import read_rows
from earmark.rows import SPLITS
from earmark.training.job_summary import Summary
from earmark.training.leakage import Leaks, Watch, gives_way, marks, watched
from earmark.training.manifest_row import dump_row
from earmark.training.selection import Row, Source, refusal, split_of, units

EXAMPLES = 3  # leaks of a kind that an error names
SAID_BYTES = 1 << 20  # bytes read between two words on progress

Picked = tuple[Source, Row, str]  # a row that is taken, and its split


def write_job(
    name: str, job: JobTable, sources: list[Source], paths: Mapping[str, Path], on_bytes: Callable[[int], None]
) -> Summary:
    """Write the rows of each split to its path in `paths`; return what was taken and what was left out.

    Raises JobError where no row is left or where splits leak into one another.
    """
    labels, watch, seen = watched(sources), Watch(), Summary(name)
    for source, row, split in _picks(job, sources, seen, on_bytes):
        seen.rows += 1
        for mark in marks(row, source, labels):
            watch.add(split, mark)
    _require_rows(seen)
    leaks = watch.leaks()
    barred = [kind for kind in leaks.kinds if kind not in job.accept_leakage]
    if barred and job.leakage == "fail":
        raise JobError(_leakage(name, leaks, barred, _picks(job, sources, Summary(name), on_bytes), labels))
    summary = Summary(name)
    with contextlib.ExitStack() as stack:
        files = {split: stack.enter_context(paths[split].open("wb")) for split in SPLITS}
        for source, row, split in _picks(job, sources, summary, on_bytes, features=True):
            found = _leaking(row, source, split, leaks, labels) if leaks.kinds else {}
            gone = next((kind for kind in barred if gives_way(split, found.get(kind, []))), "")
            if gone:
                summary.leaking_rows[gone] += 1
                summary.leave_out(source, f"leaks {gone}")
                continue
            summary.leaking_rows.update(kind for kind in found if kind not in barred)
            summary.add(source, row, split)
            files[split].write(dump_row(row))
    for kind in leaks.kinds:
        told = {"shared": leaks.counts(kind)}
        rows = summary.leaking_rows[kind]
        accepted = {"rows_kept": rows, "accepted": job.accept_leakage.get(kind)}
        summary.leakage[kind] = told | ({"rows_dropped": rows} if kind in barred else accepted)
    _require_rows(summary)
    return summary


def _require_rows(summary: Summary) -> None:
    if not summary.rows:
        why = summary.why_left_out() or "the manifests are empty"
        raise JobError(f"not one row to write: left out are {why}. Change [jobs.{summary.name}].")


def _picks(
    job: JobTable, sources: list[Source], summary: Summary, on_bytes: Callable[[int], None], *, features: bool = False
) -> Iterator[Picked]:
    """Yield the rows that a job takes, with their features if asked; count in `summary` what it leaves out."""
    for source in sources:
        for path in source.files:
            cursors = {name: _FeatureCursor(found) for name, found in source.features.items()} if features else {}
            for recording in _lines(path, on_bytes):
                split = split_of(job, source, recording)
                places: Row = {}
                for row in units(job, recording):
                    reason = refusal(job, source, row) or ("" if split else "no split")
                    if reason or split is None:
                        summary.leave_out(source, reason)
                        continue
                    if cursors and not places:
                        found = {name: cursor.find(recording, source) for name, cursor in cursors.items()}
                        places = {"features": found}
                    yield source, {**row, "split": split, **places}, split


def _lines(path: Path, on_bytes: Callable[[int], None]) -> Iterator[Row]:
    """Yield the rows of a manifest."""
    read = 0
    with path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)
            read += len(line)
            if read >= SAID_BYTES:
                on_bytes(read)
                read = 0
    on_bytes(read)


class _FeatureCursor:
    """Walks a feature manifest beside one file of a manifest: both list recordings in one order, one has gaps."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows = read_rows(path)

    def find(self, recording: Row, source: Source) -> Row:
        """Return the place of a recording's features; the recordings asked for come in the manifest's order.

        Raises JobError when the feature manifest has no such recording, or other audio at its path.
        """
        for row in self._rows:
            if row.audio_path == recording["audio_path"] and row.audio_hash == recording["audio_hash"]:
                return {"pack": row.pack, "row": row.row, "n_frames": row.n_frames}
        raise JobError(
            f"{self._path.parent.name}/{self._path.name}: no features of {recording['id']}, or of other audio, or in"
            f" another order than the manifest's: run `doit features:{source.name}`."
        )


def _leaking(row: Row, source: Source, split: str, leaks: Leaks, labels: tuple[str, ...]) -> dict[str, list[str]]:
    """Return by kind the other splits that share something with a row."""
    found: dict[str, list[str]] = {}
    for kind, _, mark in marks(row, source, labels):
        if others := leaks.others(kind, split, mark):
            found.setdefault(kind, []).extend(others)
    return found


def _leakage(name: str, leaks: Leaks, kinds: list[str], picks: Iterator[Picked], labels: tuple[str, ...]) -> str:
    """Say in one line what leaks: how much of each kind, some examples, what to do."""
    sides: dict[str, dict[int, dict[str, str]]] = {kind: {} for kind in kinds}
    for source, row, split in picks:
        for kind, _, mark in marks(row, source, labels):
            known = sides.get(kind, {})
            if kind in kinds and leaks.others(kind, split, mark) and (mark in known or len(known) < EXAMPLES):
                known.setdefault(mark, {}).setdefault(split, f"{source.name} {row['id']} ({split})")
    said = []
    for kind in kinds:
        counts = ", ".join(f"{count:,} in {pair}" for pair, count in leaks.counts(kind).items())
        examples = "; ".join(" and ".join(found.values()) for found in sides[kind].values())
        said.append(f"values of {kind} that two splits share: {counts}, such as {examples}")
    return (
        f'leakage: {". ".join(said)}. Nothing was written. In [jobs.{name}] set leakage = "drop", which'
        f' leaves rows of train (then dev) out, or say why it is right: accept_leakage = {{ {kinds[0]} = "..." }}.'
    )
