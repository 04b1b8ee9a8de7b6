import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.disk.files import Scratch
from earmark.disk.shards import ShardRow, ShardWriter, list_shards, read_rows
from earmark.errors import CorpusError


def row(name: str, content: str = "x", text: str = "hello", mtime: int = 1) -> ShardRow:
    return ShardRow(f"id-{name}", f"{name}.flac", 10_000, mtime, 1, 1, content, {"text": text}, "train")


def write(folder, rows, files=3, hours=10.0):
    with contextlib.closing(
        ShardWriter(folder / "shards", folder / "tables", Scratch(folder / "tmp"), files, hours)
    ) as writer:
        for each in rows:
            writer.add(each)
        return writer.publish()


def placed(folder):
    lists = folder / "shards"
    return {row.path: shard for shard in list_shards(lists) for row in read_rows(lists / f"{shard}.jsonl")}


def test_rows_survive_the_disk_unchanged(tmp_path):
    rows = [row(str(number), text='"quotes"\tand 🎧 עברית é') for number in range(5)]
    write(tmp_path, rows)
    found = [
        each for shard in list_shards(tmp_path / "shards") for each in read_rows(tmp_path / "shards" / f"{shard}.jsonl")
    ]
    assert found == rows


def test_shards_hold_no_more_files_or_hours_than_allowed(tmp_path):
    sealed = write(tmp_path, [row(str(number)) for number in range(7)])
    assert [entry.files for entry in sealed.values()] == [3, 3, 1]
    half_an_hour = 17_000 * 1800
    long = [ShardRow(str(n), f"{n}.flac", half_an_hour, 1, 1, 1, "x", {}) for n in range(4)]
    assert [entry.files for entry in write(tmp_path / "b", long, files=100, hours=1.0).values()] == [2, 2]


@given(st.lists(st.sets(st.integers(0, 30)), min_size=1, max_size=4))
@settings(deadline=None, max_examples=30)
def test_a_recording_stays_in_its_shard_for_as_long_as_it_exists(tmp_path_factory, histories):
    folder = tmp_path_factory.mktemp("shards")
    before: dict[str, str] = {}
    for present in histories:
        write(folder, [row(str(number)) for number in sorted(present)])
        after = placed(folder)
        assert set(after) == {f"{number}.flac" for number in present}
        assert all(after[path] == before[path] for path in after.keys() & before.keys())
        new = {after[path] for path in after.keys() - before.keys()}
        assert not new & {shard for path, shard in before.items()}, "new files go to new shards"
        before = after


def test_touching_a_file_changes_no_digest_and_an_edit_only_its_own_shard(tmp_path):
    first = write(tmp_path, [row(str(number)) for number in range(6)])
    assert write(tmp_path, [row(str(number), mtime=2) for number in range(6)]) == first
    second = write(tmp_path, [row(str(number), content="y" if number == 4 else "x") for number in range(6)])
    assert second["0000"] == first["0000"]
    assert second["0001"].audio != first["0001"].audio


def test_the_bytes_of_a_table_count_once_however_many_recordings_it_holds(tmp_path):
    rows = [
        ShardRow(f"{table}{n}", f"{table}.parquet/{n}.row", 900, 1, 1, 1, "x", {}) for table in "ab" for n in range(5)
    ]
    rows += [ShardRow("s", "s.wav", 50, 1, 1, 1, "x", {})]
    sealed = write(tmp_path, rows, files=100)
    assert [(entry.files, entry.size_bytes) for entry in sealed.values()] == [(11, 2 * 900 + 50)]


def test_a_new_label_changes_the_labels_digest_and_not_the_audio_digest(tmp_path):
    first = write(tmp_path, [row("1")])["0000"]
    second = write(tmp_path, [row("1", text="goodbye")])["0000"]
    assert first.audio == second.audio
    assert first.labels != second.labels


def test_an_id_that_occurs_twice_is_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"id-1.* occurs twice"):
        write(tmp_path, [row("1"), row("1")])
    assert list(Scratch(tmp_path / "tmp").tmp.iterdir()) == []


def test_a_damaged_list_is_grouped_anew(tmp_path):
    write(tmp_path, [row(str(number)) for number in range(4)])
    (tmp_path / "shards" / "0000.jsonl").write_bytes(b'{"id"')
    write(tmp_path, [row(str(number)) for number in range(4)])
    assert set(placed(tmp_path)) == {f"{number}.flac" for number in range(4)}
