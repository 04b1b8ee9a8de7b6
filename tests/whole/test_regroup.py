"""Recordings that move, archives that come late, trees that vanish: what manifests name is there, and is right."""

import os
import shutil
import tarfile

import pytest
import soundfile
from support.collection import RATE_HZ, Collection, decoded_features, done, pack_names, speech, write_chapter


def assert_products_agree(made: Collection, dataset: str = "books") -> None:
    """Hold manifests, audio and features of a dataset against each other."""
    import xxhash

    rows = [row for split in ("train", "dev") for row in rows_of(made, f"manifests/{dataset}_{split}.jsonl")]
    assert rows
    frames = dict(decoded_features(made.home))
    fresh: dict[str, bytes] = {}
    for row in rows:
        samples, _ = soundfile.read(made.home / row["audio_path"], dtype="int16")
        assert xxhash.xxh3_128_hexdigest(samples.astype("<i2").tobytes()) == row["audio_hash"]
        assert len(frames[row["audio_hash"]]) == -(-len(samples) // 320)
        fresh[row["audio_hash"]] = frames[row["audio_hash"]].tobytes()
    assert len(set(fresh.values())) == len(fresh), "two recordings have one recording's features"
    expected = made.home / "expected-features"
    for audio_hash, data in fresh.items():  # the same hash has the same features, whatever happened since
        path = expected / audio_hash
        if path.exists():
            assert path.read_bytes() == data
        else:
            expected.mkdir(exist_ok=True)
            path.write_bytes(data)


def rows_of(made: Collection, relative: str):
    return made.rows(relative) if (made.home / relative).exists() else []


def test_packs_that_were_lost_are_made_again_with_the_rows_that_manifests_name(two_shards: Collection):
    assert_products_agree(two_shards)
    one, other = (next(two_shards.home.glob(f"data/books/**/1-10-000{number}.flac")) for number in (0, 3))
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    two_shards.doit("features:books")
    assert_products_agree(two_shards)
    for pack in two_shards.home.glob("cache/features/*/packs/*.zarr"):
        shutil.rmtree(pack)
    two_shards.doit("features:books")
    assert_products_agree(two_shards)


def test_a_chapter_moved_away_and_back_keeps_its_standard_audio(two_shards: Collection):
    chapter = two_shards.home / "data/books/LibriSpeech/dev-clean/2"
    shutil.move(chapter, two_shards.home / "aside")
    two_shards.doit("scan:books")
    shutil.move(two_shards.home / "aside", chapter)
    two_shards.doit("features:books")
    assert_products_agree(two_shards)
    assert set(two_shards.states().values()) == {"U"}


@pytest.mark.parametrize("loss", ["damaged", "gone"])
def test_a_lost_shard_list_regroups_and_decodes_nothing(two_shards: Collection, loss):
    path = two_shards.home / "cache/shards/books/0000.jsonl"
    if loss == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:50])
    built = done(two_shards.doit("features:books"))
    assert not [unit for unit in built if unit.count(":") == 2]
    assert_products_agree(two_shards)


def test_recordings_that_left_take_their_standard_audio_with_them(two_shards: Collection):
    shutil.rmtree(two_shards.home / "data/books/LibriSpeech/dev-clean")
    two_shards.doit("features:books")
    assert not list(two_shards.home.glob("data/standard/books/dev-clean/**/*.flac"))
    assert not (two_shards.home / "manifests/books_dev.jsonl").exists()
    assert_products_agree(two_shards)


def test_with_no_standard_audio_a_moved_corpus_is_named_where_it_is_now(collection: Collection):
    collection.standard["format"] = "none"
    write_chapter(collection.add_dataset("books"), "1-10", {0: 1, 1: 2})
    collection.doit("features:books")
    packs = pack_names(collection.home)
    shutil.move(collection.home / "data/books", collection.home / "data/elsewhere")
    collection.add_dataset("books", folder="elsewhere")
    collection.doit("features:books")
    rows = collection.rows("manifests/books_train.jsonl") + collection.rows("manifests/features/small/books.jsonl")
    assert all((collection.home / row["audio_path"]).exists() for row in rows)
    assert pack_names(collection.home) == packs


def test_every_format_of_standard_audio_gives_the_same_hashes_and_features(collection: Collection):
    root = collection.add_dataset("books")
    write_chapter(root, "1-10", {0: 1})
    sound = root / "train-clean-100/1/10/1-10-0000.flac"
    soundfile.write(sound, speech(1.0, 3, 22_050), 22_050, subtype="PCM_24")
    hashes = set()
    for form in ("flac", "wav", "none"):
        collection.standard["format"] = form
        collection.write_catalog()
        collection.doit("features:books")
        assert set(collection.states().values()) == {"U"}
        hashes.add(collection.rows("manifests/books_train.jsonl")[0]["audio_hash"])
        assert len(pack_names(collection.home)) == 1
    assert len(hashes) == 1
    assert not list(collection.home.glob("data/standard/**/*.flac*"))


def pack_tree(root, archive, name="LibriSpeech"):
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(root, name)


def test_an_archive_that_arrives_after_its_tree_was_adopted_is_read(collection: Collection, tmp_path):
    write_chapter(tmp_path / "whole", "1-10", {0: 1, 1: 2, 2: 3})
    root = collection.add_dataset("books", archives=[{"file": "books.tar.gz"}])
    write_chapter(root, "1-10", {0: 1})
    shutil.copy(tmp_path / "whole/train-clean-100/1/10/1-10.trans.txt", root / "train-clean-100/1/10/1-10.trans.txt")
    collection.datasets["books"]["max_missing"] = 0.9
    collection.write_catalog()
    collection.doit("features:books")
    assert len(collection.rows("manifests/books_train.jsonl")) == 1
    pack_tree(tmp_path / "whole", root.parent / "books.tar.gz")
    assert "arrived since the tree was adopted" in collection.doit("why", "extract:books", check=False).stdout
    collection.doit("features:books")
    assert len(collection.rows("manifests/books_train.jsonl")) == 3


def test_a_deleted_tree_is_extracted_again_from_its_archive_and_nothing_is_encoded(collection: Collection, tmp_path):
    write_chapter(tmp_path / "whole", "1-10", {0: 1, 1: 2})
    root = collection.add_dataset("books", archives=[{"file": "books.tar.gz"}])
    pack_tree(tmp_path / "whole", root.parent / "books.tar.gz")
    collection.doit("features:books")
    packs = pack_names(collection.home)
    shutil.rmtree(root)
    assert collection.states()["extract:books"] == "R"
    collection.doit("features:books")
    assert (root / "train-clean-100/1/10/1-10-0001.flac").exists()
    assert pack_names(collection.home) == packs


def test_an_edit_behind_a_symbolic_link_is_noticed(collection: Collection, tmp_path):
    root = collection.add_dataset("books")
    write_chapter(root, "1-10", {0: 1, 1: 2})
    path = root / "train-clean-100/1/10/1-10-0000.flac"
    store = tmp_path / "store.flac"
    shutil.move(path, store)
    path.symlink_to(store)
    collection.doit("features:books")
    before = collection.rows("manifests/books_train.jsonl")
    soundfile.write(store, speech(1.0, 99), RATE_HZ, subtype="PCM_16")
    assert "R" in collection.states().values()
    collection.doit("features:books")
    after = collection.rows("manifests/books_train.jsonl")
    assert [row["audio_hash"] for row in before][1:] == [row["audio_hash"] for row in after][1:]
    assert before[0]["audio_hash"] != after[0]["audio_hash"]


def test_standard_audio_on_an_absent_volume_is_not_made_again(two_shards: Collection):
    shutil.move(two_shards.home / "data/standard", two_shards.home / "unmounted")
    (two_shards.home / "data/standard").mkdir()  # the empty mount point
    assert two_shards.states()["standardize:books"] == "A"
    failed = two_shards.doit("features:books", check=False)
    assert failed.returncode != 0
    assert "not mounted" in failed.stdout
    assert not list((two_shards.home / "data/standard").iterdir())
    shutil.rmtree(two_shards.home / "data/standard")
    shutil.move(two_shards.home / "unmounted", two_shards.home / "data/standard")
    assert set(two_shards.states().values()) == {"U"}


def test_stems_that_change_hands_lose_no_manifest(collection: Collection):
    for name, stem in (("aa", "x"), ("bb", "y")):
        write_chapter(collection.add_dataset(name, manifest=stem), "1-10", {0: len(name), 1: ord(name[0])})
    collection.doit("manifest")
    collection.add_dataset("aa", manifest="z")
    collection.add_dataset("bb", manifest="x")
    collection.doit("manifest")
    assert sorted(path.name for path in (collection.home / "manifests").glob("*.jsonl")) == [
        "x_train.jsonl",
        "z_train.jsonl",
    ]
    assert {row["dataset"] for row in collection.rows("manifests/x_train.jsonl")} == {"bb"}


def test_an_encoder_that_is_no_longer_named_leaves_no_feature_manifest(two_shards: Collection):
    (two_shards.home / "data/books/LibriSpeech").stat()
    text = (two_shards.home / "datasets.toml").read_text("utf-8")
    both = text + '[encoders.big]\nmodel = "model"\nengine = "openvino"\nwindow = "clip"\n'
    (two_shards.home / "datasets.toml").write_text(
        both.replace('corpus = "librispeech"', 'corpus = "librispeech"\nencoders = ["small", "big"]'), "utf-8"
    )
    two_shards.doit("features:books")
    assert (two_shards.home / "manifests/features/big/books.jsonl").exists()
    (two_shards.home / "datasets.toml").write_text(both, "utf-8")
    two_shards.doit("features:books")
    assert not (two_shards.home / "manifests/features/big/books.jsonl").exists()
    assert (two_shards.home / "manifests/features/small/books.jsonl").exists()


def test_a_folder_that_is_only_looked_at_is_scanned_in_full_when_asked_by_name(collection: Collection):
    root = collection.add_dataset("books", watch="folders")
    write_chapter(root, "1-10", {0: 1, 1: 2})
    collection.doit("features:books")
    path = root / "train-clean-100/1/10/1-10-0000.flac"
    with path.open("r+b") as file:
        file.write(soundfile_bytes(path.parent / "other.flac"))
        file.truncate()
    (path.parent / "other.flac").unlink(missing_ok=True)
    os.utime(path.parent, ns=(0, collection_mtime(collection, path.parent)))
    before = collection.rows("manifests/books_train.jsonl")
    collection.doit("features:books")
    assert collection.rows("manifests/books_train.jsonl") == before
    collection.doit("scan:books")
    collection.doit("features:books")
    assert collection.rows("manifests/books_train.jsonl") != before


def soundfile_bytes(path) -> bytes:
    soundfile.write(path, speech(1.0, 55), RATE_HZ, subtype="PCM_16")
    return path.read_bytes()


def collection_mtime(collection: Collection, folder) -> int:
    """Return the mtime that scan saw of a folder."""
    import orjson

    entries = orjson.loads((collection.home / "cache/watch/books.json").read_bytes())["entries"]
    return entries[folder.relative_to(collection.home / "data/books/LibriSpeech").as_posix()][0]


def test_files_that_left_the_tree_are_said_with_the_way_to_have_them_back(collection: Collection, tmp_path):
    write_chapter(tmp_path / "whole", "1-10", {0: 1, 1: 2})
    write_chapter(tmp_path / "whole", "2-20", {0: 3, 1: 4}, split="dev-clean")
    root = collection.add_dataset("books", archives=[{"file": "books.tar.gz"}])
    pack_tree(tmp_path / "whole", root.parent / "books.tar.gz")
    collection.doit("features:books")
    shutil.rmtree(root / "dev-clean")
    said = collection.doit("features:books").stdout
    assert "3 files gone since the last scan (such as dev-clean/2/20/2-20-0000.flac)" in said
    assert "`doit -a extract:books` restores" in said
    collection.doit("-a", "extract:books")
    collection.doit("features:books")
    assert len(collection.rows("manifests/books_dev.jsonl")) == 2


def test_a_pipe_in_a_tree_is_refused_and_not_waited_for(collection: Collection):
    root = collection.add_dataset("books")
    write_chapter(root, "1-10", {0: 1, 1: 2})
    path = root / "train-clean-100/1/10/1-10-0001.flac"
    path.unlink()
    os.mkfifo(path)
    failed = collection.doit("features:books", check=False, timeout=30)
    assert failed.returncode != 0
    assert "Traceback" not in failed.stdout + failed.stderr
