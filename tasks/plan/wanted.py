"""plan: what would run and why, what each stage would write and where, and for how long. Reads only, takes no lock.

Sizes come from receipts and lists where there are any, from headers of a seeded sample of recordings where not, and
from stated assumptions last; each step names what its numbers are made from.
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
from tasks.stages import extract
from tasks.stages.combined import JOB, combined_tasks

Wanted = dict[str, dict[str, set[str]]]  # dataset -> stage -> shards, empty for all


def wanted(run: Run, names: Iterable[str]) -> Wanted:
    """Return which stages of which datasets some names ask for: tasks, stages, jobs or datasets, patterns too.

    Raises CatalogError with the nearest name for one that is none of these.
    """
    project, stages = run.project, [stage.name for stage in run.stages]
    found: Wanted = {}
    here = [name for name in project.catalog.by_priority() if extract.on_disk(project, name)]
    combined = combined_tasks(project)
    known = [f"{stage}:{dataset}" for dataset in project.catalog.datasets for stage in stages]
    known += [*stages, JOB, *combined, *project.catalog.datasets]
    for name in names:
        unit = Unit.parse(name)
        if "*" in name:
            for one in _matching(run, name, known):
                for task in map(str, combined[one].before(project)) if one in combined else [one]:
                    _want(run, found, task)
        elif name in stages:
            for one in here:
                _want(run, found, f"{name}:{one}")
        elif name in combined or name == JOB:
            asked = (
                [combined[name]] if name in combined else [one for one in combined.values() if one.unit.stage == JOB]
            )
            for before in (before for one in asked for before in one.before(project)):
                _want(run, found, str(before))
        elif name in project.catalog.datasets:
            _want(run, found, f"{stages[-1]}:{name}")
        elif unit.stage in stages and unit.dataset:
            _require_unit(run, unit)
            _want(run, found, name)
        else:
            raise CatalogError(f'no task "{name}"{near(name, known)}. `doit list --all` names them all.')
    order = project.catalog.by_priority()
    return dict(sorted(found.items(), key=lambda entry: order.index(entry[0])))


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
    names = [one for one in known if fnmatch(one, pattern) and ":" in one]
    names += [one for one in shards if fnmatch(one, pattern)]
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


def _want(run: Run, found: Wanted, name: str) -> None:
    """Add a task and the stages that it needs; a shard needs no manifest."""
    unit = Unit.parse(name)
    wanted_stages = found.setdefault(unit.dataset, {})
    for stage in run.stages:
        if stage.name == "manifest" and unit.part:
            continue
        shards = {unit.part} if unit.part and stage.shard else set()
        before = wanted_stages.get(stage.name)
        wanted_stages[stage.name] = shards if before is None else before | shards if before and shards else set()
        if stage.name == unit.stage:
            return


def steps(query: Query, found: Wanted) -> Iterator[Step]:
    """Yield the steps of some datasets in the order of work."""
    for dataset, stages in found.items():
        yield from _dataset_steps(query, dataset, stages)


def _dataset_steps(query: Query, dataset: str, stages: dict[str, set[str]]) -> Iterator[Step]:
    """Yield a step a stage; what comes after a stage that cannot run cannot run either, its sizes are still given."""
    expected = Expected(query, dataset)
    blocked: Step | None = None
    for stage in query.run.stages:
        if stage.name not in stages:
            continue
        step = _judged(expected, stage, stages[stage.name])
        estimate(stage, expected, step)
        if step.state == "U" and step.items:
            step.state = "R"
        if blocked is not None and step.state != "U":
            step.state, step.why, step.run = blocked.state, [f"after {blocked.unit}"], 0
        elif step.state in "EAI":
            blocked = step
        if step.state in "AI":
            step.items, step.seconds = [], Amount()
        yield step


def _judged(expected: Expected, stage: Stage, asked: set[str]) -> Step:
    """Return a stage's step with its state and reasons, and those of its shards; `asked`: some of them, or all."""
    shards = [shard for shard in sorted(expected.listed) if not asked or shard in asked]
    line = judge_stage(expected.query, stage, expected.dataset, shards)
    if not line.shards:
        own = line.own if not asked else Verdict("U")
        return Step(line.unit, own.state, list(own.reasons), int(own.state == "R"))
    verdicts = [verdict for _, verdict in line.shards]
    state = worst(verdicts).state if asked else line.verdict.state
    words = [f"{count:,} x {reason}" if count > 1 else reason for reason, count in line.reasons.most_common(4)]
    run = sum(verdict.state == "R" for verdict in verdicts) if state != "I" else 0
    return Step(line.unit, state, words or list(line.own.reasons), run, len(verdicts), shards=list(line.shards))
