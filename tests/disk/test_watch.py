import os

import pytest

from earmark.disk import watch
from earmark.disk.watch import compare, take


@pytest.fixture
def tree(tmp_path):
    for name in ("a/1", "a/2", "b/3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"data")
    return tmp_path


@pytest.mark.parametrize("mode", ["files", "folders"])
def test_an_untouched_tree_shows_no_change(tree, mode):
    assert compare(tree, take(tree, mode)).words("x") == ""


def test_an_edit_with_its_old_mtime_and_size_shows(tree):
    snapshot = take(tree, "files")
    before = (tree / "a/1").stat()
    (tree / "a/1").write_bytes(b"DATA")
    os.utime(tree / "a/1", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert compare(tree, snapshot).changed == ["a/1"]


@pytest.mark.parametrize("mode", ["files", "folders"])
def test_files_that_come_and_go_show(tree, mode):
    snapshot = take(tree, mode)
    (tree / "a/new").write_bytes(b"")
    (tree / "b/3").unlink()
    changes = compare(tree, snapshot)
    assert changes.new + changes.changed + changes.gone != []
    if mode == "files":
        assert (changes.new, changes.gone) == (["a/new"], ["b/3"])
        assert "1 new (such as a/new), 1 gone (such as b/3)" in changes.words("files")


def test_a_new_folder_deep_in_a_tree_shows_in_folder_mode(tree):
    snapshot = take(tree, "folders")
    (tree / "a/c/d").mkdir(parents=True)
    assert compare(tree, snapshot).changed == ["a"]


def test_a_large_tree_is_watched_by_its_folders(tree, monkeypatch):
    monkeypatch.setattr(watch, "FILES_LIMIT", 2)
    assert take(tree, "auto").mode == "folders"
    assert take(tree, "files").mode == "files"


def test_archives_and_scratch_folders_are_not_the_corpus(tree):
    (tree / ".earmark-tmp").mkdir()
    (tree / "books.tar.gz").write_bytes(b"")
    assert sorted(take(tree, "files", {"books.tar.gz"}).entries) == ["a/1", "a/2", "b/3"]


def test_a_snapshot_survives_the_disk(tree, tmp_path):
    snapshot = take(tree, "files")
    (tmp_path / "s.json").write_bytes(watch.dump(snapshot))
    assert watch.load(tmp_path / "s.json") == snapshot
    (tmp_path / "s.json").write_bytes(b'{"mode"')
    assert watch.load(tmp_path / "s.json") is None
