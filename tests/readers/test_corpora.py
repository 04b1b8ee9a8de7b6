import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fixtures import parse, unpack, write_tone

from earmark import corpora
from earmark.corpora import Finding, ReaderOptions, Recording, _json_stream, timit
from earmark.disk.inside import locate
from earmark.errors import CatalogError, CorpusError
from earmark.sounds import is_audio

FIXTURES = sorted((Path(__file__).parents[1] / "corpora").glob("*.txt"))
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
        ("voxconverse", {"labels": 3}, "expected labels"),
        ("voxconverse", {"labels": ""}, "expected labels"),
        ("fleurs", {"edition": "fleurs_r"}, r"got 'fleurs_r' \(did you mean \"fleurs-r\"\?\)"),
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
        ("librispeech", {"alignments": ""}, "expected alignments = \"<folder>\", got ''"),
        ("timit", {"dev_speakers": "yes"}, "expected dev_speakers = true or false, got 'yes'"),
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
NS, NS_NOTES = {"nsynth-test/audio/a": ""}, "nsynth-test/examples.json"
NOTE = '\n"a": {"instrument_str": "a", "instrument_family_str": "b", "instrument_source_str": "c", "pitch": 1, "velocity": 1,'
NOTE += '\n"qualities_str": []}'
RTTM = "SPEAKER %s 1 0.1 1.0 <NA> <NA> spk00 <NA> <NA>\n"
WHAM, WHAM_COLUMNS = "metadata/noise_meta_cv.csv", "utterance_id,Noise Band,File ID,L to R Width (cm),"
WHAM_COLUMNS += "Reverberation Level,Location ID,Location Day ID"
RIR, RIR_COLUMNS = "x/RIR_table_simple.csv", "wavfile,channel,T60_WB,C50_WB,isRealRIR"
SNRS = "wav16k/min/metadata/metrics_dev_mix_both.csv"
ACTORS, VOTES = "ActorID,Age,Sex,Race,Ethnicity", "processedResults/tabulatedVotes.csv"
MELD_CLIP = {"dev_splits_complete/a.mp4": ""}
MELD_ROW = "Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
MELD_ROW += 'A,Joey,%s,neutral,1,%s,8,21,"0:00:01,05","0:00:02,050"\n'
ESC = "filename,fold,target,category,esc10,src_file,take"
US8, US8_COLUMNS = "metadata/UrbanSound8K.csv", "slice_file_name,fsID,start,end,salience,fold,classID,class"
FSD, FSD_INFO = "FSD50K.ground_truth", "FSD50K.metadata/eval_clips_info_FSD50K.json"
FSD_EVAL = "fname,labels,mids\n1,A,/m/a\n"
CLASSES = {"metadata/class_labels_indices.csv": "index,mid,display_name\n1,/m/b,B\n"}
VOX = "VoxCeleb2 ID ,Gender ,Set \n"
VOXPOPULI = "id\tnormalized_text\tspeaker_id\n"
AMI = {
    "ES2002a/audio/x": "",
    "corpusResources/meetings.xml": '<meeting observation="ES2002a"><speaker nxt_agent="A" global_name="F"/></meeting>',
    "segments/ES2002a.A.segments.xml": '<r><segment><child href="ES2002a.A.words.xml#id(w0)"/></segment></r>',
}
VS = {f"datafiles/{name}.json": '{"data": []}' for name in ("tr", "val", "te")} | {"audio_16k/a": ""}
SEP = (
    "Show,EpId,ClipId,Start,Stop,Unsure,PoorAudioQuality,Prolongation,Block,SoundRep,WordRep,DifficultToUnderstand,"
    "Interjection,NoStutteredWords,NaturalPause,Music,NoSpeech"
)
AF = "file_name\na.wav\n"
LS = {"dev/1/2/1-2.trans.txt": "1-2-3 A\n", "dev/1/2/1-2-3.flac": ""}
TIER = 'File type = "ooTextFile"\n"TextGrid"\n0 1 <exists> 1\n"IntervalTier" "%s"\n0 1 1\n%s "a"\n'  # the short form


@pytest.mark.parametrize(
    ("corpus", "files", "message"),
    [
        ("librispeech", {"dev/1/2/1-2.trans.txt": "1-2-3 A\n1-2-4\n"}, r"1-2\.trans\.txt:2: broken label line"),
        ("librispeech", {"dev/1/2/1-2.trans.txt": "12 A\n"}, r"1-2\.trans\.txt:1: .* expected <speaker>-<chapter>"),
        ("librispeech", {"dev/1/2/1-2.trans.txt": b"1-2-3 A\xff\n"}, r"trans\.txt:1: not UTF-8: .* got byte 0xff at b"),
        ("librispeech", {"dev/1/2/1-2.alignment.txt": '1-2-3 ",A," "1,2"\n'}, r"alignment\.txt:1: .* of one length"),
        ("librispeech", {"dev/1/2/1-2.alignment.txt": '1-2-3 ",A," "1,x,2"\n'}, r"alignment\.txt:1: broken"),
        ("librispeech", {"dev/a": "", "SPEAKERS.TXT": ";c\n14 F dev\n"}, r"SPEAKERS\.TXT:2: .* got '14 F dev'"),
        (
            "librispeech",
            {**LS, "dev/1/2/1-2-3.TextGrid": TIER % ("tones", "0 1")},
            r"3\.TextGrid: no alignment: expected a",
        ),
        (
            "librispeech",
            {**LS, "dev/1/2/1-2-3.TextGrid": TIER % ("words", "2 1")},
            r"3\.TextGrid:6: .* got '2\.0 to 1\.0'",
        ),
        ("librispeech", {**LS, "dev/1/2/1-2-3.TextGrid": "1-2-3"}, r"3\.TextGrid:1: .*ooTextFile"),
        ("libri_light", {"small/1/b/a.flac": "", "small/1/b/a.json": "{"}, r"a\.json:1: .* expected a JSON object"),
        (
            "libri_light",
            {"small/1/b/a.flac": "", "small/1/b/a.json": '{"voice_activity": [1]}'},
            r"a\.json:1: .* \[on, o",
        ),
        ("libri_light", {"1h/0/clean/1/2/1-2.trans.txt": "1-2 A\n"}, r"1-2\.trans\.txt:1: .* expected <speaker>"),
        (
            "aishell4",
            {"test/wav/a.flac": "", "test/TextGrid/a.TextGrid": (TIER % ("1", "0 1"))[:-4]},
            "a.TextGrid: cut sh",
        ),
        ("aishell4", {"test/wav/a.flac": "", "test/TextGrid/a.rttm": "SPEAKER a 1 0 x\n"}, r"a\.rttm:1: broken"),
        ("hifi_tts", {"92_manifest_clean_dev.json": "{}\n[1]\n"}, r"92_manifest_clean_dev\.json:1: .* audio_filepath"),
        ("hifi_tts", {"92_manifest_clean_dev.json": "[1]\n"}, r"clean_dev\.json:1: .* a JSON object, got '\[1\]'"),
        ("timit", {"test/dr1/faks0/sa1.wav": "", "test/dr1/faks0/sa1.phn": "0 9 a\n9 8 b\n"}, r"sa1\.phn:2: broken"),
        (
            "timit",
            {"test/dr1/faks0/sa1.wav": "", "test/dr1/faks0/sa1.txt": "0 9 A\n0 9 B\n"},
            r"sa1\.txt:2: .* a single",
        ),
        ("timit", {"test/a": "", "doc/spkrinfo.txt": "CJF0 F 1\n"}, r"spkrinfo\.txt:1: .* expected id, sex"),
        ("mls", {"dev/audio/a": "", "dev/transcripts.txt": "1_2_3\tA\n\n1_2_4 B\n"}, r"transcripts\.txt:3: broken"),
        ("mls", {"dev/audio/a": "", "dev/transcripts.txt": "12\tA\n"}, r"transcripts\.txt:1: broken"),
        ("mls", {"dev/audio/a": "", "dev/transcripts.txt": b"1_2_3\tA\n1_2_4\t\xc3\n"}, r"transcripts\.txt:2: not UTF"),
        ("mls", {"dev/audio/a": ""}, r"transcripts\.txt: label file cannot be read"),
        ("mls", {"dev/transcripts.txt": ""}, r"audio: cannot be listed"),
        ("mls", {"dev/a": "", "metainfo.txt": "SPEAKER\n"}, r"metainfo\.txt:1: broken"),
        ("librispeech", {"dev/1/x": "", "CHAPTERS.TXT": "1 | 2 | 3\n"}, r"CHAPTERS\.TXT:1: .* project \| book"),
        ("common_voice", {"audios/x": "", "ss-corpus-pl.tsv": CV}, r"ss-corpus-pl\.tsv:1: .* a column audio_file"),
        ("libritts", {"dev/1/2/1_2.trans.tsv": "1_2_3_4\tA\n"}, r"1_2\.trans\.tsv:1: broken"),
        ("libritts", {"dev/1/2/1_2_3_4.normalized.txt": "A\nB\n"}, r"normalized\.txt:2: .* single line"),
        ("libritts", {"dev/a": "", "speakers.tsv": "84\n"}, r"speakers\.tsv:1: broken"),
        ("common_voice", {"clips/a": "", "train.tsv": "client_id\tpath\n"}, r"train\.tsv:1: .* a column sentence"),
        ("common_voice", {"clips/a": "", "train.tsv": f"{CV}a\tb\n"}, r"train\.tsv:2: .* expected 3 columns"),
        ("common_voice", {"clips/a": "", "train.tsv": f"{CV}a\t../b\tc\n"}, r"train\.tsv:2: .* a file name"),
        ("common_voice", {"clips/a": "", "train.tsv": ""}, r"train\.tsv: empty table"),
        ("voxpopuli", {"it/asr_dev.tsv": "id\ttext\n"}, r"asr_dev\.tsv:1: .* a column normalized_text"),
        ("voxpopuli", {"it/asr_it.tsv": "id_|split\n"}, r"asr_it\.tsv:1: .* a column session_id"),
        ("voxpopuli", {"it/asr_it.tsv.gz": b"\x1f\x8b\x08half"}, r"asr_it\.tsv\.gz: label file cannot be read"),
        ("voxpopuli", {"it/asr_it.tsv": b"id_\xff\n"}, r"asr_it\.tsv: label file cannot be read: expected UTF-8"),
        ("fleurs", {"it_it/dev.tsv": "1\ta.wav\tA\n"}, r"dev\.tsv:1: .* expected sentence id, file name"),
        ("fleurs", {"it_it/dev.tsv": "1\t../a.wav\tA\ta\ta\t1\tMALE\n"}, r"dev\.tsv:1: broken"),
        ("voxceleb", {"id10001/v/1.wav": ""}, r"no vox1_meta\.csv or vox2_meta\.csv: .* options = \{ lists"),
        ("voxceleb", {"id10001/a": "", "vox1_meta.csv": "A\tGender\tSet\n"}, r"vox1_meta\.csv:1: .* a column id"),
        ("voxceleb", {"id10001/a": "", "vox2_meta.csv": f"{VOX}id1 ,m ,dev\n"}, r"vox2_meta\.csv:2: broken"),
        ("voxceleb", {"id10001/a": "", "vox2_meta.csv": f"{VOX}id10001 ,m\n"}, r"vox2_meta\.csv:2: .* 3 fields"),
        ("ami", {**AMI, "corpusResources/meetings.xml": "<r>\n<meeting>"}, r"meetings\.xml:2: .* expected XML"),
        (
            "ami",
            {**AMI, "corpusResources/meetings.xml": "<meeting/>"},
            r"meetings\.xml: meeting: .* observation, got None",
        ),
        ("ami", {**AMI, "words/ES2002a.A.words.xml": "<r/>"}, r"segments\.xml: segment None: .* ids of the words file"),
        ("ami", {**AMI, "words/ES2002a.A.words.xml": "<r><w/></r>"}, r"words\.xml: w: .* an attribute id"),
        ("ami", AMI, r"ES2002a\.A\.words\.xml: label file cannot be read"),
        ("musan", {"music/fma/ANNOTATIONS": "a blues maybe X\n"}, r"ANNOTATIONS:1: .* Y or N"),
        ("musan", {"speech/librivox/ANNOTATIONS": "a m\n"}, r"ANNOTATIONS:1: .* language"),
        ("nsynth", {**NS, NS_NOTES: ""}, r"examples\.json:1: .* one JSON object"),
        ("nsynth", {**NS, NS_NOTES: b"\xff"}, r"examples\.json: not UTF-8"),
        ("nsynth", {**NS, NS_NOTES: f"{{{NOTE}"}, r"json:3: .* one JSON object"),
        ("nsynth", {**NS, NS_NOTES: f"{{{NOTE}}}x"}, r"json:3: .* the end of the"),
        ("nsynth", {**NS, NS_NOTES: f"{{{NOTE},1:{{}}}}"}, r"json:3: .* one JSON ob"),
        ("nsynth", {**NS, NS_NOTES: '{\n"a": {}}'}, r"json:2: .* instrument_str"),
        ("nsynth", NS, r"examples\.json: label file cannot be read"),
        ("voxconverse", {"a.wav": "", "dev/a.rttm": f"{RTTM % 'a'}{RTTM % 'b'}"}, r"a\.rttm:2: .* a, got 'b'"),
        ("voxconverse", {"a.wav": "", "dev/a.rttm": "SPEAKER a 1 0.1\n"}, r"a\.rttm:1: .* onset duration"),
        ("voxconverse", {"a.wav": "", "dev/a.rttm": "LEXEME a 1 0 1 - - b - -\n"}, r"a\.rttm:1: .* expected SPEAKER"),
        ("voxconverse", {"a.wav": "", "dev/a.rttm": "SPEAKER a 1 0 -1 - - b - -\n"}, r"a\.rttm:1: .* duration"),
        ("voxconverse", {"a.wav": "", "dev/a.rttm": "SPEAKER a 1 nan 1 - - b - -\n"}, r"a\.rttm:1: .* onset"),
        ("voxconverse", {"a.wav": "", "dev/a.rttm": ""}, r"a\.rttm: empty label file"),
        ("wham", {"cv/a.wav": ""}, r"noise_meta_cv\.csv: label file cannot be read"),
        ("wham", {"cv/a": "", WHAM: "utterance_id\na.wav\n"}, r"noise_meta_cv\.csv:1: .* a column Noise Band"),
        ("wham", {"cv/a": "", WHAM: f"{WHAM_COLUMNS}\na.wav,x,f,1,l,p,d\n"}, r"csv:2: .* numbers as Noise Band"),
        ("wham", {"cv/a": "", WHAM: f"{WHAM_COLUMNS}\na.wav,1,f,1,x,p,d\n"}, r"csv:2: .* l, m or h"),
        ("wham", {"cv/a": "", WHAM: f"{WHAM_COLUMNS}\na.wav,1,f,1,l,p\n"}, r"csv:2: .* 7 columns"),
        (
            "dns_challenge",
            {"noise/a": "", "x/RIR_table_simple.csv": "wavfile\n"},
            r"simple\.csv:1: .* a column channel",
        ),
        ("dns_challenge", {"noise/a": "", RIR: f"{RIR_COLUMNS}\na.wav,1,x,2,0\n"}, r"simple\.csv:2: .* numbers as T60"),
        ("dns_challenge", {"noise/a": "", RIR: f"{RIR_COLUMNS}\na.wav,1,1,nan,0\n"}, r"simple\.csv:2: .* numbers as"),
        ("dns_challenge", {"noise/a": "", RIR: f"{RIR_COLUMNS}\na.wav,1,1,2,no\n"}, r"simple\.csv:2: .* 0 or 1"),
        ("librimix", {"wav8k/min/dev/s1/a.wav": ""}, r"no wav16k/min: .* got wav8k/min\. .* rate = \"8k\""),
        ("librimix", {"wav16k/min/x/a.wav": ""}, r"min: not the layout of this corpus: expected a folder train-360"),
        ("librimix", {"wav16k/min/dev/mix_both/a.wav": "", SNRS: "mixture_ID\n"}, r"both\.csv:1: .* source_1_SNR"),
        (
            "librimix",
            {"wav16k/min/dev/mix_both/a.wav": "", SNRS: "mixture_ID,source_1_SNR\na,inf\n"},
            r"both\.csv:2: .* dB",
        ),
        ("crema_d", {"AudioWAV/a": "", "SentenceFilenames.csv": "Filename\n1001_X\n"}, r"names\.csv:2: broken"),
        (
            "crema_d",
            {"AudioWAV/a": "", "VideoDemographics.csv": f"{ACTORS}\n1001,x,F,A,B\n"},
            r"csv:2: .* years as Age",
        ),
        (
            "crema_d",
            {"AudioWAV/a": "", VOTES: ',A,D,F,H,N,S,fileName\n"1",-1,0,0,0,0,0,a\n'},
            r"csv:2: .* counts as A, D",
        ),
        ("crema_d", {"AudioWAV/a": "", VOTES: '"",A,D,F,H,N,S\n'}, r"Votes\.csv:1: .* a column fileName"),
        ("meld", {"dev_splits_complete/a.mp4": ""}, r"no dev_sent_emo\.csv: .* got none\. Put that of the publisher"),
        ("meld", {**MELD_CLIP, "dev_sent_emo.csv": "Utterance\n"}, r"dev_sent_emo\.csv:1: .* a column Speaker"),
        ("meld", {**MELD_CLIP, "dev_sent_emo.csv": MELD_ROW % ("joyful", 1)}, r"emo\.csv:2: .* got 'joyful, neutral'"),
        ("meld", {**MELD_CLIP, "dev_sent_emo.csv": MELD_ROW % ("joy", "x")}, r"emo\.csv:2: .* numbers of dialogue"),
        (
            "meld",
            {**MELD_CLIP, "dev_sent_emo.csv": f'{MELD_ROW % ("joy", 1)}"A'},
            r"emo\.csv:3: .* got 'unexpected end",
        ),
        (
            "meld",
            {**MELD_CLIP, "dev_sent_emo.csv": (MELD_ROW % ("joy", 1)).replace("0:00:01,05", "1 s")},
            r"H:MM:SS,mmm",
        ),
        ("esc50", {"audio/a": "", "meta/esc50.csv": "filename,fold\n"}, r"esc50\.csv:1: .* a column target"),
        ("esc50", {"audio/a": "", "meta/esc50.csv": f"{ESC}\na.wav,1,50,dog,True,1,A\n"}, r"csv:2: .* from 0 to 49"),
        ("esc50", {"audio/a": "", "meta/esc50.csv": f"{ESC}\na.wav,1,0,dog,yes,1,A\n"}, r"csv:2: .* True or False"),
        ("urbansound8k", {"audio/a": "", US8: f"{US8_COLUMNS}\n1-3-0-0.wav,2,0,1,1,5,3,dog\n"}, r"csv:2: .* <fsID>"),
        ("urbansound8k", {"audio/a": "", US8: f"{US8_COLUMNS}\n1-3-0-0.wav,1,1,0,1,5,3,dog\n"}, r"csv:2: .* numbers"),
        ("urbansound8k", {"audio/a": "", US8: f"{US8_COLUMNS}\n1-3-0-0.wav,1,0,1,x,5,3,dog\n"}, r"csv:2: .* salience"),
        ("fsd50k", {f"{FSD}/dev.csv": "fname,labels,mids\n"}, r"dev\.csv:1: .* a column split"),
        ("fsd50k", {f"{FSD}/dev.csv": 'fname,labels,mids,split\n1,"A,B",/m/a,train\n'}, r"dev\.csv:2: .* as many mids"),
        ("fsd50k", {f"{FSD}/dev.csv": "fname,labels,mids,split\n1,A,/m/a,test\n"}, r"dev\.csv:2: .* train or val"),
        ("fsd50k", {f"{FSD}/eval.csv": 'fname,labels,mids\n1,"A,/m/a\n'}, r"eval\.csv:2: .* quoted fields"),
        ("fsd50k", {f"{FSD}/eval.csv": "fname,labels,mids\n", f"{FSD}/vocabulary.csv": "0,A\n"}, r"y\.csv:1: .* mid"),
        ("fsd50k", {f"{FSD}/eval.csv": FSD_EVAL, f"{FSD}/vocabulary.csv": "0,A,/m/b\n"}, r"l\.csv:2: .* vocabulary"),
        ("fsd50k", {f"{FSD}/eval.csv": FSD_EVAL, "FSD50K.eval_audio/1.wav": "", FSD_INFO: '{"1": 1}'}, ":1: .* a clip"),
        ("audioset", {"eval_segments.csv": "# c\n-0RWZT-miFs, 0.0, 1.0\n"}, r"eval_segments\.csv:2: .* id, start, end"),
        ("audioset", {"eval_segments.csv": "-0RWZT, 0.0, 1.0, /m/a\n"}, r"eval_segments\.csv:1: .* id, start, end"),
        ("audioset", {"csv/eval_segments.csv": '-0RWZT-miFs, 2.0, 1.0, "/m/a,/m/b"\n'}, r"s\.csv:1: .* id, start"),
        ("audioset", {"eval_segments.csv": "-0RWZT-miFs, 0, 1, /m/a\n", **CLASSES}, "csv:1: .* classes of .*'/m/a'"),
        ("audioset", {"data/bal_train/00.parquet": "no table"}, r"00\.parquet: expected a table with the col"),
        ("audioset", {"mine/00.parquet": "no table"}, r"00\.parquet: expected a folder eval, bal_train, unbal_train"),
        (
            "vocalset",
            {"FULL/x/a": "", "test_singers_technique.txt": "male3\nm4\n"},
            r"technique\.txt:2: .* such as female1",
        ),
        ("vocalsound", {"audio_16k/a": "", "datafiles/tr.json": "[1]"}, r"tr\.json:1: .* a JSON object"),
        ("vocalsound", {"audio_16k/a": "", "datafiles/tr.json": '{"data": 1}'}, r"tr\.json:1: .* a list as"),
        ("vocalsound", {"audio_16k/a": "", "datafiles/tr.json": '{"data": [{"wav": 1}]}'}, r"tr\.json:1: .* entry 1"),
        ("vocalsound", {**VS, "meta/all_meta.csv": "f0001,female,36\n"}, r"all_meta\.csv:1: .* speaker, gender, age"),
        ("sep28k", {"clips/a": "", "SEP-28k_labels.csv": "Show,EpId\n"}, r"labels\.csv:1: .* a column ClipId"),
        ("sep28k", {"clips/a": "", "SEP-28k_labels.csv": f"{SEP}\nA, 0, 0{', x' * 14}\n"}, r"csv:2: .* whole numbers"),
        ("sep28k", {"clips/a": "", "SEP-28k_labels.csv": f"{SEP}\nA, , 0{', 0' * 14}\n"}, r"csv:2: .* values as Show"),
        ("audiofolder", {"metadata.csv": "name\na.wav\n"}, r"metadata\.csv:2: .* in a column file_name"),
        ("audiofolder", {"metadata.csv": "file_name,text,text\na,b,c\n"}, r"csv:1: .* each column once, got"),
        (
            "audiofolder",
            {"metadata.csv": "file_name,pitch\na.wav,high\n"},
            r"metadata\.csv:2: .* a whole number from 0 to 127 in",
        ),
        ("audiofolder", {"metadata.csv": "file_name,split\na.wav,mine\n"}, r"metadata\.csv:2: .* train, dev or test"),
        (
            "audiofolder",
            {"metadata.jsonl": '{"file_name": "a"}\n{"file_name": 3}\n'},
            r"jsonl:2: .* a path in a column",
        ),
        (
            "audiofolder",
            {"metadata.jsonl": '{"file_name": "a", "singing": "la"}'},
            r"jsonl:1: .* true or false in column s",
        ),
        (
            "audiofolder",
            {"metadata.jsonl": '{"file_name": "a", "words": [{}]}'},
            r"jsonl:1: .* start and end in seconds",
        ),
        ("audiofolder", {"metadata.jsonl": '{"file_name": "a", "text": [1]}'}, r"jsonl:1: .* a text in column text"),
        (
            "audiofolder",
            {"metadata.jsonl": '{"file_name": "a", "genre": [1]}'},
            r"jsonl:1: .* a list of words in column",
        ),
        ("audiofolder", {"metadata.jsonl": '{"file_name": "a", "votes": [1]}'}, r"jsonl:1: .* object of whole numbers"),
        (
            "audiofolder",
            {"metadata.csv": "", "x/metadata.jsonl": ""},
            r"several forms: .* got metadata\.csv, x/metadata\.js",
        ),
        (
            "audiofolder",
            {"a/metadata.csv": AF, "b/metadata.csv": "file_name,x\na.wav,1\n"},
            r"b/metadata\.csv:1: .* the columns of a/meta",
        ),
        ("audiofolder", {"x/wav.scp": "", "x/a.wav": ""}, r'wav\.scp is the mark of corpus = "kaldi", got x'),
        ("audiofolder", {"x/a.wav": "", "y/z/b.wav": ""}, r"two or more class folders at one depth .* got x, y\."),
        ("audiofolder", {"data/train-0.parquet": ""}, r'inside are read by corpus = "tables", got data'),
        ("tables", {"a.parquet": "no table"}, r"a\.parquet: expected a Parquet file or an Arrow stream, got"),
        ("tables", {"a.parquet": "", "x/b.arrow": ""}, r"two forms: expected \*\.parquet or \*\.arrow, got"),
        ("tables", {"dev/train-0.parquet": ""}, r"train-0\.parquet: .* got dev \(dev\) and train-0 \(train\)\."),
        ("kaldi", {"wav.scp": "a a.wav\nb\n"}, r"wav\.scp:2: .* an id, a blank or tab, and a value"),
        ("kaldi", {"x/wav.scp": "a a.wav", "x/segments": "u a 0\n"}, r"segments:1: .* start and end in seconds"),
        ("kaldi", {"wav.scp": "a a.wav", "segments": "u a 0 1\nv a 2 1\n"}, r"segments:2: .* got 'v a 2 1'"),
        (
            "kaldi",
            {"wav.scp": "a a.wav", "segments": "u a 2 -1", "reco2dur": "a nan"},
            r"segments:1: .* got 'u a 2 -1'",
        ),
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


def test_librimix_info_table_with_a_name_for_a_number_is_named_with_its_line(tmp_path):
    info = "mixture_ID,speaker_1_ID,speaker_1_sex,speaker_2_ID,speaker_2_sex\n1-2-3_4-5-6,one,M,4.0,F\n"
    write(tmp_path, {"wav16k/min/dev/s1/1-2-3_4-5-6.wav": "", "info/libri2mix_dev-clean_info.csv": info})
    with pytest.raises(CorpusError, match=r"dev-clean_info\.csv:2: .* numbers of speakers, got '1-2-3_4-5-6, one"):
        list(corpora.read("librimix", tmp_path, ReaderOptions(options={"metadata": "info"})))


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
    write(tmp_path / "vox", {"it/asr_test.tsv": VOXPOPULI + "".join(f"{i}\t{text}\tme\n" for i, text in rows)})
    write(tmp_path / "vox", {f"it/2010/{i}.ogg": "" for i, _ in rows})
    lines = (f"7\t{i}.wav\t{text}\t{text}\tx\t1\tMALE\n" for i, text in rows)
    write(tmp_path / "fleurs", {"it_it/test.tsv": "".join(lines)})
    write(tmp_path / "fleurs", {f"it_it/audio/test/{i}.wav": "" for i, _ in rows})
    write(tmp_path / "cv", {"test.tsv": CV + "".join(f"me\t{i}.mp3\t{text}\n" for i, text in rows)})
    write(tmp_path / "cv", {f"clips/{i}.mp3": "" for i, _ in rows})
    for corpus, folder, expected in [
        ("mls", "mls", {f"1_2_{i}": text for i, text in enumerate(said)}),
        ("librispeech", "ls", {f"1-2-{i}": text for i, text in enumerate(said)}),
        ("libritts", "tts", {f"1_2_3_{i}": text for i, text in rows}),
        ("common_voice", "cv", {f"{i}": text for i, text in rows}),
        ("voxpopuli", "vox", {f"{i}": text for i, text in rows}),
        ("fleurs", "fleurs", {f"it_it_{i}": text for i, text in rows}),
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


@pytest.mark.parametrize("indent", [None, 2])
def test_json_object_read_through_a_window_is_the_object(indent, tmp_path, monkeypatch):
    monkeypatch.setattr(_json_stream, "WINDOW", 128)
    monkeypatch.setattr(_json_stream, "LONGEST", 64)
    whole = {f"note {number}": {"text": "é\n" * (number % 5), "pitch": number} for number in range(200)}
    text = json.dumps(whole, indent=indent, ensure_ascii=False)
    write(tmp_path, {"a.json": text})
    found = list(_json_stream.json_members(tmp_path / "a.json"))
    assert {name: value for _, name, value in found} == whole
    lines = text.split("\n")
    assert all(f'"{name}"' in lines[number - 1] for number, name, _ in found)


def test_junk_of_other_programs_is_never_a_recording(tmp_path):
    write(
        tmp_path, {f"noise/x/{name}": "" for name in ("a.wav", "._a.wav", ".a.wav", "b.wav.lock", "c.wav.incomplete")}
    )
    write(
        tmp_path, {"noise/.cache/d.wav": "", "noise/__MACOSX/e.wav": "", "noise/x/.completed": "", "noise/x/F.WAV": ""}
    )
    assert sorted(texts_of("musan", tmp_path)) == ["F", "a"]


def test_customary_sets_of_timit_are_whole_and_share_no_speaker():
    assert (len(timit.DEV), len(timit.CORE)) == (50, 24)
    assert not timit.DEV & timit.CORE
    assert all(timit.SPEAKER.fullmatch(name) for name in timit.DEV | timit.CORE)


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


def test_a_command_in_a_kaldi_table_is_reported_and_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"wav.scp": "a touch ran |\nb touch ran; cat x.wav|\nc | touch ran\n"})
    found = list(corpora.read("kaldi", tmp_path, ReaderOptions()))
    assert [item.kind for item in found] == [corpora.REFUSED] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["wav.scp"]


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
def test_tables_give_no_label_from_columns_that_hold_bytes(form, tmp_path):
    write_tables(tmp_path, text="a", image={"bytes": b"png", "path": "a.png"}, clips=[b"wav"], raw=b"x")
    finding, recording = corpora.read("tables", tmp_path / form, ReaderOptions())
    detail = "image, clips, raw: bytes, which are no label"
    assert finding == Finding(corpora.BROKEN_LABEL, f"test.{form}", detail)
    assert recording == Recording("test/0", f"test.{form}/0.row", "test", {"text": "a"})


@each_form
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"features": "{"}, "broken features: expected JSON"),
        ({"features": '{"info": []}'}, "broken features: expected JSON"),
        ({"audio": "a.wav"}, r"got: a column audio that is string, not struct<bytes, path>\."),
        ({"audio": {"bytes": b"x"}}, "got: a column audio that is struct<bytes: binary>, not"),
        ({"pitch": 128}, r"test\.\w+:0: .* a whole number from 0 to 127 in column pitch"),
        ({"split": "mine"}, r"test\.\w+:0: .* train, dev or test as split, got 'mine'"),
    ],
    ids=str,
)
def test_tables_of_another_form_are_named_with_what_is_wrong(form, columns, message, tmp_path):
    write_tables(tmp_path, **columns)
    with pytest.raises(CorpusError, match=message):
        list(corpora.read("tables", tmp_path / form, ReaderOptions()))


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
