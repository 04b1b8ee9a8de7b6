"""Killed, interrupted, out of memory, out of disk: what is finished stays, nothing is half-written, the rest goes on."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import orjson
import pytest
from support.collection import CHECKOUT, Collection, decoded_features, done, snapshot, write_chapter

from earmark.disk.junk import OWNER_NAME
from earmark.features.packs import pack_damage

KILLS = 30
LONGEST_S = 2.8  # seconds into a run at which it is killed at the latest: all stages are met


def demo_collection(collection: Collection, archive, home=None) -> Collection:
    """Return a collection that holds the demo's archive and a small encoder."""
    made = Collection(home or collection.home, run={"workers": 2})
    if home is not None:
        shutil.copytree(collection.home / "model", home / "model")
    made.add_dataset("demo", archives=[{"file": archive.name}], max_bad=0.05, shard_files=16)
    (made.home / "data" / "demo").mkdir(parents=True, exist_ok=True)
    os.link(archive, made.home / "data" / "demo" / archive.name)
    return made


def results(home):
    """Return manifests byte for byte and decoded features."""
    manifests = {path.relative_to(home): path.read_bytes() for path in home.glob("manifests/*.jsonl")}
    return manifests, {audio_hash: frames.tobytes() for audio_hash, frames in decoded_features(home)}


def finished_shards(home):
    """Return the receipts of finished shards with their mtimes."""
    return {path: path.stat().st_mtime_ns for path in home.glob("cache/receipts/*/demo/*.json")}


def assert_nothing_is_half_written(home, whole: dict[str, int]):
    """Hold every file outside the scratch folder against the sizes of an unbroken run."""
    for path in home.rglob("*"):
        relative = path.relative_to(home).as_posix()
        if (
            path.is_dir()
            or path.name == OWNER_NAME  # which says where it is
            or relative.startswith("cache/.earmark-tmp/")
            or path.suffix in {".db", ".db-wal", ".db-shm", ".lock"}
        ):
            continue
        if path.suffix == ".json":
            orjson.loads(path.read_bytes())
        elif path.suffix == ".jsonl":
            assert all(map(orjson.loads, path.read_bytes().splitlines()))
        if ".zarr/" in relative:
            assert pack_damage(path.parents[[part.suffix for part in path.parents].index(".zarr")]) is None
        elif relative.startswith("manifests/features"):
            continue  # the names of packs depend on when the run was cut
        elif relative.startswith(("data/", "manifests/", "cache/audio/", "cache/quarantine/")) and relative in whole:
            assert path.stat().st_size == whole[relative], relative


def test_a_run_killed_at_thirty_random_moments_ends_like_an_unbroken_one(
    collection: Collection, demo_archive, tmp_path
):
    reference = demo_collection(collection, demo_archive)
    reference.doit("features:demo", timeout=300)
    expected = results(reference.home)
    whole = {
        path.relative_to(reference.home).as_posix(): path.stat().st_size
        for path in reference.home.rglob("*")
        if path.is_file()
    }
    moments = random.Random(5)
    kills = attempt = 0
    while kills < KILLS:
        attempt += 1
        broken = demo_collection(reference, demo_archive, tmp_path / f"attempt{attempt}")
        longest_s = LONGEST_S
        while True:
            before = finished_shards(broken.home)
            process = broken.start("features:demo", start_new_session=True)
            try:
                process.wait(timeout=moments.uniform(0.4, longest_s))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
                longest_s *= 1.05  # on a slow machine, too, it gets somewhere
            process.communicate()
            after = finished_shards(broken.home)
            assert {path: after.get(path) for path in before} == before, "a finished shard was done again"
            assert_nothing_is_half_written(broken.home, whole)
            if process.returncode == 0:
                break
        assert results(broken.home) == expected
        shutil.rmtree(broken.home)
    assert kills >= KILLS


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_an_interrupted_run_exits_in_seconds_with_one_line_and_goes_on(
    collection: Collection, demo_archive, number, word
):
    broken = demo_collection(collection, demo_archive)
    process = broken.start("features:demo")
    wait_for(lambda: list(broken.home.glob("cache/receipts/scan/demo.json")))
    asked = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - asked < 15
    assert process.returncode == 128 + number
    assert f"{word}: what is finished is kept" in err
    assert "Traceback" not in out + err
    broken.doit("features:demo", timeout=300)
    assert set(broken.states().values()) == {"U"}


def wait_for(condition, seconds: float = 60.0) -> None:
    """Poll until something is so."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.01)


def workers_of(process) -> list[int]:
    """Return the pool workers of a run."""
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    found = []
    for task in os.listdir(f"/proc/{process.pid}/task"):
        with open(children.replace(f"task/{process.pid}", f"task/{task}")) as file:
            found += [int(child) for child in file.read().split()]
    return [child for child in found if b"resource_tracker" not in command_of(child) and command_of(child)]


def command_of(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to find the workers")
@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
def test_a_killed_worker_is_noticed_and_its_shard_retried_once_then_failed_without_hanging(
    collection: Collection, times
):
    collection.run["workers"] = 1
    root = collection.add_dataset("books")
    write_chapter(root, "1-10", {number: number for number in range(12)}, seconds=240)
    process = collection.start("standardize:books")
    killed: set[int] = set()

    def kill_one() -> bool:
        for worker in workers_of(process) if process.poll() is None else []:
            if worker not in killed and b"spawn_main" in command_of(worker) and cpu_seconds(worker) > 0.3:
                os.kill(worker, signal.SIGKILL)
                killed.add(worker)
        return len(killed) >= times or process.poll() is not None

    wait_for(kill_one)
    out, err = process.communicate(timeout=120)
    assert len(killed) == times
    assert "Trying once more" in out
    assert "Traceback" not in out + err
    if times == 1:
        assert process.returncode == 0, out
    else:
        assert process.returncode != 0
        assert "!! standardize:books:0000: " in out
        assert "memory" in out


def cpu_seconds(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0


LIMITED = """
import resource, signal, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.argv = ["doit", *sys.argv[2:]]
from doit.__main__ import main
sys.exit(main())
"""

STAGE_LIMITS = {  # bytes that a file may have: too few for what the stage writes, enough for those before it
    "extract": 20_000,
    "scan": 600,
    "standardize": 20_000,
    "manifest": 600,
    "features": 60_000,
}


@pytest.mark.parametrize("stage", STAGE_LIMITS)
def test_a_full_disk_at_any_stage_is_one_line_nothing_half_published_and_resumes(
    collection: Collection, stage, tmp_path
):
    import tarfile

    write_chapter(tmp_path / "LibriSpeech", "1-10", {number: number for number in range(6)}, seconds=2.0)
    root = collection.add_dataset("books", archives=[{"file": "books.tar"}])
    root.parent.mkdir(parents=True)
    with tarfile.open(root.parent / "books.tar", "w") as archive:
        archive.add(tmp_path / "LibriSpeech", "LibriSpeech")
    before = {"extract": [], "scan": ["extract:books"], "standardize": ["scan:books"]}
    before |= {"manifest": ["standardize:books"], "features": ["manifest:books"]}
    if before[stage]:
        collection.doit(*before[stage])
    held = snapshot(collection.home / "data")
    limited = subprocess.run(
        [sys.executable, "-c", LIMITED, str(STAGE_LIMITS[stage]), f"{stage}:books"],
        cwd=CHECKOUT,
        env=collection.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = limited.stdout + limited.stderr
    assert limited.returncode != 0
    assert "Traceback" not in said
    assert "disk full or file size limit reached" in said
    assert "bytes needed" in said
    published = snapshot(collection.home / "data")
    assert {path: published.get(path) for path in held} == held
    assert not list(collection.home.glob("data/standard/**/*.flac")) or stage not in {"extract", "scan", "standardize"}
    collection.doit("features:books")
    assert set(collection.states().values()) == {"U"}
    assert done(collection.doit("features:books")) == []


def test_a_run_on_a_state_database_that_is_no_database_begins_a_new_one(collection: Collection):
    write_chapter(collection.add_dataset("books"), "1-10", {0: 1})
    collection.doit("features:books")
    for path in collection.home.glob("cache/*.db*"):
        path.write_bytes(b"no database at all" * 100)
    assert done(collection.doit("features:books")) == []


def test_a_key_pressed_while_modules_are_imported_is_one_line():
    code = "import tasks; raise KeyboardInterrupt"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=CHECKOUT)
    assert done.returncode and done.stderr == "interrupted\n"
