"""The forecast of a plan: its steps, the space that they need, and what would make it fit."""

from dataclasses import dataclass

from earmark.amounts import Amount
from earmark.catalog.project import Project
from tasks.engine.estimates import Step
from tasks.engine.rollup import Query
from tasks.plan import wanted
from tasks.plan.savings import Saving, savings
from tasks.plan.space import FITS, Budget, Fit, Volume, budget, volumes
from tasks.report import human
from tasks.stages import presence

WALK_S = 10.0  # seconds for adding up the files under the project's paths


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
    return forecast_of(project, names, list(wanted.steps(query, wanted.wanted(query.run, names))), walk_s)


def forecast_of(project: Project, names: list[str], steps: list[Step], walk_s: float) -> Forecast:
    """Return the forecast of some steps; `names` are those that they were planned for."""
    on, limit = volumes(project, steps), budget(project, steps, walk_s)
    return Forecast(names, steps, on, limit, savings(project, steps, on, limit))


def range_words(amount: Amount) -> str:
    """Return an amount of bytes in words, with its ends where they are more than a tenth apart; "" for none."""
    if not amount.high and not amount.low:
        return ""
    if amount.high - amount.low <= 0.1 * abs(amount.likely):
        return human(amount.likely)
    return f"{human(amount.likely)} ({human(amount.low)} to {human(amount.high)})"
