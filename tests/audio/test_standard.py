import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.audio.batch import standard_name

STEMS = st.text("ab.", min_size=1, max_size=4).filter(lambda text: text.strip("."))
SUFFIXES = st.sampled_from(["", ".wav", ".flac", ".mp3", ".wav.flac", ".flac.flac", ".FLAC", ".opus"])
PATHS = st.builds(lambda stem, suffix: f"x/{stem}{suffix}", STEMS, SUFFIXES)


@pytest.mark.slow
@given(st.sets(PATHS, min_size=2, max_size=12), st.sampled_from(["flac", "wav"]))
@settings(deadline=None, max_examples=300)
def test_two_sources_never_share_a_standard_file(paths, form):
    assert len({standard_name(path, form) for path in paths}) == len(paths)


def test_a_flac_keeps_its_name():
    assert standard_name("84/84-121123-0000.flac", "flac") == "84/84-121123-0000.flac"
    assert standard_name("clips/a.mp3", "flac") == "clips/a.mp3.flac"
