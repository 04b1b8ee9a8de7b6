"""Containers that state how many bytes of samples they have: one rule holds all of them against the file's size.

WAV with RIFX and RF64 (EBU Tech 3306), W64, AIFF and AIFC, CAF, Sun .snd, NIST SPHERE. Each is read into a `Layout`;
`settle` is the rule. Decoders accept a file cut short in most of these without a word, and read no byte beyond what
the header states.
"""

import os
import re
import struct
from dataclasses import dataclass

from earmark.audio.container import READER, Container, Link, Stretch, check_format, longer, shorter, truncated
from earmark.audio.tags import end_of_sound, tag_bytes
from earmark.errors import BadAudioError

# Sizes that programs write which cannot go back to fill in the real one: 0, FFmpeg, ALSA (two), SoX.
_UNFILLED = {0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFF000}
_LEAST_PLACEHOLDER = 100_000_000  # bytes; a smaller size is meant
_STEP, _NEAR = 1 << 24, 4096  # other placeholders are within some kB of a multiple of 16 MiB ...
_NO_SIZE = 1 << 48  # ... or, where a size has 64 bits, beyond any disk
_MOST_HEADER_BYTES = 128  # that writers count as samples: a header's 44, its 36 behind the first 8, a chunk's 8, ...
_PADDING_BYTES = 4096  # zeros behind the samples that need no word
_WRAP = 1 << 32  # sizes of 32 bits wrap here
_PCM_WAV = {1, 3, 6, 7}  # format codes whose samples stand side by side: integers, floats, A-law, mu-law
_AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}  # of a sample, by encoding


@dataclass(frozen=True)
class Patch:
    """A number of a header that depends on how many bytes of samples there are: (bytes + `more`) // `every`."""

    at: int
    layout: str  # as in `struct`
    more: int = 0
    every: int = 1


@dataclass(frozen=True)
class Layout:
    """Where samples are and what the header says of them.

    `whole` is the size of the file by its outermost header, 0 where there is none. `frame_bytes` of one sample of all
    channels, 0 if compressed; `bytes_per_s` 0 if not known. `follows` is the head of chunks, as in `struct`, "" where
    none may follow. `agrees`: no other number in the header contradicts `stated`. `reads_on`: decoders take the rest of
    the file for samples, whatever is stated.
    """

    form: str
    start: int
    stated: int
    whole: int
    frame_bytes: int
    bytes_per_s: float
    patches: tuple[Patch, ...]
    follows: str = ""
    wide: bool = False
    agrees: bool = True
    reads_on: bool = False


def inspect_chunked(descriptor: int, head: bytes, size: int, max_short: float) -> Container | None:
    """Hold a file's stated size against its real one; None for a container that is none of these.

    Raises BadAudioError: truncated, no samples, wrong header.
    """
    layout = _layout(descriptor, head, size)
    return settle(descriptor, layout, size, max_short) if layout else None


def _layout(descriptor: int, head: bytes, size: int) -> Layout | None:
    if head[:4] in {b"RIFF", b"RIFX", b"RF64", b"BW64"} and head[8:12] == b"WAVE":
        return _wav(descriptor, head, size)
    if head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}:
        return _aiff(descriptor, size)
    if head[:4] == b"riff" and head[24:28] == b"wave":
        return _w64(descriptor, size)
    if head[:4] == b"caff":
        return _caf(descriptor, size)
    if head[:4] == b".snd" and len(head) >= 24:
        return _au(head)
    if head[:7] == b"NIST_1A":
        return _sphere(head)
    return None


# The rule


def settle(descriptor: int, layout: Layout, size: int, max_short: float) -> Container:
    """Say where the samples of a file end, whatever its header states. Raises BadAudioError: truncated, no samples."""
    present = size - layout.start
    if layout.stated == 0 and _is_rest(descriptor, layout, layout.start, size):
        raise BadAudioError("no samples", "expected samples in the data chunk, got 0 bytes", READER)
    if layout.stated > present:
        return _less_than_stated(descriptor, layout, size, max_short)
    end = layout.start + layout.stated
    if _is_rest(descriptor, layout, end, size):
        second = _second_data(descriptor, layout, end, size)
        if second:
            told = longer(f"a second data chunk of {second:,} bytes follows and was not read")
            return _set_right(descriptor, layout, end, (told,))
        as_it_is = layout.agrees and (end >= size or not layout.reads_on)
        return Container(layout.form) if as_it_is else _set_right(descriptor, layout, end)
    return _more_than_stated(descriptor, layout, size)


def _less_than_stated(descriptor: int, layout: Layout, size: int, max_short: float) -> Container:
    missing = layout.stated - (size - layout.start)
    header_counted = missing <= _MOST_HEADER_BYTES and missing in {8, 36, 44, layout.start, layout.start - 8}
    if is_placeholder(layout, size - layout.start) or header_counted or layout.whole == size:
        return _set_right(descriptor, layout, end_of_sound(descriptor, layout.start, size))
    detail = f"expected {layout.stated:,} bytes of samples, got {size - layout.start:,}"
    missing_s = missing / layout.bytes_per_s if layout.bytes_per_s else float("inf")
    return _set_right(descriptor, layout, size, (shorter(missing_s, max_short, detail),))


def _more_than_stated(descriptor: int, layout: Layout, size: int) -> Container:
    end = layout.start + layout.stated
    behind = end_of_sound(descriptor, end, size)
    if is_placeholder(layout, behind - layout.start):
        return _set_right(descriptor, layout, behind)
    laps = 0 if layout.wide else (behind - end) // _WRAP
    if laps and _is_rest(descriptor, layout, end + laps * _WRAP, size):  # more than 4 GiB, of a size of 32 bits
        return _set_right(descriptor, layout, end + laps * _WRAP)
    follow = behind - end
    if _is_sound(descriptor, layout, end, behind):
        return _set_right(descriptor, layout, behind, (longer(f"{follow:,} bytes follow, read as sound too"),))
    told = longer(f"{follow:,} bytes follow and were not read")
    return _set_right(descriptor, layout, end, (told,))


def is_placeholder(layout: Layout, got: int) -> bool:
    """Say whether a stated size was never meant: no writer went back to fill it in. `got`: the bytes that there are.

    A recording that was cut states the very size that it had: a whole number of samples, and no round number. So what
    is no whole number of samples, is within some kB of a multiple of 16 MiB, or has one digit and zeros, was written
    in advance, if it is more than twice what there is. A few values are placeholders whatever there is.
    """
    stated = layout.stated
    if stated in _UNFILLED or (layout.wide and stated >= _NO_SIZE):
        return True
    if stated < _LEAST_PLACEHOLDER or (got < stated < 2 * got):
        return False
    from_step = min(stated % _STEP, _STEP - stated % _STEP)
    partial = layout.frame_bytes > 1 and stated % layout.frame_bytes != 0
    return partial or from_step <= _NEAR + layout.start or len(str(stated).rstrip("0")) == 1


def _set_right(descriptor: int, layout: Layout, end: int, defects: tuple[str, ...] = ()) -> Container:
    """Return a file's samples up to `end` behind its own header, with the sizes set right."""
    n_bytes = max(end - layout.start, 0)
    if layout.frame_bytes:
        n_bytes -= n_bytes % layout.frame_bytes
    head = bytearray(os.pread(descriptor, layout.start, 0))
    if n_bytes + layout.start >= _WRAP and not layout.wide:
        if head[:4] != b"RIFF":  # only WAV has a wide form; FFmpeg and libsndfile read others as far as they can
            return Container(layout.form, defects=(*defects, longer("a size of 32 bits cannot state it")))
        head = _as_rf64(head, n_bytes)
    else:
        for patch in layout.patches:
            struct.pack_into(patch.layout, head, patch.at, (n_bytes + patch.more) // patch.every)
    n_samples = n_bytes // layout.frame_bytes if layout.frame_bytes else 0
    piece = Stretch(layout.start, layout.start + n_bytes)
    return Container(layout.form, (Link((bytes(head), piece), n_samples),), defects=defects)


def _as_rf64(head: bytearray, n_bytes: int) -> bytearray:
    """Return a WAV's header in the form for more than 4 GiB: without sizes, and a chunk ds64 that has them."""
    total = len(head) + 36 - 8 + n_bytes
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, total, n_bytes, 0, 0)
    return bytearray(b"RF64\xff\xff\xff\xffWAVE" + ds64 + head[12:-4] + b"\xff\xff\xff\xff")


def _is_rest(descriptor: int, layout: Layout, at: int, size: int) -> bool:
    """Say whether what follows the samples is no sound: chunks, tags, a little padding, or nothing."""
    at = min(at, size)
    end = end_of_sound(descriptor, at, size)
    at = min(at + tag_bytes(os.pread(descriptor, 32, at)), end)
    partial = layout.frame_bytes > 1 and layout.stated % layout.frame_bytes != 0
    if end - at < (1 if partial else max(layout.frame_bytes, 2)) or _zeros(descriptor, at, end):
        return True
    if not layout.follows:
        return False
    return any(_are_chunks(descriptor, layout, at + pad, end) for pad in ((0, 1) if not layout.wide else range(8)))


def _zeros(descriptor: int, at: int, end: int) -> bool:
    return end - at <= _PADDING_BYTES and not os.pread(descriptor, end - at, at).strip(b"\0")


def _are_chunks(descriptor: int, layout: Layout, at: int, end: int) -> bool:
    """Say whether there is nothing but chunks up to the end; the last one may be cut, if it is not the only one."""
    first = True
    while end - at >= struct.calcsize(layout.follows):
        name, length = _chunk(descriptor, layout.follows, at)
        if not _is_name(name) or name[:4] in _MAGIC:  # another file is no chunk of this one
            return not first and _zeros(descriptor, at, end)
        if at + length > end + 1 and (first and name not in _KNOWN):
            return False
        first = False
        at += length + (length & 1 if "16s" not in layout.follows and layout.follows != ">4sq" else 0)
    return not first


_MAGIC = {b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"caff", b"riff", b".snd", b"NIST", b"fLaC", b"OggS"}
_KNOWN = {b"LIST", b"id3 ", b"ID3 ", b"bext", b"cue ", b"smpl", b"iXML", b"JUNK", b"fact", b"PEAK", b"info", b"MARK"}


def _is_name(name: bytes) -> bool:
    return all(32 <= sign < 127 for sign in name[:4]) and name[:1] != b" "


def _chunk(descriptor: int, layout: str, at: int) -> tuple[bytes, int]:
    """Return a chunk's name and its bytes, those of its head included."""
    head = struct.calcsize(layout)
    data = os.pread(descriptor, head, at)
    if len(data) < head:
        return b"", head
    name, length = struct.unpack(layout, data)
    return name, max(length, 24) if "16s" in layout else max(length, 0) + head


def _second_data(descriptor: int, layout: Layout, at: int, size: int) -> int:
    """Return the bytes of another chunk of samples behind the first."""
    if layout.form != "wav" or not layout.follows:
        return 0
    at += (at - layout.start) & 1
    while size - at >= 8:
        name, length = _chunk(descriptor, layout.follows, at)
        if name == b"data":
            return min(length - 8, size - at - 8)
        at += length + (length & 1)
    return 0


def _is_sound(descriptor: int, layout: Layout, at: int, end: int) -> bool:
    """Say whether bytes behind the stated samples are surely more of them: uncompressed, and nothing else by its look.

    So a recorder leaves a file that it never closed: both sizes are those of an earlier moment.
    """
    head = os.pread(descriptor, 512, at)
    stale = layout.whole in {0, 8, layout.start + layout.stated} or layout.whole >= end  # or the outer header is right
    text = sum(32 <= byte < 127 or byte in b"\t\r\n\0" for byte in head) > 0.95 * len(head) and any(head)
    magic = head[:4] in _MAGIC
    return bool(layout.frame_bytes) and stale and not text and not magic and end - at >= 0.1 * layout.bytes_per_s


# The containers


def _wav(descriptor: int, head: bytes, size: int) -> Layout:
    """Walk the chunks of a WAV file up to its samples."""
    order = ">" if head[:4] == b"RIFX" else "<"
    whole = struct.unpack(f"{order}I", head[4:8])[0] + 8
    at, wide, ds64 = 12, -1, -1  # position; size of the samples where a ds64 chunk states it, and where that chunk is
    frame_bytes, bytes_per_s = 0, 0
    while at + 8 <= size:
        name, length = struct.unpack(f"{order}4sI", os.pread(descriptor, 8, at))
        body = os.pread(descriptor, 32, at + 8)
        if name == b"ds64" and len(body) >= 16:
            whole, wide = (*struct.unpack(f"{order}QQ", body[:16]),)
            whole, ds64 = whole + 8, at + 8
        elif name == b"fmt " and len(body) >= 16:
            frame_bytes, bytes_per_s = _wav_format(order, body)
        elif name == b"data":
            return _wav_layout(head, order, at + 8, (length, wide, ds64), (whole, frame_bytes, bytes_per_s), size)
        if at + 8 + length > size:
            truncated(f"up to the end of its {name.decode('latin-1')!r} chunk", at + 8 + length, size)
        at += 8 + length + length % 2
    raise BadAudioError("no samples", f"expected a data chunk, got none in {size:,} bytes", READER)


def _wav_format(order: str, body: bytes) -> tuple[int, int]:
    """Return the bytes of a sample of all channels, 0 if compressed, and of a second."""
    code, channels, rate_hz, bytes_per_s, align = struct.unpack(f"{order}HHIIH", body[:14])
    check_format(rate_hz, channels)
    if code == 0xFFFE and len(body) >= 26:
        code = struct.unpack(f"{order}H", body[24:26])[0]
    return (align, align * rate_hz) if code in _PCM_WAV and align else (0, bytes_per_s)


def _wav_layout(
    head: bytes, order: str, start: int, stated: tuple[int, int, int], about: tuple[int, int, int], size: int
) -> Layout:
    length, wide, ds64 = stated
    whole, frame_bytes, bytes_per_s = about
    is_wide = ds64 >= 0 and length in _UNFILLED
    if is_wide and start + length == size:  # a ds64 that contradicts a size which is right
        is_wide = False
    patches: tuple[Patch, ...] = (Patch(start - 4, f"{order}I"), Patch(4, f"{order}I", start - 8))
    if is_wide:
        patches = (Patch(ds64, f"{order}Q", start - 8), Patch(ds64 + 8, f"{order}Q"))
        if frame_bytes:
            patches += (Patch(ds64 + 16, f"{order}Q", every=frame_bytes),)
    agrees = ds64 < 0 or is_wide or length == wide
    return Layout(
        "wav", start, wide if is_wide else length, whole, frame_bytes, bytes_per_s, patches, f"{order}4sI", is_wide,
        agrees,
    )  # fmt: skip


def _aiff(descriptor: int, size: int) -> Layout | None:
    """Walk the chunks of an AIFF or AIFC file up to its samples."""
    whole, at, common = int.from_bytes(os.pread(descriptor, 4, 4), "big") + 8, 12, 0
    channels = frames = frame_bytes = 0
    rate_hz, compressed = 0.0, False
    while at + 8 <= size:
        name, length = struct.unpack(">4sI", os.pread(descriptor, 8, at))
        body = os.pread(descriptor, 22, at + 8)
        if name == b"COMM" and len(body) >= 18:
            common = at + 8
            channels, frames, bits = struct.unpack(">HIH", body[:8])
            rate_hz = _extended(body[8:18])
            coding = body[18:22] if length >= 22 else b"NONE"
            frame_bytes = channels * _aiff_width(coding, bits)
            compressed = frame_bytes == 0
        elif name == b"SSND" and len(body) >= 8 and common:
            skipped = int.from_bytes(body[:4], "big")
            start, stated = at + 16 + skipped, max(length - 8 - skipped, 0)
            patches: tuple[Patch, ...] = (Patch(4, ">I", start - 8), Patch(at + 4, ">I", 8 + skipped))
            patches += () if compressed else (Patch(common + 2, ">I", every=frame_bytes),)
            rate = stated / (frames / rate_hz) if compressed and frames and rate_hz else frame_bytes * rate_hz
            agrees = compressed or frames == stated // frame_bytes
            return Layout("other", start, stated, whole, frame_bytes, rate, patches, ">4sI", agrees=agrees)
        at += 8 + length + length % 2
    if whole > size and whole - 8 not in _UNFILLED:
        truncated("in all", whole, size)
    return None


def _aiff_width(coding: bytes, bits: int) -> int:
    """Return the bytes of a sample; 0 for a compression whose samples do not stand side by side."""
    if coding in {b"NONE", b"twos", b"sowt", b"in24", b"in32", b"raw "}:
        return (bits + 7) // 8
    return {b"fl32": 4, b"FL32": 4, b"fl64": 8, b"FL64": 8, b"ulaw": 1, b"alaw": 1, b"ULAW": 1, b"ALAW": 1}.get(
        coding, 0
    )


def _extended(data: bytes) -> float:
    """Return a number of 80 bits, as AIFF states its rate."""
    exponent, mantissa = struct.unpack(">HQ", data)
    power = (exponent & 0x7FFF) - 16_383 - 63
    return float(mantissa) * 2.0**power if -200 < power < 200 else 0.0


def _w64(descriptor: int, size: int) -> Layout | None:
    """Walk the chunks of a Sony Wave64 file up to its samples: names of 16 bytes, sizes that count their heads."""
    whole, at = int.from_bytes(os.pread(descriptor, 8, 16), "little"), 40
    frame_bytes, bytes_per_s = 0, 0
    while at + 24 <= size:
        name, length = struct.unpack("<16sQ", os.pread(descriptor, 24, at))
        if name[:4] == b"fmt ":
            frame_bytes, bytes_per_s = _wav_format("<", os.pread(descriptor, 32, at + 24))
        if name[:4] == b"data":
            start, patches = at + 24, (Patch(at + 16, "<Q", 24), Patch(16, "<Q", at + 24))
            stated = length - 24 if 24 <= length < _NO_SIZE else length
            return Layout(
                "other", start, stated, whole, frame_bytes, bytes_per_s, patches, "<16sQ", wide=True, reads_on=True
            )
        at += max(24, length + -length % 8)
    if whole > size and whole < _NO_SIZE:
        truncated("in all", whole, size)
    return None


def _caf(descriptor: int, size: int) -> Layout | None:
    """Walk the chunks of a Core Audio file up to its samples; a size of -1 means up to the end."""
    at, frame_bytes, bytes_per_s = 8, 0, 0.0
    while at + 12 <= size:
        name, length = struct.unpack(">4sq", os.pread(descriptor, 12, at))
        if name == b"desc" and length >= 32:
            rate_hz, coding, _, packet_bytes, packet_frames, channels = struct.unpack(
                ">d4sIIII", os.pread(descriptor, 28, at + 12)
            )
            frame_bytes = packet_bytes if coding in {b"lpcm", b"ulaw", b"alaw"} else 0
            bytes_per_s = rate_hz * packet_bytes / packet_frames if packet_frames and packet_bytes else 0.0
            check_format(int(rate_hz) if 0 < rate_hz < 1e9 else 0, channels)
        if name == b"data":
            start, stated = at + 16, length - 4 if length >= 4 else _NO_SIZE if length < 0 else 0
            patches = (Patch(at + 4, ">q", 4),)
            return Layout("other", start, stated, 0, frame_bytes, bytes_per_s, patches, ">4sq", wide=True)
        if length < 0:
            break
        at += 12 + length
    if at > size:
        truncated("up to a data chunk", at, size)
    return None


def _au(head: bytes) -> Layout:
    start, length, coding, rate_hz, channels = struct.unpack(">IIIII", head[4:24])
    frame_bytes = _AU_BYTES.get(coding, 0) * channels
    return Layout("other", start, length, 0, frame_bytes, frame_bytes * rate_hz, (Patch(8, ">I"),))


def _sphere(head: bytes) -> Layout | None:
    """Read a SPHERE header; nothing is known of the size of samples that shorten or wavpack made smaller."""
    fields = {name: int(value) for name, value in re.findall(rb"(\w+) -i (\d+)", head)}
    count, width, channels, rate_hz = (
        fields.get(name, 0) for name in (b"sample_count", b"sample_n_bytes", b"channel_count", b"sample_rate")
    )
    if re.search(rb"sample_coding -s\d+ \S*(?:shorten|wavpack|shortpack)", head) or not head[8:16].strip().isdigit():
        return None
    if not count * width * channels:
        return None
    return Layout(
        "other", int(head[8:16]), count * width * channels, 0, width * channels, width * channels * rate_hz, ()
    )
