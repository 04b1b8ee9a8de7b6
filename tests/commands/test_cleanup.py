"""cleanup deletes an archive only when every member of it is proved to lie on disk; anything else deletes nothing."""

import dataclasses
import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import msgspec
import orjson
import pytest
from doit.exceptions import TaskFailed
from support.archive_samples import pack, split, tar_bytes, tar_entry, zip_bytes
from support.collection import CHECKOUT, Collection, done, write_chapter
from support.runs import open_run

from earmark.archives import proof
from earmark.disk import volumes
from earmark.disk.hashing import hash_bytes, stat_key
from earmark.disk.receipts import publish_receipt, read_receipt
from tasks.cleanup import cleanup
from tasks.engine import deletions
from tasks.engine.judge import judge, perform
from tasks.engine.units import Unit
from tasks.stages import archive_records, extract, scan

FILES = {f"tree/{n}.wav": random.Random(n).randbytes(5000) for n in range(6)} | {"tree/sub/labels.txt": b"words\n"}
MORE = {f"more/{n}.wav": random.Random(50 + n).randbytes(4000) for n in range(3)}
DAY_S = 24 * 3600


class Hoard:
    """A project of small archives, worked on in this process."""

    def __init__(self, home: Path, archives=None, **tables):
        self.home, self.folder = home, home / "data" / "books"
        self.tables = tables or {"books": {"archives": [{"file": name} for name in archives or {"books.tar": 0}]}}
        self.write_catalog()
        self.folder.mkdir(parents=True)
        for name, data in ({"books.tar": pack(FILES)} if archives is None else archives).items():
            (self.folder / name).write_bytes(data)

    def write_catalog(self):
        collection = Collection(self.home)
        collection.datasets = {name: {"corpus": "librispeech"} | table for name, table in self.tables.items()}
        collection.write_catalog()
        self.run = open_run(self.home / "datasets.toml")
        self.project = self.run.project

    def extract(self, dataset="books"):
        failed = perform(self.run, extract.RULE, Unit("extract", dataset))
        assert failed is None, failed

    def cleanup(self, yes=True, dataset="books"):
        return cleanup.cleanup(self.run, dataset, yes=yes)

    def state(self):
        return judge(self.run, extract.RULE, Unit("extract", "books")).state

    def receipt(self, part="books.tar"):
        return self.home / "cache/receipts/extract/books" / f"{part}.json"

    def record(self, part="books.tar"):
        path = self.home / "cache/receipts/cleanup/books" / f"{part}.json"
        return orjson.loads(path.read_bytes())["outputs"] if path.exists() else {"state": "none"}

    def age(self, seconds):
        """Say in the receipt that the archive was extracted earlier than it was."""
        receipt = read_receipt(self.receipt(), archive_records.ArchiveRead)
        outputs = msgspec.structs.replace(receipt.outputs, read_at=time.time() - seconds)
        publish_receipt(self.receipt(), dataclasses.replace(receipt, outputs=outputs), self.project.scratch)


@pytest.fixture
def hoard(tmp_path):
    made = Hoard(tmp_path / "home")
    made.extract()
    return made


def everything(folder):
    """Return what lies below a folder, links as links."""
    return {
        path: path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def refuses(hoard, expected, dataset="books"):
    before = everything(hoard.home / "data")
    failed = hoard.cleanup(dataset=dataset)
    assert isinstance(failed, TaskFailed)
    said = str(failed.message)
    assert expected in said and said.endswith("Nothing was deleted.") and "\n" not in said
    assert everything(hoard.home / "data") == before
    assert hoard.record()["state"] in ("none", "proved")


def restored(path: Path, data: bytes) -> None:
    """Write a file in place and put its old times back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def changed_member(hoard):
    restored(hoard.folder / "tree/3.wav", flipped(FILES["tree/3.wav"]))


def truncated_member(hoard):
    restored(hoard.folder / "tree/3.wav", FILES["tree/3.wav"][:-1])


def linked_member(hoard):
    (hoard.folder / "tree/3.wav").rename(hoard.home / "elsewhere.wav")
    (hoard.folder / "tree/3.wav").symlink_to(hoard.home / "elsewhere.wav")


def folder_for_member(hoard):
    (hoard.folder / "tree/3.wav").unlink()
    (hoard.folder / "tree/3.wav").mkdir()


def linked_folder(hoard):
    (hoard.folder / "tree/sub").rename(hoard.home / "sub")
    (hoard.folder / "tree/sub").symlink_to(hoard.home / "sub")


def archive_as_link(hoard):
    (hoard.folder / "books.tar").rename(hoard.home / "books.tar")
    (hoard.folder / "books.tar").symlink_to(hoard.home / "books.tar")


def archive_as_folder(hoard):
    (hoard.folder / "books.tar").unlink()
    (hoard.folder / "books.tar").mkdir()


def touched_archive(hoard):
    os.utime(hoard.folder / "books.tar")


def replaced_archive(hoard):
    data = flipped((hoard.folder / "books.tar").read_bytes())
    (hoard.folder / "books.tar").unlink()
    (hoard.folder / "books.tar").write_bytes(data)


def overwritten_archive(hoard):
    restored(hoard.folder / "books.tar", flipped((hoard.folder / "books.tar").read_bytes()))


def damaged_members_list(hoard):
    path = hoard.home / "cache/members/books/books.tar.jsonl"
    restored(path, path.read_bytes().replace(b'"size":5000', b'"size":5001', 1))


def shorter_members_list(hoard):
    path = hoard.home / "cache/members/books/books.tar.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))


def edited_receipt(hoard):
    hoard.receipt().write_bytes(hoard.receipt().read_bytes().replace(b'"files": 7', b'"files": 6'))


def no_receipt(hoard):
    hoard.receipt().unlink()


def no_receipt_of_the_whole(hoard):
    (hoard.home / "cache/receipts/extract/books.json").unlink()


def sum_added_to_the_catalog(hoard):
    hoard.tables["books"]["archives"][0]["md5"] = "0" * 32
    hoard.write_catalog()


def unmounted_root(hoard):
    shutil.rmtree(hoard.folder / "tree")
    hoard.tables["books"]["root"] = "tree"


HOSTILE = {
    changed_member: "member 'tree/3.wav': same size, other content",
    truncated_member: "member 'tree/3.wav': 4,999 bytes instead of 5,000",
    linked_member: "member 'tree/3.wav': a link is in its place",
    folder_for_member: "member 'tree/3.wav': no file is in its place",
    linked_folder: "its folder 'tree/sub' is a link or a file",
    lambda hoard: (hoard.folder / "tree/3.wav").unlink(): "member 'tree/3.wav': gone",
    archive_as_link: "data/books/books.tar: a link, which frees nothing",
    archive_as_folder: "data/books/books.tar: not a file",
    touched_archive: "books.tar was replaced or touched: it must be read again. Run `doit extract:books` first",
    replaced_archive: "books.tar was replaced or touched",
    overwritten_archive: "not the archive that was extracted: other content",
    damaged_members_list: "members/books/books.tar.jsonl was changed",
    shorter_members_list: "members/books/books.tar.jsonl has",
    edited_receipt: "its receipt is damaged: `doit extract:books` reads it",
    no_receipt: "it was never compared with the tree",
    no_receipt_of_the_whole: "extract:books is not current: never built",
    sum_added_to_the_catalog: "extract:books is not current: archives.books.tar.sums.md5 is new",
}


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__.replace("<lambda>", "missing_member"))
def test_nothing_is_deleted_when_there_is(hoard, change):
    change(hoard)
    refuses(hoard, HOSTILE[change])
    hoard.age(2 * DAY_S) if read_receipt(hoard.receipt(), archive_records.ArchiveRead) else None
    refuses(hoard, HOSTILE[change])


def test_nothing_is_deleted_when_the_tree_is_on_a_volume_that_is_absent(tmp_path):
    hoard = Hoard(tmp_path / "home", books={"root": "tree", "archives": [{"file": "books.tar"}]})
    hoard.extract()
    shutil.rmtree(hoard.folder / "tree")
    (hoard.folder / "tree").mkdir()
    refuses(hoard, "extract:books is not current: the tree is gone")
    (hoard.folder / "books.tar").unlink()
    refuses(hoard, "not mounted?")


def test_nothing_is_deleted_by_the_receipt_of_another_archive_of_the_same_name(tmp_path):
    ours, theirs = Hoard(tmp_path / "ours"), Hoard(tmp_path / "theirs", {"books.tar": pack(MORE | FILES)})
    theirs.extract()
    shutil.copytree(theirs.home / "cache", ours.home / "cache")
    shutil.copytree(theirs.folder / "tree", ours.folder / "tree")
    shutil.copytree(theirs.folder / "more", ours.folder / "more")
    refuses(ours, "books.tar was replaced or touched")


def test_nothing_is_deleted_of_a_tree_that_was_adopted_without_its_archive(tmp_path):
    hoard = Hoard(tmp_path / "home")
    data = (hoard.folder / "books.tar").read_bytes()
    with tarfile.open(hoard.folder / "books.tar") as tar:
        tar.extractall(hoard.folder, filter="data")
    refuses(hoard, "it was never compared with the tree: `doit extract:books` reads it")
    (hoard.folder / "books.tar").unlink()
    hoard.extract()
    (hoard.folder / "books.tar").write_bytes(data)
    refuses(hoard, "it was never compared with the tree: `doit extract:books` reads it")
    hoard.extract()
    assert hoard.cleanup() is None and not (hoard.folder / "books.tar").exists()


def test_nothing_is_deleted_while_one_of_two_archives_is_unfinished(tmp_path):
    hoard = Hoard(tmp_path / "home", {"books.tar": pack(FILES), "more.tar": pack(MORE)[:3000]})
    assert perform(hoard.run, extract.RULE, Unit("extract", "books")) is not None
    assert hoard.receipt().exists()
    (hoard.folder / "more.tar").unlink()
    refuses(hoard, "extract:books is not current: never built")
    (hoard.folder / "more.tar").write_bytes(pack(MORE))
    hoard.extract()
    (hoard.folder / "more/1.wav").unlink()
    refuses(hoard, "more.tar: member 'more/1.wav': gone")


def test_nothing_is_deleted_that_two_datasets_claim(tmp_path):
    table = {"folder": "books", "archives": [{"file": "books.tar"}]}
    hoard = Hoard(tmp_path / "home", books=table, others=table)
    hoard.extract()
    hoard.extract("others")
    refuses(hoard, "it is also books.tar of [datasets.others]")


@pytest.mark.parametrize("name", ["inner.tar", "Inner.TAR"])
def test_nothing_is_deleted_that_came_out_of_another_archive(tmp_path, name):
    inner = pack(MORE)
    hoard = Hoard(tmp_path / "home", {"outer.tar": pack(FILES | {name: inner}), "inner.tar": inner})
    hoard.extract()
    refuses(hoard, "data/books/inner.tar: it is itself a member of outer.tar of [datasets.books]")


def test_nothing_is_deleted_that_another_dataset_has_in_its_tree(tmp_path):
    inner = pack(MORE)
    others = {"folder": "other", "archives": [{"file": "outer.tar"}]}
    hoard = Hoard(tmp_path / "home", {"inner.tar": inner}, books={"archives": [{"file": "inner.tar"}]}, others=others)
    (hoard.home / "data/other").symlink_to(hoard.folder)
    (hoard.folder / "outer.tar").write_bytes(pack({"inner.tar": inner}))
    hoard.extract()
    hoard.extract("others")
    refuses(hoard, "data/books/inner.tar: it is itself a member of outer.tar of [datasets.others]")


def test_nothing_is_deleted_that_holds_members_which_skip_leaves_out(tmp_path):
    hoard = Hoard(tmp_path / "home", books={"archives": [{"file": "books.tar", "skip": ["*.txt"]}]})
    hoard.extract()
    refuses(hoard, "1 members that `skip` leaves out are nowhere but in it")


def test_nothing_is_deleted_whose_every_byte_was_not_looked_at(hoard):
    """As earlier versions extracted: they passed over what follows an archive's end."""
    receipt = read_receipt(hoard.receipt(), archive_records.ArchiveRead)
    outputs = msgspec.structs.replace(receipt.outputs, accounted=False)
    publish_receipt(hoard.receipt(), dataclasses.replace(receipt, outputs=outputs), hoard.project.scratch)
    refuses(hoard, "`doit -a extract:books` reads it again")
    hoard.run = open_run(hoard.home / "datasets.toml", force=True)
    hoard.extract()
    hoard.cleanup()
    assert not (hoard.folder / "books.tar").exists()


def test_nothing_is_deleted_that_is_read_with_bytes_left_over(tmp_path):
    archives = [{"file": "books.tar", "rest": "ignore"}]
    hoard = Hoard(tmp_path / "home", {"books.tar": pack(FILES) + b"more"}, books={"archives": archives})
    hoard.extract()
    refuses(hoard, "passes them over): it stays")


def test_an_archive_is_not_extracted_over_what_another_one_holds(tmp_path):
    name = next(iter(FILES))
    hoard = Hoard(tmp_path / "home", {"part.tar": pack({name: FILES[name][:100]}), "whole.tar": pack(FILES)})
    failed = perform(hoard.run, extract.RULE, Unit("extract", "books"))
    assert "do two archives hold files of one name" in str(failed)
    assert (hoard.folder / name).read_bytes() == FILES[name][:100]


def test_members_of_nested_archives_and_links_are_proved_too(tmp_path):
    inner = tar_bytes(tar_entry("a.wav", b"a" * 100), tar_entry("l.wav", kind=tarfile.SYMTYPE, target="a.wav"))
    outer = tar_bytes(tar_entry("in", kind=tarfile.DIRTYPE), tar_entry("in/x.tar", inner))
    table = {"archives": [{"file": "books.tar", "nested": ["*.tar"]}]}
    hoard = Hoard(tmp_path / "home", books=table)
    (hoard.folder / "books.tar").write_bytes(outer)
    hoard.extract()
    link = hoard.folder / "in/l.wav"
    link.unlink()
    link.symlink_to("../in/a.wav")
    refuses(hoard, "member 'in/l.wav': no link to 'a.wav' any more")
    link.unlink()
    link.symlink_to("a.wav")
    assert hoard.cleanup() is None and not (hoard.folder / "books.tar").exists()


def test_without_yes_nothing_is_deleted_and_the_space_is_said(hoard, capsys):
    before, size = everything(hoard.home / "data"), (hoard.folder / "books.tar").stat().st_size
    assert hoard.cleanup(yes=False) is None
    said = capsys.readouterr().out
    assert f"would free {size:,} bytes" in said and "`doit cleanup:books --yes` deletes" in said
    assert everything(hoard.home / "data") == before and hoard.record()["state"] == "none"


def test_with_yes_the_archive_alone_is_deleted_and_all_stays_current(hoard, capsys):
    before, size = everything(hoard.home / "data"), (hoard.folder / "books.tar").stat().st_size
    times = hoard.folder.stat().st_mtime_ns
    assert hoard.cleanup() is None
    assert f"books: {size:,} bytes freed" in capsys.readouterr().out
    del before[hoard.folder / "books.tar"]
    assert everything(hoard.home / "data") == before
    assert hoard.folder.stat().st_mtime_ns == times
    assert hoard.state() == "U" and hoard.record()["state"] == "deleted"
    hoard.extract()
    assert hoard.cleanup() is None
    assert "no archive on disk: nothing to free" in capsys.readouterr().out


def test_a_hard_link_keeps_the_bytes_and_that_is_said(hoard, capsys):
    os.link(hoard.folder / "books.tar", hoard.home / "other-name")
    hoard.extract()
    assert hoard.cleanup() is None
    said = capsys.readouterr().out
    assert "a hard link keeps its bytes" in said and "books: 0 bytes freed" in said
    assert (hoard.home / "other-name").exists() and not (hoard.folder / "books.tar").exists()


def test_content_is_read_again_when_it_was_not_read_for_a_day_and_then_not_again(hoard, monkeypatch):
    read = []
    real = proof.hash_from_disk
    monkeypatch.setattr(proof, "hash_from_disk", lambda path: read.append(path) or real(path))
    hoard.age(2 * DAY_S)
    monkeypatch.setattr(cleanup, "_delete", lambda *arguments: None)
    assert hoard.cleanup() is None
    assert len(read) == len(FILES) and hoard.record()["state"] == "proved"
    read.clear()
    assert hoard.cleanup() is None
    assert read == []


def test_a_member_that_is_written_to_while_the_others_are_read_is_found(hoard, monkeypatch):
    real = cleanup._read_members
    monkeypatch.setattr(cleanup, "_read_members", lambda *arguments: (real(*arguments), changed_member(hoard)))
    hoard.age(2 * DAY_S)
    assert "member 'tree/3.wav': same size, other content" in str(hoard.cleanup().message)
    assert (hoard.folder / "books.tar").exists()


def test_a_flip_that_no_stat_shows_is_found_when_the_reading_is_old(hoard):
    """Bits that rot change no time: the memo still knows the file."""
    path = hoard.folder / "tree/3.wav"
    path.write_bytes(flipped(FILES["tree/3.wav"]))
    hoard.project.memo.put([(path, stat_key(path.stat()), hash_bytes(FILES["tree/3.wav"]))])
    hoard.age(2 * DAY_S)
    refuses(hoard, "member 'tree/3.wav': same size, other content")


def delete_a_member(hoard):
    (hoard.folder / "tree/3.wav").unlink()


def rewrite_a_member(hoard):
    restored(hoard.folder / "tree/3.wav", FILES["tree/3.wav"])  # also with the same bytes: who wrote may go on


def exchange_a_folder(hoard):
    (hoard.folder / "tree").rename(hoard.home / "theirs")
    shutil.copytree(hoard.home / "theirs", hoard.folder / "tree")


def link_a_folder(hoard):
    (hoard.folder / "tree").rename(hoard.home / "theirs")
    (hoard.folder / "tree").symlink_to(hoard.home / "theirs")


def replace_the_archive(hoard):
    shutil.copy(hoard.folder / "books.tar", hoard.folder / "new")
    (hoard.folder / "new").replace(hoard.folder / "books.tar")


LATE = [delete_a_member, rewrite_a_member, exchange_a_folder, link_a_folder, replace_the_archive]


@pytest.mark.parametrize("change", LATE)
@pytest.mark.parametrize("n_archives", [1, 2])
def test_nothing_is_deleted_when_after_the_proof_somebody_came_to(tmp_path, monkeypatch, change, n_archives):
    hoard = Hoard(tmp_path / "home", {"books.tar": pack(FILES), "more.tar": pack(MORE)} if n_archives == 2 else None)
    hoard.extract()
    monkeypatch.setattr(os, "sync", lambda: change(hoard))  # the last step before archives go
    failed = hoard.cleanup()
    assert str(failed.message).endswith("Nothing was deleted.")
    assert (hoard.folder / "books.tar").exists()


def test_nothing_is_deleted_while_a_part_of_the_tree_is_mounted(hoard, tmp_path, monkeypatch):
    table = tmp_path / "mountinfo"
    table.write_text(f"9 1 8:1 / {hoard.folder}/tree/sub rw - ext4 /dev/a rw\n")
    monkeypatch.setattr(volumes, "MOUNTS", table)
    refuses(hoard, "data/books/tree/sub: mounted in the tree")


def test_a_damaged_tree_is_said_with_the_date_the_sums_and_the_home_of_what_was_deleted(tmp_path):
    data = pack(FILES)
    table = {"archives": [{"file": "books.tar", "xxh3": hash_bytes(data)}], "home": "https://example.org/books"}
    hoard = Hoard(tmp_path / "home", books=table)
    hoard.extract()
    assert hoard.cleanup() is None
    (hoard.folder / "tree/2.wav").unlink()
    asked = dataclasses.replace(hoard.run, force=True, named=frozenset({"extract:books"}))
    said = str(perform(asked, extract.RULE, Unit("extract", "books")).message)
    today = deletions.day(deletions.deleted(hoard.project, "books")[0])
    assert said.startswith("books.tar: member 'tree/2.wav': gone. ") and f"books.tar was deleted on {today}" in said
    assert f"{len(data):,} bytes, xxh3 {hash_bytes(data)}" in said and "again from https://example.org/books" in said
    (hoard.folder / "books.tar").write_bytes(data)
    assert perform(asked, extract.RULE, Unit("extract", "books")) is None
    assert (hoard.folder / "tree/2.wav").read_bytes() == FILES["tree/2.wav"]


CHILD = """
import os, signal, sys
from pathlib import Path
from earmark.catalog.project import open_project
from earmark.disk.receipts import publish_receipt, read_receipt
from tasks.cleanup import cleanup
from tasks.engine.stage import Run
from tasks.stages.registry import STAGES
real, at = cleanup._unlink, int(sys.argv[2])
def unlink(path, expected, calls=iter(range(9))):
    number = next(calls)
    if number == at:
        os.kill(os.getpid(), signal.SIGKILL)
    real(path, expected)
    if number == at - 10:
        os.kill(os.getpid(), signal.SIGKILL)
cleanup._unlink = unlink
cleanup.cleanup(Run(open_project(Path(sys.argv[1])), STAGES), "books", yes=True)
"""
BEFORE, AFTER = 0, 10  # the first unlink


def killed(hoard, at):
    arguments = [sys.executable, "-c", CHILD, str(hoard.home / "datasets.toml"), str(at)]
    assert subprocess.run(arguments, cwd=CHECKOUT, check=False).returncode == -signal.SIGKILL


def test_a_cleanup_killed_before_the_archive_goes_is_finished_by_the_next(hoard):
    killed(hoard, BEFORE)
    assert hoard.record()["state"] == "deleting" and (hoard.folder / "books.tar").exists()
    assert hoard.state() == "U" and deletions.words(hoard.project, "books") == ""
    assert hoard.cleanup() is None
    assert hoard.record()["state"] == "deleted" and not (hoard.folder / "books.tar").exists()


def test_a_cleanup_killed_after_the_archive_went_has_lost_no_proof(hoard):
    killed(hoard, AFTER)
    assert hoard.record()["state"] == "deleting" and not (hoard.folder / "books.tar").exists()
    assert hoard.state() == "U" and "books.tar was deleted on" in deletions.words(hoard.project, "books")
    assert hoard.cleanup() is None
    assert hoard.record()["state"] == "deleted"


@pytest.fixture
def in_parts(tmp_path):
    """A dataset whose archive is split in two, extracted."""
    table = {"archives": [{"file": "books.zip", "parts": [{"file": "books.z01"}]}]}
    made = Hoard(
        tmp_path / "home",
        dict(zip(("books.z01", "books.zip"), split(zip_bytes(FILES), [0.5]), strict=True)),
        books=table,
    )
    made.extract()
    return made


def test_the_files_of_a_split_archive_go_together(in_parts, capsys):
    size = sum(path.stat().st_size for path in in_parts.folder.glob("books.z*"))
    assert in_parts.cleanup() is None
    assert f"books: {size:,} bytes freed" in capsys.readouterr().out
    assert [path.name for path in in_parts.folder.iterdir()] == ["tree"] and in_parts.state() == "U"


def test_a_killed_deletion_of_a_split_archive_is_finished_by_the_next(in_parts):
    killed(in_parts, AFTER)
    assert sorted(path.name for path in in_parts.folder.iterdir()) == ["books.zip", "tree"]
    assert in_parts.cleanup() is None
    assert [path.name for path in in_parts.folder.iterdir()] == ["tree"]
    assert in_parts.record("books.zip")["state"] == "deleted" and in_parts.state() == "U"


def test_what_was_deleted_of_a_split_archive_before_a_refusal_is_said(in_parts, monkeypatch):
    monkeypatch.setattr(cleanup, "flush_folder", lambda folder: os.utime(in_parts.folder / "books.zip"))
    said = str(in_parts.cleanup().message)
    assert "books.zip: replaced or written to while it was proved. books.z01 was deleted." in said
    assert sorted(path.name for path in in_parts.folder.iterdir()) == ["books.zip", "tree"]


def test_a_scan_does_not_run_again_when_the_files_of_a_split_archive_are_gone(in_parts):
    assert scan.ignored(in_parts.project, "books") == {"books.z01", "books.zip"}


def test_what_is_left_of_a_split_archive_is_kept_if_it_was_touched_or_no_cleanup_took_the_rest(in_parts):
    (in_parts.folder / "books.z01").rename(in_parts.home / "books.z01")
    refuses(in_parts, "data/books/books.zip: 1 of its files are gone")
    (in_parts.home / "books.z01").rename(in_parts.folder / "books.z01")
    in_parts.extract()
    killed(in_parts, AFTER)
    restored(in_parts.folder / "books.zip", (in_parts.folder / "books.zip").read_bytes())
    assert "1 of its files are gone" in str(in_parts.cleanup().message) and (in_parts.folder / "books.zip").exists()


def archived(collection: Collection, **table) -> Path:
    """Add a dataset whose tree lies in an archive, and return its folder."""
    root = collection.add_dataset("books", root=".", archives=[{"file": "books.tar"}], **table)
    write_chapter(collection.home / "made", "1-10", {0: 1, 1: 2})
    root.parent.joinpath("books").mkdir(parents=True, exist_ok=True)
    folder = collection.home / "data" / "books"
    with tarfile.open(folder / "books.tar", "w") as tar:
        tar.add(collection.home / "made" / "train-clean-100", "train-clean-100")
    return folder


def test_from_the_command_line_an_archive_goes_with_yes_alone_and_nothing_runs_again(collection: Collection):
    folder = archived(collection, watch="folders")
    collection.doit("features:books")
    size = (folder / "books.tar").stat().st_size
    assert f"would free {size:,} bytes" in collection.doit("cleanup:books").stdout
    for words in (["cleanup:*", "--yes"], ["cleanup", "--yes"]):
        assert collection.doit(*words, check=False).returncode != 0
    assert (folder / "books.tar").exists()
    with (collection.home / "cache" / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "One run at a time" in collection.doit("cleanup:books", "--yes", check=False).stderr
    assert (folder / "books.tar").exists()
    assert f"books: {size:,} bytes freed" in collection.doit("cleanup:books", "--yes").stdout
    assert not (folder / "books.tar").exists()
    assert set(collection.states().values()) == {"U"}
    assert done(collection.doit("features:books")) == []


def test_a_refusal_on_the_command_line_is_one_line_and_an_exit_code(collection: Collection):
    folder = archived(collection)
    refused = collection.doit("cleanup:books", "--yes", check=False)
    assert refused.returncode != 0 and "Traceback" not in refused.stdout + refused.stderr
    assert refused.stdout.startswith("!! cleanup:books: data/books/books.tar: it was never compared with the tree")
    assert (folder / "books.tar").exists()
