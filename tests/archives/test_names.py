"""Names of members: what could leave the tree or collide in it is refused by name."""

import io
import os
import tarfile
import warnings
import zipfile

import pytest
from support.archive_samples import Place, contents, tar_bytes, tar_entry, zip_bytes

from earmark.archives.safe_names import safe_path
from earmark.disk.junk import RESERVED
from earmark.errors import ArchiveError


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


HOSTILE = {
    "absolute": ([tar_entry("/etc/x")], "'/etc/x' refused: its path is absolute"),
    "parent": ([tar_entry("a/../../x")], "'a/../../x' refused: its path leaves the tree"),
    "backslash": ([tar_entry("..\\x")], "Windows"),
    "drive": ([tar_entry("C:x")], "Windows"),
    "nul": ([tar_entry("x", pax_headers={"path": "a\0b"})], "NUL"),
    "latin-1": ([tar_entry("f\udce9", pax_headers={"comment": "x"})], "not Unicode"),
    "deep": ([tar_entry("d/" * 101 + "x")], "folders deep"),
    "long name": ([tar_entry("x" * 300)], "cannot hold its name"),
    "scratch": ([tar_entry(".earmark-tmp/x")], "a name that earmark keeps for itself"),
    "root file": ([tar_entry("./")], "in the place of the tree itself|holds no members"),
    "device": ([tar_entry("d", kind=tarfile.CHRTYPE)], "'d' refused: it is neither file"),
    "fifo": ([tar_entry("d", kind=tarfile.FIFOTYPE)], "'d' refused: it is neither file"),
    "link out": ([tar_entry("a/l", kind=tarfile.SYMTYPE, target="../../x")], "'a/l' refused: a link to '../../x'"),
    "link absolute": ([tar_entry("l", kind=tarfile.SYMTYPE, target="/etc/passwd")], "'l' refused: a link to"),
    "link zigzag": ([tar_entry("l", kind=tarfile.SYMTYPE, target="a/../b")], "may leave the tree"),
    "hard link out": ([tar_entry("l", kind=tarfile.LNKTYPE, target="../../etc/passwd")], "leaves the tree"),
    "hard link ahead": ([tar_entry("l", kind=tarfile.LNKTYPE, target="x"), tar_entry("x")], "no earlier member"),
    "below link": (
        [tar_entry("l", kind=tarfile.SYMTYPE, target="a"), tar_entry("l/x")],
        "'l' refused: it is a link, and a member is below it",
    ),
    "link over folder": ([tar_entry("l/x"), tar_entry("l", kind=tarfile.SYMTYPE, target="a")], "'l' refused"),
    "file then folder": ([tar_entry("a"), tar_entry("a/b")], "'a' refused: it is a file and also a folder"),
    "folder then file": ([tar_entry("a/b"), tar_entry("a")], "'a' refused"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_member_is_refused_by_name_and_nothing_is_written(place, case):
    entries, match = HOSTILE[case]
    place.refuses(
        tar_bytes(tar_entry("good", b"good"), *entries) if case != "root file" else tar_bytes(*entries), match
    )


@pytest.mark.parametrize("name", ["/x", "../x", "a\\x", "a/../../x"])
def test_hostile_zip_name_is_refused(place, name):
    place.refuses(zip_bytes({"good": b"", name: b""}), "refused: its path")


TWINS = {
    "case": ["a/X.wav", "a/x.wav"],
    "folder case": ["a/1", "A/2"],
    "unicode form": ["\u00e9", "e\u0301"],
    "file and folder by case": ["a/b", "A"],
}


@pytest.mark.parametrize("case", TWINS)
def test_names_that_differ_in_case_or_form_are_extracted_and_told_where_they_can_be_told_apart(place, case):
    made = place.extract(tar_bytes(*(tar_entry(name, name.encode()) for name in TWINS[case])))
    assert contents(place.tree) == {name: name.encode() for name in TWINS[case]}
    assert len(made.twins) == 1


@pytest.mark.parametrize("case", TWINS)
def test_on_a_file_system_that_takes_them_for_one_both_are_named_and_nothing_is_written(place, case, monkeypatch):
    monkeypatch.setattr(os.path, "samestat", lambda one, other: True)
    place.refuses(tar_bytes(*(tar_entry(name, b"x") for name in TWINS[case])), "takes both for one file")


def repeated(kind):
    entries = [tar_entry("a", b"first, and longer"), tar_entry("b", b"b"), tar_entry("a", b"last")]
    if kind == "tar":
        return tar_bytes(*entries)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for info, data in entries:
            file.writestr(info.name, data.getvalue())
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_of_a_member_that_occurs_twice_the_last_counts_and_that_is_told(place, kind):
    for _ in range(2):  # the second time it is compared with the tree
        made = place.extract(repeated(kind))
        assert contents(place.tree) == {"a": b"last", "b": b"b"}
        assert list(made.repeated) == ["a"]
        assert [row["path"] for row in place.rows()] == ["b", "a"]
        assert (made.n_members, made.n_files, made.member_bytes) == (2, 2, 5)


@pytest.mark.parametrize("reserved", sorted(RESERVED))
@pytest.mark.parametrize(
    "spell",
    [
        str,
        str.upper,
        str.title,
        lambda name: f"deep/down/{name}/x",
        lambda name: f"{name}. .",
        lambda name: name.replace("k", "\u212a"),  # the Kelvin sign, a K of its own
        lambda name: name.replace("m", "m\u200c"),  # a letter that is not shown
        lambda name: name.replace("e", "\uff45"),  # a wide e
    ],
)
def test_no_spelling_of_a_name_of_our_own_comes_out_of_an_archive(reserved, spell):
    with pytest.raises(ArchiveError, match="keeps for itself"):
        safe_path(spell(reserved))
    assert safe_path("x.earmark-tmp.wav") == "x.earmark-tmp.wav"
