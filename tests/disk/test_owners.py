"""Owners: no folder is written to, swept or emptied that another collection, or somebody else, has its files in."""

import shutil

import pytest

from earmark.catalog.project import CACHE_NAMES, open_project
from earmark.disk.files import Scratch
from earmark.disk.owners import OWNER_NAME, mark_cache, read_mark, require_own_cache, take
from earmark.errors import ForeignError


@pytest.fixture
def scratch(tmp_path):
    return Scratch(tmp_path / "scratch")


def catalog_in(folder, name="datasets.toml"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("")
    return folder / name


def owner_in(folder, scratch):
    return mark_cache(folder / "cache", catalog_in(folder), scratch)


def test_a_cache_may_be_a_fresh_folder_or_one_that_holds_what_earmark_makes(tmp_path, scratch):
    catalog = catalog_in(tmp_path / "home")
    cache = tmp_path / "home/cache"
    require_own_cache(cache, catalog, CACHE_NAMES)
    cache.mkdir()
    for name in ("CACHEDIR.TAG", "state.db", "run.lock"):
        (cache / name).write_bytes(b"")
    require_own_cache(cache, catalog, CACHE_NAMES)
    mark_cache(cache, catalog, scratch)
    (cache / "anything").write_bytes(b"")
    require_own_cache(cache, catalog, CACHE_NAMES)


def test_a_folder_of_somebody_else_is_no_cache(tmp_path):
    catalog = catalog_in(tmp_path / "home")
    (tmp_path / "home/tmp").mkdir()
    with pytest.raises(ForeignError, match=r"1 other entries \(such as datasets.toml\). Name another paths.cache"):
        require_own_cache(tmp_path / "home", catalog, CACHE_NAMES)


def test_a_cache_of_an_earlier_version_is_known_by_its_receipts(tmp_path):
    catalog = catalog_in(tmp_path / "home")
    (tmp_path / "home/receipts").mkdir()
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
    after = mark_cache(tmp_path / "moved/cache", tmp_path / "moved/datasets.toml", scratch)
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
    assert mark_cache(tmp_path / "ours/cache", second, scratch).cache == before.cache


def test_what_one_collection_made_is_no_place_for_another(tmp_path, scratch):
    ours, theirs = owner_in(tmp_path / "ours", scratch), owner_in(tmp_path / "theirs", scratch)
    place = tmp_path / "shared/x"
    for _ in range(2):
        take(place, ours, scratch, made_here=False, name="paths.standard")
    with pytest.raises(ForeignError, match=r"made by .*ours/datasets.toml. Name another paths.standard"):
        take(place, theirs, scratch, made_here=False, name="paths.standard")
    with pytest.raises(ForeignError):
        take(place, theirs, scratch, made_here=True, name="paths.standard")
    assert read_mark(place) == ours


def test_a_collection_whose_cache_was_deleted_finds_its_files_again(tmp_path, scratch):
    before = owner_in(tmp_path / "ours", scratch)
    take(tmp_path / "shared/x", before, scratch, made_here=False, name="paths.standard")
    shutil.rmtree(tmp_path / "ours/cache")
    after = owner_in(tmp_path / "ours", scratch)
    assert after.cache != before.cache
    take(tmp_path / "shared/x", after, scratch, made_here=False, name="paths.standard")
    assert read_mark(tmp_path / "shared/x") == after


def test_files_that_nobody_made_here_are_not_written_among(tmp_path, scratch):
    owner = owner_in(tmp_path / "ours", scratch)
    (tmp_path / "x").mkdir()
    (tmp_path / "x/mine.flac").write_bytes(b"mine")
    with pytest.raises(ForeignError, match="did not make"):
        take(tmp_path / "x", owner, scratch, made_here=False, name="paths.standard")
    take(tmp_path / "x", owner, scratch, made_here=True, name="paths.standard")  # as earlier versions left it
    assert (tmp_path / "x" / OWNER_NAME).exists()


def test_every_folder_that_a_project_makes_in_its_cache_is_known_by_name(collection):
    project = open_project(collection.home / "datasets.toml")
    places = [
        project.receipt("a", "b"), project.members("a", "b"), project.shard_list("a", "b"), project.watch_list("a"),
        project.findings("a"), project.table("a", "b"), project.quarantine("a"), project.defects("a"),
        project.features("a"), project.scratch.tmp,
    ]  # fmt: skip
    assert {place.relative_to(project.cache).parts[0] for place in places} <= CACHE_NAMES
