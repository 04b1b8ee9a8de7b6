"""AVI and ASF (WMA, WMV): whether the part that carries sound is as long as its head says. FFmpeg does not ask."""

import os
import struct

from earmark.audio.container import truncated

_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_MOST_BYTES = 1 << 48  # a size beyond any disk was never filled in


def inspect_movie(descriptor: int, head: bytes, size: int) -> None:
    """Raise BadAudioError (truncated) for a file that ends in the middle of its pictures and sound.

    How long the missing part is cannot be said: nothing in front of it tells bytes from seconds.
    """
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        at, layout = 12, "<4sI"
    elif head[:16] == _ASF_HEADER:
        at, layout = 0, "<16sQ"
    else:
        return
    while at + struct.calcsize(layout) <= size:
        data = os.pread(descriptor, 28, at)
        name, length = struct.unpack_from(layout, data)
        end = at + length + (8 + length % 2 if layout == "<4sI" else 0)
        is_sound = name == _ASF_DATA or (name == b"LIST" and data[8:12] == b"movi")
        if is_sound:
            if size < end < _MOST_BYTES and length not in {0, 0xFFFFFFFF}:
                truncated("up to the end of its sound", end, size)
            return
        if end <= at:
            return
        at = end
