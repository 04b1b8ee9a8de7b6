"""doit audit tells from listings and stats what lies on disk, also of a tree that earmark has never seen."""

import contextlib
import json
import os
import shutil
import sys
from pathlib import Path

import orjson
import pytest
from support.archive_samples import pack, split, zip_bytes
from support.collection import Collection, write_chapter
from support.runs import open_run
from test_cleanup import FILES, MORE, Hoard

from earmark.catalog.project import open_project
from earmark.disk.hashing import hash_bytes
from tasks.audit import audit, audit_table, guesses
from tasks.terminal import say_json

EXPECT = {"folders": ["tree"], "files": {"*.wav": 6}}


def hoard(tmp_path, stored=None, extracted=(), **table):
    """Make one dataset, `books`: archives that lie there by name, files of its tree by path."""
    stored = {"books.tar": pack(FILES)} if stored is None else stored
    table = {"archives": [{"file": name} for name in stored], "expect": EXPECT} | table
    made = Hoard(tmp_path / "home", stored, books=table)
    for name, data in dict(extracted).items():
        (made.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (made.folder / name).write_bytes(data)
    return made


def look(made, *names, deep=False):
    return audit.audit_disk(open_run(made.home / "datasets.toml"), list(names), deep=deep)


def books(made, **options):
    """Return the row of `books`, and the state of each of its archives."""
    row = next(row for row in look(made, **options).corpora if row.dataset == "books")
    return row, {found.file: found.state for found in row.archives}


def test_an_archive_alone_is_archive_only(tmp_path):
    row, states = books(hoard(tmp_path))
    assert (row.state, states, row.n_files) == ("archive only", {"books.tar": "archive only"}, 0)
    assert row.archives[0].frees_after_extract == row.archives[0].size == len(pack(FILES))


def test_an_archive_beside_a_whole_tree_is_extracted_but_unverified(tmp_path):
    row, states = books(hoard(tmp_path, extracted=FILES))
    assert (row.state, states) == ("extracted, unverified", {"books.tar": "extracted, unverified"})
    assert row.missing == [] and row.n_files == 7 and row.size == sum(map(len, FILES.values()))
    assert (row.archives[0].frees_now, row.archives[0].frees_after_extract) == (0, len(pack(FILES)))


def test_fewer_files_than_published_are_counted(tmp_path):
    some = {name: data for name, data in FILES.items() if name not in ("tree/1.wav", "tree/4.wav")}
    row, _ = books(hoard(tmp_path, extracted=some, expect={"folders": ["tree", "other"], "files": {"*.wav": 6}}))
    assert (row.state, row.n_missing) == ("extracted in part", 2)
    assert row.missing == ["1 of 2 folders missing (other)", "2 of 6 *.wav missing"]


def test_more_files_than_published_are_said_and_nothing_is_missing(tmp_path):
    row, _ = books(hoard(tmp_path, extracted=FILES | MORE))
    assert (row.state, row.n_missing, row.missing) == (
        "extracted, unverified",
        0,
        ["3 *.wav more than the 6 published"],
    )


@pytest.mark.parametrize("suffix", [".part", ".crdownload", ".incomplete", ".aria2"])
def test_what_a_downloader_leaves_is_a_partial_download(tmp_path, suffix):
    made = hoard(tmp_path)
    (made.folder / f"books.tar{suffix}").write_bytes(b"12345")
    row, states = books(made)
    assert (row.state, states["books.tar"]) == ("partial download", "partial download")
    assert row.archives[0].size == len(pack(FILES)) + 5 and row.archives[0].frees_after_extract == 0
    (made.folder / "books.tar").unlink()
    assert books(made)[1] == {"books.tar": "partial download"}


def test_an_archive_of_another_size_than_published_is_partial_or_wrong(tmp_path):
    size = len(pack(FILES))
    smaller, larger = (
        hoard(tmp_path / str(n), archives=[{"file": "books.tar", "size": n}]) for n in (size + 1, size - 1)
    )
    row, states = books(smaller)
    assert states == {"books.tar": "partial download"} and f"{size:,} of {size + 1:,} bytes" in row.archives[0].note
    assert books(larger)[1] == {"books.tar": "wrong size"}


def test_an_extraction_that_is_not_finished_is_seen(tmp_path):
    made = hoard(tmp_path)
    (made.home / "cache/.earmark-tmp/extract-books-books.tar/tree").mkdir(parents=True)
    row, states = books(made)
    assert (row.state, states) == ("extracting", {"books.tar": "extracting"})


def test_what_earmark_extracted_is_verified_and_can_be_freed_now(tmp_path):
    made = hoard(tmp_path)
    made.extract()
    row, states = books(made)
    assert (row.state, states) == ("extracted and verified", {"books.tar": "extracted and verified"})
    assert (row.archives[0].frees_now, row.archives[0].frees_after_extract) == (len(pack(FILES)), 0)
    (made.folder / "tree/1.wav").unlink()
    row, _ = books(made)
    assert (row.state, row.n_missing, row.archives[0].frees_now) == ("extracted in part", 1, 0)


def test_an_archive_downloaded_again_can_be_freed_once_extract_has_read_it(tmp_path):
    made = hoard(tmp_path)
    made.extract()
    (made.folder / "books.tar").unlink()
    (made.folder / "books.tar").write_bytes(pack(FILES))
    row, states = books(made)
    assert states == {"books.tar": "extracted, unverified"} and row.archives[0].frees_now == 0
    made.extract()
    row, states = books(made)
    assert states == {"books.tar": "extracted and verified"}
    assert (row.archives[0].frees_now, row.archives[0].frees_after_extract) == (len(pack(FILES)), 0)


def test_a_file_that_is_gone_since_the_extraction_is_counted_without_published_counts(tmp_path):
    made = hoard(tmp_path, expect={})
    made.extract()
    (made.folder / "books.tar").unlink()
    before = books(made)[0].n_missing
    (made.folder / "tree/1.wav").unlink()
    row, _ = books(made)
    assert row.state == "extracted in part" and row.n_missing == before + 1


def test_an_archive_that_cleanup_deleted_is_gone_with_its_date(tmp_path):
    made = hoard(tmp_path, root="tree", expect={})
    made.extract()
    assert made.cleanup() is None
    row, states = books(made)
    assert (row.state, states) == ("extracted and verified", {"books.tar": "archive gone"})
    assert row.archives[0].note.startswith("deleted by cleanup on 2")


def test_a_tree_without_archive_or_receipt_is_archive_gone(tmp_path):
    row, states = books(hoard(tmp_path, stored={}, extracted=FILES, archives=[{"file": "books.tar"}]))
    assert (row.state, states) == ("archive gone", {})


def test_a_volume_that_is_not_mounted_is_absent(tmp_path):
    made = hoard(tmp_path)
    made.extract()
    made.folder.rename(tmp_path / "unmounted")
    row, _ = books(made)
    assert row.state == "absent volume" and "not mounted" in row.note
    made.folder.symlink_to(tmp_path / "nowhere")
    shutil.rmtree(made.home / "cache")
    assert books(made)[0].state == "absent volume"
    made.folder.unlink()
    assert books(made)[0].state == "nothing there"


def test_archives_of_one_dataset_are_told_apart_by_their_folders(tmp_path):
    made = hoard(
        tmp_path,
        stored={"tree.tar.gz": pack(FILES, "tar.gz"), "more.tar.gz": pack(MORE, "tar.gz")},
        extracted=FILES,
        expect={"folders": ["tree", "more"], "files": {"*.wav": 9}},
    )
    row, states = books(made)
    assert states == {"tree.tar.gz": "extracted, unverified", "more.tar.gz": "extracted in part"}
    assert row.missing == ["1 of 2 folders missing (more)", "3 of 9 *.wav missing"]


def test_the_files_of_a_split_archive_count_together(tmp_path):
    pieces = dict(zip(("books.z01", "books.zip"), split(zip_bytes(FILES), [0.5]), strict=True))
    table = {"archives": [{"file": "books.zip", "parts": [{"file": "books.z01"}]}]}
    made = hoard(tmp_path, stored=pieces, **table)
    made.extract()
    row, states = books(made)
    assert states == {"books.zip": "extracted and verified"}
    assert row.archives[0].size == row.archives[0].frees_now == sum(map(len, pieces.values()))
    (made.folder / "books.z01").unlink()
    row, states = books(made)
    assert states == {"books.zip": "partial download"} and row.archives[0].note == "1 of 2 parts missing"


def test_archives_and_folders_that_nobody_claims_are_named_with_a_guess(tmp_path):
    made = hoard(tmp_path, stored={}, archives=[{"file": "dev-clean.tar.gz", "size": 10}])
    found = {
        "downloads/dev-clean.tar.gz": b"0123456789",
        "downloads/dev_clean (1).tar.gz": b"01",
        "books/strange.zip": b"12345678",
        "loose.tar": b"123",
        "boooks/a.txt": b"1",
    }
    for name, data in found.items():
        (made.home / "data" / name).parent.mkdir(exist_ok=True)
        (made.home / "data" / name).write_bytes(data)
    report = look(made)
    guesses = {one.path: one.guess for one in report.unclaimed_archives}
    assert guesses == {
        "data/downloads/dev-clean.tar.gz": "dev-clean.tar.gz of books (by name and size)",
        "data/downloads/dev_clean (1).tar.gz": "perhaps dev-clean.tar.gz of books",
        "data/books/strange.zip": "",
        "data/loose.tar": "",
    }
    folders = {one.path: (one.size, one.guess) for one in report.unclaimed_folders}
    assert folders == {
        "data/downloads": (0, ""),
        "data/boooks": (1, "perhaps books, whose folder is books"),
    }
    assert report.totals["unclaimed"] == sum(map(len, found.values()))


def test_an_archive_of_the_name_but_not_the_size_is_no_sure_guess(tmp_path):
    made = hoard(tmp_path, stored={}, archives=[{"file": "dev-clean.tar.gz", "size": 10}])
    catalog = open_project(made.home / "datasets.toml").catalog
    guess = guesses.guess_archive(catalog, "x/dev-clean.tar.gz", 9)
    assert guess == "dev-clean.tar.gz of books (by name, though not by size)"
    assert guesses.guess_archive(catalog, "x/dev-cleen.tar.gz", 9) == "perhaps dev-clean.tar.gz of books"
    assert guesses.guess_archive(catalog, "x/dev-clean-2.tar.gz", 9) == ""


@contextlib.contextmanager
def opened(below: Path):
    """Collect the paths of files below a folder that are opened."""
    found: list[str] = []
    watching = [True]

    def hear(event, arguments):
        if watching and event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            path = os.fsdecode(arguments[0])
            if path.startswith(f"{below}/"):
                found.append(path)

    sys.addaudithook(hear)
    try:
        yield found
    finally:
        watching.clear()


def test_no_file_of_the_collection_is_opened(tmp_path):
    made = hoard(tmp_path, extracted=FILES)
    with opened(made.home / "data") as found:
        (made.folder / "books.tar").read_bytes()
        assert found == [str(made.folder / "books.tar")]
        found.clear()
        assert books(made)[0].n_files == 7
        made.extract()
        assert found != []
        found.clear()
        assert books(made)[0].state == "extracted and verified"
        assert found == []


def test_looking_changes_nothing(tmp_path):
    made = hoard(tmp_path, extracted=FILES)
    before = sorted(made.home.rglob("*"))
    look(made)
    assert sorted(made.home.rglob("*")) == before


def test_links_are_not_followed(tmp_path):
    made = hoard(tmp_path, extracted={name: data for name, data in FILES.items() if "1" not in name})
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "1.wav").write_bytes(bytes(10_000))
    (made.folder / "tree/linked").symlink_to(outside)
    (made.folder / "tree/up").symlink_to("..")
    row, _ = books(made)
    assert row.size < 35_000 and row.n_files == 6
    assert row.missing[-1].startswith("2 links to folders not followed")


def test_folders_that_cannot_be_read_are_said(tmp_path, monkeypatch):
    made = hoard(tmp_path, extracted=FILES)
    real = os.scandir

    def scandir(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    report = look(made)
    assert report.unreadable == ["data/books/tree/sub"] and report.corpora[0].n_files == 6


def test_totals_add_up_and_count_what_two_datasets_share_once(tmp_path):
    table = {"folder": "books", "archives": [{"file": "books.tar"}], "expect": EXPECT}
    made = Hoard(tmp_path / "home", books=table, others=table)
    made.extract()
    report = look(made)
    size = len(pack(FILES))
    assert report.totals == {
        "raw_audio": sum(map(len, FILES.values())),
        "archives": size,
        "unclaimed": 0,
        "frees_now": 0,
        "frees_after_extract": 0,
    }
    assert {found.note for row in report.corpora for found in row.archives} == {"claimed by several datasets"}


def test_deep_compares_sums_and_members(tmp_path):
    data = pack(FILES)
    made = hoard(tmp_path, archives=[{"file": "books.tar", "xxh3": hash_bytes(data)}])
    made.extract()
    row, _ = books(made, deep=True)
    assert (row.state, row.archives[0].note) == ("extracted and verified", "content as published")
    labels = made.folder / "tree/sub/labels.txt"
    labels.write_bytes(b"x" * labels.stat().st_size)
    row, _ = books(made, deep=True)
    assert "same size, other content" in row.missing[0] and row.state == "extracted in part"
    labels.write_bytes(b"")
    row, _ = books(made, deep=True)
    assert "1 of 7 members of books.tar are not as extracted" in row.missing[0]
    assert (row.state, row.archives[0].frees_now) == ("extracted in part", 0)
    (made.folder / "books.tar").write_bytes(data[:-1] + b"x")
    row, states = books(made, deep=True)
    assert states == {"books.tar": "wrong content"} and "wrong content: expected xxh3" in row.archives[0].note


def test_a_dataset_that_is_current_is_not_walked(two_shards: Collection):
    report = audit.audit_disk(open_run(two_shards.home / "datasets.toml"), [], deep=False)
    (row,) = report.corpora
    files = [path for path in (two_shards.home / "data/books").rglob("*") if path.is_file()]
    assert not row.walked
    assert (row.n_files, row.size) == (len(files), sum(path.stat().st_size for path in files))
    write_chapter(two_shards.home / "data/books/LibriSpeech", "5-50", {0: 500})
    (row,) = audit.audit_disk(open_run(two_shards.home / "datasets.toml"), [], deep=False).corpora
    assert row.walked and row.n_files == len(files) + 2


def test_the_table_names_every_archive_and_corpus(tmp_path, capsys):
    made = hoard(tmp_path, extracted=FILES)
    (made.home / "data/[odd].tar").write_bytes(b"1")
    audit_table.show(look(made), [])
    said = capsys.readouterr().out
    for words in (
        "books.tar",
        "extracted, unverified",
        "data/[odd].tar",
        "archive, unclaimed",
        "could be freed: 0 B now",
    ):
        assert words in said


@pytest.mark.parametrize("columns", ["20", "72", "80", "200"])
def test_names_and_notes_are_whole_at_any_width_of_the_terminal(tmp_path, capsys, monkeypatch, columns):
    made = hoard(tmp_path, extracted={"tree/0.wav": b"1"})
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    report = look(made)
    capsys.readouterr()
    audit_table.show(report, [])
    said = capsys.readouterr().out
    assert "…" not in said
    for words in ("books", "books.tar", "in part", "5 of 6 *.wav missing", "could be freed"):
        assert words in said


def test_json_is_one_object(tmp_path, capsys):
    made = hoard(tmp_path, extracted=FILES)
    say_json(audit_table.as_json(look(made)))
    found = json.loads(capsys.readouterr().out)
    assert found["corpora"][0]["archives"][0]["state"] == "extracted, unverified"
    assert {
        "data",
        "corpora",
        "unclaimed_archives",
        "unclaimed_folders",
        "totals",
        "orphans",
        "unreadable",
        "seconds",
    } == found.keys()


def test_the_command_works_beside_a_run_with_options_on_either_side_of_names(collection: Collection):
    import fcntl

    write_chapter(collection.add_dataset("books"), "1-10", {0: 1})
    (collection.home / "cache").mkdir()
    with (collection.home / "cache" / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for words in (["books", "--json"], ["--json", "books"]):
            (row,) = orjson.loads(collection.doit("audit", *words).stdout)["corpora"]
            assert (row["dataset"], row["state"], row["n_files"]) == ("books", "extracted, unverified", 2)
    assert 'did you mean "books"?' in collection.doit("audit", "bokos", check=False).stderr
