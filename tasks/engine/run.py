"""A run as a value: the project it works on, what the user asked of it, where its words go, its workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from earmark.catalog.project import Project
from tasks.engine.run_pool import RunPool
from tasks.report import RunLog

if TYPE_CHECKING:
    from tasks.engine.stage import Stage


@dataclass(frozen=True, eq=False)
class Run:
    """What every stage is handed.

    `stages`: all stages, in the order of work. `force`: what is current is built again. `named`: the tasks that the
    user named, which are then looked at in full. `thorough`: finished outputs are looked at, not only their receipts.
    """

    project: Project
    stages: tuple[Stage, ...]
    log: RunLog = field(default_factory=RunLog)
    force: bool = False
    named: frozenset[str] = frozenset()
    thorough: bool = True
    pool: RunPool = field(init=False)

    def __post_init__(self) -> None:
        """Make the pool, which starts no process yet."""
        object.__setattr__(self, "pool", RunPool(self.project.catalog.run.workers))

    def stage(self, name: str) -> Stage:
        """Return a stage by its name. Raises KeyError."""
        return next(stage for stage in self.stages if stage.name == name)
