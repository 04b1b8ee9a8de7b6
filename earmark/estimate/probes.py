"""How large results will be, before they are made: arithmetic where formats are exact, probes where they are not.

Every number is an `Amount`, a range with a likely value. Nothing here writes. Probes are random samples: the first
recordings of a corpus are of one speaker or one session, and say little about the others.
"""

import contextlib
import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from earmark.amounts import Amount, about, exact, ratio
from earmark.disk.inside import TABLE_SUFFIXES, file_of, locate, read_row
from earmark.errors import BadAudioError
from earmark.rates import RATE_HZ, WAV_BYTES_PER_S
from earmark.sounds import BYTES_PER_S, OTHER_BYTES_PER_S, is_audio, suffix_of

if TYPE_CHECKING:
    from earmark.audio.canonical import Samples

WAV_HEADER_BYTES = 44  # RIFF header, fmt chunk of PCM, head of the data chunk
EXCERPT_S = 10.0  # seconds of a recording that are compressed to learn how well it compresses
EXCERPTS = 24  # recordings of which an excerpt is compressed, at most
EXCERPT_SHARE = 0.6  # of a probe's patience that excerpts may take


@dataclass(frozen=True)
class Sound:
    """What a recording's header says: its length, and "flac" or "wav" where it is canonical audio of that form."""

    seconds: float
    form: str = ""


def probe(source: Path | BinaryIO) -> Sound | None:
    """Read a recording's header; None where it states no length, or cannot be read."""
    import soundfile

    with contextlib.suppress(BadAudioError, OSError, UnicodeError):  # UnicodeError: a name that is not UTF-8
        place = locate(source) if isinstance(source, Path) else None
        if place is not None and not place.file.is_file():  # opening a pipe would wait for ever
            return None
        if place is not None and place.part == "row":
            source = io.BytesIO(read_row(place.file, place.number))
        elif place is not None and place.part == "stream":
            return _media_length(place.file, place.number)
        elif place is not None:
            source = place.file
        try:
            header = soundfile.info(source)
        except (soundfile.LibsndfileError, TypeError):  # TypeError: what it takes for raw samples needs a rate
            return _media_length(source, 0)
        if 0 < header.frames < 1 << 62:
            plain = (header.samplerate, header.channels, header.subtype) == (RATE_HZ, 1, "PCM_16")
            return Sound(header.frames / header.samplerate, header.format.lower() if plain else "")
    return None


def _media_length(source: Path | BinaryIO, number: int) -> Sound | None:
    """Return what FFmpeg says of an audio stream's length; of the file's where the stream has none of its own."""
    import av

    from earmark.audio.decoding import FFMPEG_OPTIONS

    with contextlib.suppress(av.FFmpegError, IndexError), av.open(source, options=FFMPEG_OPTIONS) as media:
        stream = media.streams.audio[number]
        if stream.duration is not None:
            return Sound(float(stream.duration * stream.time_base))
        return Sound(media.duration / 1e6) if media.duration else None  # microseconds
    return None


def flac_rate(source: Path | BinaryIO, channel: str | int, resampler: str) -> float | None:
    """Compress some seconds of a recording in memory; return bytes a second of canonical audio, None for a bad one."""
    import soundfile

    from earmark.audio.canonical import FLAC_LEVEL

    samples = _excerpt(source, channel, resampler)
    if samples is None or not len(samples):
        return None
    file = io.BytesIO()
    soundfile.write(file, samples, RATE_HZ, format="FLAC", subtype="PCM_16", compression_level=FLAC_LEVEL)
    return len(file.getvalue()) / (len(samples) / RATE_HZ)


def _excerpt(source: Path | BinaryIO, channel: str | int, resampler: str) -> "Samples | None":
    """Return canonical samples (n,) int16 from the middle of a recording: many begin with silence.

    What libsndfile cannot seek in gives them from its first block, and nothing where it is in memory.
    """
    import numpy as np
    import soundfile
    import soxr

    from earmark.audio import canonical
    from earmark.audio.policy import Policy

    place = locate(source) if isinstance(source, Path) else None
    if place is not None and place.channel is not None:
        channel = place.channel
    with contextlib.suppress(BadAudioError, OSError, StopIteration, UnicodeError):
        try:
            with soundfile.SoundFile(source if place is None or place.part else place.file) as sound:
                wanted = int(EXCERPT_S * sound.samplerate)
                sound.seek(max(0, (sound.frames - wanted) // 2))
                block = sound.read(wanted, dtype="float64", always_2d=True)
                rate_hz = sound.samplerate
            mono = block[:, channel] if isinstance(channel, int) and channel < block.shape[1] else block.mean(axis=1)
            return canonical.to_int16(np.asarray(soxr.resample(mono, rate_hz, RATE_HZ, quality=resampler)))
        except (soundfile.LibsndfileError, TypeError):
            if isinstance(source, Path):
                block = next(canonical.canonical_blocks(source, Policy(channel=channel, resampler=resampler)))
                start = max(0, (len(block) - int(EXCERPT_S * RATE_HZ)) // 2)
                return block[start : start + int(EXCERPT_S * RATE_HZ)]
    return None


@dataclass
class Probes:
    """A random sample of recordings."""

    sizes: list[float] = field(default_factory=list)  # bytes; a share of the file's where it has several recordings
    sounds: list[Sound] = field(default_factory=list)
    flac_rates: list[float] = field(default_factory=list)  # bytes a second of canonical audio, of some of them

    def add(
        self, source: Path | BinaryIO, size_bytes: float, channel: str | int, resampler: str, *, excerpt: bool
    ) -> None:
        """Probe one recording; with `excerpt`, compress some of it, unless it is FLAC that will be copied."""
        if (sound := probe(source)) is None:
            return
        self.sizes.append(size_bytes)
        self.sounds.append(sound)
        if excerpt and sound.form != "flac":
            if not isinstance(source, Path):
                source.seek(0)
            rate = flac_rate(source, channel, resampler)
            self.flac_rates += [rate] if rate else []

    def seconds_per_byte(self, population: float) -> Amount:
        """Return seconds of audio in a byte of source, of `population` recordings in all."""
        return ratio(self.sizes, [sound.seconds for sound in self.sounds], population)

    def standard_per_byte(self, form: str, population: float) -> Amount:
        """Return bytes of standard audio that a byte of source becomes, of `population` recordings in all.

        A source that has the form already is copied.
        """
        if form == "none":
            return Amount()
        copied = [sound.form == form for sound in self.sounds]
        if all(copied):
            return exact(1.0)
        bytes_per_s = exact(WAV_BYTES_PER_S)
        if form == "flac":
            bytes_per_s = about(float(BYTES_PER_S[".flac"]))  # 16 kHz speech, where no excerpt could be read
            if self.flac_rates:
                bytes_per_s = ratio([1.0] * len(self.flac_rates), self.flac_rates, math.inf)

        def values(rate: float) -> list[float]:
            pairs = zip(self.sizes, self.sounds, copied, strict=True)
            return [size if same else sound.seconds * rate + WAV_HEADER_BYTES for size, sound, same in pairs]

        ratios = [
            ratio(self.sizes, values(rate), population)
            for rate in (bytes_per_s.low, bytes_per_s.likely, bytes_per_s.high)
        ]
        return Amount(ratios[0].low, ratios[1].likely, ratios[2].high)


def assumed_rates(path: str, form: str) -> tuple[Amount, Amount]:
    """Return seconds a byte and standard bytes a byte of a recording, guessed by its suffix."""
    seconds = about(1 / BYTES_PER_S.get(suffix_of(file_of(path)), OTHER_BYTES_PER_S))
    bytes_per_s = {"none": 0.0, "wav": float(WAV_BYTES_PER_S), "flac": float(BYTES_PER_S[".flac"])}[form]
    return seconds, seconds * bytes_per_s


def holds_sound(path: str) -> bool:
    """Say by its suffix whether a file is a recording, or a table whose rows are recordings."""
    return is_audio(path) or suffix_of(path) in TABLE_SUFFIXES
