"""Does a plan fit? Free space by volume, the catalog's budget, and what would make it fit."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from earmark.amounts import Amount, exact, total
from earmark.catalog.project import Project
from earmark.disk import watch
from earmark.disk.files import nearest_existing
from earmark.disk.receipts import Outputs, read_receipt
from earmark.errors import DiskFullError, EarmarkError
from earmark.rates import WAV_BYTES_PER_S
from tasks.engine.estimates import Step
from tasks.engine.rollup import Query
from tasks.engine.units import Unit
from tasks.plan import wanted
from tasks.report import human
from tasks.stages import archive_records, extract, presence, scan
from tasks.stages.combined import JOB
from tasks.stages.extract_estimate import DEMO_TREE
from tasks.stages.standardize import StandardizedShard

WALK_S = 10.0  # seconds for adding up the files under the project's paths
RUN_PATIENCE_S = 0.5  # seconds of probing before a run, over all its datasets
RUN_WALK_S = 0.5  # seconds for adding up files before a run, which a user waits for and has not asked for
SAVINGS_SHOWN = 4  # of those that a refusal lists; `doit plan` lists all

Fit = Literal["no", "maybe", "yes"]
FITS: tuple[Fit, ...] = ("no", "maybe", "yes")  # the worst first

# Bounds for "there is plenty of space", which must never be wrong that way:
SLOWEST_BYTES_PER_S = 2_000  # source bytes of a second of audio at the least (16 kbit/s), so its length at the most
LARGEST_FEATURES = 50 * 1280 * 4  # bytes of features of a second at the most: 50 frames of Whisper large, float32
FLAC_SAVES = 0.4  # of the bytes of WAV, for speech, about
ARCHIVE_GROWTH = 3.0  # bytes of tree in a byte of archive, at the most


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


@dataclass(frozen=True)
class Saving:
    """A way to make a plan fit, and the bytes that it saves."""

    saves: float
    text: str


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
    paths = {path.resolve() for path in (project.data, project.standard, project.manifests, project.cache)}
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
    size = sum(archive_bytes for name in project.catalog.datasets for _, archive_bytes in _archives(project, name))
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


def _archives(project: Project, dataset: str) -> Iterator[tuple[Path, int]]:
    """Yield the archives of a dataset that receipts prove extracted and that are still here."""
    for archive in project.dataset(dataset).archives:
        if archive_records.extraction_of(project, dataset, archive.file) is not None:
            for path in archive_records.files_of(project, dataset, archive):
                if path.is_file():
                    yield path, path.stat().st_size


def savings(project: Project, steps: list[Step], on: list[Volume], limit: Budget | None) -> list[Saving]:
    """Return what would make a plan fit that may not, with the bytes that each way saves; the largest first."""
    short = {volume.device for volume in on if volume.fits != "yes"}
    if limit is not None and limit.fits != "yes":
        short = {volume.device for volume in on}
    if not short:
        return []
    ways = [*_other_settings(project, steps, short), *_removable_archives(project, short)]
    ways = [Saving(way.saves, f"{way.text} {human(way.saves)}") for way in ways]
    ways.sort(key=lambda way: -way.saves)
    return [*ways, *_smaller(steps, on, limit)]


def _other_settings(project: Project, steps: list[Step], short: set[int]) -> Iterator[Saving]:
    """Yield the changes to the catalog that would write less to volumes that are short of space."""
    form, float32, standard = project.catalog.standard.format, dict[str, float](), 0.0
    for item in (item for step in steps for item in step.items):
        if nearest_existing(item.folder).stat().st_dev not in short:
            continue
        standard += item.size.likely if item.what == "standard audio" else 0
        name = item.what.removeprefix("packs of ")
        if name != item.what and project.catalog.encoders[name].codec == "float32":
            float32[name] = float32.get(name, 0) + item.size.likely
    if standard and form == "wav":
        yield Saving(standard * FLAC_SAVES, '[standard] format = "flac" saves about')
    if standard and form != "none":
        yield Saving(standard, '[standard] format = "none" (features straight from the source) saves')
    for name, size in float32.items():
        yield Saving(size / 2, f'[encoders.{name}] codec = "float16" saves')


def _removable_archives(project: Project, short: set[int]) -> Iterator[Saving]:
    for name in project.catalog.datasets:
        freed = sum(size for path, size in _archives(project, name) if path.stat().st_dev in short)
        if freed:
            yield Saving(freed, f"`doit cleanup:{name}` would free")


def _smaller(steps: list[Step], on: list[Volume], limit: Budget | None) -> Iterator[Saving]:
    """Yield which part of the selection fits: its first datasets, or some shards of its only one."""
    shares = [volume.free / volume.peak.likely for volume in on if volume.peak.likely > volume.free]
    if limit is not None and limit.final.likely > max(limit.limit, limit.used.likely):
        left = max(0.0, limit.limit - limit.used.likely)
        shares.append(left / (limit.final.likely - limit.used.likely))
    share, size = min(shares, default=1.0), total(step.size for step in steps).likely
    sizes = {step.unit.dataset: 0.0 for step in steps}
    for step in steps:
        sizes[step.unit.dataset] += step.size.likely
    if share >= 1.0:
        return
    if len(sizes) > 1:
        fitting = [name for name in sizes if sizes[name] <= size * share]
        if fitting:
            yield Saving(size - sizes[fitting[0]], f"a smaller selection fits, such as {fitting[0]} alone")
        return
    sharded = [step for step in steps if len(step.shards) > 1 and step.run > 1]
    if sharded:
        last = sharded[-1]
        some = int(last.run * share)
        first = next(unit for unit, verdict in last.shards if verdict.state == "R" or last.state == "R")
        if some:
            yield Saving(size * (1 - share), f"about {some:,} of {last.run:,} shards fit, such as `doit {first}`")


@dataclass(frozen=True)
class Forecast:
    """A plan: its steps, the volumes that they write to, whether it fits, and what would make it fit."""

    tasks: list[str]
    steps: list[Step]
    volumes: list[Volume]
    budget: Budget | None
    savings: list[Saving]

    @property
    def fits(self) -> Fit:
        """The worst of volumes and budget; with a size that nobody published, "maybe" at best."""
        fits: list[Fit] = ["maybe"] if any(step.unknown for step in self.steps) else []
        fits += [volume.fits for volume in self.volumes] + ([self.budget.fits] if self.budget else [])
        return min(fits, key=FITS.index)


def make_forecast(query: Query, names: list[str], walk_s: float = WALK_S) -> Forecast:
    """Plan some tasks, or everything on this disk.

    Raises CatalogError with the nearest name for one that is no task.
    """
    project = query.run.project
    names = names or [f"features:{name}" for name in project.catalog.by_priority() if presence.on_disk(project, name)]
    return _forecast(project, names, list(wanted.steps(query, wanted.wanted(query.run, names))), walk_s)


def _forecast(project: Project, names: list[str], steps: list[Step], walk_s: float) -> Forecast:
    on, limit = volumes(project, steps), budget(project, steps, walk_s)
    return Forecast(names, steps, on, limit, savings(project, steps, on, limit))


def require_fit(query: Query, names: list[str]) -> None:
    """Refuse a run whose results will not fit, before it begins; one that may not fit gets a note and goes on.

    Costs a few stats where there is plenty of space, and reads receipts where there is nothing to do.
    Raises DiskFullError.
    """
    run, project = query.run, query.run.project
    stages = {stage.name for stage in run.stages} | {JOB}
    try:
        known = [name for name in names if "*" in name or Unit.parse(name).stage in stages]
        by_dataset = wanted.wanted(run, known)
        if project.catalog.disk.budget is None and _plenty(project, by_dataset):
            return
        quick = replace(query, run=replace(run, thorough=False), patience_s=RUN_PATIENCE_S / max(1, len(by_dataset)))
        steps = [step for step in wanted.steps(quick, by_dataset) if step.state == "R"]
        if not any(step.items for step in steps):
            return
        forecast = _forecast(project, known, steps, RUN_WALK_S)
    except (
        EarmarkError,
        OSError,
    ):  # what cannot be estimated is not refused: the run reports what is wrong, if anything
        return
    tasks = " ".join(names)
    if forecast.fits == "no":
        lines = [f"{tasks} does not fit on the disk:", *_shortages(forecast, "no")]
        lines += [f"to make it fit: {saving.text}" for saving in forecast.savings[:SAVINGS_SHOWN]]
        lines.append(f"`doit plan {tasks}` shows how this comes about; `doit run --anyway {tasks}` runs nevertheless.")
        raise DiskFullError("\n  ".join(lines))
    if forecast.fits == "maybe":
        for line in _shortages(forecast, "maybe"):
            run.log.note(f"it may not fit on the disk: {line} (`doit plan {tasks}`)")


def _plenty(project: Project, by_dataset: wanted.Wanted) -> bool:
    """Say whether all volumes have more space than these datasets can need; from receipts and archives' sizes alone.

    For the usual case, a disk with room: a forecast would cost every run a second.
    """
    needed = 0.0
    for name in by_dataset:
        if shards := scan.known_shards(project, name):
            size = float(sum(sealed.size_bytes for sealed in shards.values()))
        else:
            archives = project.dataset(name).archives
            paths = [path for archive in archives for path in archive_records.files_of(project, name, archive)]
            generated = any(archive.generator for archive in archives)
            if not generated and not all(path.is_file() for path in paths):
                return False
            size = ARCHIVE_GROWTH * sum(path.stat().st_size for path in paths if path.is_file()) + DEMO_TREE * generated
        encoders = max(1, len(project.catalog.encoders_of(name)))
        # generously: four times the source for the tree, lists, and files that are there twice while one is replaced;
        # then WAV and features for the longest audio that so many bytes can be
        needed += 4 * size + size / SLOWEST_BYTES_PER_S * (WAV_BYTES_PER_S + encoders * LARGEST_FEATURES)
    folders = {project.data, project.standard, project.manifests, project.cache, *map(project.folder, by_dataset)}
    return all(shutil.disk_usage(nearest_existing(folder)).free > needed for folder in folders)


def _shortages(forecast: Forecast, fits: Fit) -> Iterator[str]:
    """Yield a line for each volume, and for the budget, that is too small."""
    for volume in forecast.volumes:
        if volume.fits == fits:
            where = ", ".join(volume.folders)
            yield f"{range_words(volume.peak)} needed, {human(volume.free)} free on the volume of {where}"
    if forecast.budget is not None and forecast.budget.fits == fits:
        limit = forecast.budget
        yield (
            f"{range_words(limit.final)} in all at the end ({human(limit.used.likely)} now), [disk] budget allows"
            f" {human(limit.limit)}"
        )


def range_words(amount: Amount) -> str:
    """Return an amount of bytes in words, with its ends where they are more than a tenth apart; "" for none."""
    if not amount.high and not amount.low:
        return ""
    if amount.high - amount.low <= 0.1 * abs(amount.likely):
        return human(amount.likely)
    return f"{human(amount.likely)} ({human(amount.low)} to {human(amount.high)})"
