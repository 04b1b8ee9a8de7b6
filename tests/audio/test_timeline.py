"""Time in containers: what begins late, gaps, and the codec's delay, against what FFmpeg's own tools make of them."""

import av
import numpy as np
import pytest

from earmark.audio.canonical import canonical_blocks, standardize
from earmark.audio.defects import GAP, LATE, kind_of
from earmark.audio.policy import Policy
from earmark.audio.timeline import Timeline
from earmark.disk.files import Scratch
from earmark.errors import BadAudioError

RATE_HZ = 48_000
STEP = 960  # samples in a frame that is handed to an encoder
NONE, KEPT = Policy(format="none"), Policy(format="none", media_time=True)
TIMED = [("a.mp4", "aac"), ("a.webm", "libopus"), ("a.mkv", "flac"), ("a.mka", "pcm_s16le"), ("a.ts", "aac")]


def write(path, codec, *stretches, picture=False):
    """Write a tone in stretches (begin in seconds, length in seconds), beside a picture of 6 s if asked."""
    with av.open(str(path), "w") as media:
        sound = media.add_stream(codec, rate=RATE_HZ)
        sound.layout = "mono"
        if picture:
            video = media.add_stream("mpeg4", rate=10, width=64, height=64, pix_fmt="yuv420p")
            for number in range(60):
                frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
                frame.pts = number
                media.mux(video.encode(frame))
            media.mux(video.encode(None))
        for begin_s, length_s in stretches:
            convert = av.AudioResampler(format=sound.codec_context.format, layout="mono", rate=RATE_HZ)
            for at in range(0, round(length_s * RATE_HZ), STEP):
                tone = 0.3 * np.sin(np.arange(at, at + STEP) * 0.05).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
                frame.sample_rate, frame.pts = RATE_HZ, round(begin_s * RATE_HZ) + at
                for piece in convert.resample(frame):
                    media.mux(sound.encode(piece))
        media.mux(sound.encode(None))
    return path


def look(path, policy=NONE):
    audio, _ = standardize(path, None, policy, Scratch(path.parent / "tmp"))
    return audio.n_samples / 16_000, audio.defects


@pytest.mark.parametrize(("name", "codec"), TIMED)
def test_sound_that_begins_late_is_told_by_how_much(tmp_path, name, codec):
    path = write(tmp_path / name, codec, (3, 1), picture=name == "a.ts")
    seconds, (told,) = look(path)
    assert seconds == pytest.approx(1, abs=0.05)
    assert kind_of(told) == LATE
    assert float(told.removeprefix(f"{LATE}: ").removesuffix(" s")) == pytest.approx(3, abs=0.03)


@pytest.mark.parametrize(("name", "codec"), TIMED)
def test_a_gap_is_told_with_its_place(tmp_path, name, codec):
    seconds, (told,) = look(write(tmp_path / name, codec, (0, 1), (3, 1)))
    assert seconds == pytest.approx(2, abs=0.05)
    assert kind_of(told) == GAP
    length, place = told.removeprefix(f"{GAP}: ").split(" at ")
    assert float(length.removesuffix(" s")) == pytest.approx(2, abs=0.03)
    assert float(place.removesuffix(" s")) == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize(("name", "codec"), TIMED)
def test_sound_stands_at_its_media_time_where_that_is_kept(tmp_path, name, codec):
    path = write(tmp_path / name, codec, (1, 1), (4, 1), picture=name == "a.ts")
    seconds, defects = look(path, KEPT)
    assert (seconds, defects) == (pytest.approx(5, abs=0.05), ())
    samples = np.concatenate(list(canonical_blocks(path, KEPT))).astype(float)
    loud = [np.abs(samples[round(at * 16_000) :][:800]).mean() > 1_000 for at in (0.5, 1.5, 3, 4.5)]
    assert loud == [False, True, False, True]


@pytest.mark.parametrize(("name", "codec"), [*TIMED, ("a.m4a", "aac"), ("a.flac", "flac"), ("a.opus", "libopus")])
def test_sound_without_a_gap_is_the_same_with_and_without_media_time(tmp_path, name, codec):
    path = write(tmp_path / name, codec, (0, 1))
    assert look(path) == look(path, KEPT) == (pytest.approx(1, abs=0.03), ())


@pytest.mark.parametrize(
    ("name", "codec", "samples"),
    [  # as `ffmpeg -i NAME -f s16le -` gives them: priming is cut where the container states it, MPEG-TS states none
        ("a.m4a", "aac", 48_128), ("a.mka", "aac", 48_128), ("a.ts", "aac", 49_152),
        ("a.webm", "libopus", 48_000), ("a.opus", "libopus", 48_000), ("a.mka", "flac", 48_000),
    ],
)  # fmt: skip
def test_a_codecs_delay_is_cut_as_ffmpeg_cuts_it(tmp_path, name, codec, samples):
    path = write(tmp_path / name, codec, (0, 1))
    assert look(path)[0] * 3 * 16_000 == pytest.approx(samples, abs=3)


def test_a_clock_that_was_set_is_not_filled_up_with_silence(tmp_path):
    path = write(tmp_path / "a.mka", "pcm_s16le", (0, 0.5), (200_000, 0.5))
    assert look(path)[1] == (f"{GAP}: 199999.500 s at 0.500 s",)
    with pytest.raises(BadAudioError, match="wrong time stamps: expected time stamps within a day"):
        look(path, KEPT)


class Frame:
    def __init__(self, time, samples=1_000):
        self.time, self.samples = time, samples


def test_a_step_back_is_told_and_never_cut():
    timeline = Timeline(1_000, 0.0, keep=True)
    assert [timeline.silence_before(Frame(time)) for time in (0.0, 1.0, 0.5, 1.5)] == [0, 0, 0, 0]
    assert timeline.defects() == ["steps back in time: 1.500 s at 2.000 s"]


def test_rounded_times_add_up_to_no_gap_and_a_slow_drift_is_told():
    timeline = Timeline(1_000, 0.0)
    for number in range(1_000):
        timeline.silence_before(Frame(round(number * 1.0004, 4)))
    assert [round(jump, 3) for jump, _ in timeline.jumps[GAP]] == [0.1, 0.1, 0.1]
    exact = Timeline(1_000, 0.0)
    for number in range(1_000):
        exact.silence_before(Frame(number + 0.04 * (number % 2)))
    assert exact.defects() == []
