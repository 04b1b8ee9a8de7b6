"""Members of tar and zip archives, read lazily, in order, in bounded memory; what an archive is, its magic bytes say.

Formats: tar (v7, ustar, pax, GNU), bare or in gzip (RFC 1952), bzip2 or xz; zip with zip64 (PKWARE APPNOTE 6.3).
"""

import bz2
import contextlib
import copy
import fnmatch
import itertools
import lzma
import os
import posixpath
import queue
import stat
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from earmark.errors import AbsentError, ArchiveError
from earmark.extraction import Extraction, Kind, Member, Staging, safe_path
from earmark.extraction import adopt_tree as adopt_tree
from earmark.files import Scratch, disk_error, remove
from earmark.hashing import BLOCK_BYTES, Hasher, HashMemo, new_hasher

TAR_BLOCK_BYTES = tarfile.BLOCKSIZE
TAR_MARK, TAR_MARK_AT = b"ustar", 257  # POSIX.1-1988 and GNU alike
HEADER_BYTES = 16 << 20  # the longest header believed; a flipped bit can ask for terabytes
XZ_MEMORY_BYTES = 1 << 30  # the decoder may use this much; `xz -9` needs 65 MB
AHEAD_BLOCKS = 8  # decoded blocks waiting between the two threads
MAGIC = {
    "gzip": (b"\x1f\x8b",),
    "bzip2": (b"BZh",),
    "xz": (b"\xfd7zXZ\0",),
    "zip": (b"PK\3\4", b"PK\5\6"),
}
MAX_NESTING = 5  # archives inside each other
LINK_BYTES = 4096  # longest link target that systems take
ZIP_ENCRYPTED, ZIP_UTF8 = 0x1, 0x800  # bits of a member's flags


class DamageError(ArchiveError):
    """The bytes of an archive cannot be read: cut short, altered, or no archive at all."""


@dataclass(frozen=True)
class Source:
    """One archive of a dataset, as the catalog names it.

    `size` and `sums` (by algorithm: md5, sha256, xxh3) are what its publisher says; `nested` are patterns of base names
    of members that are archives themselves, `skip` patterns of member paths that are left out.
    """

    path: Path
    size: int | None = None
    sums: Mapping[str, str] = field(default_factory=dict)
    nested: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()


class Raw:
    """An archive file read once from end to end; its hashers see every byte, whatever the format makes of them."""

    def __init__(self, source: Source) -> None:
        self.path = source.path
        self.position = 0
        self.hashers: dict[str, Hasher] = {name: new_hasher(name) for name in {**source.sums, "xxh3": ""}}

    def blocks(self) -> Generator[bytes, None, None]:
        """Yield the file's bytes in order. Raises AbsentError where the disk refuses to read."""
        try:
            with self.path.open("rb", buffering=0) as file:
                while block := file.read(BLOCK_BYTES):
                    for hasher in self.hashers.values():
                        hasher.update(block)
                    self.position += len(block)
                    yield block
        except OSError as error:
            raise AbsentError(
                f"{self.path}: cannot be read: {error.strerror}. Check the disk and run again."
            ) from error


def extract(
    source: Source,
    folder: Path,
    members: Path,
    *,
    scratch: Scratch,
    staging_name: str,
    on_bytes: Callable[[int], None] = lambda n_bytes: None,
    memo: HashMemo | None = None,
) -> Extraction:
    """Extract an archive into a folder: every member checked, written, read back, then all of them moved in.

    Writes the members file (see earmark.extraction) to `members`. What lies in the folder already must be equal, or cut
    short; it is not written again. After an interruption or a full disk the staged files are kept for the next run.
    `on_bytes` hears of raw archive bytes as they are read.
    Raises ArchiveError, with the folder as it was, for an archive that is missing, damaged, hostile or another version;
    DiskFullError; AbsentError.
    """
    _require_whole_size(source)
    home = scratch.folder(folder)
    staging = Staging(home / f"extract-{staging_name}", folder, memo)
    try:
        raw, n_skipped = _stage_members(source, staging, members, home / f"nested-{staging_name}", on_bytes)
        sums = {name: hasher.hexdigest() for name, hasher in raw.hashers.items()}
        for name, published in source.sums.items():
            if sums[name] != published.lower():
                raise ArchiveError(f"wrong content: expected {name} {published}, got {sums[name]}. Download it again.")
        staging.publish(members)
    except ArchiveError as error:
        remove(staging.path)
        raise ArchiveError(f"{source.path}: {error}") from error
    return Extraction(
        archive_xxh3=sums["xxh3"], archive_size=raw.position, sums=sums, n_skipped=n_skipped, **staging.count
    )


def _require_whole_size(source: Source) -> None:
    if not source.path.is_file():
        raise ArchiveError(f"{source.path}: no such archive. Download it and put it there.")
    size = source.path.stat().st_size
    if source.size is not None and size != source.size:
        what = "partial download" if size < source.size else "wrong size"
        raise ArchiveError(
            f"{source.path}: {what}: expected {source.size:,} bytes, got {size:,}. Finish the download and run again."
        )


def _stage_members(
    source: Source, staging: Staging, members: Path, spool: Path, on_bytes: Callable[[int], None]
) -> tuple[Raw, int]:
    """Read the archive once, stage its members and list them; return what read it and how many were skipped."""
    raw, n_skipped, n_done, where = Raw(source), 0, 0, ""
    try:
        with (
            members.open("wb") as lines,
            closing(_unfolded(read_archive(source, raw, on_bytes, spool), source, spool)) as found,
        ):
            for member, wanted in found:
                where = f"damaged at member {member.name!r} (after {n_done:,} members): "
                if not wanted:
                    n_skipped += 1
                elif row := staging.place(member):
                    lines.write(orjson.dumps(row) + b"\n")
                    n_done += 1
                where = f"damaged after member {member.name!r} ({n_done:,} members): "
    except DamageError as error:
        raise ArchiveError(f"{where}{error}. Download it again; nothing was extracted.") from error
    except OSError as error:
        raise disk_error(error, members) from error
    if not n_done and not n_skipped:
        raise ArchiveError("it holds no members. Download it again.")
    return raw, n_skipped


def _unfolded(
    members: Iterator[Member], source: Source, spool: Path, depth: int = 0
) -> Generator[tuple[Member, bool], None, None]:
    """Yield each member, those of nested archives in the place of these, and whether it is wanted."""
    for member in members:
        plain = member.name.strip("/").removeprefix("./")
        if any(fnmatch.fnmatchcase(plain, pattern) for pattern in source.skip):
            yield member, False
            continue
        path = safe_path(member.name)
        name = posixpath.basename(path)
        if member.kind != "file" or not any(fnmatch.fnmatchcase(name, pattern) for pattern in source.nested):
            yield member, True
            continue
        if depth == MAX_NESTING:
            raise ArchiveError(f"member {member.name!r}: more than {MAX_NESTING} archives inside each other")
        home = posixpath.dirname(path)
        inner = read_nested(member.blocks, bool(source.size or source.sums), spool.with_name(f"{spool.name}-{depth}"))
        yield from _unfolded(_below(inner, home), source, spool, depth + 1)


def _below(members: Iterator[Member], home: str) -> Iterator[Member]:
    for member in members:
        target = posixpath.join(home, member.target) if member.kind == "hardlink" else member.target
        yield replace(member, name=posixpath.join(home, safe_path(member.name)), target=target)


def read_archive(source: Source, raw: Raw, on_bytes: Callable[[int], None], spool: Path) -> Iterator[Member]:
    """Yield the members of an archive file; once they are used up, `raw` has seen the whole file.

    `on_bytes` hears how many raw bytes were read since the last call, each byte once. `spool` is a scratch path that a
    nested zip may be written to. Raises DamageError.
    """
    with source.path.open("rb") as file:
        kind = _format(file.read(TAR_BLOCK_BYTES))
    if kind == "zip":  # its directory stands at the end: two passes, the first for the sums
        for block in raw.blocks():
            on_bytes(len(block))
        yield from _zip_members(source.path)
        return
    with closing(ahead(_decoded(raw.blocks(), kind))) as feed:
        yield from _tar_members(_told(feed, raw, on_bytes), ends_known=bool(source.size or source.sums))


def read_nested(blocks: Iterator[bytes], ends_known: bool, spool: Path) -> Iterator[Member]:
    """Yield the members of an archive that is itself a member. Raises DamageError."""
    head = b""
    while len(head) < TAR_BLOCK_BYTES and (more := next(blocks, b"")):
        head += more
    kind = _format(head[:TAR_BLOCK_BYTES])
    whole = itertools.chain([head], blocks)
    if kind != "zip":
        yield from _tar_members(_decoded(whole, kind), ends_known=ends_known)
        return
    try:
        with spool.open("wb") as file:
            file.writelines(whole)
        yield from _zip_members(spool)
    finally:
        spool.unlink(missing_ok=True)


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


def _told(feed: Iterator[bytes], raw: Raw, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    told = 0
    for block in feed:
        now = raw.position
        on_bytes(now - told)
        told = now
        yield block
    on_bytes(raw.position - told)


def _format(head: bytes) -> str:
    """Return `tar`, `zip`, `gzip`, `bzip2` or `xz`, from the first 512 bytes. Raises DamageError."""
    if not head:
        raise DamageError("not an archive: the file is empty")
    for kind, magics in MAGIC.items():
        if head.startswith(magics):
            return kind
    if _is_header(head) or head == bytes(TAR_BLOCK_BYTES):
        return "tar"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise DamageError("not an archive but a web page: the download needs a login, or its address has changed")
    raise DamageError(f"not an archive: expected tar, gzip, bzip2, xz or zip, got bytes {head[:8].hex(' ')}")


def _is_header(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def _decoder(kind: str) -> Any:
    if kind == "gzip":
        from isal import igzip_lib

        return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    if kind == "bzip2":
        return bz2.BZ2Decompressor()
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)


def _decoded(blocks: Iterator[bytes], kind: str) -> Generator[bytes, None, None]:
    """Yield the decompressed bytes of streams laid end to end; what follows the last is read, not used."""
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


def _tar_members(blocks: Iterator[bytes], *, ends_known: bool) -> Iterator[Member]:
    """Yield the members of a tar file; `ends_known`: something else tells whether its end is missing."""
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
        for _ in data:  # what the caller left
            pass
        stream.seek(tar.offset)
    if not block and not ends_known:
        raise DamageError("it is cut short: the tar's end mark is missing")
    while tail := stream.read(BLOCK_BYTES):
        if TAR_MARK in tail and any(_is_header(tail[at : at + TAR_BLOCK_BYTES]) for at in _marks(tail)):
            raise DamageError(f"members go on after the tar's end mark, before byte {stream.tell():,}")


def _marks(tail: bytes) -> Iterator[int]:
    """Yield where a block of a tar looks like a header."""
    for at in range(0, len(tail), TAR_BLOCK_BYTES):
        if tail.startswith(TAR_MARK, at + TAR_MARK_AT):
            yield at


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


def _zip_members(path: Path) -> Iterator[Member]:
    """Yield the members of a zip file in the order of its directory."""
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # zipfile meets altered bytes with whatever they lead to
        raise DamageError(f"its zip directory is cut short or altered ({error})") from error
    with archive:
        expected, modulus, found = *_zip_count(path, len(archive.comment)), len(archive.infolist())
        if found % modulus != expected:  # one altered length hides the next entry, and zipfile does not count
            raise DamageError(f"its zip directory is altered: expected {expected:,} members, got {found:,}")
        for info in archive.infolist():
            yield _zip_member(archive, info)


def _zip_count(path: Path, comment_bytes: int) -> tuple[int, int]:
    """Return how many members a zip's end record counts, and modulo what: old writers let 16 bits run over.

    Source: APPNOTE 6.3, sections 4.3.14 to 4.3.16; a zip64 record stands right before its locator.
    """
    end_bytes, locator_bytes, end64_bytes = 22, 20, 56
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, end_bytes + locator_bytes + end64_bytes + comment_bytes), os.SEEK_END)
        tail = file.read()
    end = len(tail) - end_bytes - comment_bytes
    at64 = end - locator_bytes - end64_bytes
    if at64 >= 0 and tail.startswith(b"PK\6\7", end - locator_bytes) and tail.startswith(b"PK\6\6", at64):
        return int.from_bytes(tail[at64 + 32 : at64 + 40], "little"), 1 << 64
    return int.from_bytes(tail[end + 10 : end + 12], "little"), 1 << 16


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    name = info.orig_filename
    with contextlib.suppress(
        UnicodeError
    ):  # zips made on a Mac are UTF-8 and do not say so; zipfile reads them as cp437
        if not info.flag_bits & ZIP_UTF8:
            name = name.encode("cp437").decode("utf-8")
    mode = info.external_attr >> 16
    mtime = 0.0
    with contextlib.suppress(OverflowError, ValueError):  # a date that is none
        mtime = time.mktime((*info.date_time, 0, 0, -1))
    kind: Kind = "file"
    if stat.S_ISLNK(mode):
        target = b"".join(_zip_data(archive, info)) if info.file_size <= LINK_BYTES else b"\0"
        return Member(name, "symlink", mtime=mtime, target=target.decode("utf-8", "surrogateescape"))
    if name.endswith("/"):
        kind = "folder"
    elif stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        kind = "special"
    return Member(name, kind, info.file_size, mtime, bool(mode & 0o111), blocks=_zip_data(archive, info))


def _zip_data(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    if info.flag_bits & ZIP_ENCRYPTED:
        raise ArchiveError(f"member {info.filename!r}: encrypted: only archives without a password can be read")
    unbounded = copy.copy(info)
    unbounded.file_size = 1 << 62  # zipfile would stop at the declared size and hide what is too much
    size = 0
    try:
        with archive.open(unbounded) as file:
            while piece := file.read(BLOCK_BYTES):
                size += len(piece)
                if size > info.file_size:
                    break
                yield piece
    except NotImplementedError as error:
        raise ArchiveError(f"member {info.filename!r}: unsupported: {error}") from error
    except Exception as error:  # zipfile and its codecs meet altered bytes with whatever they lead to
        raise DamageError(f"its data is cut short or altered ({error})") from error
    if size != info.file_size:
        raise DamageError(
            f"it has another length: expected {info.file_size:,} bytes, got {size:,}{'+' * (size > info.file_size)}"
        )
