"""What a user types and reads: names, states, reasons, bad input, two at once."""

import fcntl
import os
import shutil
import subprocess
import sys

import pytest
from support.collection import CHECKOUT, Collection, write_chapter
from support.models import write_model


def test_a_bare_doit_shows_the_status_and_starts_nothing(collection: Collection):
    root = collection.add_dataset("books")
    write_chapter(root, "1-10", {0: 1})
    shown = collection.doit()
    assert "R features:books" in shown.stdout
    assert not (collection.home / "cache").exists()


def test_status_tells_the_truth_before_and_after(two_shards: Collection):
    assert set(two_shards.states().values()) == {"U"}
    write_chapter(two_shards.home / "data/books/LibriSpeech", "5-50", {0: 500})
    states = two_shards.states()
    assert states["extract:books"] == "U"
    assert {states[f"{stage}:books"] for stage in ("scan", "standardize", "manifest", "features")} == {"R"}
    two_shards.doit("features:books")
    assert set(two_shards.states().values()) == {"U"}


def test_status_lists_the_shards_when_asked(two_shards: Collection):
    states = two_shards.states("--all")
    assert states["features:books:0000"] == states["standardize:books:0001"] == "U"


def test_an_absent_volume_is_never_taken_for_deleted_files(two_shards: Collection):
    shutil.move(two_shards.home / "data" / "books", two_shards.home / "unmounted")
    assert set(two_shards.states().values()) == {"A"}
    failed = two_shards.doit("features:books", check=False)
    assert failed.returncode != 0
    assert "not mounted" in failed.stdout
    assert len(two_shards.rows("manifests/books_train.jsonl")) == 4
    shutil.move(two_shards.home / "unmounted", two_shards.home / "data" / "books")
    assert set(two_shards.states().values()) == {"U"}


def test_why_says_in_words_what_differs(two_shards: Collection):
    current = two_shards.doit("why", "features:books")
    assert current.stdout == "features:books: current: nothing to do.\n"
    write_chapter(two_shards.home / "data/books/LibriSpeech", "5-50", {0: 500, 1: 501})
    said = two_shards.doit("why", "features:books", check=False)
    assert said.returncode == 1
    assert "3 new (such as" in said.stdout
    two_shards.doit("scan:books")
    said = two_shards.doit("why", "features:books", check=False).stdout
    assert "standardize:books: 1 of 3 shards: 2 recordings new" in said
    assert "weights and settings unchanged" in said


def test_why_names_the_setting_that_changed(two_shards: Collection):
    two_shards.encoder["window"] = "clip"
    two_shards.write_catalog()
    said = two_shards.doit("why", "features:books", check=False).stdout
    assert "encoders.small.window changed (padded -> clip)" in said


def test_an_ignored_task_is_shown_and_not_run(two_shards: Collection):
    two_shards.doit("ignore", "features:books")
    assert two_shards.states()["features:books"] == "I"
    write_chapter(two_shards.home / "data/books/LibriSpeech", "5-50", {0: 500})
    run = two_shards.doit("features:books")
    assert "features:books:" not in run.stdout.replace("doit forget", "")
    two_shards.doit("forget", "features:books")
    assert two_shards.states()["features:books"] == "R"


def test_two_runs_at_once_end_with_one_line_and_looking_still_works(two_shards: Collection):
    with (two_shards.home / "cache" / "run.lock").open("w") as lock:
        lock.write("`doit features:books` (process 1)")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = two_shards.doit("features:books", check=False)
        assert second.returncode != 0
        assert second.stderr.count("\n") == 1
        assert "in use by `doit features:books` (process 1). One run at a time" in second.stderr
        assert set(two_shards.states().values()) == {"U"}
        assert two_shards.doit("why", "features:books").returncode == 0


def one_line(completed) -> str:
    """Return the line that a failed command ended in; no traceback anywhere."""
    assert completed.returncode != 0
    said = completed.stdout + completed.stderr
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["features:bokos"], 'no dataset "bokos" (did you mean "books"?)'),
        (["featres:books"], 'no task "featres:books" (did you mean "features:books"?)'),
        (["features:books:9"], "no such shard"),
        (["why", "feature:books"], 'no task "feature:books" (did you mean "features:books"?)'),
        (["why", "features:bokos"], 'did you mean "books"?'),
        (["list", "--status", "bokos"], 'did you mean "books"?'),
        (["verify", "bokos"], 'did you mean "books"?'),
        (["why"], "name a task"),
    ],
    ids=" ".join,
)
def test_a_wrong_name_gets_the_nearest_right_one(collection: Collection, command, expected):
    write_chapter(collection.add_dataset("books"), "1-10", {0: 1})
    assert expected in one_line(collection.doit(*command, check=False))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["plan", "--foo"], "ERROR: option --foo not recognized. `doit help plan`"),
        (["audit", "-h"], "ERROR: option -h not recognized. `doit help audit`"),
        (["--yes", "cleanup:books"], "ERROR: option --yes not recognized. `doit help run`"),
        (["cleanup:books", "--yess"], "ERROR: option --yess not recognized. `doit help run`"),
        (["cleanup:*", "--yes"], 'ERROR: "--yes" goes with one task'),
        (["cleanup"], 'ERROR: "cleanup" is not a task by itself: name a dataset, as in `doit cleanup:<dataset>`.'),
    ],
)
def test_a_wrong_option_or_half_a_name_is_one_line(collection: Collection, words, expected):
    collection.add_dataset("books")
    said = collection.doit(*words, check=False)
    assert said.returncode == 3
    assert said.stderr.startswith(expected) and said.stderr.count("\n") == 1


def test_a_missing_catalog_is_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "doit", "list"],
        cwd=CHECKOUT,
        env=os.environ | {"EARMARK_CATALOG": str(tmp_path / "none.toml")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "none.toml: no such catalog" in one_line(done)


def test_a_broken_catalog_is_one_line(collection: Collection):
    (collection.home / "datasets.toml").write_text("[datasets.x\n", "utf-8")
    assert "not valid TOML" in one_line(collection.doit("list", check=False))


def test_a_missing_archive_says_where_to_put_it(collection: Collection):
    collection.add_dataset("books", archives=[{"file": "books.tar.gz", "size": 1234}], home="https://example.org/books")
    said = one_line(collection.doit("features:books", check=False))
    assert "data/books/books.tar.gz: no such archive (1,234 bytes). Download it from https://example.org/books" in said
    assert collection.states("books")["extract:books"] == "E"


@pytest.mark.parametrize("beside", ["one.tar", "two.tar.part"])
def test_an_archive_is_missing_also_where_others_lie_in_the_very_root(collection: Collection, beside):
    archives = [{"file": "one.tar"}, {"file": "two.tar"}]
    root = collection.add_dataset("books", archives=archives, root=".").parent
    root.mkdir(parents=True)
    (root / beside).write_bytes(b"some of it")
    missing = "two.tar" if beside == "one.tar" else "one.tar"
    said = one_line(collection.doit("features:books", check=False))
    assert f"data/books/{missing}: no such archive" in said
    (root / beside).unlink()
    write_chapter(root / "LibriSpeech", "1-10", {0: 1})
    assert "the tree is taken as it is" in collection.doit("extract:books").stdout


def test_an_archive_with_a_wrong_sum_is_refused_and_nothing_is_extracted(collection: Collection, tmp_path):
    import tarfile

    write_chapter(tmp_path / "LibriSpeech", "1-10", {0: 1})
    root = collection.add_dataset("books", archives=[{"file": "books.tar", "md5": "0" * 32}])
    root.parent.mkdir(parents=True)
    with tarfile.open(root.parent / "books.tar", "w") as archive:
        archive.add(tmp_path / "LibriSpeech", "LibriSpeech")
    said = one_line(collection.doit("features:books", check=False))
    assert "wrong content: expected md5 00000000" in said
    assert not root.exists()


def test_a_missing_root_says_what_is_there_instead(collection: Collection):
    collection.add_dataset("books")
    assert "data/books/LibriSpeech: no such folder" in one_line(collection.doit("features:books", check=False))


def test_an_empty_root_is_not_a_corpus(collection: Collection):
    root = collection.add_dataset("books")
    (root / "train-clean-100").mkdir(parents=True)
    said = one_line(collection.doit("features:books", check=False))
    assert "data/books/LibriSpeech: empty: expected the files of books there" in said


def test_a_corpus_of_which_everything_is_refused_says_so_and_where_it_is_listed(collection: Collection):
    root = collection.add_dataset("books", corpus="kaldi")
    root.mkdir(parents=True)
    (root / "wav.scp").write_text("one /elsewhere/one.wav\ntwo /elsewhere/two.wav\n", "utf-8")
    said = one_line(collection.doit("scan:books", check=False))
    assert "no recordings under data/books/LibriSpeech" in said
    assert "got 2 x refused, such as wav.scp:1. cache/findings/books.jsonl says why of each." in said
    assert "leads out of the dataset's root" in (collection.home / "cache/findings/books.jsonl").read_text("utf-8")


def test_missing_audio_beyond_the_allowed_share_is_an_error_with_names(collection: Collection):
    root = collection.add_dataset("books")
    write_chapter(root, "1-10", {0: 1, 1: 2})
    (root / "train-clean-100/1/10/1-10-0001.flac").unlink()
    said = one_line(collection.doit("features:books", check=False))
    assert "max_missing allows 1.00% (1 x label without audio: train-clean-100/1/10/1-10.trans.txt:2" in said


@pytest.mark.parametrize(
    ("breakage", "expected"),
    [
        ("no config", "config.json"),
        ("no weights", "no weights"),
        ("other shapes", "expected"),
        ("no model", "not found"),
        ("hub id offline", "cannot be fetched"),
        ("unknown engine", "[encoders.small]: engine: expected 'auto', 'mlx' or 'openvino', got 'opnvino'"),
    ],
)
def test_a_model_that_cannot_be_used_is_one_clear_line(collection: Collection, breakage, expected):
    write_chapter(collection.add_dataset("books"), "1-10", {0: 1})
    model = collection.home / "model"
    if breakage == "no config":
        (model / "config.json").unlink()
    elif breakage == "no weights":
        next(model.glob("weights.*")).unlink()
    elif breakage == "other shapes":
        config = (model / "config.json").read_bytes()
        shutil.rmtree(model)
        write_model(model, n_state=64, n_head=2, n_layer=1)
        (model / "config.json").write_bytes(config)
    elif breakage == "no model":
        collection.encoder["model"] = "nowhere/at/all"
    elif breakage == "hub id offline":
        collection.encoder["model"] = "earmark-tests/none"
    else:
        collection.encoder["engine"] = "opnvino"
    collection.write_catalog()
    said = one_line(collection.doit("features:books", check=False))
    assert expected in said
    if breakage != "unknown engine":  # that is said before anything runs
        assert len(collection.rows("manifests/books_train.jsonl")) == 1


def test_an_unwritable_cache_is_one_line(collection: Collection):
    write_chapter(collection.add_dataset("books"), "1-10", {0: 1})
    (collection.home / "cache").write_bytes(b"a file where the folder should be")
    said = one_line(collection.doit("features:books", check=False))
    assert "expected a folder, got a file. Name another paths.cache, or move it away." in said


def test_one_failing_shard_never_stops_the_others_and_the_exit_code_tells(two_shards: Collection):
    root = two_shards.home / "data/books/LibriSpeech"
    write_chapter(root, "5-50", {0: 500})
    target = two_shards.home / "data/standard/books/train-clean-100/5"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"in the way")
    write_chapter(two_shards.add_dataset("more"), "6-60", {0: 600})
    run = two_shards.doit("features", check=False)
    assert run.returncode != 0
    assert "!! standardize:books:0002" in run.stdout
    assert "not run, because" in run.stdout
    assert len(two_shards.rows("manifests/more_train.jsonl")) == 1


def test_datasets_run_in_order_of_priority(collection: Collection):
    for name, priority in (("later", 2), ("sooner", 1)):
        write_chapter(collection.add_dataset(name, priority=priority), "1-10", {0: priority})
    run = collection.doit("standardize")
    order = [line[3:] for line in run.stdout.splitlines() if line.startswith(".  standardize")]
    assert order.index("standardize:sooner") < order.index("standardize:later:0000")


def test_a_manifest_that_is_gone_is_shown_on_the_features_that_need_it(two_shards: Collection):
    (two_shards.home / "manifests" / "books_train.jsonl").unlink()
    states = two_shards.states("--all")
    assert states["manifest:books"] == states["features:books"] == "R"
    assert states["features:books:0000"] == "U"
    assert "books_train.jsonl is gone" in two_shards.doit("why", "features:books", check=False).stdout


def test_a_shard_is_not_called_current_while_its_scan_would_run(two_shards: Collection):
    write_chapter(two_shards.home / "data/books/LibriSpeech", "1-10", {0: 0, 1: 1, 2: 2, 3: 3, 9: 900})
    assert two_shards.states("--all")["features:books:0000"] == "R"
    said = two_shards.doit("why", "features:books:0000", check=False)
    assert said.returncode == 1
    assert "scan:books: files under data/books/LibriSpeech: 1 new" in said.stdout


def test_too_much_bad_audio_is_the_reason_that_status_gives_and_features_are_not_computed(collection: Collection):
    root = collection.add_dataset("books", shard_files=2)
    write_chapter(root, "1-10", {number: number for number in range(4)})
    (root / "train-clean-100/1/10/1-10-0000.flac").write_bytes(b"")
    assert collection.doit("features:books", check=False).returncode != 0
    shown = collection.doit("list", "--status").stdout
    assert "E standardize:books" in shown
    assert "1 of 4 recordings are bad" in shown
    assert not list(collection.home.glob("cache/features/*/packs/*"))
    collection.datasets["books"]["max_bad"] = 0.5
    collection.write_catalog()
    collection.doit("features:books")
    assert set(collection.states().values()) == {"U"}


def test_verify_is_a_task_of_each_dataset_too(two_shards: Collection):
    assert ", 0 damaged" in two_shards.doit("verify:books").stdout


def test_a_pattern_that_matches_nothing_is_an_error(two_shards: Collection):
    assert "no task matches" in one_line(two_shards.doit("features:zz*", check=False))


def test_standard_audio_is_never_written_over_a_datasets_own_files(collection: Collection):
    collection.add_dataset("books", folder=".")
    assert "expected neither inside the other" in one_line(collection.doit("features:books", check=False))


@pytest.mark.parametrize("what", ["cache", "manifests"])
def test_nothing_is_ever_written_into_the_tree_that_is_read(collection: Collection, what):
    collection.add_dataset("books")
    catalog, name = collection.home / "datasets.toml", "data/books/LibriSpeech/made"
    plain = catalog.read_text("utf-8")
    catalog.write_text(f'[paths]\n{what} = "{name}"\n{plain}', "utf-8")
    said = one_line(collection.doit("list", check=False))
    assert f"paths.{what}: {name} is in the tree of [datasets.books], data/books/LibriSpeech." in said
    catalog.write_text(f'[paths]\n{what} = "data/books/made"\n{plain}', "utf-8")
    collection.doit("list")


def test_what_waits_for_something_that_cannot_run_cannot_run_either(collection: Collection):
    collection.add_dataset("books", archives=[{"file": "books.tar.gz"}])
    assert set(collection.states("books").values()) == {"E"}


@pytest.mark.parametrize("command", ["strace", "dumpdb", "reset-dep"])
def test_commands_of_doit_that_do_not_fit_say_what_to_use_instead(collection: Collection, command):
    assert f"ERROR: doit {command}: not here" in one_line(collection.doit(command, check=False))


@pytest.mark.parametrize("command", [("extract:pipe",), ("features:pipe",), ("plan", "extract:pipe")], ids=" ".join)
def test_a_pipe_in_place_of_an_archive_is_one_line_and_waits_for_nobody(collection, command):
    root = collection.add_dataset("pipe", archives=[{"file": "pipe.tar.gz"}])
    root.parent.mkdir(parents=True)
    os.mkfifo(root.parent / "pipe.tar.gz")
    done = collection.doit(*command, check=False, timeout=30)
    said = done.stdout + done.stderr
    assert "pipe.tar.gz: expected an archive, got a folder, a pipe or a device" in " ".join(said.split())
    assert "Traceback" not in said


def test_a_count_that_differs_names_the_archives_that_are_not_here(collection):
    archives = [{"file": "one.tar"}, {"file": "two.tar"}]
    root = collection.add_dataset("books", archives=archives, expect={"files": {"*.flac": 9}})
    write_chapter(root, "1-10", {0: 1}, seconds=0.1)
    done = collection.doit("extract:books", check=False)
    assert done.returncode and "expected 9 files *.flac, got 1. Not here: one.tar, two.tar" in done.stdout
