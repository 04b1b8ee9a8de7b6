"""Does a plan fit? Free space by volume, the catalog's budget, and what would make it fit."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

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
from tasks.stages import extract, scan
from tasks.stages.combined import JOB
from tasks.stages.extract_estimate import DEMO_TREE
from tasks.stages.standardize import StandardizedShard

WALK_S = 10.0  # seconds for adding up what lies under the project's paths
RUN_PATIENCE_S = 0.5  # seconds of probing before a run, over all its datasets
RUN_WALK_S = 0.5
FITS = ("no", "maybe", "yes")
SLOWEST_BYTES_PER_S = 2_000  # source bytes of a second of audio, at the least: an obvious upper bound of its length
LARGEST_FEATURES = 50 * 1280 * 4  # bytes of features of a second of audio, at the most


@dataclass
class Volume:
    """A file system that a plan writes to: bytes beyond what lies there now, while it works and at its end."""

    folders: list[str]
    free: int
    total: int
    device: int
    peak: Amount = field(default_factory=Amount)
    final: Amount = field(default_factory=Amount)

    @property
    def fits(self) -> str:
        """Refuse on the low end alone, warn on the high end."""
        return fits_in(self.peak, self.free)


@dataclass(frozen=True)
class Budget:
    """The catalog's budget, what lies under the project's paths now, and at the end."""

    limit: int
    used: Amount
    final: Amount

    @property
    def fits(self) -> str:
        """Refuse on the low end alone, warn on the high end; what adds nothing is not refused."""
        adds = self.final.high > self.used.low
        return fits_in(self.final, self.limit) if adds else fits_in(Amount(0, 0, self.final.high), self.limit)


@dataclass(frozen=True)
class Saving:
    """A way to make a plan fit, and the bytes that it saves."""

    saves: float
    text: str


def fits_in(needed: Amount, limit: int) -> str:
    """Say whether an amount fits: "yes", "maybe" where only its low end does, or "no"."""
    return "no" if needed.low > limit else "maybe" if needed.high > limit else "yes"


def volumes(project: Project, steps: list[Step]) -> list[Volume]:
    """Add steps up in their order, a volume a file system."""
    found: dict[int, Volume] = {}
    for folder in (project.data, project.standard, project.manifests, project.cache):
        _volume(project, found, folder).folders.append(project.relative(folder))
    now: dict[int, Amount] = dict.fromkeys(found, Amount())
    for step in steps:
        during = dict(now)
        for item in step.items:
            volume = _volume(project, found, item.folder)
            size = item.size + exact(item.files * _block_bytes(item.folder) / 2)
            size = Amount(size.low - item.shared, size.likely, size.high)
            before = now.get(volume.device, Amount())
            now[volume.device] = before + size + exact(-item.replaced)
            # at best each file makes room for the next, at worst all of both lie there together
            extra = Amount(size.low - item.replaced, size.likely + item.passing, size.high + item.passing)
            during[volume.device] = during.get(volume.device, Amount()) + extra
        for device, amount in during.items():
            peak = found[device].peak
            found[device].peak = Amount(
                max(peak.low, amount.low), max(peak.likely, amount.likely), max(peak.high, amount.high)
            )
    for device, amount in now.items():
        found[device].final = amount
    return list(found.values())


def _volume(project: Project, found: dict[int, Volume], folder: Path) -> Volume:
    home = nearest_existing(folder)
    device = home.stat().st_dev
    if device not in found:
        usage = shutil.disk_usage(home)
        known = folder in (project.data, project.standard, project.manifests, project.cache)
        found[device] = Volume([] if known else [project.relative(folder)], usage.free, usage.total, device)
    return found[device]


def _block_bytes(folder: Path) -> int:
    return os.statvfs(nearest_existing(folder)).f_frsize


def budget(project: Project, steps: list[Step], patience_s: float) -> Budget | None:
    """Hold what lies under the project's paths, and what comes, against the catalog's budget."""
    limit = project.catalog.disk.budget_bytes
    if limit is None:
        return None
    used = _used(project, patience_s)
    items = [item for step in steps for item in step.items]
    comes = total(item.size for item in items) + exact(-sum(item.replaced for item in items))
    return Budget(limit, used, used + comes)


def _used(project: Project, patience_s: float) -> Amount:
    """Add up all files under the project's paths; of millions, as many as there is time for, and what receipts say."""
    ends, walked = time.monotonic() + patience_s, 0
    paths = {path.resolve() for path in (project.data, project.standard, project.manifests, project.cache)}
    for path in sorted(paths):
        if not path.is_dir() or any(other in path.parents for other in paths):
            continue
        for number, entry in enumerate(watch.walk(path)):
            with contextlib.suppress(OSError):
                walked += 0 if entry.is_dir() else entry.stat().st_size
            if number % 4096 == 0 and time.monotonic() > ends:
                known = max(walked, _recorded(project))
                return Amount(walked, known, 1.2 * known)
    return exact(walked)


def _recorded(project: Project) -> int:
    """Return what receipts say of trees and standard audio, and the archives beside them."""
    size = sum(archive_bytes for name in project.catalog.datasets for _, archive_bytes in _archives(project, name))
    for path in (project.cache / "receipts").glob("extract/*/*.json"):
        size += counted(path, extract.ArchiveRead, "member_bytes") or counted(path, extract.TreeRead, "member_bytes")
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
        if extract.extracted(project, dataset, archive.file) is not None:
            for path in extract.archive_files(project, dataset, archive):
                if path.is_file():
                    yield path, path.stat().st_size


def savings(project: Project, steps: list[Step], found: list[Volume], limit: Budget | None) -> list[Saving]:
    """Say what would make a plan fit that may not, with the bytes that each way saves; the largest first."""
    short = {volume.device for volume in found if volume.fits != "yes"}
    if limit is not None and limit.fits != "yes":
        short = {volume.device for volume in found}
    form, ways, float32 = project.catalog.standard.format, list[Saving](), dict[str, float]()
    standard = 0.0
    for item in (item for step in steps for item in step.items):
        if nearest_existing(item.folder).stat().st_dev not in short:
            continue
        standard += item.size.likely if item.what == "standard audio" else 0
        name = item.what.removeprefix("packs of ")
        if name != item.what and project.catalog.encoders[name].codec == "float32":
            float32[name] = float32.get(name, 0) + item.size.likely
    if standard and form == "wav":
        ways.append(Saving(standard * 0.4, '[standard] format = "flac" saves about'))
    if standard and form != "none":
        ways.append(Saving(standard, '[standard] format = "none" (features straight from the source) saves'))
    for name, size in float32.items():
        ways.append(Saving(size / 2, f'[encoders.{name}] codec = "float16" saves'))
    for name in project.catalog.datasets:
        freed = sum(size for path, size in _archives(project, name) if path.stat().st_dev in short)
        if freed:
            ways.append(Saving(freed, f"`doit cleanup:{name}` would free"))
    ways = [Saving(way.saves, f"{way.text} {human(way.saves)}") for way in ways]
    ways.sort(key=lambda way: -way.saves)
    return [*ways, *_smaller(steps, found, limit)] if short else []


def _smaller(steps: list[Step], found: list[Volume], limit: Budget | None) -> Iterator[Saving]:
    """Say which part of the selection fits: its first datasets, or of one dataset some shards."""
    shares = [volume.free / volume.peak.likely for volume in found if volume.peak.likely > volume.free]
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
    """A plan with all that is said of it."""

    tasks: list[str]
    steps: list[Step]
    volumes: list[Volume]
    budget: Budget | None
    savings: list[Saving]

    @property
    def fits(self) -> str:
        """The worst of volumes and budget; with a size that nobody published, "maybe" at best."""
        said = ["maybe"] if any(step.unknown for step in self.steps) else []
        said += [volume.fits for volume in self.volumes] + ([self.budget.fits] if self.budget else [])
        return min(said, key=FITS.index)


def forecast(query: Query, names: list[str], walk_s: float = WALK_S) -> Forecast:
    """Plan some tasks, or everything on this disk.

    Raises CatalogError with the nearest name for one that is no task.
    """
    project = query.run.project
    asked = names or [f"features:{name}" for name in project.catalog.by_priority() if extract.on_disk(project, name)]
    return _forecast(project, asked, list(wanted.steps(query, wanted.wanted(query.run, asked))), walk_s)


def _forecast(project: Project, names: list[str], steps: list[Step], walk_s: float) -> Forecast:
    found, limit = volumes(project, steps), budget(project, steps, walk_s)
    return Forecast(names, steps, found, limit, savings(project, steps, found, limit))


# before a run


def require_fit(query: Query, names: list[str]) -> None:
    """Refuse a run whose results will not fit, before it begins; one that may not fit is noted and goes on.

    Costs a few stats where there is plenty of space, and a look at receipts where there is nothing to do.
    Raises DiskFullError.
    """
    run, project = query.run, query.run.project
    stages = {stage.name for stage in run.stages} | {JOB}
    try:
        known = [name for name in names if "*" in name or Unit.parse(name).stage in stages]
        found = wanted.wanted(run, known)
        if project.catalog.disk.budget is None and _plenty(project, found):
            return
        quick = replace(query, run=replace(run, thorough=False), patience_s=RUN_PATIENCE_S / max(1, len(found)))
        steps = [step for step in wanted.steps(quick, found) if step.state == "R"]
        if not any(step.items for step in steps):
            return
        seen = _forecast(project, known, steps, RUN_WALK_S)
    except (EarmarkError, OSError):  # what cannot be estimated is not refused: the run says what is wrong, if anything
        return
    said = " ".join(names)
    if seen.fits == "no":
        lines = [f"{said} does not fit on the disk:", *_shortages(seen, "no")]
        lines += [f"to make it fit: {saving.text}" for saving in seen.savings[:4]]
        lines.append(f"`doit plan {said}` shows how this comes about; `doit run --anyway {said}` runs nevertheless.")
        raise DiskFullError("\n  ".join(lines))
    if seen.fits == "maybe":
        for line in _shortages(seen, "maybe"):
            run.log.note(f"it may not fit on the disk: {line} (`doit plan {said}`)")


def _plenty(project: Project, found: wanted.Wanted) -> bool:
    """Say that all volumes have more space than these datasets can take at all; receipts and sizes of archives only."""
    needed = 0.0
    for name in found:
        if shards := scan.known_shards(project, name):
            size = float(sum(sealed.size_bytes for sealed in shards.values()))
        else:
            archives = project.dataset(name).archives
            paths = [path for archive in archives for path in extract.archive_files(project, name, archive)]
            generated = any(archive.generator for archive in archives)
            if not generated and not all(path.is_file() for path in paths):
                return False
            size = 3.0 * sum(path.stat().st_size for path in paths if path.is_file()) + DEMO_TREE * generated
        encoders = max(1, len(project.catalog.encoders_of(name)))
        needed += 4 * size + size / SLOWEST_BYTES_PER_S * (WAV_BYTES_PER_S + encoders * LARGEST_FEATURES)
    folders = {project.data, project.standard, project.manifests, project.cache, *map(project.folder, found)}
    return all(shutil.disk_usage(nearest_existing(folder)).free > needed for folder in folders)


def _shortages(seen: Forecast, fits: str) -> Iterator[str]:
    """Yield a line for each volume, and the budget, that is too small."""
    for volume in seen.volumes:
        if volume.fits == fits:
            where = ", ".join(volume.folders)
            yield f"{said_range(volume.peak)} needed, {human(volume.free)} free on the volume of {where}"
    if seen.budget is not None and seen.budget.fits == fits:
        limit = seen.budget
        yield (
            f"{said_range(limit.final)} in all at the end ({human(limit.used.likely)} now), [disk] budget allows"
            f" {human(limit.limit)}"
        )


def said_range(amount: Amount) -> str:
    """Say an amount, with its ends where they are apart."""
    if not amount.high and not amount.low:
        return ""
    if amount.high - amount.low <= 0.1 * abs(amount.likely):
        return human(amount.likely)
    return f"{human(amount.likely)} ({human(amount.low)} to {human(amount.high)})"
