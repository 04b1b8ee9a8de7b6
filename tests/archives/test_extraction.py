"""Extraction: what lies on disk is compared, resumed or completed, whenever the process dies."""

import errno
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.archive_samples import FEW, FORMATS, NOISE, PACKED, Place, contents, pack

from earmark.archives import merging, staging
from earmark.archives.unpack import Archive, ArchiveFile, extract_archive
from earmark.disk.files import Scratch
from earmark.disk.hashing import HashMemo, hash_bytes, stat_key
from earmark.disk.volumes import Volumes
from earmark.errors import AbsentError, ArchiveError, DiskFullError


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_link_that_lies_in_the_tree_is_never_written_through(place):
    outside = place.home / "outside"
    outside.mkdir()
    place.tree.mkdir()
    (place.tree / "l").symlink_to(outside)
    place.refuses(pack({"l/x": b""}), "'l' refused: it is a link")
    assert not any(outside.iterdir())


def test_different_file_in_the_tree_is_named_and_kept(place):
    for found in (b"xne" * 700, b"one" * 701, b"x"):
        (place.tree / "a").mkdir(parents=True, exist_ok=True)
        (place.tree / "a/one.wav").write_bytes(found)
        place.refuses(pack(FEW), r"1 of its members differ .* 'a/one.wav' \(\d", before={"a/one.wav": found})


def test_all_members_that_differ_are_told_at_once(place):
    for name in FEW:
        (place.tree / name).parent.mkdir(parents=True, exist_ok=True)
        (place.tree / name).write_bytes(b"another")
    before = dict.fromkeys(FEW, b"another")
    place.refuses(pack(FEW), r"4 of its members differ", before=before)


def test_a_file_that_is_whole_in_another_archive_is_not_taken_for_one_that_was_cut_short(place):
    others = place.home / "others.jsonl"
    place.extract(pack({"README": b"part 1\n"}))
    place.members.rename(others)
    with pytest.raises(ArchiveError, match="do two archives hold files of one name"):
        place.extract(pack({"README": b"part 1\nand 2\n"}), others=[others])
    assert contents(place.tree) == {"README": b"part 1\n"}


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
    interrupt(place, PACKED[kind], stop_at(5, staging, "_open"), monkeypatch)
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
    interrupt(place, pack(files), stop_at(0, staging.Staging, "publish"), monkeypatch)
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
    interrupt(place, PACKED["tar.gz"], stop_at(number, merging, "_move"), monkeypatch)
    made = place.extract()
    assert contents(place.tree) == NOISE and not place.staging.exists()
    assert made.n_matched == max(0, number - 1) and made.written_bytes == 0


def test_staged_file_that_reads_back_otherwise_never_reaches_the_tree(place, monkeypatch):
    def spoil():
        (place.staging / "a/one.wav").write_bytes(b"two" * 700)

    monkeypatch.setattr(os, "sync", spoil)
    place.refuses(pack(FEW), "'a/one.wav': read back otherwise than written")


CHILD = """
import os, resource, signal, sys
from pathlib import Path
from earmark.archives import staging, merging
from earmark.archives.unpack import Archive, ArchiveFile, extract_archive
from earmark.errors import EarmarkError
from earmark.disk.files import Scratch
home, how, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
calls = iter(range(10000))
def killing(owner, name):
    real = getattr(owner, name)
    def killed(*arguments):
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)
    setattr(owner, name, killed)
if how == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))
else:
    killing(merging if how == "_move" else staging, how)
try:
    archive, members = Archive((ArchiveFile(home / "x.archive"),)), home / "members.jsonl"
    extract_archive(archive, home / "tree", members, scratch=Scratch(home / "tmp"), staging_name="x")
except EarmarkError as error:
    print(type(error).__name__, error)
"""


def child(place, how, number):
    arguments = [sys.executable, "-c", CHILD, place.home, how, str(number)]
    return subprocess.run([*map(str, arguments)], capture_output=True, text=True, cwd=Path(__file__).parents[2])


@pytest.mark.slow
@pytest.mark.parametrize(("how", "number"), [("_write", 4), ("read_staged", 0), ("_move", 3)])
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


def test_memo_knows_every_file_that_was_read(place):
    memo = HashMemo(place.home / "memo.db")
    for _ in ("written", "matched"):
        place.extract(pack(FEW), memo=memo)
        for name, data in FEW.items():
            assert memo.get(place.tree / name, stat_key((place.tree / name).stat())) == hash_bytes(data)
    memo.close()


def test_disk_error_other_than_full_is_not_called_full(place, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(staging, "_write", fail)
    with pytest.raises(DiskFullError, match="cannot be written: Permission denied"):
        place.extract(pack(FEW))
    assert place.staging.exists()


def touched(path: Path) -> None:
    """Write to a file in place, and put its old times back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(path.read_bytes()[:1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    path.with_name("new").write_bytes(path.read_bytes())
    path.with_name("new").replace(path)


@pytest.mark.parametrize(
    ("kind", "change"), [("tar", touched), ("zip", touched), ("zip", replaced), ("tar", os.unlink)]
)
def test_archive_that_is_written_to_while_it_is_read_leaves_the_tree_as_it_was(place, kind, change):
    changes = iter([change])
    place.refuses(
        PACKED[kind],
        "x.archive was replaced, moved or written to while it was read",
        on_bytes=lambda _: next(changes, str)(place.home / "x.archive"),
    )


def test_a_volume_that_goes_during_extraction_is_not_written_to_under_its_mount_point(tmp_path, monkeypatch):
    volume = tmp_path / "volume"
    volume.mkdir()
    (tmp_path / "x.tar").write_bytes(PACKED["tar"])
    scratch = Scratch(volume / "scratch", volumes=Volumes.of([volume]))
    real, calls = staging._open, []

    def unmounted_after_two(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            volume.rename(tmp_path / "unmounted")
            volume.mkdir()
        return real(*arguments)

    monkeypatch.setattr(staging, "_open", unmounted_after_two)
    with pytest.raises(AbsentError, match="/volume: not the folder"):
        extract_archive(
            Archive((ArchiveFile(tmp_path / "x.tar"),)),
            volume / "tree",
            tmp_path / "list",
            scratch=scratch,
            staging_name="x",
        )
    assert list(volume.iterdir()) == []
