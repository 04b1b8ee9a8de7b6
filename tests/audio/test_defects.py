"""Defects of sound: what stays although something is wrong with it says so, in every place that it goes through."""

import msgspec
import pytest

from earmark.audio import defects
from earmark.audio.policy import Policy
from earmark.audio.table import GoodAudio, dump_row, read_table
from earmark.disk.shards import ShardRow
from earmark.training.manifest_row import make_row

GOOD = GoodAudio(
    path="a.wav", source_hash="0" * 32, audio_hash="1" * 32, n_samples=16_000, source_rate_hz=16_000, source_channels=1,
    decoder="soundfile/WAV PCM_16", peak=0.5, rms=0.1, clipped=0.0, silence=0.0, dc=0.0, policy=Policy(),
)  # fmt: skip
SHORT = defects.defect(defects.SHORTER, "0.068 s")


@pytest.mark.parametrize("kind", defects.KINDS)
def test_a_defect_names_its_kind_with_and_without_what_was_found(kind):
    assert defects.kind_of(defects.defect(kind)) == kind
    assert defects.kind_of(defects.defect(kind, "0.5 s: at the end")) == kind


def test_a_defect_of_a_publisher_is_its_own_kind():
    assert defects.kind_of("wrong speaker: see errata") == "wrong speaker: see errata"


def test_a_kind_that_no_table_explains_is_none():
    with pytest.raises(KeyError):
        defects.defect("looks odd")


def test_a_row_without_defects_is_written_as_ever_and_one_with_comes_back(tmp_path):
    assert b"defects" not in dump_row(GOOD)
    bad = msgspec.structs.replace(GOOD, defects=(SHORT,))
    (tmp_path / "t.jsonl").write_bytes(dump_row(GOOD) + dump_row(bad))
    assert list(read_table(tmp_path / "t.jsonl")) == [GOOD, bad]


def test_a_manifest_row_has_the_publisher_s_defects_and_those_of_the_sound():
    listed = ShardRow("a", "a.wav", 1, 1, 1, 1, "0" * 32, {"defects": ["noise"]})
    audio = msgspec.structs.replace(GOOD, defects=(SHORT,))
    assert make_row("x", listed, audio, "a.wav", "flac")["defects"] == ["noise", SHORT]
    assert make_row("x", listed, GOOD, "a.wav", "flac")["defects"] == ["noise"]
