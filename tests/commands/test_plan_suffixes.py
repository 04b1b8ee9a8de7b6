"""doit plan over a recording of every suffix that the decoders read."""

import io

import numpy as np
import pytest
import soundfile
from support.collection import Collection, speech
from support.runs import open_query

from earmark.audio.canonical import Policy, standardize
from earmark.disk.files import Scratch
from earmark.rates import RATE_HZ, WAV_BYTES_PER_S
from earmark.sounds import SUFFIXES
from tasks.plan import forecast, plan_table

SECONDS = 3.0
SNDFILE = {  # suffix -> libsndfile's format; what is not here, FFmpeg writes
    **dict.fromkeys((".aif", ".aiff", ".aifc"), "AIFF"),
    **dict.fromkeys((".au", ".snd"), "AU"),
    **dict.fromkeys((".sph", ".nist", ".wv1", ".wv2"), "NIST"),
    **dict.fromkeys((".ogg", ".oga", ".ogv", ".ogx", ".opus"), "OGG"),
    **dict.fromkeys((".wav", ".wave", ".bwf"), "WAV"),
    **dict.fromkeys((".8svx", ".svx"), "SVX"),
    **dict.fromkeys((".fap", ".paf"), "PAF"),
    **{suffix: suffix[1:].upper() for suffix in (".caf", ".flac", ".mp3", ".rf64", ".w64")},
    **{suffix: suffix[1:].upper() for suffix in (".avr", ".ircam", ".pvf", ".sds")},
}
SUBTYPES = {"MP3": "MPEG_LAYER_III", "OGG": "VORBIS", ".opus": "OPUS"}
FFMPEG = {  # suffix -> FFmpeg's muxer, codec and a sample rate in Hz that the codec takes
    **dict.fromkeys((".mp4", ".mov", ".3gp", ".3g2", ".flv"), (None, "aac", 16_000)),
    **dict.fromkeys((".qt", ".f4v", ".m4v"), ("mp4", "aac", 16_000)),
    **dict.fromkeys((".m4a", ".m4b", ".m4r"), ("ipod", "aac", 16_000)),
    **dict.fromkeys((".mka", ".mkv", ".mk3d"), ("matroska", "aac", 16_000)),
    **dict.fromkeys((".wma", ".wmv", ".asf"), ("asf", "wmav2", 44_100)),
    **dict.fromkeys((".mpg", ".mpeg", ".vob"), ("mpeg", "mp2", 16_000)),
    **dict.fromkeys((".mts", ".m2ts"), ("mpegts", "mp2", 16_000)),
    **dict.fromkeys((".rm", ".ra"), ("rm", "ac3", 48_000)),
    **dict.fromkeys((".eac3", ".ec3"), ("eac3", "eac3", 48_000)),
    **dict.fromkeys((".aac", ".adts"), ("adts", "aac", 16_000)),
    **dict.fromkeys((".mp2", ".m2a", ".mpa"), ("mp2", "mp2", 16_000)),
    **dict.fromkeys((".webm", ".weba"), ("webm", "libopus", 48_000)),
    ".ac3": (None, "ac3", 48_000),
    ".amr": (None, "libopencore_amrnb", 8_000),
    ".avi": (None, "pcm_s16le", 16_000),
    ".tta": (None, "tta", 16_000),
    ".wv": (None, "wavpack", 16_000),
}
UNWRITTEN = {  # no encoder of these at hand
    ".aa3", ".ape", ".awb", ".dsf", ".dss", ".dts", ".mp1", ".mpc", ".oma", ".omg", ".qcp", ".shn", ".spx", ".tak",
    ".thd", ".wve", ".xwma",
}  # fmt: skip


def recording(suffix: str) -> bytes:
    """Return a few seconds of noise as a file of that suffix."""
    file = io.BytesIO()
    if suffix in SNDFILE:
        form = SNDFILE[suffix]
        subtype = SUBTYPES.get(suffix, SUBTYPES.get(form, "PCM_16"))
        soundfile.write(file, speech(SECONDS, 1), RATE_HZ, format=form, subtype=subtype)
        return file.getvalue()
    import av

    muxer, codec, rate_hz = FFMPEG[suffix]
    samples = speech(SECONDS, 1, rate_hz)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="s16", layout="mono")
    frame.sample_rate = rate_hz
    with av.open(file, "w", format=muxer or suffix[1:]) as media:
        stream = media.add_stream(codec, rate=rate_hz, layout="mono")
        context = stream.codec_context
        if codec == "wmav2":
            context.bit_rate = 64_000  # it takes no default
        pieces = av.AudioResampler(context.format, context.layout, rate_hz, context.frame_size or 1024)
        for piece in [*pieces.resample(frame), *pieces.resample(None), None]:
            media.mux(stream.encode(piece))
    return file.getvalue()


def plan_of(collection: Collection, suffix: str, data: bytes) -> dict:
    """Return the plan's step that standardizes a dataset of one file."""
    collection.datasets["sounds"] = {"corpus": "audiofolder"}
    collection.standard["format"] = "wav"
    collection.write_catalog()
    path = collection.home / "data" / "sounds" / f"one{suffix}"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    plan = forecast.make_forecast(open_query(collection.home / "datasets.toml"), ["standardize:sounds"])
    steps = plan_table.as_json(plan, shards=False)["steps"]
    return next(step for step in steps if step["stage"] == "standardize")


def test_every_suffix_is_written_here_or_cannot_be():
    assert SNDFILE.keys() | FFMPEG.keys() | UNWRITTEN == SUFFIXES
    assert not SNDFILE.keys() & FFMPEG.keys()
    assert not (SNDFILE.keys() | FFMPEG.keys()) & UNWRITTEN


@pytest.mark.parametrize("suffix", sorted(SUFFIXES - UNWRITTEN))
def test_a_recording_of_any_suffix_is_decoded_and_was_planned_at_its_size(collection, tmp_path, suffix):
    data = recording(suffix)
    step = plan_of(collection, suffix, data)
    assert any("1 recordings" in words for words in step["from"])
    audio, _ = standardize(
        collection.home / "data" / "sounds" / f"one{suffix}", None, Policy(format="none"), Scratch(tmp_path / "tmp")
    )
    assert audio.n_samples == pytest.approx(SECONDS * RATE_HZ, rel=0.05)
    standard = next(item for item in step["writes"] if item["what"] == "standard audio")
    assert standard["bytes"]["likely"] == pytest.approx(SECONDS * WAV_BYTES_PER_S, rel=0.1)


@pytest.mark.parametrize("suffix", sorted(UNWRITTEN))
def test_a_recording_that_cannot_be_probed_is_planned_from_its_bytes(collection, suffix):
    step = plan_of(collection, suffix, bytes(40_000))
    assert any("1 recordings" in words for words in step["from"])
    assert step["bytes"]["low"] > 0
