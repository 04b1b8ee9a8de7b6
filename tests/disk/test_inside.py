import io
import itertools

import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from support.collection import RATE_HZ, speech
from support.fixtures import unpack

from earmark.audio.canonical import Policy, standardize
from earmark.corpora._formats.parquet import columns_of, table_rows
from earmark.disk.files import Scratch
from earmark.disk.inside import Place, locate, read_row
from earmark.errors import BadAudioError, CorpusError

TABLES = ["rows.parquet", "rows.arrow"]


def flac(seed, seconds=0.1):
    file = io.BytesIO()
    soundfile.write(file, speech(seconds, seed), RATE_HZ, format="FLAC")
    return file.getvalue()


def write_table(path, rows, group=3):
    import pyarrow
    import pyarrow.parquet

    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    schema = pyarrow.schema([("name", pyarrow.string()), ("audio", kind)])
    table = pyarrow.Table.from_pylist(rows, schema)
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path, row_group_size=group)
        return
    with pyarrow.ipc.new_stream(str(path), schema) as writer:
        for batch in table.to_batches(max_chunksize=group):
            writer.write(batch)


def audio_of(path, tmp_path):
    audio, _ = standardize(path, None, Policy(format="none"), Scratch(tmp_path / "tmp"))
    return audio


@pytest.mark.parametrize("name", TABLES)
def test_row_of_a_table_is_heard_as_the_same_file_alone(name, tmp_path):
    rows = [{"name": str(seed), "audio": {"bytes": flac(seed), "path": f"{seed}.flac"}} for seed in range(8)]
    write_table(tmp_path / name, rows)
    for number in (0, 7, 3, 2):
        alone = tmp_path / f"{number}.flac"
        alone.write_bytes(rows[number]["audio"]["bytes"])
        assert audio_of(tmp_path / name / f"{number}.row", tmp_path) == audio_of(alone, tmp_path)


@pytest.mark.parametrize("name", TABLES)
@settings(deadline=None, max_examples=25)
@given(held=st.lists(st.booleans(), min_size=1, max_size=9), group=st.integers(1, 4))
def test_labels_come_row_by_row_whatever_groups_and_gaps_a_table_has(name, held, group, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    rows = [
        {"name": f"n{at}", "audio": {"bytes": b"%d" % at if flag else None, "path": f"{at}.wav"}}
        for at, flag in enumerate(held)
    ]
    write_table(folder / name, rows, group)
    assert columns_of(folder / name) == ["name", "audio"]
    expected = [
        {"name": row["name"], "audio": {"path": row["audio"]["path"], "has_bytes": flag}}
        for row, flag in zip(rows, held, strict=True)
    ]
    assert list(table_rows(folder / name, ["name", "audio"])) == expected
    assert list(table_rows(folder / name, ["name"])) == [{"name": row["name"]} for row in rows]
    for at, flag in enumerate(held):
        if flag:
            assert read_row(folder / name, at) == b"%d" % at
        else:
            with pytest.raises(BadAudioError, match="no bytes"):
                read_row(folder / name, at)
    with pytest.raises(BadAudioError, match=f"expected a row {len(held)}"):
        read_row(folder / name, len(held))


@pytest.mark.parametrize("name", TABLES)
def test_changed_table_is_read_anew(name, tmp_path):
    for seed in (1, 2):
        write_table(tmp_path / name, [{"name": "a", "audio": {"bytes": flac(seed), "path": "a.flac"}}])
        assert read_row(tmp_path / name, 0) == flac(seed)
        (tmp_path / name).unlink()


@pytest.mark.parametrize("name", TABLES)
def test_file_that_is_no_table_is_bad_audio_and_a_clear_error_for_its_reader(name, tmp_path):
    (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BadAudioError, match="expected a table with audio"):
        audio_of(tmp_path / name / "0.row", tmp_path)
    with pytest.raises(
        CorpusError, match=rf"{name}: expected a table with the columns name, got: .* Download it again"
    ):
        list(table_rows(tmp_path / name, ["name"]))
    with pytest.raises(CorpusError, match="Download it again"):
        columns_of(tmp_path / name)


@pytest.mark.parametrize("name", TABLES)
def test_missing_column_is_named(name, tmp_path):
    write_table(tmp_path / name, [])
    with pytest.raises(CorpusError, match="no column labels among name, audio"):
        list(table_rows(tmp_path / name, ["name", "labels"]))


def test_streams_of_a_medium_are_recordings_of_their_own_and_a_picture_is_none(tmp_path):
    unpack("-- song.stem.mp4 --\ntone 0.2 s, 44100 Hz, 2 ch, 5 streams\n", tmp_path)
    heard = [audio_of(tmp_path / "song.stem.mp4" / f"{number}.stream", tmp_path) for number in range(5)]
    assert len({audio.audio_hash for audio in heard}) == 5
    assert all(before.rms < after.rms for before, after in itertools.pairwise(heard))
    assert audio_of(tmp_path / "song.stem.mp4", tmp_path) == heard[0]
    with pytest.raises(BadAudioError, match="expected an audio stream 5, got 5"):
        audio_of(tmp_path / "song.stem.mp4" / "5.stream", tmp_path)


def test_stub_in_place_of_a_medium_is_called_what_it_is(tmp_path):
    (tmp_path / "song.mp4").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BadAudioError, match="Git LFS pointer"):
        audio_of(tmp_path / "song.mp4" / "1.stream", tmp_path)


def test_only_a_file_in_a_folders_place_is_looked_into(tmp_path):
    (tmp_path / "folder").mkdir()
    soundfile.write(tmp_path / "folder" / "3.row", speech(0.1, 1), RATE_HZ, format="WAV")
    assert locate(tmp_path / "folder" / "3.row") == Place(tmp_path / "folder" / "3.row")
    assert audio_of(tmp_path / "folder" / "3.row", tmp_path).n_samples == RATE_HZ // 10
    (tmp_path / "file").write_bytes(b"")
    assert locate(tmp_path / "file" / "3.row") == Place(tmp_path / "file", "row", 3)
    assert locate(tmp_path / "file" / "3.wav") == Place(tmp_path / "file" / "3.wav")
    assert all(locate(tmp_path / "file" / name).part == "" for name in ("x.row", "-1.row", "1.rows", "1.stream.wav"))
