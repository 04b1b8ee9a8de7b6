"""plan: the steps that some names need, with their states, sizes and times. Only reads, and takes no lock.

Sizes come from receipts and lists where there are any, from headers of a seeded sample of recordings where not, and
from stated assumptions last; each step names where its numbers come from.
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatch

from earmark.amounts import Amount
from earmark.errors import CatalogError, near
from tasks.engine.estimates import Expected, Step, estimate
from tasks.engine.judge import listed_shards
from tasks.engine.rollup import Query, judge_stage, worst
from tasks.engine.stage import Run, Stage, Verdict
from tasks.engine.units import Unit
from tasks.stages import presence
from tasks.stages.combined import JOB, combined_tasks

Wanted = dict[str, dict[str, set[str]]]  # dataset -> stage -> shards, where an empty set means all of them


def wanted(run: Run, names: Iterable[str]) -> Wanted:
    """Return the stages of datasets that some names need: names of tasks, stages, jobs or datasets, or patterns.

    Raises CatalogError with the nearest name for one that is none of these.
    """
    project, stages = run.project, [stage.name for stage in run.stages]
    by_dataset: Wanted = {}
    here = [name for name in project.catalog.by_priority() if presence.on_disk(project, name)]
    combined = combined_tasks(project)
    known = [f"{stage}:{dataset}" for dataset in project.catalog.datasets for stage in stages]
    known += [*stages, JOB, *combined, *project.catalog.datasets]
    for name in names:
        unit = Unit.parse(name)
        if "*" in name:
            for match in _matching(run, name, known):
                for task in map(str, combined[match].before(project)) if match in combined else [match]:
                    _want(run, by_dataset, task)
        elif name in stages:
            for dataset in here:
                _want(run, by_dataset, f"{name}:{dataset}")
        elif name in combined or name == JOB:
            jobs = [task for task in combined.values() if task.unit.stage == JOB]
            for task_named in [combined[name]] if name in combined else jobs:
                for needed in task_named.before(project):
                    _want(run, by_dataset, str(needed))
        elif name in project.catalog.datasets:
            _want(run, by_dataset, f"{stages[-1]}:{name}")
        elif unit.stage in stages and unit.dataset:
            _require_unit(run, unit)
            _want(run, by_dataset, name)
        else:
            raise CatalogError(f'no task "{name}"{near(name, known)}. `doit list --all` names them all.')
    order = project.catalog.by_priority()
    return dict(sorted(by_dataset.items(), key=lambda entry: order.index(entry[0])))


def _matching(run: Run, pattern: str, known: list[str]) -> list[str]:
    """Return the tasks that a pattern matches, shards too.

    Raises CatalogError where it matches none.
    """
    unit = Unit.parse(pattern)
    shards = (
        [str(Unit(unit.stage, unit.dataset, shard)) for shard in listed_shards(run, unit.dataset)]
        if unit.dataset in run.project.catalog.datasets
        else []
    )
    names = [task for task in known if fnmatch(task, pattern) and ":" in task]
    names += [task for task in shards if fnmatch(task, pattern)]
    if not names:
        raise CatalogError(f'no task matches "{pattern}". `doit list --all` names them all.')
    return names


def _require_unit(run: Run, unit: Unit) -> None:
    """Refuse a dataset that is not in the catalog, and a shard that is not listed. Raises CatalogError."""
    run.project.dataset(unit.dataset)
    shards = sorted(listed_shards(run, unit.dataset)) if unit.part and run.stage(unit.stage).shard else []
    if shards and unit.part not in shards:
        hint = near(unit.part.zfill(4), shards)
        raise CatalogError(f'no shard "{unit.part}"{hint}: {unit.dataset} has {len(shards):,} shards.')


def _want(run: Run, by_dataset: Wanted, name: str) -> None:
    """Add a task and the stages that it needs; a shard needs no manifest."""
    unit = Unit.parse(name)
    stages = by_dataset.setdefault(unit.dataset, {})
    for stage in run.stages:
        if stage.name == "manifest" and unit.part:
            continue
        shards = {unit.part} if unit.part and stage.shard else set()
        before = stages.get(stage.name)
        # the empty set, all shards, absorbs any other
        stages[stage.name] = shards if before is None else before | shards if before and shards else set()
        if stage.name == unit.stage:
            return


def steps(query: Query, by_dataset: Wanted) -> Iterator[Step]:
    """Yield the steps of some datasets in the order of work."""
    for dataset, stages in by_dataset.items():
        yield from _dataset_steps(query, dataset, stages)


def _dataset_steps(query: Query, dataset: str, stages: dict[str, set[str]]) -> Iterator[Step]:
    """Yield a step for each stage; after one that cannot run none can, but their sizes are estimated all the same."""
    expected = Expected(query, dataset)
    blocked: Step | None = None
    for stage in query.run.stages:
        if stage.name not in stages:
            continue
        step = _judged(expected, stage, stages[stage.name])
        estimate(stage, expected, step)
        if step.state == "U" and step.items:  # current by itself, but the stages before will change what it reads
            step.state = "R"
        if blocked is not None and step.state != "U":
            step.state, step.why, step.run = blocked.state, [f"after {blocked.unit}"], 0
        elif step.state in "EAI":
            blocked = step
        if step.state in "AI":
            step.items, step.seconds = [], Amount()
        yield step


def _judged(expected: Expected, stage: Stage, chosen: set[str]) -> Step:
    """Return a stage's step with its state and reasons, and those of its `chosen` shards (empty: all)."""
    shards = [shard for shard in sorted(expected.listed) if not chosen or shard in chosen]
    line = judge_stage(expected.query, stage, expected.dataset, shards)
    if not line.shards:
        own = line.own if not chosen else Verdict("U")
        return Step(line.unit, own.state, list(own.reasons), int(own.state == "R"))
    verdicts = [verdict for _, verdict in line.shards]
    state = worst(verdicts).state if chosen else line.verdict.state
    words = [f"{count:,} x {reason}" if count > 1 else reason for reason, count in line.reasons.most_common(4)]
    run = sum(verdict.state == "R" for verdict in verdicts) if state != "I" else 0
    return Step(line.unit, state, words or list(line.own.reasons), run, len(verdicts), shards=list(line.shards))
