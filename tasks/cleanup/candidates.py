"""Archives that cleanup may delete: files that belong to one dataset alone, with the receipt of their extraction.

Whatever could make a deletion lose something is refused here, before anything is read.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from earmark.archives.safe_names import fold
from earmark.catalog.project import Project
from earmark.catalog.tables import ArchiveTable
from earmark.disk.files import real
from earmark.disk.hashing import stat_key
from earmark.disk.receipts import Receipt
from earmark.errors import ArchiveError
from tasks.engine import deletions
from tasks.stages import archive_records, extract


@dataclass
class Candidate:
    """An archive that may be deleted: its receipt, its files with the stats that they had, when its tree was read.

    `half_gone`: a run was killed while it deleted the files of a split zip, and these are the ones that are left.
    """

    table: ArchiveTable
    receipt: Receipt[archive_records.ArchiveRead]
    files: dict[Path, os.stat_result]
    half_gone: bool = False
    read_at: float | None = None  # seconds since the epoch; None: longer ago than FRESH_S
    seen: str = ""  # a hash over the stats of all members, as they were when the last of them was compared

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(status.st_size for status in self.files.values())

    @property
    def freed(self) -> int:
        """Bytes that deleting it gives back: none where a hard link keeps them."""
        return sum(status.st_size for status in self.files.values() if status.st_nlink == 1)


def on_disk(project: Project, dataset: str, table: ArchiveTable) -> bool:
    """Say whether any file of an archive is there, even a broken link."""
    return any(os.path.lexists(path) for path in archive_records.files_of(project, dataset, table))


def candidate_of(project: Project, dataset: str, table: ArchiveTable) -> Candidate:
    """Return an archive's files and its receipt.

    Raises ArchiveError for links, for a file that two datasets claim, and where no receipt proves its extraction.
    """
    where = project.receipt(extract.NAME, dataset, archive_records.part_name(table.file))
    receipt, paths = (
        archive_records.extraction_of(project, dataset, table.file),
        archive_records.files_of(project, dataset, table),
    )
    files = {path: path.lstat() for path in paths if os.path.lexists(path)}
    for path, status in files.items():
        _require_own_file(project, dataset, table, path, status)
    if receipt is None:
        why = "its receipt is damaged" if where.exists() else "it was never compared with the tree"
        raise ArchiveError(
            f"{project.relative(paths[-1])}: {why}: `doit extract:{dataset}` reads it, and writes what is missing."
        )
    if not receipt.outputs.accounted:
        raise ArchiveError(
            f"{project.relative(paths[-1])}: it may hold bytes that are no part of the archive, and nowhere in the tree"
            f" ({_why_not_accounted(dataset, table)}"
        )
    candidate = Candidate(table, receipt, files, half_gone=len(files) < len(paths))
    if candidate.half_gone:
        record = deletions.record(record_path(project, dataset, table))
        known = record.outputs.files if record and record.outputs.state == "deleting" else {}
        if any(known.get(project.relative(path)) != list(stat_key(status)) for path, status in files.items()):
            raise ArchiveError(f"{project.relative(paths[-1])}: {len(paths) - len(files)} of its files are gone.")
    return candidate


def _why_not_accounted(dataset: str, table: ArchiveTable) -> str:
    if table.rest == "ignore":
        return f'`rest = "ignore"` of [datasets.{dataset}] passes them over): it stays.'
    return f"it was read without a look at them): `doit -a extract:{dataset}` reads it again, and looks."


def _require_own_file(project: Project, dataset: str, table: ArchiveTable, path: Path, status: os.stat_result) -> None:
    """Refuse a file that does not belong to this dataset alone. Raises ArchiveError."""
    name, folder = project.relative(path), project.folder(dataset)
    if stat.S_ISLNK(status.st_mode) or real(folder) / path.relative_to(folder) != real(path):
        raise ArchiveError(f"{name}: a link, which frees nothing: it stays, and so does its target.")
    if not stat.S_ISREG(status.st_mode):
        raise ArchiveError(f"{name}: not a file: expected an archive.")
    for owner, file in _claimants(project, path, status):
        if (owner, file) != (dataset, table.file):
            raise ArchiveError(f"{name}: it is also {file} of [datasets.{owner}] in {project.path.name}.")


def _claimants(project: Project, path: Path, status: os.stat_result) -> Iterator[tuple[str, str]]:
    """Yield dataset and file of each archive of the catalog that is this very file, or a link to it.

    By inode, not by name: two datasets may name one file by different paths, of different case or through a link.
    """
    for dataset, table in project.catalog.datasets.items():
        for archive in table.archives:
            for claimed in archive_records.files_of(project, dataset, archive):
                with contextlib.suppress(OSError):
                    other = claimed.stat()
                    same = (other.st_dev, other.st_ino) == (status.st_dev, status.st_ino)
                    # a second hard link is a name of its own, which stays; any other name would lead nowhere
                    if same and (status.st_nlink == 1 or real(claimed) == real(path)):
                        yield dataset, archive.file


def require_no_member(project: Project, files: list[Path]) -> None:
    """Refuse an archive that was itself a member of another one: with it a part of a tree would be deleted.

    Names are compared as file systems do that ignore case or Unicode form. Raises ArchiveError.
    """
    places = {real(path): path for path in files}
    for dataset in project.catalog.datasets:
        folder = real(project.folder(dataset))
        below = [place for place in places if place.is_relative_to(folder)]
        inside = {fold(place.relative_to(folder).as_posix()): places[place] for place in below}
        # a quick look for ASCII names; others have several spellings, so each line is parsed for them
        needles = [orjson.dumps(name) if name.isascii() else b"" for name in inside]
        for members in project.members(dataset, "-").parent.glob("*.jsonl") if inside else ():
            with members.open("rb") as lines:
                for line in lines:
                    lower = line.lower()
                    if not any(needle in lower for needle in needles):
                        continue
                    if (name := fold(orjson.loads(line)["path"])) in inside:
                        what = f"a member of {members.stem} of [datasets.{dataset}]"
                        raise ArchiveError(f"{project.relative(inside[name])}: it is itself {what}.")


def record_path(project: Project, dataset: str, table: ArchiveTable) -> Path:
    """Return the path of the record of an archive: that it was proved, and later that it was deleted."""
    return project.receipt(deletions.STAGE, dataset, archive_records.part_name(table.file))
