"""Nothing is computed twice: what runs, and what does not, after each kind of change."""

import os
import shutil
import tarfile

import numpy as np
import soundfile
from support.collection import RATE_HZ, Collection, decoded_features, done, pack_names, snapshot, speech, write_chapter


def test_a_second_run_executes_and_writes_nothing(two_shards: Collection):
    before = snapshot(two_shards.home)
    second = two_shards.doit("features:books")
    assert done(second) == []
    assert "0 done" in second.stdout
    assert "0 failed" in second.stdout
    assert snapshot(two_shards.home) == before


def test_a_new_dataset_runs_only_its_own_tasks(two_shards: Collection):
    root = two_shards.add_dataset("more", priority=2)
    write_chapter(root, "3-30", {0: 100, 1: 101})
    built = done(two_shards.doit("features"))
    assert built
    assert all(":more" in unit for unit in built)


def test_an_added_file_runs_one_new_shard_and_decodes_and_encodes_only_it(two_shards: Collection):
    root = two_shards.home / "data" / "books" / "LibriSpeech"
    packs = pack_names(two_shards.home)
    write_chapter(root, "2-20", {number: 10 + number for number in range(4)} | {4: 77}, split="dev-clean")
    built = done(two_shards.doit("features:books"))
    shards = [unit for unit in built if unit.count(":") == 2]
    assert shards == ["standardize:books:0002", "features:books:0002"]
    assert two_shards.receipt("standardize", "books", "0002")["counts"]["decoded"] == 1
    assert two_shards.receipt("features", "books", "0002")["counts"]["encoded"] == 1
    assert len(pack_names(two_shards.home) - packs) == 1


def test_an_edit_with_its_old_mtime_runs_its_shard_and_decodes_and_encodes_only_that_file(two_shards: Collection):
    path = next(two_shards.home.glob("data/books/**/2-20-0001.flac"))
    before = path.stat()
    shutil.copyfile(next(two_shards.home.glob("data/books/**/2-20-0002.flac")), path)
    soundfile.write(path, speech(1.0, 999), RATE_HZ, subtype="PCM_16")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    built = done(two_shards.doit("features:books"))
    shards = [unit for unit in built if unit.count(":") == 2]
    assert shards == ["standardize:books:0000", "features:books:0000"] or shards == [
        "standardize:books:0001",
        "features:books:0001",
    ]
    shard = shards[0].rsplit(":", 1)[1]
    assert two_shards.receipt("standardize", "books", shard)["counts"]["decoded"] == 1
    assert two_shards.receipt("features", "books", shard)["counts"]["encoded"] == 1


def test_a_removed_file_leaves_its_shard_and_nothing_is_decoded_or_encoded(two_shards: Collection):
    path = next(two_shards.home.glob("data/books/**/2-20-0003.flac"))
    labels = path.parent / "2-20.trans.txt"
    labels.write_text("".join(f"2-20-{number:04d} WORD {number}\n" for number in range(3)), "utf-8")
    path.unlink()
    built = done(two_shards.doit("features:books"))
    shards = [unit for unit in built if unit.count(":") == 2]
    assert len(shards) == 2
    shard = shards[0].rsplit(":", 1)[1]
    assert two_shards.receipt("standardize", "books", shard)["counts"]["decoded"] == 0
    assert two_shards.receipt("features", "books", shard)["counts"]["encoded"] == 0
    assert len(two_shards.rows("manifests/books_dev.jsonl")) == 3
    assert not list(two_shards.home.glob("data/standard/**/2-20-0003.flac"))


def test_a_changed_label_touches_the_manifest_and_no_audio(two_shards: Collection):
    labels = next(two_shards.home.glob("data/books/**/2-20.trans.txt"))
    labels.write_text(labels.read_text("utf-8").replace("WORD 1", "OTHER WORDS"), "utf-8")
    built = done(two_shards.doit("features:books"))
    assert set(built) == {"scan:books", "manifest:books"}
    assert "OTHER WORDS" in {row["text"] for row in two_shards.rows("manifests/books_dev.jsonl")}


def test_a_corpus_moved_to_another_folder_is_not_encoded_again(two_shards: Collection):
    packs = pack_names(two_shards.home)
    shutil.copytree(two_shards.home / "data" / "books", two_shards.home / "data" / "elsewhere")
    shutil.rmtree(two_shards.home / "data" / "books")
    two_shards.add_dataset("books", shard_files=4, folder="elsewhere")
    built = done(two_shards.doit("features:books"))
    assert pack_names(two_shards.home) == packs
    assert not [unit for unit in built if unit.startswith(("standardize", "features"))]


def test_the_same_audio_in_a_second_corpus_and_container_is_not_encoded_again(two_shards: Collection):
    root = two_shards.add_dataset("twin")
    packs = pack_names(two_shards.home)
    folder = root / "train-clean-100" / "9" / "90"
    folder.mkdir(parents=True)
    source = next(two_shards.home.glob("data/books/**/2-20-0000.flac"))
    samples, rate = soundfile.read(source, dtype="int16")
    soundfile.write(folder / "wave.wav", samples, rate, subtype="PCM_16")
    (folder / "wave.wav").rename(folder / "9-90-0000.flac")  # WAV inside, whatever the name says
    (folder / "9-90.trans.txt").write_text("9-90-0000 WORD\n", "utf-8")
    two_shards.doit("features:twin")
    assert pack_names(two_shards.home) == packs
    twin = two_shards.rows("manifests/features/small/twin.jsonl")
    books = two_shards.rows("manifests/features/small/books.jsonl")
    assert {row["pack"] for row in twin} <= {row["pack"] for row in books}
    assert two_shards.receipt("features", "twin", "0000")["counts"]["encoded"] == 0


def test_a_deleted_state_database_costs_no_recomputation(two_shards: Collection):
    before = snapshot(two_shards.home)
    for path in two_shards.home.glob("cache/state.db*"):
        path.unlink()
    assert done(two_shards.doit("features:books")) == []
    after = snapshot(two_shards.home)
    assert {path for path in after if after[path] != before.get(path)} <= {two_shards.home / "cache/state.db"}


def test_other_settings_of_an_encoder_are_another_identity_and_leave_the_old_packs(two_shards: Collection):
    packs = list(two_shards.home.glob("cache/features/*/packs/*.zarr"))
    two_shards.encoder["window"] = "clip"
    two_shards.write_catalog()
    built = done(two_shards.doit("features:books"))
    assert built
    assert all(unit.startswith("features") for unit in built)
    assert all(pack.exists() for pack in packs)
    assert len(list(two_shards.home.glob("cache/features/small-*"))) == 2


def test_one_shard_can_be_named_before_anything_was_scanned(collection: Collection):
    root = collection.add_dataset("books", shard_files=1)
    write_chapter(root, "1-10", {0: 1, 1: 2, 2: 3})
    built = done(collection.doit("features:books:0001"))
    assert "features:books:0001" in built
    assert "features:books:0000" not in built
    missing = collection.doit("features:books:0099", check=False)
    assert missing.returncode != 0
    assert 'no such shard "0099"' in missing.stdout
    assert "books has shards 0000 to 0002" in missing.stdout
    near = collection.doit("features:books:2", check=False)
    assert '(did you mean "0002"?)' in near.stdout


def test_a_pack_reads_back_with_plain_zarr_and_its_hashes_are_those_of_the_decoded_audio(two_shards: Collection):
    import xxhash

    found = dict(decoded_features(two_shards.home))
    rows = two_shards.rows("manifests/books_train.jsonl") + two_shards.rows("manifests/books_dev.jsonl")
    assert len(rows) == 8
    for row in rows:
        samples, rate = soundfile.read(two_shards.home / row["audio_path"], dtype="int16")
        assert rate == RATE_HZ
        assert xxhash.xxh3_128_hexdigest(samples.astype("<i2").tobytes()) == row["audio_hash"]
        assert row["duration"] == len(samples) / RATE_HZ
        frames = found[row["audio_hash"]]
        assert frames.shape == (-(-len(samples) // 320), 32)
        assert frames.dtype == np.float16
        assert np.isfinite(frames).all()


def test_an_extracted_tree_is_adopted_without_writing_it(collection: Collection):
    root = collection.add_dataset("books", archives=[{"file": "books.tar.gz"}])
    write_chapter(root, "1-10", {0: 1, 1: 2})
    with tarfile.open(root.parent / "books.tar.gz", "w:gz") as archive:
        archive.add(root, "LibriSpeech")
    before = snapshot(root)
    run = collection.doit("features:books")
    assert snapshot(root) == before
    assert "already extracted" in run.stdout
    (root.parent / "books.tar.gz").unlink()
    assert done(collection.doit("features:books")) == []


def test_a_tree_whose_archive_is_gone_is_adopted_from_its_files_and_says_so(collection: Collection):
    root = collection.add_dataset("books", archives=[{"file": "books.tar.gz"}])
    write_chapter(root, "1-10", {0: 1, 1: 2})
    run = collection.doit("features:books")
    assert "from the files alone" in run.stdout
    assert len(collection.rows("manifests/books_train.jsonl")) == 2
