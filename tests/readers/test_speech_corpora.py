import gzip

import pytest
from support.fixtures import unpack
from support.readers import write

from earmark import corpora
from earmark.corpora import Finding, ReaderOptions, Recording, ami, fleurs, timit
from earmark.corpora._labels import speakers
from earmark.errors import CorpusError

HEADER = "id_|session_id|speaker_id|original_text|normed_text|split|gender\n"
VALIDATION = "fleurs-validation"
ROW = '{"id": 7, "audio": {"bytes": "tone 0.1 s, 16000 Hz, 1 ch, wav", "path": "%s.wav"}, "transcription": "go"}\n'


def read(corpus, root, **options):
    items = list(corpora.read(corpus, root, ReaderOptions(options=options)))
    recordings = [item for item in items if isinstance(item, Recording)]
    return recordings, [item for item in items if isinstance(item, Finding)]


def test_a_packed_annotation_gives_what_the_unpacked_one_gives(tmp_path):
    text = f'{HEADER}it_1|2010|5|"È ""così"" | no"|è così|dev|male\n'
    for form, content in (("tsv", text.encode()), ("tsv.gz", gzip.compress(text.encode()))):
        folder = tmp_path / form / "transcribed_data" / "it"
        (folder / "2010").mkdir(parents=True)
        (folder / "2010" / "2010-it_1.ogg").touch()
        (folder / f"asr_it.{form}").write_bytes(content)
    assert read("voxpopuli", tmp_path / "tsv") == read("voxpopuli", tmp_path / "tsv.gz")
    assert read("voxpopuli", tmp_path / "tsv")[0][0].labels["text_original"] == 'È "così" | no'


def test_every_code_of_fleurs_becomes_a_tag_in_the_letter_case_that_bcp_47_recommends():
    assert len(fleurs.CODES) == 102
    tags = {code: fleurs.language_tag(code) for code in fleurs.CODES}
    assert all(tag.replace("-", "_").lower() == code for code, tag in tags.items())
    chosen = ("pt_br", "es_419", "fil_ph", "cmn_hans_cn", "yue_hant_hk", "ast_es")
    assert [tags[code] for code in chosen] == ["pt-BR", "es-419", "fil-PH", "cmn-Hans-CN", "yue-Hant-HK", "ast-ES"]
    assert [fleurs.language_tag(code) for code in sorted(fleurs.OLD_CODES)] == ["ckb-IQ", "oc-FR", "bg-BG", "sd-IN"]


def test_one_edition_in_a_cache_is_never_taken_for_the_other(tmp_path):
    for name in ("fleurs", "fleurs-r"):
        unpack(f"-- google___{name}/en_us/1/ab/{name}-test.arrow --\n{ROW % name}", tmp_path)
    assert [item.id for item in read("fleurs", tmp_path)[0]] == ["en_us_fleurs"]
    assert [item.id for item in read("fleurs", tmp_path, edition="fleurs-r")[0]] == ["en_us_fleurs-r"]


def test_a_link_to_a_blob_that_was_not_copied_is_an_incomplete_download(tmp_path):
    folder = "hub/datasets--google--fleurs/snapshots/c0/en_us"
    unpack(f"-- {folder}/{VALIDATION}-00000-of-00002.parquet --\n{ROW % 'a'}", tmp_path)
    (tmp_path / folder / f"{VALIDATION}-00001-of-00002.parquet").symlink_to("../../../blobs/gone")
    recordings, findings = read("fleurs", tmp_path)
    assert [item.id for item in recordings] == ["en_us_a"]
    assert [(item.kind, item.path) for item in findings] == [
        (corpora.INCOMPLETE, f"{folder}/{VALIDATION}-00001-of-00002.parquet"),
        (corpora.INCOMPLETE, folder),
    ]


def test_of_two_builds_the_complete_one_is_read_and_the_other_is_a_finding(tmp_path):
    whole, cut = "fleurs/en_us/1/aa", "fleurs/en_us/1/bb"
    unpack(f"-- {whole}/{VALIDATION}.arrow --\n{ROW % 'a'}", tmp_path)
    unpack(f"-- {cut}/{VALIDATION}-00001-of-00002.arrow --\n{ROW % 'b'}", tmp_path)
    recordings, findings = read("fleurs", tmp_path)
    assert [item.path for item in recordings] == [f"{whole}/{VALIDATION}.arrow/0.row"]
    assert [(item.kind, item.path) for item in findings] == [
        (corpora.DUPLICATE, f"{cut}/{VALIDATION}-00001-of-00002.arrow")
    ]


@pytest.mark.parametrize(
    ("corpus", "files", "message"),
    [
        (
            "fleurs",
            {"en_us/1/ab/dataset_info.json": "{\n", "en_us/1/ab/fleurs-test.arrow": ROW % "a"},
            "json: broken: expec",
        ),
        ("fleurs", {"all/1/ab/fleurs-test.arrow": ROW % "a"}, "no language: expected dataset_info"),
        ("voxpopuli", {"multilang/1/ab/voxpopuli-test.arrow": ROW % "a"}, "no language: expected dataset_info"),
        ("fleurs", {"en_us/1/ab/fleurs-test.arrow": '{"id": 1}\n'}, "no column audio among id"),
    ],
)
def test_a_table_without_language_or_audio_is_refused(corpus, files, message, tmp_path):
    unpack("".join(f"-- {path} --\n{text}" for path, text in files.items()), tmp_path)
    with pytest.raises(CorpusError, match=message):
        read(corpus, tmp_path)


def test_a_text_file_with_the_name_of_a_table_is_refused(tmp_path):
    for name in ("fleurs-test.arrow", "fleurs-test.parquet"):
        folder = tmp_path / name / "en_us"
        folder.mkdir(parents=True)
        (folder / name).write_text("version https://git-lfs.github.com/spec/v1\n")
        with pytest.raises(CorpusError, match=f"{name}: expected"):
            read("fleurs", tmp_path / name)


def test_partitions_of_ami_put_whole_series_on_one_side():
    sides = {partition: {} for partition in ami.PARTITIONS}
    for partition, found in sides.items():
        for meeting in ("ES2011d", "ES2003a", "IB4010", "EN2002b", "ES2014c", "ES2002a", "IN1001", "IB4005"):
            found[meeting] = ami.split_of(meeting, partition)
    assert sides == {
        "full-corpus-asr": dict(
            zip(found, ["dev", "train", "dev", "test", "train", "train", "train", None], strict=True)
        ),
        "full-corpus": dict(zip(found, ["dev", "dev", "dev", "test", "test", "train", "train", None], strict=True)),
        "scenario-only": dict(zip(found, ["dev", "dev", None, None, "test", "train", None, None], strict=True)),
    }


def test_the_list_for_identification_is_required_and_checked(tmp_path):
    (tmp_path / "id10001").mkdir()
    (tmp_path / "vox1_meta.csv").write_text("VoxCeleb1 ID\tGender\tSet\nid10001\tm\tdev\n")
    with pytest.raises(CorpusError, match=r"iden_split\.txt: no list for identification"):
        read("voxceleb", tmp_path, split="identification")
    (tmp_path / "iden_split.txt").write_text("1 id10001/a/1.wav\n4 id10001/a/2.wav\n")
    broken = read("voxceleb", tmp_path, split="identification")[1][0]
    assert (broken.kind, broken.path) == (corpora.BROKEN_LABEL, "iden_split.txt:2")


def test_missing_turns_and_those_of_another_meeting_are_refused(tmp_path):
    (tmp_path / "ES2002a" / "audio").mkdir(parents=True)
    with pytest.raises(CorpusError, match=r"no only_words/rttms/<split>/<meeting>\.rttm"):
        read("ami", tmp_path, annotations="only_words")
    turns = tmp_path / "only_words" / "rttms" / "train"
    turns.mkdir(parents=True)
    (turns / "ES2002a.rttm").write_text("SPEAKER ES2002b 1 0 1 <NA> <NA> FEE005 <NA> <NA>\n")
    _, [broken] = read("ami", tmp_path, annotations="only_words")
    assert (broken.kind, broken.path) == (corpora.BROKEN_LABEL, "only_words/rttms/train/ES2002a.rttm:1")
    assert "turns of ES2002a alone" in broken.detail


def test_the_customary_sets_of_timit_are_complete_and_share_no_speaker():
    assert (len(timit.DEV), len(timit.CORE)) == (50, 24)
    assert not timit.DEV & timit.CORE
    assert all(timit.SPEAKER.fullmatch(name) for name in timit.DEV | timit.CORE)


def test_a_command_in_a_kaldi_table_is_reported_and_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"wav.scp": "a touch ran |\nb touch ran; cat x.wav|\nc | touch ran\n"})
    found = list(corpora.read("kaldi", tmp_path, ReaderOptions()))
    assert [item.kind for item in found] == [corpora.REFUSED] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["wav.scp"]


CV_HEAD = "client_id\tpath\tsentence\tlocale\n"


def common_voice(tmp_path, *texts):
    rows = "".join(f"s\t{number}.mp3\t{text}\tka\n" for number, text in enumerate(texts))
    write(tmp_path, {"train.tsv": CV_HEAD + rows} | {f"clips/{number}.mp3": "" for number in range(len(texts))})
    recordings, findings = read("common_voice", tmp_path, splits=["train"])
    assert not findings
    return [item.labels["text"] for item in recordings]


def test_a_table_that_csv_wrote_gives_the_texts_without_its_quotes(tmp_path):
    texts = common_voice(tmp_path, '"He said ""yes"" at once."', "Plain.", '"""Yes,"" he said."', '"""Yes."""')
    assert texts == ['He said "yes" at once.', "Plain.", '"Yes," he said.', '"Yes."']


@pytest.mark.parametrize("other", ['"Yes," he said.', 'He said "yes".', '"Yes', 'yes"', '5" nail'])
def test_one_quote_that_csv_would_not_have_written_shows_that_quotes_are_text(other, tmp_path):
    assert common_voice(tmp_path, 'A ""b"".', other, '"x ""y"" z"') == ['A ""b"".', other, '"x ""y"" z"']


def test_a_text_between_quotes_alone_is_no_sign_of_csv(tmp_path):
    assert common_voice(tmp_path, '"Yes."', "No.", '""') == ['"Yes."', "No.", '""']


def test_spontaneous_speech_has_the_tag_of_its_file_and_the_name_of_its_row(tmp_path):
    head = "client_id\taudio_file\ttranscription\tlanguage\tsplit\n"
    for locale, published in (("br", "Breton"), ("pl", "pl"), ("xx", "Unheard-of")):
        root = tmp_path / locale
        write(root, {f"ss-corpus-{locale}.tsv": f"{head}s\ta.mp3\tt\t{published}\ttrain\n", "audios/a.mp3": ""})
    found = {locale: read("common_voice", tmp_path / locale)[0][0].labels for locale in ("br", "pl", "xx")}
    assert (found["br"]["language"], found["br"]["language_name"]) == ("br", "Breton")
    assert found["pl"]["language"] == "pl" and "language_name" not in found["pl"]
    assert found["xx"]["language_name"] == "Unheard-of" and "language" not in found["xx"]


@pytest.mark.parametrize("locale", ["br", "sv-SE", "zh-HK", "rm-sursilv", "ckb", "nan-tw", "cmn-Hans-CN"])
def test_a_registered_language_of_a_row_stays_one(locale, tmp_path):
    write(tmp_path, {"train.tsv": f"{CV_HEAD}s\ta.mp3\tt\t{locale}\n", "clips/a.mp3": ""})
    assert read("common_voice", tmp_path, splits=["train"])[0][0].labels["language"] == locale


@pytest.mark.parametrize("locale", ["Breton", "xx", "english", "en_US", "e", "klingon language"])
def test_what_is_no_registered_language_is_a_name_in_every_reader(locale, tmp_path):
    write(tmp_path, {"train.tsv": f"{CV_HEAD}s\ta.mp3\tt\t{locale}\n", "clips/a.mp3": ""})
    labels = read("common_voice", tmp_path, splits=["train"])[0][0].labels
    assert labels["language_name"] == locale and "language" not in labels


@pytest.mark.parametrize(
    ("published", "labels"),
    [
        ("Joey", {"speaker_id": "Joey"}),
        ("Ross and Joey", {"several_speakers": True, "speaker_ids": ["Ross", "Joey"]}),
        ("Ross & Joey", {"several_speakers": True, "speaker_ids": ["Ross", "Joey"]}),
        ("Ross, and Joey and Ross", {"several_speakers": True, "speaker_ids": ["Ross", "Joey"]}),
        ("Both", {"several_speakers": True}),
        ("All", {"several_speakers": True}),
        ("all but Ross", {"several_speakers": True}),
        ("Everyone", {"several_speakers": True}),
        ("Joey and everyone", {"several_speakers": True}),
        ("Alli", {"speaker_id": "Alli"}),
        ("Sandy", {"speaker_id": "Sandy"}),
        ("Andy Anderson", {"speaker_id": "Andy Anderson"}),
        ("Boyd", {"speaker_id": "Boyd"}),
        ("spk+1", {"speaker_id": "spk+1"}),
        ("", {}),
    ],
)
def test_several_who_speak_are_no_single_speaker(published, labels):
    assert speakers(published) == labels
