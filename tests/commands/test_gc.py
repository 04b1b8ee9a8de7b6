"""doit gc: what nothing names any more is listed, and deleted with --yes; what is named, or not ours, stays."""

import re
import shutil
from pathlib import Path

import pytest
from support import state_flips
from support.collection import Collection, snapshot
from support.runs import open_run

from earmark.errors import CatalogError
from tasks.audit import audit
from tasks.gc import gc, orphans

CATALOG = "datasets.toml"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A finished collection of two datasets, with a joint manifest and a job. Copy it."""
    home = tmp_path_factory.mktemp("gc") / "collection"
    state_flips.write_collection(home)
    assert state_flips.run_all(home) == []
    return home


@pytest.fixture
def home(kept, tmp_path):
    return state_flips.copy_of(kept, tmp_path / "collection")


def collect(home: Path, *, yes=False, catalog=CATALOG):
    """Collect; return files by kind and name, as they were listed, and the notes."""
    run = open_run(home / catalog)
    found = orphans.find(run)
    gc.collect(run, yes=yes)
    run.project.memo.close()
    return {(one.kind, one.of): len(one.files) for one in found.orphans}, found.notes


def edit(home: Path, old: str, new: str, count=0):
    path = home / CATALOG
    text = re.sub(old, new, path.read_text("utf-8"), count=count)
    assert text != path.read_text("utf-8")
    path.write_text(text, "utf-8")


def drop(home: Path, dataset="talks"):
    """Take a dataset out of the catalog, and out of the joint manifest and the job."""
    edit(home, rf"\[datasets\.{dataset}\]\n([^\[].*\n)+", "")
    edit(home, rf', "{dataset}"', "")


def without_databases(files):
    """Leave SQLite's files out: an index that a run left open is closed whenever Python gets to it."""
    return {path: stat for path, stat in files.items() if ".db" not in path.name}


def test_a_finished_collection_has_no_orphans(home):
    assert collect(home) == ({}, [])
    assert audit.audit_disk(open_run(home / CATALOG), [], deep=False).orphans == {}


def test_what_a_renamed_dataset_leaves_is_listed_and_only_yes_deletes_it(home, capsys):
    raw = {path: path.read_bytes() for path in (home / "data/books").rglob("*") if path.is_file()}
    edit(home, r"\[datasets\.books\]", '[datasets.novels]\nfolder = "books"')
    edit(home, '"books", "talks"', '"novels", "talks"')
    assert state_flips.run_all(home) == []
    before, products = snapshot(home), state_flips.products(home)
    listed, _ = collect(home)
    assert (
        without_databases(snapshot(home)) == without_databases(before)
        and "Nothing was deleted" in capsys.readouterr().out
    )
    assert listed == {
        ("standard audio", "books"): 8,
        ("lists and tables", "books"): 8,
        ("manifests", "books"): 3,
        ("receipts", "books"): 8,
    }
    counted = audit.audit_disk(open_run(home / CATALOG), [], deep=False).orphans
    assert counted["standard audio"]["files"] == 8 and counted["standard audio"]["bytes"] > 8 * 6_400
    collect(home, yes=True)
    left = {path for path in home.rglob("*") if "books" in str(path.relative_to(home))}
    kept = re.compile(r"data/books.*|cache/(members|receipts/extract)/.*|cache/features/[^/]+/packs/.*")
    assert [path for path in left if not kept.fullmatch(path.relative_to(home).as_posix())] == []
    assert {path: path.read_bytes() for path in raw} == raw
    gone = {name for name in products if name not in state_flips.products(home)}
    assert all("books" in name for name in gone)
    assert state_flips.verify_all(home)[0] == 0
    assert state_flips.run_all(home) == [] and collect(home) == ({}, [])


def test_packs_of_a_former_encoder_go_once_no_receipt_names_them(home):
    (old,) = home.glob("cache/features/small-*")
    edit(home, r'kind = "mel"', 'kind = "mel"\nn_mels = 128')
    assert collect(home)[0] == {}, "receipts still name them"
    assert state_flips.run_all(home) == []
    n_packs = len(list(old.glob("packs/*")))
    assert collect(home, yes=True)[0] == {("packs", old.name): n_packs}
    assert not old.exists()
    assert state_flips.products(home) and state_flips.verify_all(home)[0] == 0


def test_packs_of_an_encoder_whose_model_is_not_here_stay(home):
    edit(home, r'\[encoders\.small\]\nkind = "mel"', '[encoders.small]\nmodel = "nobody/whisper-none"')
    shutil.rmtree(home / "cache/receipts/features")
    listed, notes = collect(home)
    assert not any(kind == "packs" for kind, _ in listed) and "its model cannot be read now" in notes[0]


def test_what_another_catalog_of_the_cache_names_is_no_orphan(home):
    shutil.copy(home / CATALOG, home / "other.toml")
    drop(home)
    assert collect(home) == ({}, [])
    (home / "other.toml").unlink()
    assert ("standard audio", "talks") in collect(home)[0]


def test_a_catalog_of_the_cache_that_cannot_be_read_stops_gc(home, monkeypatch):
    drop(home)
    (home / "other.toml").write_text("[datasets", "utf-8")
    monkeypatch.setattr("tasks.gc.named.users_of", lambda cache: [home / CATALOG, home / "other.toml"])
    with pytest.raises(CatalogError, match=r"other\.toml shares this cache and cannot be read"):
        collect(home, yes=True)
    (home / "other.toml").unlink()
    assert "this catalog shared the cache and is gone" in collect(home)[1][0]


@pytest.mark.parametrize("folder", ["data/standard", "manifests"])
def test_nothing_of_a_dataset_goes_while_a_volume_with_files_of_it_is_absent(home, folder):
    drop(home)
    (home / folder).rename(home / "away")
    (home / folder).mkdir()
    before = snapshot(home)
    listed, notes = collect(home, yes=True)
    assert not any(of == "talks" for _, of in listed) and "not mounted?" in notes[0]
    assert snapshot(home).keys() == before.keys()
    (home / folder).rmdir()
    (home / "away").rename(home / folder)
    assert ("standard audio", "talks") in collect(home)[0]


def test_what_is_not_as_it_was_made_and_what_is_the_users_own_stays(home, capsys):
    drop(home)
    manifest = home / "manifests/talks_train.jsonl"
    manifest.write_bytes(manifest.read_bytes() + b"\n")
    standard = sorted((home / "data/standard/talks").rglob("*.wav"))
    edited = bytearray(standard[0].read_bytes())
    edited[-1] ^= 1
    standard[0].write_bytes(edited)
    own = [home / "data/standard/talks/notes.txt", home / "cache/audio/talks/notes.txt", home / "cache/damaged/mine"]
    for path in own:
        path.parent.mkdir(exist_ok=True)
        path.write_text("only copy", "utf-8")
    collect(home, yes=True)
    assert "kept, as they were changed since they were made: 2 files" in capsys.readouterr().out
    assert manifest.exists() and standard[0].read_bytes() == edited and not standard[1].exists()
    assert [path.read_text("utf-8") for path in own] == ["only copy"] * 3


def test_a_gc_that_was_interrupted_leaves_nothing_that_is_believed_and_the_next_one_finishes(home, monkeypatch):
    drop(home)
    first = gc._delete_files
    calls = []

    def killed(project, orphan):
        calls.append(orphan)
        if len(calls) > 1:
            raise KeyboardInterrupt
        first(project, orphan)

    monkeypatch.setattr(gc, "_delete_files", killed)
    with pytest.raises(KeyboardInterrupt):
        collect(home, yes=True)
    assert not (home / "cache/receipts/standardize/talks.json").exists()
    monkeypatch.undo()
    assert state_flips.run_all(home) == []
    listed, _ = collect(home, yes=True)
    assert ("lists and tables", "talks") in listed and ("receipts", "talks") in listed
    assert collect(home) == ({}, []) and not (home / "cache/orphans").exists()


def test_a_dataset_that_comes_back_after_an_interrupted_gc_is_made_anew_and_stays(home, monkeypatch):
    catalog = (home / CATALOG).read_text("utf-8")
    before = state_flips.products(home)
    drop(home)
    monkeypatch.setattr(gc, "_delete_files", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        collect(home, yes=True)
    monkeypatch.undo()
    (home / CATALOG).write_text(catalog, "utf-8")
    assert state_flips.run_all(home) == []
    collect(home, yes=True)
    assert state_flips.products(home) == before and state_flips.verify_all(home)[0] == 0
    assert not (home / "cache/orphans").exists()


def test_a_pack_of_a_run_that_was_killed_before_its_receipt_stays(home):
    for receipt in [home / "cache/receipts/features/books/0001.json", home / "cache/receipts/features/talks/0000.json"]:
        receipt.unlink()
    assert collect(home) == ({}, [])


def test_what_verify_set_aside_is_an_orphan(home):
    path = home / "manifests/books_train.jsonl"
    path.write_bytes(path.read_bytes()[:-2])
    assert state_flips.verify_all(home)[0] == 1
    assert state_flips.run_all(home) == []
    assert collect(home, yes=True)[0] == {("set aside as damaged", "all datasets"): 1}
    assert collect(home)[0] == {}


@pytest.mark.slow
def test_doit_gc_lists_and_deletes(home):
    drop(home)
    made = Collection(home)
    assert "standard audio of talks: 3 files" in made.doit("gc").stdout
    assert made.doit("gc", "talks", check=False).returncode == 3
    assert "bytes freed" in made.doit("gc", "--yes").stdout
    assert "nothing: all that earmark made is named" in made.doit("gc").stdout
