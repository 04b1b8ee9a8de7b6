"""What several datasets are combined into, joint manifests and jobs: which there are, what they need and wait for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from earmark.catalog.project import Project
from earmark.errors import CatalogError, near
from tasks.engine.rollup import PREVENTING, Query, worst
from tasks.engine.stage import Rule, Verdict
from tasks.engine.units import Unit
from tasks.stages import job, joint, presence

JOB = job.NAME


@dataclass(frozen=True)
class CombinedTask:
    """A joint manifest or a job: its unit, the datasets it names, and the stages of them that it reads."""

    unit: Unit
    rule: Rule[joint.CombinedFiles]
    datasets: tuple[str, ...]
    needs: tuple[str, ...] = ("manifest",)

    def before(self, project: Project) -> Iterator[Unit]:
        """Yield what must be done first, of the datasets that are on this disk."""
        for name in presence.here_and_absent(project, self.datasets)[0]:
            yield from (Unit(stage, name) for stage in self.needs)

    @property
    def doc(self) -> str:
        """Its line in `doit list`."""
        what = "rows, splits and summary of a training job" if self.unit.stage == JOB else "joint JSONL manifest"
        return f"{what}, from {len(self.datasets)} datasets"


def combined_tasks(project: Project) -> dict[str, CombinedTask]:
    """Return the catalog's joint manifests and jobs by the names of their tasks."""
    tasks = [
        CombinedTask(Unit("manifest", name), joint.RULE, table.datasets)
        for name, table in project.catalog.manifests.items()
    ]
    for name, table in project.catalog.jobs.items():
        needs = ("manifest", "features") if table.features else ("manifest",)
        tasks.append(CombinedTask(Unit(JOB, name), job.RULE, table.datasets, needs))
    return {str(task.unit): task for task in tasks}


def split_names(query: Query, names: list[str]) -> tuple[list[CombinedTask], list[str]]:
    """Return the joint manifests and jobs among some names (all, without names), and the names that mean datasets.

    Raises CatalogError for a job that is not in the catalog.
    """
    project = query.run.project
    stages = [stage.name for stage in query.run.stages]
    known, named, rest = combined_tasks(project), list[CombinedTask](), list[str]()
    for name in names:
        own = [task for task in known.values() if name in (str(task.unit), task.unit.stage, task.unit.dataset)]
        named += [task for task in own if task not in named]
        if not own and Unit.parse(name).stage == JOB:
            raise CatalogError(f'{project.path.name}: no job "{name}"{near(name, known)}.')
        if name != JOB and (not own or name in stages or name in project.catalog.datasets):
            rest.append(name)
    return (named if names else list(known.values())), rest


def judge_combined(
    query: Query, task: CombinedTask, verdict_of: Callable[[Unit], Verdict]
) -> tuple[Verdict, list[Unit]]:
    """Return the state of a joint manifest or job, and what it waits for; `verdict_of` gives those of its datasets."""
    own = query.judge(task.rule, task.unit)
    if own.state == "I":
        return own, []
    late = {unit: verdict_of(unit) for unit in task.before(query.run.project)}
    late = {unit: verdict for unit, verdict in late.items() if verdict.state != "U"}
    if own.state in PREVENTING or not late:
        return own, []
    worst_late = worst(late.values())
    unit = next(unit for unit, verdict in late.items() if verdict is worst_late)
    words = {"E": "cannot run", "A": "is on a volume that is absent", "I": "is ignored"}.get(worst_late.state)
    if words or own.state == "U":
        own = Verdict(worst_late.state, (f"{unit} {words or 'would run first'}",))
    return own, list(late)
