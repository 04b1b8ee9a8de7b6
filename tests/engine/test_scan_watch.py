"""How scan knows that a file is what it was: by path and stat, by the lists it sealed, or by reading it."""

import dataclasses
import os

import pytest
from support.collection import write_chapter
from support.runs import open_run

from earmark.disk import hashing
from tasks.engine.judge import judge, perform, receipt_of
from tasks.engine.units import Unit
from tasks.stages import extract, scan

UNIT = Unit("scan", "books")


class Scans:
    """Scans of one dataset of four files of equal size; `read` lists the files whose content was read."""

    def __init__(self, collection, monkeypatch, **table):
        self.root = collection.add_dataset("books", **table)
        write_chapter(self.root, "1-10", {number: number for number in range(4)}, seconds=0.1)
        for number, path in enumerate(sorted(self.root.rglob("*.flac"))):
            path.write_bytes(b"%d" % number * 100)
        self.catalog, self.read = collection.home / "datasets.toml", []
        original = hashing.hash_file
        monkeypatch.setattr(scan, "hash_file", lambda path: (self.read.append(path.name), original(path))[1])
        self.run = open_run(self.catalog)

    def again(self):
        """Scan in a run of its own; return its notes."""
        self.read.clear()
        self.run.project.memo.close()
        self.run = open_run(self.catalog)
        for rule, unit in ((extract.RULE, Unit("extract", "books")), (scan.RULE, UNIT)):
            assert perform(self.run, rule, unit) is None
        return sorted(self.run.log._notes)

    def forced(self):
        self.run = dataclasses.replace(self.run, force=True)
        self.read.clear()
        assert perform(self.run, scan.RULE, UNIT) is None
        return sorted(self.run.log._notes)

    def verdict(self):
        return judge(open_run(self.catalog), scan.RULE, UNIT)

    def hashes(self):
        return [row.source_hash for row in scan.read_rows(self.run.project.shard_list("books", "0000"))]


@pytest.fixture
def scans(collection, monkeypatch):
    return Scans(collection, monkeypatch)


def test_a_second_scan_reads_nothing_again_and_a_touched_file_alone(scans):
    scans.again()
    assert len(scans.read) == 4
    touched = next(scans.root.rglob("*0002.flac"))
    os.utime(touched, ns=(1, 1))
    assert scans.again() == [] and scans.read == [touched.name]


def test_a_scan_without_the_memo_takes_hashes_from_the_lists_that_it_sealed(scans):
    """So an upgrade, whose memo knows paths and that of earlier versions not, reads no corpus again."""
    scans.again()
    before = scans.hashes()
    scans.run.project.memo.close()
    (scans.run.project.cache / "memo.db").unlink()
    (scans.run.project.watch_list("books")).unlink()
    scans.again()
    assert scans.read == [] and scans.hashes() == before


def test_a_list_that_was_changed_gives_no_hash(scans):
    scans.again()
    before = scans.hashes()
    scans.run.project.memo.close()
    (scans.run.project.cache / "memo.db").unlink()
    listed = scans.run.project.shard_list("books", "0000")
    listed.write_bytes(listed.read_bytes().replace(before[1].encode(), before[2].encode()))
    scans.again()
    assert len(scans.read) == 4 and scans.hashes() == before


def test_files_that_all_have_one_stat_get_no_hash_of_each_other(scans, monkeypatch):
    """On a file system whose inode numbers are made up, and whose times are alike."""
    monkeypatch.setattr(scan, "stat_key", lambda status: (1, 0, status.st_size, 0, 0))
    scans.again()
    assert len(set(scans.hashes())) == 4
    scans.forced()
    assert len(set(scans.hashes())) == 4


def test_stats_that_change_by_themselves_are_noted_once_with_what_helps(scans, monkeypatch):
    scans.again()
    made_up = iter(range(10**6, 10**7))
    monkeypatch.setattr(scan, "stat_key", lambda status: (1, next(made_up), status.st_size, 0, 0))
    (note,) = scans.forced()
    assert "4 files look changed by their times or inode numbers, and none of them is." in note
    assert '`watch = "content"` in [datasets.books] helps.' in note


def test_files_that_were_really_edited_are_not_noted_so(scans):
    scans.again()
    for path in scans.root.rglob("*.flac"):
        path.write_bytes(path.read_bytes()[::-1] + b"!")
    assert scans.again() == []


@pytest.fixture
def by_content(collection, monkeypatch):
    return Scans(collection, monkeypatch, watch="content")


def test_files_watched_by_content_are_read_at_each_look_and_an_exchange_of_two_is_noticed(by_content, monkeypatch):
    by_content.again()
    before = by_content.hashes()
    assert by_content.verdict().state == "U"
    a, b = sorted(by_content.root.rglob("*.flac"))[:2]
    status = a.stat()
    one, other = a.read_bytes(), b.read_bytes()
    for path, data in ((a, other), (b, one)):
        path.write_bytes(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    monkeypatch.setattr(scan, "stat_key", lambda status: (1, 0, status.st_size, 0, 0))
    assert by_content.verdict().reasons[0].startswith("files under data/books/LibriSpeech: 2 changed")
    by_content.again()
    assert by_content.hashes() == [before[1], before[0], *before[2:]]


def test_content_whose_times_alone_change_is_current(by_content):
    by_content.again()
    for path in by_content.root.rglob("*"):
        os.utime(path, ns=(7, 7))
    assert by_content.verdict().state == "U"


def test_to_be_watched_in_another_way_is_a_reason_to_scan(scans, collection):
    scans.again()
    collection.add_dataset("books", watch="content")
    assert scans.verdict().reasons == ("files are watched in another way than at the last scan",)
    scans.again()
    assert scans.verdict().state == "U"
    assert receipt_of(scans.run.project, UNIT, scan.Scanned).counts["recordings"] == 4
