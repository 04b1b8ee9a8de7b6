"""Home-made tables, Parquet and Arrow: class labels, columns of bytes, and tables of another form."""

import struct

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pool_jobs import crash_here
from support.readers import write

from earmark import corpora
from earmark.corpora import Finding, ReaderOptions, Recording
from earmark.corpora._formats import parquet
from earmark.disk.inside import read_row
from earmark.errors import BadAudioError, CorpusError


def write_tables(root, features=None, **columns):
    """Write a table of one recording with more columns, as Parquet and as an Arrow stream in folders of those names."""
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    audio = {"audio": pyarrow.array([{"bytes": b"x", "path": "a.wav"}], kind)}
    table = pyarrow.table(audio | {name: [value] for name, value in columns.items()})
    table = table.replace_schema_metadata({} if features is None else {"huggingface": features})
    write(root, {"parquet/dataset_info.json": INFO, "arrow/dataset_info.json": INFO})
    pyarrow.parquet.write_table(table, root / "parquet/test.parquet")
    with pyarrow.ipc.new_stream(str(root / "arrow/test.arrow"), table.schema) as stream:
        stream.write(table)


INFO = '{"features": {"emotion": {"names": ["sad"]}}}'
each_form = pytest.mark.parametrize("form", ["parquet", "arrow"])


@each_form
def test_tables_name_class_labels_by_their_own_features_before_those_of_the_folder(form, tmp_path):
    for features, expected in [(INFO.replace("sad", "happy"), "happy"), ('{"features": null}', None), (None, "sad")]:
        write_tables(tmp_path, features and f'{{"info": {features}}}', emotion=0)
        (found,) = corpora.read("tables", tmp_path / form, ReaderOptions())
        assert found.labels.get("emotion") == expected


@each_form
def test_tables_give_no_label_for_columns_of_bytes(form, tmp_path):
    write_tables(tmp_path, text="a", image={"bytes": b"png", "path": "a.png"}, clips=[b"wav"], raw=b"x")
    finding, recording = corpora.read("tables", tmp_path / form, ReaderOptions())
    detail = "image, clips, raw: bytes, which are no label"
    assert finding == Finding(corpora.DOUBTFUL_LABEL, f"test.{form}", detail)
    assert recording == Recording("test/0", f"test.{form}/0.row", "test", {"text": "a"})


@each_form
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"features": "{"}, "broken features: expected JSON"),
        ({"features": '{"info": []}'}, "broken features: expected JSON"),
        ({"audio": "a.wav"}, r"got: a column audio that is string, not struct<bytes, path>\."),
        ({"audio": {"bytes": b"x"}}, "got: a column audio that is struct<bytes: binary>, not"),
    ],
    ids=str,
)
def test_tables_of_another_form_are_refused_with_what_is_wrong(form, columns, message, tmp_path):
    write_tables(tmp_path, **columns)
    with pytest.raises(CorpusError, match=message):
        list(corpora.read("tables", tmp_path / form, ReaderOptions()))


def sounds(folder, form, texts=("abcdefg",) * 3):
    """Write a table of some recordings, in a folder of its own; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"train.{form}"
    rows = [{"audio": {"bytes": b"RIFF" * 9, "path": "x.wav"}, "text": text, "tags": ["a", "b"]} for text in texts]
    table = pyarrow.Table.from_pylist(rows)
    if form == "parquet":
        pyarrow.parquet.write_table(table, path)
    else:
        with pyarrow.ipc.new_stream(str(path), table.schema) as stream:
            stream.write_table(table)
    return path


def read_all(folder):
    return list(corpora.read("tables", folder, ReaderOptions()))


def test_an_offset_that_leads_out_of_a_table_is_one_line_and_the_next_table_is_read(tmp_path):
    path = sounds(tmp_path / "bad", "arrow")
    data = bytearray(path.read_bytes())
    data[data.find(struct.pack("<4i", 0, 7, 14, 21)) + 7] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(CorpusError, match="expected a table with the columns"):
        read_all(path.parent)
    at = data.find(struct.pack("<4i", 0, 36, 72, 108))
    path.write_bytes(data[: at + 7] + bytes([data[at + 7] ^ 0x40]) + data[at + 8 :])
    with pytest.raises(BadAudioError, match="expected a table with audio"):
        read_row(path, 1)
    sounds(tmp_path / "good", "arrow")
    assert len(read_all(tmp_path / "good")) == 3


def test_a_table_that_ends_its_reader_is_named_and_the_next_table_is_read(tmp_path, monkeypatch):
    path = sounds(tmp_path / "bad", "arrow")
    monkeypatch.setattr(parquet, "_read_rows", crash_here)
    with pytest.raises(
        CorpusError, match=r"train\.arrow: expected a table, got one that crashes its reader \(SIGSEGV\)"
    ):
        read_all(path.parent)
    monkeypatch.undo()
    assert len(read_all(path.parent)) == 3


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(
    form=st.sampled_from(["arrow", "parquet"]),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), min_size=1, max_size=4),
)
def test_no_flipped_bit_of_a_table_is_more_than_one_line(tmp_path_factory, form, flips):
    path = sounds(tmp_path_factory.getbasetemp() / f"flipped-{form}", form)
    data = bytearray(path.read_bytes())
    for share, bit in flips:
        data[min(int(share * len(data)), len(data) - 1)] ^= 1 << bit
    path.write_bytes(data)
    try:
        assert len(read_all(path.parent)) <= 3
    except CorpusError as error:
        assert "\n" not in str(error)


def test_tables_that_are_read_in_turn_give_each_its_own_rows(tmp_path):
    texts = [[f"{name} {number}" for number in range(2_500)] for name in range(6)]
    paths = [
        sounds(tmp_path / str(name), form, of_one)
        for (name, of_one), form in zip(enumerate(texts), ["arrow", "parquet"] * 3, strict=True)
    ]
    readings = [parquet.table_rows(path, ["text", "audio"]) for path in paths]
    for number in range(2_500):
        assert [next(reading)["text"] for reading in readings] == [of_one[number] for of_one in texts]
    assert all(next(reading, None) is None for reading in readings)


@each_form
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"pitch": 128}, "expected a whole number from 0 to 127 in column pitch, got '128'"),
        ({"split": "mine"}, "expected train, dev or test as split, got 'mine'"),
    ],
    ids=str,
)
def test_a_row_of_another_form_is_a_finding_with_its_number(form, columns, message, tmp_path):
    write_tables(tmp_path, **columns)
    found = list(corpora.read("tables", tmp_path / form, ReaderOptions()))
    assert found == [Finding(corpora.BROKEN_LABEL, f"test.{form}:0", message)]
