import errno
import os
import sys
from pathlib import Path

import pytest

from earmark.disk import files
from earmark.disk.files import Scratch, may_share_blocks, publish, publishing, require_space
from earmark.disk.hashing import hash_bytes
from earmark.errors import DiskFullError


@pytest.fixture
def scratch(tmp_path):
    return Scratch(tmp_path / "cache" / "tmp")


def test_a_published_file_is_whole_and_scratch_is_empty(tmp_path, scratch):
    publish(tmp_path / "deep" / "down" / "x", b"data", scratch)
    assert (tmp_path / "deep" / "down" / "x").read_bytes() == b"data"
    assert list(scratch.tmp.iterdir()) == []


@pytest.mark.parametrize("step", ["flush", "flush_folder"])
def test_a_publish_that_fails_at_any_step_leaves_the_old_file_or_the_new_never_half(
    tmp_path, scratch, monkeypatch, step
):
    target = tmp_path / "x"
    publish(target, b"old", scratch)

    def fail(*_):
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(files, step, fail)
    with pytest.raises(OSError, match="broken disk"):
        publish(target, b"new", scratch)
    assert target.read_bytes() in (b"old", b"new")
    assert list(scratch.tmp.iterdir()) == []


def test_a_block_that_raises_publishes_nothing(tmp_path, scratch):
    with pytest.raises(ZeroDivisionError), publishing(tmp_path / "x", scratch) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError
    assert not (tmp_path / "x").exists()
    assert list(scratch.tmp.iterdir()) == []


def test_a_folder_is_published_whole(tmp_path, scratch):
    with publishing(tmp_path / "pack", scratch) as temporary:
        (temporary / "inside").mkdir(parents=True)
        (temporary / "inside" / "x").write_bytes(b"1")
    assert (tmp_path / "pack" / "inside" / "x").read_bytes() == b"1"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_one_line_with_the_bytes_needed(tmp_path, scratch, code):
    expected = r"x: disk full .*12,345 bytes needed, [\d,]+ bytes free"
    with pytest.raises(DiskFullError, match=expected), publishing(tmp_path / "x", scratch, needed=12_345):
        raise OSError(code, os.strerror(code))


def test_work_that_cannot_fit_is_refused_before_it_starts(tmp_path):
    with pytest.raises(DiskFullError, match=r"pack: disk full: 9,000,000,000,000,000,000 bytes needed"):
        require_space(tmp_path / "not" / "there", 9 * 10**18, "pack")


def test_sweeping_keeps_what_the_next_run_goes_on_with(tmp_path):
    for name in ("extract-books", "journal-books-0001", "0a1b-x"):
        (tmp_path / name).write_bytes(b"")
    Scratch(tmp_path).sweep(("extract-", "journal-"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["extract-books", "journal-books-0001"]


def test_scratch_folders_of_other_collections_on_one_volume_are_not_swept(tmp_path):
    ours, theirs = (Scratch(tmp_path / name, (tmp_path / "volume",), name * 32) for name in ("a", "b"))
    for scratch in (ours, theirs):
        folder = scratch._below(tmp_path / "volume")
        folder.mkdir(parents=True)
        (folder / "unfinished").write_bytes(b"")
    ours.sweep(())
    assert not any(ours._below(tmp_path / "volume").iterdir())
    assert (theirs._below(tmp_path / "volume") / "unfinished").exists()
    Scratch(tmp_path / "volume/.earmark-tmp").sweep(())  # as if that folder were a cache
    assert (theirs._below(tmp_path / "volume") / "unfinished").exists()


def test_a_link_in_the_place_of_scratch_is_not_swept(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/x").write_bytes(b"mine")
    (tmp_path / "scratch").symlink_to(tmp_path / "mine")
    Scratch(tmp_path / "scratch").sweep(())
    assert (tmp_path / "mine/x").exists()


@pytest.mark.parametrize("mine", ["", "thesis.txt", "extract"])
def test_unfinished_work_of_an_earlier_version_is_taken_over_from_a_folder_with_nothing_else(tmp_path, mine):
    earlier, scratch = tmp_path / "cache/tmp", Scratch(tmp_path / "cache/.earmark-tmp", (tmp_path / "data",), "0" * 32)
    (earlier / "extract-x-a.tar").mkdir(parents=True)
    names = {"extract-x-a.tar", "journal-x-0000.jsonl", "0123456789ab.jsonl", *filter(None, [mine])}
    for name in names - {"extract-x-a.tar"}:
        (earlier / name).write_bytes(b"")
    elsewhere = tmp_path / "data/.earmark-tmp" / hash_bytes(str(earlier).encode())[:8]
    elsewhere.mkdir(parents=True)
    scratch.adopt(earlier)
    taken = set() if mine else names
    assert {path.name for path in earlier.iterdir()} == names - taken
    assert {path.name for path in scratch.tmp.glob("*")} == taken
    assert elsewhere.exists() == bool(mine)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DiskFullError, match="cannot be written"):
        files.make_folder(tmp_path / "file" / "below")


def test_what_an_unfinished_run_left_is_found_where_scratch_lies(tmp_path, scratch):
    assert scratch.find("x", tmp_path / "data") is None
    (scratch.folder(tmp_path / "data") / "x").mkdir()
    assert scratch.find("x", tmp_path / "data") == scratch.tmp / "x"


@pytest.mark.skipif(sys.platform != "linux", reason="what Linux says of its file systems")
def test_blocks_are_shared_neither_between_volumes_nor_where_the_file_system_cannot(tmp_path):
    assert not may_share_blocks(Path("/proc"), Path("/proc"))
    assert not may_share_blocks(tmp_path / "not" / "there", Path("/proc"))
