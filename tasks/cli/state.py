"""doit's own memory: a SQLite backend that commits after every task, and a checker that trusts content, not mtime.

Stock doit forgets a whole run when it is killed and calls a file with an old mtime unchanged. What is kept here is
disposable: without it every task asks its receipt, which costs milliseconds.
"""

import contextlib
import sqlite3
from pathlib import Path

from doit.dependency import FileChangedChecker

from earmark.catalog.project import Project
from earmark.disk.sqlite import connect_anew_if_damaged, require_own
from tasks.cli.doit_types import Codec

TABLE = "create table if not exists task (name text primary key, data text) without rowid"
# What doit's Dependency.save_success writes last of a task: with it the row is whole. doit itself writes its database
# when the run ends, so a kill after 4 of 6 tasks ran all 6 again (tried with each of its backends).
LAST_KEY = "deps:"


class Backend:
    """doit BACKEND: one row a task in SQLite, write-ahead log, committed as soon as the task is saved."""

    desc = "SQLite, committed after every task"

    def __init__(self, name: str, codec: Codec, *, module_name: str | None = None) -> None:
        require_own(Path(name))  # here, and not when it is first needed: some commands never need it
        self.name = name
        self._codec = codec
        self._rows: dict[str, dict[str, object]] = {}
        self._dirty: set[str] = set()
        self._database: sqlite3.Connection | None = None

    def _open(self, *, create: bool) -> sqlite3.Connection | None:
        """Open the file; a damaged one is begun anew; a missing one is made only to be written to."""
        if self._database is None and (create or Path(self.name).exists()):
            with contextlib.suppress(sqlite3.Error, OSError):  # locked or full: receipts are asked instead
                self._database = connect_anew_if_damaged(Path(self.name), TABLE)
        return self._database

    def _row(self, task_id: str) -> dict[str, object]:
        if task_id not in self._rows:
            database = self._open(create=False)
            stored = None
            with contextlib.suppress(sqlite3.Error):  # what cannot be read counts as unknown, and the receipt is asked
                stored = database and database.execute("select data from task where name=?", (task_id,)).fetchone()
            row: object = {}
            with contextlib.suppress(ValueError):  # a damaged row is as good as none
                row = self._codec.decode(stored[0]) if stored else {}
            self._rows[task_id] = row if isinstance(row, dict) else {}
        return self._rows[task_id]

    def get(self, task_id: str, dependency: str) -> object:
        """Return what is known of a task's dependency, or None."""
        return self._row(task_id).get(dependency)

    def set(self, task_id: str, dependency: str, value: object) -> None:
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
            with contextlib.suppress(sqlite3.Error):  # a full disk is reported by receipts and outputs
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
    """Return doit's checker of `file_dep`: XXH3-128 of the content, remembered by stat in the project's memo.

    doit's own believes an equal mtime before it looks at size or hash, and so misses an edit that keeps it.
    """

    class XXH3Checker(FileChangedChecker):  # type: ignore[misc]  # doit asks for a subclass and has no types
        def check_modified(self, file_path: str, file_stat: object, state: str) -> bool:
            return project.memo.hash_file(Path(file_path)) != state

        def get_state(self, dep: str, current_state: str | None) -> str | None:
            content = project.memo.hash_file(Path(dep))
            return None if content == current_state else content  # None: doit keeps the state that it has

    return XXH3Checker
