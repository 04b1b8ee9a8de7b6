"""What an archive is, its magic bytes say: tar, bare or in gzip (RFC 1952), bzip2 or xz, or zip.

Decompression holds a few blocks, and for xz the dictionary that the stream asks for, XZ_MEMORY_BYTES at most.
"""

import bz2
import itertools
import lzma
import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from earmark.archives.members import DamageError, Member
from earmark.archives.tars import TAR_BLOCK_BYTES, is_header, tar_members
from earmark.archives.zips import zip_members
from earmark.disk.hashing import BLOCK_BYTES

XZ_MEMORY_BYTES = 1 << 30  # the decoder may use this much; `xz -9` needs 65 MB
AHEAD_BLOCKS = 8  # decoded blocks waiting between the two threads
MAGIC = {
    "gzip": (b"\x1f\x8b",),
    "bzip2": (b"BZh",),
    "xz": (b"\xfd7zXZ\0",),
    "zip": (b"PK\3\4", b"PK\5\6"),
}


def find_format(head: bytes) -> str:
    """Return `tar`, `zip`, `gzip`, `bzip2` or `xz`, from the first 512 bytes. Raises DamageError."""
    if not head:
        raise DamageError("not an archive: the file is empty")
    for kind, magics in MAGIC.items():
        if head.startswith(magics):
            return kind
    if is_header(head) or head == bytes(TAR_BLOCK_BYTES):
        return "tar"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise DamageError("not an archive but a web page: the download needs a login, or its address has changed")
    raise DamageError(f"not an archive: expected tar, gzip, bzip2, xz or zip, got bytes {head[:8].hex(' ')}")


def read_nested(blocks: Iterator[bytes], spool: Path, *, ends_known: bool) -> Generator[Member, None, None]:
    """Yield the members of an archive that is itself a member; a zip is written to `spool` meanwhile.

    Raises DamageError.
    """
    head = b""
    while len(head) < TAR_BLOCK_BYTES and (more := next(blocks, b"")):
        head += more
    kind = find_format(head[:TAR_BLOCK_BYTES])
    whole = itertools.chain([head], blocks)
    if kind != "zip":
        yield from tar_members(decoded(whole, kind), ends_known=ends_known)
        return
    try:
        with spool.open("wb") as file:
            file.writelines(whole)
        yield from zip_members(spool)
    finally:
        spool.unlink(missing_ok=True)


def decoded(blocks: Iterator[bytes], kind: str) -> Generator[bytes, None, None]:
    """Yield the decompressed bytes of streams laid end to end; what follows the last is read, not used.

    `kind` is what `find_format` says, but for zip. Raises DamageError.
    """
    if kind == "tar":
        yield from blocks
        return
    magic = MAGIC[kind][0]
    decoder, data = _decoder(kind), b""
    for block in blocks:
        data += block  # something is left in it between two streams only
        while True:
            if decoder is None:
                data = data.lstrip(b"\0")
                if len(data) < len(magic):
                    break
                if not data.startswith(magic):
                    for _ in blocks:  # gzip, too, ignores what follows; the sums do not
                        pass
                    return
                decoder = _decoder(kind)
            try:
                out = decoder.decompress(data, BLOCK_BYTES)
            except Exception as error:  # each codec has its own kind of error
                raise DamageError(f"its {kind} data is altered ({error})") from error
            data = b""
            if out:
                yield out
            if decoder.eof:
                data, decoder = decoder.unused_data, None
            elif decoder.needs_input:
                break
    if decoder is not None:
        raise DamageError(f"it is cut short: its {kind} data has no end")


def _decoder(kind: str) -> Any:
    if kind == "gzip":
        from isal import igzip_lib

        return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    if kind == "bzip2":
        return bz2.BZ2Decompressor()
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)


def ahead(blocks: Generator[bytes, None, None], depth: int = AHEAD_BLOCKS) -> Generator[bytes, None, None]:
    """Run a generator in a thread of its own, at most `depth` blocks ahead; its errors are raised here.

    Close it (contextlib.closing) and the thread has ended.
    """
    done: queue.Queue[bytes | BaseException | None] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: bytes | BaseException | None) -> None:
        while not stop.is_set():
            try:
                done.put(item, timeout=0.1)
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
        while (item := done.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
