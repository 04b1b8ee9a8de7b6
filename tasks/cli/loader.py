"""doit LOADER: a shard can be named before its list exists, and commands that run nothing see all shards."""

import copy
from typing import Any

from doit.cmd_base import DodoTaskLoader
from doit.exceptions import TaskFailed
from doit.loader import generate_tasks
from doit.task import Task

from earmark.errors import near
from tasks.engine.judge import listed_shards
from tasks.engine.opened import OPENED
from tasks.engine.units import Unit
from tasks.stages.standardize import named


class Loader(DodoTaskLoader):  # type: ignore[misc]  # doit has no types
    """Loads dodo.py; `features:x:0003` stands for itself until scan:x has said which shards there are."""

    def load_tasks(self, cmd: Any, pos_args: list[str]) -> list[Any]:
        """Return doit's tasks for a command and the names given to it."""
        if getattr(cmd, "asks_receipts", False):  # a fifth of the time that such a command takes
            return []
        tasks = {task.name: task for task in super().load_tasks(cmd, pos_args)}
        if not getattr(cmd, "execute_tasks", False):
            return _expanded(tasks)
        for name in pos_args:
            unit = Unit.parse(name)
            parent = tasks.get(str(unit.whole))
            sharded = any(stage.name == unit.stage and stage.shard for stage in OPENED.run.stages)
            if sharded and unit.part and name not in tasks and parent is not None and parent.loader:
                loader = copy.copy(parent.loader)
                loader.basename = parent.name
                tasks[name] = Task(name, [(no_such_shard, [name])], loader=loader)
        return list(tasks.values())


def _expanded(tasks: dict[str, Any]) -> list[Any]:
    """Replace the stand-ins of delayed creators by the tasks that they create from the lists on disk."""
    found: dict[str, Any] = {}
    asked = set()
    for task in tasks.values():
        if not task.loader:
            found[task.name] = task
        elif task.loader.creator not in asked:
            asked.add(task.loader.creator)
            for made in generate_tasks(task.name, task.loader.creator()):
                if Unit.parse(made.name).part:
                    made.subtask_of = str(Unit.parse(made.name).whole)  # listed with --all only
                found[made.name] = made
    return list(found.values())


def no_such_shard(name: str) -> TaskFailed:
    """Fail a task that was named but not created once the shards were known."""
    unit = Unit.parse(name)
    shards = listed_shards(OPENED.run, unit.dataset)
    if not shards:
        return TaskFailed(f"no such shard: scan:{unit.dataset} has not listed any.")
    hint = near(unit.part.zfill(4), shards)
    return TaskFailed(f'no such shard "{unit.part}"{hint}: {unit.dataset} has {named(shards)}.')
