"""Members of zip files, in the order of the directory at their end.

Format: zip with zip64 (PKWARE APPNOTE 6.3), also split over several files (section 8), then without zip64. The whole
directory is in memory while a zip is read, about 550 bytes a member (half a gigabyte for a million); a member's data
passes in blocks. zipfile parses and decompresses; what it lets pass without a word is checked here.
"""

import bisect
import contextlib
import copy
import io
import itertools
import operator
import os
import stat
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from earmark.archives.members import DamageError, Kind, Member, Rest, TrailingError
from earmark.disk.hashing import BLOCK_BYTES
from earmark.disk.plainly import unreadable
from earmark.errors import AbsentError, ArchiveError

if TYPE_CHECKING:
    from typing_extensions import Buffer  # collections.abc has it from Python 3.12 on

SPLIT_MARK = b"PK\7\x08"  # what the first file of a split zip begins with (section 8.5.3)
MEMBER_MARK = b"PK\3\4"  # what a member begins with
HEADER_BYTES = 30  # of a member, without its name and extra field
END_MARK = b"PK\5\6"  # what a zip's end record begins with
END_BYTES = 22  # a zip's end record, without its comment
TAIL_BYTES = 1 << 17  # bytes at a zip's end in which its end record is looked for: its comment has 65,535 at most
DESCRIPTOR_MARK = b"PK\7\x08"  # what the descriptor behind a member's data may begin with (4.3.9)
DESCRIPTOR_BYTES = 24  # the longest descriptor
LINK_BYTES = 4096  # longest link target that systems allow (PATH_MAX)
UNICODE_PATH = 0x7075  # the extra field with a member's name in UTF-8
WINDOWS = {0, 10, 11}  # systems that members are made on (4.4.2): MS-DOS, NTFS, and what some programs there say
ZIP_ENCRYPTED, ZIP_UTF8 = 0x1, 0x800  # bits of a member's flags
JOIN = "join them: `zip -s 0 <this file> --out whole.zip`."
ZIP64_DISKS = 0xFFFF  # in the end record: the number of files is in the zip64 record, and that says one


def zip_members(*paths: Path, rest: Rest, names: str | None = None) -> Iterator[Member]:
    """Yield the members of a zip in the order of its directory; of a split or cut one, `paths` are the files in order.

    `rest`: what to do with bytes that neither a member nor the directory accounts for. `names`: the encoding of
    names without the flag for UTF-8. Raises DamageError; ArchiveError
    for encrypted members, unsupported packing, and members that overlap; TrailingError.
    """
    with contextlib.ExitStack() as stack:
        span = stack.enter_context(_Span(paths))
        file = io.BufferedReader(span)
        end = _find_end(paths[-1])
        try:
            archive = stack.enter_context(zipfile.ZipFile(file))
        except Exception as error:  # zipfile meets altered bytes with whatever they lead to
            if isinstance(error, AbsentError | MemoryError):  # of this machine, and no word on the archive
                raise
            if "span multiple disks" in str(error):
                raise ArchiveError(f"a split zip with a zip64 directory cannot be read in its parts: {JOIN}") from error
            raise DamageError(f"its zip directory is cut short or altered ({error})") from error
        expected, modulus, n_members = *_zip_count(end), len(archive.infolist())
        if n_members % modulus != expected:  # one altered length hides the next entry, and zipfile does not count
            raise DamageError(f"its zip directory is altered: expected {expected:,} members, got {n_members:,}")
        _place_members(archive, end, span.starts)
        if rest != "anything":
            _require_all_named(archive, file, end)
        for info in archive.infolist():
            yield _zip_member(archive, info, names)


@dataclass(frozen=True)
class _End:
    """The end of a zip's last file: its end record with up to 76 bytes before it, and what follows its comment."""

    tail: bytes
    at: int  # of the end record in `tail`
    after: bytes

    @property
    def record(self) -> bytes:
        """The end record, without its comment."""
        return self.tail[self.at : self.at + END_BYTES]


def _find_end(path: Path) -> _End:
    """Find a zip's end record: the last one whose comment lies within the file. Raises DamageError."""
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, TAIL_BYTES), os.SEEK_END)
        tail = file.read()
    at = len(tail)
    while (at := tail.rfind(END_MARK, 0, at)) >= 0:
        comment = int.from_bytes(tail[at + END_BYTES - 2 : at + END_BYTES], "little")
        if at + END_BYTES + comment <= len(tail):
            return _End(tail, at, tail[at + END_BYTES + comment :])
    raise DamageError("its zip directory is cut short or altered (it has no end record)")


def _require_all_named(archive: zipfile.ZipFile, file: BinaryIO, end: _End) -> None:
    """Raise TrailingError for bytes before, between or after members and directory that are none of them.

    Of several zips joined in one file, zipfile sees the last alone; a member may have been added behind the
    directory's back. Zero bytes are padding. Raises ArchiveError for members that overlap: a zip of kilobytes that
    unpacks to terabytes is made so.
    """
    position = 0
    for info in sorted(archive.infolist(), key=operator.attrgetter("header_offset")):
        start = info.header_offset
        if start < position:
            raise ArchiveError(f"member {info.filename!r}: it overlaps the one before it, as no writer makes it")
        _require_padding(file, position, start, descriptor=position > 0)
        position = start + _packed_bytes(file, info)
    _require_padding(file, position, archive.start_dir, descriptor=position > 0)
    if end.after.strip(b"\0"):
        raise TrailingError(f"{len(end.after):,} bytes follow the zip's end record and its comment")


def _packed_bytes(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Return the bytes of a member in its file: header, name, extra field and data (APPNOTE 4.3.7)."""
    file.seek(info.header_offset)
    header = file.read(HEADER_BYTES)
    if not header.startswith(MEMBER_MARK) or len(header) < HEADER_BYTES:
        raise DamageError(f"member {info.filename!r}: its header is altered or gone")
    n_name, n_extra = struct.unpack("<HH", header[26:30])
    return HEADER_BYTES + int(n_name) + int(n_extra) + info.compress_size


def _require_padding(file: BinaryIO, start: int, stop: int, *, descriptor: bool) -> None:
    """Raise TrailingError where bytes [start, stop) are neither zero nor the descriptor of the member before them."""
    if start == stop:
        return
    file.seek(start)
    gap = file.read(min(stop - start, DESCRIPTOR_BYTES))
    known = descriptor and (stop - start in {12, 20} or (stop - start in {16, 24} and gap.startswith(DESCRIPTOR_MARK)))
    if known or (start == 0 and gap == SPLIT_MARK):
        return
    left = stop - start
    file.seek(start)
    while left and not (gap := file.read(min(left, BLOCK_BYTES))).strip(b"\0") and gap:
        left -= len(gap)
    if left:
        raise TrailingError(f"its zip directory names nothing in bytes {start:,} to {stop:,}")


def is_last_part(path: Path) -> bool:
    """Return whether a file is the last of a split zip: its end record counts files before it."""
    with path.open("rb") as file:
        file.seek(-min(END_BYTES, path.stat().st_size), os.SEEK_END)
        end = file.read(END_BYTES)
    return end.startswith(b"PK\5\6") and 0 < int.from_bytes(end[4:6], "little") < ZIP64_DISKS


class _Span(io.RawIOBase):
    """Several files, read as if they were one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths, self._files = paths, [path.open("rb") for path in paths]
        self.starts = [0, *itertools.accumulate(path.stat().st_size for path in paths)]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.starts[-1]}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: "Buffer") -> int:
        number = bisect.bisect_right(self.starts, self._at) - 1
        if number >= len(self._files):
            return 0
        file = self._files[number]
        file.seek(self._at - self.starts[number])
        try:
            read = file.readinto(memoryview(buffer)[: self.starts[number + 1] - self._at])
        except OSError as error:
            raise unreadable(error, self._paths[number]) from error
        self._at += read
        return read

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()


def _place_members(archive: zipfile.ZipFile, end: _End, starts: list[int]) -> None:
    """Count each member's offset from the start of the first file: a split zip counts from the file that it begins in.

    Raises ArchiveError where files of a split zip are not named, or too many.
    """
    n_before, directory_in, n_named = (*struct.unpack("<HH", end.record[4:8]), len(starts) - 2)
    if n_before in {0, ZIP64_DISKS}:  # one zip, though its bytes may have been cut in several files
        return
    if n_before != n_named:
        raise ArchiveError(
            f"a zip split over {n_before + 1} files: expected the {n_before} before this one as `parts` of the archive"
            f" in the catalog, got {n_named}. Name them in order, or {JOIN}"
        )
    for info in archive.infolist():
        info.header_offset += starts[info.volume] - starts[directory_in]
        if hasattr(info, "_end_offset"):  # where zipfile believes the next member to begin; the CRC says more
            info._end_offset = None


def _zip_count(end: _End) -> tuple[int, int]:
    """Return how many members a zip's end record counts, and modulo what: old writers let its 16 bits overflow.

    Source: APPNOTE 6.3, sections 4.3.14 to 4.3.16; a zip64 record comes right before its locator.
    """
    locator_bytes, end64_bytes = 20, 56
    at64 = end.at - locator_bytes - end64_bytes
    if at64 >= 0 and end.tail.startswith(b"PK\6\7", end.at - locator_bytes) and end.tail.startswith(b"PK\6\6", at64):
        return int.from_bytes(end.tail[at64 + 32 : at64 + 40], "little"), 1 << 64
    return int.from_bytes(end.record[10:12], "little"), 1 << 16


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, names: str | None) -> Member:
    name = _name_of(info, names)
    mode = info.external_attr >> 16
    mtime = 0.0
    with contextlib.suppress(OverflowError, ValueError):  # a date that is none
        mtime = time.mktime((*info.date_time, 0, 0, -1))
    if stat.S_ISLNK(mode):
        target = b"".join(_zip_data(archive, info)) if info.file_size <= LINK_BYTES else b"\0"
        return Member(name, "symlink", mtime=mtime, target=target.decode("utf-8", "surrogateescape"))
    kind: Kind = "file" if stat.S_IFMT(mode) in {0, stat.S_IFREG} else "special"
    if name.endswith("/"):
        kind = "folder"
        if info.file_size or info.compress_size:
            raise ArchiveError(
                f"member {name!r}: a folder that carries {info.file_size:,} bytes, as no writer makes it"
            )
    return Member(name, kind, info.file_size, mtime, bool(mode & 0o111), blocks=_zip_data(archive, info))


def _name_of(info: zipfile.ZipInfo, names: str | None) -> str:
    """Return a member's name as its writer meant it.

    Without the flag for UTF-8 zipfile takes it for cp437. Info-ZIP then adds the name in UTF-8 as an extra field, with
    a CRC of the other one (APPNOTE 4.6.9); zips made on a Mac are UTF-8 and do not say so. Some programs of Windows
    write backslashes between folders, against 4.4.17.
    """
    name = _decoded_name(info, names)
    return name.replace("\\", "/") if info.create_system in WINDOWS and "/" not in name else name


def _decoded_name(info: zipfile.ZipInfo, names: str | None) -> str:
    name = info.orig_filename
    if info.flag_bits & ZIP_UTF8:
        return name
    with contextlib.suppress(UnicodeError, struct.error):
        published = name.encode("cp437")
        at = 0
        while at + 4 <= len(info.extra):
            kind, size = struct.unpack_from("<HH", info.extra, at)
            data = info.extra[at + 4 : at + 4 + size]
            if kind == UNICODE_PATH and data[:5] == struct.pack("<BI", 1, zlib.crc32(published)):
                return data[5:].decode("utf-8")
            at += 4 + size
        return published.decode(names or "utf-8")
    return name


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
        raise ArchiveError(
            f"member {info.filename!r}: packed in a way that is not read here ({error}): unpack the archive by hand"
            " into this folder (`7z x` does), and take it out of `archives` in the catalog"
        ) from error
    except Exception as error:  # zipfile and its codecs meet altered bytes with whatever they lead to
        if isinstance(error, AbsentError | MemoryError):
            raise
        raise DamageError(f"its data is cut short or altered ({error})") from error
    if size != info.file_size:
        raise DamageError(
            f"it has another length: expected {info.file_size:,} bytes, got {size:,}{'+' * (size > info.file_size)}"
        )
