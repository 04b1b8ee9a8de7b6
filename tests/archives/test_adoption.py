"""Adoption: a tree without its archive is listed as its extraction would have listed it."""

import os

import pytest
from support.archive_samples import FEW, Place, pack

from earmark.archives.adoption import adopt_tree
from earmark.disk.hashing import HashMemo
from earmark.errors import ArchiveError


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_tree_without_its_archive_is_adopted_as_extraction_would_list_it(place):
    place.extract(pack(dict(sorted(FEW.items()))))
    listed = place.rows()
    (place.tree / "other.tar").write_bytes(b"an archive")
    (place.tree / ".earmark-tmp").mkdir()
    (place.tree / "l").symlink_to("a/one.wav")
    told = []
    made = adopt_tree(place.tree, place.members, ignored={"other.tar"}, on_bytes=told.append)
    rows = place.rows()
    assert [row for row in rows if "xxh3" in row] == listed
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    assert {"path": "l", "link": "a/one.wav"} in rows and {"path": "b/c", "dir": True} in rows
    assert made.n_files == 4 and made.member_bytes == sum(told) == sum(map(len, FEW.values()))


def test_file_that_the_memo_knows_is_not_read_again(place):
    place.extract(pack(FEW))
    memo, told = HashMemo(place.home / "memo.db"), []
    first = adopt_tree(place.tree, place.members, on_bytes=told.append, memo=memo)
    listed, n_bytes = place.rows(), sum(told)
    (place.tree / "a/two.wav").write_bytes(b"new")
    second = adopt_tree(place.tree, place.members, on_bytes=told.append, memo=memo)
    memo.close()
    assert n_bytes == first.member_bytes and sum(told) == n_bytes + 3 == second.member_bytes
    assert [row for row in place.rows() if row["path"] != "a/two.wav"] == [
        row for row in listed if row["path"] != "a/two.wav"
    ]


def test_link_to_a_name_that_is_not_unicode_is_one_clear_line(place):
    place.tree.mkdir()
    os.symlink(b"caf\xe9.wav", os.fsencode(place.tree / "l"))
    with pytest.raises(
        ArchiveError, match=r"/l: it links to 'caf\\udce9.wav', which is not Unicode\. Replace the link"
    ):
        adopt_tree(place.tree, place.members)
