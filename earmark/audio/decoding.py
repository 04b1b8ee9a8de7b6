"""Recordings decoded in blocks: libsndfile where it can, FFmpeg (PyAV) for Opus and for what libsndfile cannot read.

Opus goes to FFmpeg for its result, not for its speed: libsndfile 1.2 leaves the encoder's 6.5 ms of pre-skip in the
Opus files that FFmpeg wrote, and cuts as much from their end.
"""

import contextlib
import dataclasses
import errno
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from numpy.typing import NDArray

from earmark.audio.headers import Container, check_format, inspect
from earmark.disk import inside
from earmark.errors import BadAudioError
from earmark.sounds import DEMUXERS

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

# (n, channels) int16, int32, float32 or float64. Integers use the whole range of their type, whatever the file's width
# is: libsndfile shifts 24 bits up to 32, so that one scale serves all.
Block = NDArray[np.integer | np.floating]

# Values (samples times channels) decoded at a time: 8 MB as float64, most utterances at once. Without the bound, the
# 1,024 channels that libsndfile allows would multiply the memory of a worker.
BLOCK_VALUES = 1 << 20
MIN_BLOCK_FRAMES = 1 << 12  # sample frames in a block however many channels there are
END_TOLERANCE_S = 0.1  # a codec's delay and padding make the stated end of a stream differ from the decoded one

# FFmpeg's option: nothing but these demuxers may run, whatever a file's bytes look like.
FFMPEG_OPTIONS = {"format_whitelist": ",".join(DEMUXERS)}
# What a file can answer to open() without the machine being at fault: one bad recording, not a failed run.
_UNREADABLE = {
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.EIO,
    errno.ENXIO,
}
_INTEGERS = {"PCM_16": "int16", "PCM_24": "int32", "PCM_32": "int32", "PCM_S8": "int32", "PCM_U8": "int32"}
_MD5_BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_S8": 1}  # bytes of a sample that a FLAC's MD5 is taken over (RFC 9639)
_LOST_SYNC = 158  # libsndfile's error code when FLAC frames stop before their stated end


@dataclass(frozen=True)
class Decoder:
    """An open recording, decoded while `blocks` is read: once, in order.

    `blocks` raises BadAudioError where the recording breaks off. `name` is library, format and codec, as quarantine and
    tables record it. `form` is "flac" or "wav" when the file is a plain 16-bit PCM file of that kind, else "".
    `descriptor` is the open file. `channel` is the one that the recording's path names, if it names one. `defects`
    (`earmark.audio.defects`) is whole once the last block came. For Opus, `rate_hz` is the 48,000 Hz that every Opus
    decoder gives, whatever rate went into the encoder.
    """

    rate_hz: int
    channels: int
    name: str
    form: str
    descriptor: int
    blocks: Iterator[Block]
    channel: int | None = None
    defects: list[str] = field(default_factory=list)


@contextlib.contextmanager
def open_decoder(path: Path) -> Iterator[Decoder]:
    """Open a recording by its content, whatever its name ends in; a path may lead into a file (`earmark.disk.inside`).

    Raises BadAudioError, here or from the blocks.
    """
    place = inside.locate(path)
    with _open_place(place) as decoder:
        yield dataclasses.replace(decoder, channel=place.channel)


@contextlib.contextmanager
def _open_place(place: inside.Place) -> Iterator[Decoder]:
    """Open a file or a part of it, with all its channels. Raises BadAudioError, here or from the blocks."""
    in_table = place.part == "row"
    with contextlib.ExitStack() as stack:
        # A descriptor rather than a path goes to every reader: what is inspected is then what is decoded.
        opened = _open_bytes(inside.read_row(place.file, place.number)) if in_table else _open_file(place.file)
        descriptor = stack.enter_context(opened)
        container = inspect(descriptor, os.fstat(descriptor).st_size)
        os.lseek(descriptor, 0, os.SEEK_SET)
        refusal = ""
        if container.form != "opus" and place.part != "stream":
            try:
                sound = stack.enter_context(soundfile.SoundFile(descriptor, closefd=False))
            except soundfile.LibsndfileError as error:
                refusal = f"libsndfile: {error.error_string}"
            else:
                if not (container.streamed and sound.frames == 0):  # FFmpeg reads on to the end where libsndfile stops
                    yield _sndfile_decoder(sound, container, descriptor)
                    return
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield stack.enter_context(_ffmpeg_decoder(descriptor, refusal, 0 if in_table else place.number))


@contextlib.contextmanager
def _open_bytes(data: bytes) -> Iterator[int]:
    """Yield a descriptor from which bytes in memory are read like a file; on Linux no file is made.

    libsndfile and the header checks take a descriptor, so that a table's row goes the same way as a file.
    """
    if sys.platform == "linux":
        descriptor = os.memfd_create("earmark")
    else:
        descriptor, name = tempfile.mkstemp(prefix="earmark-")
        Path(name).unlink()
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _open_file(path: Path) -> Iterator[int]:
    """Yield a file's descriptor. Raises BadAudioError where there is no file to be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe must not stop the run
    except OSError as error:
        if error.errno not in _UNREADABLE:
            raise
        raise BadAudioError("unreadable", f"expected a readable file, got: {error.strerror}", "open") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BadAudioError("unreadable", "expected a file, got a folder, a pipe or a device", "open")
        yield descriptor
    finally:
        os.close(descriptor)


def _sndfile_decoder(sound: soundfile.SoundFile, container: Container, descriptor: int) -> Decoder:
    check_format(sound.samplerate, sound.channels)
    # soundfile seeks after each read of a seekable file: that makes MP3 samples depend on the block size, fills a
    # cut MP3 up, and fails on a FLAC of unstated length.
    sound.seekable = lambda: False
    plain = sound.subtype == "PCM_16" and sound.format == container.form.upper() and not container.streamed
    return Decoder(
        rate_hz=sound.samplerate,
        channels=sound.channels,
        name=f"soundfile/{sound.format} {sound.subtype}",
        form=container.form if plain and sound.endian in {"FILE", "LITTLE"} else "",
        descriptor=descriptor,
        blocks=_sndfile_blocks(sound, container),
    )


def _sndfile_blocks(sound: soundfile.SoundFile, container: Container) -> Iterator[Block]:
    name = f"soundfile/{sound.format} {sound.subtype}"
    dtype = _INTEGERS.get(sound.subtype, "float64" if sound.subtype == "DOUBLE" else "float32")
    width = _MD5_BYTES.get(sound.subtype, 0) if container.md5 else 0
    md5, got = hashlib.md5(usedforsecurity=False), 0
    n_frames = max(BLOCK_VALUES // sound.channels, MIN_BLOCK_FRAMES)
    # An MP3's length is an estimate. A length of 0, or one that no disk could hold, means that the header states none.
    stated = sound.frames if sound.format not in {"MP3", "MPEG"} and 0 < sound.frames < 1 << 62 else 0
    while True:
        try:
            block = sound.read(n_frames, dtype=dtype, always_2d=True)
        except soundfile.LibsndfileError as error:
            raise _broken_off(sound, error, container, got, stated) from error
        if not len(block):
            break
        got += len(block)
        if width:
            little = block.astype(f"<i{block.itemsize}", copy=False)
            md5.update(little.view(np.uint8).reshape(-1, block.itemsize)[:, block.itemsize - width :].tobytes())
        yield block
    if got < stated:
        raise BadAudioError("truncated", f"expected {stated:,} samples, got {got:,}", name)
    if width and md5.hexdigest() != container.md5:
        raise BadAudioError("corrupt", f"expected samples of MD5 {container.md5}, got {md5.hexdigest()}", name)


def _broken_off(
    sound: soundfile.SoundFile, error: soundfile.LibsndfileError, container: Container, got: int, stated: int
) -> BadAudioError:
    """Return the error for a file that stops decoding: a FLAC that was cut, or any other, which is damaged.

    libsndfile has one code for both. In a damaged FLAC the last sample can still be sought; in one that was cut it
    cannot.
    """
    name = f"soundfile/{sound.format} {sound.subtype}"
    wanted = f"{stated:,} samples" if stated else "samples up to the end"
    kind = "corrupt"
    if container.form == "flac" and error.code == _LOST_SYNC:
        kind = "truncated" if not stated or not _reaches(sound.name, stated - 1) else "corrupt"
    return BadAudioError(kind, f"expected {wanted}, got an error after {got:,}: {error.error_string}", name)


def _reaches(descriptor: int, position: int) -> bool:
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        with soundfile.SoundFile(descriptor, closefd=False) as sound:
            sound.seek(position)
            sound.seekable = lambda: False
            return len(sound.read(1, dtype="int16")) == 1
    except soundfile.LibsndfileError:
        return False


@contextlib.contextmanager
def _ffmpeg_decoder(descriptor: int, refusal: str, number: int = 0) -> Iterator[Decoder]:
    """Open audio stream `number` of a file; `refusal` is what libsndfile had against the file, for the message."""
    import av

    with open(descriptor, "rb", closefd=False) as file, contextlib.ExitStack() as stack:
        try:
            media = stack.enter_context(av.open(file, options=FFMPEG_OPTIONS))
        except av.FFmpegError as error:
            detail = "; ".join(filter(None, [refusal, f"FFmpeg: {error.strerror}"]))
            raise BadAudioError("undecodable", f"expected audio, got: {detail}", "soundfile, pyav") from error
        streams = media.streams.audio
        if number >= len(streams):
            wanted = f"an audio stream {number}" if number else "an audio stream"
            got = f"{len(streams)} in {media.format.name}" if streams else f"none in {media.format.name}"
            raise BadAudioError("undecodable", f"expected {wanted}, got {got}", "pyav")
        stream = streams[number]
        if stream.codec_context is None:
            raise BadAudioError("undecodable", "expected a known codec, got one that FFmpeg cannot decode", "pyav")
        codec = stream.codec_context
        codec.thread_count = 1  # processes already fill the cores
        check_format(codec.sample_rate, codec.channels)
        name = f"pyav/{codec.name}"
        yield Decoder(codec.sample_rate, codec.channels, name, "", descriptor, _ffmpeg_blocks(media, stream, name))


def _ffmpeg_blocks(media: "InputContainer", stream: "AudioStream", name: str) -> Iterator[Block]:
    import av

    rate_hz, channels = stream.codec_context.sample_rate, stream.codec_context.channels
    n_frames = max(BLOCK_VALUES // channels, MIN_BLOCK_FRAMES)
    waiting, n_waiting, got, end_s = list[Block](), 0, 0, 0.0
    try:
        for frame in media.decode(stream):
            form = (frame.sample_rate, frame.layout.nb_channels)
            if form != (rate_hz, channels):  # a resampler set up for the first frame would change pitch without a word
                raise BadAudioError("corrupt", f"expected {rate_hz} Hz, {channels} channels, got {form}", name)
            waiting.append(_frame_samples(frame, channels))
            n_waiting, got = n_waiting + frame.samples, got + frame.samples
            end_s = (frame.time or 0.0) + frame.samples / rate_hz
            if n_waiting >= n_frames:
                yield np.concatenate(waiting)
                waiting, n_waiting = [], 0
    except av.FFmpegError as error:
        detail = f"expected samples up to the end, got an error after {got:,}: {error.strerror}"
        raise BadAudioError("corrupt", detail, name) from error
    if waiting:
        yield np.concatenate(waiting)
    expected_s = _stated_end_s(media, stream)
    if got and end_s < expected_s - END_TOLERANCE_S:
        raise BadAudioError("truncated", f"expected {expected_s:.3f} s, got {end_s:.3f} s", name)


def _frame_samples(frame: "AudioFrame", channels: int) -> Block:
    """Return a frame's samples, (n, channels), from planes of a channel each or one plane of all channels."""
    if frame.format.name == "fltp" and channels == 1:  # Opus: two thirds of the time that to_ndarray takes
        return np.frombuffer(memoryview(frame.planes[0]), np.float32, frame.samples)[:, None]
    values: Block = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(-1, channels)
    if values.dtype == np.uint8:  # unsigned, silence at 128
        return (values.astype(np.int16) - 128) << 8
    return values


def _stated_end_s(media: "InputContainer", stream: "AudioStream") -> float:
    """Return where a container says that the audio ends, in seconds; 0 where it says nothing certain.

    Most containers state no length, and FFmpeg then guesses one from the bit rate: no evidence of a cut. MP4 states one
    a stream. Matroska states one for all streams, so that a video longer than its audio would look like a cut.
    """
    if stream.duration is not None and stream.time_base is not None and "mov" in media.format.name:
        return float((stream.duration + (stream.start_time or 0)) * stream.time_base)
    if "matroska" in media.format.name and media.duration and not media.streams.video:
        return float(media.duration) / 1e6  # microseconds
    return 0.0
