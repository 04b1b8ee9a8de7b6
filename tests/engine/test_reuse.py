"""What a run takes over from an earlier one is proved: a changed digit in it is never sealed as finished work."""

import dataclasses

import orjson
import pytest
from support.collection import write_chapter
from support.runs import open_run

from earmark.audio.policy import Policy
from earmark.audio.table import GoodAudio, journal_line, read_journal
from tasks.engine.judge import perform
from tasks.engine.units import Unit
from tasks.stages import standardize
from tasks.stages.registry import STAGES

ROW = GoodAudio(
    path="a.wav", source_hash="0" * 32, audio_hash="1" * 32, n_samples=16_000, source_rate_hz=16_000, source_channels=1,
    decoder="soundfile/WAV PCM_16", peak=0.5, rms=0.1, clipped=0.0, silence=0.0, dc=0.0, policy=Policy(),
)  # fmt: skip
SHARD = Unit("standardize", "books", "0000")


def test_a_journal_gives_back_its_rows_and_no_changed_or_torn_one(tmp_path):
    line = journal_line(ROW)
    for at in range(len(line) - 1):
        changed = bytearray(line)
        changed[at] ^= 1
        (tmp_path / "journal").write_bytes(bytes(changed) + line + line[: at + 1])
        assert list(read_journal(tmp_path / "journal")) == [ROW]
    assert list(read_journal(tmp_path / "none")) == []


@pytest.fixture
def run(collection):
    root = collection.add_dataset("books")
    write_chapter(root, "1-10", {0: 0, 1: 1, 2: 2}, seconds=0.3)
    collection.write_catalog()
    run = open_run(collection.home / "datasets.toml")
    for stage in STAGES[:3]:
        for unit in [SHARD, Unit(stage.name, "books")] if stage.shard else [Unit(stage.name, "books")]:
            assert perform(run, stage.rule(unit), unit) is None
    yield run
    run.pool.stop()


@pytest.mark.parametrize("name", ["n_samples", "audio_hash", "rms", "file_size", "file_xxh3", "decoder"])
def test_a_table_in_which_one_value_was_changed_is_made_again_and_not_taken_over(run, name):
    table = run.project.table("books", "0000")
    whole = table.read_bytes()
    rows = [orjson.loads(line) for line in whole.splitlines()]
    value = rows[1][name]
    rows[1][name] = f"x{value[1:]}" if isinstance(value, str) else value + 1
    table.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    again = dataclasses.replace(run)
    assert perform(again, standardize.RULE, SHARD) is None
    again.pool.stop()
    assert table.read_bytes() == whole


def test_a_table_without_its_receipt_is_no_proof(run):
    table = run.project.table("books", "0000")
    whole = table.read_bytes()
    table.write_bytes(whole.replace(b'"n_samples":4800', b'"n_samples":4801', 1))
    run.project.receipt("standardize", "books", "0000").unlink()
    again = dataclasses.replace(run)
    assert perform(again, standardize.RULE, SHARD) is None
    again.pool.stop()
    assert table.read_bytes() == whole
