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
import os
import stat
import struct
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.archives.members import DamageError, Kind, Member
from earmark.disk.hashing import BLOCK_BYTES
from earmark.errors import ArchiveError

if TYPE_CHECKING:
    from typing_extensions import Buffer  # collections.abc has it from Python 3.12 on

SPLIT_MARK = b"PK\7\x08"  # what the first file of a split zip begins with (section 8.5.3)
MEMBER_MARK = b"PK\3\4"  # what a member begins with
END_BYTES = 22  # a zip's end record, without its comment
LINK_BYTES = 4096  # longest link target that systems allow (PATH_MAX)
ZIP_ENCRYPTED, ZIP_UTF8 = 0x1, 0x800  # bits of a member's flags
JOIN = "join them: `zip -s 0 <this file> --out whole.zip`."
ZIP64_DISKS = 0xFFFF  # in the end record: the number of files is in the zip64 record, and that says one


def zip_members(*paths: Path) -> Iterator[Member]:
    """Yield the members of a zip in the order of its directory; of a split or cut one, `paths` are the files in order.

    Raises DamageError; ArchiveError for encrypted members, unsupported packing, and several zips joined in one file.
    """
    with contextlib.ExitStack() as stack:
        span = stack.enter_context(_Span(paths))
        try:
            archive = stack.enter_context(zipfile.ZipFile(io.BufferedReader(span)))
        except Exception as error:  # zipfile meets altered bytes with whatever they lead to
            if "span multiple disks" in str(error):
                raise ArchiveError(f"a split zip with a zip64 directory cannot be read in its parts: {JOIN}") from error
            raise DamageError(f"its zip directory is cut short or altered ({error})") from error
        expected, modulus, n_members = *_zip_count(paths[-1], len(archive.comment)), len(archive.infolist())
        if n_members % modulus != expected:  # one altered length hides the next entry, and zipfile does not count
            raise DamageError(f"its zip directory is altered: expected {expected:,} members, got {n_members:,}")
        _place_members(archive, paths[-1], span.starts)
        _require_first(archive, paths[0])
        for info in archive.infolist():
            yield _zip_member(archive, info)


def is_last_part(path: Path) -> bool:
    """Return whether a file is the last of a split zip: its end record counts files before it."""
    with path.open("rb") as file:
        file.seek(-min(END_BYTES, path.stat().st_size), os.SEEK_END)
        end = file.read(END_BYTES)
    return end.startswith(b"PK\5\6") and 0 < int.from_bytes(end[4:6], "little") < ZIP64_DISKS


class _Span(io.RawIOBase):
    """Several files, read as if they were one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [path.open("rb") for path in paths]
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
        read = file.readinto(memoryview(buffer)[: self.starts[number + 1] - self._at])
        self._at += read
        return read

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()


def _place_members(archive: zipfile.ZipFile, last: Path, starts: list[int]) -> None:
    """Count each member's offset from the start of the first file: a split zip counts from the file that it begins in.

    Raises ArchiveError where files of a split zip are not named, or too many.
    """
    with last.open("rb") as file:
        file.seek(-END_BYTES - len(archive.comment), os.SEEK_END)
        end = file.read(END_BYTES)
    n_before, directory_in, n_named = (*struct.unpack("<HH", end[4:8]), len(starts) - 2)
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


def _require_first(archive: zipfile.ZipFile, path: Path) -> None:
    """Raise ArchiveError for a file that begins with a member which its directory does not name.

    Of several zips joined in one file, zipfile sees the last alone. Other bytes before the first member, such as the
    program of a zip that unpacks itself, are no loss.
    """
    first = min((info.header_offset for info in archive.infolist()), default=0)
    with path.open("rb") as file:
        if first and file.read(len(MEMBER_MARK)) == MEMBER_MARK:
            raise ArchiveError(
                f"its zip directory names nothing in its first {first:,} bytes, which begin with a member: several zips"
                " joined in one file? Take them apart, each an archive of its own."
            )


def _zip_count(path: Path, comment_bytes: int) -> tuple[int, int]:
    """Return how many members a zip's end record counts, and modulo what: old writers let its 16 bits overflow.

    Source: APPNOTE 6.3, sections 4.3.14 to 4.3.16; a zip64 record comes right before its locator.
    """
    locator_bytes, end64_bytes = 20, 56
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, END_BYTES + locator_bytes + end64_bytes + comment_bytes), os.SEEK_END)
        tail = file.read()
    end = len(tail) - END_BYTES - comment_bytes
    at64 = end - locator_bytes - end64_bytes
    if at64 >= 0 and tail.startswith(b"PK\6\7", end - locator_bytes) and tail.startswith(b"PK\6\6", at64):
        return int.from_bytes(tail[at64 + 32 : at64 + 40], "little"), 1 << 64
    return int.from_bytes(tail[end + 10 : end + 12], "little"), 1 << 16


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    name = info.orig_filename
    if not info.flag_bits & ZIP_UTF8:  # zips made on a Mac are UTF-8 and do not say so; zipfile reads them as cp437
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
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
