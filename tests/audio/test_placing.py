"""Standard files: what stands in the place of one is replaced only if earmark made it, and kept if it was changed."""

import os

import pytest

from earmark.audio import placing
from earmark.disk.files import Scratch
from earmark.disk.hashing import hash_bytes
from earmark.errors import ForeignError

NEW = bytes(range(1, 251)) * 20  # 5,000 bytes and none of them zero


@pytest.fixture
def scratch(tmp_path):
    return Scratch(tmp_path / "cache" / "scratch")


@pytest.fixture
def target(tmp_path):
    (tmp_path / "standard").mkdir()
    return tmp_path / "standard" / "a.flac"


def place(scratch, target, data=NEW, made=()):
    temporary = scratch.new(target)
    temporary.write_bytes(data)
    placing.place(temporary, target, [hash_bytes(one) for one in made], scratch)


def names(target):
    return sorted(path.name for path in target.parent.iterdir())


def test_a_file_that_was_never_made_stays_and_is_said(scratch, target):
    target.write_bytes(b"mine")
    with pytest.raises(ForeignError, match=r"a\.flac: a file that earmark did not make.* Move it away"):
        place(scratch, target)
    assert target.read_bytes() == b"mine"


@pytest.mark.parametrize("kind", ["link", "folder", "broken link"])
def test_a_link_or_a_folder_in_its_place_is_none_of_ours(scratch, target, tmp_path, kind):
    if kind == "folder":
        target.mkdir()
    else:
        target.symlink_to(tmp_path / "mine")
    if kind == "link":
        (tmp_path / "mine").write_bytes(NEW)
    with pytest.raises(ForeignError):
        place(scratch, target)
    assert target.is_symlink() or target.is_dir()


def test_what_a_row_says_was_made_is_replaced(scratch, target):
    target.write_bytes(b"old")
    place(scratch, target, made=[b"older", b"old"])
    assert (names(target), target.read_bytes()) == (["a.flac"], NEW)


def test_what_was_made_and_changed_since_is_kept_beside_the_new_one_and_said(scratch, target):
    for edit in (b"by hand", b"again by hand"):
        target.write_bytes(edit)
        place(scratch, target, made=[b"old"])
    assert target.read_bytes() == NEW
    assert {path.name: path.read_bytes() for path in placing.kept(scratch)} == {
        "a.flac.edited": b"by hand",
        "a.flac.edited-2": b"again by hand",
    }
    placing.forget(scratch)
    assert placing.kept(scratch) == []


@pytest.mark.parametrize(
    "left",
    [b"", NEW, NEW[:1234], bytes(5000), NEW[:1024] + bytes(2048) + NEW[3072:], NEW[:512] + bytes(100)],
    ids=["empty", "whole", "cut short", "zeros", "a hole", "a hole at its end"],
)
def test_what_a_killed_run_or_a_power_cut_left_of_the_same_file_is_replaced(scratch, target, left):
    target.write_bytes(left)
    place(scratch, target)
    assert (names(target), target.read_bytes()) == (["a.flac"], NEW)


@pytest.mark.parametrize("more", [b"x", bytes(7), NEW[-600:]])
def test_a_file_with_anything_that_the_new_one_lacks_stays(scratch, target, more):
    target.write_bytes(NEW + more if more.strip(b"\0") else NEW[:100] + more + NEW[107:])
    before = target.read_bytes()
    with pytest.raises(ForeignError):
        place(scratch, target)
    assert target.read_bytes() == before


def test_a_run_that_was_killed_before_its_row_goes_on_although_the_source_changed_meanwhile(scratch, target):
    place(scratch, target, b"made of the source as it was")
    place(scratch, target)
    assert (names(target), target.read_bytes()) == (["a.flac"], NEW)


def test_what_somebody_put_there_after_the_kill_stays(scratch, target):
    place(scratch, target, b"ours")
    mine = target.with_name("mine")
    mine.write_bytes(b"mine")
    os.utime(mine, ns=(target.stat().st_mtime_ns,) * 2)
    mine.replace(target)
    with pytest.raises(ForeignError):
        place(scratch, target)
    assert target.read_bytes() == b"mine"


def test_a_note_that_a_power_cut_tore_is_passed_over(scratch, target):
    place(scratch, target, b"ours")
    with (scratch.tmp / placing.NOTES).open("ab") as notes:
        notes.write(b'{"placed":[1,')
    place(scratch, target)
    assert target.read_bytes() == NEW
