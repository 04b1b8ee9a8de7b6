"""An archive that a newer one replaces: what the newer one lacks leaves the tree, and nothing is lost."""

import os

import pytest
from support.archive_samples import contents, pack
from support.collection import Collection
from support.runs import open_run

from earmark.archives import withdrawn
from earmark.disk.junk import WITHDRAWN_NAME
from tasks.engine.judge import perform
from tasks.engine.units import Unit
from tasks.stages import extract

OLD = {"tree/a.wav": b"a" * 900, "tree/b.wav": b"b" * 900, "tree/sub/c.wav": b"c" * 900}
NEW = {"tree/a.wav": b"a" * 900, "tree/d.wav": b"d" * 900}


@pytest.fixture
def folder(tmp_path):
    made = Collection(tmp_path / "home")
    made.datasets = {"books": {"corpus": "librispeech", "archives": [{"file": "x.tar"}, {"file": "y.tar"}]}}
    made.write_catalog()
    folder = made.home / "data/books"
    folder.mkdir(parents=True)
    (folder / "y.tar").write_bytes(pack({"tree/y.wav": b"y" * 900}))
    return folder


def extracted(folder, files):
    """Put an archive in place, and extract; return what was noted, and what is in the tree and what beside it."""
    (folder / "x.tar").write_bytes(pack(files))
    run = open_run(folder.parents[1] / "datasets.toml")
    notes = []
    run.log.note = notes.append
    failed = perform(run, extract.RULE, Unit("extract", "books"))
    assert failed is None, failed
    aside = {name.split("/", 2)[2]: data for name, data in contents(folder).items() if name.startswith(WITHDRAWN_NAME)}
    return notes, contents(folder / "tree"), aside


def test_members_that_the_newer_archive_lacks_are_told_and_moved_out_of_the_tree(folder):
    extracted(folder, OLD)
    notes, tree, aside = extracted(folder, NEW)
    assert sorted(tree) == ["a.wav", "d.wav", "y.wav"]
    assert aside == {name: OLD[name] for name in ("tree/b.wav", "tree/sub/c.wav")}
    assert any("2 members of the archive that it replaces are not in it (such as tree/b.wav)" in note for note in notes)
    assert not list((folder.parents[1] / "cache/members/books").glob("*.before"))


def test_one_that_was_changed_or_that_another_archive_has_stays(folder):
    extracted(folder, OLD | {"tree/y.wav": b"y" * 900})
    (folder / "tree/b.wav").write_bytes(b"by hand")
    notes, tree, aside = extracted(folder, NEW)
    assert sorted(tree) == ["a.wav", "b.wav", "d.wav", "y.wav"]
    assert list(aside) == ["tree/sub/c.wav"]
    assert any("were changed in the tree (such as tree/b.wav): they stay" in note for note in notes)


def test_a_run_that_is_killed_before_they_left_leaves_that_to_the_next(folder, monkeypatch):
    extracted(folder, OLD)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(withdrawn, "move_aside", killed)
        extracted(folder, NEW)
    _, tree, aside = extracted(folder, NEW)
    assert sorted(tree) == ["a.wav", "d.wav", "y.wav"]
    assert sorted(aside) == ["tree/b.wav", "tree/sub/c.wav"]


def test_the_same_archive_again_moves_nothing(folder):
    extracted(folder, OLD)
    os.utime(folder / "x.tar", (1, 1))
    notes, _, aside = extracted(folder, OLD)
    assert aside == {}
    assert not [note for note in notes if "replaces" in note]
