import os
import sqlite3
import threading

import pytest

from earmark.disk import sqlite
from earmark.disk.junk import OWNER_NAME
from earmark.disk.sqlite import connect, connect_anew_if_damaged, is_damaged, transaction
from earmark.errors import ForeignError

TABLE = "create table if not exists t (x int)"


def fill(path, values):
    database = connect(path, TABLE)
    with transaction(database):
        database.executemany("insert into t values (?)", [(value,) for value in values])
    database.close()


def values_in(path):
    database = connect(path, TABLE)
    values = [value for (value,) in database.execute("select x from t order by x")]
    database.close()
    return values


def test_what_a_block_did_is_there_for_the_next_process_and_a_block_that_fails_does_nothing(tmp_path):
    fill(tmp_path / "folder" / "a.db", [1, 2])
    database = connect(tmp_path / "folder" / "a.db")
    with pytest.raises(ZeroDivisionError), transaction(database):
        database.execute("insert into t values (3)")
        raise ZeroDivisionError
    database.close()
    assert values_in(tmp_path / "folder" / "a.db") == [1, 2]


def cache_in(folder):
    (folder / "cache").mkdir()
    (folder / "cache" / OWNER_NAME).write_bytes(b"{}")
    return folder / "cache"


@pytest.mark.parametrize("keep", [0, 4096])
def test_a_damaged_file_is_begun_anew_where_that_is_asked_and_refused_where_not(tmp_path, keep):
    path = cache_in(tmp_path) / "state.db"
    fill(path, range(3000))
    whole = path.read_bytes()
    path.write_bytes(whole[:keep] + b"\xff" * (len(whole) - keep))
    with pytest.raises(sqlite3.DatabaseError) as caught:
        database = connect(path, "select count(*) from t")
    assert is_damaged(caught.value)
    database = connect_anew_if_damaged(path, TABLE, "select count(*) from t")
    assert database.execute("select count(*) from t").fetchone() == (0,)
    database.close()


def refuses(theirs):
    before = theirs.read_bytes()
    for opened in (connect, connect_anew_if_damaged):
        with pytest.raises(ForeignError, match=theirs.name):
            opened(theirs, TABLE)
    assert theirs.read_bytes() == before
    assert list(theirs.parent.iterdir()) == [theirs]


@pytest.mark.parametrize("name", ["notes.txt", "state.db", "memo.db"])
def test_a_file_that_is_no_database_stays_as_it_is_and_is_said(tmp_path, name):
    (tmp_path / name).write_bytes(b"only copy\n" * 99)
    refuses(tmp_path / name)


@pytest.mark.parametrize("name", ["theirs.db", "state.db"])
@pytest.mark.parametrize(
    "statement",
    [
        "create table thesis (chapter text)",
        "create table task (title text, due int)",  # a name that is ours too
        "create view task as select 1 as name, 2 as data",
        "pragma application_id = 7",
    ],
)
def test_a_database_of_another_program_stays_as_it_is_and_is_said(tmp_path, name, statement):
    with sqlite3.connect(tmp_path / name) as database:
        database.execute(statement)
    database.close()
    refuses(tmp_path / name)


def test_a_database_of_an_earlier_version_which_names_no_owner_is_ours(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("create table task (name text primary key, data text) without rowid")
        database.execute("insert into task values ('x', 'y')")
    database.close()
    assert connect(tmp_path / "a.db").execute("select data from task").fetchone() == ("y",)


@pytest.mark.parametrize("at", [18, 68, 69, 71])
def test_one_of_ours_whose_header_was_changed_is_used_or_begun_anew(tmp_path, at):
    path = cache_in(tmp_path) / "memo.db"
    connect(path, "create table known (what text, path int, hash text)").close()
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)
    database = connect_anew_if_damaged(path, "create table if not exists known (what text, path int, hash text)")
    assert database.execute("select * from known").fetchall() == []
    assert database.execute("pragma application_id").fetchone() == (int.from_bytes(b"emrk", "big"),)
    database.close()


def test_a_pipe_in_its_place_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "a.db")
    with pytest.raises(ForeignError, match=r"a\.db"):
        connect(tmp_path / "a.db")


def test_one_of_ours_that_cannot_be_read_is_set_aside_not_deleted(tmp_path):
    path = cache_in(tmp_path) / "features" / "small-0" / "index.db"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff" * 5000)
    connect_anew_if_damaged(path, TABLE).close()
    assert path.with_name("index.db.damaged").read_bytes() == b"\xff" * 5000


def test_a_folder_in_its_place_is_no_damage_and_nothing_is_deleted(tmp_path):
    (tmp_path / "a.db").mkdir()
    with pytest.raises(sqlite3.OperationalError) as caught:
        connect_anew_if_damaged(tmp_path / "a.db", TABLE)
    assert not is_damaged(caught.value)
    assert (tmp_path / "a.db").is_dir()


def test_a_deleted_database_leaves_no_log_behind(tmp_path):
    database = connect(tmp_path / "a.db", TABLE, "insert into t values (1)")
    assert {path.name for path in tmp_path.iterdir()} == {"a.db", "a.db-wal", "a.db-shm"}
    sqlite.delete(tmp_path / "a.db")
    database.close()
    assert list(tmp_path.iterdir()) == []


def test_who_looks_is_not_held_up_by_who_writes_and_a_second_writer_waits(tmp_path):
    path = tmp_path / "a.db"
    fill(path, [1])
    first, second, begun = connect(path), connect(path), threading.Event()

    def write():
        begun.set()
        with transaction(second):
            second.execute("insert into t values (3)")

    thread = threading.Thread(target=write)
    with transaction(first):
        first.execute("insert into t values (2)")
        assert values_in(path) == [1]
        thread.start()
        begun.wait()
    thread.join()
    assert values_in(path) == [1, 2, 3]
    first.close()
    second.close()
