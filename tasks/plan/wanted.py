"""plan: what would run and why, what each stage would write and where, and for how long. Reads only, takes no lock.

Sizes come from receipts and lists where there are any, from headers of a seeded sample of recordings where not, and
from stated assumptions last; each step names what its numbers are made from.
"""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatch

from earmark.amounts import Amount
from earmark.catalog.project import Project
from earmark.disk.receipts import Receipt
from earmark.errors import CatalogError, EarmarkError, near
from tasks.cli.doit_tasks import stage_of
from tasks.engine.stage import JOB, PER_DATASET, STAGES, Unit, Verdict, judge
from tasks.plan.sources import Material
from tasks.plan.steps import Asking, Step
from tasks.plan.writes import Outcome
from tasks.stages import extract, scan
from tasks.stages.joined import joined

Wanted = dict[str, dict[str, set[str]]]  # dataset -> stage -> shards, empty for all


def wanted(project: Project, names: Iterable[str]) -> Wanted:
    """Return which stages of which datasets some names ask for: tasks, stages, jobs or datasets, patterns too.

    Raises CatalogError with the nearest name for one that is none of these.
    """
    found: Wanted = {}
    here = [name for name in project.catalog.by_priority() if extract.on_disk(project, name)]
    joint = joined(project)
    known = [f"{stage}:{dataset}" for dataset in project.catalog.datasets for stage in STAGES]
    known += [*STAGES, JOB, *joint, *project.catalog.datasets]
    for name in names:
        stage, _, rest = name.partition(":")
        dataset, _, shard = rest.partition(":")
        if "*" in name:
            matching = [one for one in known if fnmatch(one, name) and ":" in one]
            shards = [f"{stage}:{dataset}:{one}" for one in _shard_names(project, dataset)]
            matching += [one for one in shards if fnmatch(one, name)]
            if not matching:
                raise CatalogError(f'no task matches "{name}". `doit list` names them all.')
            for one in matching:
                for task in map(str, joint[one].before(project)) if one in joint else [one]:
                    _want(found, task)
        elif name in STAGES:
            for one in here:
                _want(found, f"{name}:{one}")
        elif name in joint or name == JOB:
            asked = [joint[name]] if name in joint else [one for one in joint.values() if one.unit.stage == JOB]
            for unit in (unit for one in asked for unit in one.before(project)):
                _want(found, str(unit))
        elif name in project.catalog.datasets:
            _want(found, f"features:{name}")
        elif stage in STAGES and dataset:
            project.dataset(dataset)
            if shard and stage in PER_DATASET and shard not in (shards := _shard_names(project, dataset)) and shards:
                raise CatalogError(
                    f'no shard "{shard}"{near(shard.zfill(4), shards)}: {dataset} has {len(shards):,} shards.'
                )
            _want(found, name)
        else:
            raise CatalogError(f'no task "{name}"{near(name, known)}. `doit list` names them all.')
    order = project.catalog.by_priority()
    return dict(sorted(found.items(), key=lambda entry: order.index(entry[0])))


def _shard_names(project: Project, dataset: str) -> list[str]:
    with contextlib.suppress(EarmarkError):
        return sorted(scan.shards_of(project, dataset))
    return []


def _want(found: Wanted, name: str) -> None:
    """Add a task and the stages that it needs; a shard needs no manifest."""
    stage, dataset, *rest = name.split(":")
    stages = found.setdefault(dataset, {})
    for one in STAGES[: STAGES.index(stage) + 1]:
        if one == "manifest" and rest:
            continue
        shards = set(rest) if one in ("standardize", "features") else set()
        before = stages.get(one)
        stages[one] = shards if before is None else before | shards if before and shards else set()


def steps(project: Project, found: Wanted, asking: Asking) -> Iterator[Step]:
    """Yield the steps of some datasets in the order of work."""
    for dataset, stages in found.items():
        yield from _Planner(project, dataset, asking).steps(stages)


def _unseen(_project: Project, _unit: Unit, _receipt: Receipt) -> list[str]:
    """Trust finished outputs without a stat."""
    return []


class _Planner:
    """One dataset, stage by stage: what is known of it is gathered on the way."""

    def __init__(self, project: Project, dataset: str, asking: Asking) -> None:
        self.project, self.dataset, self.asking = project, dataset, asking
        self.material = Material(project, dataset, asking)
        self.outcome = Outcome(self.material)

    def steps(self, stages: dict[str, set[str]]) -> Iterator[Step]:
        """Yield a step a stage; what stands after a stage that cannot run cannot run either, its sizes stay said."""
        blocked: Step | None = None
        for stage in STAGES:
            if stage not in stages:
                continue
            step = self._judged(stage, stages[stage])
            if stage == "extract":
                self.material.extract(step)
            elif stage == "scan":
                self.material.scan(step)
            elif step.state in "RU":
                {
                    "standardize": self.outcome.standardize,
                    "manifest": self.outcome.manifest,
                    "features": self.outcome.features,
                }[stage](step)
            if step.state == "U" and step.items:
                step.state = "R"
            if blocked is not None and step.state != "U":
                step.state, step.why, step.run = blocked.state, [f"after {blocked.unit}"], 0
            elif step.state in "EAI":
                blocked = step
            if step.state in "AI":
                step.items, step.seconds = [], Amount()
            yield step

    def _verdict(self, unit: Unit) -> Verdict:
        if self.asking.is_ignored(str(unit)):
            return Verdict("I", ("doit ignore",))
        stage = stage_of(unit)
        if not self.asking.thorough and unit.stage != "scan":
            stage = replace(stage, intact=_unseen)
        return judge(self.project, stage, unit)

    def _judged(self, stage: str, wished: set[str]) -> Step:
        """Return a stage's step with its state and reasons, and those of its shards."""
        unit = Unit(stage, self.dataset)
        if stage not in ("standardize", "features"):
            own = self._verdict(unit)
            return Step(unit, own.state, list(own.reasons), int(own.state == "R"))
        shards = [
            Unit(stage, self.dataset, shard) for shard in sorted(self.material.listed) if not wished or shard in wished
        ]
        verdicts = [(shard, self._verdict(shard)) for shard in shards]
        own = self._verdict(unit) if not wished or not shards else Verdict("U")
        states = [verdict.state for _, verdict in verdicts] + [own.state]
        state = "I" if own.state == "I" else next(letter for letter in "EARIU" if letter in states)
        reasons = Counter(verdict.reasons[0] for _, verdict in verdicts if verdict.reasons)
        words = [f"{count:,} x {reason}" if count > 1 else reason for reason, count in reasons.most_common(4)]
        run = sum(verdict.state == "R" for _, verdict in verdicts) if state != "I" else 0
        return Step(unit, state, words or list(own.reasons), run, len(shards), shards=verdicts)
