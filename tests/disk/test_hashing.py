import hashlib
import os
import sqlite3

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.disk.hashing import BLOCK_BYTES, HashMemo, as_stored, digest, hash_bytes, hash_file, stat_key
from earmark.disk.junk import OWNER_NAME


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
    (tmp_path / OWNER_NAME).write_bytes(b"{}")  # in a cache; elsewhere it would be somebody else's file
    (tmp_path / "memo.db").write_bytes(b"this is no database" * 100)
    (tmp_path / "x").write_bytes(b"one")
    assert HashMemo(tmp_path / "memo.db").hash_file(tmp_path / "x") == hash_bytes(b"one")


def test_the_memo_survives_a_new_process(tmp_path):
    (tmp_path / "x").write_bytes(b"one")
    memo = HashMemo(tmp_path / "memo.db")
    memo.hash_file(tmp_path / "x")
    memo.close()
    rows = sqlite3.connect(tmp_path / "memo.db").execute("select what, substr(hash, 1, 32) from known").fetchall()
    assert rows == [("xxh3", hash_bytes(b"one"))]
    assert HashMemo(tmp_path / "memo.db").get(tmp_path / "x", stat_key((tmp_path / "x").stat())) == hash_bytes(b"one")


@pytest.mark.parametrize("column", ["hash", "size", "mtime", "ino"])
def test_an_entry_of_the_memo_that_was_changed_is_not_believed(tmp_path, column):
    (tmp_path / "x").write_bytes(b"one")
    key = stat_key((tmp_path / "x").stat())
    memo = HashMemo(tmp_path / "memo.db")
    memo.put([(tmp_path / "x", key, hash_bytes(b"one"))])
    memo.close()
    with sqlite3.connect(tmp_path / "memo.db") as database:
        if column == "hash":
            database.execute("update known set hash = replace(hash, substr(hash, 3, 1), 'x')")
        else:
            database.execute(f"update known set {column} = {column} + 1")
    database.close()
    names = ("dev", "ino", "size", "mtime", "ctime")
    asked = tuple(value + (name == column) for name, value in zip(names, key, strict=True))
    assert HashMemo(tmp_path / "memo.db").get(tmp_path / "x", asked) is None


def test_two_files_of_one_stat_never_get_each_others_hash(tmp_path):
    """On file systems without stable inodes and times all that a stat says may be alike."""
    memo, same = HashMemo(tmp_path / "memo.db"), (1, 0, 3, 0, 0)
    memo.put([(tmp_path / "x", same, hash_bytes(b"one"))])
    assert memo.get(tmp_path / "y", same) is None
    memo.put([(tmp_path / "y", same, hash_bytes(b"two"))])
    assert [memo.get(tmp_path / name, same) for name in "xy"] == [hash_bytes(b"one"), hash_bytes(b"two")]


def test_what_was_remembered_last_is_told_whatever_the_stat_says_now(tmp_path):
    memo = HashMemo(tmp_path / "memo.db")
    assert memo.last(tmp_path / "x") is None
    memo.put([(tmp_path / "x", (1, 2, 3, 4, 5), "one")])
    key = (1, 1 << 63, 3, -4, 5)  # an inode of 64 bits, a time before 1970
    memo.put([(tmp_path / "x", key, "two")])
    assert memo.last(tmp_path / "x") == (as_stored(key), "two") and memo.get(tmp_path / "x", key) == "two"
    memo.close()
    with sqlite3.connect(tmp_path / "memo.db") as database:
        database.execute("update known set ctime = 6")
    database.close()
    assert memo.last(tmp_path / "x") is None


def test_a_collection_may_be_moved_with_its_memo(tmp_path):
    (tmp_path / "old").mkdir()
    memo = HashMemo(tmp_path / "old/memo.db", tmp_path / "old")
    memo.put([(tmp_path / "old/x", (1, 2, 3, 4, 5), "hash")])
    memo.close()
    (tmp_path / "old").rename(tmp_path / "new")
    assert HashMemo(tmp_path / "new/memo.db", tmp_path / "new").get(tmp_path / "new/x", (1, 2, 3, 4, 5)) == "hash"


@pytest.mark.parametrize("value", ["x'ff'", "cast(x'ff' as text)", "7", "null", "''"])
def test_a_value_of_another_type_in_the_memo_is_as_good_as_none(tmp_path, value):
    memo = HashMemo(tmp_path / "memo.db")
    memo.put([(tmp_path / "x", (1, 2, 3, 4, 5), "hash")])
    memo.close()
    with sqlite3.connect(tmp_path / "memo.db") as database:
        database.execute(f"update known set hash = {value}")
    database.close()
    assert memo.get(tmp_path / "x", (1, 2, 3, 4, 5)) is None and memo.last(tmp_path / "x") is None


def test_threads_may_share_a_memo_from_its_first_use(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    (tmp_path / "x").write_bytes(b"one")
    key = stat_key((tmp_path / "x").stat())
    for attempt in range(20):
        memo = HashMemo(tmp_path / f"memo{attempt}.db")
        with ThreadPoolExecutor(4) as threads:
            asked = [threads.submit(memo.get, tmp_path / "x", key) for _ in range(50)]
            memo.put([(tmp_path / "x", key, "hash")])
            assert {each.result() for each in asked} <= {None, "hash"}
        assert memo.get(tmp_path / "x", key) == "hash"
