"""Manifests of other toolkits, home-made tables with channels, and what is joined of several lines."""

import gzip
import json

import pytest
from support.fixtures import tone, unpack, write_tone
from support.readers import FIXTURES, items_of, write

from earmark import corpora
from earmark.corpora import Finding, ReaderOptions, Recording
from earmark.errors import CatalogError, CorpusError


def read(corpus, root, **options):
    return list(corpora.read(corpus, root, ReaderOptions(options=options)))


def recordings(items):
    return [item for item in items if isinstance(item, Recording)]


@pytest.mark.parametrize("name", ["lhotse", "lhotse_cuts"])
def test_packed_manifests_give_what_plain_ones_give(name, tmp_path):
    (path,) = [path for path in FIXTURES if path.stem == name]
    fixture = unpack(path.read_text("utf-8"), tmp_path)
    plain = items_of(fixture, tmp_path)
    for manifest in list(tmp_path.rglob("*.jsonl")):
        manifest.with_name(f"{manifest.name}.gz").write_bytes(gzip.compress(manifest.read_bytes()))
        manifest.unlink()
    packed = items_of(fixture, tmp_path)
    assert recordings(packed) == recordings(plain)
    told = [[item.kind for item in items if isinstance(item, Finding)] for items in (packed, plain)]
    assert told[0] == told[1]


def test_a_packed_manifest_that_is_cut_is_named(tmp_path):
    packed = gzip.compress(b'{"id": "a", "sources": [], "duration": 1.0}\n' * 99)
    write(tmp_path, {"recordings.jsonl.gz": packed[:-9]})
    with pytest.raises(CorpusError, match=r"recordings\.jsonl\.gz: cannot be unpacked"):
        read("lhotse", tmp_path)
    write(tmp_path, {"recordings.jsonl.gz": b"not gzip"})
    with pytest.raises(CorpusError, match=r"recordings\.jsonl\.gz: cannot be unpacked"):
        read("lhotse", tmp_path)


def sides_table(root, channels):
    import pyarrow
    import pyarrow.parquet

    sound = {"bytes": tone("call", 0.1, 8000, 2, ".wav"), "path": "call.wav"}
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    columns = {"audio": pyarrow.array([sound] * len(channels), kind), "channel": channels, "text": ["a", "b"]}
    pyarrow.parquet.write_table(pyarrow.table(columns), root / "train.parquet")


def test_a_column_channel_makes_one_side_of_a_row_the_recording(tmp_path):
    sides_table(tmp_path, ["A", "B"])
    assert [(item.path, item.labels["channel"]) for item in read("tables", tmp_path)] == [
        ("train.parquet/0.row/0.channel", "A"),
        ("train.parquet/1.row/1.channel", "B"),
    ]


@pytest.mark.parametrize("corpus", ["tables", "audiofolder", "nemo"])
def test_a_number_as_a_channel_of_stereo_needs_to_be_told_where_it_begins(corpus, tmp_path):
    if corpus == "tables":
        sides_table(tmp_path, [1, 2])
    else:
        write_tone(tmp_path / "call.wav", 0.1, 8000, 2)
        key = "audio_filepath" if corpus == "nemo" else "file_name"
        rows = [{key: "call.wav", "channel": number, "text": "ab"[number - 1]} for number in (1, 2)]
        write(tmp_path, {"metadata.jsonl": "".join(f"{json.dumps(row)}\n" for row in rows)})
    untold = read(corpus, tmp_path)
    assert [item.kind for item in untold] == [corpora.CONTRADICTION] * 2
    assert all("options = { first_channel = 0 }, or 1" in item.detail for item in untold)
    told = read(corpus, tmp_path, first_channel=1)
    assert [item.path.rpartition("/")[2] for item in told] == ["0.channel", "1.channel"]
    assert [item.labels["text"] for item in told] == ["a", "b"]
    with pytest.raises(CatalogError, match="first_channel: expected 0 or 1"):
        read(corpus, tmp_path, first_channel="left")


@pytest.mark.parametrize("corpus", ["audiofolder", "nemo"])
def test_two_texts_for_one_stereo_file_are_refused_and_of_a_file_of_one_channel_the_first_counts(corpus, tmp_path):
    key = "audio_filepath" if corpus == "nemo" else "file_name"
    rows = [{key: "call.wav", "text": text} for text in ("hello", "world")]
    write(tmp_path, {"metadata.jsonl": "".join(f"{json.dumps(row)}\n" for row in rows)})
    write_tone(tmp_path / "call.wav", 0.1, 8000, 2)
    assert [item.kind for item in read(corpus, tmp_path)] == [corpora.CONTRADICTION]
    write_tone(tmp_path / "call.wav", 0.1, 8000, 1)
    told, kept = read(corpus, tmp_path)
    assert told.detail == "call: another text at metadata.jsonl:1, which counts"
    assert kept.labels == {"text": "hello"}


def test_parts_of_one_file_in_a_manifest_of_nemo_are_segments_and_whole_files_are_not(tmp_path):
    for name in ("a", "b"):
        write_tone(tmp_path / f"{name}.wav", 0.1, 16_000)
    lines = [
        {"audio_filepath": "a.wav", "duration": 0.05, "text": "one"},
        {"audio_filepath": "a.wav", "duration": 0.05, "offset": 0.05, "text": "two"},
        {"audio_filepath": "b.wav", "duration": 0.1, "offset": 0, "text": "all"},
    ]
    write(tmp_path, {"m.json": "".join(f"{json.dumps(line)}\n" for line in lines)})
    first, second = read("nemo", tmp_path)
    assert [part["text"] for part in first.labels["segments"]] == ["one", "two"]
    assert "text" not in first.labels
    assert (second.labels["text"], "segments" in second.labels) == ("all", False)


def test_an_absolute_path_of_another_machine_is_found_by_its_prefix_alone(tmp_path):
    write(tmp_path, {"wavs/a.wav": "", "m.json": '{"audio_filepath": "/home/me/data/wavs/a.wav", "text": "x"}\n'})
    assert {item.kind for item in read("nemo", tmp_path) if isinstance(item, Finding)} == {
        corpora.REFUSED,
        corpora.AUDIO_WITHOUT_LABEL,
    }
    (item,) = read("nemo", tmp_path, prefix="/home/me/data/")
    assert item.path == "wavs/a.wav"
    (item, _) = read("nemo", tmp_path, prefix="/home/me/da")  # no folder above it
    assert item.kind == corpora.REFUSED
    with pytest.raises(CatalogError, match="prefix: expected an absolute path"):
        read("nemo", tmp_path, prefix="data")


@pytest.mark.parametrize("ending", [".txt", ".lab", ".normalized.txt"])
def test_a_text_beside_a_sound_is_its_text(ending, tmp_path):
    write(tmp_path, {"one/x/a.wav": "", f"one/x/a{ending}": "\ufeffsaid  so\r\n", "one/x/b.wav": ""})
    options = {} if ending == ".txt" else {"transcripts": ending}
    first, second = read("audiofolder", tmp_path / "one", **options)
    assert first.labels == {"text": "said  so"}
    assert second.labels == {}
    # one folder is no class, and neither are speakers' folders, unless the catalog says so
    write(tmp_path, {f"two/{name}": "" for name in ("s1/a.wav", "s2/b.wav")} | {f"two/s1/a{ending}": "so"})
    first, second = read("audiofolder", tmp_path / "two", **options)
    assert (first.labels, second.labels) == ({"text": "so"}, {})
    first, second = read("audiofolder", tmp_path / "two", **options, label="speaker_id")
    assert (first.labels, second.labels) == ({"speaker_id": "s1", "text": "so"}, {"speaker_id": "s2"})
    first, second = read("audiofolder", tmp_path / "two", transcripts=False)
    assert (first.labels, second.labels) == ({"sound_class": "s1"}, {"sound_class": "s2"})


def test_a_text_that_is_none_is_a_finding_and_its_sound_stays(tmp_path):
    write(
        tmp_path, {"a.wav": "", "a.txt": b"\xff\xfe", "b.wav": "", "b.txt": b"x" * (1 << 20) + b"y", "README.txt": "x"}
    )
    write(tmp_path, {"c.wav": "", "c.txt": "0.00\t1.25\tspeech\n1.25\t2\n"})
    items = read("audiofolder", tmp_path)
    assert [item.id for item in recordings(items)] == ["a", "b", "c"]
    told = [item.detail for item in items if isinstance(item, Finding)]
    assert told == [
        "a.txt: expected UTF-8, got byte 0xff",
        "b.txt: expected a text of at most 1,048,576 bytes, got 1,048,577",
        "c.txt: expected a text, got a table of times",
    ]
    with pytest.raises(CatalogError, match="transcripts: expected the ending"):
        read("audiofolder", tmp_path, transcripts="txt")
