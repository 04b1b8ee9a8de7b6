"""Archives: every member arrives whole or none does, whatever the archive holds."""

import hashlib
import random
import struct
import tarfile
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.archive_samples import (
    FEW,
    FORMATS,
    NOISE,
    PACK,
    PACKED,
    Place,
    contents,
    fresh_place,
    pack,
    tar_bytes,
    tar_entry,
    zip_bytes,
)

from earmark.archives.safe_names import fold
from earmark.disk.hashing import hash_bytes
from earmark.errors import ArchiveError


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\\\0:.", exclude_categories=["Cs"]), min_size=1, max_size=12
)


def plain(files):
    """Keep files whose names can lie side by side on every file system."""
    folds, folders, kept = set(), {}, {}
    for parts, data in files:
        steps = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        keys = [fold(step) for step in steps]
        if keys[-1] in folds or keys[-1] in folders or any(key in folds for key in keys[:-1]):
            continue
        if any(folders.get(key, step) != step for key, step in zip(keys[:-1], steps[:-1], strict=True)):
            continue
        folders.update(zip(keys[:-1], steps[:-1], strict=True))
        folds.add(keys[-1])
        kept[steps[-1]] = data
    return kept


TREES = st.lists(
    st.tuples(st.lists(NAMES, min_size=1, max_size=4), st.binary(max_size=2000)), min_size=1, max_size=12
).map(plain)


A, B = {"first.wav": b"1" * 700}, {"second.wav": b"2" * 700}


def v7_tar():
    """A tar as it was before POSIX: no mark in its header."""
    data = bytearray(pack(B))
    data[257:265], data[148:156] = bytes(8), b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "zip"])
@pytest.mark.parametrize("second", [pack(B), v7_tar()], ids=["pax", "v7"])
def test_tars_laid_end_to_end_give_the_members_of_all(place, kind, second):
    if kind == "tar":
        place.extract(pack(A) + second)
    else:
        place.extract(PACK[kind](pack(A)) + PACK[kind](second))
    assert contents(place.tree) == A | B


def joined():
    """Files that hold more than one archive: whatever reads the first does not read all."""
    for first in FORMATS:
        for second in FORMATS:
            if first == "zip" or first != second:
                yield pytest.param(pack(A, first) + pack(B, second), id=f"{first} + {second}")
        yield pytest.param(pack(A, first) + b"\n" + pack(B, first), id=f"{first} + newline + {first}")
        yield pytest.param(pack(A, first) + b"x", id=f"{first} + a byte")
    whole = zip_bytes(A | B)
    yield pytest.param(pack(A) + bytes(100) + pack(B), id="tar + tar off its blocks")
    yield pytest.param(zip_bytes({}) + whole, id="empty zip + zip")
    hidden = bytearray(whole)
    entry = hidden.find(b"PK\1\2", hidden.find(b"PK\1\2") + 1)  # the directory's second entry is taken out
    end = hidden.find(b"PK\5\6")
    size = end - entry
    hidden[end + 8 : end + 12] = b"\1\0\1\0"
    directory = struct.unpack("<I", hidden[end + 12 : end + 16])[0] - size
    hidden[end + 12 : end + 16] = struct.pack("<I", directory)
    yield pytest.param(bytes(hidden[:entry] + hidden[end:]), id="zip with a member that its directory does not name")


@pytest.mark.parametrize("data", list(joined()))
def test_an_archive_with_bytes_that_are_no_part_of_it_is_refused_unless_they_are_given_up(place, data):
    place.refuses(data, 'set `rest = "ignore"`')
    place.extract(data, ignores_rest=True)
    assert place.rows()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("n_zeros", [1, 500, 512, 9_000])
def test_zeros_behind_an_archive_are_padding(place, kind, n_zeros):
    place.extract(pack(FEW, kind) + bytes(n_zeros))
    assert contents(place.tree) == FEW


def test_a_tar_of_the_right_size_whose_second_half_never_came_is_refused_where_no_sum_proves_it(place):
    whole = pack({f"{n}.wav": random.Random(n).randbytes(3_000) for n in range(20)})
    data = whole[: 8 * 3584].ljust(len(whole), b"\0")
    place.refuses(data, "only the beginning came", size=len(data))
    place.extract(data, sums={"md5": hashlib.md5(data).hexdigest()})


def test_a_folder_of_a_zip_that_carries_data_is_refused(place):
    place.refuses(zip_bytes(FEW | {"d/": b"data"}), "a folder that carries 4 bytes")


def test_members_of_a_zip_that_overlap_are_refused(place):
    data = bytearray(zip_bytes(A | B))
    first = data.find(b"PK\1\2")
    second = data.find(b"PK\1\2", first + 1)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    place.refuses(bytes(data), "overlaps")


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
@settings(deadline=None, max_examples=20)
@given(files=TREES)
def test_every_format_gives_back_any_tree(kind, files):
    with fresh_place() as place:
        made = place.extract(pack(files, kind))
        assert contents(place.tree) == files
        assert place.rows() == [{"path": p, "size": len(d), "xxh3": hash_bytes(d)} for p, d in files.items()]
        assert (made.n_members, made.n_files, made.n_written) == (len(files),) * 3
        assert made.member_bytes == made.written_bytes == sum(map(len, files.values()))
        assert made.sums[0]["xxh3"] == hash_bytes((place.home / "x.archive").read_bytes())
        again = place.extract()
        assert (again.n_matched, again.n_written, again.written_bytes) == (len(files), 0, 0)


@pytest.mark.slow
def test_member_larger_than_many_blocks_and_highly_compressible_arrives(place):
    files = {"noise": random.Random(1).randbytes(2_500_001), "zeros": bytes(5_000_000)}
    for kind in FORMATS:
        told = []
        place.extract(pack(files, kind), folder=place.home / kind, on_bytes=told.append)
        assert contents(place.home / kind) == files
        assert sum(told) == (place.home / "x.archive").stat().st_size


def test_folders_links_modes_and_times_arrive(place):
    data = tar_bytes(
        tar_entry("./", kind=tarfile.DIRTYPE),
        tar_entry("./empty/", kind=tarfile.DIRTYPE),
        tar_entry("./a/run", b"go", mode=0o6755),
        tar_entry("./a/back", kind=tarfile.SYMTYPE, target="../a/run"),
        tar_entry("./b/same", kind=tarfile.LNKTYPE, target="./a/run"),
        tar_entry("./empty/", kind=tarfile.DIRTYPE),
    )
    for expected in ({"n_written": 2}, {"n_matched": 2}):
        made = place.extract(data)
        assert {key: getattr(made, key) for key in expected} == expected
        assert place.rows() == [
            {"path": "empty", "dir": True},
            {"path": "a/run", "size": 2, "xxh3": hash_bytes(b"go")},
            {"path": "a/back", "link": "../a/run"},
            {"path": "b/same", "size": 2, "xxh3": hash_bytes(b"go")},
            {"path": "empty", "dir": True},
        ]
    run = (place.tree / "a/run").stat()
    assert run.st_mode & 0o7111 == 0o111 and run.st_mtime == 1_500_000_000
    assert (place.tree / "a/back").read_bytes() == (place.tree / "b/same").read_bytes() == b"go"
    assert (place.tree / "empty").is_dir()


def test_nested_archives_are_unpacked_where_they_lie(place):
    deep = pack({"deep.txt": b"deep"}, "zip")
    inner = pack({"in/x.wav": b"x" * 2000, "in/deep.zip": deep}, "tar.gz")
    data = pack({"first": b"1", "part/inner.tgz": inner, "last": b"2"}, "tar.xz")
    place.extract(data, nested=("*.tgz", "*.zip"))
    assert [row["path"] for row in place.rows()] == ["first", "part/in/x.wav", "part/in/deep.txt", "last"]
    assert contents(place.tree) == {
        "first": b"1",
        "part/in/x.wav": b"x" * 2000,
        "part/in/deep.txt": b"deep",
        "last": b"2",
    }
    assert not any(place.tmp.iterdir())


def test_nested_archives_hide_no_escape_and_no_damage(place):
    rest = bytes(20 << 20)  # more than the reader reads ahead: it is still at work when the first member is refused
    for kind in ("tar", "zip"):
        bad = pack({"../../x": b""}, kind)
        place.refuses(pack({"a/i": bad, "rest": rest}), "'../../x' refused: its path leaves", nested=("i",))
        assert not any(place.tmp.iterdir())
    cut = pack({"in/x.wav": random.Random(2).randbytes(5000)}, "tar.gz")[:-2000]
    place.refuses(pack({"a/i.tgz": cut}), "x.archive: damaged at member 'a/in/x.wav'", nested=("*.tgz",))


def test_skipped_members_are_counted_and_left_out(place):
    made = place.extract(pack({**FEW, "a/._one.wav": b"junk"}), skip=("*/._*", "b/c/*"))
    assert made.n_skipped == 2 and made.n_members == 3 and sorted(contents(place.tree)) == sorted(list(FEW)[:3])


def test_size_and_sums_are_checked_before_anything_reaches_the_tree(place):
    for kind in FORMATS:
        data = pack(FEW, kind)
        place.refuses(data[:-3], f"partial download: expected {len(data):,} bytes, got", size=len(data))
        place.refuses(data, "wrong content: expected sha256 00, got", sums={"sha256": "00"})
        sums = {name: hashlib.new(name, data).hexdigest().upper() for name in ("md5", "sha256")}
        made = place.extract(data, size=len(data), sums=sums, folder=place.home / kind)
        assert set(made.sums[0]) == {"md5", "sha256", "xxh3"}


@pytest.mark.parametrize("kind", FORMATS)
@settings(deadline=None, max_examples=30)
@given(share=st.floats(0, 1, exclude_max=True))
def test_truncated_archive_leaves_the_tree_as_it_was(kind, share):
    data = PACKED[kind]
    cut = data[: int(share * len(data))]
    with fresh_place() as place:
        try:
            place.extract(cut)
        except ArchiveError:
            assert not place.tree.exists() or not any(place.tree.iterdir())
            assert not place.staging.exists()
        else:  # only padding behind the end mark of a bare tar may be missing
            assert kind == "tar" and contents(place.tree) == NOISE


@pytest.mark.parametrize("kind", FORMATS)
@settings(deadline=None, max_examples=60)
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_flipped_bit_is_found_or_changes_no_content(kind, share, bit):
    data = bytearray(PACKED[kind])
    data[int(share * len(data))] ^= 1 << bit
    sums = {"md5": hashlib.md5(PACKED[kind]).hexdigest()} if kind == "tar" else {}
    with fresh_place() as place:
        try:
            place.extract(bytes(data), sums=sums)
        except ArchiveError as error:
            assert "\n" not in str(error)
            assert contents(place.tree) == {} and not place.staging.exists()
        else:
            assert contents(place.tree) == NOISE


def test_progress_that_raises_leaves_no_thread_behind(place):
    def stop(n_bytes):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place.extract(pack({"n": random.Random(4).randbytes(20 << 20)}), on_bytes=stop)
    assert not [thread for thread in threading.enumerate() if thread.name == "archive-reader"]
