"""The canonical audio of a dataset on disk: which file it is of a recording, and whether it is there, whole."""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from earmark.audio.batch import standard_name
from earmark.audio.table import AudioRow, BadAudio, GoodAudio
from earmark.catalog.project import Project
from earmark.disk import owners
from earmark.errors import AbsentError
from tasks.stages import presence


def audio_folder(project: Project, dataset: str) -> Path:
    """Return the folder below which `audio_file` is."""
    return project.root(dataset) if project.catalog.standard.format == "none" else project.standard / dataset


def audio_file(project: Project, dataset: str, path: str) -> Path:
    """Return the file of a recording's audio: its standard file, or the source with format "none".

    `path` is relative to the root. Tables record that alone, so that folders may move and nothing is made again.
    """
    form = project.catalog.standard.format
    return audio_folder(project, dataset) / (path if form == "none" else standard_name(path, form))


def audio_path(project: Project, dataset: str) -> Callable[[str], str]:
    """Return a function that gives `audio_file` as manifests have it, relative to the catalog's folder.

    A function, so that folder and format are looked up once and not for each of ten million rows.
    """
    form = project.catalog.standard.format
    folder = project.relative(audio_folder(project, dataset))
    below = "" if folder == "." else f"{folder}/"
    return lambda path: below + (path if form == "none" else standard_name(path, form))


def require_standard(project: Project, dataset: str) -> None:
    """Refuse a dataset whose standard audio may be on a volume that is not mounted.

    Raises AbsentError when the whole folder of standard audio, of all datasets, is missing or empty; ForeignError where
    another collection made it.
    """
    require_own(project, dataset)
    if not (project.standard / dataset).is_dir() and not presence.has_files(project.standard):
        raise AbsentError(
            f"{project.relative(project.standard)}: the folder of standard audio is missing or empty: not mounted?"
            f" Mount it, or make its files anew: `doit -a standardize:{dataset}`."
        )


def require_own(project: Project, dataset: str) -> None:
    """Raise ForeignError where another collection made a dataset's standard audio."""
    owners.require_not_another_s(project.standard / dataset, project.identity, "paths.standard")


def take(project: Project, dataset: str) -> None:
    """Mark the folder of a dataset's standard audio as ours. Raises ForeignError where it is not."""
    tables = project.table(dataset, "0").parent.glob("*.jsonl")
    receipts = project.receipt("standardize", dataset, "0").parent.glob("*.json")
    journals = project.scratch.tmp.glob(f"journal-{dataset}-*.jsonl")
    made_here = next(itertools.chain(tables, receipts, journals), None) is not None
    folder = project.standard / dataset
    owners.take(folder, project.owner, project.scratch, made_here=made_here, name="paths.standard")


def sealed_at(project: Project, dataset: str, shard: str) -> int:
    """Return when a shard's receipt was written, in nanoseconds since the epoch; 0 where there is none."""
    with contextlib.suppress(OSError):
        return project.receipt("standardize", dataset, shard).stat().st_mtime_ns
    return 0


def is_whole(project: Project, dataset: str, row: AudioRow, sealed_at: int | None = None) -> bool:
    """Say whether a row's standard file is there, whole; true where the row has none.

    By its stat. Of a file that was touched since `sealed_at` the content is read, once: the memo remembers it.
    """
    if isinstance(row, BadAudio) or row.file_size is None:
        return True
    path = audio_file(project, dataset, row.path)
    with contextlib.suppress(OSError):
        status = path.stat()
        if status.st_size == row.file_size:
            untouched = sealed_at is None or status.st_ctime_ns <= sealed_at
            return untouched or project.memo.hash_file(path) == row.file_xxh3
    return False


def standard_names(rows: Iterable[AudioRow]) -> Iterator[str]:
    """Yield the standard files of some rows, relative to the dataset's folder.

    Each in the format that its row was made with, which need not be the catalog's now.
    """
    for row in rows:
        if isinstance(row, GoodAudio) and row.file_size is not None:
            yield standard_name(row.path, row.policy.format)


def standard_hashes(rows: Iterable[AudioRow]) -> Iterator[tuple[str, str]]:
    """Yield the standard files of some rows, as `standard_names` does, each with its hash."""
    for row in rows:
        if isinstance(row, GoodAudio) and row.file_xxh3 is not None:
            yield standard_name(row.path, row.policy.format), row.file_xxh3
