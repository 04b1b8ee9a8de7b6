"""Home-made tables, Parquet and Arrow: class labels, columns of bytes, and tables of another form."""

import pyarrow
import pyarrow.parquet
import pytest
from support.readers import write

from earmark import corpora
from earmark.corpora import Finding, ReaderOptions, Recording
from earmark.errors import CorpusError


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
