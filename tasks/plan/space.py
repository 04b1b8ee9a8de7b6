"""Space for a plan: the volumes that it writes to, the catalog's budget, and whether it fits."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from earmark.amounts import Amount, exact, total
from earmark.catalog.project import Project
from earmark.disk import watch
from earmark.disk.files import nearest_existing, real
from earmark.disk.receipts import Outputs, read_receipt
from tasks.engine.estimates import Step
from tasks.stages import archive_records, extract
from tasks.stages.standardize import StandardizedShard

Fit = Literal["no", "maybe", "yes"]
FITS: tuple[Fit, ...] = ("no", "maybe", "yes")  # the worst first


@dataclass
class Volume:
    """A file system that a plan writes to.

    `peak`, `final`: bytes beyond what is there now, at the most while the plan is carried out, and at its end.
    """

    folders: list[str]
    free: int
    total: int
    device: int
    peak: Amount = field(default_factory=Amount)
    final: Amount = field(default_factory=Amount)

    @property
    def fits(self) -> Fit:
        """Whether the peak fits into what is free."""
        return fit_of(self.peak, self.free)


@dataclass(frozen=True)
class Budget:
    """The catalog's budget, and the bytes under the project's paths now and at the end."""

    limit: int
    used: Amount
    final: Amount

    @property
    def fits(self) -> Fit:
        """Whether the end fits into the budget; a plan that adds nothing is not refused, however full it is already."""
        adds = self.final.high > self.used.low
        return fit_of(self.final, self.limit) if adds else fit_of(Amount(0, 0, self.final.high), self.limit)


def fit_of(needed: Amount, limit: int) -> Fit:
    """Say whether an amount fits: "yes", "maybe" where only its low end does, or "no".

    "no" refuses a run, so it is given only where even the low end is too much: an estimate must not stop what may fit.
    """
    return "no" if needed.low > limit else "maybe" if needed.high > limit else "yes"


def volumes(project: Project, steps: list[Step]) -> list[Volume]:
    """Add steps up in their order; return a volume for each file system that they write to."""
    by_device: dict[int, Volume] = {}
    for folder in (project.data, project.standard, project.manifests, project.cache):
        _volume(project, by_device, folder).folders.append(project.relative(folder))
    now: dict[int, Amount] = dict.fromkeys(by_device, Amount())
    for step in steps:
        during = dict(now)
        for item in step.items:
            volume = _volume(project, by_device, item.folder)
            # a file takes whole blocks: half a block more than its bytes, in the mean
            size = item.size + exact(item.files * _block_bytes(item.folder) / 2)
            size = Amount(size.low - item.shared, size.likely, size.high)
            before = now.get(volume.device, Amount())
            now[volume.device] = before + size + exact(-item.replaced)
            # at best each old file makes room for a new one, at worst all of both are there at the same time
            extra = Amount(size.low - item.replaced, size.likely + item.passing, size.high + item.passing)
            during[volume.device] = during.get(volume.device, Amount()) + extra
        for device, amount in during.items():
            peak = by_device[device].peak
            by_device[device].peak = Amount(
                max(peak.low, amount.low), max(peak.likely, amount.likely), max(peak.high, amount.high)
            )
    for device, amount in now.items():
        by_device[device].final = amount
    return list(by_device.values())


def _volume(project: Project, by_device: dict[int, Volume], folder: Path) -> Volume:
    """Return the volume that a folder is on, or would be; a new one goes into `by_device`."""
    home = nearest_existing(folder)
    device = home.stat().st_dev
    if device not in by_device:
        usage = shutil.disk_usage(home)
        known = folder in (project.data, project.standard, project.manifests, project.cache)
        by_device[device] = Volume([] if known else [project.relative(folder)], usage.free, usage.total, device)
    return by_device[device]


def _block_bytes(folder: Path) -> int:
    return os.statvfs(nearest_existing(folder)).f_frsize


def budget(project: Project, steps: list[Step], patience_s: float) -> Budget | None:
    """Compare the catalog's budget with the files under the project's paths, and with what the steps add to them."""
    limit = project.catalog.disk.budget_bytes
    if limit is None:
        return None
    used = _used(project, patience_s)
    items = [item for step in steps for item in step.items]
    added = total(item.size for item in items) + exact(-sum(item.replaced for item in items))
    return Budget(limit, used, used + added)


def _used(project: Project, patience_s: float) -> Amount:
    """Add up all files under the project's paths; of millions, as many as time permits, and what receipts count."""
    ends, walked = time.monotonic() + patience_s, 0
    paths = {real(path) for path in (project.data, project.standard, project.manifests, project.cache)}
    for path in sorted(paths):
        # a path below another one is counted with it
        if not path.is_dir() or any(other in path.parents for other in paths):
            continue
        for number, entry in enumerate(watch.walk(path)):
            with contextlib.suppress(OSError):
                walked += 0 if entry.is_dir() else entry.stat().st_size
            if number % 4096 == 0 and time.monotonic() > ends:
                known = max(walked, _recorded(project))
                return Amount(walked, known, 1.2 * known)  # receipts do not count features
    return exact(walked)


def _recorded(project: Project) -> int:
    """Return the bytes of trees and standard audio by their receipts, and of the archives."""
    size = sum(
        archive_bytes for name in project.catalog.datasets for _, archive_bytes in extracted_archives(project, name)
    )
    for path in (project.cache / "receipts").glob("extract/*/*.json"):
        # the receipts of one folder are of two kinds; of the other kind there is none
        size += counted(path, archive_records.ArchiveRead, "member_bytes") or counted(
            path, extract.TreeRead, "member_bytes"
        )
    for path in (project.cache / "receipts").glob("standardize/*/*.json"):
        size += counted(path, StandardizedShard, "standard_bytes")
    return size


def counted(path: Path, outputs: type[Outputs], count: str) -> int:
    """Return a count of a receipt; 0 where there is none."""
    receipt = read_receipt(path, outputs)
    return receipt.counts.get(count, 0) if receipt else 0


def extracted_archives(project: Project, dataset: str) -> Iterator[tuple[Path, int]]:
    """Yield the archives of a dataset that receipts prove extracted and that are still here."""
    for archive in project.dataset(dataset).archives:
        if archive_records.extraction_of(project, dataset, archive.file) is not None:
            for path in archive_records.files_of(project, dataset, archive):
                if path.is_file():
                    yield path, path.stat().st_size
