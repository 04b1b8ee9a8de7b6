"""Judging and building: is a unit current, and if not, why? What is not, is built, and its receipt published last."""

import contextlib
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

from doit.exceptions import TaskFailed

from earmark.catalog.project import Project
from earmark.disk.hashing import hash_file, stat_key
from earmark.disk.plainly import cannot_read, in_one_line
from earmark.disk.receipts import Outputs, Receipt, SealedFile, differences, make_key, publish_receipt, read_receipt
from earmark.disk.shards import SealedShard
from earmark.errors import AbsentError, EarmarkError, WorkerError
from tasks.engine.stage import Rule, Run, UpstreamError, Verdict
from tasks.engine.units import Unit


def sealed_shards(run: Run, dataset: str) -> dict[str, SealedShard]:
    """Return a dataset's shards as the last scan listed them; none before the first."""
    for stage in run.stages:
        if stage.shards is not None:
            with contextlib.suppress(UpstreamError):
                return dict(stage.shards(run.project, dataset))
    return {}


def listed_shards(run: Run, dataset: str) -> list[str]:
    """Return the names of a dataset's shards as the last scan listed them; none before the first."""
    return list(sealed_shards(run, dataset))


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


def judge(run: Run, rule: Rule[Outputs], unit: Unit) -> Verdict:
    """Say whether a unit is current. Reads receipts and stats files; runs and writes nothing.

    Cheapest question first: a receipt, its version, its key, and only then the outputs on disk.
    """
    try:
        receipt = receipt_of(run.project, unit, rule.outputs)
        inputs = rule.inputs(run, unit)
        if receipt is None:
            damaged = run.project.receipt(unit.stage, unit.dataset, unit.part).exists()
            return Verdict("R", ("its receipt is damaged" if damaged else "never built",))
        if receipt.version != rule.version:
            return Verdict("R", (f"earmark's {rule.name} changed (version {receipt.version} -> {rule.version})",))
        if receipt.key != make_key(rule.name, rule.version, inputs):
            return Verdict("R", tuple(differences(receipt.inputs, inputs)) or ("its receipt is damaged",))
        problems = rule.intact(run, unit, receipt) if run.thorough or rule.watches else []
    except UpstreamError as error:  # before EarmarkError, whose kind it is: what waits for another stage would run
        return Verdict("R", (str(error),))
    except AbsentError as error:
        return Verdict("A", (str(error),))
    except EarmarkError as error:
        return Verdict("E", (str(error),))
    except OSError as error:
        return Verdict("E", (cannot_read(error),))
    return Verdict("R", tuple(problems)) if problems else Verdict("U")


def perform(run: Run, rule: Rule[Outputs], unit: Unit) -> TaskFailed | None:
    """Build a unit and publish its receipt last; a receipt that is already current is only counted.

    An expected failure becomes one line; a worker process that died is given one more try.
    """
    try:
        try:
            _perform(run, rule, unit)
        except WorkerError as error:
            # once: a worker may have been killed for memory by chance, but a file that kills it twice will do so again
            run.log.note(f"{unit}: {error} Trying once more.")
            _perform(run, rule, unit)
    except Exception as error:
        line = in_one_line(error, run.project.cache)
        if line is None:
            raise  # a bug: doit prints its traceback
        return TaskFailed(line)
    return None


def _perform(run: Run, rule: Rule[Outputs], unit: Unit) -> None:
    run.project.claim()
    run.project.scratch.volumes.require_all()
    if not run.force:  # raises where the disk does not give it: nothing is made anew for that
        receipt_of(run.project, unit, rule.outputs)
    verdict = judge(run, rule, unit)
    if verdict.state == "U" and not run.force:
        run.log.reused(str(unit))
        return
    if verdict.state == "A" and not run.force:
        raise AbsentError("; ".join(verdict.reasons))
    started = time.monotonic()
    rule.prepare(run, unit)  # before `inputs`, which may read what it fetches
    inputs = rule.inputs(run, unit)  # before the work: an edit during it is noticed next time
    try:
        built = rule.build(run, unit)
    except (OSError, sqlite3.Error):
        run.project.scratch.volumes.require_all()  # then that is the cause
        raise
    key = make_key(rule.name, rule.version, inputs)
    seconds = round(time.monotonic() - started, 3)
    receipt = Receipt(rule.name, rule.version, key, inputs, built.outputs, built.counts, seconds)
    publish_receipt(run.project.receipt(unit.stage, unit.dataset, unit.part), receipt, run.project.scratch)
    run.log.done(str(unit), built.written_bytes)


def seal_file(project: Project, path: Path) -> SealedFile:
    """Return a finished file as a receipt records it: path, size, hash.

    Read, and not looked up: where times are coarse, a file that was just replaced may have the stat of the old one.
    """
    key, xxh3 = stat_key(path.stat()), hash_file(path)
    project.memo.put([(path, key, xxh3)])
    return SealedFile(project.relative(path), key[2], xxh3)


def broken(project: Project, files: Iterable[SealedFile]) -> list[str]:
    """Say which sealed files are gone or were changed; an unchanged file costs one stat, its hash is remembered.

    Raises OSError for what cannot be looked at: that it is gone cannot be known then.
    """
    problems = []
    for sealed in files:
        path = project.home / sealed.path
        try:
            size = path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            problems.append(f"{sealed.path} is gone")
            continue
        if size != sealed.size:
            problems.append(f"{sealed.path} has {size:,} bytes instead of {sealed.size:,}")
        elif project.memo.hash_file(path) != sealed.xxh3:
            problems.append(f"{sealed.path} was changed")
    return problems
