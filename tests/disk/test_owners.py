"""Owners: no folder is written to, swept or emptied that another collection, or somebody else, has its files in."""

import shutil

import msgspec
import pytest

from earmark.catalog.project import CACHE_NAMES, open_project
from earmark.disk.files import Scratch
from earmark.disk.owners import OWNER_NAME, mark_cache, owner_of, read_mark, require_own_cache, take, users_of
from earmark.disk.receipts import Receipt, publish_receipt
from earmark.errors import CatalogError, ForeignError

RECEIPT = Receipt("scan", 1, "0" * 32, {}, msgspec.defstruct("Nothing", [])(), {}, 0.0)


@pytest.fixture
def scratch(tmp_path):
    return Scratch(tmp_path / "scratch")


def catalog_in(folder, name="datasets.toml"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("")
    return folder / name


def marked(cache, catalog, scratch):
    return mark_cache(cache, owner_of(cache, catalog), scratch)


def owner_in(folder, scratch):
    return marked(folder / "cache", catalog_in(folder), scratch)


def test_a_cache_may_be_a_fresh_folder_or_one_that_holds_what_earmark_makes(tmp_path, scratch):
    catalog = catalog_in(tmp_path / "home")
    cache = tmp_path / "home/cache"
    require_own_cache(cache, catalog, CACHE_NAMES)
    cache.mkdir()
    for name in ("CACHEDIR.TAG", "state.db", "run.lock"):
        (cache / name).write_bytes(b"")
    require_own_cache(cache, catalog, CACHE_NAMES)
    marked(cache, catalog, scratch)
    (cache / "anything").write_bytes(b"")
    require_own_cache(cache, catalog, CACHE_NAMES)


def test_a_folder_of_somebody_else_is_no_cache(tmp_path):
    catalog = catalog_in(tmp_path / "home")
    (tmp_path / "home/tmp").mkdir()
    with pytest.raises(ForeignError, match=r"1 other entries \(such as datasets.toml\). Name another paths.cache"):
        require_own_cache(tmp_path / "home", catalog, CACHE_NAMES)


def test_a_cache_of_an_earlier_version_is_known_by_its_receipts(tmp_path, scratch):
    catalog = catalog_in(tmp_path / "home")
    publish_receipt(tmp_path / "home/receipts/scan/x.json", RECEIPT, scratch)
    (tmp_path / "home/audio").mkdir()
    (tmp_path / "home/audio/0000.jsonl").write_bytes(b"{}")
    require_own_cache(tmp_path / "home", catalog, CACHE_NAMES)


def test_the_cache_of_a_catalog_elsewhere_is_refused_by_that_name(tmp_path, scratch):
    owner_in(tmp_path / "ours", scratch)
    theirs = catalog_in(tmp_path / "theirs")
    with pytest.raises(ForeignError, match=r"it is the cache of .*ours/datasets.toml"):
        require_own_cache(tmp_path / "ours/cache", theirs, CACHE_NAMES)


def test_a_collection_that_was_moved_keeps_its_cache_and_its_id(tmp_path, scratch):
    before = owner_in(tmp_path / "ours", scratch)
    (tmp_path / "ours").rename(tmp_path / "moved")
    require_own_cache(tmp_path / "moved/cache", tmp_path / "moved/datasets.toml", CACHE_NAMES)
    after = marked(tmp_path / "moved/cache", tmp_path / "moved/datasets.toml", scratch)
    assert (after.cache, after.catalog) == (before.cache, str(tmp_path / "moved/datasets.toml"))


def test_a_copy_of_a_collection_is_its_own(tmp_path, scratch):
    before = owner_in(tmp_path / "ours", scratch)
    take(tmp_path / "ours/standard/x", before, scratch, made_here=False, name="paths.standard")
    shutil.copytree(tmp_path / "ours", tmp_path / "copy")
    require_own_cache(tmp_path / "copy/cache", tmp_path / "copy/datasets.toml", CACHE_NAMES)
    after = owner_in(tmp_path / "copy", scratch)
    take(tmp_path / "copy/standard/x", after, scratch, made_here=False, name="paths.standard")


def test_a_second_catalog_of_the_same_folder_shares_the_cache(tmp_path, scratch):
    before = owner_in(tmp_path / "ours", scratch)
    second = catalog_in(tmp_path / "ours", "small.toml")
    require_own_cache(tmp_path / "ours/cache", second, CACHE_NAMES)
    assert marked(tmp_path / "ours/cache", second, scratch).cache == before.cache


def test_what_one_collection_made_is_no_place_for_another(tmp_path, scratch):
    ours, theirs = owner_in(tmp_path / "ours", scratch), owner_in(tmp_path / "theirs", scratch)
    place = tmp_path / "shared/x"
    for _ in range(2):
        take(place, ours, scratch, made_here=False, name="paths.standard")
    with pytest.raises(ForeignError, match=r"made by .*ours/datasets.toml. Name another paths.standard"):
        take(place, theirs, scratch, made_here=False, name="paths.standard")
    with pytest.raises(ForeignError):
        take(place, theirs, scratch, made_here=True, name="paths.standard")
    assert read_mark(place).cache == ours.cache


def test_a_collection_whose_cache_was_deleted_finds_its_files_again(tmp_path, scratch):
    before = owner_in(tmp_path / "ours", scratch)
    take(tmp_path / "shared/x", before, scratch, made_here=False, name="paths.standard")
    shutil.rmtree(tmp_path / "ours/cache")
    after = owner_in(tmp_path / "ours", scratch)
    assert after.cache != before.cache
    take(tmp_path / "shared/x", after, scratch, made_here=False, name="paths.standard")
    assert read_mark(tmp_path / "shared/x").cache == after.cache


def test_files_that_nobody_made_here_are_not_written_among(tmp_path, scratch):
    owner = owner_in(tmp_path / "ours", scratch)
    (tmp_path / "x").mkdir()
    (tmp_path / "x/mine.flac").write_bytes(b"mine")
    with pytest.raises(ForeignError, match="did not make"):
        take(tmp_path / "x", owner, scratch, made_here=False, name="paths.standard")
    take(tmp_path / "x", owner, scratch, made_here=True, name="paths.standard")  # as earlier versions left it
    assert (tmp_path / "x" / OWNER_NAME).exists()


@pytest.mark.parametrize("name", ["audio/0000.jsonl", "receipts/notes.json", "members/mine.txt", "run.lock"])
def test_somebody_s_files_in_the_places_of_a_cache_are_no_cache(tmp_path, name):
    catalog = catalog_in(tmp_path / "home")
    theirs = tmp_path / "theirs" / name
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"only copy")
    with pytest.raises(ForeignError, match=r"Name another paths.cache"):
        require_own_cache(tmp_path / "theirs", catalog, CACHE_NAMES)


def test_a_first_run_that_was_killed_left_a_cache(tmp_path):
    catalog, cache = catalog_in(tmp_path / "home"), tmp_path / "home/cache"
    (cache / "members/x").mkdir(parents=True)
    (cache / "members/x/a.tar.jsonl").write_bytes(b'{"path":"a.wav","size":1,"xxh3":"00"}\n')
    (cache / "run.lock").write_bytes(b"`doit extract:x` (process 1, since 10:00:00)\n")
    (cache / "receipts/scan").mkdir(parents=True)
    require_own_cache(cache, catalog, CACHE_NAMES)


def test_a_copy_that_writes_to_the_folder_of_the_original_is_told_apart(tmp_path, scratch):
    before = owner_in(tmp_path / "ours", scratch)
    take(tmp_path / "volume/x", before, scratch, made_here=False, name="paths.standard")
    shutil.copytree(tmp_path / "ours", tmp_path / "copy")
    copy = owner_in(tmp_path / "copy", scratch)
    assert copy.cache != before.cache
    with pytest.raises(ForeignError, match=r"ours/datasets.toml"):
        take(tmp_path / "volume/x", copy, scratch, made_here=True, name="paths.standard")
    assert owner_in(tmp_path / "ours", scratch) == before


def test_a_folder_whose_owner_is_gone_is_refused_with_what_to_do(tmp_path, scratch):
    take(tmp_path / "x", owner_in(tmp_path / "ours", scratch), scratch, made_here=False, name="paths.standard")
    shutil.rmtree(tmp_path / "ours")
    theirs = owner_in(tmp_path / "theirs", scratch)
    with pytest.raises(ForeignError, match=r"given up, delete .*/x/.earmark-owner"):
        take(tmp_path / "x", theirs, scratch, made_here=False, name="paths.standard")
    (tmp_path / "x" / OWNER_NAME).unlink()
    take(tmp_path / "x", theirs, scratch, made_here=False, name="paths.standard")


def test_a_cache_names_all_catalogs_that_use_it_wherever_it_was_moved(tmp_path, scratch):
    owner_in(tmp_path / "ours", scratch)
    marked(tmp_path / "ours/cache", catalog_in(tmp_path / "ours", "small.toml"), scratch)
    owner_in(tmp_path / "ours", scratch)
    (tmp_path / "ours").rename(tmp_path / "moved")
    owner_in(tmp_path / "moved", scratch)
    assert users_of(tmp_path / "moved/cache") == [tmp_path / "moved" / name for name in ("datasets.toml", "small.toml")]
    assert users_of(tmp_path / "nowhere") == []


@pytest.mark.parametrize("key", ["data", "standard", "manifests", "cache"])
def test_a_file_in_the_place_of_a_folder_is_refused_by_its_key_and_catalog(collection, key):
    catalog = collection.home / "mine.toml"
    catalog.write_text(f'[paths]\n{key} = "notes.txt"\n')
    (collection.home / "notes.txt").write_text("mine")
    with pytest.raises(CatalogError, match=rf"mine.toml: paths.{key}: .*notes.txt: expected a folder, got a file"):
        open_project(catalog).require_own_cache()
    (collection.home / "notes.txt").unlink()
    (collection.home / "notes.txt").symlink_to(collection.home / "absent")
    with pytest.raises(CatalogError, match="leads nowhere"):
        open_project(catalog).require_own_cache()


def test_every_folder_that_a_project_makes_in_its_cache_is_known_by_name(collection):
    project = open_project(collection.home / "datasets.toml")
    places = [
        project.receipt("a", "b"), project.members("a", "b"), project.shard_list("a", "b"), project.watch_list("a"),
        project.findings("a"), project.table("a", "b"), project.quarantine("a"), project.defects("a"),
        project.features("a"), project.scratch.tmp,
    ]  # fmt: skip
    assert {place.relative_to(project.cache).parts[0] for place in places} <= CACHE_NAMES
