"""Random damage to every kind of state file of a finished collection never ends in a wrong product with exit 0."""

import os

import orjson
import pytest
from support import state_flips

from earmark.disk import watch
from earmark.disk.files import Scratch
from earmark.disk.owners import Owner, mark_cache, owner_of, read_mark

SEEDS = range(0, 1000, 40)  # as many as take a few seconds; benchmarks/state_flips.py tries more


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    return state_flips.Subject(tmp_path_factory.mktemp("flips"))


def damaged(subject, relative: str, change) -> None:
    """Change a file in place, its times put back as far as a program can."""
    (path,) = subject.home.glob(relative)
    status = path.stat()
    data = bytearray(path.read_bytes())
    path.write_bytes(change(data))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def flip(data: bytearray, at: int = -3) -> bytearray:
    data[at] ^= 1
    return data


def test_random_damage_is_mended_by_the_next_run_or_found_by_verify_and_then_mended(subject):
    outcomes = [subject.trial(seed) for seed in SEEDS]
    assert [fault for _, fault in outcomes if fault] == []
    assert sum(outcome == "healed" for outcome, _ in outcomes) > len(SEEDS) // 2


@pytest.mark.parametrize(
    "relative",
    [
        "data/standard/books/train-clean-100/1/10/1-10-0001.flac.wav",
        "cache/features/small-*/packs/books-0000-*.zarr/zarr.json",
        "cache/features/small-*/packs/books-0000-*.zarr/audio_hash/c/0/0",
        "cache/features/small-*/packs/books-0000-*.zarr/offsets/c/0",
        "cache/features/small-*/packs/books-0000-*.zarr/frames/zarr.json",
        "manifests/jobs/asr/train.jsonl",
        "manifests/jobs/asr/summary.txt",
        "cache/members/books/books.tar.jsonl",
        "cache/findings/books.jsonl",
    ],
)
def test_what_was_touched_is_noticed_by_a_run_and_verify_is_clean_right_after_it(subject, relative):
    damaged(subject, relative, lambda data: flip(data) if data else b"{}\n")
    assert state_flips.run_all(subject.home) == []
    assert state_flips.products(subject.home) == subject.reference
    assert state_flips.verify_all(subject.home) == (0, state_flips.verify_all(subject.home)[1])


@pytest.mark.parametrize(
    ("relative", "change"),
    [
        ("cache/features/small-*/packs/books-0000-*.zarr/frames/c/0/0", flip),
        ("cache/receipts/standardize/books/0001.json", flip),
        ("cache/receipts/extract/books/books.tar.json", flip),
        ("cache/receipts/job/asr.json", flip),
        ("cache/watch/talks.json", lambda data: data.replace(b'"entries"', b'"entrjes"')),
        ("cache/audio/books/0000.jsonl", flip),
        ("cache/shards/talks/0000.jsonl", flip),
        ("cache/quarantine/talks.jsonl", flip),
        ("manifests/jobs/asr/summary.json", flip),
        ("manifests/features/small/talks.jsonl", flip),
    ],
)
def test_verify_finds_what_a_product_was_made_from_and_is_clean_after_the_run_that_mends_it(subject, relative, change):
    damaged(subject, relative, change)
    found, said = state_flips.verify_all(subject.home)
    assert found == 1 and relative.rpartition("/")[0].split("*")[0] in said
    assert state_flips.run_all(subject.home) == []
    assert state_flips.products(subject.home) == subject.reference
    assert state_flips.verify_all(subject.home)[0] == 0


def test_verify_makes_a_damaged_index_again_and_counts_it(subject):
    import sqlite3

    (index,) = subject.home.glob("cache/features/small-*/index.db")
    for statement in ("update held set row = row + 1", "delete from held where row = 0", "update packs set seal = 'x'"):
        with sqlite3.connect(index) as database:
            database.execute(statement)
        database.close()
        found, said = state_flips.verify_all(subject.home)
        assert found == 1 and "It was made again from the packs" in said
        assert state_flips.verify_all(subject.home)[0] == 0
    assert state_flips.run_all(subject.home) == []
    assert state_flips.products(subject.home) == subject.reference


def test_verify_goes_on_after_a_lost_receipt_of_scan_and_counts_every_damage(subject):
    damaged(subject, "cache/receipts/scan/books.json", flip)
    damaged(subject, "cache/audio/books/0001.jsonl", flip)
    damaged(subject, "manifests/books_train.jsonl", flip)
    found, said = state_flips.verify_all(subject.home)
    assert found == 3, said
    assert state_flips.run_all(subject.home) == []
    assert state_flips.products(subject.home) == subject.reference
    assert state_flips.verify_all(subject.home)[0] == 0


def test_a_changed_mark_names_no_other_collection(tmp_path):
    scratch = Scratch(tmp_path / "tmp")
    owner = mark_cache(tmp_path, owner_of(tmp_path, tmp_path / "datasets.toml"), scratch)
    assert read_mark(tmp_path) == owner
    (mark,) = tmp_path.glob(".earmark-owner")
    whole = mark.read_bytes()
    for at in range(len(whole)):
        for bit in (1, 128):
            mark.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
            assert read_mark(tmp_path) in (None, owner)
    plain = {name: getattr(owner, name) for name in ("cache", "folder", "catalog")}
    mark.write_bytes(orjson.dumps(plain))
    assert read_mark(tmp_path) == Owner(**plain)


def test_a_changed_watch_list_is_as_good_as_none(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    snapshot = watch.take(tmp_path, "files")
    whole = watch.dump(snapshot)
    for at in range(len(whole)):
        for bit in (1, 128):
            (tmp_path / "list").write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
            assert watch.load(tmp_path / "list") in (None, snapshot)
