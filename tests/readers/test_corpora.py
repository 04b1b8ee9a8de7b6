"""What every reader promises, held on each fixture of tests/corpora; and the registry, its options, its errors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.fixtures import parse, unpack
from support.readers import FIXTURES, as_dict, as_row, items_of, texts_of, write
from support.shipped import READERS

from earmark import corpora
from earmark.corpora import Finding, ReaderOptions, Recording
from earmark.disk.inside import locate
from earmark.errors import CatalogError, CorpusError
from earmark.rows import RESERVED, SPLITS
from earmark.sounds import is_audio

LARGEST_BYTES = 4096  # of a fixture, so that a reviewer reads all of it


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
class TestEveryReader:
    """A new reader is held to these by its fixture alone: tests/corpora/<name>.txt."""

    def test_yields_exactly_the_expected_recordings_and_findings(self, path, tmp_path):
        fixture = unpack(path.read_text("utf-8"), tmp_path)
        items = items_of(fixture, tmp_path)
        assert [as_row(item) for item in items if isinstance(item, Recording)] == fixture.expected
        assert [as_dict(item) for item in items if isinstance(item, Finding)] == fixture.findings
        assert fixture.expected

    def test_yields_the_same_when_it_reads_again(self, path, tmp_path):
        fixture = unpack(path.read_text("utf-8"), tmp_path)
        assert items_of(fixture, tmp_path) == items_of(fixture, tmp_path)

    def test_yields_each_recording_once_and_from_a_file_on_disk(self, path, tmp_path):
        fixture = unpack(path.read_text("utf-8"), tmp_path)
        recordings = [item for item in items_of(fixture, tmp_path) if isinstance(item, Recording)]
        assert len({item.id for item in recordings}) == len(recordings)
        assert len({item.path for item in recordings}) == len(recordings)
        root = tmp_path / fixture.catalog.get("root", ".")
        assert all(locate(root / item.path).file.is_file() for item in recordings)

    def test_gives_only_labels_that_have_a_value_and_that_json_can_carry(self, path, tmp_path):
        fixture = unpack(path.read_text("utf-8"), tmp_path)
        for item in items_of(fixture, tmp_path):
            if isinstance(item, Recording):
                assert item.split in (*SPLITS, None)
                assert not {*RESERVED, "path"} & set(item.labels)
                assert all(value is not None and value != "" and value != [] for value in item.labels.values())
                json.dumps(dict(item.labels), allow_nan=False)

    def test_yields_nothing_that_breaks_a_promise_of_its_type(self, path, tmp_path):
        fixture = unpack(path.read_text("utf-8"), tmp_path)
        for item in items_of(fixture, tmp_path):
            corpora.check_item(fixture.catalog["corpus"], item)

    def test_names_audio_that_was_removed_unless_no_label_is_left_to_miss_it(self, path, tmp_path):
        fixture = unpack(path.read_text("utf-8"), tmp_path)
        before = items_of(fixture, tmp_path)
        gone = next(item for item in before if isinstance(item, Recording))
        file = locate(tmp_path / fixture.catalog.get("root", ".") / gone.path).file
        for twin in file.parent.iterdir():
            if twin.stem == file.stem and is_audio(twin.name):
                twin.unlink()
        file.unlink(missing_ok=True)
        after = items_of(fixture, tmp_path)
        assert gone.path not in [item.path for item in after]
        new = [item for item in after if isinstance(item, Finding) and item not in before]
        kinds = [item.kind for item in new if gone.id in item.detail]
        labels_in_audio = fixture.catalog.get("labels") == "in the audio's names or files"
        assert kinds == ([] if labels_in_audio else [corpora.LABEL_WITHOUT_AUDIO])

    def test_has_a_fixture_that_is_short_enough_to_be_read(self, path):
        assert path.stat().st_size < LARGEST_BYTES


def test_every_shipped_reader_has_a_fixture_and_every_fixture_a_reader():
    used = {parse(path.read_text("utf-8")).catalog["corpus"] for path in FIXTURES}
    assert set(READERS) <= used <= set(corpora.names())


def test_every_shipped_reader_has_a_version():
    assert all(corpora.version(name) >= 1 for name in READERS)


@pytest.mark.parametrize("text", ["", "VERSION = '2'\n", "VERSION = True\n"])
def test_a_reader_without_a_version_is_refused_in_one_line(text, monkeypatch, tmp_path):
    (tmp_path / "versionless.py").write_text(text, "utf-8")
    monkeypatch.setattr(corpora, "__path__", [*corpora.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "earmark.corpora.versionless", raising=False)
    with pytest.raises(CatalogError, match=r'corpus "versionless": no VERSION: expected a whole number'):
        corpora.version("versionless")


def test_importing_corpora_imports_no_reader_and_nothing_heavy():
    code = (
        "import sys, earmark.corpora as c; c.names();"
        "print([m for m in sys.modules if m.startswith('earmark.corpora.') or m in ('numpy', 'soundfile', 'pydantic')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_corpus_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(CatalogError, match=r'corpus "librispech": no such reader \(did you mean "librispeech"\?\)'):
        corpora.read("librispech", tmp_path, ReaderOptions())
    with pytest.raises(CatalogError, match="no such reader"):
        corpora.read("_labels", tmp_path, ReaderOptions())


@pytest.mark.parametrize("corpus", READERS)
def test_an_unknown_option_is_refused_before_the_disk_is_touched(corpus):
    with pytest.raises(CatalogError, match='unknown option "nonsense"'):
        corpora.read(corpus, Path("/nonexistent"), ReaderOptions(options={"nonsense": 1}))


@pytest.mark.parametrize(
    ("corpus", "options", "message"),
    [
        ("common_voice", {"split": ["train"]}, r'unknown option "split" \(did you mean "splits"\?\)'),
        ("common_voice", {"splits": ["trian"]}, r'got \'trian\' \(did you mean "train"\?\)'),
        ("common_voice", {"splits": "train"}, "expected a list"),
        ("common_voice", {"splits": []}, "expected a list"),
        ("libritts", {"bad_samples": 3}, "bad_samples: expected a folder"),
        ("voxconverse", {"labels": 3}, "labels: expected a folder below the root, .*, got 3"),
        ("voxconverse", {"labels": ""}, "labels: expected a folder"),
        (
            "fleurs",
            {"edition": "fleurs_r"},
            r"edition: expected fleurs or fleurs-r, got 'fleurs_r' \(did you mean \"fleurs-r\"\?\)",
        ),
        ("voxceleb", {"split": "identificaton"}, r'expected verification or identification, .* mean "identification"'),
        ("voxceleb", {"lists": 3}, "lists: expected"),
        ("ami", {"microphone": "Array1-1"}, r'microphone: expected one of Mix-Headset, .* mean "Array1-01"'),
        ("ami", {"partition": "full"}, "partition: expected one of full-corpus-asr"),
        ("ami", {"microphone": "Headset", "annotations": "only_words"}, r'annotations: expected "manual"'),
        ("sep28k", {"split": "SEP28k-X"}, r"expected one of SEP12k, .* got 'SEP28k-X' \(did you mean \"SEP28k-"),
        ("librimix", {"rate": "16"}, r"wrong option rate: expected 16k or 8k, got '16' \(did you mean \"16k\"\?\)"),
        ("librimix", {"mode": ["min"]}, "wrong option mode: expected min or max"),
        ("librimix", {"metadata": 3}, "wrong option metadata: expected a folder"),
        ("audiofolder", {"label": "emotoin"}, r"got 'emotoin' \(did you mean \"emotion\"\?\)"),
        ("audiofolder", {"label": 3}, "expected the name of a label"),
        ("audiofolder", {"splits": "no"}, "splits: expected true or false, got 'no'"),
        (
            "librispeech",
            {"alignments": ""},
            "alignments: expected a folder below the root, alignments = \"<folder>\", got ''",
        ),
        ("timit", {"dev_speakers": "yes"}, "dev_speakers: expected true or false, got 'yes'"),
    ],
)
def test_a_wrong_option_is_refused_with_what_was_expected(corpus, options, message, tmp_path):
    with pytest.raises(CatalogError, match=message):
        corpora.read(corpus, tmp_path, ReaderOptions(options=options))


@pytest.mark.parametrize("corpus", READERS)
def test_a_missing_root_and_another_layout_are_refused_with_what_was_looked_for(corpus, tmp_path):
    with pytest.raises(CorpusError, match="gone: cannot be listed: expected a folder"):
        list(corpora.read(corpus, tmp_path / "gone", ReaderOptions()))
    write(tmp_path, {"elsewhere/a.wav": ""})
    with pytest.raises(CorpusError, match=r"not the layout of this corpus: expected a folder .*, got elsewhere\."):
        list(corpora.read(corpus, tmp_path, ReaderOptions()))


def test_junk_of_other_programs_is_never_a_recording(tmp_path):
    write(tmp_path, {f"noise/x/{name}": "" for name in ("a.wav", "._a.wav", "b.wav.lock", "c.wav.incomplete")})
    write(
        tmp_path, {"noise/.cache/d.wav": "", "noise/__MACOSX/e.wav": "", "noise/x/.completed": "", "noise/x/F.WAV": ""}
    )
    assert sorted(texts_of("musan", tmp_path)) == ["F", "a"]


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
        (
            corpora.Recording("a", "a.wav", None, {"duration": 3.0}),
            "expected a field of the corpus, got one that earmark fills",
        ),
        (corpora.Finding("odd", "a.wav", ""), "unknown kind of finding"),
    ],
    ids=str,
)
def test_a_readers_mistake_never_becomes_a_row(item, expected):
    with pytest.raises(CorpusError, match=expected):
        corpora.check_item("mine", item)
