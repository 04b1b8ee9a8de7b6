"""Volumes: a folder that is another one than when the run began is written to no more."""

import os

import pytest

from earmark.disk import volumes
from earmark.disk.files import Scratch, publish
from earmark.disk.volumes import Volumes, mounted_below
from earmark.errors import AbsentError


def unmount(folder):
    """Put an empty folder in a folder's place, as the mount point is that a volume leaves."""
    folder.rename(folder.with_name(f"{folder.name}-elsewhere"))
    folder.mkdir()


@pytest.fixture
def scratch(tmp_path):
    for name in ("cache", "manifests"):
        (tmp_path / name).mkdir()
    seen = Volumes.of([tmp_path / "cache", tmp_path / "manifests", tmp_path / "standard"])
    return Scratch(tmp_path / "cache/scratch", volumes=seen)


def test_nothing_is_published_under_a_mount_point_and_the_folder_is_named(tmp_path, scratch):
    publish(tmp_path / "manifests/a", b"1", scratch)
    unmount(tmp_path / "manifests")
    with pytest.raises(AbsentError, match=r"/manifests: not the folder that it was .* mount it, and run again"):
        publish(tmp_path / "manifests/deep/b", b"2", scratch)
    assert list((tmp_path / "manifests").iterdir()) == []


def test_scratch_is_not_begun_anew_under_a_mount_point(tmp_path, scratch):
    unmount(tmp_path / "cache")
    with pytest.raises(AbsentError):
        scratch.new(tmp_path / "manifests/a")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_that_is_gone_is_not_made_again(tmp_path, scratch):
    (tmp_path / "manifests").rmdir()
    with pytest.raises(AbsentError):
        publish(tmp_path / "manifests/a", b"1", scratch)
    assert not (tmp_path / "manifests").exists()


def test_a_folder_that_was_missing_is_made_unless_the_one_above_it_is_another_by_now(tmp_path, scratch):
    publish(tmp_path / "standard/x/a", b"1", scratch)
    unmount(tmp_path)
    tmp_path.joinpath("cache").mkdir()
    with pytest.raises(AbsentError):
        scratch.volumes.require(tmp_path / "standard/x/b")
    with pytest.raises(AbsentError):
        scratch.volumes.require_all()


def test_a_link_to_a_volume_is_looked_through(tmp_path):
    (tmp_path / "volume").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "volume")
    seen = Volumes.of([tmp_path / "data"])
    seen.require(tmp_path / "data/x")
    unmount(tmp_path / "volume")
    with pytest.raises(AbsentError, match="/data: "):
        seen.require(tmp_path / "data/x")


def test_a_path_in_no_folder_of_the_catalog_is_nobody_s_volume(tmp_path, scratch):
    scratch.volumes.require(tmp_path.parent / "elsewhere")


def test_what_is_mounted_in_a_tree_is_named_but_not_what_the_tree_is_on(tmp_path, monkeypatch):
    table = tmp_path / "mountinfo"
    place = os.fspath(tmp_path)
    table.write_text(
        f"1 1 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / {place}/tree rw - ext4 /dev/b rw\n"
        f"3 2 8:3 / {place}/tree/a\\040b rw - ext4 /dev/c rw\n4 2 8:3 / {place}/tree-2/x rw - ext4 /dev/c rw\n"
    )
    monkeypatch.setattr(volumes, "MOUNTS", table)
    assert mounted_below(tmp_path / "tree") == [tmp_path / "tree/a b"]
    table.unlink()
    assert mounted_below(tmp_path / "tree") == []
