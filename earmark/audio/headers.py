"""What a recording's own bytes promise, read before any decoder is trusted with them.

Each kind of container has a module beside this one: `chunked` (WAV, AIFF, CAF, ...), `flac`, `mpeg`, `ogg`, `matroska`,
`movies`.
"""

import os

from earmark.audio.chunked import inspect_chunked
from earmark.audio.container import READER, Container
from earmark.audio.flac import inspect_flac
from earmark.audio.matroska import inspect_matroska
from earmark.audio.movies import inspect_movie
from earmark.audio.mpeg import inspect_mpeg, is_frame
from earmark.audio.ogg import inspect_ogg
from earmark.audio.tags import after_tags
from earmark.errors import BadAudioError

HEAD_BYTES = 4096  # bytes looked at to tell what a file is

# What begins like this is some sound file, and so is not looked at as text or as one of the others.
_SOUND = (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"NIST_1A", b"ID3", b"FORM", b".snd", b"caff", b"riff")
# What downloads leave in a recording's place, by first bytes; text is compared without case and leading blanks.
_OTHER = {
    b"version https://git-lfs": "a Git LFS pointer",
    b"<!doctype html": "an HTML page",
    b"<html": "an HTML page",
    b"<": "XML",
    b"{": "JSON",
    b"[": "JSON",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"7z\xbc\xaf": "a 7z archive",
    b"rar!": "a RAR archive",
    b"%pdf": "PDF",
    b"\x89png": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"gif8": "a GIF image",
    b"\x93numpy": "a NumPy array",
    b"sqlite format 3": "an SQLite database",
    b"\x7felf": "a program",
    b"\x00\x05\x16\x07": "an AppleDouble file (macOS metadata)",
}


def inspect(descriptor: int, size: int, max_short: float) -> Container:
    """Find a file's container by its content, and compare the file with the sizes and checksums stated in it.

    Up to `max_short` seconds may be missing. Raises BadAudioError: empty, not audio, no samples, truncated, wrong
    header, corrupt, not one recording.
    """
    if size == 0:
        raise BadAudioError("empty", "expected a recording, got 0 bytes", READER)
    head = os.pread(descriptor, HEAD_BYTES, 0)
    if not head.startswith(_SOUND):
        _refuse_other(head)
    if (chunked := inspect_chunked(descriptor, head, size, max_short)) is not None:
        return chunked
    if head[:4] == b"OggS":
        return inspect_ogg(descriptor, size, max_short)
    if head[:4] == b"\x1a\x45\xdf\xa3":
        inspect_matroska(descriptor, size)
    inspect_movie(descriptor, head, size)
    start = after_tags(descriptor, 0)
    body = head[:HEAD_BYTES] if start == 0 else os.pread(descriptor, HEAD_BYTES, start)
    if body[:4] == b"fLaC":
        return inspect_flac(descriptor, start, size, max_short)
    if is_frame(body):
        return inspect_mpeg(descriptor, start, size, max_short)
    return Container("other")


def _refuse_other(head: bytes) -> None:
    lowered = head[:64].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for signature, name in _OTHER.items():
        if head.startswith(signature) or lowered.startswith(signature.lower()):
            raise BadAudioError("not audio", f"expected a recording, got what looks like {name}", READER)
    if not head.strip(b"\0"):
        raise BadAudioError("not audio", f"expected a recording, got {len(head):,} or more zero bytes", READER)
    if head[257:262] == b"ustar":
        raise BadAudioError("not audio", "expected a recording, got what looks like a tar archive", READER)
    # 3 bytes fewer may come back: the 512 may end inside a letter of UTF-8
    text = head[:512].decode("utf-8", errors="ignore")
    if len(text.encode()) >= len(head[:512]) - 3 and all(sign.isprintable() or sign in "\t\r\n" for sign in text):
        raise BadAudioError("not audio", f"expected a recording, got text: {text[:40]!r}", READER)
