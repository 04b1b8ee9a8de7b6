"""What would make a plan fit that may not: other settings, archives that can go, a smaller selection."""

from collections.abc import Iterator
from dataclasses import dataclass

from earmark.amounts import total
from earmark.catalog.project import Project
from earmark.disk.files import nearest_existing
from tasks.engine.estimates import Step
from tasks.plan.space import Budget, Volume, extracted_archives
from tasks.report import human

FLAC_SAVES = 0.4  # of the bytes of WAV, for speech, about


@dataclass(frozen=True)
class Saving:
    """A way to make a plan fit, and the bytes that it saves."""

    saves: float
    text: str


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
        freed = sum(size for path, size in extracted_archives(project, name) if path.stat().st_dev in short)
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
