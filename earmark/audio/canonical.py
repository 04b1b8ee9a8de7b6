"""Canonical audio: 16 kHz, mono, int16, whatever a recording came as; its hash, its levels, its standard file.

Downmix: mean of the channels in float64, or one channel. Resampling: soxr on float32, in one stream. Float to int16:
round half to even of x * 32768, clipped. Nothing here depends on how the recording is cut into blocks.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr
import xxhash
from numpy.typing import NDArray

from earmark.audio.decoding import Block, Source, open_source
from earmark.audio.levels import FULL_SCALE, LevelMeter
from earmark.audio.policy import Policy
from earmark.disk.files import Scratch, disk_error, make_folder, remove, size_on_disk
from earmark.errors import BadAudioError
from earmark.rates import RATE_HZ

LIMIT = 1e30  # 600 dB over full scale: no sound, and enough to make a float32 filter overflow
# FLAC's levels, 15 s of speech: 5 is 2 % smaller than 0 at 0.8 ms more; 8 saves another 0.6 % for another 3.6 ms.
FLAC_LEVEL = 5 / 8
_WRITE_BYTES = 1 << 20  # bytes gathered before a write: one write for most utterances
_FICLONE = 0x40049409  # the Linux request to share a file's blocks (linux/fs.h)

Samples = NDArray[np.int16]


@dataclass(frozen=True)
class Audio:
    """What one recording became. The levels, defined in `earmark.levels`, are those of the canonical samples.

    peak, rms, dc: 1.0 is full scale. clipped, silence: shares of the samples and of the 20 ms frames.
    """

    audio_hash: str
    n_samples: int
    source_rate_hz: int
    source_channels: int
    decoder: str
    peak: float
    rms: float
    clipped: float
    silence: float
    dc: float


def canonical_blocks(path: Path, policy: Policy) -> Iterator[Samples]:
    """Yield a recording's canonical samples in blocks (n,) int16, in bounded memory.

    Raises BadAudioError, at the latest after the last block: use the samples only once all have come.
    """
    with open_source(path) as source:
        yield from _canonical(source, policy)


def standardize(source: Path, target: Path | None, policy: Policy, scratch: Scratch) -> tuple[Audio, int]:
    """Make a recording's standard file, whole or not at all; return what it became and the bytes of the target.

    With `target` None or format "none" nothing is written and the bytes are 0. A source that is already what is wished
    is copied byte for byte after it was decoded. The target is renamed into place, not flushed: the caller flushes.

    Raises BadAudioError for the recording, DiskFullError or OSError for the disk.
    """
    if target is None or policy.format == "none":
        with open_source(source) as found:
            return _measured(found, policy, None), 0
    make_folder(target.parent)
    temporary = scratch.new(target)
    try:
        with open_source(source) as found:
            if _is_standard(found, policy):
                audio = _measured(found, policy, None)
                _copy(found.descriptor, source, temporary)
            else:
                audio = _encoded(found, policy, temporary)
        size = temporary.stat().st_size
        temporary.replace(target)
    except OSError as error:
        raise disk_error(error, target, written=size_on_disk(temporary)) from error
    finally:
        remove(temporary)
    return audio, size


def read_canonical(path: Path, start: int = 0, stop: int | None = None) -> Samples:
    """Return samples [start, stop) of a standard file, (n,) int16.

    Raises BadAudioError for a file that is damaged or not 16 kHz mono 16-bit.
    """
    if start == 0 and stop is None:
        with open_source(path) as source:
            _require_canonical(source.rate_hz, source.channels, source.form, source.decoder)
            whole: Samples = np.concatenate([np.zeros((0, 1), np.int16), *source.blocks])[:, 0]
            return whole
    try:
        with path.open("rb") as file, soundfile.SoundFile(file.fileno(), closefd=False) as sound:
            decoder = f"soundfile/{sound.format} {sound.subtype}"
            plain = sound.format.lower() if sound.subtype == "PCM_16" else ""
            _require_canonical(sound.samplerate, sound.channels, plain, decoder)
            wanted = (sound.frames if stop is None else stop) - start
            sound.seek(start)
            samples: Samples = sound.read(wanted, dtype="int16")
    except OSError as error:
        raise BadAudioError("unreadable", f"expected a readable file, got: {error.strerror}", "open") from error
    except soundfile.LibsndfileError as error:
        raise BadAudioError("corrupt", f"expected samples from {start:,}, got: {error}", "soundfile") from error
    if len(samples) != wanted:
        raise BadAudioError("truncated", f"expected {wanted:,} samples from {start:,}, got {len(samples):,}", decoder)
    return samples


def to_int16(values: NDArray[np.floating[Any]]) -> Samples:
    """Round values (n,) of full scale 1.0 half to even to int16, clipped at both ends."""
    scaled = np.rint(values * FULL_SCALE)
    whole: Samples = np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1, out=scaled).astype(np.int16)
    return whole


def _require_canonical(rate_hz: int, channels: int, form: str, decoder: str) -> None:
    if (rate_hz, channels) != (RATE_HZ, 1) or not form:
        detail = f"expected 16-bit PCM, {RATE_HZ} Hz, 1 channel, got {decoder}, {rate_hz} Hz, {channels} channel(s)"
        raise BadAudioError("wrong header", detail, decoder)


def _is_standard(source: Source, policy: Policy) -> bool:
    return (source.rate_hz, source.channels, source.form) == (RATE_HZ, 1, policy.format)


def _canonical(source: Source, policy: Policy) -> Iterator[Samples]:
    """Yield canonical blocks of an open source; the last act is to raise if there was no sample at all."""
    if isinstance(policy.channel, int) and not 0 <= policy.channel < source.channels:
        detail = f"expected a channel from 0 to {source.channels - 1}, got {policy.channel} in the catalog"
        raise BadAudioError("no such channel", detail, source.decoder)
    stream, got, made = None, 0, 0
    if source.rate_hz != RATE_HZ:
        stream = soxr.ResampleStream(source.rate_hz, RATE_HZ, 1, dtype="float32", quality=policy.resampler)
    for block in source.blocks:
        samples = _mono(block, policy.channel)
        if samples.dtype != np.int16 or stream:
            values = _scaled(samples)
            _require_finite(values, got, source)
            samples = to_int16(stream.resample_chunk(values.astype(np.float32, copy=False)) if stream else values)
        got, made = got + len(block), made + len(samples)
        if len(samples):
            yield samples
    if stream and got:
        rest = to_int16(stream.resample_chunk(np.zeros(0, np.float32), last=True))
        made += len(rest)
        if len(rest):
            yield rest
    if not made:
        raise BadAudioError("no samples", f"expected samples, got {got}", source.decoder)


def _mono(block: Block, channel: str | int) -> NDArray[Any]:
    """Return one channel as it is, or the mean of all, (n,); a mean of integers is float64 with full scale 1.0."""
    if block.shape[1] == 1 or isinstance(channel, int):
        return block[:, channel if isinstance(channel, int) else 0]
    total = block[:, 0].astype(np.float64)  # column by column: numpy is slow along a short last axis
    for column in range(1, block.shape[1]):
        total += block[:, column]
    total /= block.shape[1] * _full_scale(block)
    return total


def _full_scale(values: NDArray[Any]) -> int:
    return 1 << (8 * values.itemsize - 1) if values.dtype.kind == "i" else 1


def _scaled(values: NDArray[Any]) -> NDArray[np.floating[Any]]:
    return values / _full_scale(values) if values.dtype.kind == "i" else values


def _require_finite(values: NDArray[Any], first: int, source: Source) -> None:
    if len(values) and not (values.max() < LIMIT and values.min() > -LIMIT):  # a NaN fails both
        at = int(np.argmin(np.abs(values) < LIMIT))
        detail = f"expected finite samples, got {values[at]} at sample {first + at:,}"
        raise BadAudioError("not finite", detail, source.decoder)


def _measured(source: Source, policy: Policy, writer: Any) -> Audio:
    """Run a source to its end through hash and levels, and through `writer` if there is one."""
    hasher, meter = xxhash.xxh3_128(), LevelMeter()
    for block in _canonical(source, policy):
        hasher.update(block.astype("<i2", copy=False).tobytes())
        meter.update(block)
        if writer is not None:
            writer.write(block)
    levels: dict[str, Any] = dict(meter.levels())
    return Audio(
        audio_hash=hasher.hexdigest(),
        n_samples=meter.n_samples,
        source_rate_hz=source.rate_hz,
        source_channels=source.channels,
        decoder=source.decoder,
        **levels,
    )


@dataclass
class _Sink:
    """A file for libsndfile to write to; it keeps the error that libsndfile would lose."""

    file: BinaryIO
    error: OSError | None = None

    def _try(self, action: Any, *args: Any) -> int:
        try:
            return int(action(*args))
        except OSError as error:
            self.error = self.error or error
            return 0

    def write(self, data: bytes) -> int:
        return self._try(self.file.write, data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._try(self.file.seek, offset, whence)

    def tell(self) -> int:
        return self._try(self.file.tell)


def _encoded(source: Source, policy: Policy, temporary: Path) -> Audio:
    level = {"compression_level": FLAC_LEVEL} if policy.format == "flac" else {}
    with temporary.open("xb", buffering=_WRITE_BYTES) as file:
        sink = _Sink(file)
        try:
            with soundfile.SoundFile(
                sink, "w", samplerate=RATE_HZ, channels=1, subtype="PCM_16", format=policy.format.upper(), **level
            ) as writer:
                writer.seekable = lambda: False  # soundfile would seek, and so flush, after each write
                audio = _measured(source, policy, writer)
        except (soundfile.LibsndfileError, AssertionError):  # soundfile asserts that all was written
            if sink.error is None:
                raise
        if sink.error is not None:
            raise sink.error
    return audio


def _copy(descriptor: int, source: Path, temporary: Path) -> None:
    """Copy a file's bytes, sharing its blocks where the file system can; a hard link would share damage too."""
    if sys.platform == "darwin":
        clone = ctypes.CDLL(None).clonefile
        if clone(os.fsencode(source), os.fsencode(temporary), 0) == 0:
            return
    with temporary.open("xb") as file:
        with contextlib.suppress(OSError):  # most file systems cannot
            fcntl.ioctl(file.fileno(), _FICLONE, descriptor)
            return
        os.lseek(descriptor, 0, os.SEEK_SET)
        with open(descriptor, "rb", closefd=False) as original:
            shutil.copyfileobj(original, file, _WRITE_BYTES)
