"""What cleanup records of archives: when all members of one were proved to be on disk, and when it was deleted.

One receipt an archive in `cache/receipts/cleanup/<dataset>/`; its state is "proved", then "deleting" from before the
archive goes until it is gone, then "deleted". The receipt of its extraction stays and lists what is in the tree.
"""

import datetime
from pathlib import Path

import msgspec

from earmark.catalog.project import Project
from earmark.disk.receipts import Receipt, SealedFile, read_receipt

STAGE = "cleanup"
NAMED = 2  # deleted archives that a message names


class ArchiveIdentity(msgspec.Struct, frozen=True):
    """Which archive a record of cleanup is about, and which list of its members.

    `sums` are the published ones, or else our own; `size` in bytes: what one needs to compare another download.
    """

    file: str
    size: int
    sums: dict[str, str]
    archive_xxh3: str
    members: SealedFile


class Deletion(msgspec.Struct, frozen=True):
    """How far an archive's deletion is: `state` "proved", "deleting" or "deleted", times in seconds since the epoch.

    `read_at`: when the tree was read whole; `at`: when this was recorded; `files`: the stat key of each of its files.
    """

    state: str
    read_at: float | None
    at: float
    files: dict[str, list[int]]


def record(path: Path) -> Receipt[Deletion] | None:
    """Return the record of an archive; None where there is none or it is damaged."""
    receipt = read_receipt(path, Deletion)
    return receipt if receipt is not None and receipt.stage == STAGE else None


def archive_of(receipt: Receipt[Deletion]) -> ArchiveIdentity:
    """Return the archive that a record is about."""
    return receipt.made_from(ArchiveIdentity)


def deleted(project: Project, dataset: str) -> list[Receipt[Deletion]]:
    """Return the records of a dataset's archives that cleanup deleted and that were not downloaded again."""
    home, folder = project.receipt(STAGE, dataset, "-").parent, project.folder(dataset)
    records = [receipt for path in sorted(home.glob("*.json")) if (receipt := record(path)) is not None]
    return [
        receipt
        for receipt in records
        # "deleting" counts: a run that was killed in between may have deleted the file and not recorded it yet
        if receipt.outputs.state != "proved" and not (folder / archive_of(receipt).file).exists()
    ]


def words(project: Project, dataset: str) -> str:
    """Say which archives of a dataset were deleted, when, and how to get them again; "" where none was."""
    receipts = deleted(project, dataset)
    sentences = []
    for receipt in receipts[:NAMED]:
        archive = archive_of(receipt)
        sums = ", ".join(f"{name} {value}" for name, value in archive.sums.items())
        sentences.append(
            f"{archive.file} was deleted on {day(receipt)} by `doit cleanup:{dataset} --yes`, when all its members were"
            f" on disk ({archive.size:,} bytes, {sums})"
        )
    if len(receipts) > NAMED:
        sentences.append(f"so were {len(receipts) - NAMED:,} more")
    if not sentences:
        return ""
    home = project.dataset(dataset).home
    again = f"Download it again{f' from {home}' if home else ''} and run `doit -a extract:{dataset}`."
    return f"{'; '.join(sentences)}. {again}"


def day(receipt: Receipt[Deletion]) -> str:
    """Return the date of a deletion, local time."""
    return datetime.datetime.fromtimestamp(receipt.outputs.at).strftime("%Y-%m-%d")
