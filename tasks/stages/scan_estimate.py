"""What a scan would write: lists of the recordings that are known, and of those that came since the last scan."""

import contextlib
from collections.abc import Iterator

from earmark.amounts import Amount, exact
from earmark.catalog.project import Project
from earmark.disk import watch
from earmark.estimate.batch import Batch, batch_of
from earmark.estimate.probes import assumed_rates, holds_sound
from tasks.engine.estimates import RECEIPT_BYTES, Expected, Item, Step
from tasks.engine.judge import receipt_of
from tasks.engine.speed import Speed, Timed, finished
from tasks.engine.units import Unit
from tasks.stages import scan
from tasks.stages.extract_estimate import expect_files

LIST_ROW, WATCH_ROW = 450, 90  # bytes of a line or entry, as written on the demo


def _timed(project: Project, dataset: str) -> Iterator[Timed]:
    """Yield the bytes of the recordings that a scan read."""
    for receipt in finished([project.receipt(scan.NAME, dataset)], scan.Scanned, scan.VERSION):
        yield float(sum(sealed.size_bytes for sealed in receipt.outputs.shards.values())), receipt.seconds


SPEED = Speed("bytes a second", 100e6, _timed)


def estimate(expected: Expected, step: Step) -> None:
    """Add what a scan writes, and expect the recordings that came since the last one."""
    if step.state != "R":
        return
    project = expected.project
    receipt = receipt_of(project, Unit(scan.NAME, expected.dataset), scan.Scanned)
    if receipt is not None and expected.new == Batch():
        _expect_changes(expected)
    known = expected.files_listed
    lists = sum(sealed.size for sealed in receipt.outputs.lists.values()) if receipt else 0
    size = exact(lists) + expected.new.files * (LIST_ROW + WATCH_ROW) + exact(known * WATCH_ROW + RECEIPT_BYTES)
    files = max(1, len(expected.listed)) + 2
    step.items.append(Item("lists", project.cache / "shards", size, files, lists + known * WATCH_ROW, lists))
    seconds, words = SPEED.seconds_per_unit(expected.query, expected.dataset)
    source = expected.new.size + exact(sum(sealed.size_bytes for sealed in expected.listed.values()))
    step.seconds = source * seconds
    step.inputs += [*expected.new_words, f"{LIST_ROW + WATCH_ROW} bytes a recording", words]


def _expect_changes(expected: Expected) -> None:
    """Expect recordings that came into a tree since it was scanned; none where only its folders are watched."""
    project, dataset = expected.project, expected.dataset
    snapshot, root = watch.load(project.watch_list(dataset)), project.root(dataset)
    if snapshot is None or not root.is_dir():
        return
    if snapshot.mode == "folders":
        expected.new_words.append("files in changed folders are not counted")
        return
    changes = watch.compare(root, snapshot, scan.ignored(project, dataset))
    recordings, touched = list[tuple[str, int]](), 0
    for path in filter(holds_sound, (*changes.new, *changes.changed)):
        with contextlib.suppress(OSError):
            size, before = (root / path).stat().st_size, snapshot.entries.get(path)
            if before is not None and before[0] == size:
                touched += size
            else:
                recordings.append((path, size))
    expect_files(expected, root, recordings, 1.0)
    if touched:  # most of these were moved or copied; an edit that keeps the size is possible
        batch = batch_of(Amount(), Amount(0, 0, touched), *assumed_rates(changes.changed[0], expected.form))
        expected.add(batch, f"{len(changes.changed):,} files touched", ())
