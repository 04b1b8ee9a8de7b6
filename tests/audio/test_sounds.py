import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from earmark.audio.decoding import FFMPEG_OPTIONS
from earmark.sounds import DEMUXERS, SUFFIXES, UNCOMPRESSED, is_audio, is_compressed, suffix_of

# libsndfile's formats -> a suffix that readers look for, or why none is
SNDFILE = {
    **{name: f".{name.lower()}" for name in ("AIFF", "AU", "CAF", "FLAC", "MP3", "OGG", "RF64", "W64", "WAV")},
    **{"NIST": ".sph", "WAVEX": ".wav"},
    **dict.fromkeys(("MAT4", "MAT5"), "matrices of MATLAB"),
    **{"HTK": "features of HTK", "VOC": "vocabularies", "IRCAM": ".sf: fonts, and much else", "RAW": "no header"},
    **dict.fromkeys(("AVR", "MPC2K", "PAF", "PVF", "SD2", "SDS", "SVX", "WVE", "XI"), "no corpus comes as this"),
}


def test_every_format_of_libsndfile_has_a_suffix_or_a_reason():
    assert SNDFILE.keys() == soundfile.available_formats().keys()
    assert {suffix for suffix in SNDFILE.values() if suffix.startswith(".") and " " not in suffix} <= SUFFIXES


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
