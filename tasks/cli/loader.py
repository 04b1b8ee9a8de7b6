"""doit LOADER: a shard can be named before its list exists, and commands that run nothing see all shards."""

import copy
from typing import Any

from doit.cmd_base import DodoTaskLoader
from doit.exceptions import TaskFailed
from doit.loader import generate_tasks
from doit.task import Task

from earmark.errors import near
from tasks.cli import doit_tasks
from tasks.engine.stage import UpstreamError
from tasks.stages import scan
from tasks.stages.standardize import named

PER_SHARD = ("standardize", "features")
PARTS_OF_A_SHARD = 2  # colons in <stage>:<dataset>:<shard>


class Loader(DodoTaskLoader):  # type: ignore[misc]  # doit has no types
    """Loads dodo.py; `features:x:0003` stands for itself until scan:x has said which shards there are."""

    def load_tasks(self, cmd: Any, pos_args: list[str]) -> list[Any]:
        """Return doit's tasks for a command and the names given to it."""
        tasks = {task.name: task for task in super().load_tasks(cmd, pos_args)}
        if not getattr(cmd, "execute_tasks", False):
            return _expanded(tasks)
        for name in pos_args:
            stage, _, rest = name.partition(":")
            parent = tasks.get(f"{stage}:{rest.rpartition(':')[0]}")
            if stage in PER_SHARD and name not in tasks and parent is not None and parent.loader:
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
                if made.name.count(":") == PARTS_OF_A_SHARD:
                    made.subtask_of = made.name.rpartition(":")[0]  # listed with --all only
                found[made.name] = made
    return list(found.values())


def no_such_shard(name: str) -> TaskFailed:
    """Fail a task that was named but not created once the shards were known."""
    _, dataset, part = name.split(":", 2)
    try:
        shards = scan.shards_of(doit_tasks.opened(), dataset)
    except UpstreamError:
        return TaskFailed(f"no such shard: scan:{dataset} has not listed any.")
    return TaskFailed(f'no such shard "{part}"{near(part.zfill(4), shards)}: {dataset} has {named(shards)}.')
