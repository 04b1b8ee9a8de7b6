import subprocess
import sys
import tarfile

import orjson
import pytest
from support.collection import CHECKOUT, Collection, write_chapter
from support.heavy import HEAVY
from support.models import write_model

JOB = "manifests/jobs/asr"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Two datasets, one of them an archive; a third that is not on this disk; a joint manifest and jobs, all run."""
    made = Collection(tmp_path_factory.mktemp("shelf") / "collection")
    write_chapter(
        made.add_dataset("books", disjoint=["speaker_id"], spaces={"speaker_id": "librivox"}), "84-1", {0: 1, 1: 2}
    )
    made.add_dataset("more", archives=[{"file": "more.tar.gz"}], spaces={"speaker_id": "librivox"})
    tree = tmp_path_factory.mktemp("more")
    write_chapter(tree, "85-2", {0: 3}, split="dev-clean")
    (made.home / "data" / "more").mkdir()
    with tarfile.open(made.home / "data" / "more" / "more.tar.gz", "w:gz") as tar:
        tar.add(tree, "LibriSpeech")
    made.add_dataset("gone", archives=[{"file": "gone.tar.gz"}])
    made.manifests["both"] = {"datasets": ["more", "gone", "books"]}
    made.jobs["asr"] = {"datasets": ["books", "gone", "more"], "labels": ["text"], "features": ["small"]}
    made.jobs["none"] = {"datasets": ["gone"]}
    made.write_catalog()
    write_model(made.home / "model", n_state=32, n_head=2, n_layer=1)
    made.run_output = made.doit("job:asr", "manifest:both").stdout
    return made


def test_a_job_of_a_fresh_collection_runs_everything_that_it_needs(shelf):
    for task in ("extract:more", "scan:books", "features:more", "manifest:books", "job:asr", "manifest:both"):
        assert f".  {task}\n" in shelf.run_output
    rows = {split: shelf.rows(f"{JOB}/{split}.jsonl") for split in ("train", "dev", "test")}
    assert [row["id"] for row in rows["train"]] == ["84-1-0000", "84-1-0001"]
    assert [row["dataset"] for row in rows["dev"]] == ["more"]
    assert rows["test"] == []
    features = {
        row["audio_hash"]: row
        for name in ("books", "more")
        for row in shelf.rows(f"manifests/features/small/{name}.jsonl")
    }
    for row in (*rows["train"], *rows["dev"]):
        place = features[row["audio_hash"]]
        assert row["features"]["small"] == {name: place[name] for name in ("pack", "row", "n_frames")}


def test_a_joint_manifest_holds_the_rows_of_its_datasets_in_the_order_of_its_list(shelf):
    rows = shelf.rows("manifests/both.jsonl")
    assert rows == shelf.rows("manifests/more_dev.jsonl") + shelf.rows("manifests/books_train.jsonl")
    assert shelf.receipt("manifest", "both")["outputs"]["skipped"] == ["gone"]
    assert shelf.receipt("manifest", "both")["counts"] == {"rows": 3, "skipped": 1}


def test_a_dataset_that_is_not_on_this_disk_is_named(shelf):
    assert "job:asr: not on this disk, skipped: gone" in shelf.run_output
    assert "manifest:both: not on this disk, skipped: gone" in shelf.run_output
    assert orjson.loads((shelf.home / JOB / "summary.json").read_bytes())["skipped"] == ["gone"]
    assert "not on this disk, skipped: gone" in (shelf.home / JOB / "summary.txt").read_text("utf-8")


def test_a_job_of_absent_datasets_alone_fails_in_one_line(shelf):
    done = shelf.doit("job:none", check=False)
    assert done.returncode
    assert "!! job:none: none of its datasets is on this disk: gone." in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (shelf.home / "manifests/jobs/none").exists()


def test_status_and_why_show_jobs_and_joint_manifests(shelf):
    states = shelf.states()
    assert (states["job:asr"], states["manifest:both"]) == ("U", "U")
    shown = shelf.doit("list", "--status").stdout
    assert "none of their datasets is on this disk (1): job:none." in shown
    assert shelf.states("job") == {"job:asr": "U", "job:none": "E"}
    assert shelf.states("both") == {"manifest:both": "U"}
    assert set(shelf.states("manifest")) == {"manifest:books", "manifest:more", "manifest:gone", "manifest:both"}
    assert shelf.doit("why", "job:asr").stdout == "job:asr: current: nothing to do.\n"
    assert "cannot run" in shelf.doit("why", "job:none", check=False).stdout
    listed = shelf.doit("list").stdout
    assert "job:asr" in listed
    assert "manifest:both" in listed
    wrong = shelf.doit("why", "job:asrr", check=False)
    assert 'did you mean "job:asr"' in wrong.stderr
    assert 'did you mean "job:asr"' in shelf.doit("list", "--status", "job:asrr", check=False).stderr


def test_nothing_is_made_twice(shelf):
    before = (shelf.home / JOB / "train.jsonl").stat().st_mtime_ns
    assert "0 done" in shelf.doit("job", "manifest:both").stdout
    assert (shelf.home / JOB / "train.jsonl").stat().st_mtime_ns == before


def test_looking_at_jobs_imports_nothing_heavy(shelf):
    for command in (["why", "job:asr"], ["job:asr"]):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "doit", *command],
            cwd=CHECKOUT,
            env=shelf.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
        assert "doit" in loaded
        assert not loaded & HEAVY


@pytest.fixture
def small(collection):
    """One dataset with a train and a dev chapter, and a job over it."""
    root = collection.add_dataset("books", disjoint=["speaker_id"])
    write_chapter(root, "84-1", {0: 1})
    write_chapter(root, "85-2", {0: 2}, split="dev-clean")
    collection.jobs["asr"] = {"datasets": ["books"]}
    collection.write_catalog()
    collection.root = root
    collection.doit("job:asr")
    return collection


def test_an_edit_of_labels_reaches_the_job_and_why_says_so(small):
    (small.root / "train-clean-100/84/1/84-1.trans.txt").write_text("84-1-0000 ANOTHER WORD\n", "utf-8")
    assert small.states()["job:asr"] == "R"
    said = small.doit("why", "job:asr", check=False).stdout
    assert said.startswith("job:asr: would run:\n  job:asr: manifest:books would run first\n  scan:books: ")
    small.doit("job:asr")
    assert small.rows(f"{JOB}/train.jsonl")[0]["text"] == "ANOTHER WORD"
    small.jobs["asr"]["max_duration"] = 0.5
    small.write_catalog()
    assert "table.max_duration changed" in small.doit("why", "job:asr", check=False).stdout


def test_leakage_fails_the_job_and_leaves_what_was_there(small):
    before = {path.name: path.read_bytes() for path in (small.home / JOB).iterdir()}
    write_chapter(small.root, "84-9", {0: 9}, split="dev-clean")
    done = small.doit("job:asr", check=False)
    assert done.returncode
    assert "1 in train/dev, such as books 84-9-0000 (dev) and books 84-1-0000 (train)" in done.stdout
    assert {path.name: path.read_bytes() for path in (small.home / JOB).iterdir()} == before
    assert small.states()["job:asr"] == "R"
    small.jobs["asr"]["leakage"] = "drop"
    small.write_catalog()
    small.doit("job:asr", check=False)
    assert small.receipt("job", "asr")["counts"] == {"train": 0, "dev": 2, "test": 0, "left_out": 1, "skipped": 0}


def test_an_ignored_dataset_holds_its_jobs_back(small):
    (small.root / "train-clean-100/84/1/84-1.trans.txt").write_text("84-1-0000 ANOTHER WORD\n", "utf-8")
    small.doit("ignore", "manifest:books")
    assert small.states("job") == {"job:asr": "I"}
    small.doit("job:asr", check=False)
    assert small.rows(f"{JOB}/train.jsonl")[0]["text"] == "WORD 0"


def test_verify_sets_a_damaged_file_of_a_job_aside(small):
    path = small.home / JOB / "train.jsonl"
    path.write_bytes(path.read_bytes().replace(b"WORD", b"WURD"))
    said = small.doit("verify", check=False).stdout
    assert f"!! {JOB}/train.jsonl: same size, other content. Set aside as cache/damaged/" in said
    assert "`doit job:asr` makes it again." in said
    small.doit("job:asr")
    assert small.doit("verify").stdout.endswith(" 0 damaged\n")


def test_a_lost_file_of_a_job_is_made_again(small):
    (small.home / JOB / "dev.jsonl").unlink()
    assert "dev.jsonl is gone" in small.doit("why", "job:asr", check=False).stdout
    small.doit("job:asr")
    assert (small.home / JOB / "dev.jsonl").exists()
