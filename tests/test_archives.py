"""Archives: every member arrives whole or none does, whatever the archive holds and whenever the process dies."""

import bz2
import errno
import gc
import gzip
import hashlib
import io
import json
import lzma
import os
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark import archives, extraction
from earmark.archives import Source, adopt_tree, extract
from earmark.errors import ArchiveError, DiskFullError
from earmark.files import Scratch
from earmark.hashing import HashMemo, hash_bytes, stat_key

FORMATS = ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"]
PACK = {
    "tar": bytes,
    "tar.gz": lambda data: gzip.compress(data, 1, mtime=0),
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
}
FEW = {
    "a/one.wav": b"one" * 700,
    "a/two.wav": b"",
    "b/three words.txt": "drei Wörter".encode(),
    "b/c/four": bytes(3000),
}


def tar_entry(name, data=b"", kind=tarfile.REGTYPE, target="", **more):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mtime = len(data), kind, target, 1_500_000_000
    for key, value in more.items():
        setattr(info, key, value)
    return info, io.BytesIO(data)


def tar_bytes(*entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, data)
    return buffer.getvalue()


def zip_bytes(files, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in files.items():
            file.writestr(zipfile.ZipInfo(name, (2020, 1, 2, 3, 4, 6)), data, method)
    return buffer.getvalue()


def pack(files, kind="tar"):
    if kind == "zip":
        return zip_bytes(files)
    return PACK[kind](tar_bytes(*(tar_entry(name, data) for name, data in files.items())))


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


class Place:
    """A folder for one archive: where it lies, the tree, the scratch folder, the members file."""

    def __init__(self, home):
        self.home, self.tree, self.tmp = Path(home), Path(home, "tree"), Path(home, "tmp")
        self.members = self.home / "members.jsonl"
        self.staging = self.tmp / "extract-x"

    def extract(self, data=None, name="x.archive", folder=None, on_bytes=lambda n: None, memo=None, **source):
        path = self.home / name
        if data is not None:
            path.write_bytes(data)
        return extract(
            Source(path, **source),
            folder or self.tree,
            self.members,
            scratch=Scratch(self.tmp),
            staging_name="x",
            on_bytes=on_bytes,
            memo=memo,
        )

    def rows(self):
        return [json.loads(line) for line in self.members.read_bytes().splitlines()]

    def refuses(self, data, match, before=None, **source):
        with pytest.raises(ArchiveError, match=match) as caught:
            self.extract(data, **source)
        assert "\n" not in str(caught.value)
        assert contents(self.tree) == (before or {}) and not self.staging.exists()
        assert not [thread for thread in threading.enumerate() if thread.name == "archive-reader"]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@contextmanager
def fresh_place():
    with tempfile.TemporaryDirectory() as home:
        yield Place(home)


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\\\0:.", exclude_categories=["Cs"]), min_size=1, max_size=12
)


def plain(files):
    """Keep files whose names can lie side by side on every file system."""
    folds, folders, kept = set(), {}, {}
    for parts, data in files:
        steps = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        keys = [extraction._fold(step) for step in steps]
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
        assert made.archive_xxh3 == hash_bytes((place.home / "x.archive").read_bytes()) == made.sums["xxh3"]
        again = place.extract()
        assert (again.n_matched, again.n_written, again.written_bytes) == (len(files), 0, 0)


@pytest.mark.parametrize("name", ["x.zip", "x.tar.tar", "x"])
@pytest.mark.parametrize("kind", FORMATS)
def test_format_is_told_by_content_not_by_name(place, kind, name):
    place.extract(pack(FEW, kind), name)
    assert contents(place.tree) == FEW


def test_member_larger_than_many_blocks_and_highly_compressible_arrives(place):
    files = {"noise": random.Random(1).randbytes(2_500_001), "zeros": bytes(5_000_000)}
    for kind in FORMATS:
        told = []
        place.extract(pack(files, kind), folder=place.home / kind, on_bytes=told.append)
        assert contents(place.home / kind) == files
        assert sum(told) == (place.home / "x.archive").stat().st_size


def test_several_streams_and_trailing_bytes_are_read_and_summed(place):
    tar = pack(FEW)
    for number, codec in enumerate([gzip.compress, bz2.compress, lzma.compress]):
        data = codec(tar[:700]) + codec(tar[700:]) + bytes(512) + b"trailing garbage"
        made = place.extract(data, folder=place.home / str(number), sums={"md5": hashlib.md5(data).hexdigest()})
        assert contents(place.home / str(number)) == FEW and made.archive_size == len(data)


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


def test_zip_links_are_made_and_mac_names_are_utf8(place):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("caf\u00e9/a.txt", b"a")
        link = zipfile.ZipInfo("caf\u00e9/l")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "a.txt")
    data = buffer.getvalue().replace(b"\x00\x08", b"\x00\x00")  # the flag that says that names are UTF-8
    place.extract(data)
    assert place.rows()[1] == {"path": "caf\u00e9/l", "link": "a.txt"}
    assert (place.tree / "caf\u00e9/l").read_bytes() == b"a"


def test_sparse_members_arrive_dense(place, tmp_path):
    (tmp_path / "s").write_bytes(b"head")
    os.truncate(tmp_path / "s", 3_000_000)
    subprocess.run(["tar", "-cSf", tmp_path / "s.tar", "-C", tmp_path, "s"], check=True)
    place.extract((tmp_path / "s.tar").read_bytes())
    assert (place.tree / "s").read_bytes() == b"head" + bytes(2_999_996)


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
    bad = pack({"../../x": b""})
    place.refuses(pack({"a/i.tar": bad}), "'../../x' refused: its path leaves", nested=("*.tar",))
    cut = pack({"in/x.wav": random.Random(2).randbytes(5000)}, "tar.gz")[:-2000]
    place.refuses(pack({"a/i.tgz": cut}), "x.archive: damaged at member 'a/in/x.wav'", nested=("*.tgz",))


def test_skipped_members_are_counted_and_left_out(place):
    made = place.extract(pack({**FEW, "a/._one.wav": b"junk"}), skip=("*/._*", "b/c/*"))
    assert made.n_skipped == 2 and made.n_members == 3 and sorted(contents(place.tree)) == sorted(list(FEW)[:3])


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
    "root file": ([tar_entry("./")], "stands where the tree itself is|holds no members"),
    "device": ([tar_entry("d", kind=tarfile.CHRTYPE)], "'d' refused: it is neither file"),
    "fifo": ([tar_entry("d", kind=tarfile.FIFOTYPE)], "'d' refused: it is neither file"),
    "link out": ([tar_entry("a/l", kind=tarfile.SYMTYPE, target="../../x")], "'a/l' refused: a link to '../../x'"),
    "link absolute": ([tar_entry("l", kind=tarfile.SYMTYPE, target="/etc/passwd")], "'l' refused: a link to"),
    "link zigzag": ([tar_entry("l", kind=tarfile.SYMTYPE, target="a/../b")], "may leave the tree"),
    "hard link out": ([tar_entry("l", kind=tarfile.LNKTYPE, target="../../etc/passwd")], "leaves the tree"),
    "hard link ahead": ([tar_entry("l", kind=tarfile.LNKTYPE, target="x"), tar_entry("x")], "no earlier member"),
    "below link": (
        [tar_entry("l", kind=tarfile.SYMTYPE, target="a"), tar_entry("l/x")],
        "'l' refused: it is a link, and a member lies below it",
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


def test_link_that_lies_in_the_tree_is_never_written_through(place):
    outside = place.home / "outside"
    outside.mkdir()
    place.tree.mkdir()
    (place.tree / "l").symlink_to(outside)
    place.refuses(pack({"l/x": b""}), "'l' refused: it is a link")
    assert not any(outside.iterdir())


def test_encrypted_and_unsupported_zip_members_are_refused_by_name(place):
    data = bytearray(zip_bytes({"s.wav": b"secret"}, zipfile.ZIP_STORED))
    at = data.index(b"PK\1\2")
    locked, odd = bytearray(data), bytearray(data)
    locked[at + 8] |= 1
    odd[at + 10] = 99
    place.refuses(bytes(locked), "'s.wav': encrypted")
    place.refuses(bytes(odd), "'s.wav': unsupported")


@pytest.mark.parametrize("declared", [1999, 2001])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_member_of_another_length_than_declared_is_named(place, declared, method):
    data = bytearray(zip_bytes({"s.wav": b"s" * 2000}, method))
    at = data.index(b"PK\1\2")
    data[at + 24 : at + 28] = declared.to_bytes(4, "little")
    place.refuses(bytes(data), "damaged at member 's.wav' .* another length: expected")


def test_what_is_no_archive_is_said_in_one_line(place):
    place.refuses(None, "x.archive: no such archive")
    place.refuses(b"", "the file is empty")
    place.refuses(b"<!DOCTYPE html><p>please log in", "a web page")
    place.refuses(b"RIFF____WAVEfmt ", "expected tar, gzip, bzip2, xz or zip, got bytes 52 49")
    place.refuses(gzip.compress(b"no tar in here" * 99), "damaged|header")
    place.refuses(bytes(10240), "holds no members")


def test_size_and_sums_are_checked_before_anything_reaches_the_tree(place):
    for kind in FORMATS:
        data = pack(FEW, kind)
        place.refuses(data[:-3], f"partial download: expected {len(data):,} bytes, got", size=len(data))
        place.refuses(data, "wrong content: expected sha256 00, got", sums={"sha256": "00"})
        sums = {name: hashlib.new(name, data).hexdigest().upper() for name in ("md5", "sha256")}
        made = place.extract(data, size=len(data), sums=sums, folder=place.home / kind)
        assert set(made.sums) == {"md5", "sha256", "xxh3"}


NOISE = {f"n/{n}.wav": random.Random(n).randbytes(3000) for n in range(8)}
PACKED = {kind: pack(NOISE, kind) for kind in FORMATS}


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


def test_damaged_header_inside_a_tar_is_not_taken_for_its_end(place):
    data = bytearray(pack(NOISE))
    at = data.index(b"n/5.wav")
    for damage in (b"\xff" * 8, bytes(512)):
        bad = data[:at] + damage + data[at + len(damage) :]
        place.refuses(bytes(bad), "damaged after member 'n/4.wav' .5 members.")


def test_zip_directory_that_lost_members_is_found(place):
    data = bytearray(pack(NOISE, "zip"))
    third = [at for at in range(len(data)) if data.startswith(b"PK\1\2", at)][2]
    data[third + 32] = 53  # the length of its comment, which now swallows the next member's entry
    place.refuses(bytes(data), "its zip directory is altered: expected 8 members, got 7")


def test_zip_with_more_members_than_its_old_count_holds_is_read_in_full(place):
    names = [f"{number % 200}/{number}" for number in range(65_600)]
    place.home.joinpath("x.archive").write_bytes(zip_bytes(dict.fromkeys(names, b""), zipfile.ZIP_STORED))
    found = archives.read_archive(
        source := Source(place.home / "x.archive"), archives.Raw(source), lambda n: None, place.home / "spool"
    )
    assert [member.name for member in found] == names


def test_different_file_in_the_tree_is_named_and_kept(place):
    for found in (b"xne" * 700, b"one" * 701, b"x"):
        (place.tree / "a").mkdir(parents=True, exist_ok=True)
        (place.tree / "a/one.wav").write_bytes(found)
        place.refuses(pack(FEW), "'a/one.wav' differs from the file on disk", before={"a/one.wav": found})


def test_interrupted_foreign_extraction_is_completed(place):
    for name, data in list(FEW.items())[:3]:
        (place.tree / name).parent.mkdir(parents=True, exist_ok=True)
        (place.tree / name).write_bytes(data)
    (place.tree / "a/one.wav").write_bytes(FEW["a/one.wav"][:1000])
    (place.tree / "mine.txt").write_bytes(b"stays")
    made = place.extract(pack(FEW, "tar.gz"))
    assert (made.n_completed, made.n_matched, made.n_written) == (1, 2, 1)
    assert contents(place.tree) == {**FEW, "mine.txt": b"stays"} and not place.staging.exists()


class Interrupted(KeyboardInterrupt):
    pass


def interrupt(place, data, fail, monkeypatch, **source):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        fail(patch)
        place.extract(data, **source)


def stop_at(number, owner, name):
    """Make the call of that number raise, as Ctrl-C would."""

    def patch(monkeypatch):
        real, calls = getattr(owner, name), iter(range(10_000))

        def stopped(*arguments):
            if next(calls) == number:
                raise Interrupted
            return real(*arguments)

        monkeypatch.setattr(owner, name, stopped)

    return patch


@pytest.mark.parametrize("kind", FORMATS)
def test_resumed_extraction_rewrites_nothing_that_was_staged(place, kind, monkeypatch):
    interrupt(place, PACKED[kind], stop_at(5, extraction, "_open"), monkeypatch)
    assert contents(place.tree) == {}
    staged = {p.name: p.stat() for p in (place.staging / "n").iterdir()}
    assert len(staged) == 5
    made = place.extract()
    assert (made.n_resumed, made.n_written, made.written_bytes) == (5, 3, 9000)
    assert contents(place.tree) == NOISE and not place.staging.exists()
    for name, before in staged.items():
        after = (place.tree / "n" / name).stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_staged_file_that_differs_is_written_from_there_on(place, monkeypatch):
    files = {"big": random.Random(3).randbytes(3 << 20), "next": b"n"}
    interrupt(place, pack(files), stop_at(0, extraction.Staging, "publish"), monkeypatch)
    with (place.staging / "big").open("r+b") as file:
        file.seek(2_500_000)
        file.write(b"????")
    (place.staging / "stray").mkdir()
    (place.staging / "stray/left").write_bytes(b"of another archive")
    made = place.extract()
    assert 0 < made.written_bytes <= 2 << 20 and made.n_resumed == 1
    assert contents(place.tree) == files and sorted(os.listdir(place.tree)) == ["big", "next"]


@pytest.mark.parametrize("number", range(0, 9, 2))
def test_interrupted_publish_is_finished_by_the_next_run(place, number, monkeypatch):
    (place.tree / "n").mkdir(parents=True)  # so that files are moved one by one
    interrupt(place, PACKED["tar.gz"], stop_at(number, extraction, "_move"), monkeypatch)
    made = place.extract()
    assert contents(place.tree) == NOISE and not place.staging.exists()
    assert made.n_matched == max(0, number - 1) and made.written_bytes == 0


def test_progress_that_raises_leaves_no_thread_behind(place):
    def stop(n_bytes):
        raise Interrupted

    with pytest.raises(Interrupted):
        place.extract(pack({"n": random.Random(4).randbytes(20 << 20)}), on_bytes=stop)
    assert not [thread for thread in threading.enumerate() if thread.name == "archive-reader"]


def test_staged_file_that_reads_back_otherwise_never_reaches_the_tree(place, monkeypatch):
    def spoil():
        (place.staging / "a/one.wav").write_bytes(b"two" * 700)

    monkeypatch.setattr(os, "sync", spoil)
    place.refuses(pack(FEW), "'a/one.wav': read back otherwise than written")


CHILD = """
import os, resource, signal, sys
from pathlib import Path
from earmark import extraction
from earmark.archives import Source, extract
from earmark.errors import EarmarkError
from earmark.files import Scratch
home, how, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
calls = iter(range(10000))
def killing(name):
    real = getattr(extraction, name)
    def killed(*arguments):
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)
    setattr(extraction, name, killed)
if how == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))
else:
    killing(how)
try:
    source, members = Source(home / "x.archive"), home / "members.jsonl"
    extract(source, home / "tree", members, scratch=Scratch(home / "tmp"), staging_name="x")
except EarmarkError as error:
    print(type(error).__name__, error)
"""


def child(place, how, number):
    arguments = [sys.executable, "-c", CHILD, place.home, how, str(number)]
    return subprocess.run([*map(str, arguments)], capture_output=True, text=True, cwd=Path(__file__).parent.parent)


@pytest.mark.parametrize(("how", "number"), [("_write", 4), ("_read_staged", 0), ("_move", 3)])
def test_killed_extraction_is_finished_by_the_next_run(place, how, number):
    (place.home / "x.archive").write_bytes(PACKED["tar.gz"])
    (place.tree / "n").mkdir(parents=True)
    assert child(place, how, number).returncode == -signal.SIGKILL
    if how != "_move":
        assert contents(place.tree) == {}
    made = place.extract()
    assert contents(place.tree) == NOISE and not place.staging.exists()
    assert made.n_resumed + made.n_matched >= 4


def test_full_disk_is_said_with_numbers_and_work_is_kept(place):
    files = {"small": b"s" * 1000, "large": random.Random(5).randbytes(3_000_000)}
    (place.home / "x.archive").write_bytes(pack(files))
    said = child(place, "full", 2_500_000).stdout
    assert said.startswith("DiskFullError") and "3,000,000 bytes needed" in said and said.count("\n") == 1
    assert contents(place.tree) == {} and (place.staging / "small").read_bytes() == files["small"]
    made = place.extract()
    assert contents(place.tree) == files and made.n_resumed == 1 and made.written_bytes < 2_000_000


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


def test_memo_knows_every_file_that_was_read(place):
    memo = HashMemo(place.home / "memo.db")
    for _ in ("written", "matched"):
        place.extract(pack(FEW), memo=memo)
        for name, data in FEW.items():
            assert memo.get(stat_key((place.tree / name).stat())) == hash_bytes(data)
    memo.close()


def living():
    return sum(isinstance(thing, tarfile.TarInfo) for thing in gc.get_objects())


def test_members_already_passed_are_not_kept_in_memory(place):
    (place.home / "x.archive").write_bytes(tar_bytes(*(tar_entry(f"s{n // 100}/{n}", b"n") for n in range(2000))))
    source, alive = Source(place.home / "x.archive"), []
    gc.collect()
    before = living()
    for number, _ in enumerate(
        archives.read_archive(source, archives.Raw(source), lambda n: None, place.home / "spool")
    ):
        if number % 500 == 499:
            alive.append(living() - before)
    assert len(alive) == 4 and max(alive) <= 3


def test_disk_error_other_than_full_is_not_called_full(place, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(extraction, "_write", fail)
    with pytest.raises(DiskFullError, match="cannot be written: Permission denied"):
        place.extract(pack(FEW))
    assert place.staging.exists()
