"""An open recording as decoders read it, and the one place where what goes wrong with them becomes one recording's.

libsndfile and FFmpeg take a read that fails for the end of the file, so that a disk's bad moment looks like a cut
recording. So both read through `Source`, which remembers what the machine did wrong.
"""

import bisect
import contextlib
import errno
import io
import os
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from earmark.audio.container import Link, Stretch
from earmark.disk.faults import MachineError, is_machine_fault
from earmark.errors import BadAudioError, EarmarkError

if TYPE_CHECKING:
    from typing_extensions import Buffer

READ_AHEAD_BYTES = 1 << 16  # libsndfile asks for an MP3 frame at a time: a call of Python for each would be slow
DETAIL_CHARACTERS = 200  # of a decoder's own words in a message
_SNDFILE_NO_MEMORY = 17  # libsndfile's error code SFE_MALLOC_FAILED
_WHOLE = Link()


class _Bytes(io.RawIOBase):
    """The bytes of a link of an open file. No method raises: libsndfile would print it and go on."""

    def __init__(self, descriptor: int, link: Link) -> None:
        self.descriptor = descriptor
        self.fault: OSError | None = None
        pieces = link.pieces or (Stretch(0, os.fstat(descriptor).st_size),)
        self._pieces = [piece for piece in pieces if _size(piece)]
        self._firsts = list(accumulate(map(_size, self._pieces), initial=0))  # where each begins, and the end
        self.size = self._firsts.pop()
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        """Read from one piece: as files may, fewer bytes than there is room for."""
        view = memoryview(buffer).cast("B")
        if self._at >= self.size or not len(view):
            return 0
        number = bisect.bisect_right(self._firsts, self._at) - 1
        piece, inside = self._pieces[number], self._at - self._firsts[number]
        wanted = min(len(view), _size(piece) - inside)
        try:
            data = piece[inside : inside + wanted] if isinstance(piece, bytes) else self._read(piece, inside, wanted)
        except OSError as error:
            self.fault = self.fault or error
            return 0
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _read(self, piece: Stretch, inside: int, wanted: int) -> bytes:
        data = os.pread(self.descriptor, wanted, piece.start + inside)
        if not data:  # the size was asked when the file was opened
            raise OSError(errno.EIO, f"no bytes from byte {piece.start + inside:,} on")
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at


def _size(piece: bytes | Stretch) -> int:
    return len(piece) if isinstance(piece, bytes) else max(piece.end - piece.start, 0)


class Source(io.BufferedReader):
    """A file for libsndfile and FFmpeg, read from a descriptor that stays open: all of it, or one of its links."""

    def __init__(self, descriptor: int, link: Link = _WHOLE) -> None:
        self._bytes = _Bytes(descriptor, link)
        self.descriptor = descriptor
        super().__init__(self._bytes, READ_AHEAD_BYTES)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, but not before the beginning, where damaged headers lead: then -1, as of C's lseek()."""
        if whence not in {os.SEEK_SET, os.SEEK_CUR, os.SEEK_END}:  # FFmpeg asks for the size in its own way
            return -1
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self._bytes.size}[whence]
        if not 0 <= begin + offset < 1 << 63:
            return -1
        return super().seek(begin + offset)

    def require_read(self) -> None:
        """Raise the first OSError of the file, if there was one."""
        if self._bytes.fault is not None:
            raise self._bytes.fault


@contextlib.contextmanager
def one_recording(name: str, decoder: str) -> Iterator[None]:
    """Turn whatever a decoder raises into BadAudioError, and a fault of the machine into MachineError.

    A decoder that meets damage raises more than its own errors: UnicodeDecodeError for a tag, ValueError for a size.
    None of them may stop more than this recording.
    """
    try:
        yield
    except EarmarkError:
        raise
    except Exception as error:
        require_memory(name, error)
        if is_machine_fault(error) and not _of_library(error):
            raise MachineError(name, error) from error
        words = " ".join(str(error).split())[:DETAIL_CHARACTERS]
        detail = f"expected audio, got {type(error).__name__}{f': {words}' if words else ''}"
        raise BadAudioError("undecodable", detail, decoder) from error


def require_memory(name: str, error: BaseException) -> None:
    """Raise MachineError for a library's error that says that memory ran out, if that is so."""
    if isinstance(error, MemoryError) or getattr(error, "code", None) == _SNDFILE_NO_MEMORY:
        shortage = MemoryError("out of memory")
        if is_machine_fault(shortage):
            raise MachineError(name, shortage) from error


def _of_library(error: BaseException) -> bool:
    """Say whether an error is FFmpeg's own: its "I/O error" is often said of damage, and reading is watched here."""
    return type(error).__module__.partition(".")[0] == "av"
