"""Members of tar files, read forward only and one at a time: memory does not grow with their number.

Formats: v7, ustar (POSIX.1-1988), pax (POSIX.1-2001), GNU with its sparse files. One header is in memory at a time, of
HEADER_BYTES at most; a member's data passes in the blocks that it comes in. The standard library's tarfile
parses headers; its iteration is not used, as it keeps every member and takes a damaged header for the archive's end.
"""

import tarfile
from collections.abc import Iterator
from contextlib import closing

from earmark.archives.members import DamageError, Kind, Member
from earmark.disk.hashing import BLOCK_BYTES

TAR_BLOCK_BYTES = tarfile.BLOCKSIZE
TAR_MARK, TAR_MARK_AT = b"ustar", 257  # POSIX.1-1988 and GNU alike
HEADER_BYTES = 16 << 20  # the longest header that is read; one with a flipped bit can ask for terabytes


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


def tar_members(blocks: Iterator[bytes], *, ends_known: bool) -> Iterator[Member]:
    """Yield the members of a tar file.

    `ends_known`: a published size or sum will show whether the end is missing, so that a tar without its end mark, as
    some writers leave it, is accepted. Raises DamageError.
    """
    stream = _Stream(blocks)
    tar: tarfile.TarFile | None = None
    info: tarfile.TarInfo | None
    while block := stream.peek():
        if not any(block):
            break
        try:
            if tar is None:
                tar = tarfile.TarFile(fileobj=stream, mode="r", encoding="utf-8", errors="surrogateescape")  # type: ignore[arg-type]
                info = tar.next()
            else:  # not TarFile.next(): that takes a damaged header for the end, and keeps every member it has seen
                info = tarfile.TarInfo.fromtarfile(tar)
        except (tarfile.TarError, ValueError, IndexError, OverflowError) as error:
            raise DamageError(f"a tar header is altered or cut short ({error})") from error
        assert info is not None  # the constructor has read it, or raised
        data = _tar_data(tar, info, stream)
        yield _tar_member(info, data)
        for _ in data:  # what the caller did not read
            pass
        stream.seek(tar.offset)
    if not block and not ends_known:
        raise DamageError("it is cut short: the tar's end mark is missing")
    # Two tars joined by `cat` have an end mark in the middle: tar itself stops there and loses the second silently.
    while tail := stream.read(BLOCK_BYTES):
        if TAR_MARK in tail and any(is_header(tail[at : at + TAR_BLOCK_BYTES]) for at in _marks(tail)):
            raise DamageError(f"members go on after the tar's end mark, before byte {stream.tell():,}")


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


def _marks(tail: bytes) -> Iterator[int]:
    """Yield where a block of a tar looks like a header."""
    for at in range(0, len(tail), TAR_BLOCK_BYTES):
        if tail.startswith(TAR_MARK, at + TAR_MARK_AT):
            yield at


def is_header(block: bytes) -> bool:
    """Say whether 512 bytes are the header of a member, by its checksum."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True
