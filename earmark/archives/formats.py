"""What an archive is, its magic bytes say: tar, bare or in gzip (RFC 1952), bzip2, xz or Zstandard (RFC 8878), or zip.

Memory of decompression: a few blocks, and for xz the dictionary that the stream asks for, XZ_MEMORY_BYTES at most.
"""

import bz2
import itertools
import lzma
import queue
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

from earmark.archives.members import DamageError, Member, Rest, TrailingError
from earmark.archives.tars import TAR_BLOCK_BYTES, is_header, tar_members
from earmark.archives.zips import zip_members
from earmark.disk.hashing import BLOCK_BYTES
from earmark.errors import ArchiveError

GIT_LFS = b"version https://git-lfs"
# What else archives are packed with: 7-Zip's 7zFormat.txt; RAR 4 and 5; the LZ4 frame format; lzip.
NOT_READ = {"7z": b"7z\xbc\xaf\x27\x1c", "rar": b"Rar!\x1a\x07", "lz4": b"\x04\x22\x4d\x18", "lzip": b"LZIP"}
XZ_MEMORY_BYTES = 1 << 30  # the decoder may use this much; `xz -9` needs 65 MB
ZSTD_WINDOW_LOG = 30  # likewise: 1 GiB, of which `zstd -19 --long` asks for 128 MiB
AHEAD_BLOCKS = 8  # decoded blocks waiting between the two threads, 1 MiB each
# First bytes by format: RFC 1952; bzip2; the .xz file format, 2.1.1; APPNOTE 4.3.7 and 4.3.16 (a zip without members).
MAGIC = {
    "gzip": (b"\x1f\x8b",),
    "bzip2": (b"BZh",),
    "xz": (b"\xfd7zXZ\0",),
    "zstd": (b"\x28\xb5\x2f\xfd",),
    "zip": (b"PK\3\4", b"PK\5\6"),
}


def find_format(head: bytes) -> str:
    """Return `tar`, `zip`, `gzip`, `bzip2`, `xz` or `zstd`, from the first 512 bytes. Raises ArchiveError."""
    if not head:
        raise DamageError("not an archive: the file is empty")
    for kind, magics in MAGIC.items():
        if head.startswith(magics):
            return kind
    if is_header(head) or head == bytes(TAR_BLOCK_BYTES):
        return "tar"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise DamageError("not an archive but a web page: the download needs a login, or its address has changed")
    if head.startswith(GIT_LFS):
        raise ArchiveError("a Git LFS pointer, not the archive itself: fetch it with `git lfs pull` in its clone")
    for name, magic in NOT_READ.items():
        if head.startswith(magic):
            raise ArchiveError(
                f"a {name} archive, which earmark does not read: unpack it by hand into this folder (`7z x` does), and"
                " take it out of `archives` in the catalog"
            )
    expected = "tar, gzip, bzip2, xz, zstd or zip"
    raise DamageError(f"not an archive: expected {expected}, got bytes {head[:8].hex(' ')}")


def read_nested(
    blocks: Iterator[bytes], spool: Path, *, ends_known: bool, rest: Rest, names: str | None = None
) -> Generator[Member, None, None]:
    """Yield the members of an archive that is itself a member; a zip is written to `spool` meanwhile.

    Raises DamageError; TrailingError.
    """
    head = b""
    while len(head) < TAR_BLOCK_BYTES and (more := next(blocks, b"")):
        head += more
    kind = find_format(head[:TAR_BLOCK_BYTES])
    whole = itertools.chain([head], blocks)
    if kind != "zip":
        yield from tar_members(decoded(whole, kind, rest), ends_known=ends_known, rest=rest, names=names)
        return
    try:
        with spool.open("wb") as file:
            file.writelines(whole)
        yield from zip_members(spool, rest=rest, names=names)
    finally:
        spool.unlink(missing_ok=True)


def decoded(blocks: Iterator[bytes], kind: str, rest: Rest) -> Generator[bytes, None, None]:
    """Yield the decompressed bytes of one stream after the other; zero bytes may follow each.

    `kind` is what `find_format` says, but for zip. `rest`: what to do with bytes behind the last stream, which gzip
    itself ignores. Raises DamageError; TrailingError.
    """
    if kind == "tar":
        yield from blocks
        return
    magic = MAGIC[kind][0]
    decompressor: _Decompressor | None = _decompressor(kind)
    data = b""
    for block in blocks:
        data += block  # something is left in it between two streams only
        while True:
            if decompressor is None:
                data = data.lstrip(b"\0")  # padding between streams, as tapes and some writers leave it
                if len(data) < len(magic):
                    break
                if not data.startswith(magic):
                    if rest != "anything":
                        raise TrailingError(f"bytes that are no {kind} follow its last {kind} stream")
                    for _ in blocks:  # what follows counts in the published sums
                        pass
                    return
                decompressor = _decompressor(kind)
            try:
                out = decompressor.decompress(data, BLOCK_BYTES)
            except MemoryError:  # this machine's, and no word on the archive
                raise
            except Exception as error:  # each codec has its own kind of error
                raise DamageError(f"its {kind} data is altered ({error})") from error
            data = b""
            if out:
                yield out
            if decompressor.eof:
                data, decompressor = decompressor.unused_data, None
            elif decompressor.needs_input:
                break
    if decompressor is not None:
        raise DamageError(f"it is cut short: its {kind} data has no end")
    if data and rest != "anything":  # fewer than a stream begins with
        raise TrailingError(f"{len(data)} bytes that are no {kind} follow its last {kind} stream")


class _Decompressor(Protocol):
    """What the decompressors of bz2, lzma and isal share."""

    @property
    def eof(self) -> bool:
        """Whether the end of a stream was read."""

    @property
    def needs_input(self) -> bool:
        """Whether more compressed bytes are needed before more comes out."""

    @property
    def unused_data(self) -> bytes:
        """What was given after the end of the stream."""

    def decompress(self, data: bytes, max_length: int = ...) -> bytes:
        """Return decompressed bytes, `max_length` at most: a few bytes may become gigabytes."""


def _decompressor(kind: str) -> _Decompressor:
    if kind == "gzip":
        from isal import igzip_lib

        decompressor: _Decompressor = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        return decompressor
    if kind == "bzip2":
        return bz2.BZ2Decompressor()
    if kind == "zstd":
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd

        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG})
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)


def read_ahead(blocks: Generator[bytes, None, None], depth: int = AHEAD_BLOCKS) -> Generator[bytes, None, None]:
    """Run a generator in a thread of its own, at most `depth` blocks ahead; its errors are raised here.

    Hashing and decompression leave the interpreter's lock, so they run while members are written. Once it is closed
    (contextlib.closing), the thread has ended.
    """
    ready: queue.Queue[bytes | BaseException | None] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: bytes | BaseException | None) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)  # not for ever: nobody may be taking any more
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            with closing(blocks):
                for block in blocks:
                    put(block)
                    if stop.is_set():
                        return
            put(None)
        except BaseException as error:  # whatever it is, it belongs to the thread that waits
            put(error)

    thread = threading.Thread(target=work, name="archive-reader", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
