"""Label files as the world leaves them: one wrong row, quotes without end, and files that are none."""

import os

import pytest
from support.readers import FIXTURES, write

from earmark import corpora
from earmark.corpora import Finding, ReaderOptions, Recording
from earmark.errors import CorpusError


def read(root, corpus="audiofolder", **options):
    items = list(corpora.read(corpus, root, ReaderOptions(options=options)))
    recordings = {item.id: item.labels.get("text") for item in items if isinstance(item, Recording)}
    return recordings, [item for item in items if isinstance(item, Finding)]


def folder_of(root, table, names="abcd"):
    write(root, {"metadata.csv": table} | {f"{name}.wav": "" for name in names})
    return read(root)


def test_a_quote_that_is_never_closed_takes_its_own_row_and_no_other(tmp_path):
    texts, findings = folder_of(tmp_path, 'file_name,text\na.wav,one\nb.wav,"two\nc.wav,three\nd.wav,four\n')
    assert texts == {"a": "one", "c": "three", "d": "four"}
    assert [(item.kind, item.path) for item in findings] == [
        (corpora.BROKEN_LABEL, "metadata.csv:3"),
        (corpora.AUDIO_WITHOUT_LABEL, "b.wav"),
    ]


def test_rows_after_a_quote_in_the_wrong_place_are_read(tmp_path):
    table = 'file_name,text\na.wav,"one" more\nb.wav,"two\nlines"\nc.wav,"x\nd.wav,"four"\n'
    texts, findings = folder_of(tmp_path, table)
    assert texts == {"b": "two\nlines", "d": "four"}
    broken = [item.path for item in findings if item.kind == corpora.BROKEN_LABEL]
    assert broken == ["metadata.csv:2", "metadata.csv:5"]


def test_a_table_of_nothing_but_open_quotes_is_read_in_bounded_time(tmp_path):
    _, findings = folder_of(tmp_path, "file_name,text\n" + 'a.wav,"x\n' * 5001, names="")
    assert {item.kind for item in findings} == {corpora.BROKEN_LABEL}


@pytest.mark.parametrize("row", ["b.wav,x,y", "b.wav", b"b.wav,\xff", "b.wav,x\ry", ",x"])
def test_one_broken_row_is_told_with_its_line_and_the_others_are_read(row, tmp_path):
    raw = row if isinstance(row, bytes) else row.encode()
    texts, findings = folder_of(tmp_path, b"file_name,text\na.wav,one\n" + raw + b"\nc.wav,three\n", names="abc")
    assert texts == {"a": "one", "c": "three"}
    assert [item.path for item in findings if item.kind == corpora.BROKEN_LABEL] == ["metadata.csv:3"]


def test_a_field_of_any_length_is_read(tmp_path):
    long = "word " * 40_000
    texts, findings = folder_of(tmp_path, f'file_name,text\na.wav,"{long}"\nb.wav,x\n', names="ab")
    assert texts == {"a": long, "b": "x"}
    assert not findings


def test_a_number_that_the_schema_does_not_have_is_a_broken_label_of_its_row(tmp_path):
    meld = (
        "Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
        'Hi,A,neutral,neutral,0,0,0,1,"00:00:01,000","00:00:02,000"\n'
        'Hi,A,neutral,neutral,0,1,1,1,"00:00:01,000","00:00:02,000"\n'
    )
    write(tmp_path, {"dev_sent_emo.csv": meld} | {f"dev_splits_complete/dia0_utt{n}.mp4": "" for n in (0, 1)})
    texts, [finding] = read(tmp_path, "meld")
    assert texts == {"dev_dia0_utt1": "Hi"}
    assert (finding.kind, finding.path) == (corpora.BROKEN_LABEL, "dev_sent_emo.csv:2")
    assert finding.detail == "dev_dia0_utt0: label season: expected a whole number >= 1, got 0"


def test_a_table_in_utf_16_is_named_for_what_it_is(tmp_path):
    with pytest.raises(CorpusError, match=r"metadata\.csv: not UTF-8: expected UTF-8 text, got UTF-16\. Convert"):
        folder_of(tmp_path, "file_name,text\na.wav,x\n".encode("utf-16"))


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
@pytest.mark.parametrize(
    ("corpus", "tree", "path"),
    [
        ("audiofolder", {"a.wav": ""}, "metadata.csv"),
        ("audiofolder", {"a.wav": ""}, "metadata.jsonl"),
        ("tables", {}, "a.parquet"),
        ("nsynth", {"nsynth-test/audio/a.wav": ""}, "nsynth-test/examples.json"),
        ("mls", {"dev/audio/1/2/1_2_3.opus": ""}, "dev/transcripts.txt"),
        ("librispeech", {"dev/1/2/1-2-3.flac": ""}, "dev/1/2/1-2.trans.txt"),
        ("librispeech", {"dev/1/2/1-2-3.flac": "", "dev/1/2/1-2.trans.txt": "1-2-3 A\n"}, "SPEAKERS.TXT"),
        ("librispeech", {"dev/1/2/1-2-3.flac": "", "dev/1/2/1-2.trans.txt": "1-2-3 A\n"}, "dev/1/2/1-2-3.TextGrid"),
        ("voxpopuli", {"it/2010/2010-it_1.ogg": ""}, "it/asr_it.tsv.gz"),
        ("ami", {"ES2002a/audio/ES2002a.Mix-Headset.wav": "", "segments/x": ""}, "corpusResources/meetings.xml"),
        ("voxconverse", {"a.wav": ""}, "dev/a.rttm"),
        ("common_voice", {"clips/a.mp3": "", "dev.tsv": "client_id\tpath\tsentence\n", "test.tsv": "client_id\tpath\tsentence\n"}, "train.tsv"),
    ],
)  # fmt: skip
def test_what_stands_where_a_label_file_should_is_never_waited_for(corpus, tree, path, kind, tmp_path):
    write(tmp_path, tree)
    place = tmp_path / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to("/dev/zero")
    try:
        items = list(corpora.read(corpus, tmp_path, ReaderOptions()))
    except CorpusError as error:
        assert "\n" not in str(error)
    else:
        assert kind == "folder"  # a folder of this name is no label file, and is passed over as any other
        assert all(isinstance(item, Finding | Recording) for item in items)


@pytest.mark.parametrize("name", ["x" * 300, "a/" * 3000 + "b", "a\0b", "."])
def test_a_name_that_no_file_can_have_is_a_label_without_audio(name, tmp_path):
    head = "client_id\tpath\tsentence\n"
    write(tmp_path, {"clips/a.mp3": "", "train.tsv": f"{head}s\t{name}\tx\ns\ta.mp3\ty\n"})
    texts, findings = read(tmp_path, "common_voice", splits=["train"])
    assert texts == {"a": "y"}
    assert [item.path for item in findings] == ["train.tsv:2"]


def test_what_a_reader_does_not_foresee_is_one_line_that_names_it(tmp_path, monkeypatch):
    from earmark.corpora import musan

    def read(root, options):
        yield from ()
        raise KeyError("speaker")

    monkeypatch.setattr(musan, "read", read)
    with pytest.raises(CorpusError, match=r"reader musan: expected what the corpus documents, .*KeyError: 'speaker'"):
        list(corpora.read("musan", tmp_path, ReaderOptions()))


def test_two_corpora_that_are_read_in_turns_keep_their_findings_apart(tmp_path):
    for name in ("x", "y"):
        write(
            tmp_path / name, {"metadata.csv": f"file_name,pitch\n{name}.wav,1\n{name},\nz,{name}\n", f"{name}.wav": ""}
        )
    readers = [corpora.read("audiofolder", tmp_path / name, ReaderOptions()) for name in ("x", "y")]
    found = [[], []]
    for items in zip(*readers, strict=True):
        for mine, item in zip(found, items, strict=True):
            mine.append(item)
    for name, items in zip("xy", found, strict=True):
        assert [item.id for item in items if isinstance(item, Recording)] == [name]
        [broken] = [item for item in items if isinstance(item, Finding) and item.kind == corpora.BROKEN_LABEL]
        assert broken.detail.endswith(f"in column pitch, got '{name}'")


def test_every_reader_is_in_some_fixture_that_the_fuzz_damages():
    assert len(FIXTURES) > 50
