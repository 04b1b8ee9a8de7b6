"""Before a run: refuse it where its results will not fit on the disk."""

import shutil
from collections.abc import Iterator
from dataclasses import replace

from earmark.catalog.project import Project
from earmark.disk.files import nearest_existing
from earmark.errors import DiskFullError, EarmarkError
from earmark.rates import WAV_BYTES_PER_S
from tasks.engine.rollup import Query
from tasks.engine.units import Unit
from tasks.plan import wanted
from tasks.plan.forecast import Forecast, forecast_of, range_words
from tasks.plan.space import Fit
from tasks.report import human
from tasks.stages import archive_records, scan
from tasks.stages.combined import JOB
from tasks.stages.extract_estimate import DEMO_TREE

RUN_PATIENCE_S = 0.5  # seconds of probing before a run, over all its datasets
RUN_WALK_S = 0.5  # seconds for adding up files before a run, which a user waits for and has not asked for
SAVINGS_SHOWN = 4  # of those that a refusal lists; `doit plan` lists all
# Bounds for "there is plenty of space", which must never be wrong that way:
SLOWEST_BYTES_PER_S = 2_000  # source bytes of a second of audio at the least (16 kbit/s), so its length at the most
LARGEST_FEATURES = 50 * 1280 * 4  # bytes of features of a second at the most: 50 frames of Whisper large, float32
ARCHIVE_GROWTH = 3.0  # bytes of tree in a byte of archive, at the most


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
        forecast = forecast_of(project, known, steps, RUN_WALK_S)
    except (EarmarkError, OSError):
        return  # what cannot be estimated is not refused: the run reports what is wrong, if anything
    tasks = " ".join(names)
    if forecast.fits == "no":
        lines = [f"{tasks} does not fit on the disk:", *_shortages(forecast, "no")]
        lines += [f"to make it fit: {saving.text}" for saving in forecast.savings[:SAVINGS_SHOWN]]
        lines.append(f"`doit plan {tasks}` shows how this comes about; `doit run --anyway {tasks}` runs nevertheless.")
        raise DiskFullError(lines[0], *(f"  {line}" for line in lines[1:]))
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
