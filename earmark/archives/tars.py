"""Members of tar files, read forward only and one at a time: memory does not grow with their number.

Formats: v7, ustar (POSIX.1-1988), pax (POSIX.1-2001), GNU with its sparse files. One header is in memory at a time, of
HEADER_BYTES at most; a member's data passes in the blocks that it comes in. The standard library's tarfile
parses headers; its iteration is not used, as it keeps every member and takes a damaged header for the archive's end.
"""

import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing

from earmark.archives.members import DamageError, Kind, Member, Rest, TrailingError
from earmark.disk.hashing import BLOCK_BYTES

TAR_BLOCK_BYTES = tarfile.BLOCKSIZE
HEADER_BYTES = 16 << 20  # the longest header that is read; one with a flipped bit can ask for terabytes
# Zero bytes from the end mark on: the mark of two blocks, and what fills the last record of 20 blocks, as every tar
# writes them unless it is told otherwise. More are what a download looks like of which only the beginning came.
END_BYTES = 2 * TAR_BLOCK_BYTES
PADDING_BYTES = END_BYTES + tarfile.RECORDSIZE


class _Stream:
    """A file that only goes forward, over blocks of bytes: what tarfile needs of one."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._block = b""
        self._at = 0  # in the block
        self._position = 0

    def tell(self) -> int:
        return self._position

    def take(self, size: int) -> Iterator[bytes]:
        """Yield `size` bytes in pieces as they come, fewer at the end of the file."""
        while size > 0:
            if self._at == len(self._block):
                self._block, self._at = next(self._blocks, b""), 0
                if not self._block:
                    return
            piece = self._block[self._at : self._at + size]
            self._at += len(piece)
            self._position += len(piece)
            size -= len(piece)
            yield piece

    def read(self, size: int) -> bytes:
        if not 0 <= size <= HEADER_BYTES:
            raise DamageError(f"a header claims {size:,} bytes")
        return b"".join(self.take(size))

    def peek(self) -> bytes:
        """Return the next 512 bytes without passing them."""
        while len(self._block) - self._at < TAR_BLOCK_BYTES and (more := next(self._blocks, b"")):
            self._block, self._at = self._block[self._at :] + more, 0
        return self._block[self._at : self._at + TAR_BLOCK_BYTES]

    def seek(self, position: int) -> None:
        if position < self._position:
            raise DamageError("a header points backwards")
        for _ in self.take(position - self._position):
            pass
        if self._position < position:
            raise DamageError("it is cut short")


def tar_members(blocks: Iterator[bytes], *, ends_known: bool, rest: Rest, names: str | None = None) -> Iterator[Member]:
    """Yield the members of a tar file, or of several laid end to end.

    `ends_known`: a published size or sum will show whether the end is missing, so that a tar without its end mark, as
    some writers leave it, is accepted. `rest`: what to do with bytes behind the end. `names`: the encoding of names
    that pax headers do not give; UTF-8. Raises DamageError; TrailingError.
    """
    stream = _Stream(blocks)
    tar: tarfile.TarFile | None = None
    padding = 0  # zero bytes before the present block
    while block := stream.peek():
        if not any(block):
            padding += len(stream.read(len(block)))
            continue
        if padding and not is_header(block):
            if padding < END_BYTES:
                raise DamageError("a tar header is altered: one block of zeros, then no header")
            break
        if padding:  # another tar, or a single block of zeros in one, over which tar itself passes with a warning
            tar, padding = None, 0
        tar, info = _next_header(tar, stream, names or "utf-8")
        yield _tar_member(info, _tar_data(tar, info, stream))
        stream.seek(tar.offset)  # past what the caller did not read; never through the holes of a sparse file
    if not padding and not ends_known:
        raise DamageError("it is cut short: the tar's end mark is missing")
    _pass_rest(stream, padding, rest)


def _next_header(tar: tarfile.TarFile | None, stream: _Stream, names: str) -> tuple[tarfile.TarFile, tarfile.TarInfo]:
    """Read the header of a member; `tar` is None for the first one of a tar. Raises DamageError."""
    info: tarfile.TarInfo | None
    try:
        if tar is None:
            tar = tarfile.TarFile(fileobj=stream, mode="r", encoding=names, errors="surrogateescape")  # type: ignore[arg-type]
            info = tar.next()
        else:  # not TarFile.next(): that takes a damaged header for the end, and keeps every member it has seen
            info = tarfile.TarInfo.fromtarfile(tar)
    except (tarfile.TarError, ValueError, IndexError, OverflowError) as error:
        raise DamageError(f"a tar header is altered or cut short ({error})") from error
    except RecursionError as error:
        raise DamageError("a member has hundreds of headers: no writer makes such a tar") from error
    assert info is not None  # the constructor has read it, or raised
    return tar, info


def _pass_rest(stream: _Stream, padding: int, rest: Rest) -> None:
    """Read what is behind the last member, of which `padding` zero bytes were read. Raises TrailingError."""
    after = f"{padding:,} zero bytes follow the tar's last member"
    if rest != "anything" and stream.peek():
        raise TrailingError(f"{after}, and then bytes that are no header of another one")
    for _ in stream.take(sys.maxsize):
        pass
    if rest == "padding" and padding > PADDING_BYTES:
        cause = "a download of which only the beginning came? A published sum in its table of the catalog would tell."
        raise TrailingError(f"{after}, expected {PADDING_BYTES:,} at most", cause)


def _tar_member(info: tarfile.TarInfo, data: Iterator[bytes]) -> Member:
    if info.isreg():
        return Member(info.name, "file", info.size, info.mtime, bool(info.mode & 0o111), blocks=data)
    kinds: dict[bytes, Kind] = {tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "hardlink"}
    return Member(info.name, kinds.get(info.type, "special"), mtime=info.mtime, target=info.linkname)


def _tar_data(tar: tarfile.TarFile, info: tarfile.TarInfo, stream: _Stream) -> Iterator[bytes]:
    if not info.isreg():
        return
    if info.issparse():  # its map of holes is tarfile's business
        try:
            with closing(tar.fileobject(tar, info)) as file:
                while piece := file.read(BLOCK_BYTES):
                    yield piece
        except tarfile.TarError as error:
            raise DamageError("it is cut short") from error
        return
    size = 0
    for piece in stream.take(info.size):
        size += len(piece)
        yield piece
    if size < info.size:
        raise DamageError(f"it is cut short: expected {info.size:,} bytes, got {size:,}")


def is_header(block: bytes) -> bool:
    """Say whether 512 bytes are the header of a member, by its checksum."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True
