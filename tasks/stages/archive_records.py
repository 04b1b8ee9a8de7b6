"""What is known of a dataset's archives without reading them: their files, and the receipts of their extraction."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from earmark.catalog.project import Project
from earmark.catalog.tables import ArchiveTable
from earmark.disk.hashing import digest, stat_key
from earmark.disk.names import LONGEST, fitting
from earmark.disk.receipts import Receipt, SealedFile, read_receipt

if TYPE_CHECKING:
    from earmark.archives.unpack import Archive  # slow to import, and most of what is asked here reads no archive

STAGE = "extract"  # the stage that writes the receipts
STAT_FIELDS = 3  # numbers of each file in `archive_stat`


class ArchiveRead(msgspec.Struct, frozen=True):
    """What the extraction of one archive seals.

    `archive_stat`: see `stat_of`; `archive_xxh3`: see `hash_of`; `members`: the list of its members; `read_at`: when
    every member was read and compared, seconds since the epoch; `accounted`: whether each byte of its files was found
    to be a member's or the format's own. Earlier versions did not look.
    """

    archive_stat: list[int]
    archive_xxh3: str
    members: SealedFile
    read_at: float = 0.0
    accounted: bool = False

    @property
    def size(self) -> int:
        """Bytes of the archive's files."""
        return sum(self.archive_stat[::STAT_FIELDS])


def part_name(file: str) -> str:
    """Return an archive's name as part of a receipt's path: it may be in a folder below the dataset's."""
    return fitting(file.replace("/", "__"), longest=LONGEST - len(".json"))


def extraction_of(project: Project, dataset: str, file: str) -> Receipt[ArchiveRead] | None:
    """Return the receipt of one archive's extraction; None where there is none or it is damaged."""
    return read_receipt(project.receipt(STAGE, dataset, part_name(file)), ArchiveRead)


def files_of(project: Project, dataset: str, archive: ArchiveTable) -> list[Path]:
    """Return the files of an archive, in the order of their bytes: one, or those of a split zip."""
    return [project.folder(dataset) / download.file for download in archive.downloads]


def source_of(project: Project, dataset: str, archive: ArchiveTable) -> "Archive":
    """Return an archive as `unpack` reads it: files with published sizes and sums, nested archives, what to skip."""
    from earmark.archives import unpack

    paths = files_of(project, dataset, archive)
    files = (
        unpack.ArchiveFile(path, download.size, download.sums)
        for path, download in zip(paths, archive.downloads, strict=True)
    )
    return unpack.Archive(
        tuple(files), tuple(archive.nested), tuple(archive.skip), archive.rest == "ignore", archive.names
    )


def members_here(project: Project, dataset: str) -> dict[str, str]:
    """Return the archives from which each file of a dataset can be restored, by its path below the dataset's folder.

    Only archives that are on this disk as they were extracted; a list of members that is damaged names none.
    """
    from earmark.archives.members import parse_member

    holding: dict[str, str] = {}
    for archive in project.dataset(dataset).archives:
        receipt = extraction_of(project, dataset, archive.file)
        try:
            if receipt is None or not is_as_read(project, files_of(project, dataset, archive), receipt.outputs):
                continue
            with (project.home / receipt.outputs.members.path).open("rb") as lines:
                holding |= {member.path: archive.file for member in map(parse_member, lines) if not member.is_folder}
        except (OSError, ValueError):  # not there, or its list is not: then it restores nothing
            continue
    return holding


def staged(project: Project, dataset: str, archive: ArchiveTable) -> Path | None:
    """Return the folder of an extraction that a killed run left unfinished, if there is one."""
    return project.scratch.find(f"extract-{staging_name(dataset, archive)}", project.folder(dataset))


def staging_name(dataset: str, archive: ArchiveTable) -> str:
    """Return what distinguishes an archive's unfinished files in the scratch folder; a few words are put around it."""
    return fitting(f"{dataset}-{part_name(archive.file)}", longest=LONGEST - len("extract-.members-99"))


def stat_of(stats: Iterable[os.stat_result]) -> list[int]:
    """Return size, mtime and inode of each file of an archive."""
    return [value for status in stats for value in (status.st_size, status.st_mtime_ns, status.st_ino)]


def hash_of(hashes: list[str]) -> str:
    """Return the hash of an archive's content: that of its one file, or a digest of those of its files."""
    return hashes[0] if len(hashes) == 1 else digest("parts", hashes)


def _known_hash(project: Project, paths: list[Path]) -> str | None:
    """Return an archive's hash if the memo has that of every file, so that no byte must be read for it."""
    hashes = [project.memo.get(path, stat_key(path.stat())) for path in paths]
    return hash_of([xxh3 for xxh3 in hashes if xxh3]) if all(hashes) else None


def is_as_read(project: Project, paths: list[Path], read: ArchiveRead) -> bool:
    """Say whether an archive is the one that was extracted, by stat or by remembered hashes; nothing is read again.

    Raises OSError for a file that is not there.
    """
    same_stat = stat_of(path.stat() for path in paths) == read.archive_stat
    return same_stat or _known_hash(project, paths) == read.archive_xxh3
