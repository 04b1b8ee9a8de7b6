import hashlib
import os
import sqlite3

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.disk.hashing import BLOCK_BYTES, HashMemo, digest, hash_bytes, hash_file, stat_key


def test_a_file_hashes_as_its_bytes(tmp_path):
    data = os.urandom(BLOCK_BYTES + 17)
    (tmp_path / "x").write_bytes(data)
    assert hash_file(tmp_path / "x") == hash_bytes(data) == xxhash.xxh3_128(data).hexdigest()
    assert hash_file(tmp_path / "x", "md5") == hashlib.md5(data).hexdigest()


@given(st.dictionaries(st.text(), st.integers(-(2**63), 2**62)))
@settings(deadline=None, max_examples=50)
def test_a_digest_does_not_depend_on_the_order_of_keys(value):
    assert digest("t", value) == digest("t", dict(reversed(value.items())))


def test_two_kinds_of_equal_value_never_share_a_digest():
    assert digest("a", [1]) != digest("b", [1])


def test_the_memo_reads_an_unchanged_file_once(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"one")
    memo = HashMemo(tmp_path / "memo.db")
    first = memo.hash_file(path)
    monkeypatch.setattr("earmark.disk.hashing.hash_file", lambda *_: 1 / 0)
    assert memo.hash_file(path) == first == hash_bytes(b"one")


def test_the_memo_notices_an_edit_of_equal_size_with_its_old_mtime(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"one")
    memo = HashMemo(tmp_path / "memo.db")
    memo.hash_file(path)
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert memo.hash_file(path) == hash_bytes(b"two")


def test_a_damaged_memo_is_done_without(tmp_path):
    (tmp_path / "memo.db").write_bytes(b"this is no database" * 100)
    (tmp_path / "x").write_bytes(b"one")
    assert HashMemo(tmp_path / "memo.db").hash_file(tmp_path / "x") == hash_bytes(b"one")


def test_the_memo_survives_a_new_process(tmp_path):
    (tmp_path / "x").write_bytes(b"one")
    memo = HashMemo(tmp_path / "memo.db")
    memo.hash_file(tmp_path / "x")
    memo.close()
    rows = sqlite3.connect(tmp_path / "memo.db").execute("select what, substr(hash, 1, 32) from memo").fetchall()
    assert rows == [("xxh3", hash_bytes(b"one"))]
    assert HashMemo(tmp_path / "memo.db").get(stat_key((tmp_path / "x").stat())) == hash_bytes(b"one")


@pytest.mark.parametrize("column", ["hash", "size", "mtime", "ino"])
def test_an_entry_of_the_memo_that_was_changed_is_not_believed(tmp_path, column):
    (tmp_path / "x").write_bytes(b"one")
    key = stat_key((tmp_path / "x").stat())
    memo = HashMemo(tmp_path / "memo.db")
    memo.put([(key, hash_bytes(b"one"))])
    memo.close()
    with sqlite3.connect(tmp_path / "memo.db") as database:
        if column == "hash":
            database.execute("update memo set hash = replace(hash, substr(hash, 3, 1), 'x')")
        else:
            database.execute(f"update memo set {column} = {column} + 1")
    database.close()
    names = ("dev", "ino", "size", "mtime", "ctime")
    asked = tuple(value + (name == column) for name, value in zip(names, key, strict=True))
    assert HashMemo(tmp_path / "memo.db").get(asked) is None


def test_an_entry_that_an_earlier_version_remembered_is_believed(tmp_path):
    """Else an upgrade would read terabytes again."""
    (tmp_path / "x").write_bytes(b"one")
    key = stat_key((tmp_path / "x").stat())
    HashMemo(tmp_path / "memo.db").put([(key, hash_bytes(b"two"))])
    with sqlite3.connect(tmp_path / "memo.db") as database:
        database.execute("update memo set hash = substr(hash, 1, 32)")
    database.close()
    assert HashMemo(tmp_path / "memo.db").get(key) == hash_bytes(b"two")


def test_threads_may_share_a_memo_from_its_first_use(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    (tmp_path / "x").write_bytes(b"one")
    key = stat_key((tmp_path / "x").stat())
    for attempt in range(20):
        memo = HashMemo(tmp_path / f"memo{attempt}.db")
        with ThreadPoolExecutor(4) as threads:
            asked = [threads.submit(memo.get, key) for _ in range(50)]
            memo.put([(key, "hash")])
            assert {each.result() for each in asked} <= {None, "hash"}
        assert memo.get(key) == "hash"
