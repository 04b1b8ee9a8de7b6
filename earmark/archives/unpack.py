"""Archives of a dataset, read once from end to end and extracted: every member arrives whole, or none does.

Memory: the blocks under way, 8 bytes a file and 16 a folder for the names, and for a zip its whole directory (see
`earmark.archives.zips`).
"""

import fnmatch
import os
import posixpath
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from earmark.archives.formats import decoded, find_format, read_ahead, read_nested
from earmark.archives.members import DamageError, Member, Rest
from earmark.archives.safe_names import safe_path
from earmark.archives.staging import Extraction, Staging
from earmark.archives.tars import TAR_BLOCK_BYTES, tar_members
from earmark.archives.zips import SPLIT_MARK, is_last_part, zip_members
from earmark.disk.files import Scratch, disk_error, remove
from earmark.disk.hashing import BLOCK_BYTES, Hasher, HashMemo, new_hasher, stat_key
from earmark.errors import AbsentError, ArchiveError

MAX_NESTING = 5  # archives inside each other


@dataclass(frozen=True)
class ArchiveFile:
    """One file of an archive, with what its publisher says of it; `sums` by algorithm: md5, sha256, xxh3."""

    path: Path
    size: int | None = None  # bytes
    sums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Archive:
    """One archive of a dataset, as the catalog names it: a file, or those that it was cut or split into, in order.

    `nested` are patterns of base names of members that are archives themselves, `skip` patterns of member paths that
    are left out. `ignores_rest`: bytes of its file that are no part of the archive are passed over.
    `names` is the encoding of members' names that are not said to be UTF-8.
    """

    files: tuple[ArchiveFile, ...]
    nested: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    ignores_rest: bool = False
    names: str | None = None

    @property
    def path(self) -> Path:
        """The last of its files, by which the archive is known."""
        return self.files[-1].path

    @property
    def is_known(self) -> bool:
        """Whether its publisher says enough to tell that its end is missing."""
        return bool(self.files[-1].size or self.files[-1].sums)

    @property
    def rest(self) -> Rest:
        """What may follow its last member."""
        summed = all(file.sums for file in self.files)
        return "anything" if self.ignores_rest else "zeros" if summed else "padding"


class HashingReader:
    """The bytes of an archive, read once from end to end and hashed, whatever the format makes of them.

    One pass serves the published sums and the extraction: reading terabytes twice would double the time of both.
    """

    def __init__(self, files: Sequence[ArchiveFile]) -> None:
        self.files = files
        self.position = 0  # bytes read
        self.hashers: list[dict[str, Hasher]] = [
            {name: new_hasher(name) for name in {**file.sums, "xxh3": ""}} for file in files
        ]

    def blocks(self) -> Generator[bytes, None, None]:
        """Yield the bytes of the files in order. Raises AbsentError where the disk refuses to read."""
        for archive_file, hashers in zip(self.files, self.hashers, strict=True):
            try:
                with archive_file.path.open("rb", buffering=0) as file:
                    while block := file.read(BLOCK_BYTES):
                        for hasher in hashers.values():
                            hasher.update(block)
                        self.position += len(block)
                        yield block
            except OSError as error:
                raise AbsentError(
                    f"{archive_file.path}: cannot be read: {error.strerror}. Check the disk and run again."
                ) from error

    def checked_sums(self) -> list[dict[str, str]]:
        """Return the sums of each file. Raises ArchiveError for one that is not the published one."""
        sums_of_files = [{name: hasher.hexdigest() for name, hasher in hashers.items()} for hashers in self.hashers]
        for file, sums in zip(self.files, sums_of_files, strict=True):
            part = f" of {file.path.name}" if len(self.files) > 1 else ""
            for name, published in file.sums.items():
                if sums[name] != published.lower():
                    raise ArchiveError(
                        f"wrong content{part}: expected {name} {published}, got {sums[name]}. Download it again."
                    )
        return sums_of_files


def extract_archive(
    archive: Archive,
    folder: Path,
    members: Path,
    *,
    scratch: Scratch,
    staging_name: str,
    on_bytes: Callable[[int], None] = lambda n_bytes: None,
    memo: HashMemo | None = None,
    others: Sequence[Path] = (),
) -> Extraction:
    """Extract an archive into a folder: every member checked, written, read back, then all of them moved in.

    Writes the members file (see `earmark.archives.staging`) to `members`. What is in the folder already must be equal,
    or cut short; it is not written again. After an interruption or a full disk the staged files are kept for the next
    run; after a fault of the archive they are deleted. `on_bytes` is called with the raw bytes read since it was last
    called. `others` are the members files of the dataset's other archives, whose files are whole.
    Raises ArchiveError, with the folder as it was, for an archive that is missing, damaged, hostile, another version or
    written to meanwhile; DiskFullError; AbsentError.
    """
    stats = [_require_whole_size(file) for file in archive.files]
    home = scratch.folder(folder)
    staging = Staging(home / f"extract-{staging_name}", folder, memo, others, scratch.volumes)
    try:
        reader, n_skipped = _stage_members(archive, staging, members, home / f"nested-{staging_name}", on_bytes)
        sums = reader.checked_sums()
        _require_same(archive, stats)
        staging.publish(members)
    except ArchiveError as error:
        remove(staging.path)
        raise ArchiveError(f"{archive.path}{_earlier_files(archive)}: {error}") from error
    return Extraction(
        archive_size=reader.position,
        sums=sums,
        stats=stats,
        n_skipped=n_skipped,
        repeated=staging.repeated,
        twins=staging.twins,
        **staging.count,
    )


def _earlier_files(archive: Archive) -> str:
    """Name the files that were read before an archive's last one: their order, or one of them, may be the fault."""
    names = [file.path.name for file in archive.files[:-1]]
    return f" (after {', '.join(names)})" if names else ""


def _require_whole_size(file: ArchiveFile) -> os.stat_result:
    """Return a file's stat; raise ArchiveError before a byte is read where its size is not the published one."""
    if not file.path.is_file():
        raise ArchiveError(f"{file.path}: no such archive. Download it and put it there.")
    status = file.path.stat()
    size = status.st_size
    if file.size is not None and size != file.size:
        what, then = "partial download", "Finish the download and run again"
        if size > file.size:
            what, then = "wrong size", "Is it another release, or something else? Put the archive of the catalog there"
        raise ArchiveError(f"{file.path}: {what}: expected {file.size:,} bytes, got {size:,}. {then}.")
    return status


def _require_same(archive: Archive, before: list[os.stat_result]) -> None:
    """Raise ArchiveError where a file was written to while it was read: of which bytes are the hashes then?"""
    for file, status in zip(archive.files, before, strict=True):
        try:
            same = stat_key(file.path.stat()) == stat_key(status)
        except OSError:
            same = False
        if not same:
            raise ArchiveError(
                f"{file.path.name} was replaced, moved or written to while it was read. Nothing was extracted: run"
                " again once it stays as it is."
            )


def _stage_members(
    archive: Archive, staging: Staging, members: Path, spool: Path, on_bytes: Callable[[int], None]
) -> tuple[HashingReader, int]:
    """Read the archive once, stage its members and list them; return what read it and how many were skipped."""
    reader, n_skipped, n_done, where = HashingReader(archive.files), 0, 0, ""
    try:
        with (
            members.open("wb") as lines,
            closing(_unfolded(read_archive(archive, reader, on_bytes), archive, spool)) as unfolded,
        ):
            for member, wanted in unfolded:
                where = f"damaged at member {member.name!r} (after {n_done:,} members): "
                if not wanted:
                    n_skipped += 1
                elif listed := staging.place(member):
                    lines.write(listed.line())
                    n_done += 1
                where = f"damaged after member {member.name!r} ({n_done:,} members): "
    except DamageError as error:
        raise ArchiveError(f"{where}{error}. Download it again; nothing was extracted.") from error
    except OSError as error:
        raise disk_error(error, members) from error
    if not n_done and not n_skipped:
        raise ArchiveError("it holds no members. Is it the right file? Else take it out of the catalog.")
    return reader, n_skipped


def _unfolded(
    members: Generator[Member, None, None], archive: Archive, spool: Path, depth: int = 0, home: str = ""
) -> Generator[tuple[Member, bool], None, None]:
    """Yield each member and whether it is wanted; a nested archive is replaced by its own members.

    `home` is the folder of the nested archive whose members these are. `members` is closed at the end, and with it the
    reader's thread and spool: an error that somebody keeps, with its traceback, would keep them alive.
    """
    with closing(members):
        for raw_member in members:
            member = _below(raw_member, home) if depth else raw_member
            plain = member.name.strip("/").removeprefix("./")
            if any(fnmatch.fnmatchcase(plain, pattern) for pattern in archive.skip):
                yield member, False
                continue
            folder, _, name = safe_path(member.name).rpartition("/")
            if member.kind != "file" or not any(fnmatch.fnmatchcase(name, pattern) for pattern in archive.nested):
                yield member, True
                continue
            if depth == MAX_NESTING:
                raise ArchiveError(f"member {member.name!r}: more than {MAX_NESTING} archives inside each other")
            inner_spool = spool.with_name(f"{spool.name}-{depth}")
            inner = read_nested(
                member.blocks, inner_spool, ends_known=archive.is_known, rest=archive.rest, names=archive.names
            )
            yield from _unfolded(inner, archive, spool, depth + 1, folder)


def _below(member: Member, home: str) -> Member:
    """Return a nested archive's member as one of the outer archive, in the folder of the nested one."""
    target = posixpath.join(home, member.target) if member.kind == "hardlink" else member.target
    return replace(member, name=posixpath.join(home, safe_path(member.name)), target=target)


def archive_kind(paths: Sequence[Path]) -> str:
    """Return what an archive of some files is, by how the first begins and the last ends. Raises DamageError."""
    with paths[0].open("rb") as file:
        head = file.read(TAR_BLOCK_BYTES)
    return "zip" if head.startswith(SPLIT_MARK) or is_last_part(paths[-1]) else find_format(head)


def read_archive(
    archive: Archive, reader: HashingReader, on_bytes: Callable[[int], None]
) -> Generator[Member, None, None]:
    """Yield the members of an archive; once they are used up, `reader` has read all of its files.

    `on_bytes` is called with the raw bytes read since it was last called, each byte once. Raises DamageError.
    """
    kind = archive_kind([file.path for file in archive.files])
    if kind == "zip":  # its directory is at the end: two passes, the first for the sums
        for block in reader.blocks():
            on_bytes(len(block))
        yield from zip_members(*(file.path for file in archive.files), rest=archive.rest, names=archive.names)
        return
    with closing(read_ahead(decoded(reader.blocks(), kind, archive.rest))) as blocks:
        counted = _counted(blocks, reader, on_bytes)
        yield from tar_members(counted, ends_known=archive.is_known, rest=archive.rest, names=archive.names)


def _counted(blocks: Iterator[bytes], reader: HashingReader, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    """Pass decompressed blocks on, and call `on_bytes` with the compressed bytes that were read for them."""
    counted = 0
    for block in blocks:
        position = reader.position
        on_bytes(position - counted)
        counted = position
        yield block
    on_bytes(reader.position - counted)
