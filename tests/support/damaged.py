"""Sound files that were damaged, and what may come of them: a verdict, all of the sound, or a defect that says why not."""

import io
import itertools
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import numpy as np
import soundfile

from earmark.audio.decoding import open_decoder
from earmark.errors import BadAudioError

RATE_HZ = 16_000
SECONDS = 1.5
MAX_SHORT_S = 0.1


@dataclass(frozen=True)
class Form:
    """A way to write sound.

    `head`: bytes at the front in which one flipped bit may mean another, equally good file. `sizes`: places of numbers
    that state how much there is, as in `struct`. `states_length`: whether a cut can show.
    """

    data: bytes
    head: int
    sizes: tuple[tuple[int, str], ...] = ()
    lossless: bool = True
    states_length: bool = True
    joins: bool = True  # two laid end to end are a recording of this form, or are told


def tone(seconds: float = SECONDS, rate_hz: int = RATE_HZ, seed: int = 0) -> np.ndarray:
    """Return noise and a tone, (n,) float64 within +-0.9."""
    n = int(seconds * rate_hz)
    noise = np.random.default_rng(seed).standard_normal(n)
    return np.clip(0.3 * np.sin(np.arange(n) / 9) + 0.1 * noise * (1 + np.sin(np.arange(n) / 3000)), -0.9, 0.9)


def written(form: str, x: np.ndarray, rate_hz: int = RATE_HZ, **options: object) -> bytes:
    """Return what libsndfile writes."""
    file = io.BytesIO()
    soundfile.write(file, x, rate_hz, format=form, **options)
    return file.getvalue()


def muxed(
    codec: str, container: str, x: np.ndarray, rate_hz: int = RATE_HZ, bit_rate: int = 0, **options: str
) -> bytes:
    """Return what FFmpeg writes."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as media:
        stream = media.add_stream(codec, rate=rate_hz)
        stream.layout = "mono"
        if bit_rate:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(x.astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate_hz, 0
        context = stream.codec_context
        convert = av.AudioResampler(
            format=context.format, layout="mono", rate=rate_hz, frame_size=context.frame_size or 1000
        )
        for piece in [*convert.resample(frame), *convert.resample(None)]:
            media.mux(stream.encode(piece))
        media.mux(stream.encode(None))
    return file.getvalue()


def mp3_frames(data: bytes) -> list[bytes]:
    """Return the frames of an MPEG-2 layer III stream at 16 kHz."""
    bits = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]
    at, frames = 0, []
    while at + 4 <= len(data):
        if data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
            at += 1
            continue
        length = 72 * bits[data[at + 2] >> 4] * 1000 // RATE_HZ + (data[at + 2] >> 1 & 1)
        frames.append(data[at : at + length])
        at += length
    return frames


@cache
def forms() -> dict[str, Form]:
    """Return a file of each form that can be written here."""
    x = tone()
    pcm = {"subtype": "PCM_16"}
    wav, aiff = written("WAV", x, **pcm), written("AIFF", x, **pcm)
    caf, w64, rf64 = written("CAF", x, **pcm), written("W64", x, **pcm), written("RF64", x, **pcm)
    flac = written("FLAC", x, **pcm)
    vbr = written("MP3", x, bitrate_mode="VARIABLE", compression_level=0.3)
    plain = muxed("libmp3lame", "mp3", x, bit_rate=64_000, write_xing="0", id3v2_version="0")
    m4a = {codec: muxed(codec, "mp4", x) for codec in ("aac", "alac", "flac")}
    return {
        "wav": Form(wav, 44, ((4, "<I"), (40, "<I"))),
        "wav24": Form(written("WAV", x, subtype="PCM_24"), 44, ((4, "<I"), (40, "<I"))),
        "wavex": Form(written("WAVEX", x, **pcm), 100, ((4, "<I"),)),
        "rf64": Form(rf64, 104, ((20, "<Q"), (28, "<Q"), (36, "<Q"))),
        "w64": Form(w64, 112, ((16, "<Q"), (w64.index(b"data\xf3") + 16, "<Q"))),
        "caf": Form(caf, caf.index(b"data") + 16, ((caf.index(b"data") + 4, ">Q"),)),
        "aiff": Form(aiff, 54, ((4, ">I"), (aiff.index(b"COMM") + 10, ">I"), (aiff.index(b"SSND") + 4, ">I"))),
        "au": Form(written("AU", x, **pcm), 24, ((8, ">I"),)),
        "nist": Form(written("NIST", x, **pcm), 1024),
        "flac": Form(flac, flac.index(b"\xff\xf8"), ((22, ">I"),)),
        "ogg": Form(written("OGG", x, subtype="VORBIS"), 0, lossless=False),
        "opus": Form(muxed("libopus", "ogg", np.repeat(x, 3), 48_000), 0, lossless=False),
        "oga": Form(muxed("flac", "ogg", x), 0),
        "mp3": Form(vbr, 4, ((21, ">I"),), lossless=False),
        "mp3 of a pipe": Form(b"".join(mp3_frames(vbr)[1:]), 4, lossless=False, states_length=False),
        "mp3 cbr": Form(plain, 4, lossless=False, states_length=False),
        "mka flac": Form(muxed("flac", "matroska", x), 600, joins=False),
        "mka pcm": Form(muxed("pcm_s16le", "matroska", x), 600, joins=False),
        "webm": Form(muxed("libopus", "webm", np.repeat(x, 3), 48_000), 600, lossless=False, joins=False),
        **{
            f"mp4 {codec}": Form(data, data.index(b"mdat") + 4, lossless=codec != "aac", joins=False)
            for codec, data in m4a.items()
        },
        "wv": Form(muxed("wavpack", "wv", x), 32, joins=False),
        "tta": Form(muxed("tta", "tta", x), 22, joins=False),
    }


@dataclass(frozen=True)
class Damaged:
    """A damaged file: `share` of the sound that ought to be in it; `same`: no sample of it was touched."""

    name: str
    data: bytes
    share: float
    same: bool = True


def cut(form: Form, at: float, _: int) -> Damaged:
    """Return a file without its end."""
    kept = int(len(form.data) * at)
    return Damaged(f"cut {at:.4f}", form.data[:kept], 1.0 if form.states_length else kept / len(form.data))


def flipped(form: Form, at: float, bit: int) -> Damaged:
    """Return a file with one bit changed, behind its header."""
    data, place = bytearray(form.data), form.head + int((len(form.data) - form.head) * at)
    data[min(place, len(data) - 1)] ^= 1 << bit % 8
    return Damaged(f"flipped {place}.{bit % 8}", bytes(data), 1.0, same=False)


def hole(form: Form, at: float, seed: int) -> Damaged:
    """Return a file in which a stretch is zeros: a download that left a block out."""
    start = form.head + int((len(form.data) - form.head) * at)
    length = 1 + seed % 3000
    data = form.data[:start] + bytes(min(length, len(form.data) - start)) + form.data[start + length :]
    return Damaged(f"hole {start}+{length}", data, 1.0, same=False)


def left_out(form: Form, at: float, seed: int) -> Damaged:
    """Return a file in which a stretch is missing."""
    start = form.head + int((len(form.data) - form.head) * at)
    length = 1 + seed % 3000
    gone = min(length, len(form.data) - start) / len(form.data)
    share = 1.0 if form.states_length else 1.0 - gone
    return Damaged(f"left out {start}+{length}", form.data[:start] + form.data[start + length :], share, same=False)


def joined(form: Form, _at: float, _seed: int) -> Damaged:
    """Return two files laid end to end."""
    return Damaged("joined", form.data + form.data, 2.0 if form.joins else 1.0)


def misstated(form: Form, at: float, seed: int) -> Damaged:
    """Return a file one of whose headers' numbers is another."""
    if not form.sizes:
        return joined(form, at, seed)
    data, (place, layout) = bytearray(form.data), form.sizes[seed % len(form.sizes)]
    right = struct.unpack_from(layout, data, place)[0]
    top = (1 << 8 * struct.calcsize(layout)) - 1
    values = [0, right // 2, right - 2, right + 2, right + 8, right + 44, right * 2, int(right * at), int(right / max(at, 1e-3)),
              0x7FFFFFFF, 0x7FFFF000, top, top - 36, 2_000_000_000]  # fmt: skip
    value = values[seed // 7 % len(values)]
    struct.pack_into(layout, data, place, min(max(value, 0), top))
    return Damaged(f"misstated {place}: {right} as {value}", bytes(data), 1.0, same=False)


def followed(form: Form, at: float, seed: int) -> Damaged:
    """Return a file with something behind it that is no part of it."""
    rng = random.Random(seed)
    behind = [
        b"TAG" + b"x" * 125,
        b"ID3\4\0\0\0\0\0\x64" + bytes(100),
        b"APETAGEX" + struct.pack("<III", 2000, 32, 0) + bytes(8),
        bytes(int(at * 5000)),
        rng.randbytes(int(at * 5000)),
        b"some text that a recorder left behind. " * int(1 + at * 100),
    ][seed % 6]
    return Damaged(f"followed by {behind[:8]!r}, {len(behind)}", form.data + behind, 1.0)


DAMAGES: tuple[Callable[[Form, float, int], Damaged], ...] = (
    cut, flipped, hole, left_out, joined, misstated, followed,
)  # fmt: skip


def decoded(data: bytes, path: Path) -> tuple[np.ndarray, list[str]]:
    """Return samples (n, channels) and defects. Raises BadAudioError."""
    path.write_bytes(data)
    with open_decoder(path, MAX_SHORT_S) as decoder:
        blocks = list(decoder.blocks)
        return np.concatenate(blocks) if blocks else np.zeros((0, decoder.channels)), decoder.defects


@cache
def _reference(name: str, path: Path) -> np.ndarray:
    return decoded(forms()[name].data, path)[0]


def _slack(form: Form, n_samples: int) -> float:
    """Return the samples that may be missing without a word."""
    if not form.joins:  # FFmpeg's: by a container's clock, on which less than 0.1 s is no gap
        return MAX_SHORT_S * n_samples / SECONDS
    if not form.lossless or not form.states_length:
        return 2 * 1152 * 3  # two frames, at up to 48 kHz
    return 64  # 128 bytes: a size that is too large by a header's is taken for that


def verdict(name: str, damaged: Damaged, path: Path) -> str:
    """Say what came of a damaged file: "refused", "told", "whole", or "LOST ..." for a loss in silence."""
    form, wanted = forms()[name], _reference(name, path)
    try:
        got, defects = decoded(damaged.data, path)
    except BadAudioError:
        return "refused"
    if not len(got):  # a recording without samples is refused later on
        return "refused"
    if defects:
        return "told"
    slack = _slack(form, len(wanted))
    needed = int(len(wanted) * damaged.share) - slack
    if len(got) < needed:
        return f"LOST {len(wanted) * damaged.share - len(got):.0f} of {len(wanted)} samples"
    n = min(len(got), len(wanted))
    if damaged.same and form.lossless and not np.array_equal(got[:n], wanted[:n]):
        return "LOST: other samples"
    return "whole"


def trials(seed: int) -> Iterator[tuple[str, Damaged]]:
    """Yield forms and damaged files of them without end."""
    rng = random.Random(seed)
    for name in itertools.cycle(forms()):
        yield name, rng.choice(DAMAGES)(forms()[name], rng.random(), rng.randrange(1 << 20))
