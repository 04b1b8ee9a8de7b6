import contextlib

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from earmark.audio.canonical import canonical_blocks
from earmark.audio.decoding import FFMPEG_OPTIONS
from earmark.audio.policy import Policy
from earmark.sounds import DEMUXERS, LEFT_OUT, SNDFILE, SUFFIXES, UNCOMPRESSED, is_audio, is_compressed, suffix_of


def test_every_format_of_libsndfile_is_listed():
    assert SNDFILE.keys() == soundfile.available_formats().keys()


def test_every_suffix_of_an_ffmpeg_demuxer_is_looked_for_or_left_out_for_a_reason():
    import av

    reading = set()
    for name in av.formats_available:
        with contextlib.suppress(ValueError):  # it only writes
            reading |= {f".{suffix}" for suffix in av.ContainerFormat(name, "r").extensions}
    left_out = [suffix for suffixes in LEFT_OUT.values() for suffix in suffixes.split()]
    assert len(left_out) == len(set(left_out))
    assert not SUFFIXES & set(left_out)
    assert len(reading) > 200
    assert reading - SUFFIXES - set(left_out) == set()


@pytest.mark.parametrize(
    "form", sorted(set(soundfile.available_formats()) - {"RAW", "SD2", "MAT4", "MAT5", "MPC2K", "XI"})
)
def test_what_libsndfile_writes_is_decoded(tmp_path, form):
    path = tmp_path / "a"
    subtype = "ALAW" if form == "WVE" else None
    rate_hz = 8_000 if form == "WVE" else 16_000
    soundfile.write(path, 0.1 * np.sin(np.arange(rate_hz) * 0.1), rate_hz, format=form, subtype=subtype)
    samples = sum(map(len, canonical_blocks(path, Policy(format="none"))))
    assert samples == pytest.approx(16_000, abs=40)


def test_every_demuxer_that_may_run_is_one_that_ffmpeg_has():
    from av.format import ContainerFormat

    assert FFMPEG_OPTIONS["format_whitelist"].split(",") == list(DEMUXERS)
    assert all(ContainerFormat(name, "r").is_input for name in DEMUXERS)


def test_a_suffix_belongs_to_one_demuxer_and_is_written_as_it_is_compared():
    suffixes = [suffix for named in DEMUXERS.values() for suffix in named]
    assert len(suffixes) == len(set(suffixes))
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)
    assert UNCOMPRESSED < SUFFIXES


@given(st.sampled_from(sorted(SUFFIXES)), st.text("ab.", min_size=1), st.booleans())
def test_a_recording_is_known_by_the_end_of_its_name_in_any_case(suffix, name, upper):
    path = f"some.folder/{name}{suffix.upper() if upper else suffix}"
    assert suffix_of(path) == suffix
    assert is_audio(path)
    assert is_compressed(path) == (suffix not in UNCOMPRESSED)
    assert not is_audio(f"{path}/label.txt")
    assert not is_audio(f"{path}.lab")


@pytest.mark.parametrize("name", ["a", "", "a.", "a.wav/b", "a.ts", "words.voc", "x.parquet"])
def test_what_is_no_recording_by_its_name(name):
    assert not is_audio(name)
    assert not is_compressed(name)
