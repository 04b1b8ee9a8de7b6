"""The whole graph: which units there are, and what each depends on."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from doit import create_after
from doit.exceptions import InvalidDodoFile

from earmark.catalog import catalog_path
from earmark.errors import EarmarkError
from earmark.project import Project, open_project
from tasks import extract, features, manifest, scan, standardize
from tasks.report import Reporter
from tasks.stage import Stage, Unit, UpstreamError, task
from tasks.state import make_checker

PER_DATASET = ("standardize", "manifest", "features")
STAGES = ("extract", "scan", *PER_DATASET)


class _Opened:
    """The project of this process; commands find it here."""

    project: Project | None = None


def open_here(folder: Path) -> Project:
    """Open the catalog that applies to a checkout; a broken one is doit's one-line error."""
    try:
        _Opened.project = open_project(catalog_path(folder))
    except EarmarkError as error:
        raise InvalidDodoFile(str(error)) from None
    return _Opened.project


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
    standard = [project.receipt("standardize", name, shard) for shard in shards]
    # doit keeps file_dep as a set: naming the tasks too keeps the shards in order
    in_order = [str(Unit("standardize", name, shard)) for shard in shards]
    sealed = task(project, standardize.SEAL, Unit("standardize", name), [scanned, *standard], in_order)
    yield sealed | {"doc": f"16 kHz mono audio of {name}"}
    rows = task(project, manifest.STAGE, Unit("manifest", name), [scanned, project.receipt("standardize", name)])
    yield rows | {"doc": f"JSONL manifests of {name}"}
    for shard in shards:
        before = [project.receipt("standardize", name, shard)]
        yield task(project, features.STAGE, Unit("features", name, shard), before)
    packs = [project.receipt("features", name, shard) for shard in shards]
    in_order = [f"manifest:{name}", *(str(Unit("features", name, shard)) for shard in shards)]
    last = task(project, features.SEAL, Unit("features", name), [project.receipt("manifest", name), *packs], in_order)
    yield last | {"doc": f"encoder features of {name}"}


def creators(project: Project) -> dict[str, Callable[[], Iterator[dict[str, Any]]]]:
    """Return a task creator a dataset, which doit calls once the dataset is scanned."""
    return {f"task_shards_{name}": _creator(project, name) for name in project.catalog.by_priority()}


def _creator(project: Project, name: str) -> Callable[[], Iterator[dict[str, Any]]]:
    @create_after(executed=f"scan:{name}", creates=[f"{stage}:{name}" for stage in PER_DATASET])  # type: ignore[untyped-decorator]
    def task_shards() -> Iterator[dict[str, Any]]:
        yield from shard_tasks(project, name)

    return task_shards  # type: ignore[no-any-return]


def group_tasks(project: Project) -> Iterator[dict[str, Any]]:
    """Yield one group a stage over the datasets that are on this disk, most urgent first."""
    here = [name for name in project.catalog.by_priority() if extract.on_disk(project, name)]
    for stage in STAGES:
        members = [f"{stage}:{name}" for name in here]
        yield {"basename": stage, "actions": None, "task_dep": members, "doc": f"{stage}: every dataset on this disk"}


def stage_of(unit: Unit) -> Stage:
    """Return the stage that judges and builds a unit."""
    if unit.part:
        return {"standardize": standardize.STAGE, "features": features.STAGE}[unit.stage]
    whole = {"standardize": standardize.SEAL, "features": features.SEAL, "manifest": manifest.STAGE}
    return {"extract": extract.STAGE, "scan": scan.STAGE, **whole}[unit.stage]
