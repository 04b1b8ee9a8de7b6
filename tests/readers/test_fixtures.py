"""The text fixtures themselves: their sound, and paths that they may not have."""

import pytest
import soundfile
from support.fixtures import unpack, write_tone


@pytest.mark.parametrize(
    ("name", "rate_hz"), [("a.flac", 16000), ("a.wav", 24000), ("a.ogg", 44100), ("a.opus", 16000), ("a.mp3", 48000)]
)
def test_a_synthesised_tone_has_its_rate_and_channels_and_a_pitch_of_its_own(name, rate_hz, tmp_path):
    write_tone(tmp_path / name, 0.25, rate_hz, 2)
    write_tone(tmp_path / f"b{name}", 0.25, rate_hz, 2)
    (tmp_path / "again").mkdir()
    write_tone(tmp_path / "again" / name, 0.25, rate_hz, 2)
    sound, rate = soundfile.read(tmp_path / name)
    assert rate == rate_hz and sound.shape == (rate_hz // 4, 2)
    assert 0.4 < abs(sound).max() < 0.7
    assert (soundfile.read(tmp_path / "again" / name)[0] == sound).all()
    other = soundfile.read(tmp_path / f"b{name}")[0]
    assert abs(other - sound).max() > 0.1


def test_a_path_that_leads_out_or_comes_twice_is_refused(tmp_path):
    for text in ("-- ../a.txt --\nx\n", "-- /a.txt --\nx\n", "-- a --\nx\n-- a --\ny\n"):
        with pytest.raises(ValueError, match="twice, or a path that leads out"):
            unpack(text, tmp_path)
    with pytest.raises(ValueError, match=r"a\.wav: expected a tone, empty, or text, got 'noise'"):
        unpack("-- a.wav --\nnoise\n", tmp_path)
