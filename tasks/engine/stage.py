"""Rules and stages: how a unit of work is judged and built, and what a stage declares of itself.

A rule is how one kind of unit is made. A stage is what users name: the rule of a whole dataset and, where its work is
done shard by shard, the rule of a shard. To add a stage, write its module and name it in `tasks/stages/registry.py`.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal

from doit.exceptions import TaskFailed

from earmark.catalog.project import Project
from earmark.disk.files import disk_error
from earmark.disk.receipts import (
    Counts,
    Inputs,
    Outputs,
    Receipt,
    SealedFile,
    differences,
    make_key,
    publish_receipt,
    read_receipt,
)
from earmark.disk.shards import SealedShard
from earmark.errors import AbsentError, EarmarkError, WorkerError
from tasks.engine.run import Run
from tasks.engine.units import Unit

State = Literal["U", "R", "E", "I", "A"]


class UpstreamError(EarmarkError):
    """The stage before has not run yet, so nothing can be said of this one."""


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


def _nothing(_run: Run, _unit: Unit) -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Rule(Generic[Outputs]):
    """How a kind of unit is judged and built; `outputs` is the record that its receipts seal.

    `inputs` names all that the result depends on; `intact` says what is wrong with finished outputs, by stat;
    `build` makes them; `prepare` fetches what `inputs` must read. Raise `version` when the code's results change.
    `watches`: `intact` looks at files that users edit, so it is asked even where finished outputs are trusted.
    """

    name: str
    version: int
    outputs: type[Outputs]
    inputs: Callable[[Run, Unit], Inputs]
    intact: Callable[[Run, Unit, Receipt[Outputs]], list[str]]
    build: Callable[[Run, Unit], Built[Outputs]]
    prepare: Callable[[Run, Unit], None] = field(default=_nothing)
    watches: bool = False


def forget_receipt(project: Project, unit: Unit) -> None:
    """Forget a unit that is no more: without its receipt it was never built."""
    project.receipt(unit.stage, unit.dataset, unit.part).unlink(missing_ok=True)


@dataclass(frozen=True)
class Stage:
    """A stage of every dataset.

    `doc` is its line in `doit list`, "{}" standing for the dataset. `follows` names the stages whose receipts of the
    whole dataset it needs; `shard_follows` the stage that one of its shards needs: the same shard of it where that
    stage has shards, else the whole dataset. `shards` lists a dataset's shards, of the one stage that makes them.
    `forget` is called for a shard that is no more.
    """

    name: str
    doc: str
    whole: Rule[Any]
    follows: tuple[str, ...] = ()
    shard: Rule[Any] | None = None
    shard_follows: str = ""
    shards: Callable[[Project, str], Mapping[str, SealedShard]] | None = None
    forget: Callable[[Project, Unit], None] = forget_receipt

    def rule(self, unit: Unit) -> Rule[Any]:
        """Return the rule of one of its units."""
        if not unit.part:
            return self.whole
        assert self.shard is not None, f"{unit}: {self.name} has no shards"
        return self.shard


def listed_shards(run: Run, dataset: str) -> list[str]:
    """Return the names of a dataset's shards as they were listed last; none before."""
    for stage in run.stages:
        if stage.shards is not None:
            try:
                return list(stage.shards(run.project, dataset))
            except UpstreamError:
                return []
    return []


def receipt_of(project: Project, unit: Unit, outputs: type[Outputs]) -> Receipt[Outputs] | None:
    """Return a unit's receipt, or None."""
    return read_receipt(project.receipt(unit.stage, unit.dataset, unit.part), outputs)


def require_receipt(
    project: Project, unit: Unit, outputs: type[Outputs], missing: str = "has not run"
) -> Receipt[Outputs]:
    """Return a unit's receipt.

    Raises UpstreamError when there is none.
    """
    receipt = receipt_of(project, unit, outputs)
    if receipt is None:
        raise UpstreamError(f"{unit} {missing}")
    return receipt


def judge(run: Run, rule: Rule[Any], unit: Unit) -> Verdict:
    """Say whether a unit is current. Reads receipts and stats files; runs and writes nothing."""
    receipt = receipt_of(run.project, unit, rule.outputs)
    try:
        inputs = rule.inputs(run, unit)
        if receipt is None:
            damaged = run.project.receipt(unit.stage, unit.dataset, unit.part).exists()
            return Verdict("R", ("its receipt is damaged" if damaged else "never built",))
        if receipt.version != rule.version:
            return Verdict("R", (f"earmark's {rule.name} changed (version {receipt.version} -> {rule.version})",))
        if receipt.key != make_key(rule.name, rule.version, inputs):
            return Verdict("R", tuple(differences(receipt.inputs, inputs)) or ("its receipt is damaged",))
        problems = rule.intact(run, unit, receipt) if run.thorough or rule.watches else []
    except UpstreamError as error:
        return Verdict("R", (str(error),))
    except AbsentError as error:
        return Verdict("A", (str(error),))
    except EarmarkError as error:
        return Verdict("E", (str(error),))
    except OSError as error:
        return Verdict("E", (f"{error.filename}: cannot be read: {error.strerror}",))
    return Verdict("R", tuple(problems)) if problems else Verdict("U")


def perform(run: Run, rule: Rule[Any], unit: Unit) -> TaskFailed | None:
    """Build a unit and publish its receipt last; a receipt that is already current is only counted.

    An expected failure becomes one line; a worker process that died is given one more try.
    """
    try:
        try:
            _perform(run, rule, unit)
        except WorkerError as error:
            run.log.note(f"{unit}: {error} Trying once more.")
            _perform(run, rule, unit)
    except EarmarkError as error:
        return TaskFailed(str(error))
    except sqlite3.Error as error:
        return TaskFailed(database_failure(run.project, error))
    except OSError as error:
        failure = disk_error(error, Path(error.filename) if error.filename else run.project.cache)
        if isinstance(failure, EarmarkError):
            return TaskFailed(str(failure))
        raise
    return None


def database_failure(project: Project, error: sqlite3.Error) -> str:
    """Return the line for a database of the cache that cannot be used."""
    return f"{project.cache}: a database there cannot be used: {error}. Free space, or delete it."


def _perform(run: Run, rule: Rule[Any], unit: Unit) -> None:
    verdict = judge(run, rule, unit)
    if verdict.state == "U" and not run.force:
        run.log.reused(str(unit))
        return
    if verdict.state == "A" and not run.force:
        raise AbsentError("; ".join(verdict.reasons))
    started = time.monotonic()
    rule.prepare(run, unit)
    inputs = rule.inputs(run, unit)  # before the work: an edit during it is noticed next time
    built = rule.build(run, unit)
    key = make_key(rule.name, rule.version, inputs)
    seconds = round(time.monotonic() - started, 3)
    receipt = Receipt(rule.name, rule.version, key, inputs, built.outputs, built.counts, seconds)
    publish_receipt(run.project.receipt(unit.stage, unit.dataset, unit.part), receipt, run.project.scratch)
    run.log.done(str(unit), built.written_bytes)


def seal_file(project: Project, path: Path) -> SealedFile:
    """Return what a receipt says of a file that it made: path, size, hash."""
    return SealedFile(project.relative(path), path.stat().st_size, project.memo.hash_file(path))


def broken(project: Project, files: Iterable[SealedFile]) -> list[str]:
    """Say which sealed files are gone or were changed; unchanged files cost a stat each."""
    problems = []
    for sealed in files:
        path = project.home / sealed.path
        try:
            size = path.stat().st_size
        except OSError:
            problems.append(f"{sealed.path} is gone")
            continue
        if size != sealed.size:
            problems.append(f"{sealed.path} has {size:,} bytes instead of {sealed.size:,}")
        elif project.memo.hash_file(path) != sealed.xxh3:
            problems.append(f"{sealed.path} was changed")
    return problems
