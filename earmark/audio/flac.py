"""FLAC (RFC 9639): its header states how many samples there are, its last frame which of them it holds.

A decoder stops at the number that the header states. The last frame in the file says where the sound really ends.
"""

import array
import functools
import os
import sys
from dataclasses import dataclass, replace

import numpy as np

from earmark.audio.container import READER, Container, Link, Stretch, check_format, shorter, truncated
from earmark.audio.tags import end_of_sound
from earmark.errors import BadAudioError

_STREAMINFO = b"\0\0\0\x22"  # head of the block that comes first, 34 bytes; its first bit set where it is the only one
_MAGIC_WORD = int.from_bytes(b"fL", "little")
_SYNC = (0xF8, 0xF9)  # second byte of a frame: of one block size for all, or with sample numbers
_BLOCK_SIZES = {1: 192, **{n: 576 << (n - 2) for n in range(2, 6)}, **{n: 256 << (n - 8) for n in range(8, 16)}}
_MAX_TAIL_BYTES = 1 << 22  # looked at for the last frame
_MAX_JUNK_BYTES = 1 << 16  # behind the last frame
_CHUNK_BYTES = 1 << 16  # read at a time: what malloc takes from its heap; more costs a page fault for every 4 kB


@dataclass(frozen=True)
class Frame:
    """A frame found by its header: bytes from `at`, the samples [first, stop) of the recording."""

    at: int
    first: int
    stop: int


@dataclass(frozen=True)
class Header:
    """What STREAMINFO states; 0 for what it does not."""

    rate_hz: int
    channels: int
    bits: int
    samples: int
    block_size: int  # of all frames but the last, where it is fixed
    frame_bytes: int  # the longest frame
    md5: str


def inspect_flac(descriptor: int, start: int, size: int, max_short: float) -> Container:
    """Compare a FLAC's header with its last frame. Raises BadAudioError: truncated, wrong header, not one recording."""
    starts = [start, *_later_streams(descriptor, start + 4, size)]
    ends = [*starts[1:], end_of_sound(descriptor, start, size)]
    headers = [_header(descriptor, at, end) for at, end in zip(starts, ends, strict=True)]
    for header in headers:
        if (header.rate_hz, header.channels) != (headers[0].rate_hz, headers[0].channels):
            wanted = f"{headers[0].rate_hz:,} Hz, {headers[0].channels} channels throughout"
            got = f"{header.rate_hz:,} Hz, {header.channels}"
            raise BadAudioError("not one recording", f"expected {wanted}, got {got} in a later stream", READER)
    defects = list[str]()
    links = list[Link]()
    for at, end, header in zip(starts, ends, headers, strict=True):
        link = _link(descriptor, Stretch(at, end), header, max_short, defects)
        if not link.pieces and (at, end) != (0, size):
            link = replace(link, pieces=(Stretch(at, end),))
        links.append(link)
    return Container("flac", tuple(links), defects=tuple(defects))


def _header(descriptor: int, at: int, size: int) -> Header:
    """Read the STREAMINFO block, which comes first in every FLAC file."""
    body = os.pread(descriptor, 42, at)
    if len(body) < 42 or at + 42 > size:
        truncated("of FLAC header", 42, min(len(body), size - at))
    fields = int.from_bytes(body[18:26], "big")  # rate 20 bits, channels - 1 in 3, bits - 1 in 5, samples in 36
    check_format(fields >> 44, (fields >> 41 & 7) + 1)
    smallest, largest = int.from_bytes(body[8:10], "big"), int.from_bytes(body[10:12], "big")
    return Header(
        rate_hz=fields >> 44,
        channels=(fields >> 41 & 7) + 1,
        bits=(fields >> 36 & 31) + 1,
        samples=fields & (1 << 36) - 1,
        block_size=largest if smallest == largest else 0,
        frame_bytes=int.from_bytes(body[15:18], "big"),
        md5=body[26:42].hex() if any(body[26:42]) else "",
    )


def _later_streams(descriptor: int, at: int, size: int) -> list[int]:
    """Return where other FLAC files begin that were laid behind the first."""
    found = list[int]()
    while at < size:
        data = os.pread(descriptor, _CHUNK_BYTES, at)
        for place in _places_of_magic(data):
            if data[place : place + 4] != b"fLaC" and place + 4 <= len(data):
                continue
            head = os.pread(descriptor, 8, at + place)
            if head[:4] == b"fLaC" and head[4:5] in {b"\0", b"\x80"} and head[5:8] == _STREAMINFO[1:]:
                found.append(at + place)
        at += len(data) - 1 if len(data) == _CHUNK_BYTES else max(len(data), 1)
    return found


def _places_of_magic(data: bytes) -> list[int]:
    """Return where "fL" stands, in four times the speed of `bytes.find`: the whole file goes through here."""
    found = list[int]()
    for first in (0, 1):
        words = np.frombuffer(data, "<u2", (len(data) - first) // 2, first)
        same = words == _MAGIC_WORD
        if same.any():  # to look for the places takes longer than all the rest
            found += (2 * np.flatnonzero(same) + first).tolist()
    return sorted(found)


def _link(descriptor: int, where: Stretch, header: Header, max_short: float, defects: list[str]) -> Link:
    """Return what is to be decoded of one stream: as it is, or with the number of samples that its frames hold."""
    if header.samples and (end := _stated_end(descriptor, where, header)) > 0:
        pieces = () if end == where.end else (Stretch(where.start, end),)
        return Link(pieces, header.samples, md5=header.md5)
    last = _last_whole(descriptor, where, header)
    if last is None:  # nothing that could be a frame: the decoder will say what is wrong
        return Link(n_samples=header.samples, md5=header.md5)
    stop, end = last
    if not header.samples and end == where.end:
        return Link(n_samples=stop, md5=header.md5)
    md5 = header.md5
    if header.samples > stop:
        detail = f"expected {header.samples:,} samples, got {stop:,} in whole frames"
        defects.append(shorter((header.samples - stop) / header.rate_hz, max_short, detail))
        md5 = ""  # that of the whole
    elif end < where.end and _begins_frame(os.pread(descriptor, 16, end), header):
        detail = f"expected a last FLAC frame of more than {where.end - end:,} bytes, got the end of the file"
        defects.append(shorter(header.block_size / header.rate_hz, max_short, detail))
        md5 = ""
    head = _set_right(os.pread(descriptor, 42, where.start), stop)
    return Link((head, Stretch(where.start + 42, end)), stop, md5=md5)


def _stated_end(descriptor: int, where: Stretch, header: Header) -> int:
    """Return where the frame of the last sample that the header states ends, if that is the last frame; else 0."""
    room = where.end - where.start - 42
    tail = min(header.frame_bytes or _MAX_TAIL_BYTES, room)
    for n_bytes in (tail, min(tail + _MAX_JUNK_BYTES, room)):  # what stands behind the sound is rarely more than a tag
        base = where.end - n_bytes
        data = os.pread(descriptor, n_bytes, base)
        for frame in _frames(data, base, header):
            if frame.stop == header.samples:
                body = data[frame.at - base :]
                return frame.at + _whole_bytes(body)
    return 0


def _set_right(head: bytes, samples: int) -> bytes:
    fields = int.from_bytes(head[18:26], "big") >> 36 << 36 | samples
    return head[:18] + fields.to_bytes(8, "big") + head[26:]


def _frames(data: bytes, base: int, header: Header) -> "list[Frame]":
    """Return what looks like a frame in some bytes, last first: its header is sound and of the stream's own form."""
    found, at = list[Frame](), data.rfind(b"\xff")
    while at >= 0:
        if at + 1 < len(data) and data[at + 1] in _SYNC and (frame := _frame(data[at : at + 16], base + at, header)):
            found.append(frame)
        at = data.rfind(b"\xff", 0, at)
    return found


def _begins_frame(head: bytes, header: Header) -> bool:
    """Say whether bytes begin a frame, as far as they go: a file may end in the middle of its header."""
    whole = head[:1] == b"\xff" and (len(head) < 2 or head[1] in _SYNC)
    return whole and (len(head) < 16 or _frame(head, 0, header) is not None)


def _frame(head: bytes, at: int, header: Header) -> Frame | None:
    """Read a frame's header; None where it is none, which its CRC-8 says in all but 1 of 256 cases."""
    if len(head) < 6 or head[1] not in _SYNC or head[3] & 1:
        return None
    size_code, rate_code = head[2] >> 4, head[2] & 15
    number, used = _utf8_number(head[4:11])
    if size_code == 0 or rate_code == 15 or used == 0 or (head[3] >> 4) > 10:
        return None
    channels = (head[3] >> 4) + 1 if head[3] >> 4 < 8 else 2
    end = 4 + used
    size = _BLOCK_SIZES.get(size_code, 0)
    if size_code in {6, 7}:
        width = size_code - 5
        size, end = int.from_bytes(head[end : end + width], "big") + 1, end + width
    end += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if channels != header.channels or end >= len(head) or _crc8(head[:end]) != head[end]:
        return None
    first = number if head[1] & 1 else number * (header.block_size or size)
    return Frame(at, first, first + size)


def _utf8_number(data: bytes) -> tuple[int, int]:
    """Return a number coded like a letter of UTF-8, of up to 36 bits, and its bytes; 0 bytes where it is none."""
    if not data or 0x80 <= data[0] < 0xC0 or data[0] == 0xFF:
        return 0, 0
    if data[0] < 0x80:
        return data[0], 1
    used = 8 - (data[0] ^ 0xFF).bit_length()
    number = data[0] & (0x7F >> used)
    for byte in data[1:used]:
        if byte & 0xC0 != 0x80:
            return 0, 0
        number = number << 6 | byte & 0x3F
    return (number, used) if len(data) >= used else (0, 0)


def _last_whole(descriptor: int, where: Stretch, header: Header) -> tuple[int, int] | None:
    """Return the samples up to the end of the last whole frame, and the byte behind it; None where none was found.

    A frame is whole where its CRC-16 comes out at the next frame, or at the end.
    """
    tail = min(_MAX_TAIL_BYTES, where.end - where.start - 42)
    base = where.end - tail
    data = os.pread(descriptor, tail, base)
    frames = sorted(_frames(data, base, header), key=lambda frame: frame.at)[-64:]
    borders = [frame.at for frame in frames] + [where.end]
    for number in range(len(frames) - 1, -1, -1):
        frame = frames[number]
        for end in borders[number + 1 :]:
            if _crc16(data[frame.at - base : end - base]) == 0:
                return frame.stop, end
    return None


def _table(polynomial: int, bits: int) -> list[int]:
    table = []
    for value in range(256):
        crc = value << (bits - 8)
        for _ in range(8):
            crc = crc << 1 ^ (polynomial if crc >> (bits - 1) & 1 else 0)
        table.append(crc & (1 << bits) - 1)
    return table


_CRC8, _CRC16 = _table(0x07, 8), _table(0x8005, 16)


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = _CRC8[crc ^ byte]
    return crc


@functools.cache
def _crc16_words() -> list[int]:
    """Return the CRC-16 of every two bytes: one look a word makes it twice as fast."""
    return [(_CRC16[word >> 8] << 8 & 0xFF00) ^ _CRC16[_CRC16[word >> 8] >> 8 ^ word & 0xFF] for word in range(1 << 16)]


def _crc16(data: bytes) -> int:
    table, crc = _crc16_words(), 0
    words = array.array("H", data[: len(data) & ~1])
    if sys.byteorder == "little":
        words.byteswap()
    for word in words:
        crc = table[crc ^ word]
    return (crc << 8 & 0xFF00) ^ _CRC16[crc >> 8 ^ data[-1]] if len(data) & 1 else crc


def _whole_bytes(data: bytes) -> int:
    """Return the bytes of the frame that data begins with, whatever follows it; far below 0 where it is cut.

    Zeros behind a frame leave its CRC-16 at 0, so that they hide where it ends; one or two may be the CRC's own.
    """
    if _crc16(data) == 0:
        last = len(data.rstrip(b"\0"))
        return last if len(data) - last > 2 else len(data)
    crc = 0
    for at, byte in enumerate(data):
        crc = (crc << 8 & 0xFF00) ^ _CRC16[crc >> 8 ^ byte]
        if crc == 0:
            return at + 1
    return -1 << 62
