"""Names that differ only in spelling are matched; where there is a doubt, the finding names the files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.readers import write

from earmark import corpora
from earmark.corpora import Finding, ReaderOptions, Recording
from earmark.corpora._match import folded, respelled

NFC, NFD = "caf\u00e9", "cafe\u0301"


def read(root, corpus):
    items = list(corpora.read(corpus, root, ReaderOptions()))
    recordings = {item.path: item.id for item in items if isinstance(item, Recording)}
    return recordings, [item for item in items if isinstance(item, Finding)]


@pytest.mark.parametrize(
    ("listed", "file"),
    [(NFC, NFD), (NFD, NFC), ("x\\a", "x/a"), ("A", "a"), ("X/a", "x/A"), (f"x\\{NFC.upper()}", f"x/{NFD}")],
)
def test_a_table_finds_the_file_that_is_spelled_otherwise(listed, file, tmp_path):
    write(tmp_path, {"metadata.csv": f"file_name,text\n{listed}.wav,t\nb.wav,u\n", f"{file}.wav": "", "b.wav": ""})
    recordings, findings = read(tmp_path, "audiofolder")
    assert recordings == {f"{file}.wav": file, "b.wav": "b"}
    assert not findings


def test_a_file_of_the_exact_name_is_never_given_to_another_row(tmp_path):
    write(tmp_path, {"metadata.csv": "file_name,text\nA.wav,upper\na.wav,lower\n", "a.wav": ""})
    recordings, [finding] = read(tmp_path, "audiofolder")
    assert recordings == {"a.wav": "a"}
    assert finding.detail == "A: no audio file A.wav"


def test_several_files_that_it_could_be_are_named_and_none_is_taken(tmp_path):
    write(tmp_path, {"metadata.csv": "file_name,text\nCafe.wav,t\n", "cafe.wav": "", "CAFE.wav": ""})
    recordings, findings = read(tmp_path, "audiofolder")
    assert not recordings
    assert findings[-1].detail == "Cafe: no audio file Cafe.wav; spelled otherwise: CAFE.wav, cafe.wav"


def test_ids_of_label_lines_are_matched_with_the_stems_of_files(tmp_path):
    esc = "filename,fold,target,category,esc10,src_file,take\n"
    rows = "".join(f"{name}.wav,1,0,dog,True,1,A\n" for name in (NFC, "B", "Two"))
    write(tmp_path, {"meta/esc50.csv": esc + rows} | {f"audio/{name}.wav": "" for name in (NFD, "b", "two", "TWO")})
    recordings, findings = read(tmp_path, "esc50")
    assert recordings == {f"audio/{NFD}.wav": NFC, "audio/b.wav": "B"}
    assert findings[-1].detail == "Two: no audio file with this id; spelled otherwise: TWO, two"


@given(st.lists(st.sampled_from(["a", "A", "b", "B", NFC, NFD, "x/y", "x\\y"]), unique=True), st.data())
def test_a_match_is_one_to_one_and_of_one_spelling(wanted, data):
    on_disk = data.draw(st.lists(st.sampled_from(["a", "A", "b", "B", NFC, NFD, "x/y"]), unique=True))
    matched, doubtful = respelled(wanted, on_disk)
    assert len(set(matched.values())) == len(matched)
    assert all(folded(file) == folded(name) for file, name in matched.items())
    assert not set(matched.values()) & doubtful.keys()
