"""doit LOADER: a shard can be named before its list exists, and commands that run nothing see all shards."""

import copy

from doit.cmd_base import DodoTaskLoader
from doit.exceptions import TaskFailed
from doit.loader import generate_tasks
from doit.task import Task

from earmark.errors import near
from tasks import terminal
from tasks.cli.doit_types import DoitTask
from tasks.engine.judge import listed_shards
from tasks.engine.opened import OPENED
from tasks.engine.units import Unit
from tasks.stages import scan


class Loader(DodoTaskLoader):  # type: ignore[misc]  # doit has no types
    """Loads dodo.py; `features:x:0003` is accepted before scan:x has listed the shards of x."""

    def __init__(self) -> None:
        terminal.start()  # the first thing of ours that doit makes
        super().__init__()

    def load_tasks(self, cmd: object, pos_args: list[str]) -> list[DoitTask]:
        """Return doit's tasks for a command and the names given to it."""
        if getattr(cmd, "asks_receipts", False):  # to make tasks would be a fifth of the time that such a command takes
            return []
        tasks: dict[str, DoitTask] = {task.name: task for task in super().load_tasks(cmd, pos_args)}
        if not getattr(cmd, "execute_tasks", False):
            return _expanded(tasks)
        for name in pos_args:
            unit = Unit.parse(name)
            parent = tasks.get(str(unit.whole))
            sharded = any(stage.name == unit.stage and stage.shard for stage in OPENED.run.stages)
            if sharded and unit.part and name not in tasks and parent is not None and parent.loader:
                # doit refuses names that no task has when the run begins; a task with the same creator is replaced by
                # what that yields, and so its action runs only where no such shard was listed
                loader = copy.copy(parent.loader)
                loader.basename = parent.name
                tasks[name] = Task(name, [(no_such_shard, [name])], loader=loader)
        return list(tasks.values())


def _expanded(tasks: dict[str, DoitTask]) -> list[DoitTask]:
    """Replace the stand-ins of delayed creators by the tasks that they create from the lists on disk.

    doit calls delayed creators in a run only; `doit list`, `info` and `forget` would see no shard.
    """
    expanded: dict[str, DoitTask] = {}
    called = set()
    for task in tasks.values():
        if not task.loader:
            expanded[task.name] = task
        elif task.loader.creator not in called:  # one creator has a stand-in for each of the tasks that it announces
            called.add(task.loader.creator)
            for created in generate_tasks(task.name, task.loader.creator()):
                if Unit.parse(created.name).part:
                    created.subtask_of = str(Unit.parse(created.name).whole)  # listed with --all only
                expanded[created.name] = created
    return list(expanded.values())


def no_such_shard(name: str) -> TaskFailed:
    """Fail a task that the user named and that was not created once the shards were known."""
    unit = Unit.parse(name)
    shards = listed_shards(OPENED.run, unit.dataset)
    if not shards:
        return TaskFailed(f"no such shard: scan:{unit.dataset} has not listed any.")
    hint = near(unit.part.zfill(4), shards)
    return TaskFailed(f'no such shard "{unit.part}"{hint}: {unit.dataset} has {scan.shard_range(shards)}.')
