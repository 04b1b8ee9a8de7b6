"""What is current and what is not, of a stage with its shards and of a dataset with its stages. Runs nothing.

The one place where the states of many units become one: `doit list --status`, `doit why` and `doit plan` ask it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tasks.engine.judge import judge, listed_shards
from tasks.engine.stage import AnyRule, Run, Stage, Verdict
from tasks.engine.units import Unit

# Of several states the first of these is that of them all: what a user must act on (E, then a volume to mount) comes
# before what a run does by itself (R), and what was ignored on purpose (I) only before what is current.
WORST_FIRST = "EARIU"
PREVENTING = "EA"  # states of a whole dataset that no shard can outweigh: nothing of it can run
CURRENT = Verdict("U")


@dataclass(frozen=True)
class Query:
    """How to look: the run that would happen, which tasks the user ignores, seconds to spend on probing a dataset."""

    run: Run
    is_ignored: Callable[[str], bool] = lambda _name: False
    patience_s: float = 3.0

    def judge(self, rule: AnyRule, unit: Unit) -> Verdict:
        """Return a unit's own state, as if all before it were current."""
        return Verdict("I", ("doit ignore",)) if self.is_ignored(str(unit)) else judge(self.run, rule, unit)


@dataclass(frozen=True)
class Line:
    """One stage of one dataset: its state, and those of its shards."""

    unit: Unit
    verdict: Verdict
    shards: tuple[tuple[Unit, Verdict], ...] = ()
    own: Verdict = CURRENT  # of the whole dataset's unit alone

    @property
    def current(self) -> int:
        """How many of its shards are current."""
        return sum(verdict.state == "U" for _, verdict in self.shards)

    @property
    def reasons(self) -> Counter[str]:
        """The first reason of each shard that is not current, counted."""
        return Counter(verdict.reasons[0] for _, verdict in self.shards if verdict.state != "U" and verdict.reasons)


def worst(verdicts: Iterable[Verdict], default: Verdict = CURRENT) -> Verdict:
    """Return the worst of several verdicts, in the order of `WORST_FIRST`."""
    return min(verdicts, key=lambda verdict: WORST_FIRST.index(verdict.state), default=default)


def roll_up(own: Verdict, shards: Iterable[Verdict]) -> Verdict:
    """Return the state of a stage: its own where that prevents or ignores it, else its worst shard's, else its own."""
    if own.state in (*PREVENTING, "I"):
        return own
    worst_shard = worst(shards)
    return own if worst_shard.state == "U" else worst_shard


def judge_stage(query: Query, stage: Stage, dataset: str, shards: Iterable[str]) -> Line:
    """Judge a stage of a dataset and some of its shards, each by itself, as if all stages before were current."""
    unit = Unit(stage.name, dataset)
    units = [Unit(stage.name, dataset, shard) for shard in shards] if stage.shard else []
    judged = tuple((shard, query.judge(stage.rule(shard), shard)) for shard in units)
    own = query.judge(stage.whole, unit)
    return Line(unit, roll_up(own, (verdict for _, verdict in judged)), judged, own)


def survey(query: Query, dataset: str) -> Iterator[Line]:
    """Yield a line for each stage, in order; what comes after something that would run is not current either."""
    shards = listed_shards(query.run, dataset)
    blocking: tuple[Stage, Verdict] | None = None  # the first stage that is not current
    lines: dict[str, Line] = {}
    for stage in query.run.stages:
        line = judge_stage(query, stage, dataset, shards)
        judged = tuple(
            (unit, _shard_blocked(query.run, stage, unit, verdict, blocking, lines)) for unit, verdict in line.shards
        )
        verdict = roll_up(line.own, (verdict for _, verdict in judged))
        if blocking is not None and verdict.state != "I" and (verdict.state == "U" or blocking[1].state == "E"):
            verdict = blocking[1]
        lines[stage.name] = Line(line.unit, verdict, judged, line.own)
        yield lines[stage.name]
        if blocking is None and verdict.state != "U":
            blocking = (stage, blocked_by(line.unit, verdict))


def blocked_by(unit: Unit, verdict: Verdict) -> Verdict:
    """Return the verdict on a unit that needs another one which is not current."""
    words = {
        "R": f"{unit} would run first",
        "E": f"{unit} cannot run",
        "A": "its volume is absent",
        "I": f"{unit} is ignored",
    }[verdict.state]
    return Verdict(verdict.state, (words,))


def _shard_blocked(
    run: Run,
    stage: Stage,
    unit: Unit,
    verdict: Verdict,
    blocking: tuple[Stage, Verdict] | None,
    lines: dict[str, Line],
) -> Verdict:
    """Return a shard's state in view of what it needs: the same shard of the stage before, and whole datasets.

    A shard does not wait for the other shards: after an edit to one, only that one is shown as not current.
    """
    if verdict.state != "U":
        return verdict
    before = Unit(stage.shard_follows, unit.dataset, unit.part)
    needed = dict(lines[stage.shard_follows].shards).get(before) if run.stage(stage.shard_follows).shard else None
    if needed is not None and needed.state != "U":
        return Verdict("R", (f"{before} would run first",)) if needed.state == "R" else needed
    if blocking is not None and blocking[0].name in _wholes_needed(run, stage):
        return blocking[1]
    return verdict


def _wholes_needed(run: Run, stage: Stage) -> set[str]:
    """Return the stages that must be done for the whole dataset before one of its shards is built."""
    before = run.stage(stage.shard_follows)
    if before.shard:
        return _wholes_needed(run, before)
    needed, pending = set[str](), [before.name]
    while pending:
        name = pending.pop()
        needed.add(name)
        pending += run.stage(name).follows
    return needed
