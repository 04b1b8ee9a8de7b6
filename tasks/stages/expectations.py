"""What a tree must contain after extraction: the folders and the counts of files that the catalog expects."""

import contextlib
import fnmatch
from collections import Counter
from pathlib import Path

from earmark.catalog.project import Project
from earmark.disk import watch
from earmark.disk.junk import is_counted
from earmark.errors import CorpusError
from tasks.engine import deletions
from tasks.stages import archive_records

NAMES_SHOWN = 6  # of what a folder contains, in an error
ARCHIVES_NAMED = 3  # in an error


def require_expected(project: Project, dataset: str) -> int:
    """Compare the tree with the counts that the catalog expects; return the number of files below the root.

    Published counts catch what sums cannot: an archive that is undamaged and of another release. Raises CorpusError.
    """
    root, folder, expect = project.root(dataset), project.folder(dataset), project.dataset(dataset).expect
    where = f"{project.path.name}: [datasets.{dataset}.expect]"
    if not root.is_dir():
        raise CorpusError(
            f"{project.relative(root)}: no such folder after extraction: the archive has another layout, or root is"
            f" wrong in [datasets.{dataset}]. {project.relative(folder)} contains:"
            f" {', '.join(_some_names(folder)) or 'nothing'}."
        )
    for name in expect.folders:
        if not (root / name).is_dir():
            raise CorpusError(f"{where}: folder {name} is not below {project.relative(root)}: incomplete extraction?")
    matched: Counter[str] = Counter()
    files = 0
    for entry in watch.walk(root):
        if not entry.is_dir(follow_symlinks=False) and is_counted(entry.name):
            files += 1
            matched.update(pattern for pattern in expect.files if fnmatch.fnmatchcase(entry.name, pattern))
    if not files:
        raise CorpusError(f"{project.relative(root)}: empty: expected the files of {dataset} there, got none.")
    for pattern, count in expect.files.items():
        if matched[pattern] != count:
            raise CorpusError(
                f"{where}: {project.relative(root)}: expected {count:,} files {pattern}, got {matched[pattern]:,}."
                f" {_why_other(project, dataset)}, or the expectation is of another release."
                f" {deletions.words(project, dataset)}".rstrip()
            )
    return files


def _why_other(project: Project, dataset: str) -> str:
    """Return the likely reason for a count that differs: archives that are not here, or an incomplete one."""
    archives = project.dataset(dataset).archives
    absent = [
        archive.file
        for archive in archives
        if archive_records.extraction_of(project, dataset, archive.file) is None
        and not all(path.exists() for path in archive_records.files_of(project, dataset, archive))
    ]
    if not absent:
        return "An archive is incomplete"
    some = ", ".join(absent[:ARCHIVES_NAMED]) + (", ..." if len(absent) > ARCHIVES_NAMED else "")
    return f"Not here: {some} (get them, or take them and these counts out of [datasets.{dataset}])"


def _some_names(folder: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return sorted(entry.name for entry in folder.iterdir())[:NAMES_SHOWN]
    return []
