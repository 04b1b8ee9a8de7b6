"""What extraction would write: trees, from lists of members, from published sizes, or from assumptions that it names.

It also leaves in `Expected` the recordings that are in what it unpacks, for the stages after it.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import orjson

from earmark.amounts import Amount, about, exact
from earmark.catalog.project import Project
from earmark.catalog.tables import ArchiveTable
from earmark.disk import watch
from earmark.estimate.batch import UNKNOWN_SHARE, Batch, batch_of
from earmark.estimate.listing import Listing, list_archive
from earmark.estimate.probes import assumed_rates, holds_sound
from earmark.rates import WAV_BYTES_PER_S
from earmark.sounds import is_compressed
from tasks.engine.estimates import RECEIPT_BYTES, Expected, Item, Step, count, has_size
from tasks.engine.speed import Speed, Timed, finished, part_receipts
from tasks.report import human
from tasks.stages import archive_records, extract, presence, scan

MEMBER_ROW, MEMO_ROW = 140, 110  # bytes of a line or entry, as written on the demo
FILE_BYTES = 400_000  # bytes of a recording where only the size of its archive is known: a few seconds of sound
LISTED_AT_A_TIME = 4_096  # entries between two looks at the clock

# What earmark.demo writes: a test compares them; bytes differ a little between versions of the libraries.
DEMO_ARCHIVE, DEMO_TREE, DEMO_FILES, DEMO_RECORDINGS, DEMO_SECONDS = 6_628_000, 6_619_000, 64, 52, 338.0


def _timed(project: Project, dataset: str) -> Iterator[Timed]:
    """Yield the bytes that each archive unpacked to."""
    paths = part_receipts(project, extract.NAME, dataset)
    for receipt in finished(paths, archive_records.ArchiveRead, extract.VERSION):
        yield float(receipt.counts["member_bytes"]), receipt.seconds


SPEED = Speed("bytes a second", 30e6, _timed)


def estimate(expected: Expected, step: Step) -> None:
    """Add what extraction writes, and expect the recordings in what it unpacks."""
    project, dataset = expected.project, expected.dataset
    root = project.root(dataset)
    here = presence.has_files(root)
    unpacked = _archives(expected, step, here)
    if not expected.listed and expected.new == Batch() and here:
        _expect_tree(expected, root)
        unpacked = expected.new.size
    # estimated in any case: the stages after this one need what it expects, whatever its own state is
    if step.state not in "RE":
        step.items, step.inputs = [], []
        return
    rows = sum(item.files for item in step.items if item.what == "tree") or expected.new.files.likely
    size = exact(rows * (MEMBER_ROW + MEMO_ROW) + RECEIPT_BYTES)
    step.items.append(Item("lists", project.cache / "members", size, 3))
    seconds, words = SPEED.seconds_per_unit(expected.query, dataset)
    step.seconds = unpacked * seconds
    step.inputs.append(words)


def _archives(expected: Expected, step: Step, here: bool) -> Amount:
    """Estimate each archive that is not extracted; return the bytes that they unpack to."""
    project, dataset = expected.project, expected.dataset
    unpacked, missing = Amount(), list[ArchiveTable]()
    for archive in expected.table.archives:
        part = archive_records.extraction_of(project, dataset, archive.file)
        paths = archive_records.files_of(project, dataset, archive)
        if part is not None:
            if not here:
                size, files = exact(part.counts["member_bytes"]), part.counts["files"]
                unpacked += _writes_tree(expected, step, archive.file, size, files, "its receipt")
            if not expected.listed:
                _expect_members(expected, project.home / part.outputs.members.path)
        elif all(path.is_file() for path in paths):
            unpacked += _unread(expected, step, archive, paths)
        elif archive.generator:
            step.items.append(Item("generated archive", project.folder(dataset), exact(DEMO_ARCHIVE), 1))
            unpacked += _writes_tree(expected, step, archive.file, exact(DEMO_TREE), DEMO_FILES, "its generator")
            _expect_generated(expected)
        elif not here:
            missing.append(archive)
    return unpacked + _undownloaded(expected, step, missing) if missing else unpacked


def _writes_tree(expected: Expected, step: Step, archive: str, size: Amount, files: float, words: str) -> Amount:
    step.items.append(Item("tree", expected.project.folder(expected.dataset), size, files))
    step.inputs.append(f"{archive}: {human(size.likely)} of tree, from {words}")
    return size


def _undownloaded(expected: Expected, step: Step, missing: list[ArchiveTable]) -> Amount:
    """Estimate archives that are not here from their published sizes; return the bytes they would unpack to."""
    folder, patterns = expected.project.folder(expected.dataset), expected.table.expect.files
    downloads = [download for archive in missing for download in archive.downloads]
    unpublished = [download.file for download in downloads if download.size is None]
    if unpublished:
        step.unknown = True
        more = f" and {len(unpublished) - 1} more" if len(unpublished) > 1 else ""
        step.inputs.append(f"{unpublished[0]}{more}: not here, and no size is published: unknown")
    published = sum(download.size or 0 for download in downloads)
    if not published:
        return Amount()
    absent = sum(download.size or 0 for download in downloads if not (folder / download.file).exists())
    packed = any(is_compressed(pattern) for pattern in patterns)  # these do not get smaller in an archive
    factor = Amount(1.0, 1.02, 1.1) if packed else Amount(1.0, 1.2, 2.0)
    size = exact(published) * factor
    many = f"{len(missing)} archives" if len(missing) > 1 else missing[0].file
    step.items.append(Item("archives to download", folder, exact(absent), len(downloads)))
    words = f"an assumption, {factor.likely:g} x the published size"
    _writes_tree(expected, step, many, size, sum(patterns.values()), words)
    _guess(expected, size, f"{many} not here")
    return size


def _unread(expected: Expected, step: Step, archive: ArchiveTable, paths: list[Path]) -> Amount:
    """Estimate an archive that is here and not extracted, from its own list of members; return the bytes in it."""
    project, dataset = expected.project, expected.dataset
    resampler, patience_s = project.catalog.standard.resampler, expected.query.patience_s
    listing = list_archive(paths, archive.nested, archive.skip, expected.table.channel, resampler, patience_s)
    staged = archive_records.staged(project, dataset, archive)  # by a run that was killed: already written
    if not listing.share:  # not one member was listed in time, or it cannot be read
        size = exact(sum(path.stat().st_size for path in paths)) * Amount(0.0 if staged else 1.0, 1.1, 3.0)
        _guess(expected, size, f"{archive.file}: assumed from its size")
        return _writes_tree(expected, step, archive.file, size, 0, "an assumption, 1.1 x its size")
    scale = listing.certainty * (1 / listing.share)
    trees = [project.folder(dataset), *([staged] if staged else [])]
    absent = sum(size for name, size in listing.files if not any(has_size(tree / name, size) for tree in trees))
    inner = about(listing.nested * 1.1, 1.4) if listing.nested else Amount()
    words = "its list of members" if listing.share == 1 else f"the first {listing.share:.0%} of it"
    _writes_tree(expected, step, archive.file, (exact(absent) + inner) * scale, len(listing.files), words)
    _expect_listed(expected, archive.file, listing, scale)
    if listing.nested:
        _guess(expected, inner * scale, f"{archive.file}: archives inside it, unseen")
    return exact(sum(size for _, size in listing.files)) * scale + inner * scale


def _expect_listed(expected: Expected, archive: str, listing: Listing, scale: Amount) -> None:
    """Expect the recordings among the members of an archive."""
    recordings = listing.audio
    n_bytes = sum(size for _, size in recordings)
    if not n_bytes:
        return
    population = len(recordings) / listing.share
    seconds, standard = expected.prober.rates(listing.probes, population, recordings[0][0])
    batch = batch_of(exact(len(recordings)) * scale, exact(n_bytes) * scale, seconds, standard)
    words = f"{archive}: {count(population)} recordings, headers of {len(listing.probes.sounds):,}"
    expected.add(batch, words, (name for name, _ in recordings))


def _expect_generated(expected: Expected) -> None:
    standard = {"flac": float(DEMO_TREE), "wav": WAV_BYTES_PER_S * DEMO_SECONDS, "none": 0.0}[expected.form]
    batch = Batch(exact(DEMO_RECORDINGS), exact(DEMO_TREE), exact(DEMO_SECONDS), exact(standard))
    expected.add(batch, f"{DEMO_RECORDINGS} recordings, from the generator", [".flac"])


def _guess(expected: Expected, size: Amount, words: str) -> None:
    """Expect recordings of which only the bytes, and perhaps the published number, are known."""
    patterns = expected.table.expect.files
    published = _published(expected)
    known = exact(published) if published and expected.new == Batch() else about(size.likely / FILE_BYTES, 4)
    seconds, standard = assumed_rates(next(iter(patterns), ""), expected.form)
    words = f"{words}; no measurement yet: assumed {1 / seconds.likely:,.0f} B/s"
    expected.add(batch_of(known, size, seconds, standard), words, patterns or [f".{expected.form}"])


def _published(expected: Expected) -> int:
    """Return the published number of recordings, or 0."""
    return sum(n_files for pattern, n_files in expected.table.expect.files.items() if holds_sound(pattern))


def _expect_members(expected: Expected, path: Path) -> None:
    """Expect the recordings in a list of extracted members, as many as time permits; none of a damaged list."""
    ends, recordings, read = time.monotonic() + expected.query.patience_s, list[tuple[str, int]](), 0
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError), path.open("rb") as file:
        for line in file:
            read += len(line)
            row = orjson.loads(line)
            if "size" in row and holds_sound(row["path"]):
                recordings.append((row["path"], row["size"]))
            if len(recordings) % LISTED_AT_A_TIME == 0 and time.monotonic() > ends:
                break
        share = read / max(1, path.stat().st_size)
        expect_files(expected, expected.project.folder(expected.dataset), recordings, share)


def _expect_tree(expected: Expected, root: Path) -> None:
    """Expect the recordings of a tree that has no list, as many as time permits."""
    ends, recordings, share = time.monotonic() + expected.query.patience_s, list[tuple[str, int]](), 1.0
    for number, entry in enumerate(watch.walk(root, scan.ignored(expected.project, expected.dataset))):
        with contextlib.suppress(OSError):
            if holds_sound(entry.name) and entry.is_file():
                recordings.append((entry.path, entry.stat().st_size))
        if number % LISTED_AT_A_TIME == 0 and time.monotonic() > ends:
            published = _published(expected)
            # never 1: the walk did not end, so there is more, whatever was published
            share = min(0.99, len(recordings) / published) if published else UNKNOWN_SHARE
            break
    expect_files(expected, root, recordings, share)


def expect_files(expected: Expected, folder: Path, recordings: list[tuple[str, int]], share: float) -> None:
    """Expect recordings of which `recordings` (path and bytes) are a share between 0 and 1."""
    if any(size for _, size in recordings):
        batch, words = expected.prober.batch(folder, recordings, share)
        expected.add(batch, words, (path for path, _ in recordings))
