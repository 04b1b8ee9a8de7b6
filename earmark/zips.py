"""Members of zip files, in the order of the directory at their end.

Format: zip with zip64 (PKWARE APPNOTE 6.3). The whole directory is held while a zip is read, about 550 bytes a member
(half a gigabyte for a million); a member's data passes in blocks.
"""

import contextlib
import copy
import os
import stat
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from earmark.errors import ArchiveError
from earmark.hashing import BLOCK_BYTES
from earmark.members import DamageError, Kind, Member

LINK_BYTES = 4096  # longest link target that systems take
ZIP_ENCRYPTED, ZIP_UTF8 = 0x1, 0x800  # bits of a member's flags


def zip_members(path: Path) -> Iterator[Member]:
    """Yield the members of a zip file in the order of its directory.

    Raises DamageError; ArchiveError for members that are encrypted or packed in an unsupported way.
    """
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
