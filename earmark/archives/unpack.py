"""Archives of a dataset, read once from end to end and extracted: every member arrives whole, or none does.

Memory: the blocks under way, 8 bytes a file and 16 a folder for the names, and for a zip its whole directory (see
earmark.zips).
"""

import fnmatch
import os
import posixpath
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson

from earmark.archives.formats import ahead, decoded, find_format, read_nested
from earmark.archives.members import DamageError, Member
from earmark.archives.safe_names import safe_path
from earmark.archives.staging import Extraction, Staging
from earmark.archives.tars import TAR_BLOCK_BYTES, tar_members
from earmark.archives.zips import SPLIT_MARK, is_last_part, zip_members
from earmark.disk.files import Scratch, disk_error, remove
from earmark.disk.hashing import BLOCK_BYTES, Hasher, HashMemo, new_hasher, stat_key
from earmark.errors import AbsentError, ArchiveError

MAX_NESTING = 5  # archives inside each other


@dataclass(frozen=True)
class Source:
    """One archive of a dataset, as the catalog names it.

    `size` and `sums` (by algorithm: md5, sha256, xxh3) are what its publisher says; `nested` are patterns of base names
    of members that are archives themselves, `skip` patterns of member paths that are left out. Of an archive that was
    cut in several files, or a split zip, this is the last and `parts` are the others, in order.
    """

    path: Path
    size: int | None = None
    sums: Mapping[str, str] = field(default_factory=dict)
    parts: "tuple[Source, ...]" = ()
    nested: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether its publisher says enough to tell that its end is missing."""
        return bool(self.size or self.sums)

    @property
    def files(self) -> "tuple[Source, ...]":
        """The files of the archive, in the order of their bytes."""
        return (*self.parts, self)


class Raw:
    """An archive read once from end to end; its hashers see every byte, whatever the format makes of them."""

    def __init__(self, source: Source) -> None:
        self.files = source.files
        self.position = 0
        self.hashers: list[dict[str, Hasher]] = [
            {name: new_hasher(name) for name in {**file.sums, "xxh3": ""}} for file in self.files
        ]

    def blocks(self) -> Generator[bytes, None, None]:
        """Yield the bytes of the files in order. Raises AbsentError where the disk refuses to read."""
        for source, hashers in zip(self.files, self.hashers, strict=True):
            try:
                with source.path.open("rb", buffering=0) as file:
                    while block := file.read(BLOCK_BYTES):
                        for hasher in hashers.values():
                            hasher.update(block)
                        self.position += len(block)
                        yield block
            except OSError as error:
                raise AbsentError(
                    f"{source.path}: cannot be read: {error.strerror}. Check the disk and run again."
                ) from error

    def checked_sums(self) -> list[dict[str, str]]:
        """Return the sums of each file. Raises ArchiveError for one that is not the published one."""
        found = [{name: hasher.hexdigest() for name, hasher in hashers.items()} for hashers in self.hashers]
        for source, sums in zip(self.files, found, strict=True):
            part = f" of {source.path.name}" if len(self.files) > 1 else ""
            for name, published in source.sums.items():
                if sums[name] != published.lower():
                    raise ArchiveError(
                        f"wrong content{part}: expected {name} {published}, got {sums[name]}. Download it again."
                    )
        return found


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
    Raises ArchiveError, with the folder as it was, for an archive that is missing, damaged, hostile, another version or
    written to meanwhile; DiskFullError; AbsentError.
    """
    stats = [_require_whole_size(file) for file in source.files]
    home = scratch.folder(folder)
    staging = Staging(home / f"extract-{staging_name}", folder, memo)
    try:
        raw, n_skipped = _stage_members(source, staging, members, home / f"nested-{staging_name}", on_bytes)
        sums = raw.checked_sums()
        _require_same(source, stats)
        staging.publish(members)
    except ArchiveError as error:
        remove(staging.path)
        raise ArchiveError(f"{source.path}{_parts_named(source)}: {error}") from error
    return Extraction(archive_size=raw.position, sums=sums, stats=stats, n_skipped=n_skipped, **staging.count)


def _parts_named(source: Source) -> str:
    """Say which files were read before an archive's last one: their order, or one of them, may be what is wrong."""
    return f" (after {', '.join(part.path.name for part in source.parts)})" if source.parts else ""


def _require_whole_size(source: Source) -> os.stat_result:
    if not source.path.is_file():
        raise ArchiveError(f"{source.path}: no such archive. Download it and put it there.")
    status = source.path.stat()
    size = status.st_size
    if source.size is not None and size != source.size:
        what = "partial download" if size < source.size else "wrong size"
        raise ArchiveError(
            f"{source.path}: {what}: expected {source.size:,} bytes, got {size:,}. Finish the download and run again."
        )
    return status


def _require_same(source: Source, before: list[os.stat_result]) -> None:
    """Refuse an archive that did not stay what it was: nothing tells which of its bytes the hashes are of."""
    for file, status in zip(source.files, before, strict=True):
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
    source: Source, staging: Staging, members: Path, spool: Path, on_bytes: Callable[[int], None]
) -> tuple[Raw, int]:
    """Read the archive once, stage its members and list them; return what read it and how many were skipped."""
    raw, n_skipped, n_done, where = Raw(source), 0, 0, ""
    try:
        with (
            members.open("wb") as lines,
            closing(_unfolded(read_archive(source, raw, on_bytes), source, spool)) as found,
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
    members: Generator[Member, None, None], source: Source, spool: Path, depth: int = 0, home: str = ""
) -> Generator[tuple[Member, bool], None, None]:
    """Yield each member, those of nested archives in the place of these, and whether it is wanted.

    `members` is closed at the end, and with it the reader's thread and spool, whoever still holds an error's traceback.
    """
    with closing(members):
        for found in members:
            member = _below(found, home) if depth else found
            plain = member.name.strip("/").removeprefix("./")
            if any(fnmatch.fnmatchcase(plain, pattern) for pattern in source.skip):
                yield member, False
                continue
            folder, _, name = safe_path(member.name).rpartition("/")
            if member.kind != "file" or not any(fnmatch.fnmatchcase(name, pattern) for pattern in source.nested):
                yield member, True
                continue
            if depth == MAX_NESTING:
                raise ArchiveError(f"member {member.name!r}: more than {MAX_NESTING} archives inside each other")
            inner_spool = spool.with_name(f"{spool.name}-{depth}")
            inner = read_nested(member.blocks, inner_spool, ends_known=source.is_known)
            yield from _unfolded(inner, source, spool, depth + 1, folder)


def _below(member: Member, home: str) -> Member:
    """Return a nested archive's member as one of the outer archive, in the folder of the nested one."""
    target = posixpath.join(home, member.target) if member.kind == "hardlink" else member.target
    return replace(member, name=posixpath.join(home, safe_path(member.name)), target=target)


def archive_kind(paths: Sequence[Path]) -> str:
    """Return what an archive of some files is, by how the first begins and the last ends. Raises DamageError."""
    with paths[0].open("rb") as file:
        head = file.read(TAR_BLOCK_BYTES)
    return "zip" if head.startswith(SPLIT_MARK) or is_last_part(paths[-1]) else find_format(head)


def read_archive(source: Source, raw: Raw, on_bytes: Callable[[int], None]) -> Generator[Member, None, None]:
    """Yield the members of an archive file; once they are used up, `raw` has seen the whole file.

    `on_bytes` hears how many raw bytes were read since the last call, each byte once. Raises DamageError.
    """
    kind = archive_kind([file.path for file in source.files])
    if kind == "zip":  # its directory stands at the end: two passes, the first for the sums
        for block in raw.blocks():
            on_bytes(len(block))
        yield from zip_members(*(part.path for part in source.files))
        return
    with closing(ahead(decoded(raw.blocks(), kind))) as feed:
        yield from tar_members(_told(feed, raw, on_bytes), ends_known=source.is_known)


def _told(feed: Iterator[bytes], raw: Raw, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    told = 0
    for block in feed:
        now = raw.position
        on_bytes(now - told)
        told = now
        yield block
    on_bytes(raw.position - told)
