"""doit's own memory: a SQLite backend that commits after every task, and a checker that trusts content, not mtime.

Stock doit forgets a whole run when it is killed and calls a file with an old mtime unchanged. What is kept here is
disposable: without it every task asks its receipt, which costs milliseconds.
"""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from doit.dependency import FileChangedChecker

from earmark.catalog.project import Project
from earmark.disk.sqlite import connect_anew_if_damaged

TABLE = "create table if not exists task (name text primary key, data text) without rowid"
LAST_KEY = "deps:"  # what doit's Dependency.save_success writes last of a task


class Backend:
    """doit BACKEND: one row a task in SQLite, write-ahead log, committed as soon as the task is saved."""

    desc = "SQLite, committed after every task"

    def __init__(self, name: str, codec: Any, *, module_name: str | None = None) -> None:
        self.name = name
        self._codec = codec
        self._rows: dict[str, dict[str, Any]] = {}
        self._dirty: set[str] = set()
        self._database: sqlite3.Connection | None = None

    def _open(self, *, create: bool) -> sqlite3.Connection | None:
        """Open the file; a damaged one is begun anew, a missing one made only to be written to, a full disk endured."""
        if self._database is None and (create or Path(self.name).exists()):
            with contextlib.suppress(sqlite3.Error, OSError):  # locked or full: receipts are asked instead
                self._database = connect_anew_if_damaged(Path(self.name), TABLE)
        return self._database

    def _row(self, task_id: str) -> dict[str, Any]:
        if task_id not in self._rows:
            database = self._open(create=False)
            found = None
            with contextlib.suppress(sqlite3.Error):  # what cannot be read is not known
                found = database and database.execute("select data from task where name=?", (task_id,)).fetchone()
            row: Any = {}
            with contextlib.suppress(ValueError):  # a damaged row is as good as none
                row = self._codec.decode(found[0]) if found else {}
            self._rows[task_id] = row if isinstance(row, dict) else {}
        return self._rows[task_id]

    def get(self, task_id: str, dependency: str) -> Any:
        """Return what is known of a task's dependency, or None."""
        return self._row(task_id).get(dependency)

    def set(self, task_id: str, dependency: str, value: Any) -> None:
        """Keep a value; the last one of a task commits it."""
        self._row(task_id)[dependency] = value
        self._dirty.add(task_id)
        if dependency == LAST_KEY:
            self._commit(task_id)

    def _commit(self, task_id: str) -> None:
        self._dirty.discard(task_id)
        database = self._open(create=True)
        if database is not None:
            row = self._codec.encode(self._rows[task_id])
            with contextlib.suppress(sqlite3.Error):  # a full disk is met where it matters: at receipts and outputs
                database.execute("insert or replace into task values (?, ?)", (task_id, row))

    def in_(self, task_id: str) -> bool:
        """Say whether anything is known of a task."""
        return bool(self._row(task_id))

    def remove(self, task_id: str) -> None:
        """Forget a task."""
        self._rows[task_id] = {}
        self._dirty.discard(task_id)
        database = self._open(create=False)
        if database is not None:
            with contextlib.suppress(sqlite3.Error):  # then the task's receipt is asked, as ever
                database.execute("delete from task where name=?", (task_id,))

    def remove_all(self) -> None:
        """Forget all tasks."""
        self._rows.clear()
        self._dirty.clear()
        database = self._open(create=False)
        if database is not None:
            database.execute("delete from task")

    def dump(self) -> None:
        """Commit what is left and close the file."""
        for task_id in sorted(self._dirty):
            self._commit(task_id)
        if self._database is not None:
            self._database.close()
            self._database = None


def make_checker(project: Project) -> type[FileChangedChecker]:
    """Return doit's checker of `file_dep`: XXH3-128 behind the project's memo of stats."""

    class XXH3Checker(FileChangedChecker):  # type: ignore[misc]  # doit asks for a subclass and has no types
        def check_modified(self, file_path: str, file_stat: Any, state: str) -> bool:
            return project.memo.hash_file(Path(file_path)) != state

        def get_state(self, dep: str, current_state: str | None) -> str | None:
            found = project.memo.hash_file(Path(dep))
            return None if found == current_state else found

    return XXH3Checker
