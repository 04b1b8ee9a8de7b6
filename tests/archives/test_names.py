"""Names of members: what could leave the tree or collide in it is refused by name."""

import tarfile

import pytest
from support.archive_samples import Place, tar_bytes, tar_entry, zip_bytes


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
    "scratch": ([tar_entry(".earmark-tmp/x")], "goes into .earmark-tmp"),
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
    "case": ([tar_entry("a/X.wav"), tar_entry("a/x.wav")], "'a/x.wav' refused: .* is one with 'a/X.wav'"),
    "folder case": ([tar_entry("a/1"), tar_entry("A/2")], "'A' refused: .* is one with 'a'"),
    "unicode form": ([tar_entry("\u00e9"), tar_entry("e\u0301")], "is one with"),
    "twice": ([tar_entry("a"), tar_entry("b"), tar_entry("a")], "'a' refused: it occurs twice"),
    "file then folder": ([tar_entry("a"), tar_entry("a/b")], "'a' refused: it is a file and also a folder"),
    "folder then file": ([tar_entry("a/b"), tar_entry("a")], "'a' refused"),
    "file and folder by case": ([tar_entry("a/b"), tar_entry("A")], "'A' refused: .* is one with 'a'"),
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
