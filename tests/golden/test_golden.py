"""A collection that the version before finished is current after the upgrade: nothing is decoded or encoded again.

Restored files have other inodes and ctimes than when they were sealed, which scan and extract notice: they read sources
and archives again, find them unchanged, and there it ends.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from support import golden
from support.collection import CHECKOUT, Collection, done
from support.golden import GOLDEN

FILES = sorted(GOLDEN.glob("collection-*.txt"))
COMMANDS = (["features"], ["manifest:both"], ["job:words"])
# What may run: extract and scan, which read and hash; standardize, which reads headers and finds nothing to decode.
CHEAP = {f"{stage}:{name}" for stage in ("extract", "scan", "standardize") for name in golden.RECORDINGS}
SHARDS = ("standardize:letters:0000", "standardize:tales:0000", "standardize:tales:0001")
CHEAP |= {"extract:tales:tales.tar.gz", *SHARDS}
WRITTEN = {*(f"manifest:{name}" for name in golden.RECORDINGS), "job:words"}  # anew, with the same rows in them
REMADE = ("cache/shards/", "cache/watch/", "cache/receipts/extract/", "cache/receipts/scan/", "cache/findings/")
REMADE += ("cache/quarantine/", "cache/receipts/standardize/")


def test_there_is_a_golden_collection():
    """Only golden/make.py writes one: a test that wrote what it finds missing would agree with anything."""
    assert [path.name for path in FILES] == ["collection-0.1.0.txt"]


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.stem)
def restored(request, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    home = tmp_path_factory.mktemp("golden") / "collection"
    golden.restore(request.param, home)
    return Collection(home)


@pytest.fixture(scope="module")
def before(restored: Collection) -> dict[str, tuple[int, bytes]]:
    return files_of(restored.home)


@pytest.fixture(scope="module")
def built(restored: Collection, before) -> list[str]:
    """What the present code builds of a finished collection, command by command."""
    assert before
    return [unit for command in COMMANDS for unit in done(restored.doit(*command))]


def files_of(home: Path) -> dict[str, tuple[int, bytes]]:
    """Return inode and bytes of everything that a golden file holds, and of the standard audio."""
    audio = [path for path in (home / "data/standard").rglob("[!.]*") if path.is_file()]
    paths = [*(home / path for path in golden.kept(home)), *audio]
    return {path.relative_to(home).as_posix(): (path.stat().st_ino, path.read_bytes()) for path in paths}


def test_sources_and_standard_audio_made_again_are_those_that_were_sealed(restored: Collection, before):
    from earmark.disk.hashing import hash_bytes, hash_file

    sealed = restored.receipt("extract", "tales", "tales.tar.gz")["outputs"]
    assert hash_file(restored.home / "data/tales/tales.tar.gz") == sealed["archive_xxh3"]
    roots = {"tales": "data/tales/tales", "letters": "data/letters"}
    recordings = bad = 0
    for dataset, root in roots.items():
        for table in sorted((restored.home / "cache/audio" / dataset).glob("*.jsonl")):
            for row in restored.rows(table.relative_to(restored.home)):
                recordings += 1
                bad += "bad" in row
                assert hash_file(restored.home / root / row["path"]) == row["source_hash"]
                if "bad" not in row:
                    audio = (restored.home / "data/standard" / dataset / row["path"]).read_bytes()
                    assert (len(audio), hash_bytes(audio)) == (row["file_size"], row["file_xxh3"])
    assert (recordings, bad) == (9, 1)


def test_nothing_runs_but_what_reads_sources_again(restored: Collection, built):
    assert built
    assert set(built) <= CHEAP | WRITTEN
    shards = [restored.receipt(*unit.split(":")) for unit in SHARDS]
    assert [shard["counts"]["decoded"] - shard["counts"]["bad"] for shard in shards] == [0, 0, 0]  # bad ones: again


def test_every_other_file_is_the_very_file_that_was_there(restored: Collection, before, built):
    after = files_of(restored.home)
    assert after.keys() == before.keys()
    changed = [path for path in before if after[path] != before[path] and not path.startswith(REMADE)]
    tables = [path for path in changed if path.startswith("cache/audio/")]  # written anew, and the same
    assert not [path for path in tables if after[path][1] != before[path][1]]
    written = {path for path in changed if path.startswith(("manifests/", "cache/receipts/"))}
    assert not set(changed) - written - set(tables)
    receipts = {f"cache/receipts/{unit.replace(':', '/')}.json" for unit in WRITTEN}
    assert {path for path in written if after[path][1] != before[path][1]} <= receipts


def test_scan_and_extract_find_what_was_sealed(restored: Collection, before, built):
    """What they write anew says the same, but for the stat of the files."""
    import orjson

    for dataset in golden.RECORDINGS:
        path = f"cache/receipts/scan/{dataset}.json"
        old, new = orjson.loads(before[path][1]), restored.receipt("scan", dataset)
        assert new["outputs"]["shards"] == old["outputs"]["shards"]
        # that version did not write down the reader's code, and some readers say more now: scan runs, and finds the same
        assert new["inputs"].pop("the reader's code")
        assert new["inputs"]["reader"].pop("version") >= old["inputs"]["reader"].pop("version")
        assert (new["inputs"], new["counts"]) == (old["inputs"], old["counts"])
        old, new = (
            orjson.loads(before[f"cache/receipts/extract/{dataset}.json"][1]),
            restored.receipt("extract", dataset),
        )
        assert {**old, "seconds": 0, "seal": ""} == {**new, "seconds": 0, "seal": ""}


def test_all_is_current_then_and_a_second_run_finds_nothing_to_do(restored: Collection, built):
    for command in COMMANDS:
        assert done(restored.doit(*command)) == []
    states = restored.states("--all")
    assert {"features:tales:0001", "features:letters", "job:words", "manifest:both"} <= states.keys()
    assert set(states.values()) == {"U"}


def test_verify_reads_all_of_it_and_finds_no_damage(restored: Collection, built):
    assert ", 0 damaged" in restored.doit("verify").stdout


def test_it_is_current_also_where_the_archive_was_deleted(restored: Collection, tmp_path):
    """As `doit cleanup` leaves it. Nothing of the archive is there to be read: extract does not run at all."""
    home = tmp_path / "collection"
    golden.restore(FILES[-1], home)
    (home / "data/tales/tales.tar.gz").unlink()
    units = done(Collection(home).doit("features"))
    wanted = {f"{stage}:{name}" for stage in ("manifest", "scan", "standardize") for name in ("letters", "tales")}
    assert set(units) == wanted | set(SHARDS)


def test_another_setting_of_the_encoder_is_noticed(restored: Collection, built):
    """So that a `current` above is an answer and no habit."""
    catalog = restored.home / "datasets.toml"
    plain = catalog.read_text("utf-8")
    catalog.write_text(plain.replace('model = "model"', 'model = "model"\nwindow = "clip"'), "utf-8")
    try:
        assert restored.states()["features:tales"] == "R"
    finally:
        catalog.write_text(plain, "utf-8")


def test_a_golden_collection_is_never_replaced_by_accident(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.1.0"\n', "utf-8")
    before = {path: path.read_bytes() for path in FILES}
    run = subprocess.run(
        [sys.executable, "-m", "golden.make", str(tmp_path)],
        cwd=CHECKOUT / "tests",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1
    assert "there already" in run.stderr
    assert {path: path.read_bytes() for path in FILES} == before


def test_a_golden_file_gives_back_what_was_put_in():
    files = {"a/b.json": b'{"x": 1}\n', "c.bin": bytes(range(256)) * 9, "d.jsonl": b"", "e.json": b"{}"}
    assert golden.parse(golden.dump(files)) == files
