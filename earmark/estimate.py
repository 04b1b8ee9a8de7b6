"""How large results will be before they are made: arithmetic where formats are exact, probes where they are not.

Every number is an `Amount`, a range with a likely value. Nothing here writes, and every probe has a time limit.
"""

import contextlib
import io
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from earmark.archives import archive_kind
from earmark.errors import BadAudioError, EarmarkError
from earmark.formats import decoded
from earmark.hashing import BLOCK_BYTES
from earmark.inside import file_of, locate, read_row
from earmark.members import Member
from earmark.packs import CHUNK_FRAMES, HASH_BYTES, ITEM_BYTES, SHARD_BYTES
from earmark.shards import BYTES_PER_S, OTHER_BYTES_PER_S
from earmark.tars import tar_members
from earmark.zips import zip_members

RATE_HZ = 16_000  # canonical sample rate
FRAME_SAMPLES = 320  # canonical samples in a feature frame
FRAMES_PER_S = RATE_HZ / FRAME_SAMPLES
WAV_HEADER_BYTES = 44
EXCERPT_S = 10.0  # seconds of a recording that are compressed to learn how well it compresses
EXCERPTS = 24  # recordings of which an excerpt is compressed, at most
EXCERPT_SHARE = 0.6  # of a probe's patience that excerpts may take
MEMBER_BYTES = 32 << 20  # the largest archive member that a probe holds in memory
SPREAD_UNKNOWN = 2.0  # factor around an assumed number
PACK_METADATA_BYTES = 6_300  # zarr's JSON and the seal of a pack with one shard file
PACK_SHARD_BYTES = 90  # entry of each further shard file in the seal
CHUNK_INDEX_BYTES, SHARD_INDEX_BYTES = 16, 4  # zarr's index at the end of a shard file: an entry a chunk, a CRC
HELD_BYTES = 45  # of one audio hash in the index over packs
AUDIO_SUFFIXES = {*BYTES_PER_S, ".aif", ".aiff", ".amr", ".arrow", ".au", ".mp4", ".oga", ".parquet", ".sph", ".webm"}


@dataclass(frozen=True)
class Amount:
    """A number that is not known exactly: `likely`, and with near certainty between `low` and `high`."""

    low: float = 0.0
    likely: float = 0.0
    high: float = 0.0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def __mul__(self, other: "Amount | float") -> "Amount":
        if not isinstance(other, Amount):
            other = exact(other)
        return Amount(self.low * other.low, self.likely * other.likely, self.high * other.high)


def exact(value: float) -> Amount:
    """Return an amount that is known."""
    return Amount(value, value, value)


def about(value: float, factor: float = SPREAD_UNKNOWN) -> Amount:
    """Return an amount that may be wrong by a factor."""
    return Amount(value / factor, value, value * factor)


def total(amounts: Iterable[Amount]) -> Amount:
    """Add amounts up."""
    return sum(amounts, Amount())


def ratio(weights: Sequence[float], values: Sequence[float], population: float) -> Amount:
    """Estimate (sum of values) / (sum of weights) of a population from a random sample of it, +- two standard errors.

    Source: the ratio estimator with its finite population correction (Cochran, Sampling Techniques, chapter 6).
    """
    n, weight = len(values), sum(weights)
    likely = sum(values) / weight
    if n >= population:
        return exact(likely)
    if n < 2:
        return about(likely)
    residuals = sum((value - likely * one) ** 2 for value, one in zip(values, weights, strict=True))
    error = 2 * math.sqrt(n * residuals / (n - 1) * (1 - n / population)) / weight
    return Amount(max(likely - error, 0.0), likely, likely + error)


def pack_bytes(frames: Amount, recordings: float, n_state: int, codec: str, *, packs: int = 1) -> Amount:
    """Return the bytes of all files of feature packs that hold some frames between them.

    Frames lie in chunks of 30 s, of which the last of each pack is filled up: half of one on the average where the
    frames are not known exactly.
    """
    chunk_bytes = CHUNK_FRAMES * n_state * ITEM_BYTES[codec]
    in_shard = max(1, SHARD_BYTES // chunk_bytes)
    known = packs == 1 and frames.low == frames.high
    sizes = []
    for value, filled in ((frames.low, 0.0), (frames.likely, 0.5), (frames.high, 1.0)):
        chunks = math.ceil(value / CHUNK_FRAMES) if known else value / CHUNK_FRAMES + filled * packs
        files = max(packs, math.ceil(chunks / in_shard))
        index = chunks * CHUNK_INDEX_BYTES + files * SHARD_INDEX_BYTES + (files - packs) * PACK_SHARD_BYTES
        fixed = packs * (PACK_METADATA_BYTES + 8) + recordings * (HASH_BYTES + 8)
        sizes.append(chunks * chunk_bytes + index + fixed)
    return Amount(*sizes)


@dataclass(frozen=True)
class Sound:
    """What a recording's header says: its length, and "flac" or "wav" where it is canonical audio of that form."""

    seconds: float
    form: str = ""


def probe(source: Path | BinaryIO) -> Sound | None:
    """Read a recording's header; None where that does not tell its length."""
    import soundfile

    with contextlib.suppress(BadAudioError, OSError):
        place = locate(source) if isinstance(source, Path) else None
        if place is not None and not place.file.is_file():  # a pipe would keep us waiting for ever
            return None
        if place is not None and place.part == "row":
            source = io.BytesIO(read_row(place.file, place.number))
        elif place is not None and place.part == "stream":
            return _media_length(place.file, place.number)
        try:
            found = soundfile.info(source)
        except (soundfile.LibsndfileError, TypeError):
            return _media_length(source, 0)
        if 0 < found.frames < 1 << 62:
            plain = (found.samplerate, found.channels, found.subtype) == (RATE_HZ, 1, "PCM_16")
            return Sound(found.frames / found.samplerate, found.format.lower() if plain else "")
    return None


def _media_length(source: Path | BinaryIO, number: int) -> Sound | None:
    import av

    with contextlib.suppress(av.FFmpegError, IndexError), av.open(source) as media:
        stream = media.streams.audio[number]
        if stream.duration is not None:
            return Sound(float(stream.duration * stream.time_base))
        return Sound(media.duration / 1e6) if media.duration else None  # microseconds
    return None


def flac_rate(source: Path | BinaryIO, channel: str | int, resampler: str) -> float | None:
    """Compress some seconds from the middle of a recording in memory; return bytes a second of canonical audio."""
    import numpy as np
    import soundfile
    import soxr

    from earmark import audio

    samples: Any = None
    with contextlib.suppress(BadAudioError, OSError, StopIteration):
        try:
            with soundfile.SoundFile(source) as sound:
                wanted = int(EXCERPT_S * sound.samplerate)
                sound.seek(max(0, (sound.frames - wanted) // 2))
                block = sound.read(wanted, dtype="float64", always_2d=True)
                rate_hz = sound.samplerate
            mono = block[:, channel] if isinstance(channel, int) and channel < block.shape[1] else block.mean(axis=1)
            samples = audio.to_int16(np.asarray(soxr.resample(mono, rate_hz, RATE_HZ, quality=resampler)))
        except (soundfile.LibsndfileError, TypeError):
            if isinstance(source, Path):
                block = next(audio.canonical_blocks(source, audio.Policy(channel=channel, resampler=resampler)))
                start = max(0, (len(block) - int(EXCERPT_S * RATE_HZ)) // 2)
                samples = block[start : start + int(EXCERPT_S * RATE_HZ)]
    if samples is None or not len(samples):
        return None
    file = io.BytesIO()
    soundfile.write(file, samples, RATE_HZ, format="FLAC", subtype="PCM_16", compression_level=audio.FLAC_LEVEL)
    return len(file.getvalue()) / (len(samples) / RATE_HZ)


@dataclass
class Probes:
    """A random sample of recordings: bytes and header of each, and what FLAC makes of a second of some."""

    sizes: list[float] = field(default_factory=list)
    sounds: list[Sound] = field(default_factory=list)
    flac_rates: list[float] = field(default_factory=list)

    def add(
        self, source: Path | BinaryIO, size_bytes: float, channel: str | int, resampler: str, *, excerpt: bool
    ) -> None:
        """Probe one recording; with `excerpt`, compress some of it unless it is a standard file already."""
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
        """Return seconds of audio in a byte of source."""
        return ratio(self.sizes, [sound.seconds for sound in self.sounds], population)

    def standard_per_byte(self, form: str, population: float) -> Amount:
        """Return bytes of standard audio that a byte of source becomes; a source in that form already is copied."""
        if form == "none":
            return Amount()
        copied = [sound.form == form for sound in self.sounds]
        if all(copied):
            return exact(1.0)
        made = exact(2.0 * RATE_HZ)
        if form == "flac":
            made = about(17_000.0)  # 16 kHz speech, where no excerpt could be read
            if self.flac_rates:
                made = ratio([1.0] * len(self.flac_rates), self.flac_rates, math.inf)

        def values(rate: float) -> list[float]:
            pairs = zip(self.sizes, self.sounds, copied, strict=True)
            return [size if same else sound.seconds * rate + WAV_HEADER_BYTES for size, sound, same in pairs]

        ratios = [ratio(self.sizes, values(rate), population) for rate in (made.low, made.likely, made.high)]
        return Amount(ratios[0].low, ratios[1].likely, ratios[2].high)


def assumed_rates(path: str, form: str) -> tuple[Amount, Amount]:
    """Return seconds a byte and standard bytes a byte of a recording of which nothing but its name is known."""
    suffix = PurePosixPath(file_of(path)).suffix.lower()
    seconds = about(1 / BYTES_PER_S.get(suffix, OTHER_BYTES_PER_S))
    made = {"none": 0.0, "wav": 2.0 * RATE_HZ, "flac": float(BYTES_PER_S[".flac"])}[form]
    return seconds, seconds * made


@dataclass
class Listing:
    """Members of an archive as far as they were read: path and bytes of each file; `share` of the archive is 1 if all.

    `nested` holds the bytes of archives inside it, whose members are not seen; `probes` a sample of its recordings.
    """

    files: list[tuple[str, int]] = field(default_factory=list)
    share: float = 0.0
    nested: int = 0
    probes: Probes = field(default_factory=Probes)

    @property
    def audio(self) -> list[tuple[str, int]]:
        """The members that are recordings, by suffix."""
        return [(name, size) for name, size in self.files if is_audio(name)]

    @property
    def certainty(self) -> Amount:
        """How far what was read stands for all: a factor around 1."""
        return exact(1.0) if self.share == 1.0 else about(1.0, 1.25)


def is_audio(path: str) -> bool:
    """Say by its suffix whether a file is a recording."""
    return PurePosixPath(path).suffix.lower() in AUDIO_SUFFIXES


def list_archive(
    paths: Sequence[Path],
    nested: Sequence[str],
    skip: Sequence[str],
    channel: str | int,
    resampler: str,
    patience_s: float,
) -> Listing:
    """List an archive: a zip by its directory, a tar by as much of its stream as the patience allows.

    `paths` are its files in order. A damaged archive gives what could be read of it; extraction says what is wrong.
    """
    listing, ends = Listing(), time.monotonic() + patience_s
    n_audio = 0
    with contextlib.suppress(EarmarkError, OSError):
        for member in _members(paths, ends, listing):
            plain = member.name.strip("/").removeprefix("./")
            if member.kind != "file" or any(fnmatchcase(plain, pattern) for pattern in skip):
                continue
            if any(fnmatchcase(PurePosixPath(plain).name, pattern) for pattern in nested):
                listing.nested += member.size
                continue
            if is_audio(plain) and member.size <= MEMBER_BYTES and time.monotonic() < ends:
                excerpt = n_audio % 8 == 0 and len(listing.probes.flac_rates) < EXCERPTS
                sound = io.BytesIO(b"".join(member.blocks))
                listing.probes.add(sound, member.size, channel, resampler, excerpt=excerpt)
                n_audio += 1
            listing.files.append((plain, member.size))
    return listing


def _members(paths: Sequence[Path], ends: float, listing: Listing) -> Iterator[Member]:
    """Yield an archive's members and keep `listing.share`; the member at which a tar's stream ends is not whole."""
    kind = archive_kind(paths)
    if kind == "zip":
        for member in zip_members(*paths):
            listing.share = 1.0  # its whole directory is read before the first
            yield member
        return
    size, position = sum(path.stat().st_size for path in paths), 0

    def blocks() -> Iterator[bytes]:
        nonlocal position
        for path in paths:
            with path.open("rb", buffering=0) as file:
                while block := file.read(BLOCK_BYTES):
                    position += len(block)
                    yield block
                    if time.monotonic() >= ends:
                        return

    for member in tar_members(decoded(blocks(), kind), ends_known=True):
        yield member
        listing.share = position / size
    listing.share = position / size
