"""Recordings decoded in blocks: libsndfile where it can, FFmpeg (PyAV) for Opus and for what libsndfile cannot read.

Opus goes to FFmpeg for its result, not for its speed: libsndfile 1.2 leaves the encoder's 6.5 ms of pre-skip in the
Opus files that FFmpeg wrote, and cuts as much from their end.
"""

import contextlib
import errno
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from earmark.audio.container import Container, Link, check_format, shorter
from earmark.audio.defects import kind_of
from earmark.audio.headers import inspect
from earmark.audio.source import Source, one_recording, require_memory
from earmark.audio.timeline import timeline_of
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

# Codecs whose frames carry a checksum: FFmpeg compares it where it is told to, and otherwise conceals what is damaged.
# To "explode" is to return an error. Others are left as they are: some take for damage what decodes well.
CHECKED_CODECS = {
    "ac3", "ape", "eac3", "flac", "mp1float", "mp2float", "mp3float", "mp1", "mp2", "mp3", "tak", "tta", "wavpack",
}  # fmt: skip
CLOCK_S = 0.002  # twice the step of most containers' clocks
LOSSLESS_CODECS = {"alac", "ape", "flac", "tak", "tta", "wavpack", "shorten", "truehd"}
STATING = {"mov", "wv", "tta", "ape", "tak", "mpc", "mpc8"}  # FFmpeg's demuxers that read a stream's length

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
    errno.ENXIO,  # of a socket
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
def open_decoder(path: Path, max_short: float = 0.0, media_time: bool = False) -> Iterator[Decoder]:
    """Open a recording by its content, whatever its name ends in; a path may lead into a file (`earmark.disk.inside`).

    What ends up to `max_short` seconds before it should is a defect of the decoder's, what ends earlier an error.
    With `media_time` there is silence where a container's time stamps leave gaps.
    Raises BadAudioError for the recording and MachineError for the machine, here or from the blocks; nothing else.
    """
    with contextlib.ExitStack() as stack:
        with one_recording(str(path), "open"):
            opening, links = _opening(path, max_short, media_time, stack)
            decoder = opening.decoder(links[0], stack)
        blocks = _all_blocks(str(path), opening, decoder, links[1:])
        yield replace(decoder, blocks=blocks, channel=opening.channel)


def inspect_file(path: Path, max_short: float) -> Container:
    """Return what a recording's own bytes say of it, without decoding it. Raises as `open_decoder`."""
    with contextlib.ExitStack() as stack, one_recording(str(path), "open"):
        return _opening(path, max_short, False, stack)[0].container


def _opening(
    path: Path, max_short: float, media_time: bool, stack: contextlib.ExitStack
) -> tuple["_Opening", tuple[Link, ...]]:
    """Open a recording's file, and find what of it is to be decoded."""
    place = inside.locate(path)
    in_table = place.part == "row"
    # A descriptor rather than a path goes to every reader: what is inspected is then what is decoded.
    opened = _open_bytes(inside.read_row(place.file, place.number)) if in_table else open_file(place.file)
    descriptor = stack.enter_context(opened)
    container = inspect(descriptor, os.fstat(descriptor).st_size, max_short)
    if place.part == "stream":  # what was counted is of the first stream
        container = Container(container.form, defects=container.defects)
    stream = place.number if place.part == "stream" else None
    opening = _Opening(str(path), descriptor, container, max_short, media_time, stream, place.channel)
    return opening, container.links


@dataclass(frozen=True)
class _Opening:
    """How a recording is decoded: the file, what it holds, and the audio stream of a media file that is asked for."""

    name: str
    descriptor: int
    container: Container
    max_short: float
    media_time: bool
    stream: int | None
    channel: int | None

    def decoder(self, link: Link, stack: contextlib.ExitStack) -> Decoder:
        """Return a decoder of a link, which `stack` closes: libsndfile's, or FFmpeg's where that would not do."""
        source = Source(self.descriptor, link)
        try:
            decoder = self._choose(source, link, stack)
        except Exception:
            source.require_read()
            raise
        return replace(decoder, blocks=_watched(self.name, decoder, source))

    def _choose(self, source: Source, link: Link, stack: contextlib.ExitStack) -> Decoder:
        refusal = ""
        ending = _Ending(link, self.max_short, list(self.container.defects), self.media_time)
        if self.container.form != "opus" and self.stream is None:
            try:
                sound = stack.enter_context(soundfile.SoundFile(source))
            except soundfile.LibsndfileError as error:
                require_memory("libsndfile", error)
                refusal = f"libsndfile: {error.error_string}"
            else:
                if sound.frames >= link.n_samples - (0 if link.remedy else link.slack):
                    return _sndfile_decoder(sound, self.container, ending, self.descriptor)
                if link.remedy:
                    return self.decoder(replace(link, pieces=link.remedy, remedy=()), stack)
                # it would stop before the end; FFmpeg reads on
        source.seek(0)
        return stack.enter_context(_ffmpeg_decoder(source, refusal, ending, self.stream or 0))


@dataclass(frozen=True)
class _Ending:
    """What a recording's end is held against: what its stream was found to hold, and how much may be missing."""

    link: Link
    max_short: float
    defects: list[str]
    media_time: bool = False

    def check(self, stated: int, got: int, slack: int, rate_hz: int, decoder: str) -> None:
        """Note a defect if fewer samples came than are stated. Raises BadAudioError if too many are missing."""
        if got < stated - slack:
            detail = f"expected {stated:,} samples, got {got:,}"
            self.note(shorter((stated - got) / rate_hz, self.max_short, detail, decoder))

    def note(self, told: str) -> None:
        """Note a defect, of each kind the first."""
        if kind_of(told) not in map(kind_of, self.defects):
            self.defects.append(told)


def _all_blocks(name: str, opening: _Opening, first: Decoder, links: tuple[Link, ...]) -> Iterator[Block]:
    """Yield the blocks of a recording's links, one after the other."""
    yield from first.blocks
    for link in links:
        with contextlib.ExitStack() as stack:
            with one_recording(name, first.name):
                decoder = opening.decoder(link, stack)
            form = (decoder.rate_hz, decoder.channels)
            if form != (first.rate_hz, first.channels):
                detail = f"expected {first.rate_hz:,} Hz, {first.channels} channels throughout, got {form}"
                raise BadAudioError("not one recording", detail, first.name)
            yield from decoder.blocks
            first.defects.extend(told for told in decoder.defects if told not in first.defects)


def _watched(name: str, decoder: Decoder, source: Source) -> Iterator[Block]:
    """Yield a decoder's blocks; a verdict on them, and their end, counts only if every byte could be read."""
    with one_recording(name, decoder.name):
        try:
            yield from decoder.blocks
        except Exception:
            source.require_read()
            raise
        source.require_read()


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
def open_file(path: Path) -> Iterator[int]:
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


def _sndfile_decoder(sound: soundfile.SoundFile, container: Container, ending: _Ending, descriptor: int) -> Decoder:
    check_format(sound.samplerate, sound.channels)
    # soundfile seeks after each read of a seekable file: that makes MP3 samples depend on the block size, fills a
    # cut MP3 up, and fails on a FLAC of unstated length.
    sound.seekable = lambda: False
    plain = sound.subtype == "PCM_16" and sound.format == container.form.upper() and container.as_it_is
    return Decoder(
        rate_hz=sound.samplerate,
        channels=sound.channels,
        name=f"soundfile/{sound.format} {sound.subtype}",
        form=container.form if plain and sound.endian in {"FILE", "LITTLE"} and not ending.defects else "",
        descriptor=descriptor,
        blocks=_sndfile_blocks(sound, container, ending),
        defects=ending.defects,
    )


def _sndfile_blocks(sound: soundfile.SoundFile, container: Container, ending: _Ending) -> Iterator[Block]:
    name = f"soundfile/{sound.format} {sound.subtype}"
    dtype = _INTEGERS.get(sound.subtype, "float64" if sound.subtype == "DOUBLE" else "float32")
    width = _MD5_BYTES.get(sound.subtype, 0) if ending.link.md5 else 0
    md5, got = hashlib.md5(usedforsecurity=False), 0
    n_frames = max(BLOCK_VALUES // sound.channels, MIN_BLOCK_FRAMES)
    stated = _stated(sound, ending.link)
    while True:
        try:
            block = sound.read(n_frames, dtype=dtype, always_2d=True)
        except soundfile.LibsndfileError as error:
            raise _broken_off(sound, error, container, got, stated) from error
        if not len(block):
            break
        got += len(block)
        if width:
            md5.update(_packed(block, width))
        yield block
    ending.check(stated, got, ending.link.slack, sound.samplerate, name)
    if width and md5.hexdigest() != ending.link.md5:
        raise BadAudioError("corrupt", f"expected samples of MD5 {ending.link.md5}, got {md5.hexdigest()}", name)


def _stated(sound: soundfile.SoundFile, link: Link) -> int:
    """Return how many samples are to come; 0 where nobody knows."""
    # An MP3's length is an estimate. A length of 0, or one that no disk could hold, means that the header states none.
    if link.n_samples or sound.format in {"MP3", "MPEG"} or not 0 < sound.frames < 1 << 62:
        return link.n_samples
    return int(sound.frames)


def _packed(block: Block, width: int) -> bytes:
    """Return the upper `width` bytes of integers, little-endian: what a FLAC's MD5 is taken over."""
    little = block.astype(f"<i{block.itemsize}", copy=False)
    return little.view(np.uint8).reshape(-1, block.itemsize)[:, block.itemsize - width :].tobytes()


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
        kind = "truncated" if not stated or not _reaches(cast("Source", sound.name), stated - 1) else "corrupt"
    return BadAudioError(kind, f"expected {wanted}, got an error after {got:,}: {error.error_string}", name)


def _reaches(source: Source, position: int) -> bool:
    source.seek(0)
    try:
        with soundfile.SoundFile(source) as sound:
            sound.seek(position)
            sound.seekable = lambda: False
            return len(sound.read(1, dtype="int16")) == 1
    except soundfile.LibsndfileError:
        return False


@contextlib.contextmanager
def _ffmpeg_decoder(source: Source, refusal: str, ending: _Ending, number: int) -> Iterator[Decoder]:
    """Open audio stream `number` of a file; `refusal` is what libsndfile had against the file, for the message."""
    import av

    with contextlib.ExitStack() as stack:
        try:
            # Tags are not asked for, and many are no UTF-8, which PyAV by itself takes for an error.
            media = stack.enter_context(av.open(source, options=FFMPEG_OPTIONS, metadata_errors="replace"))
        except av.FFmpegError as error:
            require_memory("FFmpeg", error)
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
        if codec.name in CHECKED_CODECS:
            codec.options = {"err_detect": "crccheck+explode"}
        check_format(codec.sample_rate, codec.channels)
        name = f"pyav/{codec.name}"
        blocks = _ffmpeg_blocks(media, stream, name, ending)
        yield Decoder(codec.sample_rate, codec.channels, name, "", source.descriptor, blocks, defects=ending.defects)


@dataclass
class _Reading:
    """How far FFmpeg has come with a stream; `cut`: the last packet is not whole."""

    rate_hz: int
    channels: int
    name: str
    got: int = 0
    end_s: float = 0.0
    longest: int = 0  # samples of a frame
    last: int = 0
    cut: bool = False

    def frames(self, media: "InputContainer", stream: "AudioStream") -> "Iterator[AudioFrame]":
        """Yield frames. Raises BadAudioError for what FFmpeg knows to be damaged, and av.FFmpegError."""
        for packet in media.demux(stream):
            if self.cut and packet.size:
                raise BadAudioError("corrupt", f"expected whole packets, got a part after {self.got:,}", self.name)
            self.cut = self.cut or packet.is_corrupt
            for frame in packet.decode():
                self._require(frame)
                yield frame

    def _require(self, frame: "AudioFrame") -> None:
        form = (frame.sample_rate, frame.layout.nb_channels)
        if form != (self.rate_hz, self.channels):  # a resampler set up for the first frame would change pitch
            wanted = f"{self.rate_hz} Hz, {self.channels} channels"
            raise BadAudioError("corrupt", f"expected {wanted}, got {form}", self.name)
        if frame.is_corrupt:  # FFmpeg makes up what it could not decode
            detail = f"expected sound frames, got a damaged one after {self.got:,} samples"
            raise BadAudioError("corrupt", detail, self.name)

    def take(self, frame: "AudioFrame") -> None:
        """Note a frame."""
        self.got += frame.samples
        self.longest, self.last = max(self.longest, frame.samples), frame.samples
        self.end_s = (frame.time or 0.0) + frame.samples / self.rate_hz


def _ffmpeg_blocks(media: "InputContainer", stream: "AudioStream", name: str, ending: _Ending) -> Iterator[Block]:
    import av

    codec = stream.codec_context
    reading = _Reading(codec.sample_rate, codec.channels, name)
    n_frames = max(BLOCK_VALUES // codec.channels, MIN_BLOCK_FRAMES)
    waiting, n_waiting = list[Block](), 0
    md5, timeline = _FlacMd5(media, stream), timeline_of(media, stream, ending.media_time)
    try:
        for frame in reading.frames(media, stream):
            if silence := timeline.silence_before(frame):
                yield from _zeros(_frame_samples(frame, codec.channels), silence, waiting, n_frames)
                waiting, n_waiting = [], 0
            waiting.append(_frame_samples(frame, codec.channels))
            md5.update(waiting[-1])
            reading.take(frame)
            n_waiting += frame.samples
            if n_waiting >= n_frames:
                yield np.concatenate(waiting)
                waiting, n_waiting = [], 0
    except av.FFmpegError as error:
        require_memory(name, error)
        # behind the stated end it is no sound that is damaged, but a tag or junk
        if not reading.got or not 0 < _stated_end_s(media, stream) <= reading.end_s:
            detail = f"expected samples up to the end, got an error after {reading.got:,}: {error.strerror}"
            raise BadAudioError("corrupt", detail, name) from error
    if waiting:
        yield np.concatenate(waiting)
    if reading.got:
        for told in timeline.defects():
            ending.note(told)
        _check_end(media, stream, reading, ending)
        md5.check(reading.got, name)


def _zeros(like: Block, n: int, before: list[Block], n_frames: int) -> Iterator[Block]:
    """Yield some blocks that wait, and then silence of n samples in the form of the next."""
    yield from before
    for first in range(0, n, n_frames):
        yield np.zeros((min(n_frames, n - first), like.shape[1]), like.dtype)


def _check_end(media: "InputContainer", stream: "AudioStream", reading: _Reading, ending: _Ending) -> None:
    """Hold what came against what was counted before, or else against the time that the container states."""
    if ending.link.n_samples:
        ending.check(ending.link.n_samples, reading.got, ending.link.slack, reading.rate_hz, reading.name)
    else:
        _check_time(_stated_end_s(media, stream), stream, reading, ending)
    if reading.cut:
        lost_s = reading.longest / reading.rate_hz
        ending.note(shorter(lost_s, max(lost_s, ending.max_short), ""))


def _check_time(stated_s: float, stream: "AudioStream", reading: _Reading, ending: _Ending) -> None:
    """Hold the end of the last frame against a time.

    A codec's delay and padding make these differ by up to two of its frames. A lossless codec has none, but a last
    frame that is shorter than others may have been counted as if it were as long.
    """
    codec = stream.codec_context
    exact = codec.name in LOSSLESS_CODECS or codec.name.startswith("pcm_")
    slack = reading.longest - reading.last if exact else 2 * reading.longest
    slack_s = CLOCK_S + slack / codec.sample_rate
    missing_s = stated_s - reading.end_s
    if missing_s > slack_s:
        detail = f"expected {stated_s:.3f} s, got {reading.end_s:.3f} s"
        ending.note(shorter(missing_s, max(ending.max_short, slack_s), detail, reading.name))


class _FlacMd5:
    """The MD5 of a FLAC's samples in another container, where the codec's own header is kept and states one.

    Not in Ogg, see `earmark.audio.ogg`.
    """

    def __init__(self, media: "InputContainer", stream: "AudioStream") -> None:
        codec, head = stream.codec_context, stream.codec_context.extradata or b""
        stated = len(head) >= 34 and codec.name == "flac" and any(head[18:34]) and media.format.name != "ogg"
        self._stated = head[18:34].hex() if stated else ""
        self._samples = int.from_bytes(head[10:18], "big") & (1 << 36) - 1 if stated else 0
        self._width = -(-((int.from_bytes(head[10:18], "big") >> 36 & 31) + 1) // 8) if stated else 0
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, block: Block) -> None:
        if self._stated:
            self._md5.update(_packed(np.ascontiguousarray(block), self._width))

    def check(self, got: int, name: str) -> None:
        """Raise BadAudioError if all samples came and are others."""
        if self._stated and got == self._samples and self._md5.hexdigest() != self._stated:
            found = self._md5.hexdigest()
            raise BadAudioError("corrupt", f"expected samples of MD5 {self._stated}, got {found}", name)


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
    a stream, and so do the headers of lossless codecs' own files. Matroska and FLV state one for all streams, so that a
    video longer than its audio would look like a cut.
    """
    if stream.duration is not None and stream.time_base is not None and ({*media.format.name.split(",")} & STATING):
        return float((stream.duration + (stream.start_time or 0)) * stream.time_base)
    if ("matroska" in media.format.name or media.format.name == "flv") and media.duration and not media.streams.video:
        return float(media.duration) / 1e6  # microseconds
    return 0.0
