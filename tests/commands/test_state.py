import os
import sqlite3

import pytest
from doit.dependency import JSONCodec

from earmark.catalog.project import open_project
from earmark.errors import ForeignError
from tasks.cli.state import Backend, make_checker


def test_a_task_is_committed_as_soon_as_it_is_saved(tmp_path):
    backend = Backend(str(tmp_path / "state.db"), JSONCodec())
    backend.set("features:x", "checker:", "XXH3Checker")
    backend.set("features:x", "deps:", ["a"])
    other = Backend(str(tmp_path / "state.db"), JSONCodec())  # as the next run sees it after a SIGKILL now
    assert other.get("features:x", "deps:") == ["a"]
    assert other.in_("features:x")
    assert not other.in_("features:y")


def test_looking_makes_no_file(tmp_path):
    backend = Backend(str(tmp_path / "state.db"), JSONCodec())
    assert backend.get("features:x", "deps:") is None
    backend.dump()
    assert not list(tmp_path.iterdir())


def test_a_removed_task_is_forgotten_at_once(tmp_path):
    backend = Backend(str(tmp_path / "state.db"), JSONCodec())
    backend.set("a", "deps:", [])
    backend.set("b", "ignore:", "1")
    backend.remove("a")
    backend.dump()
    rows = sqlite3.connect(tmp_path / "state.db").execute("select name from task").fetchall()
    assert rows == [("b",)]


def test_the_checker_trusts_content_and_not_mtime(tmp_path):
    (tmp_path / "datasets.toml").write_text("", "utf-8")
    checker = make_checker(open_project(tmp_path / "datasets.toml"))()
    path = tmp_path / "receipt.json"
    path.write_bytes(b"one")
    state = checker.get_state(str(path), None)
    assert checker.get_state(str(path), state) is None
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert checker.check_modified(str(path), path.stat(), state)
    path.write_bytes(b"one")
    assert not checker.check_modified(str(path), path.stat(), state)


def test_a_file_that_is_no_database_is_refused_before_any_command_begins(tmp_path):
    (tmp_path / "notes.txt").write_bytes(b"only copy")
    with pytest.raises(ForeignError, match=r"notes\.txt: it is not earmark's own database"):
        Backend(str(tmp_path / "notes.txt"), JSONCodec())
    assert (tmp_path / "notes.txt").read_bytes() == b"only copy"
