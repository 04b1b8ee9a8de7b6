"""doit COMMANDs of our own: run (locked, interruptible), list --status, why, plan, verify, audit.

What a command needs beyond doit is imported inside it: `doit list` must not wait for Zarr or rich.
"""

import fnmatch
import functools
from collections.abc import Callable, Collection

from doit.cmd_base import DoitCmdBase
from doit.cmd_clean import Clean as DoitClean
from doit.cmd_completion import TabCompletion as DoitTabCompletion
from doit.cmd_forget import Forget as DoitForget
from doit.cmd_help import Help as DoitHelp
from doit.cmd_ignore import Ignore as DoitIgnore
from doit.cmd_info import Info as DoitInfo
from doit.cmd_list import List as DoitList
from doit.cmd_run import Run as DoitRun
from doit.exceptions import InvalidCommand

from earmark.catalog.project import Project
from earmark.errors import CatalogError, EarmarkError, near
from tasks.cli import overview
from tasks.cli.doit_types import DoitCommand, DoitTask, Option
from tasks.cli.list import status_lines
from tasks.cli.lock import run_lock
from tasks.cli.plain_errors import EXPECTED_FAILURE, PlainErrors, terminating
from tasks.engine.opened import OPENED
from tasks.engine.rollup import Query
from tasks.engine.units import Unit
from tasks.stages.combined import JOB
from tasks.stages.registry import STAGES
from tasks.terminal import complain, say, say_json

KEPT = ("extract-", "journal-")  # unfinished work in the scratch folder that the next run goes on with
UNLOCKED = ("check", "docs", "new-catalog", "new-corpus")  # tasks that work on no dataset, so they need no run lock


def _flag(name: str, what: str) -> Option:
    return {"name": name, "long": name, "type": bool, "default": False, "help": what}


class Run(PlainErrors, DoitRun):  # type: ignore[misc]  # doit has no types
    """doit run, one at a time on a cache; without a task it shows the status and starts nothing."""

    cmd_options = (*DoitRun.cmd_options, _flag("anyway", "run although `doit plan` says that the disk is too small"))
    works = True
    anyway = False
    sel_tasks: list[str]

    def execute(self, params: dict[str, object], args: list[str]) -> int:
        """Run tasks."""
        self.anyway = bool(
            params["anyway"]
        )  # doit's own _execute, whose signature names its options, has no room for it
        return super().execute(params, args)

    @functools.wraps(DoitRun._execute)  # doit reads the names of options from the signature
    def _execute(self, *args: object, **kwargs: object) -> int:
        project = OPENED.run.project
        if not self.sel_tasks:
            _print_status(self, [], all_shards=False)
            say("")
            say("Name a task to run it, such as `doit features:demo`; `doit help` says more.")
            return 0
        kwargs["num_process"] = 0  # shards run on earmark's own pool; doit's hangs when a worker is killed
        self.sel_tasks = _in_order(self, project, self.sel_tasks)
        OPENED.begin(force=bool(kwargs.get("always")), named=frozenset(self.sel_tasks))
        if all(Unit.parse(name).stage in UNLOCKED for name in self.sel_tasks):
            return int(super()._execute(*args, **kwargs))
        with run_lock(project), terminating():
            project.scratch.sweep(KEPT)  # under the lock: what is there belongs to runs that were killed
            if not self.anyway:
                from tasks.plan.before_run import require_fit

                require_fit(_query(self), self.sel_tasks)
            try:
                return int(super()._execute(*args, **kwargs))
            finally:
                OPENED.stop_workers()
                project.memo.close()


class List(PlainErrors, DoitList):  # type: ignore[misc]  # doit has no types
    """doit list; --status comes from receipts and stats, one line for each stage and dataset."""

    doc_purpose = "list what is on this disk; with --all every task, with --status what is current"

    def execute(self, params: dict[str, object], args: list[str]) -> int:
        """List tasks; doit's own list alone needs them made."""
        self.asks_receipts = bool(params["status"]) or overview.is_wanted(params | {"pos_args": args})
        return super().execute(params, args)

    @functools.wraps(DoitList._execute)
    def _execute(self, **kwargs: object) -> int:
        if overview.is_wanted(kwargs):
            for line in overview.overview(OPENED.run.project):
                say(line, whole=True)
            return 0
        if not kwargs.get("status"):
            return int(super()._execute(**kwargs))
        names = kwargs.get("pos_args")
        _print_status(self, names if isinstance(names, list) else [], all_shards=bool(kwargs.get("subtasks")))
        return 0


class Why(PlainErrors, DoitCmdBase):  # type: ignore[misc]  # doit has no types
    """doit why: what differs for a task, in words. Exit code 0 when all are current, 1 when one would run."""

    asks_receipts = True
    name = "why"
    doc_purpose = "say in words why a task would run"
    doc_usage = "TASK [TASK ...]"
    doc_description = None
    cmd_options = ()

    def _execute(self, pos_args: list[str]) -> int:
        if not pos_args:
            raise CatalogError("why: name a task, such as `doit why features:demo`.")
        from tasks.cli.why import why

        worst = 0
        for name in pos_args:
            for line in why(_query(self), name):
                say(line)
                worst = max(worst, int("current: nothing" not in line))
        return worst


class Plan(PlainErrors, DoitCmdBase):  # type: ignore[misc]  # doit has no types
    """doit plan: what would run and why, what it would write and for how long, and whether it fits.

    Exit code 0 where it fits, or may fit, 1 where not.
    """

    asks_receipts = True
    name = "plan"
    doc_purpose = "say before anything runs what would run, what it would write, and whether it fits"
    doc_usage = "[TASK ...]"
    doc_description = "Without a task: everything on this disk. Exit code 1 where it does not fit."
    cmd_options = (
        _flag("json", "print one JSON object (the head of tasks/plan/plan_table.py lists its keys)"),
        _flag("all", "list the shards, too"),
    )
    flags_anywhere = ("json", "all")

    def _execute(self, json: bool, all: bool, pos_args: list[str]) -> int:
        from tasks.plan import plan_table
        from tasks.plan.forecast import make_forecast

        forecast = make_forecast(_query(self), pos_args)
        if json:
            say_json(plan_table.as_json(forecast, shards=all))
        else:
            plan_table.show(forecast, shards=all)
        return int(forecast.fits == "no")


class Verify(PlainErrors, DoitCmdBase):  # type: ignore[misc]  # doit has no types
    """doit verify: read everything again and compare it with its hashes. Exit code 1 when something is damaged."""

    asks_receipts = True
    works = True
    name = "verify"
    doc_purpose = "read all outputs again, compare with their hashes, set damaged ones aside"
    doc_usage = "[DATASET ...]"
    doc_description = None
    cmd_options = ()

    def _execute(self, pos_args: list[str]) -> int:
        from tasks.stages.verify import verify

        project = OPENED.run.project
        names = [Unit.parse(name).dataset or name for name in pos_args] or project.catalog.by_priority()
        for name in names:
            project.dataset(name)
        with run_lock(project), terminating():
            return 1 if verify(OPENED.run, names) else 0


class Audit(PlainErrors, DoitCmdBase):  # type: ignore[misc]  # doit has no types
    """doit audit: what is on disk, how complete it is, what could be freed. Takes no lock; exit code 0 in any case."""

    asks_receipts = True
    name = "audit"
    doc_purpose = "show every archive and corpus on disk, what is missing, what could be freed"
    doc_usage = "[DATASET ...] [--deep] [--json]"
    doc_description = None
    cmd_options = (
        _flag("deep", "compare sums, and sizes of members"),
        _flag("json", "one JSON object instead of a table"),
    )
    flags_anywhere = ("deep", "json")

    def _execute(self, deep: bool, json: bool, pos_args: list[str]) -> int:
        from tasks.audit import audit, audit_table

        report = audit.audit_disk(OPENED.run, pos_args, deep=deep)
        if json:
            say_json(audit_table.as_json(report))
        else:
            audit_table.show(report, pos_args)
        return 0


class Gc(PlainErrors, DoitCmdBase):  # type: ignore[misc]  # doit has no types
    """doit gc: what earmark made and nothing names any more. Deletes with --yes alone."""

    asks_receipts = True
    name = "gc"
    doc_purpose = "list what nothing names any more, such as features of former encoders; --yes deletes it"
    doc_usage = "[--yes]"
    doc_description = None
    cmd_options = (_flag("yes", "delete what is listed"),)

    def _execute(self, yes: bool, pos_args: list[str]) -> int:
        from tasks.gc.gc import collect

        if pos_args:
            raise CatalogError(f'gc: "{pos_args[0]}": it takes no names: what has an owner is no orphan.')
        with run_lock(OPENED.run.project), terminating():
            collect(OPENED.run, yes=yes)
        return 0


class Clean(PlainErrors, DoitClean):  # type: ignore[misc]  # doit has no types
    """doit clean, whose failures are one line; so are those of the five after it."""


class Forget(PlainErrors, DoitForget):  # type: ignore[misc]
    """doit forget."""


class Help(PlainErrors, DoitHelp):  # type: ignore[misc]
    """doit help."""


class Ignore(PlainErrors, DoitIgnore):  # type: ignore[misc]
    """doit ignore."""


class Info(PlainErrors, DoitInfo):  # type: ignore[misc]
    """doit info; a name that is no task is one line."""

    @functools.wraps(DoitInfo._execute)
    def _execute(self, pos_args: list[str], **kwargs: object) -> int:
        known = {task.name for task in self.task_list}
        for name in pos_args:
            if name not in known:
                raise InvalidCommand(not_found=name)
        return int(super()._execute(pos_args, **kwargs))


class TabCompletion(PlainErrors, DoitTabCompletion):  # type: ignore[misc]
    """doit tabcompletion."""


class _Refused(DoitCmdBase):  # type: ignore[misc]
    """A command of doit's that does not fit here, refused in one line."""

    doc_usage = ""
    doc_description = None
    cmd_options = ()

    def parse_execute(self, in_args: list[str]) -> int:
        """Say what to use instead."""
        complain(f"ERROR: doit {self.name}: {self.doc_purpose}.")
        return EXPECTED_FAILURE


class Strace(_Refused):
    """doit strace would run tasks without the run lock."""

    name = "strace"
    doc_purpose = "not here, it runs tasks without the run lock; `doit run TASK` runs them"


class DumpDB(_Refused):
    """doit dumpdb reads dbm files alone."""

    name = "dumpdb"
    doc_purpose = "not here, doit's state is the SQLite file state.db in the cache; any SQLite tool reads it"


class ResetDep(_Refused):
    """doit reset-dep would call stale outputs current in doit's memory."""

    name = "reset-dep"
    doc_purpose = "not here, receipts say what is current; `doit list --status` shows it"


def _in_order(command: DoitCommand, project: Project, selected: list[str]) -> list[str]:
    """Check the names of tasks, and put a stage's datasets in order of priority instead of the bare stage."""
    known: dict[str, DoitTask] = {task.name: task for task in command.task_list}
    groups = (*(stage.name for stage in STAGES), JOB)
    names = []
    for name in selected:
        if name in groups and _ignored(command)(name):
            say(f"ignored: {name} (doit forget {name} brings it back)")
        elif name in groups:
            if not known[name].task_dep:
                raise CatalogError(
                    f"{name}: no dataset of {project.path.name} is on this disk. `doit why extract:<dataset>`."
                )
            names += known[name].task_dep
        elif "*" in name:
            if not fnmatch.filter(known, name):
                raise InvalidCommand(f'no task matches "{name}". `doit list --all` names them all.')
            names.append(name)
        # doit parses what follows a task as that task's options, and a pattern is several tasks
        elif name.startswith("-") and names and "*" in names[-1]:
            raise InvalidCommand(f'"{name}" goes with one task: name them one by one instead of "{names[-1]}".')
        elif name in known or name.startswith("-"):
            names.append(name)
        else:
            raise _no_such_task(project, name, known, groups)
    return names


def _no_such_task(
    project: Project, name: str, known: Collection[str], stages: tuple[str, ...]
) -> EarmarkError | InvalidCommand:
    """Return the error for a name that is no task.

    Raises CatalogError where a stage is right and its dataset is not, with the nearest one.
    """
    if any(other.startswith(f"{name}:") for other in known):
        return InvalidCommand(f'"{name}" is not a task by itself: name a dataset, as in `doit {name}:<dataset>`.')
    unit = Unit.parse(name)
    if unit.stage in stages and unit.dataset and unit.stage != JOB:
        project.dataset(unit.dataset)
    return InvalidCommand(f'no task "{name}"{near(name, known)}. `doit list --all` names them all.')


def _ignored(command: DoitCommand) -> Callable[[str], bool]:
    return lambda name: bool(command.dep_manager.backend.get(name, "ignore:"))


def _query(command: DoitCommand) -> Query:
    return Query(OPENED.run, _ignored(command))


def _print_status(command: DoitCommand, names: list[str], *, all_shards: bool) -> None:
    for line in status_lines(_query(command), names, all_shards=all_shards):
        say(line, whole=True)
