import hashlib
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.archive_samples import FEW, FORMATS, NOISE, PACKED, Place, contents, fresh_place, split, zip_bytes

from earmark.archives.unpack import ArchiveFile
from earmark.errors import ArchiveError


def sources(place, pieces, **last):
    names = [f"x.z{number + 1:02d}" for number in range(len(pieces) - 1)] + ["x.zip"]
    for name, piece in zip(names, pieces, strict=True):
        (place.home / name).write_bytes(piece)
    parts = tuple(
        ArchiveFile(place.home / name, len(piece), {"md5": hashlib.md5(piece).hexdigest()})
        for name, piece in zip(names, pieces[:-1], strict=False)
    )
    return {"name": "x.zip", "parts": parts} | last


@settings(deadline=None, max_examples=40)
@given(cuts=st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_split_zip_gives_back_its_tree_wherever_it_is_cut(cuts):
    with fresh_place() as place:
        pieces = split(zip_bytes(NOISE), [0.5, *cuts])
        made = place.extract(**sources(place, pieces))
        assert contents(place.tree) == NOISE
        assert [sums["md5"] for sums in made.sums[:-1]] == [hashlib.md5(piece).hexdigest() for piece in pieces[:-1]]
        assert made.archive_size == sum(map(len, pieces))


@pytest.mark.parametrize("kind", FORMATS)
@settings(deadline=None, max_examples=15)
@given(cuts=st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_archive_cut_in_pieces_of_bytes_gives_back_its_tree(kind, cuts):
    data = PACKED[kind]
    edges = sorted({0, 600, *(600 + int(cut * (len(data) - 1200)) for cut in cuts), len(data)})
    pieces = [data[start:stop] for start, stop in itertools.pairwise(edges)]
    with fresh_place() as place:
        place.extract(**sources(place, pieces))
        assert contents(place.tree) == NOISE


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def refused(place, **source):
    with pytest.raises(ArchiveError) as caught:
        place.extract(**source)
    assert contents(place.tree) == {} and not place.staging.exists() and "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_short_altered_and_unnamed_parts_are_named(place):
    pieces = split(zip_bytes(NOISE), [0.3, 0.6])
    source = sources(place, pieces)
    assert "a zip split over 3 files: expected the 2 before this one" in refused(place, name="x.zip")
    assert "got 1" in refused(place, **source | {"parts": source["parts"][:1]})
    (place.home / "x.z02").write_bytes(pieces[1][:-1])
    assert "x.z02: partial download" in refused(place, **source)
    (place.home / "x.z02").write_bytes(bytes(len(pieces[1])))
    assert refused(place, **source)
    (place.home / "x.z02").unlink()
    assert "x.z02: no such archive" in refused(place, **source)


def test_part_with_a_wrong_sum_is_named(place):
    pieces = split(zip_bytes(FEW), [0.5])
    source = sources(place, pieces)
    (wrong,) = source["parts"]
    told = refused(place, **source | {"parts": (ArchiveFile(wrong.path, wrong.size, {"md5": "00"}),)})
    assert "wrong content of x.z01: expected md5 00" in told


def test_parts_in_the_wrong_order_are_refused(place):
    pieces = split(zip_bytes({f"n/{n}.wav": random.Random(n).randbytes(3000) for n in range(9)}), [0.3, 0.6])
    source = sources(place, pieces)
    assert refused(place, **source | {"parts": source["parts"][::-1]})


def test_split_zip_of_the_catalog_is_extracted_and_stays_current_without_its_parts(collection):
    audio = {f"LibriSpeech/train-clean-100/1/10/1-10-{n:04d}.flac": random.Random(n).randbytes(900) for n in range(3)}
    text = "".join(f"1-10-{n:04d} A\n" for n in range(3)).encode()
    pieces = split(zip_bytes({**audio, "LibriSpeech/train-clean-100/1/10/1-10.trans.txt": text}), [0.5])
    part = {"file": "x.z01", "size": len(pieces[0]), "md5": hashlib.md5(pieces[0]).hexdigest()}
    root = collection.add_dataset("books", archives=[{"file": "x.zip", "parts": [part]}])
    root.parent.mkdir(parents=True)
    (root.parent / "x.z01").write_bytes(pieces[0])
    (root.parent / "x.zip").write_bytes(pieces[1])
    collection.doit("scan:books")
    assert len(list(root.rglob("*.flac"))) == 3
    (root.parent / "x.z01").unlink()
    assert collection.states()["extract:books"] == "U"
    again = collection.doit("scan:books")
    assert "0 done" in again.stdout
