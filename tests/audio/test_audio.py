"""Canonical audio: what comes out, that it is whole, and what is said of recordings that cannot be used."""

import errno
import hashlib
import os
import struct

import av
import numpy as np
import pytest
import soundfile
import soxr
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support.processes import child

from earmark.audio import canonical as canonical_module
from earmark.audio import decoding, headers
from earmark.audio.canonical import Policy, canonical_blocks, read_canonical, standardize, to_int16
from earmark.audio.levels import LevelMeter
from earmark.audio.placing import NOTES
from earmark.disk.files import Scratch
from earmark.errors import BadAudioError, DiskFullError

RATE_HZ = 16_000
NONE = Policy(format="none")


def voice(seconds=1.0, rate_hz=RATE_HZ, channels=1, seed=0):
    """Seeded noise through a moving average under a slow envelope, (n, channels) float64 within +-0.7."""
    n = int(seconds * rate_hz)
    noise = np.random.default_rng(seed).standard_normal((n + 8, channels))
    smooth = np.stack([np.convolve(column, np.ones(9) / 9, "valid") for column in noise.T], axis=1)
    return np.clip(smooth * 0.3 * (1.2 + np.sin(np.arange(n) / 900))[:, None], -0.7, 0.7)


def int16(x):
    return np.round(x * 32000).astype(np.int16)


def write(path, samples, rate_hz=RATE_HZ, **options):
    soundfile.write(path, samples, rate_hz, **options)
    return path


def write_av(path, x, rate_hz, codec, container):
    """Encode (n,) float64 with FFmpeg."""
    with av.open(str(path), "w", format=container) as media:
        stream = media.add_stream(codec, rate=rate_hz)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(x.astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate_hz, 0
        convert = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate_hz)
        for piece in [*convert.resample(frame), *convert.resample(None)]:
            media.mux(stream.encode(piece))
        media.mux(stream.encode(None))
    return path


def canonical(path, policy=NONE):
    return np.concatenate(list(canonical_blocks(path, policy)))


def hash_of(samples):
    return xxhash.xxh3_128_hexdigest(samples.astype("<i2").tobytes())


def loudness_error(found, wanted):
    """Energy of the difference over the energy of what is wanted."""
    found, wanted = found.astype(float), wanted.astype(float)
    return ((found - wanted) ** 2).sum() / (wanted**2).sum()


@pytest.fixture
def scratch(tmp_path):
    return Scratch(tmp_path / "scratch")


def leftovers(scratch):
    return [name for name in os.listdir(scratch.tmp) if name != NOTES] if scratch.tmp.exists() else []


# What comes out


def test_rounding_is_half_to_even_and_clips_at_both_ends():
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 32766.5, 32767.5, 32768, 40000, -32768, -32768.5, -40000]) / 32768
    expected = [0, 2, 2, 0, -2, -2, 32766, 32767, 32767, 32767, -32768, -32768, -32768]
    assert to_int16(x).tolist() == expected
    assert to_int16(x.astype(np.float32)).dtype == np.int16


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_float_file_at_16_khz_is_only_rounded(tmp_path, subtype):
    x = np.array([0.5, 1.5, -2.5, 7.25, 32767.5, 50000, -50000]) / 32768
    assert canonical(write(tmp_path / "a.wav", x, subtype=subtype)).tolist() == [0, 2, -2, 7, 32767, 32767, -32768]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {"subtype": "PCM_16"}),
        ("a.flac", {"subtype": "PCM_16"}),
        ("a.aiff", {"subtype": "PCM_16"}),
        ("a.au", {"subtype": "PCM_16"}),
        ("a.w64", {"subtype": "PCM_16"}),
        ("a.caf", {"subtype": "PCM_16"}),
        ("a.rf64", {"subtype": "PCM_16", "format": "RF64"}),
        ("a.rifx", {"subtype": "PCM_16", "format": "WAV", "endian": "BIG"}),
        ("a.nist", {"subtype": "PCM_16", "format": "NIST"}),
        ("a.wavex", {"subtype": "PCM_16", "format": "WAVEX"}),
    ],
)
@pytest.mark.parametrize("form", ["flac", "wav"])
def test_canonical_audio_passes_bit_exactly(tmp_path, scratch, name, options, form):
    samples = np.concatenate([int16(voice())[:, 0], np.array([-32768, 32767, 0, 1, -1], np.int16)])
    source = write(tmp_path / name, samples, **options)
    target = tmp_path / "out" / f"a.{form}"
    found, size = standardize(source, target, Policy(format=form), scratch)
    assert (found.audio_hash, found.n_samples, size) == (hash_of(samples), len(samples), target.stat().st_size)
    back, rate_hz = soundfile.read(target, dtype="int16")
    assert (rate_hz, soundfile.info(target).subtype) == (RATE_HZ, "PCM_16")
    np.testing.assert_array_equal(back, samples)
    np.testing.assert_array_equal(read_canonical(target), samples)
    assert leftovers(scratch) == []


@pytest.mark.parametrize("form", ["flac", "wav"])
def test_source_that_is_what_is_wished_is_copied_byte_for_byte_and_not_linked(tmp_path, scratch, form):
    source = write(tmp_path / f"a.{form}", int16(voice()), subtype="PCM_16")
    target = tmp_path / "out" / f"b.{form}"
    standardize(source, target, Policy(format=form), scratch)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_ino != source.stat().st_ino
    assert target.stat().st_nlink == 1


def test_hash_ignores_container_name_and_tags(tmp_path):
    samples = int16(voice())
    paths = [tmp_path / name for name in ("a.wav", "a.flac", "renamed.opus", "tagged.wav")]
    for path in paths[:2]:
        write(path, samples, subtype="PCM_16")
    paths[2].write_bytes(paths[1].read_bytes())
    with soundfile.SoundFile(paths[3], "w", RATE_HZ, 1, "PCM_16") as file:
        file.title, file.artist = "a title", "someone"
        file.write(samples)
    assert {standardize(path, None, NONE, Scratch(tmp_path))[0].audio_hash for path in paths} == {hash_of(samples)}


@pytest.mark.parametrize(
    ("subtype", "full"), [("PCM_24", 1 << 23), ("PCM_32", 1 << 31), ("PCM_U8", 1 << 7), ("ULAW", None), ("ALAW", None)]
)
def test_other_sample_formats_round_from_their_exact_value(tmp_path, subtype, full):
    x = voice()[:, 0]
    path = write(tmp_path / "a.wav", x, subtype=subtype)
    exact = soundfile.read(path, dtype="float64")[0]
    if full:
        np.testing.assert_array_equal(exact * full, np.round(exact * full))
    np.testing.assert_array_equal(canonical(path), np.clip(np.rint(exact * 32768), -32768, 32767).astype(np.int16))


def test_24_bit_flac_agrees_with_24_bit_wav(tmp_path):
    x = np.round(voice(channels=2) * (1 << 23)).astype(np.int32) << 8
    paths = [write(tmp_path / name, x, subtype="PCM_24") for name in ("a.wav", "a.flac")]
    np.testing.assert_array_equal(canonical(paths[0]), canonical(paths[1]))


@pytest.mark.parametrize("channels", [2, 3, 8])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_downmix_is_the_mean_or_the_named_channel(tmp_path, channels, subtype):
    x = voice(channels=channels)
    path = write(tmp_path / "a.wav", x if subtype == "FLOAT" else int16(x), subtype=subtype)
    exact = soundfile.read(path, dtype="float64")[0]
    np.testing.assert_array_equal(canonical(path), to_int16(sum(exact.T) / channels))
    for number in (0, channels - 1):
        np.testing.assert_array_equal(canonical(path, Policy(channel=number)), to_int16(exact[:, number]))


@pytest.mark.parametrize("quality", ["QQ", "LQ", "MQ", "HQ", "VHQ"])
@pytest.mark.parametrize("rate_hz", [8_000, 24_000, 44_100, 48_000])
def test_resampling_is_soxr_at_the_named_quality(tmp_path, rate_hz, quality):
    samples = int16(voice(0.7, rate_hz))[:, 0]
    path = write(tmp_path / "a.wav", samples, rate_hz, subtype="PCM_16")
    expected = soxr.resample(samples.astype(np.float32) / 32768, rate_hz, RATE_HZ, quality)
    np.testing.assert_array_equal(canonical(path, Policy(resampler=quality)), to_int16(expected))
    assert len(expected) == round(len(samples) * RATE_HZ / rate_hz)


FORMATS = [
    ("wav", 44_100, 2), ("wav", 16_000, 3), ("flac", 8_000, 1), ("flac", 16_000, 1), ("mp3", 16_000, 1),
    ("mp3", 44_100, 2), ("ogg", 24_000, 1), ("opus", 48_000, 1),
]  # fmt: skip


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """One recording a format, and its canonical samples decoded with the usual block size."""
    folder, found = tmp_path_factory.mktemp("recordings"), {}
    for form, rate_hz, channels in FORMATS:
        options = {"format": "OGG", "subtype": "OPUS"} if form == "opus" else {}
        path = write(folder / f"{rate_hz}-{channels}.{form}", voice(1.5, rate_hz, channels), rate_hz, **options)
        found[form, rate_hz, channels] = path, canonical(path)
    return found


@settings(deadline=None, max_examples=40)
@given(which=st.sampled_from(FORMATS), block=st.integers(200, 30_000))
def test_result_does_not_depend_on_the_block_size(recordings, which, block):
    path, expected = recordings[which]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "BLOCK_VALUES", block)
        patch.setattr(decoding, "MIN_BLOCK_FRAMES", 1)
        blocks = list(canonical_blocks(path, NONE))
        assert len(blocks) > 1 or block > len(expected) / 2
        np.testing.assert_array_equal(np.concatenate(blocks), expected)
        assert standardize(path, None, NONE, Scratch(path.parent))[0].audio_hash == hash_of(expected)


@pytest.mark.parametrize(("form", "rate_hz"), [("mp3", 16_000), ("mp3", 44_100), ("ogg", 16_000), ("ogg", 22_050)])
def test_lossy_audio_comes_out_in_time_and_in_full(tmp_path, form, rate_hz):
    x = voice(1.5, rate_hz)[:, 0]
    found = canonical(write(tmp_path / f"a.{form}", x, rate_hz))
    expected = to_int16(soxr.resample(x, rate_hz, RATE_HZ))
    assert len(found) == len(expected)
    assert loudness_error(found, expected) < 0.1


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
@pytest.mark.parametrize("writer", ["ffmpeg", "libsndfile"])
def test_opus_starts_where_the_recording_started(tmp_path, writer, rate_hz):
    x = voice(1.5, rate_hz)[:, 0]
    if writer == "ffmpeg":
        path = write_av(tmp_path / "a.bin", x, rate_hz, "libopus", "ogg")
    else:
        path = write(tmp_path / "a.bin", x, rate_hz, format="OGG", subtype="OPUS")
    found, _ = standardize(path, None, NONE, Scratch(tmp_path))
    samples, expected = canonical(path), to_int16(soxr.resample(x, rate_hz, RATE_HZ))
    assert found.decoder == "pyav/opus"
    assert found.n_samples == len(samples) == len(expected)
    assert loudness_error(samples, expected) < 0.2


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [
        ("a.m4a", "aac", "mp4"),
        ("a.aac", "aac", "adts"),
        ("a.webm", "libopus", "webm"),
        ("a.mkv", "pcm_s16le", "matroska"),
    ],
)
def test_what_libsndfile_cannot_read_goes_through_ffmpeg(tmp_path, scratch, name, codec, container):
    x = voice(1.5, 48_000)[:, 0]
    path = write_av(tmp_path / name, x, 48_000, codec, container)
    found, _ = standardize(path, tmp_path / "a.flac", Policy(), scratch)
    assert found.decoder.startswith("pyav/")
    assert abs(found.n_samples - 1.5 * RATE_HZ) < 0.1 * RATE_HZ  # AAC pads its last frame; ADTS cannot say by how much
    samples, expected = read_canonical(tmp_path / "a.flac"), to_int16(soxr.resample(x, 48_000, RATE_HZ))
    delay = 1024 // 3 if container == "adts" else 0  # nor can ADTS say how long the encoder's delay is
    n = len(expected) - 2 * delay - 400
    assert min(loudness_error(samples[shift : shift + n], expected[:n]) for shift in (delay, delay + 1)) < 0.1


def test_16_bit_samples_in_a_container_for_ffmpeg_pass_bit_exactly(tmp_path):
    x = voice()[:, 0]
    expected = canonical(write_av(tmp_path / "a.wav", x, RATE_HZ, "pcm_s16le", "wav"))
    np.testing.assert_array_equal(
        canonical(write_av(tmp_path / "a.mkv", x, RATE_HZ, "pcm_s16le", "matroska")), expected
    )


@settings(deadline=None, max_examples=60)
@given(arrays(np.int16, st.integers(1, 2000)), st.integers(0, 3), st.lists(st.integers(0, 2000), max_size=4))
def test_levels_are_those_of_the_plain_formulas(samples, shift, cuts):
    samples = samples >> (5 * shift)  # quiet ones too
    meter = LevelMeter()
    for piece in np.split(samples, sorted(cut for cut in cuts if cut < len(samples))):
        if len(piece):
            meter.update(piece)
    x = samples.astype(np.float64) / 32768
    frames = [x[at : at + 320] for at in range(0, len(x), 320)]
    levels = meter.levels()
    assert levels["peak"] == np.abs(x).max()
    assert levels["rms"] == pytest.approx(np.sqrt(np.mean(x**2)), rel=1e-12)
    assert levels["dc"] == pytest.approx(x.mean(), rel=1e-9, abs=1e-15)
    assert levels["clipped"] == np.mean((samples == 32767) | (samples == -32768))
    assert levels["silence"] == np.mean([np.sqrt(np.mean(frame**2)) < 1e-3 for frame in frames])


def test_row_is_json_with_the_facts_of_the_source(tmp_path):
    samples = np.concatenate([np.zeros(320 * 3), np.full(320, 32767), np.full(160, -32768)]).astype(np.int16)
    audio, _ = standardize(write(tmp_path / "a.wav", samples, subtype="PCM_16"), None, NONE, Scratch(tmp_path))
    row = vars(audio)
    assert row | {"rms": 0, "dc": 0} == {
        "audio_hash": hash_of(samples), "n_samples": 1440, "source_rate_hz": 16000, "source_channels": 1,
        "decoder": "soundfile/WAV PCM_16", "peak": 1.0, "rms": 0, "clipped": 1 / 3, "silence": 3 / 5, "dc": 0,
        "defects": ("clipped: 33% of the samples",),
    }  # fmt: skip
    assert {type(value) for value in row.values()} == {str, int, float, tuple}


@pytest.mark.parametrize("form", ["flac", "wav"])
def test_part_of_a_standard_file_is_the_same_samples(tmp_path, form):
    samples = int16(voice(2))[:, 0]
    path = write(tmp_path / f"a.{form}", samples, subtype="PCM_16")
    for start, stop in [(0, 100), (5000, 20_001), (31_999, 32_000), (4096, None)]:
        np.testing.assert_array_equal(read_canonical(path, start, stop), samples[start:stop])
    with pytest.raises(BadAudioError, match=r"truncated: expected 2,000 samples from 31,000, got 1,000"):
        read_canonical(path, 31_000, 33_000)


def test_a_file_that_is_not_canonical_is_not_read_as_if_it_were(tmp_path):
    path = write(tmp_path / "a.wav", voice(rate_hz=8000), 8000, subtype="PCM_16")
    for part in [(), (0, 10)]:
        with pytest.raises(
            BadAudioError, match=r"wrong header: expected 16-bit PCM, 16000 Hz, 1 channel, got .* 8000 Hz"
        ):
            read_canonical(path, *part)


# What is wrong with a recording


def patched(data, *edits):
    data = bytearray(data)
    for at, layout, value in edits:
        struct.pack_into(layout, data, at, value)
    return bytes(data)


@pytest.fixture(scope="module")
def samples():
    return int16(voice(5))[:, 0]


@pytest.fixture(scope="module")
def whole(samples, tmp_path_factory):
    """The bytes of one sound recording in each format."""
    folder = tmp_path_factory.mktemp("whole")
    for name in ("wav", "flac", "ogg", "mp3", "aiff", "au", "nist"):
        write(folder / f"a.{name}", samples, format=name if name == "nist" else None)
    write(folder / "a.opus", samples, format="OGG", subtype="OPUS")
    write_av(folder / "a.m4a", voice(5, 44_100)[:, 0], 44_100, "aac", "mp4")
    write_av(folder / "a.webm", voice(5, 48_000)[:, 0], 48_000, "libopus", "webm")
    write(folder / "a.float", np.where(np.arange(5000) == 4321, np.nan, 0.1), format="WAV", subtype="FLOAT")
    write(folder / "a.inf", np.where(np.arange(5000) == 4321, np.inf, 0.1), 44_100, format="WAV", subtype="FLOAT")
    write(folder / "a.nothing", samples[:0], format="WAV")
    return {path.suffix[1:]: path.read_bytes() for path in folder.iterdir()}


def flip(data, at):
    at = int(len(data) * at)
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def cut(data, share):
    return data[: int(len(data) * share)]


BAD = {
    "0 bytes": ("empty", "got 0 bytes", lambda whole: b""),
    "wav without samples": ("no samples", "got 0", lambda whole: whole["nothing"]),
    "flac without samples": (
        "no samples", "got 0", lambda whole: b"fLaC\x80" + whole["flac"][5:21] + b"\xf0" + bytes(20),
    ),
    "wav without a data chunk": ("no samples", "expected a data chunk", lambda whole: whole["wav"][:36]),
    "cut wav": ("truncated", "expected 160,000 bytes of samples, got 79,978", lambda whole: cut(whole["wav"], 0.5)),
    "wav cut in its header": ("truncated", "'fmt ' chunk, got 30", lambda whole: whole["wav"][:30]),
    "cut flac": ("truncated", "expected 80,000 samples, got 53,248 in", lambda whole: cut(whole["flac"], 0.7)),
    "flac cut by one byte": ("truncated", "expected 80,000 samples", lambda whole: whole["flac"][:-1]),
    "flac cut in its header": ("truncated", "FLAC header, got 20", lambda whole: whole["flac"][:20]),
    "cut ogg": ("truncated", "end of an Ogg page", lambda whole: cut(whole["ogg"], 0.8)),
    "cut opus": ("truncated", "end of an Ogg page", lambda whole: cut(whole["opus"], 0.8)),
    "opus cut between pages": (
        "truncated", "last Ogg page", lambda whole: whole["opus"][: whole["opus"].rindex(b"OggS")],
    ),
    "cut mp3": ("truncated", "MP3 frames, got", lambda whole: cut(whole["mp3"], 0.6)),
    "cut aiff": ("truncated", "bytes of samples", lambda whole: cut(whole["aiff"], 0.6)),
    "cut au": ("truncated", "bytes of samples", lambda whole: cut(whole["au"], 0.6)),
    "cut sphere": ("truncated", "bytes of samples", lambda whole: cut(whole["nist"], 0.6)),
    "cut webm": ("truncated", r"expected 5\.\d+ s, got [34]\.\d+ s", lambda whole: cut(whole["webm"], 0.8)),
    "cut m4a": ("undecodable", "FFmpeg: Invalid data", lambda whole: cut(whole["m4a"], 0.8)),
    "nan": ("not finite", "got nan at sample 4,321", lambda whole: whole["float"]),
    "infinity before resampling": ("not finite", "got inf at sample 4,321", lambda whole: whole["inf"]),
    "random bytes": ("undecodable", "libsndfile: Format not recog", lambda whole: np.random.default_rng(3).bytes(9000)),
    "wav of unknown codec": ("undecodable", "expected", lambda whole: patched(whole["wav"], (20, "<H", 0x7777))),
    "html": ("not audio", "an HTML page", lambda whole: b"\n<!DOCTYPE html><html><body>404</body></html>"),
    "json": ("not audio", "JSON", lambda whole: b'{"error": "not found"}'),
    "text": ("not audio", "text: 'Access denied'", lambda whole: b"Access denied"),
    "accented text": ("not audio", "text: 'Accès refusé", lambda whole: "Accès refusé. ".encode() * 100),
    "lfs pointer": ("not audio", "a Git LFS pointer", lambda whole: b"version https://git-lfs.github.com/spec/v1\noid"),
    "zip": ("not audio", "a ZIP archive", lambda whole: b"PK\x03\x04" + bytes(range(256))),
    "gzip": ("not audio", "gzip", lambda whole: b"\x1f\x8b" + bytes(range(256))),
    "jpeg": ("not audio", "a JPEG image", lambda whole: b"\xff\xd8\xff\xe0" + bytes(range(256))),
    "apple double": ("not audio", "an AppleDouble file", lambda whole: b"\x00\x05\x16\x07\x00\x02" + bytes(100)),
    "zeros": ("not audio", "zero bytes", lambda whole: bytes(10_000)),
    "wav at 0 Hz": ("wrong header", "got 0 Hz", lambda whole: patched(whole["wav"], (24, "<I", 0))),
    "wav at 2 MHz": ("wrong header", "got 2,000,000 Hz", lambda whole: patched(whole["wav"], (24, "<I", 2_000_000))),
    "wav of 0 channels": ("wrong header", "got 0", lambda whole: patched(whole["wav"], (22, "<H", 0))),
    "flac at 0 Hz": ("wrong header", "got 0 Hz", lambda whole: patched(whole["flac"], (18, ">H", 0), (20, ">B", 0))),
    "flac of another md5": ("corrupt", "expected samples of MD5", lambda whole: patched(whole["flac"], (26, ">I", 7))),
    "flipped flac": ("corrupt", "expected 80,000 samples, got an error", lambda whole: flip(whole["flac"], 0.6)),
    "flipped opus": ("corrupt", "expected CRC", lambda whole: flip(whole["opus"], 0.6)),
    "flipped ogg": ("corrupt", "expected CRC", lambda whole: flip(whole["ogg"], 0.6)),
    "opus without a page": (
        "corrupt", "expected Ogg page 2, got 3", lambda whole: without_page(whole["opus"], 2),
    ),
}  # fmt: skip


def without_page(data, number):
    starts = [at for at in range(len(data)) if data.startswith(b"OggS", at)]
    return data[: starts[number]] + data[starts[number + 1] :]


@pytest.mark.parametrize("what", BAD)
def test_bad_recording_is_named_by_kind_in_one_line_and_leaves_no_file(tmp_path, scratch, whole, what):
    kind, detail, make = BAD[what]
    path, target = tmp_path / "a.wav", tmp_path / "out" / "a.flac"
    path.write_bytes(make(whole))
    with pytest.raises(BadAudioError, match=detail) as caught:
        standardize(path, target, Policy(), scratch)
    assert caught.value.kind == kind
    assert "\n" not in str(caught.value)
    assert (list(target.parent.iterdir()), leftovers(scratch)) == ([], [])


def test_what_is_no_readable_file_is_unreadable(tmp_path, scratch):
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    for name, detail in [
        ("gone", "No such file"),
        ("folder", "a folder, a pipe"),
        ("pipe", "a pipe"),
        ("loop", "Too many"),
    ]:
        with pytest.raises(BadAudioError, match=rf"unreadable: expected .*{detail}"):
            standardize(tmp_path / f"{name}.wav", tmp_path / "a.flac", Policy(), scratch)


def test_a_channel_that_is_not_there_is_refused(tmp_path):
    path = write(tmp_path / "a.wav", voice(channels=2))
    with pytest.raises(BadAudioError, match="no such channel: expected a channel from 0 to 1, got 2 in the catalog"):
        canonical(path, Policy(channel=2))


def test_a_playlist_cannot_make_the_decoder_open_other_files(tmp_path):
    write_av(tmp_path / "secret.ts", voice(1, 48_000)[:, 0], 48_000, "aac", "mpegts")
    (tmp_path / "a.m4a").write_bytes(b"\x01ffconcat version 1.0\nfile secret.ts\n")
    with pytest.raises(BadAudioError, match="undecodable"):
        canonical(tmp_path / "a.m4a")
    assert not {"hls", "concat", "dash", "image2", "lavfi"} & set(
        decoding.FFMPEG_OPTIONS["format_whitelist"].split(",")
    )


@pytest.mark.parametrize("stated", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_wav_whose_sizes_were_never_filled_in_is_read_to_its_end(tmp_path, scratch, whole, samples, stated):
    path, target = tmp_path / "a.wav", tmp_path / "b.wav"
    path.write_bytes(patched(whole["wav"], (4, "<I", stated), (40, "<I", stated)))
    np.testing.assert_array_equal(canonical(path), samples)
    standardize(path, target, Policy(format="wav"), scratch)
    assert target.read_bytes() == whole["wav"]


def test_flac_without_md5_or_length_is_read_to_its_end(tmp_path, whole, samples):
    data = bytearray(whole["flac"])
    data[26:42] = bytes(16)
    (tmp_path / "a.flac").write_bytes(data)
    np.testing.assert_array_equal(canonical(tmp_path / "a.flac"), samples)
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(data)
    np.testing.assert_array_equal(canonical(tmp_path / "a.flac"), samples)


@settings(deadline=None, max_examples=80)
@given(form=st.sampled_from(["flac", "opus", "ogg"]), at=st.floats(0.25, 0.999), bit=st.integers(0, 7))
def test_no_flipped_bit_passes_where_the_format_has_checksums(whole, tmp_path_factory, form, at, bit):
    data, place = bytearray(whole[form]), int(len(whole[form]) * at)
    data[place] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / f"flipped.{form}"
    path.write_bytes(data)
    with pytest.raises(BadAudioError) as caught:
        canonical(path)
    assert caught.value.kind in {"corrupt", "truncated"}


@settings(deadline=None, max_examples=80)
@given(form=st.sampled_from(["wav", "flac", "opus", "ogg", "aiff", "au", "nist"]), share=st.floats(0.01, 0.999))
def test_no_cut_passes_where_the_format_states_its_length(whole, tmp_path_factory, form, share):
    path = tmp_path_factory.getbasetemp() / f"cut.{form}"
    path.write_bytes(cut(whole[form], share))
    with pytest.raises(BadAudioError) as caught:
        canonical(path, Policy(format="none", max_short=0.0))
    assert caught.value.kind in {"truncated", "no samples", "undecodable", "not audio", "wrong header"}


@settings(deadline=None, max_examples=60)
@given(head=st.sampled_from([b"", b"RIFF", b"fLaC", b"OggS", b"ID3", b"\xff\xfb"]), data=st.binary(max_size=300))
def test_no_bytes_make_the_header_check_fail_otherwise_than_by_its_own_error(tmp_path_factory, head, data):
    path = tmp_path_factory.getbasetemp() / "any.bin"
    path.write_bytes(head + data)
    with path.open("rb") as file:
        try:
            headers.inspect(file.fileno(), path.stat().st_size, 0.1)
        except BadAudioError as error:
            assert "\n" not in str(error)


# Disk and memory


@pytest.mark.slow
@pytest.mark.parametrize("case", ["flac from wav", "wav from flac", "flac copied", "wav copied"])
def test_full_disk_is_said_in_one_line_and_leaves_no_file(tmp_path, case):
    form = case.split()[0]
    source = write(tmp_path / f"a.{case.split()[-1]}" if "from" in case else tmp_path / f"a.{form}", int16(voice(20)))
    out, err = child(
        """
        import resource, sys
        from pathlib import Path
        from earmark.audio.canonical import Policy, standardize
        from earmark.errors import DiskFullError
        from earmark.disk.files import Scratch

        source, target, scratch, form = sys.argv[1:]
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            standardize(Path(source), Path(target), Policy(format=form), Scratch(Path(scratch)))
        except DiskFullError as error:
            print(error)
        """,
        source, tmp_path / "out" / "b", tmp_path / "scratch", form,
    )  # fmt: skip
    assert out.count("\n") == 1
    assert "out/b: disk full or file size limit reached" in out
    assert err == ""
    assert (os.listdir(tmp_path / "out"), os.listdir(tmp_path / "scratch")) == ([], [])


def test_a_write_that_failed_once_is_not_forgotten_when_later_ones_succeed(tmp_path, scratch, monkeypatch):
    source, calls, write_on = write(tmp_path / "a.wav", int16(voice())), [], canonical_module._Sink._try

    def fail_once(sink, action, *args):
        calls.append(action)
        if len(calls) == 1:
            sink.error = OSError(errno.ENOSPC, "No space left on device")
        return write_on(sink, action, *args)

    monkeypatch.setattr(canonical_module._Sink, "_try", fail_once)
    with pytest.raises(DiskFullError, match="disk full"):
        standardize(source, tmp_path / "out" / "a.flac", Policy(), scratch)
    assert (os.listdir(tmp_path / "out"), leftovers(scratch)) == ([], [])


def test_folder_that_cannot_be_made_is_said_in_one_line(tmp_path, scratch):
    source = write(tmp_path / "a.wav", int16(voice()))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DiskFullError, match="/file: cannot be written"):
        standardize(source, tmp_path / "file" / "a.flac", Policy(), scratch)


@pytest.mark.slow
def test_forty_minutes_of_eight_channels_take_no_more_memory_than_some_blocks(tmp_path):
    minute = int16(voice(60, channels=8)).tobytes()
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + 40 * len(minute), b"WAVE", b"fmt ", 16, 1, 8, RATE_HZ,
                         RATE_HZ * 16, 16, 16, b"data", 40 * len(minute))  # fmt: skip
    with (tmp_path / "a.wav").open("wb") as file:
        file.write(header)
        for _ in range(40):
            file.write(minute)
    out, _ = child(
        """
        import sys
        from pathlib import Path
        from support.memory import peak_bytes, reset_peak
        from earmark.audio.canonical import Policy, standardize
        from earmark.disk.files import Scratch

        before = reset_peak()
        found, _ = standardize(Path(sys.argv[1]), Path(sys.argv[2]), Policy(format="wav"), Scratch(Path(sys.argv[3])))
        print(found.n_samples, peak_bytes() - before, peak_bytes())
        """,
        tmp_path / "a.wav", tmp_path / "b.wav", tmp_path / "scratch",
    )  # fmt: skip
    n_samples, growth, resident = map(int, out.split())
    assert n_samples == 40 * 60 * RATE_HZ
    assert growth < 100e6  # the file is 614 MB: growth that went with length would show
    assert resident < 500e6


def test_md5_that_a_flac_states_is_that_of_its_samples(tmp_path, samples):
    """The layout that the check relies on: little-endian samples of the file's own width, channels interleaved."""
    path = write(tmp_path / "a.flac", samples, subtype="PCM_16")
    assert path.read_bytes()[26:42] == hashlib.md5(samples.astype("<i2").tobytes()).digest()
