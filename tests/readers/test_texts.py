"""Texts go through every reader unchanged, in an order that does not depend on that of the label file."""

import unicodedata

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.readers import texts_of, write

from earmark import corpora
from earmark.corpora import ReaderOptions, Recording

CV = "client_id\tpath\tsentence\n"
VOXPOPULI = "id\tnormalized_text\tspeaker_id\n"


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


def test_the_catalogs_language_gives_way_to_that_of_a_row(tmp_path):
    write(tmp_path, {"clips/a.mp3": "", "clips/b.mp3": ""})
    write(tmp_path, {"test.tsv": "client_id\tpath\tsentence\tlocale\nx\ta.mp3\tA\tsv-SE\nx\tb.mp3\tB\t\n"})
    found = list(corpora.read("common_voice", tmp_path, ReaderOptions("de", {"splits": ["test"]})))
    assert [item.labels["language"] for item in found] == ["sv-SE", "de"]
