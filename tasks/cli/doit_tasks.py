"""The whole graph: which units there are, and what each depends on."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from doit import create_after
from doit.exceptions import InvalidDodoFile, TaskFailed
from doit.globals import Globals

from earmark.catalog.project import Project, open_project
from earmark.catalog.read import catalog_path
from earmark.errors import EarmarkError
from tasks.cleanup import cleanup
from tasks.cli.state import make_checker
from tasks.engine.stage import JOB, PER_DATASET, STAGES, Stage, Unit, UpstreamError, task
from tasks.report import Reporter
from tasks.stages import extract, features, manifest, scan, standardize, standardize_gather
from tasks.stages.joined import joined


class _Opened:
    """The project of this process; commands find it here."""

    project: Project | None = None
    running = False  # a run, rather than a command that looks


def open_here(folder: Path) -> Project:
    """Open the catalog that applies to a checkout; a broken one is doit's one-line error."""
    try:
        _Opened.project = open_project(catalog_path(folder))
    except EarmarkError as error:
        raise InvalidDodoFile(str(error)) from None
    return _Opened.project


def begin_run() -> None:
    """Say that tasks are about to be run."""
    _Opened.running = True


def opened() -> Project:
    """Return the project that dodo.py opened."""
    assert _Opened.project is not None, "dodo.py opens the project first"
    return _Opened.project


def doit_config(project: Project) -> dict[str, Any]:
    """Return DOIT_CONFIG: our backend, checker and reporter; keep going after a failure."""
    return {
        "backend": "earmark",
        "dep_file": str(project.cache / "state.db"),
        "check_file_uptodate": make_checker(project),
        "reporter": Reporter,
        "default_tasks": [],
        "continue": True,
        "verbosity": 2,
    }


def extract_tasks(project: Project) -> Iterator[dict[str, Any]]:
    """Yield one task a dataset."""
    for name in project.catalog.by_priority():
        yield task(project, extract.STAGE, Unit("extract", name), doc=f"unpack and verify {name}")


def scan_tasks(project: Project) -> Iterator[dict[str, Any]]:
    """Yield one task a dataset."""
    for name in project.catalog.by_priority():
        before = [project.receipt("extract", name)]
        yield task(project, scan.STAGE, Unit("scan", name), before, doc=f"read labels of {name}, group in shards")


def shard_tasks(project: Project, name: str) -> Iterator[dict[str, Any]]:
    """Yield a dataset's tasks that are known once scan has listed its shards."""
    try:
        shards = list(scan.shards_of(project, name))
    except (UpstreamError, KeyError, TypeError):
        shards = []
    scanned = project.receipt("scan", name)
    for shard in shards:
        yield task(project, standardize.STAGE, Unit("standardize", name, shard), [scanned])
        yield task(
            project, features.STAGE, Unit("features", name, shard), [project.receipt("standardize", name, shard)]
        )
    yield _gathered(project, "standardize", name, [scanned], shards) | {"doc": f"16 kHz mono audio of {name}"}
    before = [scanned, project.receipt("standardize", name)]
    yield task(project, manifest.STAGE, Unit("manifest", name), before, doc=f"JSONL manifests of {name}")
    before = [project.receipt("manifest", name)]
    yield _gathered(project, "features", name, before, shards) | {"doc": f"encoder features of {name}"}


def _gathered(project: Project, stage: str, name: str, before: list[Path], shards: list[str]) -> dict[str, Any]:
    """Return the task that gathers a stage's shards; one that the user ignores asks for none of them."""
    unit = Unit(stage, name)
    ignored = Globals.dep_manager is not None and Globals.dep_manager.backend.get(str(unit), "ignore:")
    if _Opened.running and ignored:  # commands that look, and forget, still see what belongs to it
        return task(project, stage_of(unit), unit)
    receipts = [project.receipt(stage, name, shard) for shard in shards]
    # doit keeps file_dep as a set, which has no order; and a dataset that is refused is refused before it is encoded
    in_order = [f"manifest:{name}"] if stage == "features" else []
    in_order += [str(Unit(stage, name, shard)) for shard in shards]
    return task(project, stage_of(unit), unit, [*before, *receipts], in_order)


def creators(project: Project) -> dict[str, Callable[[], Iterator[dict[str, Any]]]]:
    """Return a task creator a dataset, which doit calls once the dataset is scanned."""
    return {f"task_shards_{name}": _creator(project, name) for name in project.catalog.by_priority()}


def _creator(project: Project, name: str) -> Callable[[], Iterator[dict[str, Any]]]:
    @create_after(executed=f"scan:{name}", creates=[f"{stage}:{name}" for stage in PER_DATASET])  # type: ignore[untyped-decorator]
    def task_shards() -> Iterator[dict[str, Any]]:
        yield from shard_tasks(project, name)

    return task_shards  # type: ignore[no-any-return]


def joined_tasks(project: Project) -> Iterator[dict[str, Any]]:
    """Yield one task a joint manifest and job, and the group of the jobs that have a dataset on this disk."""
    for one in joined(project).values():
        before = list(one.before(project))
        receipts = [project.receipt(unit.stage, unit.dataset) for unit in before]
        # by name, too: tasks that are created once a dataset is scanned are not found by their targets before
        made = task(project, one.stage, one.unit, receipts, map(str, before))
        what = "rows, splits and summary of a training job" if one.unit.stage == JOB else "joint JSONL manifest"
        yield made | {"doc": f"{what}, from {len(one.datasets)} datasets"}
    yield {"basename": JOB, "actions": None, "task_dep": _joined_here(project, JOB), "doc": "job: every job"}


def _joined_here(project: Project, stage: str) -> list[str]:
    """Return the joint manifests or the jobs that have a dataset on this disk."""
    return [name for name, one in joined(project).items() if one.unit.stage == stage and any(one.before(project))]


def verify_tasks(project: Project) -> Iterator[dict[str, Any]]:
    """Yield one task a dataset; it always runs."""
    for name in project.catalog.by_priority():
        yield {
            "basename": f"verify:{name}",
            "actions": [(verify_dataset, [project, name])],
            "uptodate": [False],
            "doc": f"read everything of {name} again and compare",
        }


def verify_dataset(project: Project, name: str) -> TaskFailed | None:
    """Verify one dataset as a task."""
    from tasks.stages.verify import verify

    damaged = verify(project, [name])
    return TaskFailed(f"{damaged:,} damaged, listed above") if damaged else None


def cleanup_tasks(project: Project) -> Iterator[dict[str, Any]]:
    """Yield one task a dataset; there is no group over them all: what is deleted is named."""
    yes = {"name": "yes", "long": "yes", "type": bool, "default": False, "help": "delete; else only say what would go"}
    for name in project.catalog.by_priority():
        yield {
            "basename": f"cleanup:{name}",
            "actions": [(cleanup.cleanup, [project, name])],
            "params": [yes],
            "uptodate": [False],
            "doc": f"delete the archives of {name} that are proved extracted; only with --yes",
        }


def group_tasks(project: Project) -> Iterator[dict[str, Any]]:
    """Yield one group a stage over the datasets that are on this disk, most urgent first."""
    here = [name for name in project.catalog.by_priority() if extract.on_disk(project, name)]
    for stage in STAGES:
        members = [f"{stage}:{name}" for name in here]
        members += _joined_here(project, stage)
        yield {"basename": stage, "actions": None, "task_dep": members, "doc": f"{stage}: every dataset on this disk"}


def stage_of(unit: Unit) -> Stage:
    """Return the stage that judges and builds a unit of one dataset."""
    if unit.part:
        return {"standardize": standardize.STAGE, "features": features.STAGE}[unit.stage]
    whole = {"standardize": standardize_gather.SEAL, "features": features.SEAL, "manifest": manifest.STAGE}
    return {"extract": extract.STAGE, "scan": scan.STAGE, **whole}[unit.stage]
