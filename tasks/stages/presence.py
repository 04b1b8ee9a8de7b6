"""Which datasets are on this disk, and whether one that was is on a volume that is not mounted now."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from earmark.catalog.project import Project
from earmark.errors import AbsentError, CorpusError
from tasks.engine import deletions
from tasks.stages.archive_records import STAGE as EXTRACT


def has_files(folder: Path) -> bool:
    """Say whether a folder is there and contains anything that is not hidden."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        # hidden names do not count: an empty mount point may have .DS_Store or .Trashes
        return any(not entry.name.startswith(".") for entry in entries)
    return False


def on_disk(project: Project, dataset: str) -> bool:
    """Say whether there is anything of a dataset to work on: an archive, a tree, or receipts."""
    folder = project.folder(dataset)
    if any((folder / archive.file).exists() for archive in project.dataset(dataset).archives):
        return True
    return project.receipt(EXTRACT, dataset).exists() or has_files(project.root(dataset))


def require_present(project: Project, dataset: str) -> None:
    """Refuse a dataset whose files are gone: a volume that is not mounted must not look like files that were deleted.

    Raises AbsentError when there are receipts and no files, CorpusError for a tree without archives that never was.
    """
    table, root = project.dataset(dataset), project.root(dataset)
    worked = project.receipt("scan", dataset).exists() or project.receipt(EXTRACT, dataset).exists()
    again = any(archive.generator or (project.folder(dataset) / archive.file).exists() for archive in table.archives)
    if worked and not again and not has_files(root):
        raise AbsentError(
            f"{project.relative(root)}: the root of {dataset} is missing or empty, yet it was there before: not"
            " mounted? Mount it, or take the dataset out of the catalog. Nothing of it is rebuilt or forgotten."
            f" {deletions.words(project, dataset)}".rstrip()
        )
    if not worked and not table.archives and not root.is_dir():
        raise CorpusError(f"{project.relative(root)}: no such folder: expected the files of {dataset} there.")


def here_and_absent(project: Project, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the datasets that are on this disk, or are made here, and those that are not; both in the order given."""
    here: list[str] = []
    absent: list[str] = []
    for name in names:
        made_here = any(archive.generator for archive in project.dataset(name).archives)
        (here if made_here or on_disk(project, name) else absent).append(name)
    return here, absent


def require_any(project: Project, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return what `here_and_absent` does.

    Raises CorpusError when no dataset is on this disk.
    """
    here, absent = here_and_absent(project, names)
    if not here:
        raise CorpusError(
            f"none of its datasets is on this disk: {', '.join(absent)}."
            f" `doit why extract:{absent[0]}` says where archives belong."
        )
    return here, absent
