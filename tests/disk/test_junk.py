import os

import pytest

from earmark.corpora._tree import audio_files
from earmark.disk import watch
from earmark.disk.files import Scratch
from earmark.disk.junk import LOCKS, SCRATCH_NAME, UNFINISHED, UNSEEN, is_counted, is_junk

LEFT = [
    ".DS_Store",
    "._a.wav",
    "Thumbs.db",
    "desktop.ini",
    "__MACOSX",
    ".cache",
    ".Trash-1000",
    ".git",
    "a.wav.lock",
    "a.wav.incomplete",
]


@pytest.mark.parametrize("name", LEFT)
def test_what_programs_leave_is_passed_over_by_readers(name, tmp_path):
    assert is_junk(name)
    (tmp_path / name).mkdir()
    (tmp_path / name / "b.wav").write_bytes(b"")
    (tmp_path / "c.wav").write_bytes(b"")
    assert list(audio_files(tmp_path)) == ["c.wav"]


@pytest.mark.parametrize(
    "name", ["a.wav", "a._b.wav", "lock", "MACOSX", "thumbs", "x.incomplete.wav", "...baby.wav", ".a.wav"]
)
def test_a_recording_is_no_junk_and_is_counted(name):
    assert not is_junk(name)
    assert is_counted(name)


def test_a_look_into_a_folder_is_no_edit_of_a_dataset(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"sound")
    before = watch.take(tmp_path, "files")
    for name in UNSEEN:
        (tmp_path / name).write_bytes(b"")
        assert not is_counted(name)
    assert watch.compare(tmp_path, before).words("x") == ""


def test_unfinished_files_of_our_own_are_never_part_of_a_tree(tmp_path):
    scratch = Scratch(tmp_path / "tmp", (tmp_path,))
    assert SCRATCH_NAME in scratch._below(tmp_path).parts
    assert SCRATCH_NAME in UNSEEN
    assert is_junk(SCRATCH_NAME)


def test_an_unfinished_download_is_counted_since_it_takes_space_and_someone_waits_for_it():
    assert all(is_counted(f"a.wav{ending}") for ending in (*UNFINISHED, *LOCKS))


def test_a_hidden_recording_is_found_and_other_hidden_files_are_not(tmp_path):
    (tmp_path / ".take two").mkdir()
    for name in ("...baby one more time.wav", ".completed", ".x.txt", ".take two/a.flac"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / os.fsdecode(b".\xff")).write_bytes(b"")
    assert list(audio_files(tmp_path)) == ["...baby one more time.wav", ".take two/a.flac"]
