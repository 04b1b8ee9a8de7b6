"""How fast this machine is: from the receipts of finished units, else a stated assumption."""

import functools
from collections.abc import Callable

from earmark.amounts import Amount, about
from earmark.catalog.project import Project
from earmark.catalog.tables import DatasetTable
from earmark.disk.receipts import Receipt, read_receipt
from earmark.encoders import Forecast, Frames
from earmark.rates import RATE_HZ
from tasks.cli.doit_tasks import stage_of
from tasks.engine.stage import Unit
from tasks.report import human

MEASURED = 20  # receipts of a stage from which its speed is taken
ENOUGH_S = 2.0  # seconds of work from which a speed may be taken
IN_PARTS = ("extract", "standardize", "features")  # stages timed by their parts, archives or shards

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


def pace(project: Project, dataset: str, stage: str) -> tuple[Amount, str]:
    """Return seconds that a stage takes for a byte, second of audio or row, and where that number is from."""
    done = {"extract": _unpacked, "scan": _listed, "standardize": _decoded_s, "manifest": _rows}[stage]
    return _pace(project, dataset, stage, done, DEFAULT[stage])


def encoding_pace(project: Project, dataset: str, encoder: str, forecast: Forecast) -> tuple[Amount, str]:
    """Return seconds that an encoder takes for a window of 30 s, and where that is from."""
    done = functools.partial(_windows, encoder=encoder, frames=forecast.frames)
    return _pace(project, dataset, "features", done, forecast.windows_per_s)


def windows(recordings: float, n_frames: float, frames: Frames) -> float:
    """Return about how many windows of 30 s some recordings fill: one each at the least."""
    return max(recordings, n_frames / (WINDOW_S * frames.per_s) + recordings / 2)


def _pace(
    project: Project, dataset: str, stage: str, done: Callable[[Receipt], float], default: float
) -> tuple[Amount, str]:
    others = [name for name, table in project.catalog.datasets.items() if not _generated(table)]
    for where in dict.fromkeys((dataset, *others)):
        pairs = [(done(receipt), receipt.seconds) for receipt in _receipts(project, stage, where)]
        pairs = [(amount, seconds) for amount, seconds in pairs if amount > 0 and seconds > 0]
        if sum(seconds for _, seconds in pairs) >= ENOUGH_S:  # less is mostly start-up
            speed = sum(amount for amount, _ in pairs) / sum(seconds for _, seconds in pairs)
            many = f"{len(pairs):,} units" if len(pairs) > 1 else "1 unit"
            return about(1 / speed, 1.3), f"{_said(speed, stage)}, measured on {many} of {where}"
    return about(1 / default, 3.0), f"{_said(default, stage)}: not measured yet, assumed"


def _receipts(project: Project, stage: str, dataset: str) -> list[Receipt]:
    whole = project.receipt(stage, dataset)
    paths = sorted(whole.with_suffix("").glob("*.json")) if stage in IN_PARTS else [whole]
    version = stage_of(Unit(stage, dataset)).version
    found = [read_receipt(path) for path in paths[-MEASURED:]]
    return [receipt for receipt in found if receipt is not None and receipt.version == version]


def _generated(table: DatasetTable) -> bool:
    """Say whether a dataset is made here: its few files say little of the speed on others."""
    return any(archive.generator for archive in table.archives)


def _unpacked(receipt: Receipt) -> float:
    """Return the bytes that an archive unpacked to."""
    return float(receipt.counts["member_bytes"])


def _listed(receipt: Receipt) -> float:
    """Return the bytes of the recordings that a scan read."""
    return float(sum(sealed["size_bytes"] for sealed in receipt.outputs["shards"].values()))


def _rows(receipt: Receipt) -> float:
    """Return the rows of a finished manifest."""
    return float(receipt.counts["rows"])


def _decoded_s(receipt: Receipt) -> float:
    """Return the seconds of audio that a shard's standardization decoded."""
    counts = receipt.counts
    return counts["samples"] / RATE_HZ * counts["decoded"] / max(1, counts["files"])


def _windows(receipt: Receipt, encoder: str, frames: Frames) -> float:
    """Return about how many windows of 30 s a shard's encoding took; 0 where other encoders worked, too."""
    alone = list(receipt.inputs["encoders"]) == [encoder]
    return windows(receipt.counts["encoded"], receipt.counts["frames"], frames) if alone else 0.0


def _said(speed: float, stage: str) -> str:
    unit = UNITS[stage]
    if unit.startswith("bytes"):
        return f"{human(speed)}{unit.removeprefix('bytes')}"
    return f"{speed:,.0f} {unit}" if speed >= 100 else f"{speed:.2g} {unit}"
