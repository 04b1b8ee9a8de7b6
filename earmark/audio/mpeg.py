"""MPEG audio (MP3, MP2): its frames are counted, so that neither a guess nor a wrong header decides where sound ends.

A decoder estimates the length of a stream without a Xing frame from its first bit rate, and never reads past that.
Counting takes one look at each frame's header, about 1 % of decoding. Sources: ISO 11172-3 and 13818-3, the Xing/Info
frame as LAME writes it, VBRI as Fraunhofer's encoder does, ID3v2, APEv2, Lyrics3.
"""

import functools
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from earmark.audio.container import READER, Container, Link, Stretch, shorter
from earmark.audio.defects import JUNK, defect
from earmark.audio.tags import end_of_sound, tag_bytes
from earmark.errors import BadAudioError

_KBIT_S = {  # by (MPEG-1, layer): bit rates of the indices 1 to 14
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_CHUNK_BYTES = 1 << 19  # read at a time
_MARGIN_BYTES = 64  # of a frame that must be in a chunk: header, CRC, side information, "Xing"
_PADDING_BYTES = 128  # zeros that a file may end in without a word
_MAX_FREE_BYTES = 4096  # of a frame in free format


@dataclass(frozen=True)
class Kind:
    """What all frames of a stream share. `lengths` of its frames in bytes, by their first three bytes."""

    version: int  # as in the header: 3 is MPEG-1, 2 MPEG-2, 0 MPEG-2.5
    layer: int
    rate_hz: int
    channels: int
    lengths: dict[bytes, int] = field(hash=False, compare=False)

    @property
    def samples(self) -> int:
        """Sample frames in a frame."""
        return {1: 384, 2: 1152, 3: 1152 if self.version == 3 else 576}[self.layer]

    @property
    def side_bytes(self) -> int:
        """Bytes of a layer III frame's side information."""
        return (32 if self.channels == 2 else 17) if self.version == 3 else (17 if self.channels == 2 else 9)


@dataclass(frozen=True)
class Info:
    """The frame that describes a stream (Xing, Info or VBRI): what it states, 0 where it does not; `at` in the file."""

    at: int
    frames: int
    bytes: int
    trimmed: int  # samples of delay and padding, which a decoder leaves out
    length: int  # bytes of the frame
    patchable: bool  # a Xing frame with room for both numbers


@dataclass
class _Stream:
    """One of the streams laid end to end in a file: its frames, in stretches without anything between them."""

    info: Info | None
    stretches: list[Stretch] = field(default_factory=list)
    n_frames: int = 0

    def add(self, start: int, end: int, n_frames: int) -> None:
        """Add frames behind the others."""
        self.n_frames += n_frames
        if self.stretches and self.stretches[-1].end == start:
            start = self.stretches.pop().start
        self.stretches.append(Stretch(start, end))


@dataclass
class _Found:
    """What a walk over a file found."""

    streams: list[_Stream] = field(default_factory=list)
    junk: list[Stretch] = field(default_factory=list)
    n_protected: int = 0
    n_wrong: int = 0  # of those, with another CRC
    first_wrong: int = 0
    partial: bool = False  # the last frame is cut


def is_frame(head: bytes) -> bool:
    """Say whether bytes begin with the header of a frame."""
    return len(head) >= 4 and _kind(head[:4]) is not None


def inspect_mpeg(descriptor: int, start: int, size: int, max_short: float) -> Container:
    """Count the frames of a stream that begins at `start`.

    Raises BadAudioError: truncated, corrupt, not one recording.
    """
    head = os.pread(descriptor, 2 * _MAX_FREE_BYTES, start)
    kind = _kind(head[:4])
    if kind is None or not (kind.lengths or _free_format(kind, head)):
        return Container("mp3")
    found = _walk(descriptor, start, end_of_sound(descriptor, start, size), kind)
    if not found.streams:
        return Container("mp3")
    defects = _told(found, kind, max_short)
    streams = [stream for stream in found.streams if stream.n_frames]
    if len(streams) == 1:
        return _one_stream(descriptor, streams[0], kind, defects, clean=not found.junk)
    return Container("mp3", tuple(_set_right(descriptor, stream, kind) for stream in streams), defects=tuple(defects))


def _one_stream(descriptor: int, stream: _Stream, kind: Kind, defects: list[str], *, clean: bool) -> Container:
    whole = Link(n_samples=_n_samples(stream, kind), slack=2 * kind.samples)
    right = _set_right(descriptor, stream, kind)
    stated = stream.info.frames if stream.info else 0
    if len(stream.stretches) == 1 and clean and stated >= stream.n_frames:
        return Container("mp3", (whole,), defects=tuple(defects))
    if len(stream.stretches) == 1 and clean and not stated:  # most decoders' guesses are right
        return Container("mp3", (replace(whole, remedy=right.pieces),), defects=tuple(defects))
    return Container("mp3", (right,), defects=tuple(defects))


def _n_samples(stream: _Stream, kind: Kind) -> int:
    trimmed = stream.info.trimmed if stream.info else 0
    return max(stream.n_frames * kind.samples - trimmed, 1)


def _told(found: _Found, kind: Kind, max_short: float) -> list[str]:
    """Return the defects of a walk. Raises BadAudioError."""
    # a writer whose CRCs are all wrong computes them wrongly; a few wrong ones are damage
    if 0 < found.n_wrong < max(found.n_protected / 2, 2):
        raise BadAudioError(
            "corrupt", f"expected frames of the CRC that they state, got another at byte {found.first_wrong:,}", READER
        )
    missing = int(found.partial)
    for stream in found.streams:
        if stream.info and stream.info.frames > stream.n_frames + 1:  # some writers count their Xing frame
            missing += stream.info.frames - stream.n_frames
    stated = sum(stream.info.frames if stream.info else stream.n_frames for stream in found.streams)
    n_frames = sum(stream.n_frames for stream in found.streams)
    detail = f"expected {max(stated, n_frames + missing):,} MP3 frames, got {n_frames:,}"
    defects = [shorter(missing * kind.samples / kind.rate_hz, max_short, detail)] if missing else []
    if found.junk:
        n_bytes = sum(piece.end - piece.start for piece in found.junk)
        defects.append(defect(JUNK, f"{n_bytes:,}, from byte {found.junk[0].start:,} on"))
    return defects


def _set_right(descriptor: int, stream: _Stream, kind: Kind) -> Link:
    """Return a stream's frames alone, behind an info frame that states how many there are."""
    info, pieces = stream.info, tuple(stream.stretches)
    n_bytes = sum(piece.end - piece.start for piece in pieces)
    if info is not None and info.patchable:
        frame = bytearray(os.pread(descriptor, info.length, info.at))
        at = 4 + kind.side_bytes + 8
        if not frame[1] & 1 and frame[4 + kind.side_bytes :][:4] not in {b"Xing", b"Info"}:
            at += 2  # behind a CRC
        struct.pack_into(">I", frame, at, stream.n_frames)
        if frame[at - 1] & 2:
            struct.pack_into(">I", frame, at + 4, min(n_bytes + info.length, 0xFFFFFFFF))
        return Link((bytes(frame), *pieces), _n_samples(stream, kind), 2 * kind.samples)
    first = os.pread(descriptor, 4, pieces[0].start)
    return Link(
        (_info_frame(first, kind, stream.n_frames, n_bytes), *pieces),
        max(stream.n_frames * kind.samples, 1),
        2 * kind.samples,
    )


def _info_frame(header: bytes, kind: Kind, n_frames: int, n_bytes: int) -> bytes:
    """Return an info frame for a stream that has none; nothing for layers I and II, whose decoders know of none."""
    if kind.layer != 3:
        return b""
    needed = 4 + kind.side_bytes + 16
    for index in range(1, 15):
        head = bytes([0xFF, header[1] | 1, index << 4 | header[2] & 0x0C, header[3]])
        length = _plain_length(kind.version, 3, index, kind.rate_hz, padded=False)
        if length >= needed:
            body = struct.pack(">4sIII", b"Info", 3, n_frames, min(n_bytes + length, 0xFFFFFFFF))
            return (head + bytes(kind.side_bytes) + body).ljust(length, b"\0")
    return b""


def _plain_length(version: int, layer: int, index: int, rate_hz: int, *, padded: bool) -> int:
    bits_s = _KBIT_S[version == 3, layer][index - 1] * 1000
    if layer == 1:
        return (12 * bits_s // rate_hz + padded) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits_s // rate_hz + padded


def _kind(header: bytes) -> Kind | None:
    """Return the kind of a frame by its header; None where there is no header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer, rate = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3), header[2] >> 2 & 3
    if version == 1 or layer == 4 or rate == 3 or header[2] >> 4 == 15:
        return None
    free = header[2] >> 4 == 0
    lengths = {} if free else _lengths(version, layer, rate)
    return Kind(version, layer, _rate_hz(version, rate), 1 if header[3] >> 6 == 3 else 2, lengths)


def _rate_hz(version: int, index: int) -> int:
    return int((44_100, 48_000, 32_000)[index] >> {3: 0, 2: 1, 0: 2}[version])


@functools.lru_cache(maxsize=64)
def _lengths(version: int, layer: int, rate: int) -> dict[bytes, int]:
    found = {}
    for index in range(1, 15):
        for low in range(4):  # padding, and a bit without a meaning
            length = _plain_length(version, layer, index, _rate_hz(version, rate), padded=bool(low & 2))
            for protected in range(2):
                second = 0xE0 | version << 3 | (4 - layer) << 1 | protected
                found[bytes([0xFF, second, index << 4 | rate << 2 | low])] = length
    return found


def _free_format(kind: Kind, head: bytes) -> bool:
    """Fill in the lengths of a stream in free format: the way from its first header to the next."""
    alike = bytes([0xFF, head[1]])
    at = head.find(alike, 32)
    while at > 0 and (head[at + 2 : at + 3] or b"\xff")[0] & 0xFC != head[2] & 0xFC:
        at = head.find(alike, at + 1)
    if not 0 < at < _MAX_FREE_BYTES:
        return False
    slot = 4 if kind.layer == 1 else 1
    base = at - (slot if head[2] & 2 else 0)
    for low in range(4):
        kind.lengths[bytes([0xFF, head[1], head[2] & 0xFC | low])] = base + (slot if low & 2 else 0)
    return True


def _walk(descriptor: int, at: int, size: int, kind: Kind) -> _Found:
    """Walk over frames, tags and junk up to the end of a file."""
    found = _Found()
    while at < size:
        data = os.pread(descriptor, _CHUNK_BYTES, at)
        last = at + len(data) >= size
        starts, end = _run_of_frames(data, kind.lengths, len(data) if last else len(data) - _MARGIN_BYTES)
        if starts and at + end > size:
            found.partial = True
            end = starts.pop()
        _add_frames(found, data, at, starts, end, kind)
        if found.partial:
            break
        if end >= len(data) - _MARGIN_BYTES and not last:
            at += end
            continue
        at = _behind_other(descriptor, at + end, size, kind, found)
    return found


def _run_of_frames(data: bytes, lengths: dict[bytes, int], limit: int) -> tuple[list[int], int]:
    """Return where frames begin that follow upon each other, and where the last of them ends."""
    starts, at = list[int](), 0
    find, add = lengths.get, starts.append
    while at < limit:
        length = find(data[at : at + 3])
        if length is None:
            break
        add(at)
        at += length
    return starts, at


def _add_frames(found: _Found, data: bytes, base: int, starts: list[int], end: int, kind: Kind) -> None:
    """Add frames to the streams, of which an info frame begins another."""
    if not starts:
        return
    places = np.array(starts)
    padded = np.frombuffer(data + bytes(_MARGIN_BYTES), np.uint8)
    mono = padded[places + 3] >> 6 == 3
    if (mono != (kind.channels == 1)).any():
        got = base + int(places[np.argmax(mono != (kind.channels == 1))])
        raise BadAudioError(
            "not one recording", f"expected {kind.channels} channels throughout, got others at byte {got:,}", READER
        )
    _check_crcs(found, padded, places, base, kind)
    first = 0
    for number in _infos(padded, places, kind, alone=not found.streams):
        _add_run(found, base, starts, first, number, end)
        at = starts[number]
        following = starts[number + 1] if number + 1 < len(starts) else end
        found.streams.append(_Stream(_info(data[at:following], base + at, following - at, kind)))
        first = number + 1
    _add_run(found, base, starts, first, len(starts), end)


def _add_run(found: _Found, base: int, starts: list[int], first: int, stop: int, end: int) -> None:
    if first == stop:
        return
    if not found.streams:
        found.streams.append(_Stream(None))
    until = starts[stop] if stop < len(starts) else end
    found.streams[-1].add(base + starts[first], base + until, stop - first)


def _infos(padded: NDArray[np.uint8], places: NDArray[np.integer], kind: Kind, *, alone: bool) -> Iterator[int]:
    """Yield the numbers of frames that describe a stream; of VBRI, which is no magic at a fixed place, the first."""
    if kind.layer != 3:
        return
    protected = (padded[places + 1] & 1) == 0
    at = places + 4 + kind.side_bytes
    marks = np.zeros(len(places), bool)
    for extra in (0, 2):  # behind a CRC
        first = padded[at + extra].astype(np.uint16) << 8 | padded[at + extra + 1]
        second = padded[at + extra + 2].astype(np.uint16) << 8 | padded[at + extra + 3]
        same = ((first == 0x5869) & (second == 0x6E67)) | ((first == 0x496E) & (second == 0x666F))
        marks |= same & (protected if extra else True)
    if alone and bytes(padded[places[0] + 36 : places[0] + 40]) == b"VBRI":
        marks[0] = True
    yield from map(int, np.flatnonzero(marks))


def _info(frame: bytes, at: int, length: int, kind: Kind) -> Info:
    """Read an info frame."""
    if frame[36:40] == b"VBRI":
        n_bytes, n_frames = struct.unpack(">II", frame[46:54]) if len(frame) >= 54 else (0, 0)
        return Info(at, n_frames, n_bytes, 0, length, patchable=False)
    start = 4 + kind.side_bytes
    start += 0 if frame[start : start + 4] in {b"Xing", b"Info"} else 2
    flags = int.from_bytes(frame[start + 4 : start + 8], "big")
    n_frames = int.from_bytes(frame[start + 8 : start + 12], "big") if flags & 1 else 0
    place = start + 8 + (4 if flags & 1 else 0)
    n_bytes = int.from_bytes(frame[place : place + 4], "big") if flags & 2 else 0
    place += (4 if flags & 2 else 0) + (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
    lame = frame[place : place + 24]  # name and version, then 12 bits each of delay and padding
    trims = int.from_bytes(lame[21:24], "big") if len(lame) == 24 and any(lame[:9]) else 0
    return Info(at, n_frames, n_bytes, (trims >> 12) + (trims & 0xFFF), length, patchable=bool(flags & 1))


def _behind_other(descriptor: int, at: int, size: int, kind: Kind, found: _Found) -> int:
    """Return where frames go on behind a tag or junk; what is no frame and no tag is noted."""
    while at < size:
        data = os.pread(descriptor, _CHUNK_BYTES, at)
        if length := tag_bytes(data):
            at = min(at + length, size)
            continue
        if is_of(data, kind):
            return at
        _refuse_other_kind(data, at, kind)
        step = _next_frame(data, kind)
        end = at + (len(data) - 3 if step is None else step)
        end = size if step is None and at + len(data) >= size else end
        zeros = end >= size and size - at <= _PADDING_BYTES and not data.strip(b"\0")
        if not zeros and end > at:
            _note_junk(found, at, end)
        at = end
    return at


def is_of(data: bytes, kind: Kind) -> bool:
    """Say whether data begins with a frame of a kind, and goes on with another where it reaches so far."""
    length = kind.lengths.get(data[:3])
    return length is not None and (len(data) <= length + 3 or data[length : length + 3] in kind.lengths)


def _note_junk(found: _Found, start: int, end: int) -> None:
    if found.junk and found.junk[-1].end == start:
        start = found.junk.pop().start
    found.junk.append(Stretch(start, end))


def _next_frame(data: bytes, kind: Kind) -> int | None:
    """Return where the next two frames in a row begin, or the last one alone at the very end."""
    at = data.find(b"\xff", 1)
    while at > 0:
        length = kind.lengths.get(data[at : at + 3])
        if length is not None and (data[at + length : at + length + 3] in kind.lengths or at + length == len(data)):
            return at
        at = data.find(b"\xff", at + 1)
    return None


def _refuse_other_kind(data: bytes, at: int, kind: Kind) -> None:
    """Raise BadAudioError where frames of another rate or layer go on: three in a row are no accident."""
    other, place = _kind(data[:4]), 0
    if other is None or not other.lengths or (other.rate_hz, other.layer) == (kind.rate_hz, kind.layer):
        return
    for _ in range(3):
        length = other.lengths.get(data[place : place + 3])
        if length is None:
            return
        place += length
    wanted = f"layer {kind.layer} at {kind.rate_hz:,} Hz"
    got = f"layer {other.layer} at {other.rate_hz:,} Hz"
    raise BadAudioError("not one recording", f"expected {wanted} throughout, got {got} at byte {at:,}", READER)


@functools.lru_cache(maxsize=1)
def _crc_table() -> NDArray[np.uint16]:
    table = np.zeros(256, np.uint16)
    for value in range(256):
        crc = value << 8
        for _ in range(8):
            crc = (crc << 1) ^ (0x8005 if crc & 0x8000 else 0)
        table[value] = crc & 0xFFFF
    return table


def _check_crcs(found: _Found, data: NDArray[np.uint8], places: NDArray[np.integer], base: int, kind: Kind) -> None:
    """Compare the CRCs of protected layer III frames: over the header's last two bytes and the side information.

    Those of layers I and II are over fields of varying length, and are not compared.
    """
    protected = places[(data[places + 1] & 1) == 0] if kind.layer == 3 else places[:0]
    if not len(protected):
        return
    table = _crc_table()
    crc = np.full(len(protected), 0xFFFF, np.uint16)
    for offset in (2, 3, *range(6, 6 + kind.side_bytes)):
        crc = (crc << 8) ^ table[(crc >> 8) ^ data[protected + offset]]
    wrong = crc != (data[protected + 4].astype(np.uint16) << 8 | data[protected + 5])
    if wrong.any() and not found.n_wrong:
        found.first_wrong = base + int(protected[np.argmax(wrong)])
    found.n_protected += len(protected)
    found.n_wrong += int(wrong.sum())
