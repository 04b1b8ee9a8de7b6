"""Canonical audio: 16 kHz, mono, int16, whatever a recording came as; its hash, its levels, its standard file.

Downmix: mean of the channels in float64, or one channel: the one that a recording's path names, or the catalog.
Resampling: soxr on float32, in one stream. Float to int16: round half to even of x * 32768, clipped. Nothing here
depends on how the recording is cut into blocks.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import soundfile
import soxr
import xxhash
from numpy.typing import NDArray

from earmark.audio.decoding import Block, Decoder, open_decoder, open_file
from earmark.audio.defects import BEYOND, FAR_BEYOND, OPPOSITE, defect, of_levels
from earmark.audio.downmix import DownmixMeter
from earmark.audio.levels import FULL_SCALE, LevelMeter
from earmark.audio.placing import place
from earmark.audio.policy import Policy
from earmark.audio.source import Source, one_recording
from earmark.disk.faults import MachineError, is_machine_fault
from earmark.disk.files import Scratch, disk_error, make_folder, remove, size_on_disk
from earmark.errors import BadAudioError
from earmark.rates import RATE_HZ

LIMIT = 1e30  # 600 dB over full scale: no sound, and enough to make a float32 filter overflow
# FLAC's levels, 15 s of speech: 5 is 2 % smaller than 0 at 0.8 ms more; 8 saves another 0.6 % for another 3.6 ms.
FLAC_LEVEL = 5 / 8
_WRITE_BYTES = 1 << 20  # bytes gathered before a write: one write for most utterances
_FICLONE = 0x40049409  # the Linux request to share a file's blocks (linux/fs.h)

Samples = NDArray[np.int16]
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Audio:
    """What one recording became. The levels, defined in `earmark.audio.levels`, are those of the canonical samples.

    peak, rms, dc: 1.0 is full scale. clipped, silence: shares of the samples and of the 20 ms frames. defects: as in
    `earmark.audio.defects`.
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
    defects: tuple[str, ...] = ()


def canonical_blocks(path: Path, policy: Policy) -> Iterator[Samples]:
    """Yield a recording's canonical samples in blocks (n,) int16, in bounded memory.

    Raises BadAudioError, at the latest after the last block: use the samples only once all have come.
    """
    with open_decoder(path, policy.max_short_s, policy.keeps_time) as decoder:
        yield from _canonical(decoder, policy)


def standardize(
    source: Path, target: Path | None, policy: Policy, scratch: Scratch, made: Collection[str] = ()
) -> tuple[Audio, int]:
    """Make a recording's standard file, whole or not at all; return what it became and the bytes of the target.

    With `target` None or format "none" nothing is written and the bytes are 0. A source that already has the format,
    rate and channel asked for is copied byte for byte after it was decoded. The target is renamed into place and not
    flushed: a flush a file is many times slower than one for a whole shard, which the caller makes. What has one of the
    hashes `made` may be replaced, see `placing.place`.

    Raises BadAudioError for the recording, MachineError, DiskFullError or OSError for what is around it.
    """
    if target is None or policy.format == "none":
        with open_decoder(source, policy.max_short_s, policy.keeps_time) as decoder:
            return _measured(decoder, policy, None), 0
    temporary = scratch.new(target)
    make_folder(target.parent)
    try:
        with open_decoder(source, policy.max_short_s, policy.keeps_time) as decoder:
            if _is_standard(decoder, policy):
                audio = _measured(decoder, policy, None)
                _copy(decoder.descriptor, source, temporary)
            else:
                audio = _encoded(decoder, policy, temporary)
        size = temporary.stat().st_size
        place(temporary, target, made, scratch)
    except OSError as error:
        failure = disk_error(error, target, written=size_on_disk(temporary))
        raise MachineError(str(source), error) if failure is error and is_machine_fault(error) else failure from error
    finally:
        remove(temporary)
    return audio, size


def read_canonical(path: Path, start: int = 0, stop: int | None = None) -> Samples:
    """Return samples [start, stop) of a standard file, (n,) int16.

    Raises BadAudioError for a file that is damaged or not 16 kHz mono 16-bit.
    """
    if start == 0 and stop is None:
        with open_decoder(path) as decoder:
            _require_canonical(decoder.rate_hz, decoder.channels, decoder.form, decoder.name)
            whole: Samples = np.concatenate([np.zeros((0, 1), np.int16), *decoder.blocks])[:, 0]
            return whole
    with one_recording(str(path), "soundfile"), open_file(path) as descriptor:
        source = Source(descriptor)
        try:
            return _read_part(source, start, stop)
        except Exception:
            source.require_read()
            raise


def _read_part(source: Source, start: int, stop: int | None) -> Samples:
    try:
        with soundfile.SoundFile(source) as sound:
            name = f"soundfile/{sound.format} {sound.subtype}"
            plain = sound.format.lower() if sound.subtype == "PCM_16" else ""
            _require_canonical(sound.samplerate, sound.channels, plain, name)
            wanted = (sound.frames if stop is None else stop) - start
            sound.seek(start)
            samples: Samples = sound.read(wanted, dtype="int16")
    except soundfile.LibsndfileError as error:
        raise BadAudioError("corrupt", f"expected samples from {start:,}, got: {error}", "soundfile") from error
    if len(samples) != wanted:
        raise BadAudioError("truncated", f"expected {wanted:,} samples from {start:,}, got {len(samples):,}", name)
    return samples


def to_int16(values: Floats) -> Samples:
    """Round values (n,) of full scale 1.0 half to even to int16, clipped at both ends."""
    scaled = np.rint(values * FULL_SCALE)
    whole: Samples = np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1, out=scaled).astype(np.int16)
    return whole


def _require_canonical(rate_hz: int, channels: int, form: str, name: str) -> None:
    if (rate_hz, channels) != (RATE_HZ, 1) or not form:
        detail = f"expected 16-bit PCM, {RATE_HZ} Hz, 1 channel, got {name}, {rate_hz} Hz, {channels} channel(s)"
        raise BadAudioError("wrong header", detail, name)


def _is_standard(decoder: Decoder, policy: Policy) -> bool:
    return (decoder.rate_hz, decoder.channels, decoder.form) == (RATE_HZ, 1, policy.format)


def _canonical(decoder: Decoder, policy: Policy) -> Iterator[Samples]:
    """Yield canonical blocks (n,) int16, n > 0, of an open recording.

    Raises BadAudioError; after the last block where no sample came at all.
    """
    channel = policy.channel if decoder.channel is None else decoder.channel
    if isinstance(channel, int) and not 0 <= channel < decoder.channels:
        where = "in the catalog" if decoder.channel is None else "in the labels"
        detail = f"expected a channel from 0 to {decoder.channels - 1}, got {channel} {where}"
        raise BadAudioError("no such channel", detail, decoder.name)
    resampler, n_read, n_made, greatest = None, 0, 0, 0.0
    phase = DownmixMeter(decoder.rate_hz, decoder.channels)
    if decoder.rate_hz != RATE_HZ:  # one stream for the whole recording: chunks alone would click at their edges
        resampler = soxr.ResampleStream(decoder.rate_hz, RATE_HZ, 1, dtype="float32", quality=policy.resampler)
    for block in decoder.blocks:
        samples = _mono(block, channel)
        if channel == "mean" and decoder.channels > 1:
            phase.update(block, cast("Floats", samples), _full_scale(block))
        if samples.dtype != np.int16 or resampler:  # else canonical already: bit by bit, without a way through floats
            values = _scaled(samples)
            greatest = max(greatest, _magnitude(values, n_read, decoder))
            samples = to_int16(resampler.resample_chunk(values.astype(np.float32, copy=False)) if resampler else values)
        n_read, n_made = n_read + len(block), n_made + len(samples)
        if len(samples):
            yield samples.astype(np.int16, copy=False)
    if resampler and n_read:
        rest = to_int16(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        n_made += len(rest)
        if len(rest):
            yield rest
    if not n_made:
        raise BadAudioError("no samples", f"expected samples, got {n_read}", decoder.name)
    if found := phase.found():
        decoder.defects.append(defect(OPPOSITE, found))
    if greatest > FAR_BEYOND:
        decoder.defects.append(defect(BEYOND, f"up to {greatest:,.6g}, where full scale is 1"))


def _mono(block: Block, channel: str | int) -> Block:
    """Return one channel as it is, or the mean of all, (n,); a mean of integers is float64 with full scale 1.0."""
    if block.shape[1] == 1 or isinstance(channel, int):
        return block[:, channel if isinstance(channel, int) else 0]
    total = block[:, 0].astype(np.float64)  # column by column: numpy is slow along a short last axis
    for column in range(1, block.shape[1]):
        total += block[:, column]
    total /= block.shape[1] * _full_scale(block)
    return total


def _full_scale(values: Block) -> int:
    return 1 << (8 * values.itemsize - 1) if values.dtype.kind == "i" else 1


def _scaled(values: Block) -> Floats:
    """Return values with full scale 1.0."""
    return values / _full_scale(values) if values.dtype.kind == "i" else cast("Floats", values)


def _magnitude(values: Floats, first: int, decoder: Decoder) -> float:
    """Return the greatest magnitude of values. Raises BadAudioError for some that are no sound.

    The first of them is sample `first` of the recording.
    """
    if not len(values):
        return 0.0
    high, low = float(values.max()), float(values.min())
    if not (high < LIMIT and low > -LIMIT):  # a NaN fails both
        at = int(np.argmin(np.abs(values) < LIMIT))
        detail = f"expected finite samples, got {values[at]} at sample {first + at:,}"
        raise BadAudioError("not finite", detail, decoder.name)
    return max(high, -low)


def _measured(decoder: Decoder, policy: Policy, writer: soundfile.SoundFile | None) -> Audio:
    """Read a recording to its end through hash and levels, and through `writer` if there is one."""
    hasher, meter = xxhash.xxh3_128(), LevelMeter()
    for block in _canonical(decoder, policy):
        hasher.update(block.astype("<i2", copy=False).tobytes())
        meter.update(block)
        if writer is not None:
            writer.write(block)
    levels = meter.levels()
    return Audio(
        audio_hash=hasher.hexdigest(),
        n_samples=meter.n_samples,
        source_rate_hz=decoder.rate_hz,
        source_channels=decoder.channels,
        decoder=decoder.name,
        defects=(*decoder.defects, *of_levels(levels["peak"], levels["clipped"], decoder.defects)),
        **levels,
    )


@dataclass
class _Sink:
    """A file for libsndfile to write to.

    An exception in one of its callbacks would be printed and lost, and a full disk pass for a short write: so the first
    one is kept in `error` for the caller to raise.
    """

    file: BinaryIO
    error: OSError | None = None

    def _try(self, action: Callable[..., int], *args: bytes | int) -> int:
        try:
            return action(*args)
        except OSError as error:
            self.error = self.error or error
            return 0

    def write(self, data: bytes) -> int:
        return self._try(self.file.write, data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._try(self.file.seek, offset, whence)

    def tell(self) -> int:
        return self._try(self.file.tell)


def _encoded(decoder: Decoder, policy: Policy, temporary: Path) -> Audio:
    """Write a recording's standard file to a fresh path. Raises BadAudioError, and OSError for the disk."""
    level = {"compression_level": FLAC_LEVEL} if policy.format == "flac" else {}
    with temporary.open("xb", buffering=_WRITE_BYTES) as file:
        sink = _Sink(file)
        try:
            with soundfile.SoundFile(
                sink, "w", samplerate=RATE_HZ, channels=1, subtype="PCM_16", format=policy.format.upper(), **level
            ) as writer:
                writer.seekable = lambda: False  # soundfile would seek, and so flush, after each write
                audio = _measured(decoder, policy, writer)
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
