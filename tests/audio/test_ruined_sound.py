"""Sound that decodes well and is ruined all the same is told: phase, silence, scale, clipping."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.audio import defects
from earmark.audio.batch import Work, standardize_batch
from earmark.audio.canonical import standardize
from earmark.audio.downmix import DownmixMeter
from earmark.audio.policy import Policy
from earmark.disk.files import Scratch

RATE_HZ = 16_000
NONE = Policy(format="none")


def noise(seconds=2.0, seed=0, level=0.1):
    return level * np.random.default_rng(seed).standard_normal(int(seconds * RATE_HZ))


def kinds(path, policy=NONE):
    audio, _ = standardize(path, None, policy, Scratch(path.parent / "tmp"))
    return [defects.kind_of(told) for told in audio.defects]


def write(path, samples, subtype="PCM_16", rate_hz=RATE_HZ):
    soundfile.write(path, samples, rate_hz, subtype=subtype)
    return path


def stereo(left, right):
    return np.stack([left, right], axis=1)


A, B = noise(seed=1), noise(seed=2)
RUINED = {
    "opposite": (stereo(A, -A), "PCM_16", ["opposite phase"]),
    "nearly opposite": (stereo(A, -A + 0.01 * B), "PCM_16", ["opposite phase"]),
    "opposite for a part": (stereo(np.r_[A, A], np.r_[A, -A]), "PCM_16", ["opposite phase"]),
    "opposite floats": (stereo(A, -A), "FLOAT", ["opposite phase"]),
    "opposite of 24 bits": (stereo(A, -A), "PCM_24", ["opposite phase"]),
    "two of three opposite": (np.stack([A, -A, 0 * A], axis=1), "PCM_16", ["opposite phase"]),
    "opposite below hearing": (stereo(A * 1e-3, A * -1e-3), "PCM_24", ["digital silence"]),
    "silent": (0 * A, "PCM_16", ["digital silence"]),
    "both sides silent": (stereo(0 * A, 0 * A), "PCM_16", ["digital silence"]),
    "whole numbers as floats": (A * 32_768, "FLOAT", ["far beyond full scale", "clipped"][:1]),
    "one wild sample": (np.r_[A, 1e6, A], "FLOAT", ["far beyond full scale"]),
    "all clipped": (np.sign(A), "PCM_16", ["clipped"]),
    "clipped throughout": (np.clip(20 * A, -1, 1), "PCM_16", ["clipped"]),
}
WELL = {
    "two channels of their own": (stereo(A, B), "PCM_16"),
    "one channel silent": (stereo(A, 0 * A), "PCM_16"),
    "the same twice": (stereo(A, A), "PCM_16"),
    "opposite, but much weaker": (stereo(A, -0.8 * A), "PCM_16"),
    "eight channels of their own": (np.stack([noise(seed=k) for k in range(8)], axis=1), "PCM_16"),
    "a lossy decoder's overshoot": (np.clip(A * 15, -2, 2) * (np.arange(len(A)) % 50 == 0), "FLOAT"),
    "loud": (np.clip(A * 4, -1, 1), "PCM_16"),
    "speech after silence": (np.r_[0 * A, A], "PCM_16"),
}


@pytest.mark.parametrize("what", RUINED)
def test_ruined_sound_is_told(tmp_path, what):
    samples, subtype, expected = RUINED[what]
    assert kinds(write(tmp_path / "a.wav", samples, subtype)) == expected


@pytest.mark.parametrize("what", WELL)
def test_sound_that_is_well_has_no_defect(tmp_path, what):
    samples, subtype = WELL[what]
    assert kinds(write(tmp_path / "a.wav", samples, subtype)) == []


def test_one_channel_of_opposite_ones_is_well(tmp_path):
    path = write(tmp_path / "a.wav", stereo(A, -A))
    assert kinds(path, Policy(channel=0, format="none")) == []


def test_opposite_phase_is_told_at_another_rate_and_in_a_lossy_format(tmp_path):
    assert kinds(write(tmp_path / "a.wav", stereo(A, -A), rate_hz=44_100)) == ["opposite phase"]
    tone = 0.3 * np.sin(np.arange(2 * RATE_HZ) * 0.05)
    soundfile.write(tmp_path / "a.ogg", stereo(tone, -tone), 44_100, format="OGG", subtype="VORBIS")
    assert kinds(tmp_path / "a.ogg") == ["opposite phase"]


@settings(deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(1, 40_000), max_size=8), share=st.floats(0, 0.3))
def test_where_blocks_are_cut_does_not_matter_to_what_is_cancelled(cuts, share):
    left, n = noise(3, 3), 3 * RATE_HZ
    block = stereo(left, np.where(np.arange(n) < share * n, -left, left))
    whole, parts = DownmixMeter(RATE_HZ, 2), DownmixMeter(RATE_HZ, 2)
    whole.update(block, block.mean(axis=1), 1)
    for part in np.split(block, sorted(min(cut, n) for cut in cuts)):
        parts.update(part, part.mean(axis=1), 1)
    assert whole.found() == parts.found()


def test_an_earlier_versions_row_is_told_of_what_its_levels_show(tmp_path):
    path = write(tmp_path / "a.wav", 0 * A)
    status = path.stat()
    work = Work("a.wav", "0" * 32, status.st_size, status.st_mtime_ns, path, None)
    (row,) = standardize_batch(([work], NONE, Scratch(tmp_path)))
    before = type(row)(**{name: getattr(row, name) for name in row.__struct_fields__} | {"defects": ()})
    again = Work("a.wav", "0" * 32, status.st_size, status.st_mtime_ns, path, None, before)
    (kept,) = standardize_batch(([again], NONE, Scratch(tmp_path)))
    assert kept == row
    assert kept.defects == ("digital silence",)
