"""A stage, a unit of its work, and the one question asked of both: is it current, and if not, why?"""

import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from doit.exceptions import TaskFailed

from earmark.catalog.project import Project
from earmark.disk.files import disk_error
from earmark.disk.receipts import Receipt, differences, make_key, publish_receipt, read_receipt
from earmark.errors import AbsentError, EarmarkError, WorkerError
from tasks.report import LOG

PER_DATASET = ("standardize", "manifest", "features")  # stages whose units are known once scan has listed shards
STAGES = ("extract", "scan", *PER_DATASET)
JOB = "job"  # reads the manifests of several datasets


class UpstreamError(EarmarkError):
    """The stage before has not run yet, so nothing can be said of this one."""


@dataclass(frozen=True, order=True)
class Unit:
    """A piece of a stage's work: a whole dataset, or one shard of it; or a job or joint manifest, by its name."""

    stage: str
    dataset: str
    part: str = ""

    def __str__(self) -> str:
        """Return the name of its doit task."""
        return ":".join(filter(None, (self.stage, self.dataset, self.part)))


@dataclass(frozen=True)
class Verdict:
    """U current, R would run, E cannot run, I ignored, A on a volume that is absent; with the reasons in words."""

    state: Literal["U", "R", "E", "I", "A"]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Built:
    """What a build leaves: outputs and counts for the receipt, and the bytes that it wrote."""

    outputs: dict[str, Any]
    counts: dict[str, int]
    written_bytes: int = 0


def _nothing(_project: Project, _unit: Unit) -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Stage:
    """How a kind of unit is judged and built.

    `inputs` names all that the result depends on; `intact` says what is wrong with finished outputs, by stat;
    `build` makes them; `prepare` fetches what `inputs` must read. Raise `version` when the code's results change.
    """

    name: str
    version: int
    inputs: Callable[[Project, Unit], dict[str, Any]]
    intact: Callable[[Project, Unit, Receipt], list[str]]
    build: Callable[[Project, Unit], Built]
    prepare: Callable[[Project, Unit], None] = field(default=_nothing)


def receipt_of(project: Project, unit: Unit) -> Receipt | None:
    """Return a unit's receipt, or None."""
    return read_receipt(project.receipt(unit.stage, unit.dataset, unit.part))


def judge(project: Project, stage: Stage, unit: Unit) -> Verdict:
    """Say whether a unit is current. Reads receipts and stats files; runs and writes nothing."""
    receipt = receipt_of(project, unit)
    try:
        inputs = stage.inputs(project, unit)
        if receipt is None:
            damaged = project.receipt(unit.stage, unit.dataset, unit.part).exists()
            return Verdict("R", ("its receipt is damaged" if damaged else "never built",))
        if receipt.version != stage.version:
            return Verdict("R", (f"earmark's {stage.name} changed (version {receipt.version} -> {stage.version})",))
        if receipt.key != make_key(stage.name, stage.version, inputs):
            return Verdict("R", tuple(differences(receipt.inputs, inputs)) or ("its receipt is damaged",))
        problems = stage.intact(project, unit, receipt)
    except UpstreamError as error:
        return Verdict("R", (str(error),))
    except AbsentError as error:
        return Verdict("A", (str(error),))
    except EarmarkError as error:
        return Verdict("E", (str(error),))
    except OSError as error:
        return Verdict("E", (f"{error.filename}: cannot be read: {error.strerror}",))
    return Verdict("R", tuple(problems)) if problems else Verdict("U")


def is_current(project: Project, stage: Stage, unit: Unit) -> bool:
    """Answer doit's `uptodate`."""
    return judge(project, stage, unit).state == "U"


def perform(project: Project, stage: Stage, unit: Unit) -> TaskFailed | None:
    """Build a unit and publish its receipt last; a receipt that is already current is only counted.

    An expected failure becomes one line; a worker process that died is given one more try.
    """
    try:
        try:
            _perform(project, stage, unit)
        except WorkerError as error:
            LOG.note(f"{unit}: {error} Trying once more.")
            _perform(project, stage, unit)
    except EarmarkError as error:
        return TaskFailed(str(error))
    except sqlite3.Error as error:
        return TaskFailed(f"{project.cache}: a database there cannot be used: {error}. Free space, or delete it.")
    except OSError as error:
        said = disk_error(error, Path(error.filename) if error.filename else project.cache)
        if isinstance(said, EarmarkError):
            return TaskFailed(str(said))
        raise
    return None


def _perform(project: Project, stage: Stage, unit: Unit) -> None:
    verdict = judge(project, stage, unit)
    if verdict.state == "U" and not LOG.force:
        LOG.reused(str(unit))
        return
    if verdict.state == "A" and not LOG.force:
        raise AbsentError("; ".join(verdict.reasons))
    started = time.monotonic()
    stage.prepare(project, unit)
    inputs = stage.inputs(project, unit)  # before the work: an edit during it is noticed next time
    built = stage.build(project, unit)
    key = make_key(stage.name, stage.version, inputs)
    seconds = round(time.monotonic() - started, 3)
    receipt = Receipt(stage.name, stage.version, key, inputs, built.outputs, built.counts, seconds)
    publish_receipt(project.receipt(unit.stage, unit.dataset, unit.part), receipt, project.scratch)
    LOG.done(str(unit), built.written_bytes)


def task(
    project: Project,
    stage: Stage,
    unit: Unit,
    file_dep: Iterable[Path] = (),
    task_dep: Iterable[str] = (),
    doc: str = "",
) -> dict[str, Any]:
    """Return a unit's doit task: the receipt is its target, the receipts of the stage before its dependencies."""
    return {
        "basename": str(unit),
        "actions": [(perform, [project, stage, unit])],
        "targets": [str(project.receipt(unit.stage, unit.dataset, unit.part))],
        "file_dep": [str(path) for path in file_dep],
        "task_dep": list(task_dep),
        "uptodate": [(is_current, [project, stage, unit])],
        "doc": doc,
    }


def seal(project: Project, path: Path) -> dict[str, Any]:
    """Return what a receipt says of a file that it made: path, size, hash."""
    return {"path": project.relative(path), "size": path.stat().st_size, "xxh3": project.memo.hash_file(path)}


def broken(project: Project, sealed: Iterable[dict[str, Any]]) -> list[str]:
    """Say which sealed files are gone or hold something else; unchanged files cost a stat each."""
    found = []
    for entry in sealed:
        path = project.home / entry["path"]
        try:
            size = path.stat().st_size
        except OSError:
            found.append(f"{entry['path']} is gone")
            continue
        if size != entry["size"]:
            found.append(f"{entry['path']} has {size:,} bytes instead of {entry['size']:,}")
        elif project.memo.hash_file(path) != entry["xxh3"]:
            found.append(f"{entry['path']} was changed")
    return found
