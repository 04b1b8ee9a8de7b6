"""doit plan: its sizes against what runs really write, and runs that do not fit."""

import fcntl
import os
import re
import shutil
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import orjson
import pytest
import soundfile
from support.archive_samples import pack
from support.collection import Collection, write_chapter
from support.fixtures import unpack
from support.models import write_model
from support.runs import open_query

from earmark import amounts
from earmark.disk.files import Scratch, size_on_disk
from earmark.errors import CatalogError, DiskFullError
from earmark.estimate import probes
from earmark.estimate.listing import list_archive
from earmark.features.packs import PackWriter
from earmark.features.sizes import pack_bytes
from tasks.plan import before_run, forecast, plan_table, wanted
from tasks.stages import extract_estimate, standardize_estimate

FILES, SECONDS, RATE_HZ = 60, 60, 8_000  # one hour, which standardize has to resample and compress
STAGES = {  # where each stage writes
    "extract": ("data/*/LibriSpeech", "cache/members"),
    "scan": ("cache/shards", "cache/watch", "cache/findings"),
    "standardize": ("data/standard", "cache/audio"),
    "manifest": ("manifests/*.jsonl",),
    "features": ("cache/features", "manifests/features"),
}


def written(home: Path) -> dict[str, int]:
    """Return the bytes that lie where each stage writes."""
    return {
        stage: sum(size_on_disk(path) for pattern in patterns for path in home.glob(pattern))
        for stage, patterns in STAGES.items()
    }


def planned(home: Path, *names: str, catalog: str = "datasets.toml") -> dict:
    """Return what `doit plan --json` prints, planned in this process."""
    return plan_table.as_json(forecast.make_forecast(open_query(home / catalog), list(names)), shards=False)


def variant(finished: Collection, name: str, **changes) -> str:
    """Write another catalog over the same folders, and return its name."""
    other = Collection(finished.home / "variants", dict(finished.datasets), **changes)
    other.write_catalog()
    (other.home / "datasets.toml").rename(finished.home / name)
    return name


@pytest.fixture
def copied(finished: Collection, tmp_path: Path) -> Collection:
    """A copy of `finished`, not scanned again: inodes and ctimes differ, nothing else."""
    shutil.copytree(finished.home, tmp_path / "copy")
    return Collection(tmp_path / "copy", {name: dict(table) for name, table in finished.datasets.items()})


def likely(seen: dict) -> dict[str, float]:
    return {step["stage"]: step["bytes"]["likely"] for step in seen["steps"]}


def snapshot(home: Path) -> dict[Path, tuple[int, int]]:
    """Return size and mtime of every file; SQLite's files for readers come and go."""
    files = (path for path in home.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal")))
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


@pytest.fixture(scope="module")
def hour(tmp_path_factory):
    """One hour of noise in 60 files of very different levels: plans before anything ran, after the scan, and the end."""
    made = Collection(tmp_path_factory.mktemp("hour") / "collection", run={"workers": 2})
    root = made.add_dataset("books", shard_files=20)
    write_model(made.home / "model", n_state=32, n_head=2, n_layer=1)
    noise = np.random.default_rng(0).standard_normal(SECONDS * RATE_HZ)
    for number in range(FILES):
        folder = root / "dev-clean" / str(number) / "1"
        folder.mkdir(parents=True)
        (folder / f"{number}-1.trans.txt").write_text(f"{number}-1-0000 WORDS IN NUMBER {number}\n", "utf-8")
        sound = (np.roll(noise, number) * 10 ** np.random.default_rng(number).uniform(1.5, 3.5)).astype(np.int16)
        soundfile.write(folder / f"{number}-1-0000.flac", sound, RATE_HZ, subtype="PCM_16", compression_level=0.0)
    fresh = planned(made.home, "features:books")
    made.doit("scan:books")
    scanned = planned(made.home, "features:books")
    made.doit("features:books", timeout=300)
    return SimpleNamespace(collection=made, fresh=fresh, scanned=scanned, real=written(made.home))


def test_before_anything_ran_the_sizes_of_an_hour_are_within_a_tenth(hour):
    expected = likely(hour.fresh)
    assert sum(expected.values()) == pytest.approx(sum(hour.real.values()) - hour.real["extract"], rel=0.1)
    for stage in ("standardize", "features"):
        assert expected[stage] == pytest.approx(hour.real[stage], rel=0.1)


def test_once_scanned_each_stage_of_an_hour_is_within_a_tenth(hour):
    expected = likely(hour.scanned)
    assert expected["extract"] == expected["scan"] == 0
    for stage in ("standardize", "manifest", "features"):
        assert expected[stage] == pytest.approx(hour.real[stage], rel=0.1), stage


def test_the_ranges_hold_what_was_really_written(hour):
    for seen in (hour.fresh, hour.scanned):
        for step in seen["steps"]:
            if step["stage"] in ("standardize", "features"):
                assert step["bytes"]["low"] * 0.97 <= hour.real[step["stage"]] <= step["bytes"]["high"] * 1.03


def test_numbers_say_what_they_are_made_from(hour):
    words = {step["stage"]: "; ".join(step["from"]) for step in hour.scanned["steps"]}
    assert "headers of 60 of 60 recordings" in words["standardize"]
    assert "1.00 h" in words["standardize"]
    assert "not measured yet" in words["features"]
    float32 = variant(hour.collection, "float32.toml", encoder={"codec": "float32"})
    step = planned(hour.collection.home, "features:books", catalog=float32)["steps"][-1]
    assert "measured on 3 units of books" in "; ".join(step["from"])


def test_the_sizes_of_the_demo_are_within_a_tenth_before_and_after_its_scan(collection: Collection, demo_archive):
    collection.add_dataset("demo", archives=[{"file": demo_archive.name}], max_bad=0.05, shard_files=16)
    (collection.home / "data/demo").mkdir(parents=True)
    os.link(demo_archive, collection.home / "data/demo" / demo_archive.name)
    fresh = likely(planned(collection.home))
    collection.doit("scan:demo")
    scanned = likely(planned(collection.home))
    collection.doit("features:demo")
    real = written(collection.home)
    assert sum(fresh.values()) == pytest.approx(sum(real.values()), rel=0.1)
    assert fresh["extract"] == pytest.approx(real["extract"], rel=0.1)
    for stage in ("standardize", "manifest", "features"):
        assert scanned[stage] == pytest.approx(real[stage], rel=0.1), stage


def test_a_demo_that_is_not_made_yet_has_the_size_that_its_generator_gives(demo_archive):
    with tarfile.open(demo_archive) as archive:
        members = [member for member in archive if member.isfile()]
    assert pytest.approx(demo_archive.stat().st_size, rel=0.02) == extract_estimate.DEMO_ARCHIVE
    assert pytest.approx(sum(member.size for member in members), rel=0.02) == extract_estimate.DEMO_TREE
    assert sum(member.name.endswith(".flac") for member in members) == extract_estimate.DEMO_RECORDINGS
    assert len(members) == extract_estimate.DEMO_FILES
    sounds = list_archive([demo_archive], (), (), "mean", "HQ", 60.0).probes.sounds
    assert sum(sound.seconds for sound in sounds) == pytest.approx(extract_estimate.DEMO_SECONDS, rel=0.02)


def test_a_plan_changes_nothing_on_disk_and_works_beside_a_run(finished: Collection):
    wav = variant(finished, "wav.toml", standard={"format": "wav"}, encoder={"window": "clip"})
    env = {"EARMARK_CATALOG": str(finished.home / wav)}
    before = snapshot(finished.home)
    with (finished.home / "cache/run.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = finished.doit("plan", "features:books", "--all", env=env).stdout
        assert orjson.loads(finished.doit("plan", "--json", env=env).stdout)["fits"] == "yes"
    assert re.search(r"R +standardize:books +2 of 2", said)
    assert "standardize:books:0001" in said
    assert snapshot(finished.home) == before


def test_a_plan_of_what_is_current_writes_nothing(finished: Collection):
    seen = planned(finished.home)
    assert {step["state"] for step in seen["steps"]} == {"U"}
    assert sum(likely(seen).values()) == 0


def test_another_standard_format_replaces_the_files_and_encodes_nothing(finished: Collection):
    wav = variant(finished, "wav.toml", standard={"format": "wav"})
    steps = {step["stage"]: step for step in planned(finished.home, "features:books", catalog=wav)["steps"]}
    audio = next(item for item in steps["standardize"]["writes"] if item["what"] == "standard audio")
    assert audio["replaced"] == sum(path.stat().st_size for path in finished.home.glob("data/standard/**/*.flac"))
    assert audio["bytes"]["likely"] == 8 * (44 + 2 * 16_000)
    assert not [item for item in steps["features"]["writes"] if item["what"].startswith("packs")]


def test_recordings_that_packs_hold_already_are_not_counted_again(copied: Collection):
    shutil.rmtree(copied.home / "cache/receipts/features")
    step = planned(copied.home, "features:books")["steps"][-1]
    assert step["held"] == "8 of 8 recordings are in packs of small already"
    assert sum(item["bytes"]["likely"] for item in step["writes"] if item["what"].startswith("packs")) == 0


def test_new_recordings_are_counted_alone(copied: Collection):
    write_chapter(copied.home / "data/books/LibriSpeech", "5-50", {0: 500, 1: 501})
    steps = {step["stage"]: step for step in planned(copied.home, "features:books")["steps"]}
    new = sum(path.stat().st_size for path in copied.home.glob("data/books/LibriSpeech/**/5-50*.flac"))
    assert steps["scan"]["state"] == steps["features"]["state"] == "R"
    audio = next(item for item in steps["standardize"]["writes"] if item["what"] == "standard audio")
    assert audio["bytes"]["likely"] == pytest.approx(new, rel=0.01)
    assert steps["features"]["units"]["run"] == 1


def test_recordings_in_the_rows_of_tables_have_their_own_lengths(collection: Collection):
    rows = [
        {"video_id": f"{n:011d}", "audio": {"bytes": f"tone {n % 5 + 2} s, 16000 Hz, 1 ch, wav", "path": f"{n}.wav"}}
        | {"labels": ["/m/0k4j"], "human_labels": ["Car"]}
        for n in range(30)
    ]
    collection.add_dataset("books", corpus="audioset", root=".")
    lines = "\n".join(orjson.dumps(row).decode() for row in rows)
    unpack(
        f'-- data/eval/00.parquet --\n{lines}\n-- catalog.toml --\ncorpus = "audioset"\n',
        collection.home / "data/books",
    )
    collection.doit("scan:books")
    steps = {step["stage"]: step for step in planned(collection.home, "features:books")["steps"]}
    assert "0.03 h of 30 recordings" in steps["standardize"]["from"]  # 120 s


def test_what_is_no_file_in_a_tree_is_passed_over(collection: Collection):
    root = collection.add_dataset("books")
    write_chapter(root, "1-10", {0: 1})
    expected = likely(planned(collection.home, "books"))
    (root / "gone.flac").symlink_to("nowhere")
    os.mkfifo(root / "pipe.flac")
    assert likely(planned(collection.home, "books")) == expected


def test_what_an_interrupted_extraction_left_is_not_counted_again(collection: Collection, tmp_path):
    write_chapter(tmp_path / "LibriSpeech", "1-10", {0: 0, 1: 1})
    folder = collection.add_dataset("books", archives=[{"file": "books.tar"}]).parent
    folder.mkdir(parents=True)
    with tarfile.open(folder / "books.tar", "w") as archive:
        archive.add(tmp_path / "LibriSpeech", "LibriSpeech")
    assert [item["what"] for item in planned(collection.home, "books")["steps"][0]["writes"]] == ["tree", "lists"]
    shutil.copytree(
        tmp_path / "LibriSpeech", collection.home / "cache/.earmark-tmp/extract-books-books.tar/LibriSpeech"
    )
    tree = planned(collection.home, "books")["steps"][0]["writes"][0]
    assert (tree["what"], tree["bytes"]["high"]) == ("tree", 0)


def test_a_damaged_list_of_members_is_done_without(collection: Collection, tmp_path):
    write_chapter(tmp_path / "LibriSpeech", "1-10", {0: 0, 1: 1})
    root = collection.add_dataset("books", archives=[{"file": "books.tar"}])
    root.parent.mkdir(parents=True)
    with tarfile.open(root.parent / "books.tar", "w") as archive:
        archive.add(tmp_path / "LibriSpeech", "LibriSpeech")
    collection.doit("extract:books")
    expected = likely(planned(collection.home, "books"))["standardize"]
    os.truncate(collection.home / "cache/members/books/books.tar.jsonl", 100)
    assert likely(planned(collection.home, "books"))["standardize"] == pytest.approx(expected, rel=0.01)


def test_a_shard_is_planned_without_the_others(finished: Collection):
    clip = variant(finished, "clip.toml", encoder={"window": "clip"})
    steps = planned(finished.home, "features:books:0001", catalog=clip)["steps"]
    assert [step["stage"] for step in steps] == ["extract", "scan", "standardize", "features"]
    assert steps[-1]["units"] == {"run": 1, "total": 1}


def test_an_archive_that_is_to_be_downloaded_is_planned_from_its_published_size(collection: Collection):
    archives = [{"file": "a.tar.gz", "size": 10_000_000}]
    collection.add_dataset("books", archives=archives, expect={"files": {"*.flac": 50}})
    seen = planned(collection.home, "books")
    assert {step["state"] for step in seen["steps"]} == {"E"}
    assert likely(seen)["extract"] == pytest.approx(20.2e6, rel=0.01)
    assert likely(seen)["standardize"] == pytest.approx(10e6, rel=0.1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("features:bokos", 'no dataset "bokos" (did you mean "books"?)'),
        ("featres:books", 'no task "featres:books" (did you mean "features:books"?)'),
        ("bookss", 'no task "bookss" (did you mean "books"?)'),
        ("features:books:11", 'no shard "11" (did you mean "0001"?)'),
        ("scan:boo*x", 'no task matches "scan:boo*x"'),
    ],
)
def test_a_name_that_is_no_task_gets_the_nearest_that_is_one(finished: Collection, name, expected):
    with pytest.raises(CatalogError, match=re.escape(expected)):
        planned(finished.home, name)


def test_a_wrong_name_is_one_line_and_an_exit_code(finished: Collection):
    failed = finished.doit("plan", "features:bokos", check=False)
    assert failed.returncode == 3
    assert failed.stderr.count("\n") == 1


# a run that does not fit


def test_a_run_over_the_budget_is_refused_before_it_begins_and_can_be_had_anyway(collection: Collection):
    write_chapter(collection.add_dataset("books"), "1-10", {number: number for number in range(6)})
    catalog = collection.home / "datasets.toml"
    catalog.write_text(catalog.read_text("utf-8") + '[disk]\nbudget = "300 KB"\n', "utf-8")
    refused = collection.doit("standardize:books", check=False)
    assert refused.returncode == 3
    assert "standardize:books does not fit on the disk" in refused.stderr
    assert "[disk] budget allows 300.0 kB" in refused.stderr
    assert 'format = "none"' in refused.stderr
    assert "doit run --anyway standardize:books" in refused.stderr
    assert not (collection.home / "cache/receipts").exists()
    assert planned(collection.home)["fits"] == "no"
    collection.doit("run", "--anyway", "standardize:books")
    assert "0 done" in collection.doit("standardize:books").stdout  # nothing to do fits whatever the budget is


def test_a_budget_that_is_exceeded_already_refuses_what_adds_to_it_alone(finished: Collection):
    for standard, fits in (("flac", "maybe"), ("none", "maybe"), ("wav", "no")):
        name = variant(finished, f"small-{standard}.toml", standard={"format": standard})
        with (finished.home / name).open("a", encoding="utf-8") as catalog:
            catalog.write('[disk]\nbudget = "1 KB"\n')
        seen = planned(finished.home, "standardize:books", catalog=name)
        assert (standard, seen["fits"]) == (standard, fits)
        assert not [hint for hint in seen["hints"] if "fit" in hint["text"]]


@pytest.fixture
def project(finished: Collection):
    """A project whose next run encodes everything again, in float32, beside standard WAV."""
    encoder = {"codec": "float32", "window": "clip"}
    return open_query(finished.home / variant(finished, "large.toml", standard={"format": "wav"}, encoder=encoder))


def with_free(monkeypatch, free: float) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(total=10**12, used=0, free=int(free)))


def require(query) -> None:
    before_run.require_fit(query, ["features:books"])


def peak(query) -> amounts.Amount:
    return forecast.make_forecast(query, ["features:books"]).volumes[0].peak


def test_a_run_that_does_not_fit_says_what_is_needed_what_is_free_and_what_would_help(project, monkeypatch):
    needed = peak(project)
    with_free(monkeypatch, needed.low * 0.75)
    with pytest.raises(DiskFullError) as refused:
        require(project)
    said = str(refused.value)
    assert "free on the volume of data, data/standard, manifests, cache" in said
    for way in ('format = "none"', 'format = "flac"', '[encoders.small] codec = "float16" saves'):
        assert way in said
    assert re.search(r"about 1 of 2 shards fit, such as `doit features:books:0000`", said)


def test_a_run_that_may_fit_is_warned_not_refused(project, monkeypatch, capsys):
    needed = peak(project)
    assert needed.low < needed.high
    with_free(monkeypatch, (needed.low + needed.high) / 2)
    require(project)
    assert "it may not fit on the disk" in capsys.readouterr().out


def test_copies_that_may_share_blocks_are_no_reason_to_refuse(copied: Collection, monkeypatch):
    shutil.rmtree(copied.home / "cache/receipts/standardize")
    shutil.rmtree(copied.home / "cache/audio")
    project = open_query(copied.home / "datasets.toml")
    needed = {}
    for shares in (False, True):
        monkeypatch.setattr(standardize_estimate, "may_share_blocks", lambda *_, shares=shares: shares)
        needed[shares] = forecast.make_forecast(project, ["standardize:books"]).volumes[0].peak
    size = sum(path.stat().st_size for path in copied.home.glob("data/books/**/*.flac"))
    assert needed[False].low - needed[True].low == pytest.approx(size)
    assert needed[False].high == needed[True].high


def test_a_run_with_plenty_of_space_looks_at_no_unit(project, monkeypatch):
    monkeypatch.setattr(wanted, "steps", lambda *_: pytest.fail("it estimated"))
    with_free(monkeypatch, 10**13)
    require(project)


def test_an_extracted_archive_is_named_as_space_to_be_had(collection: Collection, tmp_path, monkeypatch):
    write_chapter(tmp_path / "LibriSpeech", "1-10", {0: 0, 1: 1})
    root = collection.add_dataset("books", archives=[{"file": "books.tar"}])
    root.parent.mkdir(parents=True)
    with tarfile.open(root.parent / "books.tar", "w") as archive:
        archive.add(tmp_path / "LibriSpeech", "LibriSpeech")
    collection.doit("extract:books")
    project = open_query(collection.home / "datasets.toml")
    with_free(monkeypatch, 1000)
    savings = forecast.make_forecast(project, ["features:books"]).savings
    freed = (root.parent / "books.tar").stat().st_size
    assert [saving.saves for saving in savings if "doit cleanup:books" in saving.text] == [freed]


def test_what_cannot_be_estimated_is_not_refused(copied: Collection, monkeypatch):
    shutil.move(copied.home / "data/books", copied.home / "unmounted")
    with_free(monkeypatch, 0)
    require(open_query(copied.home / "datasets.toml"))


# arithmetic and probes


@pytest.mark.parametrize("chunk_frames", [1500, 3000])
@pytest.mark.parametrize("n_frames", [[10], [1500], [1400, 101], [4000, 700, 3]])
@pytest.mark.parametrize(("n_state", "codec"), [(384, "float16"), (32, "float32")])
def test_the_bytes_of_a_pack_are_known_from_its_frames(tmp_path, n_frames, n_state, codec, chunk_frames):
    hashes = [f"{number:032x}" for number in range(len(n_frames))]
    with PackWriter(
        tmp_path / "packs", "a.zarr", hashes, n_frames, n_state, codec, {}, Scratch(tmp_path / "tmp"), chunk_frames
    ) as pack:
        pack.append(np.ones((sum(n_frames), n_state), np.float32))
    expected = pack_bytes(amounts.exact(sum(n_frames)), len(n_frames), n_state, codec, chunk_frames=chunk_frames)
    assert expected.low == expected.high
    assert abs(size_on_disk(tmp_path / "packs") - expected.likely) < 2_500


def test_a_sample_of_all_is_exact_and_a_part_has_a_range_around_the_truth():
    random = np.random.default_rng(1)
    sizes = random.integers(1_000, 100_000, 2_000)
    seconds = sizes / 16_000 * random.uniform(0.8, 1.25, 2_000)
    truth = seconds.sum() / sizes.sum()
    whole = amounts.ratio(list(sizes), list(seconds), 2_000)
    assert whole.low == whole.high == pytest.approx(truth)
    part = amounts.ratio(list(sizes[:100]), list(seconds[:100]), 2_000)
    assert part.low < truth < part.high
    assert part.high - part.low < 0.2 * truth


def test_a_zip_is_listed_by_its_directory_and_a_cut_tar_by_what_is_there(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000, np.int16), 16_000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.wav", "sounds/a.wav")
        archive.writestr("notes.txt", "x" * 100)
        archive.writestr("left/out.wav", "x")
        archive.writestr("inner.zip", "x" * 500)
    listing = list_archive([tmp_path / "a.zip"], ("*.zip",), ("left/*",), "mean", "HQ", 60.0)
    assert listing.share == 1.0
    assert listing.files == [("sounds/a.wav", 32_044), ("notes.txt", 100)]
    assert listing.nested == 500
    assert listing.probes.sounds == [probes.Sound(1.0, "wav")]
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number in range(100):
            archive.add(tmp_path / "a.wav", f"{number}.wav")
    with (tmp_path / "a.tar").open("r+b") as file:
        file.truncate(1_000_000)
    listing = list_archive([tmp_path / "a.tar"], (), (), "mean", "HQ", 60.0)
    assert 25 < len(listing.files) < 100


def test_a_tar_that_was_cut_in_several_files_is_listed_as_one(tmp_path):
    data = pack({f"{number}.wav": bytes(5_000) for number in range(40)}, "tar.gz")
    paths = [tmp_path / "a.tgz.partaa", tmp_path / "a.tgz.partab"]
    for path, piece in zip(paths, (data[:900], data[900:]), strict=True):
        path.write_bytes(piece)
    listing = list_archive(paths, (), (), "mean", "HQ", 60.0)
    assert listing.share == 1.0
    assert [size for _, size in listing.files] == [5_000] * 40


@pytest.mark.parametrize("data", [b"<html>", pack({"a.wav": b"a"}, "zip")[:-30]])
def test_of_an_archive_that_cannot_be_read_nothing_is_known(tmp_path, data):
    (tmp_path / "a.zip").write_bytes(data)
    assert list_archive([tmp_path / "a.zip"], (), (), "mean", "HQ", 60.0).share == 0.0


def test_a_file_that_is_no_recording_tells_no_length(tmp_path):
    (tmp_path / "a.flac").write_text("not a recording")
    os.mkfifo(tmp_path / "pipe.flac")  # nobody writes to it
    assert probes.probe(tmp_path / "pipe.flac") is None
    assert probes.probe(tmp_path / "a.flac") is None
    assert probes.probe(tmp_path / "gone.flac") is None
    assert probes.flac_rate(tmp_path / "a.flac", "mean", "HQ") is None
