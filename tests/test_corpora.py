import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
import soundfile
from fixtures import parse, unpack, write_tone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earmark import corpora
from earmark.corpora import Finding, ReaderOptions, Recording
from earmark.corpora._tree import is_audio
from earmark.errors import CatalogError, CorpusError
from earmark.inside import locate

FIXTURES = sorted((Path(__file__).parent / "corpora").glob("*.txt"))
LARGEST_BYTES = 4096
RESERVED = {"id", "path", "split", "audio_path", "audio_hash", "duration", "sample_rate", "dataset"}

each_corpus = pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)


def write(root, files):
    for name, content in files.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())


def items_of(fixture, folder):
    table = fixture.catalog
    options = ReaderOptions(language=table.get("language"), options=table.get("options", {}))
    return list(corpora.read(table["corpus"], folder / table.get("root", "."), options))


def as_row(recording):
    split = {"split": recording.split} if recording.split else {}
    return {"id": recording.id, "path": recording.path, **split, **recording.labels}


def as_dict(finding):
    return {"kind": finding.kind, "path": finding.path, "detail": finding.detail}


def texts_of(corpus, root, **options):
    return {item.id: item.labels.get("text") for item in corpora.read(corpus, root, ReaderOptions(**options))}


@each_corpus
def test_reader_yields_exactly_the_expected_recordings_and_findings(path, tmp_path):
    fixture = unpack(path.read_text("utf-8"), tmp_path)
    items = items_of(fixture, tmp_path)
    assert [as_row(item) for item in items if isinstance(item, Recording)] == fixture.expected
    assert [as_dict(item) for item in items if isinstance(item, Finding)] == fixture.findings
    assert fixture.expected


@each_corpus
def test_second_read_equals_the_first(path, tmp_path):
    fixture = unpack(path.read_text("utf-8"), tmp_path)
    assert items_of(fixture, tmp_path) == items_of(fixture, tmp_path)


@each_corpus
def test_rows_are_unique_on_disk_and_without_empty_labels(path, tmp_path):
    fixture = unpack(path.read_text("utf-8"), tmp_path)
    items = items_of(fixture, tmp_path)
    recordings = [item for item in items if isinstance(item, Recording)]
    assert len({item.id for item in recordings}) == len(recordings)
    assert len({item.path for item in recordings}) == len(recordings)
    for item in recordings:
        assert locate(tmp_path / fixture.catalog.get("root", ".") / item.path).file.is_file()
        assert item.split in (*corpora.SPLITS, None)
        assert not RESERVED & set(item.labels)
        assert all(value is not None and value != "" and value != [] for value in item.labels.values())
        json.dumps(dict(item.labels), allow_nan=False)
    assert {item.kind for item in items if isinstance(item, Finding)} <= corpora.KINDS


@each_corpus
def test_removed_audio_is_a_finding_or_leaves_no_label_behind(path, tmp_path):
    fixture = unpack(path.read_text("utf-8"), tmp_path)
    root = tmp_path / fixture.catalog.get("root", ".")
    before = items_of(fixture, tmp_path)
    gone = next(item for item in before if isinstance(item, Recording))
    file = locate(root / gone.path).file
    for twin in file.parent.iterdir():
        if twin.stem == file.stem and is_audio(twin.name):
            twin.unlink()
    file.unlink(missing_ok=True)
    after = items_of(fixture, tmp_path)
    assert gone.path not in [item.path for item in after]
    named = [item for item in after if isinstance(item, Finding) and item not in before]
    kinds = [item.kind for item in named if gone.id in item.detail]
    labels_in_audio = fixture.catalog.get("labels") == "in the audio's names or files"  # nothing is left to miss it
    assert kinds == ([] if labels_in_audio else [corpora.LABEL_WITHOUT_AUDIO])


@each_corpus
def test_fixture_is_small(path):
    assert path.stat().st_size < LARGEST_BYTES


def test_every_reader_has_a_fixture_and_every_fixture_a_reader():
    used = {parse(path.read_text("utf-8")).catalog["corpus"] for path in FIXTURES}
    assert used == set(corpora.names())


def test_every_reader_has_a_version():
    assert all(corpora.version(name) >= 1 for name in corpora.names())


def test_importing_corpora_imports_no_reader_and_nothing_heavy():
    code = (
        "import sys, earmark.corpora as c; c.names();"
        "print([m for m in sys.modules if m.startswith('earmark.corpora.') or m in ('numpy', 'soundfile', 'pydantic')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_unknown_corpus_names_the_nearest(tmp_path):
    with pytest.raises(CatalogError, match=r'corpus "librispech": no such reader \(did you mean "librispeech"\?\)'):
        corpora.read("librispech", tmp_path, ReaderOptions())
    with pytest.raises(CatalogError, match="no such reader"):
        corpora.read("_labels", tmp_path, ReaderOptions())


@pytest.mark.parametrize("corpus", corpora.names())
def test_unknown_option_is_refused_before_the_disk_is_touched(corpus):
    with pytest.raises(CatalogError, match='unknown option "nonsense"'):
        corpora.read(corpus, Path("/nonexistent"), ReaderOptions(options={"nonsense": 1}))


@pytest.mark.parametrize(
    ("corpus", "options", "message"),
    [
        ("common_voice", {"split": ["train"]}, r'unknown option "split" \(did you mean "splits"\?\)'),
        ("common_voice", {"splits": ["trian"]}, r'got \'trian\' \(did you mean "train"\?\)'),
        ("common_voice", {"splits": "train"}, "expected a list"),
        ("common_voice", {"splits": []}, "expected a list"),
        ("libritts", {"bad_samples": 3}, "expected bad_samples"),
    ],
)
def test_wrong_option_says_what_is_expected(corpus, options, message, tmp_path):
    with pytest.raises(CatalogError, match=message):
        corpora.read(corpus, tmp_path, ReaderOptions(options=options))


@pytest.mark.parametrize("corpus", corpora.names())
def test_missing_root_and_foreign_layout_say_what_was_looked_for(corpus, tmp_path):
    with pytest.raises(CorpusError, match="gone: cannot be listed: expected a folder"):
        list(corpora.read(corpus, tmp_path / "gone", ReaderOptions()))
    write(tmp_path, {"elsewhere/a.wav": ""})
    with pytest.raises(CorpusError, match=r"not the layout of this corpus: expected a folder .*, got elsewhere\."):
        list(corpora.read(corpus, tmp_path, ReaderOptions()))


CV = "client_id\tpath\tsentence\n"


@pytest.mark.parametrize(
    ("corpus", "files", "message"),
    [
        ("librispeech", {"dev/1/2/1-2.trans.txt": "1-2-3 A\n1-2-4\n"}, r"1-2\.trans\.txt:2: broken label line"),
        ("librispeech", {"dev/1/2/1-2.trans.txt": "12 A\n"}, r"1-2\.trans\.txt:1: .* expected <speaker>-<chapter>"),
        ("librispeech", {"dev/1/2/1-2.trans.txt": b"1-2-3 A\xff\n"}, r"trans\.txt:1: not UTF-8: .* got byte 0xff at b"),
        ("librispeech", {"dev/1/2/1-2.alignment.txt": '1-2-3 ",A," "1,2"\n'}, r"alignment\.txt:1: .* of one length"),
        ("librispeech", {"dev/1/2/1-2.alignment.txt": '1-2-3 ",A," "1,x,2"\n'}, r"alignment\.txt:1: broken"),
        ("librispeech", {"dev/a": "", "SPEAKERS.TXT": ";c\n14 F dev\n"}, r"SPEAKERS\.TXT:2: .* got '14 F dev'"),
        ("mls", {"dev/audio/a": "", "dev/transcripts.txt": "1_2_3\tA\n\n1_2_4 B\n"}, r"transcripts\.txt:3: broken"),
        ("mls", {"dev/audio/a": "", "dev/transcripts.txt": "12\tA\n"}, r"transcripts\.txt:1: broken"),
        ("mls", {"dev/audio/a": "", "dev/transcripts.txt": b"1_2_3\tA\n1_2_4\t\xc3\n"}, r"transcripts\.txt:2: not UTF"),
        ("mls", {"dev/audio/a": ""}, r"transcripts\.txt: label file cannot be read"),
        ("mls", {"dev/transcripts.txt": ""}, r"audio: cannot be listed"),
        ("mls", {"dev/a": "", "metainfo.txt": "SPEAKER\n"}, r"metainfo\.txt:1: broken"),
        ("libritts", {"dev/1/2/1_2.trans.tsv": "1_2_3_4\tA\n"}, r"1_2\.trans\.tsv:1: broken"),
        ("libritts", {"dev/1/2/1_2_3_4.normalized.txt": "A\nB\n"}, r"normalized\.txt:2: .* single line"),
        ("libritts", {"dev/a": "", "speakers.tsv": "84\n"}, r"speakers\.tsv:1: broken"),
        ("common_voice", {"clips/a": "", "train.tsv": "client_id\tpath\n"}, r"train\.tsv:1: .* a column sentence"),
        ("common_voice", {"clips/a": "", "train.tsv": f"{CV}a\tb\n"}, r"train\.tsv:2: .* expected 3 columns"),
        ("common_voice", {"clips/a": "", "train.tsv": f"{CV}a\t../b\tc\n"}, r"train\.tsv:2: .* a file name"),
        ("common_voice", {"clips/a": "", "train.tsv": ""}, r"train\.tsv: empty table"),
        ("musan", {"music/fma/ANNOTATIONS": "a blues maybe X\n"}, r"ANNOTATIONS:1: .* Y or N"),
        ("musan", {"speech/librivox/ANNOTATIONS": "a m\n"}, r"ANNOTATIONS:1: .* language"),
    ],
)
def test_broken_label_file_is_named_with_its_line(corpus, files, message, tmp_path):
    write(tmp_path, files)
    options = ReaderOptions(options={"splits": ["train"]} if corpus == "common_voice" else {})
    with pytest.raises(CorpusError, match=message):
        list(corpora.read(corpus, tmp_path, options))


def test_missing_table_and_missing_list_say_what_to_do(tmp_path):
    write(tmp_path, {"cv/clips/a.mp3": "", "cv/validated.tsv": CV, "tts/dev-clean/a.txt": "", "lists/x": ""})
    with pytest.raises(CorpusError, match=r"no train\.tsv: .* got validated\.tsv\. .* splits = \[\"validated\"\]"):
        list(corpora.read("common_voice", tmp_path / "cv", ReaderOptions()))
    with pytest.raises(CorpusError, match=r"dev-clean_bad_sample_list\.txt: no list of bad samples"):
        list(corpora.read("libritts", tmp_path / "tts", ReaderOptions(options={"bad_samples": "../lists"})))


def test_byte_order_mark_and_windows_line_ends_are_no_part_of_the_labels(tmp_path):
    bom = "\ufeff"
    write(tmp_path / "mls", {"dev/transcripts.txt": f"{bom}1_2_3\tA\r\n1_2_4\tB\r\n"})
    write(tmp_path / "mls", {"dev/audio/1/2/1_2_3.opus": "", "dev/audio/1/2/1_2_4.opus": ""})
    write(tmp_path / "ls", {"dev/1/2/1-2.trans.txt": f"{bom}1-2-3 A\r\n", "dev/1/2/1-2-3.flac": ""})
    write(tmp_path / "cv", {"train.tsv": f"{bom}path\tclient_id\tsentence\r\na\tb\tA\r\n", "clips/a.mp3": ""})
    assert texts_of("mls", tmp_path / "mls") == {"1_2_3": "A", "1_2_4": "B"}
    assert texts_of("librispeech", tmp_path / "ls") == {"1-2-3": "A"}
    assert texts_of("common_voice", tmp_path / "cv", options={"splits": ["train"]}) == {"a": "A"}


# Line ends are cut, so a text has none inside and no CR at its end; a text of white space only is no text.
texts = (
    st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))
    | st.sampled_from(['"', 'say "hi', "שלום עולם", "😀👍🏽", "a\u2028b\x85c\x0cd\re", " lead", "trail  "])
    | st.text("aàöñ").map(lambda text: unicodedata.normalize("NFD", text))
).filter(lambda text: text.strip() and not text.endswith("\r"))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(texts, min_size=1, max_size=4))
def test_text_survives_every_reader_byte_for_byte(said, tmp_path):
    untabbed = [text.replace("\t", "") or "x" for text in said]
    untabbed = ["x" if text.endswith("\r") or not text.strip() else text for text in untabbed]
    rows = list(enumerate(said))
    write(tmp_path / "mls", {"dev/transcripts.txt": "".join(f"1_2_{i}\t{text}\n" for i, text in rows)})
    write(tmp_path / "mls", {f"dev/audio/1/2/1_2_{i}.opus": "" for i, _ in rows})
    write(tmp_path / "ls", {"dev/1/2/1-2.trans.txt": "".join(f"1-2-{i} {text}\n" for i, text in rows)})
    write(tmp_path / "ls", {f"dev/1/2/1-2-{i}.flac": "" for i, _ in rows})
    rows = list(enumerate(untabbed))
    write(tmp_path / "tts", {"dev/1/2/1_2.trans.tsv": "".join(f"1_2_3_{i}\t{text}\t{text}\n" for i, text in rows)})
    write(tmp_path / "tts", {f"dev/1/2/1_2_3_{i}.wav": "" for i, _ in rows})
    write(tmp_path / "cv", {"test.tsv": CV + "".join(f"me\t{i}.mp3\t{text}\n" for i, text in rows)})
    write(tmp_path / "cv", {f"clips/{i}.mp3": "" for i, _ in rows})
    for corpus, folder, expected in [
        ("mls", "mls", {f"1_2_{i}": text for i, text in enumerate(said)}),
        ("librispeech", "ls", {f"1-2-{i}": text for i, text in enumerate(said)}),
        ("libritts", "tts", {f"1_2_3_{i}": text for i, text in rows}),
        ("common_voice", "cv", {f"{i}": text for i, text in rows}),
    ]:
        options = ReaderOptions(options={"splits": ["test"]} if corpus == "common_voice" else {})
        found = [item for item in corpora.read(corpus, tmp_path / folder, options) if isinstance(item, Recording)]
        assert {item.id: item.labels["text"] for item in found} == expected


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations([f"{speaker}_7_{number}" for speaker in (3, 20, 100) for number in range(3)]))
def test_mls_order_does_not_depend_on_the_order_of_its_transcript_lines(order, tmp_path):
    write(tmp_path, {f"train/audio/{name.split('_')[0]}/7/{name}.opus": "" for name in order})
    write(tmp_path, {"train/transcripts.txt": "".join(f"{name}\ttext of {name}\n" for name in order)})
    found = list(corpora.read("mls", tmp_path, ReaderOptions()))
    assert [item.id for item in found] == [f"{s}_7_{n}" for s in (100, 20, 3) for n in range(3)]
    assert all(item.labels["text"] == f"text of {item.id}" for item in found)


def test_junk_of_other_programs_is_never_a_recording(tmp_path):
    write(
        tmp_path, {f"noise/x/{name}": "" for name in ("a.wav", "._a.wav", ".a.wav", "b.wav.lock", "c.wav.incomplete")}
    )
    write(
        tmp_path, {"noise/.cache/d.wav": "", "noise/__MACOSX/e.wav": "", "noise/x/.completed": "", "noise/x/F.WAV": ""}
    )
    assert sorted(texts_of("musan", tmp_path)) == ["F", "a"]


def test_language_of_the_catalog_yields_to_the_row(tmp_path):
    write(tmp_path, {"clips/a.mp3": "", "clips/b.mp3": ""})
    write(tmp_path, {"test.tsv": "client_id\tpath\tsentence\tlocale\nx\ta.mp3\tA\tsv-SE\nx\tb.mp3\tB\t\n"})
    found = list(corpora.read("common_voice", tmp_path, ReaderOptions("de", {"splits": ["test"]})))
    assert [item.labels["language"] for item in found] == ["sv-SE", "de"]


@pytest.mark.parametrize(
    ("name", "rate_hz"), [("a.flac", 16000), ("a.wav", 24000), ("a.ogg", 44100), ("a.opus", 16000), ("a.mp3", 48000)]
)
def test_synthesised_tone_has_the_rate_channels_and_pitch_of_its_own_file(name, rate_hz, tmp_path):
    write_tone(tmp_path / name, 0.25, rate_hz, 2)
    write_tone(tmp_path / f"b{name}", 0.25, rate_hz, 2)
    (tmp_path / "again").mkdir()
    write_tone(tmp_path / "again" / name, 0.25, rate_hz, 2)
    sound, rate = soundfile.read(tmp_path / name)
    assert rate == rate_hz and sound.shape == (rate_hz // 4, 2)
    assert 0.4 < abs(sound).max() < 0.7
    assert (soundfile.read(tmp_path / "again" / name)[0] == sound).all()
    other = soundfile.read(tmp_path / f"b{name}")[0]
    assert abs(other - sound).max() > 0.1


def test_fixture_path_that_leads_out_or_stands_twice_is_refused(tmp_path):
    for text in ("-- ../a.txt --\nx\n", "-- /a.txt --\nx\n", "-- a --\nx\n-- a --\ny\n"):
        with pytest.raises(ValueError, match="twice, or a path that leads out"):
            unpack(text, tmp_path)
    with pytest.raises(ValueError, match=r"a\.wav: expected a tone, empty, or text, got 'noise'"):
        unpack("-- a.wav --\nnoise\n", tmp_path)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (corpora.Recording("a", "/etc/a.wav"), "path: expected one below the root"),
        (corpora.Recording("a", "../a.wav"), "path: expected one below the root"),
        (corpora.Recording("", "a.wav"), "id: expected text"),
        (corpora.Recording("a", "a.wav", "validation"), "split: expected one of train, dev, test or None"),
        (corpora.Recording("a", "a.wav", None, {"text": None}), "label text: expected a value"),
        (corpora.Recording("a", "a.wav", None, {"text": ""}), "label text: expected a value"),
        (corpora.Recording("a", "a.wav", None, {"pitch": float("nan")}), "label pitch: expected a value"),
        (corpora.Recording("a", "a.wav", None, {"duration": 3.0}), "not for a reader to say"),
        (corpora.Finding("odd", "a.wav", ""), "unknown kind of finding"),
    ],
    ids=str,
)
def test_a_readers_mistake_never_becomes_a_row(item, expected):
    with pytest.raises(CorpusError, match=expected):
        corpora.check_item("mine", item)
