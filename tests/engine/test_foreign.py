"""Runs among files that are not theirs: nothing of somebody else is overwritten, deleted or taken for their own."""

import shutil

import pytest
from support.collection import Collection, write_chapter
from support.runs import open_run

from earmark.audio import placing
from earmark.disk import volumes
from earmark.disk.junk import OWNER_NAME
from tasks.engine.judge import judge, perform
from tasks.engine.run_pool import RunPool
from tasks.engine.units import Unit


class HerePool:
    """A pool whose work is done in this process: to start workers for two recordings would take a second."""

    def map(self, function, items, **_options):
        return map(function, items)


@pytest.fixture(autouse=True, scope="module")
def no_workers():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunPool, "open", lambda _: HerePool())
        yield


STANDARD = "data/standard/x/train-clean-100/1/10/1-10-0000.flac"


def books(home, seed=0, n=2, paths=""):
    """Return a collection of some recordings, with `paths` at the head of its catalog."""
    made = Collection(home)
    write_chapter(made.add_dataset("x"), "1-10", {i: seed + i for i in range(n)}, seconds=0.05)
    write_paths(made, paths)
    return made


def write_paths(made, paths):
    made.write_catalog()
    catalog = made.home / "datasets.toml"
    catalog.write_text(f"[paths]\n{paths}\n{catalog.read_text('utf-8')}", "utf-8")


def run(made, *units, force=False, catalog="datasets.toml"):
    """Build some units as one run does, in this process; return the lines of what failed, and of what was noted."""
    opened = open_run(made.home / catalog, force=force)
    lines = []
    noted = opened.log.note
    object.__setattr__(opened.log, "note", lambda line: (lines.append(line), noted(line)))
    try:
        for name in units or ("extract:x", "scan:x", "standardize:x:0000", "standardize:x", "manifest:x"):
            unit = Unit.parse(name)
            failed = perform(opened, opened.stage(unit.stage).rule(unit), unit)
            if failed is not None:
                lines.append(str(failed.message))
                break
    finally:
        opened.pool.stop()
        opened.project.memo.close()
    return lines


def state(made, name):
    opened = open_run(made.home / "datasets.toml")
    unit = Unit.parse(name)
    return judge(opened, opened.stage(unit.stage).rule(unit), unit).state


@pytest.fixture(scope="module")
def template(tmp_path_factory, no_workers):
    """A finished collection, to be copied."""
    made = books(tmp_path_factory.mktemp("template") / "home")
    assert run(made) == []
    return made.home


@pytest.fixture
def finished(template, tmp_path):
    shutil.copytree(template, tmp_path / "home")
    made = Collection(tmp_path / "home")
    made.add_dataset("x")
    write_paths(made, "")
    return made


def edit(made):
    """Have one recording made again."""
    path = made.home / "data/x/LibriSpeech/train-clean-100/1/10/1-10-0000.flac"
    path.unlink()
    write_chapter(made.home / "data/x/LibriSpeech", "1-10", {0: 77, 1: 1}, seconds=0.05)


def test_files_in_a_folder_of_standard_audio_that_is_not_ours_stay_and_nothing_is_put_among_them(tmp_path):
    made = books(tmp_path / "home")
    mine = made.home / STANDARD
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    (line,) = run(made)
    assert "data/standard/x: there are files in it that earmark did not make. Move them away" in line
    assert [path for path in (made.home / "data/standard").rglob("*") if path.is_file()] == [mine]


def test_a_file_put_later_in_the_place_of_a_standard_file_stays_and_is_named(finished):
    mine = finished.home / STANDARD.replace("0000", "0002")
    mine.write_bytes(b"mine")
    write_chapter(finished.home / "data/x/LibriSpeech", "1-10", {0: 0, 1: 1, 2: 2}, seconds=0.05)
    (line,) = run(finished, "scan:x", "standardize:x:0000", "standardize:x:0001")
    assert f"{mine}: a file that earmark did not make" in line
    assert mine.read_bytes() == b"mine"
    mine.unlink()
    assert run(finished, "standardize:x:0001") == []


def test_a_standard_file_changed_by_hand_is_kept_when_its_recording_is_made_again(finished):
    path = finished.home / STANDARD
    path.write_bytes(b"denoised by hand")
    edit(finished)
    lines = run(finished)
    assert any(f"kept as {STANDARD}.edited" in line for line in lines)
    assert path.with_name(f"{path.name}.edited").read_bytes() == b"denoised by hand"
    assert state(finished, "standardize:x:0000") == "U"


def test_a_standard_file_that_no_recording_has_is_deleted_only_as_it_was_made(finished):
    folder = finished.home / "data/x/LibriSpeech/train-clean-100/1/10"
    ours, edited = finished.home / STANDARD, finished.home / STANDARD.replace("0000", "0001")
    edited.write_bytes(bytes(edited.stat().st_size))  # of its size
    for path in folder.glob("*.flac"):
        path.unlink()
    write_chapter(finished.home / "data/x/LibriSpeech", "1-10", {5: 5}, seconds=0.05)
    lines = run(finished, "scan:x", "standardize:x:0001", "standardize:x")
    assert any("1 standard files that no recording has any more were changed" in line for line in lines)
    assert edited.exists()
    assert not ours.exists()


def test_a_table_that_somebody_put_into_the_cache_is_no_shard_that_is_gone(finished):
    mine = finished.home / "cache/audio/x/notes.jsonl"
    mine.write_bytes(b"mine")
    edit(finished)
    run(finished)
    assert mine.read_bytes() == b"mine"


def test_a_run_goes_on_by_itself_after_a_kill_between_a_standard_file_and_its_row(finished):
    before = (finished.home / "cache/audio/x/0000.jsonl").read_bytes()
    for path in ("cache/audio/x/0000.jsonl", "cache/receipts/standardize/x/0000.json"):
        (finished.home / path).unlink()
    assert run(finished) == []
    assert (finished.home / "cache/audio/x/0000.jsonl").read_bytes() == before


def test_a_shard_that_an_earlier_version_was_killed_in_is_gone_on_with(finished):
    table = finished.home / "cache/audio/x/0000.jsonl"
    rows = table.read_bytes().splitlines(keepends=True)
    for path in [
        table,
        *(finished.home / "cache").glob("receipts/standardize/x*"),
        finished.home / "cache" / OWNER_NAME,
    ]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (finished.home / "data/standard/x" / OWNER_NAME).unlink()
    (finished.home / "cache/tmp").mkdir()
    (finished.home / "cache/tmp/journal-x-0000.jsonl").write_bytes(rows[0] + rows[1][:40])
    assert run(finished) == []
    assert table.read_bytes() == b"".join(rows)


def test_what_was_noted_of_a_shard_that_a_kill_left_unfinished_outlasts_the_next_shard(finished):
    scratch = open_run(finished.home / "datasets.toml").project.scratch
    (scratch.tmp / "journal-other-0000.jsonl").write_bytes(b"")
    (scratch.tmp / placing.NOTES).write_bytes(b'{"placed":[1,2,3]}\n')
    path = finished.home / STANDARD
    path.write_bytes(b"by hand")
    edit(finished)
    assert len([line for line in run(finished) if "kept as" in line]) == 1
    (scratch.tmp / "journal-other-0000.jsonl").unlink()
    assert (scratch.tmp / placing.NOTES).read_bytes().startswith(b'{"placed":[1,2,3]}\n')
    assert run(finished, "standardize:x:0000", force=True) == []
    assert not (scratch.tmp / placing.NOTES).exists()


@pytest.fixture
def sharing(tmp_path):
    """Two collections that name one folder of standard audio; the first has made its own in it."""
    paths = f'standard = "{tmp_path}/shared"'
    first, second = books(tmp_path / "a", paths=paths), books(tmp_path / "b", seed=50, paths=paths)
    assert run(first) == []
    return first, second


def test_the_second_catalog_of_one_standard_folder_is_refused_by_the_name_of_the_first(sharing):
    first, second = sharing
    before = {path: path.read_bytes() for path in (first.home.parent / "shared").rglob("*.flac")}
    (line,) = run(second)
    assert f"it was made by {first.home}/datasets.toml. Name another paths.standard" in line
    assert {path: path.read_bytes() for path in (first.home.parent / "shared").rglob("*.flac")} == before
    assert state(first, "standardize:x:0000") == "U"


def test_what_two_catalogs_of_an_earlier_version_shared_is_not_current_for_the_one_that_did_not_make_it(sharing):
    first, second = sharing
    mark = first.home.parent / "shared/x" / OWNER_NAME
    kept = mark.read_bytes()
    shutil.rmtree(mark.parent)
    assert run(second) == []  # as an earlier version did, which knew no marks
    mark.write_bytes(kept)
    assert state(second, "standardize:x:0000") == "E"


def test_a_collection_that_was_moved_with_its_folders_is_current_and_works_on(finished, tmp_path):
    finished.home.rename(tmp_path / "moved")
    moved = Collection(tmp_path / "moved", finished.datasets)
    assert state(moved, "manifest:x") == "U"
    edit(moved)
    assert run(moved) == []


def test_a_collection_that_was_moved_keeps_its_standard_audio_elsewhere(sharing):
    first, _ = sharing
    first.home.rename(first.home.with_name("moved"))
    moved = Collection(first.home.with_name("moved"), first.datasets)
    edit(moved)
    assert run(moved) == []


def test_a_copy_that_goes_on_with_the_standard_audio_of_the_original_is_refused(sharing):
    first, _ = sharing
    shutil.copytree(first.home, first.home.with_name("copy"))
    copy = Collection(first.home.with_name("copy"), first.datasets)
    edit(copy)
    (line,) = run(copy)
    assert f"it was made by {first.home}/datasets.toml" in line


@pytest.mark.parametrize("folder", ["manifests", "data/standard", "data/x", "cache"])
def test_a_volume_that_goes_during_a_run_stops_it_and_nothing_is_written_under_its_mount_point(
    finished, folder, monkeypatch
):
    edit(finished)
    gone = finished.home / folder
    real, calls = volumes._place, []

    def unmounted_after_a_while(path):
        if path == gone:
            calls.append(path)
            if len(calls) == 3:
                gone.rename(gone.with_name("unmounted"))
                gone.mkdir()
        return real(path)

    monkeypatch.setattr(volumes, "_place", unmounted_after_a_while)
    lines = run(finished)
    assert f"{gone}: not the folder that it was when this run began" in lines[-1]
    assert list(gone.rglob("*")) == []
