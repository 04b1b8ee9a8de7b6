"""What is made of several datasets, joint manifests and jobs: which there are, what they need, what they wait for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from earmark.catalog.project import Project
from earmark.errors import CatalogError, near
from tasks.engine.stage import JOB, STAGES, Stage, Unit, Verdict, judge
from tasks.stages import job, joint

ORDER = "EARI"  # the worst state of what it waits for names it


@dataclass(frozen=True)
class Joined:
    """A joint manifest or a job: its unit, the datasets it names, and the stages of them that it reads."""

    unit: Unit
    stage: Stage
    datasets: tuple[str, ...]
    needs: tuple[str, ...] = ("manifest",)

    def before(self, project: Project) -> Iterator[Unit]:
        """Yield what must be done first, of the datasets that are on this disk."""
        for name in joint.present(project, self.datasets)[0]:
            yield from (Unit(stage, name) for stage in self.needs)


def joined(project: Project) -> dict[str, Joined]:
    """Return the catalog's joint manifests and jobs by the names of their tasks."""
    found = [
        Joined(Unit("manifest", name), joint.STAGE, table.datasets) for name, table in project.catalog.manifests.items()
    ]
    for name, table in project.catalog.jobs.items():
        needs = ("manifest", "features") if table.features else ("manifest",)
        found.append(Joined(Unit(JOB, name), job.STAGE, table.datasets, needs))
    return {str(one.unit): one for one in found}


def chosen(project: Project, names: list[str]) -> tuple[list[Joined], list[str]]:
    """Return the joint manifests and jobs that are named (all where nothing is), and the names that mean datasets.

    Raises CatalogError for a job that is not in the catalog.
    """
    known, found, rest = joined(project), [], []
    for name in names:
        own = [one for one in known.values() if name in (str(one.unit), one.unit.stage, one.unit.dataset)]
        found += [one for one in own if one not in found]
        if not own and name.partition(":")[0] == JOB:
            raise CatalogError(f'{project.path.name}: no job "{name}"{near(name, known)}.')
        if name != JOB and (not own or name in STAGES or name in project.catalog.datasets):
            rest.append(name)
    return (found if names else list(known.values())), rest


def judge_joined(
    project: Project, one: Joined, verdict_of: Callable[[Unit], Verdict], is_ignored: Callable[[str], bool]
) -> tuple[Verdict, list[Unit]]:
    """Return the state of a joint manifest or job, and what it waits for; `verdict_of` knows its datasets' stages."""
    own = judge(project, one.stage, one.unit)
    if is_ignored(str(one.unit)):
        return Verdict("I", ("doit ignore",)), []
    late = [(unit, verdict_of(unit)) for unit in one.before(project)]
    late = [(unit, verdict) for unit, verdict in late if verdict.state != "U"]
    if own.state in "EA" or not late:
        return own, []
    unit, worst = min(late, key=lambda found: ORDER.index(found[1].state))
    words = {"E": "cannot run", "A": "is on a volume that is absent", "I": "is ignored"}.get(worst.state)
    if words or own.state == "U":
        own = Verdict(worst.state, (f"{unit} {words or 'would run first'}",))
    return own, [unit for unit, _ in late]
