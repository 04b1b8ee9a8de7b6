"""Texts that cannot be what was published: found with their field in every reader, and restored where that is certain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.readers import write

from earmark import corpora
from earmark.corpora import ReaderOptions
from earmark.corpora._texts import C1, CONTROL, MARK, MISREAD, NUL, REPLACED, SURROGATE, look, looked_at

MELD = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
    '0,{text},A,neutral,neutral,0,0,1,1,"00:00:01,000","00:00:02,000"\n'
)
# What languages write with letters and marks that UTF-8 read as cp1252 may look like.
PLAIN = [
    "naïve café", "« été\u00a0»", "IRMÃ…", "irmã…”", "MAÇÃ”", "ESPAÑA…", "SEÑOR’s", "Ä…", "GÅ…", "Å\u00a0", "Größe: 5 °C",
    "à\u00a0» b", "“Ça va ?” – é", "日本語", "Привет", "ΑΒΓ", "„diah”", "שלום 😀", "a\tb\nc", "İstanbul ığdır", "ÐÑ", "É°",
    "50 €", "x² ½", "Š", "ñœœœ", "œuvre – Œ", "a\u0301", "\u200b", "line\u2028end", "Ã", "â", "Â", "ñ¿", "¡Ñandú!",
]  # fmt: skip


def misread(text, encoding="cp1252"):
    """Return a text as a program has it that reads its UTF-8 in another encoding."""
    return "".join(
        bytes([byte]).decode(encoding) if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else chr(byte)
        for byte in text.encode()
    )


@pytest.mark.parametrize("text", PLAIN)
def test_a_text_as_languages_write_it_is_never_suspicious(text):
    assert look(text, False) == look(text, True) == (text, [], [])


@pytest.mark.parametrize(
    "text", ["é", "’", "“Ça va ?” – dit-il", "crème brûlée à la carte", "Łódź ąę", "Привет", "日本語", "ΑΒΓ!"]
)
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
@pytest.mark.parametrize("times", [1, 2])
def test_utf_8_that_was_read_as_cp1252_is_found_and_restored(text, encoding, times):
    wrong = text
    for _ in range(times):
        wrong = misread(wrong, encoding)
    assert look(wrong, False) == (wrong, [MISREAD], [])
    assert look(wrong, True) == (text, [], [MISREAD])


@given(st.text(st.sampled_from("abc .,éèàçÉñöüß’“”–…"), min_size=1))
def test_what_is_restored_is_what_was_published(text):
    restored, _, _ = look(misread(text), True)
    assert restored == text or restored == misread(text)  # or nothing was certain, and nothing was touched


@given(st.text(st.sampled_from("abc é’“”–…€š")))
def test_cp1252_that_was_read_as_latin_1_is_restored_exactly(text):
    wrong = text.encode("cp1252").decode("latin-1")
    if wrong != text:
        assert look(wrong, False)[1] == [C1]
        assert look(wrong, True) == (text, [], [C1])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a\x00b", NUL), ("a\x1b[2J", CONTROL), ("a\x7f", CONTROL), ("a\x81b", C1), ("a\ufffdb", REPLACED),
        ("\ufeffa", MARK), ("a\ufeffb", MARK),
    ],
)  # fmt: skip
def test_what_nothing_can_restore_is_named_and_left(text, what):
    assert look(text, False) == look(text, True) == (text, [what], [])


def test_an_unpaired_surrogate_cannot_be_written_and_becomes_the_character_for_that():
    assert look("a\ud800b", False) == ("a\ufffdb", [SURROGATE], [])


def test_texts_in_lists_and_segments_are_looked_at_with_their_field():
    labels = {
        "segments": [{"start": 0, "end": 1, "text": "it\x92s"}],
        "genre": ["x", "y\x00"],
        "text": "fine",
        "fold": 1,
    }
    same, defects, _ = looked_at(labels, False)
    assert defects == ["suspicious text: C1 control in segments.text", "suspicious text: NUL in genre"]
    assert same is labels
    restored, defects, repaired = looked_at(labels, True)
    assert restored["segments"] == [{"start": 0, "end": 1, "text": "it’s"}]
    assert (defects, repaired) == (["suspicious text: NUL in genre"], ["C1 control in segments.text"])


def test_a_reader_yields_the_defect_and_with_repair_the_text(tmp_path):
    write(tmp_path, {"dev_sent_emo.csv": MELD.format(text="it\x92s here"), "dev_splits_complete/dia0_utt0.mp4": ""})
    (plain,) = corpora.read("meld", tmp_path, ReaderOptions())
    assert plain.labels["defects"] == ["suspicious text: C1 control in text"]
    (restored,) = corpora.read("meld", tmp_path, ReaderOptions(), repair=True)
    assert restored.labels["text"] == "it’s here"
    assert "defects" not in restored.labels
    assert restored.repaired == ("C1 control in text",)


def test_a_defect_that_the_reader_knows_stays_beside_it(tmp_path):
    table = MELD.replace("neutral,0,0,1", "neutral,99,3,1").format(text="\x93Hi\x94")
    write(tmp_path, {"dev_sent_emo.csv": table, "dev_splits_complete/dia99_utt3.mp4": ""})
    (item,) = corpora.read("meld", tmp_path, ReaderOptions())
    assert item.labels["defects"] == ["nearly no sound", "suspicious text: C1 control in text"]


def test_half_a_surrogate_in_json_reaches_no_file(tmp_path):
    note = '{"instrument_str": "a\\ud800", "instrument_family_str": "b", "instrument_source_str": "c", "pitch": 1,'
    note += ' "velocity": 1, "qualities_str": []}'
    write(tmp_path, {"nsynth-test/audio/a.wav": "", "nsynth-test/examples.json": f'{{"a": {note}, "\\ud800": {note}}}'})
    recording, finding = corpora.read("nsynth", tmp_path, ReaderOptions())
    assert recording.labels["instrument"] == "a\ufffd"
    assert recording.labels["defects"] == [
        f"suspicious text: {SURROGATE} in {name}" for name in ("instrument", "group_id")
    ]
    finding.detail.encode()
