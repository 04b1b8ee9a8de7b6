"""Damaged outputs are noticed and rebuilt alone; bad audio goes to quarantine and the rest of the shard finishes."""

import numpy as np
import pytest
import soundfile
from support.collection import RATE_HZ, Collection, decoded_features, done, pack_names, snapshot, speech, write_chapter

OUTPUTS = {
    "standard audio": "data/standard/books/**/1-10-0002.flac",
    "standardize receipt": "cache/receipts/standardize/books/0000.json",
    "scan receipt": "cache/receipts/scan/books.json",
    "features receipt": "cache/receipts/features/books/0001.json",
    "shard list": "cache/shards/books/0001.jsonl",
    "audio table": "cache/audio/books/0000.jsonl",
    "manifest": "manifests/books_train.jsonl",
    "feature manifest": "manifests/features/small/books.jsonl",
    "pack frames": "cache/features/small-*/packs/books-0000-*.zarr/frames/c/0/0",
    "pack hashes": "cache/features/small-*/packs/books-0000-*.zarr/audio_hash/c/0/0",
    "pack metadata": "cache/features/small-*/packs/books-0000-*.zarr/zarr.json",
}


def contents(home):
    """Return what a user has: manifests byte for byte, decoded standard audio, decoded features."""
    audio = {
        path: soundfile.read(path, dtype="int16")[0].tobytes() for path in (home / "data/standard").rglob("*.flac")
    }
    manifests = {path: path.read_bytes() for path in home.glob("manifests/*.jsonl")}
    features = {audio_hash: frames.tobytes() for audio_hash, frames in decoded_features(home)}
    return audio, manifests, features


@pytest.mark.parametrize("what", OUTPUTS)
def test_a_truncated_output_is_noticed_at_once_and_rebuilt(two_shards: Collection, what):
    before = contents(two_shards.home)
    path = next(two_shards.home.glob(OUTPUTS[what]))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "R" in two_shards.states().values()
    two_shards.doit("features:books")
    assert contents(two_shards.home) == before
    assert set(two_shards.states().values()) == {"U"}


@pytest.mark.parametrize(
    "what", ["standard audio", "pack frames", "pack hashes", "manifest", "audio table", "shard list"]
)
def test_a_flipped_bit_is_found_by_verify_and_rebuilt_alone(two_shards: Collection, what):
    before = contents(two_shards.home)
    path = next(two_shards.home.glob(OUTPUTS[what]))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    verified = two_shards.doit("verify", "books", check=False)
    assert verified.returncode == 1
    assert "damaged" in verified.stdout
    built = done(two_shards.doit("features:books"))
    assert contents(two_shards.home) == before
    other = "0000" if "0001" in str(path) or "1-10" in str(path) else "0001"  # dev-clean is read first
    assert f"standardize:books:{other}" not in built
    assert f"features:books:{other}" not in built
    assert two_shards.doit("verify", "books").returncode == 0


def test_verify_of_a_whole_collection_finds_nothing_and_changes_nothing(two_shards: Collection):
    before = snapshot(two_shards.home)
    verified = two_shards.doit("verify")
    assert ", 0 damaged" in verified.stdout
    assert snapshot(two_shards.home) == before


def test_verify_names_a_damaged_source_and_leaves_it_where_it_is(two_shards: Collection):
    path = next(two_shards.home.glob("data/books/**/1-10-0000.flac"))
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)
    verified = two_shards.doit("verify", "books", check=False)
    assert verified.returncode == 1
    assert "It is a source" in verified.stdout
    assert path.read_bytes() == data


def test_a_standard_file_rebuilt_after_damage_costs_one_decode_and_no_encoding(two_shards: Collection):
    packs = pack_names(two_shards.home)
    path = next(two_shards.home.glob(OUTPUTS["standard audio"]))
    path.write_bytes(path.read_bytes()[:100])
    two_shards.doit("features:books")
    assert two_shards.receipt("standardize", "books", "0001")["counts"]["decoded"] == 1
    assert pack_names(two_shards.home) == packs


def _bad(kind, path):
    good = path.read_bytes()
    samples = speech(1.0, 5)
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(good[: len(good) // 2])
    elif kind == "no samples":
        soundfile.write(path, samples[:0], RATE_HZ, format="WAV", subtype="PCM_16")
    elif kind == "not finite":
        values = samples / 32768.0
        values[100] = np.nan
        soundfile.write(path, values.astype("float32"), RATE_HZ, format="WAV", subtype="FLOAT")
    elif kind == "not audio":
        path.write_text("<!DOCTYPE html><html><body>404 Not Found</body></html>", "utf-8")
    elif kind == "undecodable":
        path.write_bytes(np.random.default_rng(3).bytes(5000))
    elif kind == "wrong header":
        soundfile.write(path, samples, RATE_HZ, format="WAV", subtype="PCM_16")
        data = bytearray(path.read_bytes())
        data[24:28] = (0).to_bytes(4, "little")
        path.write_bytes(data)
    elif kind == "corrupt":
        data = bytearray(good)
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
    elif kind == "git-lfs pointer":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "utf-8")


KINDS = (
    "empty",
    "truncated",
    "no samples",
    "not finite",
    "not audio",
    "undecodable",
    "wrong header",
    "corrupt",
    "git-lfs pointer",
)


def test_bad_audio_of_every_kind_goes_to_quarantine_with_its_reason_and_the_rest_finishes(collection: Collection):
    root = collection.add_dataset("books", max_bad=0.9)
    write_chapter(root, "1-10", {number: number for number in range(len(KINDS) + 3)})
    for number, kind in enumerate(KINDS):
        _bad(kind, root / "train-clean-100" / "1" / "10" / f"1-10-{number:04d}.flac")
    collection.doit("features:books")
    quarantined = {row["path"]: row for row in collection.rows("cache/quarantine/books.jsonl")}
    assert len(quarantined) == len(KINDS)
    for number, kind in enumerate(KINDS):
        row = quarantined[f"train-clean-100/1/10/1-10-{number:04d}.flac"]
        assert row["reason"], kind
        assert row["detail"], kind
        assert row["decoder"], kind
    assert len({row["reason"] for row in quarantined.values()}) >= 6
    assert len(collection.rows("manifests/books_train.jsonl")) == 3


def test_more_bad_audio_than_allowed_fails_the_dataset_with_examples(collection: Collection):
    root = collection.add_dataset("books")
    write_chapter(root, "1-10", {0: 1, 1: 2})
    (root / "train-clean-100/1/10/1-10-0000.flac").write_bytes(b"")
    failed = collection.doit("features:books", check=False)
    assert failed.returncode != 0
    assert (
        "1 of 2 recordings are bad, max_bad allows 0.10% (such as train-clean-100/1/10/1-10-0000.flac: empty)"
        in failed.stdout
    )
    assert not (collection.home / "manifests" / "books_train.jsonl").exists()


def test_a_mended_recording_leaves_quarantine(collection: Collection):
    root = collection.add_dataset("books", max_bad=0.9)
    write_chapter(root, "1-10", {0: 1, 1: 2})
    path = root / "train-clean-100/1/10/1-10-0000.flac"
    good = path.read_bytes()
    path.write_bytes(b"")
    collection.doit("features:books")
    path.write_bytes(good)
    collection.doit("features:books")
    assert collection.rows("cache/quarantine/books.jsonl") == []
    assert len(collection.rows("manifests/books_train.jsonl")) == 2


@pytest.mark.parametrize(
    ("stage", "old", "new"),
    [
        ("scan/books", b'"size_bytes": ', b'"size_bytes": 1'),
        ("standardize/books/0000", b'"bad": 0', b'"bad": 3'),
        ("manifest/books", b'"files": {', b'"flies": {'),
        ("features/books/0000", b'"packs": {', b'"pucks": {'),
        ("features/books", b'"rows": 8', b'"rows": 9'),
        ("extract/books", b'"outputs": {', b'"outputs": 5, "x": {'),
    ],
)
def test_a_receipt_that_is_still_json_but_not_what_was_sealed_is_made_again(two_shards: Collection, stage, old, new):
    before = contents(two_shards.home)
    path = two_shards.home / "cache" / "receipts" / f"{stage}.json"
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))
    assert "R" in two_shards.states().values()
    two_shards.doit("features:books")
    assert contents(two_shards.home) == before
    assert set(two_shards.states().values()) == {"U"}


@pytest.mark.parametrize("row", ["{{", "[1]"])
def test_a_damaged_row_of_the_state_database_is_as_good_as_none(two_shards: Collection, row):
    import sqlite3

    with sqlite3.connect(two_shards.home / "cache" / "state.db") as database:
        database.execute("update task set data = ?", (row,))
    assert set(two_shards.states().values()) == {"U"}
    assert done(two_shards.doit("features:books")) == []


def test_verify_checks_the_packs_that_were_made_whatever_the_catalog_says_now(two_shards: Collection):
    two_shards.encoder["window"] = "clip"
    two_shards.write_catalog()
    assert ", 0 damaged" in two_shards.doit("verify", "books").stdout
    path = next(two_shards.home.glob(OUTPUTS["pack frames"]))
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert ", 1 damaged" in two_shards.doit("verify", "books", check=False).stdout


def test_a_dataset_without_one_good_recording_is_an_error_whatever_is_allowed(collection: Collection):
    root = collection.add_dataset("books", max_bad=1.0)
    write_chapter(root, "1-10", {0: 1})
    (root / "train-clean-100/1/10/1-10-0000.flac").write_bytes(b"")
    failed = collection.doit("features:books", check=False)
    assert failed.returncode != 0
    assert "books: not one good recording in it" in failed.stdout


def test_levels_of_every_recording_are_kept(two_shards: Collection):
    rows = two_shards.rows("cache/audio/books/0000.jsonl")
    assert len(rows) == 4
    for row in rows:
        assert 0 < row["rms"] < row["peak"] <= 1
        assert {"clipped", "silence", "dc", "source_rate_hz", "source_channels", "decoder"} <= row.keys()


def test_a_cache_on_an_absent_volume_is_not_taken_for_a_fresh_one(two_shards):
    cache, away = two_shards.home / "cache", two_shards.home / "away"
    cache.rename(away)
    cache.mkdir()
    refused = two_shards.doit("features:books", check=False)
    assert refused.returncode and "cache: missing or empty, yet manifests/books_" in refused.stderr
    assert "Traceback" not in refused.stderr and not any(cache.iterdir())
    cache.rmdir()
    away.rename(cache)
    assert "0 done" in two_shards.doit("features:books").stdout
    cache.rename(away)
    (cache / "receipts").mkdir(parents=True)
    assert ", 0 reused" in two_shards.doit("manifest:books").stdout
