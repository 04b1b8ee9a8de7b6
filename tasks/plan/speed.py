"""How fast this machine is: from the receipts of finished units, else a stated assumption."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

from earmark.amounts import Amount, about
from earmark.catalog.project import Project
from earmark.catalog.tables import DatasetTable
from earmark.disk.receipts import Outputs, Receipt, read_receipt
from earmark.encoders import Forecast, Frames
from earmark.rates import RATE_HZ
from tasks.engine.rollup import Query
from tasks.report import human
from tasks.stages import extract, features, manifest, scan, standardize
from tasks.stages.manifest import ManifestFiles

MEASURED = 20  # receipts of a stage from which its speed is taken
ENOUGH_S = 2.0  # seconds of work from which a speed may be taken

# Units a second before any receipt says better, for two shared cores; an encoder says its own.
DEFAULT = {"extract": 30e6, "scan": 100e6, "standardize": 100.0, "manifest": 20_000.0}
UNITS = {
    "extract": "bytes a second",
    "scan": "bytes a second",
    "standardize": "s of audio a second",
    "manifest": "rows a second",
    "features": "windows of 30 s a second",
}
WINDOW_S = 30  # seconds of audio in what the speed of encoders is counted by


def pace(query: Query, dataset: str, stage: str) -> tuple[Amount, str]:
    """Return seconds that a stage takes for a byte, second of audio or row, and where that number is from."""
    done = {"extract": _unpacked, "scan": _listed, "standardize": _decoded_s, "manifest": _rows}[stage]
    return _pace(query, dataset, stage, done, DEFAULT[stage])


def encoding_pace(query: Query, dataset: str, encoder: str, forecast: Forecast) -> tuple[Amount, str]:
    """Return seconds that an encoder takes for a window of 30 s, and where that is from."""
    done = functools.partial(_windows, encoder=encoder, frames=forecast.frames)
    return _pace(query, dataset, "features", done, forecast.windows_per_s)


def windows(recordings: float, n_frames: float, frames: Frames) -> float:
    """Return about how many windows of 30 s some recordings fill: one each at the least."""
    return max(recordings, n_frames / (WINDOW_S * frames.per_s) + recordings / 2)


Timed = tuple[float, float]  # units done, and the seconds that they took


def _pace(
    query: Query, dataset: str, stage: str, done: Callable[[Query, str], Iterator[Timed]], default: float
) -> tuple[Amount, str]:
    others = [name for name, table in query.run.project.catalog.datasets.items() if not _generated(table)]
    for where in dict.fromkeys((dataset, *others)):
        timed = [(amount, seconds) for amount, seconds in done(query, where) if amount > 0 and seconds > 0]
        if sum(seconds for _, seconds in timed) >= ENOUGH_S:  # less is mostly start-up
            speed = sum(amount for amount, _ in timed) / sum(seconds for _, seconds in timed)
            many = f"{len(timed):,} units" if len(timed) > 1 else "1 unit"
            return about(1 / speed, 1.3), f"{_words(speed, stage)}, measured on {many} of {where}"
    return about(1 / default, 3.0), f"{_words(default, stage)}: not measured yet, assumed"


def _receipts(paths: list[Path], outputs: type[Outputs], version: int) -> list[Receipt[Outputs]]:
    receipts = [read_receipt(path, outputs) for path in paths[-MEASURED:]]
    return [receipt for receipt in receipts if receipt is not None and receipt.version == version]


def _parts(project: Project, stage: str, dataset: str) -> list[Path]:
    return sorted(project.receipt(stage, dataset).with_suffix("").glob("*.json"))


def _generated(table: DatasetTable) -> bool:
    """Say whether a dataset is made here: its few files say little of the speed on others."""
    return any(archive.generator for archive in table.archives)


def _unpacked(query: Query, dataset: str) -> Iterator[Timed]:
    """Yield the bytes that each archive unpacked to."""
    project = query.run.project
    for receipt in _receipts(_parts(project, "extract", dataset), extract.ArchiveRead, extract.VERSION):
        yield float(receipt.counts["member_bytes"]), receipt.seconds


def _listed(query: Query, dataset: str) -> Iterator[Timed]:
    """Yield the bytes of the recordings that a scan read."""
    project = query.run.project
    for receipt in _receipts([project.receipt("scan", dataset)], scan.Scanned, scan.VERSION):
        yield float(sum(sealed.size_bytes for sealed in receipt.outputs.shards.values())), receipt.seconds


def _rows(query: Query, dataset: str) -> Iterator[Timed]:
    """Yield the rows of a finished manifest."""
    project = query.run.project
    for receipt in _receipts([project.receipt("manifest", dataset)], ManifestFiles, manifest.VERSION):
        yield float(receipt.counts["rows"]), receipt.seconds


def _decoded_s(query: Query, dataset: str) -> Iterator[Timed]:
    """Yield the seconds of audio that each shard's standardization decoded."""
    project = query.run.project
    paths = _parts(project, "standardize", dataset)
    for receipt in _receipts(paths, standardize.StandardizedShard, standardize.VERSION):
        counts = receipt.counts
        yield counts["samples"] / RATE_HZ * counts["decoded"] / max(1, counts["files"]), receipt.seconds


def _windows(query: Query, dataset: str, *, encoder: str, frames: Frames) -> Iterator[Timed]:
    """Yield about how many windows of 30 s each shard's encoding took; 0 where other encoders worked, too."""
    project = query.run.project
    for receipt in _receipts(_parts(project, "features", dataset), features.EncodedShard, features.VERSION):
        alone = list(receipt.outputs.packs) == [encoder]
        yield windows(receipt.counts["encoded"], receipt.counts["frames"], frames) if alone else 0.0, receipt.seconds


def _words(speed: float, stage: str) -> str:
    unit = UNITS[stage]
    if unit.startswith("bytes"):
        return f"{human(speed)}{unit.removeprefix('bytes')}"
    return f"{speed:,.0f} {unit}" if speed >= 100 else f"{speed:.2g} {unit}"
