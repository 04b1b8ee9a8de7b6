"""Matroska and WebM: the CRC-32 that an element may begin with (RFC 8794) is compared; FFmpeg passes over it."""

import os
import zlib

from earmark.audio.container import READER
from earmark.errors import BadAudioError

_SEGMENT, _CRC32 = b"\x18\x53\x80\x67", 0xBF
_CHUNK_BYTES = 1 << 20


def inspect_matroska(descriptor: int, size: int) -> None:
    """Raise BadAudioError (corrupt) for an element of the segment whose checksum is another than it states.

    An element that the file's end cuts, or whose size is not known, is not compared.
    """
    at, end = 0, size
    while at < end:
        name, length, start = _head(descriptor, at)
        if not name:
            return
        if name == _SEGMENT:
            at = start
            continue
        if length is None or start + length > size:
            return
        _check(descriptor, at, start, length)
        at = start + length


def _head(descriptor: int, at: int) -> tuple[bytes, int | None, int]:
    """Return an element's name, its size (None: not known) and where its content begins; no name at the end."""
    data = os.pread(descriptor, 12, at)
    width = 9 - data[0].bit_length() if data and data[0] else 0
    if not 1 <= width <= 4 or len(data) <= width or not data[width]:
        return b"", None, at
    size_width = 9 - data[width].bit_length()
    raw = int.from_bytes(data[width : width + size_width], "big") & (1 << 7 * size_width) - 1
    length = None if raw == (1 << 7 * size_width) - 1 else raw
    return data[:width], length, at + width + size_width


def _check(descriptor: int, at: int, start: int, length: int) -> None:
    head = os.pread(descriptor, 6, start)
    if length < 6 or head[0] != _CRC32 or head[1] != 0x84:  # not the CRC-32 element, which comes first
        return
    stated, found = int.from_bytes(head[2:6], "little"), 0
    position, end = start + 6, start + length
    while position < end and (data := os.pread(descriptor, min(_CHUNK_BYTES, end - position), position)):
        found, position = zlib.crc32(data, found), position + len(data)
    if found != stated:
        detail = f"Matroska element at byte {at:,}: expected CRC {stated:08x}, got {found:08x}"
        raise BadAudioError("corrupt", detail, READER)
