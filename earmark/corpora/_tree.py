"""Folders and audio files of a corpus, sorted, without what other programs leave behind."""

import os
from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import SPLITS
from earmark.disk.junk import is_junk
from earmark.errors import CorpusError
from earmark.sounds import is_audio


def stem(path: str) -> str:
    """Return the last part of a POSIX path without its extension."""
    return path.rpartition("/")[2].rpartition(".")[0]


def listing(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the files in a folder, each sorted by code point, without junk.

    Raises CorpusError when the folder cannot be read or a name is not UTF-8.
    """
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not is_junk(entry.name):
                    (folders if entry.is_dir() else files).append(entry.name)
    except OSError as error:
        raise CorpusError(
            f"{folder}: cannot be listed: expected a folder, got: {error.strerror}."
            " Extract the dataset, or correct `folder` and `root` in the catalog."
        ) from error
    for name in (*folders, *files):
        if not name.isascii():
            _require_utf8(folder, name)
    return sorted(folders), sorted(files)


def _require_utf8(folder: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"{folder}: a file name is not UTF-8: expected UTF-8, got {os.fsencode(name)!r}. Rename the file."
        ) from error


def walk(root: Path, below: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield (folder, file names) of every folder that holds files, top down; folders POSIX and relative to `root`.

    Holds one folder's names in memory for each level.
    """
    folders, files = listing(root / below)
    if files:
        yield below, files
    for name in folders:
        yield from walk(root, f"{below}/{name}" if below else name)


def audio_files(root: Path, below: str = "") -> Iterator[str]:
    """Yield the sound files below a folder, sorted, as POSIX paths relative to `root`."""
    for folder, files in walk(root, below):
        for name in files:
            if is_audio(name):
                yield f"{folder}/{name}" if folder else name


def split_folders(root: Path) -> list[tuple[str, str]]:
    """Return (folder, split) for each folder `train`, `dev`, `test`, `train-*`, `dev-*`, `test-*`, sorted.

    Raises CorpusError when there is none.
    """
    folders, files = listing(root)
    found = [(name, name.partition("-")[0]) for name in folders if name.partition("-")[0] in SPLITS]
    if not found:
        raise layout_error(root, "a folder train, dev, test, train-*, dev-* or test-*", [*folders, *files])
    return found


def layout_error(root: Path, expected: str, got: list[str]) -> CorpusError:
    """Return the error for a root that holds something else than the corpus."""
    some = ", ".join(got[:5]) + (", ..." if len(got) > 5 else "")
    return CorpusError(
        f"{root}: not the layout of this corpus: expected {expected}, got {some or 'an empty folder'}."
        " Correct `folder` and `root` in the catalog, or extract the archive again."
    )
