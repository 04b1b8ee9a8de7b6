"""Rules and stages: how a unit of work is judged and built, and what a stage declares of itself.

A rule is how one kind of unit is made. A stage is what users name: the rule of a whole dataset and, where its work is
done shard by shard, the rule of a shard. To add a stage, write its module and name it in `tasks/stages/registry.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias

from earmark.catalog.project import Project
from earmark.disk.receipts import Counts, Inputs, Outputs, Receipt
from earmark.disk.shards import SealedShard
from earmark.errors import EarmarkError
from tasks.engine.run_pool import RunPool
from tasks.engine.units import Unit
from tasks.report import RunLog

# The letters that `doit list --status` prints, and doit's own where it has one (U, R, E, I): scripts read them.
State = Literal["U", "R", "E", "I", "A"]


class UpstreamError(EarmarkError):
    """The stage before has not run yet, so whether this one is current cannot be known."""


@dataclass(frozen=True)
class Verdict:
    """U current, R would run, E cannot run, I ignored, A on a volume that is absent; with the reasons in words."""

    state: State
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Built(Generic[Outputs]):
    """What a build leaves: outputs and counts for the receipt, and the bytes that it wrote."""

    outputs: Outputs
    counts: Counts
    written_bytes: int = 0


# eq=False: a run is compared and hashed by identity, so that what is cached for one run is never used for the next
@dataclass(frozen=True, eq=False)
class Run:
    """What every stage is given: the project, the log, and how the user wants this run to go.

    `stages`: all stages, in the order of work. `force`: what is current is built again. `named`: the tasks that the
    user named, which are then checked in full. `thorough`: finished outputs are checked, not only their receipts.
    """

    project: Project
    stages: tuple["Stage", ...]
    log: RunLog = field(default_factory=RunLog)
    force: bool = False
    named: frozenset[str] = frozenset()
    thorough: bool = True
    pool: RunPool = field(init=False)

    def __post_init__(self) -> None:
        """Make the pool, which starts no process yet."""
        # a frozen dataclass sets its fields this way; `dataclasses.replace` makes a new pool, so a pool has one owner
        object.__setattr__(self, "pool", RunPool(self.project.catalog.run.workers, self.log.note))

    def stage(self, name: str) -> "Stage":
        """Return a stage by its name. Raises KeyError."""
        return next(stage for stage in self.stages if stage.name == name)


def _nothing(_run: Run, _unit: Unit) -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Rule(Generic[Outputs]):
    """How a kind of unit is judged and built; `outputs` is the record that its receipts seal.

    `inputs` names all that the result depends on; `intact` says what is wrong with finished outputs, by stat;
    `build` makes them; `prepare` fetches what `inputs` must read. Raise `version` when the code's results change.
    `watches`: `intact` checks files that users edit, so it is called even where finished outputs are trusted.
    """

    name: str
    version: int
    outputs: type[Outputs]
    inputs: Callable[[Run, Unit], Inputs]
    intact: Callable[[Run, Unit, Receipt[Outputs]], list[str]]
    build: Callable[[Run, Unit], Built[Outputs]]
    prepare: Callable[[Run, Unit], None] = field(default=_nothing)
    watches: bool = False


# A rule of whatever kind of outputs: a stage stores rules of several kinds, and `Rule` is invariant in its outputs,
# because `outputs` gives them and `intact` takes them; Rule[msgspec.Struct] would refuse every real one.
AnyRule: TypeAlias = Rule[Any]


def forget_receipt(project: Project, unit: Unit) -> None:
    """Forget a unit that no longer exists: without its receipt it counts as never built."""
    project.receipt(unit.stage, unit.dataset, unit.part).unlink(missing_ok=True)


@dataclass(frozen=True)
class Stage:
    """A stage of every dataset.

    `doc` is its line in `doit list`, with "{}" for the dataset's name. `follows` names the stages whose receipts of the
    whole dataset it needs; `shard_follows` the stage that one of its shards needs: the same shard of it where that
    stage has shards, else the whole dataset. `shards` lists a dataset's shards, of the one stage that makes them.
    `forget` is called for a shard that no longer exists.
    """

    name: str
    doc: str
    whole: AnyRule
    follows: tuple[str, ...] = ()
    shard: AnyRule | None = None
    shard_follows: str = ""
    shards: Callable[[Project, str], Mapping[str, SealedShard]] | None = None
    forget: Callable[[Project, Unit], None] = forget_receipt

    def rule(self, unit: Unit) -> AnyRule:
        """Return the rule of one of its units."""
        if not unit.part:
            return self.whole
        assert self.shard is not None, f"{unit}: {self.name} has no shards"
        return self.shard
