"""Where sound ends: by what a stream holds, whatever its header or a decoder's guess says."""

import os
import struct

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.damaged import RATE_HZ, mp3_frames, muxed, tone, written

from earmark.audio import chunked, defects, mpeg
from earmark.audio.canonical import canonical_blocks, standardize
from earmark.audio.chunked import Layout, is_placeholder
from earmark.audio.decoding import inspect_file, open_decoder
from earmark.audio.doubts import is_still_true
from earmark.audio.ogg import _crc
from earmark.audio.policy import Policy, stated_max_short
from earmark.audio.table import GoodAudio
from earmark.disk.files import Scratch
from earmark.errors import BadAudioError

X = tone(2.0)
N = len(X)
PCM = {"subtype": "PCM_16"}
INFO = b"LIST" + struct.pack("<I4s6s", 10, b"INFO", b"abcdef")


def decoded(path, data, max_short=0.1):
    """Return samples, defects and the decoder's name."""
    path.write_bytes(data)
    with open_decoder(path, max_short) as decoder:
        return np.concatenate(list(decoder.blocks))[:, 0], decoder.defects, decoder.name


def patched(data, *edits):
    data = bytearray(data)
    for at, layout, value in edits:
        struct.pack_into(layout, data, at, value)
    return bytes(data)


@pytest.fixture(scope="module")
def whole():
    """One file of each form, 2 s at 16 kHz."""
    vbr = written("MP3", X, bitrate_mode="VARIABLE", compression_level=0.3)
    return {
        "wav": written("WAV", X, **PCM),
        "ext": written("WAVEX", X, subtype="PCM_24"),
        "aiff": written("AIFF", X, **PCM),
        "au": written("AU", X, **PCM),
        "caf": written("CAF", X, **PCM),
        "w64": written("W64", X, **PCM),
        "rf64": written("RF64", X, **PCM),
        "flac": written("FLAC", X, **PCM),
        "vorbis": written("OGG", X, subtype="VORBIS"),
        "opus": muxed("libopus", "ogg", np.repeat(X, 3), 48_000),
        "mp3": vbr,
        "cbr": muxed("libmp3lame", "mp3", X, bit_rate=64_000, write_xing="0", id3v2_version="0"),
    }


@pytest.fixture(scope="module")
def samples(whole, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "a"
    return {name: decoded(path, data)[0] for name, data in whole.items()}


# MP3


def quiet_then_loud():
    """A VBR stream whose first frames say nothing of the rest, without its Xing frame: as a pipe leaves it."""
    x = np.concatenate([0.001 * tone(2.0), tone(4.0)])
    data = written("MP3", x, bitrate_mode="VARIABLE", compression_level=0.3)
    return b"".join(mp3_frames(data)[1:])


def test_an_mp3_of_a_pipe_is_read_to_its_last_frame(tmp_path):
    data = quiet_then_loud()
    n_frames = len(mp3_frames(data))
    for first in (0, 80):  # the guess is too long from the one, too short from the other
        part = b"".join(mp3_frames(data)[first:])
        found, told, _ = decoded(tmp_path / "a.mp3", part)
        assert abs(len(found) - (n_frames - first) * 576) <= 2 * 576
        assert told == []


@pytest.mark.parametrize("name", ["mp3", "cbr"])
def test_mp3s_laid_end_to_end_are_read_to_the_end(tmp_path, whole, samples, name):
    found, told, _ = decoded(tmp_path / "a.mp3", whole[name] * 3)
    assert abs(len(found) - 3 * len(samples[name])) <= 1152
    assert told == []


def test_of_mp3s_that_say_where_they_begin_each_is_what_it_is_alone(tmp_path, whole, samples):
    found, _, _ = decoded(tmp_path / "a.mp3", whole["mp3"] * 2)
    np.testing.assert_array_equal(found, np.tile(samples["mp3"], 2))


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_an_xing_frame_that_counts_too_few_frames_is_not_believed(tmp_path, whole, samples, share):
    at = whole["mp3"].index(b"Xing") + 8
    frames = struct.unpack_from(">I", whole["mp3"], at)[0]
    found, told, _ = decoded(tmp_path / "a.mp3", patched(whole["mp3"], (at, ">I", int(frames * share))))
    np.testing.assert_array_equal(found, samples["mp3"])
    assert told == []


def test_frames_that_an_xing_frame_counts_and_that_are_not_there_are_missed(tmp_path, whole):
    frames = mp3_frames(whole["mp3"])
    _, told, _ = decoded(tmp_path / "a.mp3", b"".join(frames[:-2]))
    assert told == ["shorter than its header: 0.072 s"]
    with pytest.raises(BadAudioError, match=r"truncated: expected 58 MP3 frames, got 52"):
        decoded(tmp_path / "a.mp3", b"".join(frames[:-6]))
    with pytest.raises(BadAudioError, match="truncated"):
        decoded(tmp_path / "a.mp3", b"".join(frames[:-2]), max_short=0.05)


ID3 = b"ID3\4\0\0" + bytes([0, 64, 0, 0])  # of 1 MiB


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        (ID3 + b"\xff\xfb\x90\x64" * (1 << 18), b""),  # a picture that looks like frames
        ((b"ID3\3\0\0\0\0\0\x10" + bytes(16)) * 3, b""),
        (b"", b"TAG" + b"t" * 125),
        (b"", b"TAG+" + b"t" * 223 + b"TAG" + b"t" * 125),
        (b"", b"i" * 50 + b"APETAGEX" + struct.pack("<III", 2000, 82, 1) + struct.pack("<I", 0) + bytes(8)),
        (b"", b"LYRICSBEGININD0000500000" + b"000024LYRICS200" + b"TAG" + b"t" * 125),
    ],
    ids=["a picture", "three ID3v2", "ID3v1", "extended ID3v1", "APEv1", "lyrics"],
)
@pytest.mark.parametrize("name", ["mp3", "cbr"])
def test_tags_around_an_mp3_change_nothing(tmp_path, whole, samples, name, before, behind):
    found, told, _ = decoded(tmp_path / "a.mp3", before + whole[name] + behind)
    np.testing.assert_array_equal(found, samples[name])
    assert told == []


def test_what_is_no_frame_between_frames_is_told_and_passed_over(tmp_path, whole, samples):
    frames = mp3_frames(whole["mp3"])
    data = b"".join(frames[:25]) + bytes(5000) + b"".join(frames[25:])
    found, told, _ = decoded(tmp_path / "a.mp3", data)
    assert len(found) == len(samples["mp3"])
    assert told == [f"bytes that are no sound: 5,000, from byte {sum(map(len, frames[:25])):,} on"]


def test_an_mp3_that_goes_on_at_another_rate_is_not_one_recording(tmp_path, whole):
    other = written("MP3", tone(1.0, 44_100), 44_100)
    with pytest.raises(BadAudioError, match=r"not one recording: .*16,000 Hz throughout, got layer 3 at 44,100 Hz"):
        decoded(tmp_path / "a.mp3", whole["mp3"] + other)
    stereo = written("MP3", np.stack([X, X], 1))
    with pytest.raises(BadAudioError, match="not one recording: expected 1 channels throughout"):
        decoded(tmp_path / "a.mp3", whole["cbr"] + stereo)


def test_free_format_frames_are_walked_by_their_distance(tmp_path, whole, samples):
    frames = [bytes([*frame[:2], frame[2] & 0x0F, *frame[3:]]) for frame in mp3_frames(whole["cbr"])]
    path = tmp_path / "a.mp3"
    path.write_bytes(b"".join(frames))
    assert inspect_file(path, 0.1).links[0].n_samples == len(samples["cbr"])


@pytest.mark.parametrize(("version", "name"), [(3, "MPEG-1"), (2, "MPEG-2"), (0, "MPEG-2.5")])
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_frames_of_every_version_and_layer_have_their_length(version, name, layer):
    """By the formula of the standard, at the highest bit rate: slots of 4 bytes in layer I, of 1 in the others."""
    rate_hz = {3: 48_000, 2: 24_000, 0: 12_000}[version]
    kbit_s = {(3, 1): 448, (3, 2): 384, (3, 3): 320}.get((version, layer), 256 if layer == 1 else 160)
    header = bytes([0xFF, 0xE0 | version << 3 | (4 - layer) << 1 | 1, 14 << 4 | 1 << 2, 0])
    kind = mpeg._kind(header)
    assert kind is not None and (kind.rate_hz, kind.layer) == (rate_hz, layer), name
    seconds = kind.samples / rate_hz
    assert kind.lengths[header[:3]] == int(kbit_s * 1000 * seconds / 8 / (4 if layer == 1 else 1)) * (
        4 if layer == 1 else 1
    )


def protected(frames):
    """Give frames a CRC that is right: over the header's last two bytes and the side information, 9 bytes of it."""
    made = []
    for frame in frames:
        head, body = bytes([frame[0], frame[1] & 0xFE, *frame[2:4]]), frame[4:]
        crc = 0xFFFF
        for byte in head[2:] + body[:9]:
            for bit in range(7, -1, -1):
                crc = (crc << 1 ^ (0x8005 if (crc >> 15 ^ byte >> bit) & 1 else 0)) & 0xFFFF
        made.append(head + struct.pack(">H", crc) + body[:-2])
    return made


def test_the_crc_of_a_protected_mp3_frame_is_compared(tmp_path, whole):
    frames = protected(mp3_frames(whole["cbr"]))
    path = tmp_path / "a.mp3"
    path.write_bytes(b"".join(frames))
    assert inspect_file(path, 0.1).defects == ()
    frames[9] = frames[9][:8] + bytes([frames[9][8] ^ 4]) + frames[9][9:]
    path.write_bytes(b"".join(frames))
    with pytest.raises(BadAudioError, match="corrupt: expected frames of the CRC"):
        inspect_file(path, 0.1)


def test_a_writer_whose_crcs_are_all_wrong_is_not_taken_for_damage(tmp_path, whole):
    frames = [frame[:4] + b"\0\1" + frame[6:] for frame in protected(mp3_frames(whole["cbr"]))]
    (tmp_path / "a.mp3").write_bytes(b"".join(frames))
    assert inspect_file(tmp_path / "a.mp3", 0.1).defects == ()


# Ogg


@pytest.mark.parametrize("name", ["vorbis", "opus"])
def test_every_link_of_a_chained_ogg_is_read(tmp_path, whole, samples, name):
    found, told, _ = decoded(tmp_path / "a.ogg", whole[name] * 3)
    np.testing.assert_array_equal(found, np.tile(samples[name], 3))
    assert told == []


def test_a_chain_whose_links_differ_is_not_one_recording(tmp_path, whole):
    others = [
        written("OGG", tone(1.0, 8_000), 8_000, subtype="VORBIS"),
        written("OGG", np.stack([X, X], 1), subtype="VORBIS"),
        whole["opus"],
    ]
    for other in others:
        with pytest.raises(BadAudioError, match="not one recording: expected vorbis at 16,000 Hz of 1 channels"):
            decoded(tmp_path / "a.ogg", whole["vorbis"] + other)


def with_last_granule(data, change):
    at = data.rindex(b"OggS")
    data = patched(data, (at + 6, "<q", struct.unpack_from("<q", data, at + 6)[0] + change), (at + 22, "<I", 0))
    return patched(data, (at + 22, "<I", _crc(data[at:])))


def test_a_last_page_that_ends_before_the_one_ahead_of_it_is_told(tmp_path, whole):
    _, told, _ = decoded(tmp_path / "a.opus", with_last_granule(whole["opus"], -60_000))
    assert [defects.kind_of(one) for one in told] == [defects.LONGER]


def test_a_last_page_that_states_more_than_it_holds_is_told_or_refused(tmp_path, whole):
    _, told, _ = decoded(tmp_path / "a.opus", with_last_granule(whole["opus"], 3_000))
    assert [defects.kind_of(one) for one in told] == [defects.SHORTER]
    with pytest.raises(BadAudioError, match="truncated"):
        decoded(tmp_path / "a.opus", with_last_granule(whole["opus"], 20_000))


# FLAC


def states(data, n):
    fields = int.from_bytes(data[18:26], "big") >> 36 << 36 | n
    return data[:18] + fields.to_bytes(8, "big") + data[26:]


@pytest.mark.parametrize("md5", [True, False])
@pytest.mark.parametrize("stated", [0, N // 2, N - 1])
def test_a_flac_that_states_too_few_samples_is_read_to_its_end(tmp_path, whole, samples, md5, stated):
    data = states(whole["flac"], stated)
    found, told, _ = decoded(tmp_path / "a.flac", data if md5 else data[:26] + bytes(16) + data[42:])
    np.testing.assert_array_equal(found, samples["flac"])
    assert told == []


def test_a_flac_whose_md5_is_that_of_its_first_half_is_corrupt(tmp_path, whole):
    half = written("FLAC", X[: N // 2], **PCM)[26:42]
    with pytest.raises(BadAudioError, match="corrupt: expected samples of MD5"):
        decoded(tmp_path / "a.flac", states(whole["flac"][:26] + half + whole["flac"][42:], N // 2))


def test_a_flac_that_states_too_many_samples_is_judged_by_time(tmp_path, whole, samples):
    found, told, _ = decoded(tmp_path / "a.flac", states(whole["flac"], N + 800))
    np.testing.assert_array_equal(found, samples["flac"])
    assert told == ["shorter than its header: 0.050 s"]
    with pytest.raises(BadAudioError, match=f"truncated: expected {N + 8000:,} samples, got {N:,} in whole frames"):
        decoded(tmp_path / "a.flac", states(whole["flac"], N + 8000))


def test_a_flac_cut_in_its_last_frame_ends_with_the_frame_before(tmp_path, whole, samples):
    found, told, _ = decoded(tmp_path / "a.flac", whole["flac"][:-9], max_short=0.3)
    assert len(found) == N // 4096 * 4096
    np.testing.assert_array_equal(found, samples["flac"][: len(found)])
    assert told == [f"shorter than its header: {(N - len(found)) / RATE_HZ:.3f} s"]


@pytest.mark.parametrize(
    "behind",
    [b"TAG" + b" " * 125, b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0) + bytes(8), bytes(9000), b"some text"],
    ids=["ID3v1", "APEv2", "zeros", "text"],
)
def test_what_stands_behind_a_flac_changes_nothing(tmp_path, whole, samples, behind):
    found, told, _ = decoded(tmp_path / "a.flac", whole["flac"] + behind)
    np.testing.assert_array_equal(found, samples["flac"])
    assert told == []


def test_flacs_laid_end_to_end_are_each_read_and_compared_with_its_md5(tmp_path, whole, samples):
    found, told, _ = decoded(tmp_path / "a.flac", whole["flac"] * 2)
    np.testing.assert_array_equal(found, np.tile(samples["flac"], 2))
    assert told == []
    damaged = whole["flac"] + whole["flac"][:26] + b"\1" + whole["flac"][27:]
    with pytest.raises(BadAudioError, match="corrupt: expected samples of MD5"):
        decoded(tmp_path / "a.flac", damaged)
    with pytest.raises(BadAudioError, match="not one recording"):
        decoded(tmp_path / "a.flac", whole["flac"] + written("FLAC", tone(1.0, 8_000), 8_000))


def test_a_joined_flac_is_never_copied_as_a_standard_file(tmp_path, whole):
    (tmp_path / "a.flac").write_bytes(whole["flac"] * 2)
    audio, _ = standardize(tmp_path / "a.flac", tmp_path / "out" / "a.flac", Policy(), Scratch(tmp_path / "scratch"))
    assert audio.n_samples == 2 * N
    assert decoded(tmp_path / "b", (tmp_path / "out" / "a.flac").read_bytes())[1:] == ([], "soundfile/FLAC PCM_16")
    assert inspect_file(tmp_path / "out" / "a.flac", 0.0).as_it_is


# Containers that state their size

CAF, W64 = b"data\0\0\0\0", b"data\xf3"


def sizes(form, data, n_bytes):
    """State another number of bytes of samples, in every place of a header."""
    return {
        "wav": lambda: patched(data, (4, "<I", (36 + n_bytes) % 2**32), (40, "<I", n_bytes % 2**32)),
        "ext": lambda: patched(data, (4, "<I", (72 + n_bytes) % 2**32), (data.index(b"data") + 4, "<I", n_bytes)),
        "rf64": lambda: patched(data, (20, "<Q", 96 + n_bytes), (28, "<Q", n_bytes)),
        "aiff": lambda: patched(
            data,
            (4, ">I", (46 + n_bytes) % 2**32),
            (22, ">I", n_bytes // 2),
            (data.index(b"SSND") + 4, ">I", n_bytes + 8),
        ),
        "au": lambda: patched(data, (8, ">I", n_bytes)),
        "caf": lambda: patched(data, (data.index(CAF) + 4, ">Q", n_bytes + 4)),
        "w64": lambda: patched(data, (data.index(W64) + 16, "<Q", n_bytes + 24)),
    }[form]()


SIZED = ["wav", "rf64", "aiff", "au", "caf", "w64"]


@pytest.mark.parametrize("form", [*SIZED, "ext"])
def test_a_size_too_small_is_told_and_the_rest_is_read(tmp_path, whole, samples, form):
    frame = 3 if form == "ext" else 2
    stated = N * frame // 3 // frame * frame
    found, told, _ = decoded(tmp_path / "a", sizes(form, whole[form], stated))
    np.testing.assert_array_equal(found, samples[form])
    assert told == [f"longer than its header: {N * frame - stated:,} bytes follow, read as sound too"]


@pytest.mark.parametrize("form", [*SIZED, "ext"])
def test_a_file_cut_short_is_kept_within_the_limit_in_time_and_else_truncated(tmp_path, whole, samples, form):
    frame = 3 if form == "ext" else 2
    for seconds in (0.023, 0.068, 0.1):
        data = whole[form][: -int(seconds * RATE_HZ) * frame]
        found, told, _ = decoded(tmp_path / "a", data)
        np.testing.assert_array_equal(found, samples[form][: len(found)])
        assert told == [f"shorter than its header: {seconds:.3f} s"]
    for share, limit in ((0.6, 0.1), (0.94, 0.1), (0.98, 0.0)):
        with pytest.raises(BadAudioError, match=r"truncated: expected .* bytes of samples"):
            decoded(tmp_path / "a", whole[form][: int(len(whole[form]) * share)], limit)


@pytest.mark.parametrize("form", ["wav", "aiff", "au", "rf64"])
@pytest.mark.parametrize("stated", [0, 2_000_000_000, 0x7FFFFFFF - 36, 0xFFFFFFFF - 44, 0x7F000000, 0x7FFFF000])
def test_a_size_that_no_writer_could_go_back_to_means_up_to_the_end(tmp_path, whole, samples, form, stated):
    found, told, _ = decoded(tmp_path / "a", sizes(form, whole[form], stated))
    np.testing.assert_array_equal(found, samples[form])
    assert told == []


@pytest.mark.parametrize("form", ["caf", "w64"])
def test_a_wide_size_that_is_not_known_means_up_to_the_end(tmp_path, whole, samples, form):
    mark, layout = {"caf": (CAF, (4, ">q", -1)), "w64": (W64, (16, "<q", -1))}[form]
    at, kind, value = layout
    data = patched(whole[form], (whole[form].index(mark) + at, kind, value))
    found, told, _ = decoded(tmp_path / "a", data)
    np.testing.assert_array_equal(found, samples[form])
    assert told == []


def test_a_size_that_a_recording_could_have_had_is_no_placeholder():
    sizes_of_hours = [hours * 3600 * 16_000 * 2 + n * 320 for hours in range(2, 36) for n in range(100)]
    layout = Layout("wav", 44, 0, 0, 2, 32_000, ())
    taken = [n for n in sizes_of_hours if is_placeholder(Layout(**vars(layout) | {"stated": n}), 64_000)]
    assert len(taken) < len(sizes_of_hours) / 500


@pytest.mark.parametrize("more", [8, 36, 44])
def test_a_size_that_counts_the_header_is_right(tmp_path, whole, samples, more):
    found, told, _ = decoded(tmp_path / "a", patched(whole["wav"], (40, "<I", 2 * N + more)))
    np.testing.assert_array_equal(found, samples["wav"])
    assert told == []


@pytest.mark.parametrize(
    "behind",
    [INFO, INFO[:-4], b"\0" + INFO, b"id3 " + struct.pack("<I", 20) + bytes(20), b"TAG" + b"x" * 125, bytes(3000)],
    ids=["LIST", "LIST cut", "padding", "id3", "ID3v1", "zeros"],
)
def test_chunks_and_tags_behind_the_samples_are_no_sound(tmp_path, whole, samples, behind):
    found, told, _ = decoded(tmp_path / "a.wav", whole["wav"] + behind)
    np.testing.assert_array_equal(found, samples["wav"])
    assert told == []


@pytest.mark.parametrize("padding", [b"", b"\0"])
def test_samples_of_odd_size_may_be_padded_or_not(tmp_path, padding):
    data = written("WAV", X[:999], subtype="PCM_24")
    data = patched(data, (4, "<I", 36 + 2997), (40, "<I", 2997))[: 44 + 2997]
    for behind in (b"", INFO):
        found, told, _ = decoded(tmp_path / "a.wav", data + padding + behind)
        assert (len(found), told) == (999, [])


def test_a_data_chunk_of_no_bytes_is_empty_only_if_no_samples_follow(tmp_path, whole, samples):
    found, told, _ = decoded(tmp_path / "a.wav", patched(whole["wav"], (40, "<I", 0)))
    np.testing.assert_array_equal(found, samples["wav"])
    assert told == []
    with pytest.raises(BadAudioError, match="no samples"):
        decoded(tmp_path / "a.wav", patched(whole["wav"][:44], (40, "<I", 0)) + INFO)


@pytest.mark.parametrize("behind", ["another WAV file", "a second data chunk"])
def test_sound_behind_the_samples_that_is_another_thing_is_told(tmp_path, whole, samples, behind):
    more = whole["wav"] if "file" in behind else b"data" + struct.pack("<I", 6400) + whole["wav"][44:6444]
    found, told, _ = decoded(tmp_path / "a.wav", whole["wav"] + more)
    np.testing.assert_array_equal(found, samples["wav"])
    assert [defects.kind_of(one) for one in told] == [defects.LONGER]
    assert f"{6400 if 'chunk' in behind else len(more):,} bytes" in told[0]


def sparse_wav(path, n_bytes):
    """Write a WAV of that many bytes of silence, whose 32-bit sizes have wrapped; it takes no room on the disk."""
    head = written("WAV", np.ones(8) * 0.5, **PCM)[:44]
    path.write_bytes(patched(head, (4, "<I", (n_bytes + 36) % 2**32), (40, "<I", n_bytes % 2**32)) + b"\1\2\3\4" * 64)
    os.truncate(path, 44 + n_bytes)


def test_sizes_that_wrapped_at_32_bits_are_unwrapped(tmp_path):
    n_bytes = 5 * 10**9
    sparse_wav(tmp_path / "a.wav", n_bytes)
    container = inspect_file(tmp_path / "a.wav", 0.1)
    assert container.defects == ()
    (link,) = container.links
    assert link.n_samples == n_bytes // 2
    assert link.pieces[0][:4] == b"RF64"
    with open_decoder(tmp_path / "a.wav") as decoder:
        assert decoder.name == "soundfile/RF64 PCM_16"
        assert len(next(decoder.blocks)) == 1 << 20


def test_sizes_that_wrap_are_decoded_to_the_end(tmp_path, whole, samples, monkeypatch):
    monkeypatch.setattr(chunked, "_WRAP", 1 << 15)  # 2 s are 64,000 bytes: one lap
    found, told, _ = decoded(tmp_path / "a.wav", sizes("wav", whole["wav"], 2 * N - (1 << 15)) + INFO)
    np.testing.assert_array_equal(found, samples["wav"])
    assert told == []


# FFmpeg's containers


@pytest.mark.parametrize(
    ("codec", "container"), [("flac", "matroska"), ("flac", "ogg"), ("flac", "mp4"), ("wavpack", "wv"), ("tta", "tta")]
)
def test_one_flipped_bit_is_found_by_the_checksum_of_a_codec_in_whatever_container(tmp_path, codec, container):
    data = bytearray(muxed(codec, container, X))
    decoded(tmp_path / "a", bytes(data))
    data[len(data) // 2] ^= 0x10
    with pytest.raises(BadAudioError, match="corrupt"):
        decoded(tmp_path / "a", bytes(data))


def test_matroska_s_own_checksums_are_compared(tmp_path):
    data = bytearray(muxed("pcm_s16le", "matroska", X))  # of which FFmpeg would notice nothing
    data[len(data) // 2] ^= 0x10
    with pytest.raises(BadAudioError, match=r"corrupt: Matroska element at byte .*: expected CRC"):
        decoded(tmp_path / "a", bytes(data))


@pytest.mark.parametrize(("codec", "container"), [("pcm_s16le", "avi"), ("wmav2", "asf")])
def test_a_film_that_ends_in_the_middle_of_its_sound_is_truncated(tmp_path, codec, container):
    data = muxed(codec, container, tone(2.0, 44_100), 44_100, 64_000)
    assert decoded(tmp_path / "a", data)[1] == []
    for share in (0.5, 0.7, 0.9):
        with pytest.raises(BadAudioError, match=r"truncated: expected .* up to the end of its sound"):
            decoded(tmp_path / "a", data[: int(len(data) * share)])


def test_an_flv_is_held_against_the_time_that_it_states(tmp_path):
    data = muxed("libmp3lame", "flv", tone(2.0, 44_100), 44_100)
    with pytest.raises(BadAudioError, match=r"truncated: expected 2\.0\d\d s, got 1"):
        decoded(tmp_path / "a", data[: int(len(data) * 0.7)])


# Inside other files


def test_a_row_of_a_table_is_read_to_its_end_as_a_file_is(tmp_path, whole, samples):
    import pyarrow
    import pyarrow.parquet

    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    rows = [{"audio": {"bytes": whole[name] * 2, "path": name}} for name in ("mp3", "vorbis", "flac")]
    table = pyarrow.Table.from_pylist(rows, pyarrow.schema([("audio", kind)]))
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    for number, name in enumerate(("mp3", "vorbis", "flac")):
        with open_decoder(tmp_path / "a.parquet" / f"{number}.row") as decoder:
            found = np.concatenate(list(decoder.blocks))[:, 0]
        np.testing.assert_array_equal(found, np.tile(samples[name], 2))


def test_a_stream_of_a_media_file_is_compared_with_its_checksums(tmp_path):
    data = bytearray(muxed("flac", "mp4", X))
    (tmp_path / "a.mp4").write_bytes(data)
    with open_decoder(tmp_path / "a.mp4" / "0.stream") as decoder:
        assert sum(map(len, decoder.blocks)) == N
    data[len(data) // 2] ^= 0x10
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(BadAudioError, match="corrupt"), open_decoder(tmp_path / "a.mp4" / "0.stream") as decoder:
        list(decoder.blocks)


# What an earlier version found


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "cbr", "vorbis", "opus"])
def test_what_an_earlier_version_found_stands_where_it_read_all(tmp_path, whole, name):
    (tmp_path / "a").write_bytes(whole[name])
    audio, _ = standardize(tmp_path / "a", None, Policy(format="none"), Scratch(tmp_path / "scratch"))
    row = GoodAudio(path="a", source_hash="0" * 32, policy=Policy(format="none"), **vars(audio))
    assert is_still_true(tmp_path / "a", row)
    (tmp_path / "a").write_bytes(whole[name] * 2)
    assert not is_still_true(tmp_path / "a", row)


# Ordinary files


@settings(deadline=None, max_examples=120)
@given(
    form=st.sampled_from(["FLAC", "MP3", "OGG", "WAV", "AIFF", "AU", "CAF", "W64", "RF64", "NIST", "WAVEX"]),
    n=st.integers(1, 20_000),
    channels=st.integers(1, 2),
    rate_hz=st.sampled_from([8_000, 16_000, 22_050, 44_100]),
    scale=st.sampled_from([0.0, 1e-4, 0.1, 0.9]),
    seed=st.integers(0, 99),
)
def test_an_ordinary_file_is_decoded_as_it_is_and_has_no_defect(
    tmp_path_factory, form, n, channels, rate_hz, scale, seed
):
    x = scale * np.random.default_rng(seed).uniform(-1, 1, (n, channels))
    path = tmp_path_factory.getbasetemp() / "ordinary"
    found, told, name = decoded(path, written(form, x, rate_hz))
    assert inspect_file(path, 0.0).as_it_is
    assert (len(found), told) == (n, [])
    assert name.startswith("soundfile/")


# Rows and policies


def test_a_policy_of_the_usual_limit_is_written_as_ever():
    assert "max_short" not in msgspec.to_builtins(Policy(max_short=stated_max_short(0.1)))
    assert msgspec.to_builtins(Policy(max_short=stated_max_short(0.3)))["max_short"] == 0.3
    assert msgspec.convert({"max_short": 0.3}, Policy).max_short_s == 0.3
    assert Policy().max_short_s == 0.1


def test_a_row_says_what_its_recording_lacks(tmp_path, whole):
    (tmp_path / "a.wav").write_bytes(whole["wav"][:-1600])
    audio, _ = standardize(tmp_path / "a.wav", None, Policy(format="none"), Scratch(tmp_path / "scratch"))
    assert (audio.n_samples, audio.defects) == (N - 800, ("shorter than its header: 0.050 s",))
    with pytest.raises(BadAudioError, match="truncated"):
        list(canonical_blocks(tmp_path / "a.wav", Policy(format="none", max_short=0.04)))
