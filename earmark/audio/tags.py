"""Tags at both ends of a sound file, of any format: text, pictures and lyrics that are no sound.

Sources: ID3v2.4 (also appended, with a footer), ID3v1 and its extension, APEv1 and APEv2, Lyrics3 v1 and v2.
"""

import os
import struct

_ID3V1_BYTES, _EXTENDED_BYTES = 128, 227
_LYRICS_BYTES = 5_200  # Lyrics3 v1 is no longer
_HEADS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")


def after_id3(head: bytes) -> int:
    """Return the bytes of an ID3v2 tag that head begins with, else 0: 4 bytes of 7 bits each give its length."""
    if head[:3] != b"ID3" or len(head) < 10 or head[3] > 15 or max(head[6:10]) > 0x7F:
        return 0
    length = 0
    for byte in head[6:10]:
        length = length << 7 | byte & 0x7F
    return 10 + length + (10 if head[5] & 0x10 else 0)


def after_tags(descriptor: int, at: int) -> int:
    """Return where the ID3v2 tags that stand at a place end; there may be several."""
    while length := after_id3(os.pread(descriptor, 10, at)):
        at += length
    return at


def end_of_sound(descriptor: int, start: int, size: int) -> int:
    """Return where the tags at the end of a file begin; `size` where there are none."""
    end = size
    while True:
        tail = os.pread(descriptor, _ID3V1_BYTES, max(end - _ID3V1_BYTES, start))
        length = _tag_before(descriptor, tail, end)
        if not length or end - length < start:
            return end
        end -= length


def _tag_before(descriptor: int, tail: bytes, end: int) -> int:
    """Return the bytes of the tag that ends where the tail ends; 0 where there is none."""
    if len(tail) == _ID3V1_BYTES and tail[:3] == b"TAG":
        extended = os.pread(descriptor, 4, max(end - _ID3V1_BYTES - _EXTENDED_BYTES, 0)) == b"TAG+"
        return _ID3V1_BYTES + (_EXTENDED_BYTES if extended else 0)
    if tail[-32:-24] == b"APETAGEX":
        length, _, flags = struct.unpack("<III", tail[-20:-8])
        return int(length + (32 if flags >> 31 else 0))  # the length counts the footer, and no header
    if tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
        return int(tail[-15:-9]) + 15
    if tail[-9:] == b"LYRICSEND":
        text = os.pread(descriptor, _LYRICS_BYTES, max(end - _LYRICS_BYTES, 0))
        begin = text.rfind(b"LYRICSBEGIN")
        return len(text) - begin if begin >= 0 else 0
    if tail[-10:-7] == b"3DI":
        return after_id3(b"ID3" + tail[-7:])
    return 0


def tag_bytes(data: bytes) -> int:
    """Return the bytes of a tag in the middle of a file, by its first bytes; 0 where there is none."""
    if not data.startswith(_HEADS):
        return 0
    if data[:3] == b"ID3":
        return after_id3(data)
    if data[:4] == b"TAG+":
        return _EXTENDED_BYTES
    if data[:3] == b"TAG":
        return _ID3V1_BYTES
    if data[:8] == b"APETAGEX" and len(data) >= 32:
        length, _, flags = struct.unpack("<III", data[12:24])
        return int(32 + (length if flags >> 29 & 1 else 0))  # else a footer, behind items without a header
    end = data.find(b"LYRICS200")
    end = end if end >= 0 else data.find(b"LYRICSEND")
    return end + 9 if end >= 0 else 0
