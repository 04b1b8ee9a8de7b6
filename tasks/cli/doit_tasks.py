"""The whole graph as doit sees it: which units there are, and what each depends on. Makes all of its tasks."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from doit import create_after
from doit.exceptions import InvalidDodoFile, TaskFailed
from doit.globals import Globals

from earmark.catalog.project import Project, open_project
from earmark.catalog.read import catalog_path
from earmark.errors import EarmarkError
from tasks.cli.doit_types import Option, TaskDict
from tasks.cli.reporter import Reporter
from tasks.cli.state import make_checker
from tasks.engine.judge import judge, listed_shards, perform
from tasks.engine.opened import OPENED
from tasks.engine.stage import AnyRule, Run, Stage
from tasks.engine.units import Unit
from tasks.stages import presence
from tasks.stages.combined import JOB, combined_tasks
from tasks.stages.registry import STAGES


def open_here(folder: Path) -> Project:
    """Open the catalog that applies to a checkout; a broken one is doit's one-line error."""
    try:
        OPENED.open(Run(open_project(catalog_path(folder)), STAGES))
    except EarmarkError as error:
        raise InvalidDodoFile(str(error)) from None
    return OPENED.run.project


def doit_config(project: Project) -> dict[str, object]:
    """Return DOIT_CONFIG: our backend, checker and reporter; keep going after a failure."""
    return {
        "backend": "earmark",
        "dep_file": str(project.cache / "state.db"),
        "check_file_uptodate": make_checker(project),
        "reporter": Reporter,
        "default_tasks": [],  # a bare `doit` shows the status: it never downloads, decodes or encodes
        "continue": True,  # one damaged corpus must not stop the others over night
        "verbosity": 2,  # below 2, doit swallows what tasks print
    }


def unit_task(
    project: Project,
    rule: AnyRule,
    unit: Unit,
    file_dep: Iterable[Path] = (),
    task_dep: Iterable[str] = (),
    doc: str = "",
) -> TaskDict:
    """Return a unit's doit task: the receipt is its target, the receipts of the stage before its dependencies.

    doit calls a target done when the file exists, so `uptodate` judges its receipt.
    """
    return {
        "basename": str(unit),
        "actions": [
            (_perform, [rule, unit])
        ],  # functions of a module with plain arguments: doit may pickle or print them
        "targets": [str(project.receipt(unit.stage, unit.dataset, unit.part))],
        "file_dep": [str(path) for path in file_dep],
        "task_dep": list(task_dep),
        "uptodate": [(_is_current, [rule, unit])],
        "doc": doc,
    }


def _perform(rule: AnyRule, unit: Unit) -> TaskFailed | None:
    """Build a unit in the run of this process: tasks are made before the user's options are known."""
    return perform(OPENED.run, rule, unit)


def _is_current(rule: AnyRule, unit: Unit) -> bool:
    return judge(OPENED.run, rule, unit).state == "U"


def _early_and_late() -> tuple[list[Stage], list[Stage]]:
    """Split the stages after the one that lists shards: only once it has run are the units of the later ones known."""
    lists = next(at for at, stage in enumerate(STAGES) if stage.shards is not None)
    return list(STAGES[: lists + 1]), list(STAGES[lists + 1 :])


EARLY, LATE = _early_and_late()


def stage_tasks(project: Project, stage: Stage) -> Iterator[TaskDict]:
    """Yield one task a dataset, of a stage whose units are known from the start."""
    for name in project.catalog.by_priority():
        before = [project.receipt(followed, name) for followed in stage.follows]
        yield unit_task(project, stage.whole, Unit(stage.name, name), before, doc=stage.doc.format(name))


def early_tasks(project: Project) -> dict[str, Callable[[], Iterator[TaskDict]]]:
    """Return a task creator for each stage whose units are known from the start."""

    def creator(stage: Stage) -> Callable[[], Iterator[TaskDict]]:
        return lambda: stage_tasks(project, stage)

    return {f"task_{stage.name}": creator(stage) for stage in EARLY}


def late_tasks(project: Project, name: str) -> Iterator[TaskDict]:
    """Yield a dataset's tasks that are known once its shards are listed."""
    shards = listed_shards(OPENED.run, name)
    for stage in LATE:
        yield from _shard_tasks(project, stage, name, shards)
        yield _whole_task(project, stage, name, shards if stage.shard else [])


def _shard_tasks(project: Project, stage: Stage, name: str, shards: list[str]) -> Iterator[TaskDict]:
    if stage.shard is None:
        return
    sharded = OPENED.run.stage(stage.shard_follows).shard is not None
    for shard in shards:
        before = project.receipt(stage.shard_follows, name, shard if sharded else "")
        yield unit_task(project, stage.shard, Unit(stage.name, name, shard), [before])


def _whole_task(project: Project, stage: Stage, name: str, shards: list[str]) -> TaskDict:
    """Return a dataset's task of a stage, after its shards; one that the user ignores needs none of them."""
    unit = Unit(stage.name, name)
    ignored = Globals.dep_manager is not None and Globals.dep_manager.backend.get(str(unit), "ignore:")
    # doit runs what an ignored task depends on; commands that only list, and `forget`, still see what belongs to it
    if stage.shard and OPENED.working and ignored:
        return unit_task(project, stage.whole, unit)
    before = [project.receipt(followed, name) for followed in stage.follows]
    receipts = [project.receipt(stage.name, name, shard) for shard in shards]
    # file_dep alone would do, but doit keeps it as a set, which has no order: shards ran in any. The stages before
    # come first: a dataset that one of them refuses must be refused before hours of encoding, not after.
    late = {after.name for after in LATE}
    in_order = [str(Unit(followed, name)) for followed in stage.follows if stage.shard and followed in late]
    in_order += [str(Unit(stage.name, name, shard)) for shard in shards]
    return unit_task(project, stage.whole, unit, [*before, *receipts], in_order, stage.doc.format(name))


def creators(project: Project) -> dict[str, Callable[[], Iterator[TaskDict]]]:
    """Return a task creator a dataset, which doit calls once the dataset is scanned."""
    return {f"task_shards_{name}": _creator(project, name) for name in project.catalog.by_priority()}


def _creator(project: Project, name: str) -> Callable[[], Iterator[TaskDict]]:
    @create_after(executed=f"{EARLY[-1].name}:{name}", creates=[f"{stage.name}:{name}" for stage in LATE])  # type: ignore[untyped-decorator]
    def task_shards() -> Iterator[TaskDict]:
        yield from late_tasks(project, name)

    return task_shards  # type: ignore[no-any-return]


def combined(project: Project) -> Iterator[TaskDict]:
    """Yield one task a joint manifest and job, and the group of the jobs that have a dataset on this disk."""
    for task in combined_tasks(project).values():
        before = list(task.before(project))
        receipts = [project.receipt(unit.stage, unit.dataset) for unit in before]
        # by name, too: doit finds a task by its target only when it exists, and these are created after the scan
        yield unit_task(project, task.rule, task.unit, receipts, map(str, before), task.doc)
    yield {"basename": JOB, "actions": None, "task_dep": _combined_here(project, JOB), "doc": "job: every job"}


def _combined_here(project: Project, stage: str) -> list[str]:
    """Return the joint manifests or the jobs that have a dataset on this disk."""
    tasks = combined_tasks(project).items()
    return [name for name, task in tasks if task.unit.stage == stage and any(task.before(project))]


def verify_tasks(project: Project) -> Iterator[TaskDict]:
    """Yield one task a dataset; it always runs."""
    for name in project.catalog.by_priority():
        yield {
            "basename": f"verify:{name}",
            "actions": [(_verify, [name])],
            "uptodate": [False],
            "doc": f"read everything of {name} again and compare",
        }


def _verify(name: str) -> TaskFailed | None:
    # late: it imports Zarr, which would slow every command's start
    from tasks.stages.verify import verify

    damaged = verify(OPENED.run, [name])
    return TaskFailed(f"{damaged:,} damaged, listed above") if damaged else None


def cleanup_tasks(project: Project) -> Iterator[TaskDict]:
    """Yield one task a dataset. There is no group over them all, on purpose: what is to be deleted must be named."""
    yes: Option = {
        "name": "yes",
        "long": "yes",
        "type": bool,
        "default": False,
        "help": "delete; else only say what would go",
    }
    for name in project.catalog.by_priority():
        yield {
            "basename": f"cleanup:{name}",
            "actions": [(_cleanup, [name])],
            "params": [yes],
            "uptodate": [False],
            "doc": f"delete the archives of {name} that are proved extracted; only with --yes",
        }


def _cleanup(name: str, yes: bool = False) -> TaskFailed | None:
    from tasks.cleanup.cleanup import cleanup

    return cleanup(OPENED.run, name, yes)


def group_tasks(project: Project) -> Iterator[TaskDict]:
    """Yield one group a stage over the datasets that are on this disk, most urgent first."""
    here = [name for name in project.catalog.by_priority() if presence.on_disk(project, name)]
    for stage in STAGES:
        members = [f"{stage.name}:{name}" for name in here] + _combined_here(project, stage.name)
        doc = f"{stage.name}: every dataset on this disk"
        yield {"basename": stage.name, "actions": None, "task_dep": members, "doc": doc}
