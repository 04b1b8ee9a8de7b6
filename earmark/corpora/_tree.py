"""Folders and audio files of a corpus, sorted, without what other programs leave behind."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from earmark.corpora._formats.lines import unreadable
from earmark.disk.entries import is_folder_entry, leads_back
from earmark.disk.faults import is_machine_fault
from earmark.disk.junk import is_junk
from earmark.errors import CorpusError
from earmark.rows import SPLITS
from earmark.sounds import is_audio

SHOWN_NAMES = 5  # of a folder, in an error


def child(folder: str, name: str) -> str:
    """Return the POSIX path of a name in a folder; "" is the root itself."""
    return f"{folder}/{name}" if folder else name


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
            # is_dir() of an entry costs no stat, except for links: a folder of NSynth has 289,205 files.
            for entry in entries:
                if is_junk(entry.name) or leads_back(entry):
                    continue
                if is_folder_entry(entry):
                    folders.append(entry.name)
                elif not entry.name.startswith(".") or is_audio(entry.name):  # no label file of any corpus is hidden
                    files.append(entry.name)
    except OSError as error:
        raise CorpusError(
            f"{folder}: cannot be listed: expected a folder, got: {error.strerror}."
            " Extract the dataset, or correct `folder` and `root` in the catalog."
        ) from error
    for name in (*folders, *files):
        if not name.isascii():  # a quick test first, since nearly all names pass it
            _require_utf8(folder, name)
    return sorted(folders), sorted(files)


def _require_utf8(folder: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"{folder}: a file name is not UTF-8: expected UTF-8, got {os.fsencode(name)!r}. Rename the file."
        ) from error


def is_file(path: Path) -> bool:
    """Return whether a path leads to something other than a folder; False too for a name that no file can have.

    What is neither file nor folder, such as a pipe, is named by whoever opens it: to take it for missing would hide it.
    Raises CorpusError where the machine does not say: a disk that fails is no missing file.
    """
    mode = _mode(path)
    return bool(mode) and not stat.S_ISDIR(mode)


def is_folder(path: Path) -> bool:
    """Return whether a path leads to a folder. Raises as `is_file`."""
    return stat.S_ISDIR(_mode(path))


def _mode(path: Path) -> int:
    """Return what a path leads to, as bits of its mode; 0 for nothing."""
    try:
        return path.stat().st_mode
    except ValueError:  # a NUL in the name
        return 0
    except OSError as error:  # none of that name, or one that is too long
        if is_machine_fault(error):
            raise unreadable(path, error) from error
        return 0


def walk(root: Path, below: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield (folder, file names) of every folder with files in it, top down; folders POSIX and relative to `root`.

    Keeps in memory the names of folders that are still to be listed. Not recursive: a tree may be deeper than Python.
    """
    pending = [below]
    while pending:
        folder = pending.pop()
        folders, files = listing(root / folder)
        if files:
            yield folder, files
        pending += (child(folder, name) for name in reversed(folders))


def every_file(root: Path, below: str = "") -> Iterator[str]:
    """Yield the files below a folder, folder by folder, sorted, as POSIX paths relative to `root`."""
    for folder, files in walk(root, below):
        for name in files:
            yield child(folder, name)


def audio_files(root: Path, below: str = "") -> Iterator[str]:
    """Return the sound files below a folder, sorted, as POSIX paths relative to `root`."""
    return filter(is_audio, every_file(root, below))


def split_folders(root: Path) -> list[tuple[str, str]]:
    """Return (folder, split) for each folder `train`, `dev`, `test`, `train-*`, `dev-*`, `test-*`, sorted.

    Raises CorpusError when there is none.
    """
    splits = [(name, name.partition("-")[0]) for name in listing(root)[0]]
    splits = [(name, split) for name, split in splits if split in SPLITS]
    if not splits:
        raise layout_error(root, "a folder train, dev, test, train-*, dev-* or test-*")
    return splits


def layout_error(folder: Path, expected: str) -> CorpusError:
    """Return the error for a folder that contains something other than the corpus, with the first names in it."""
    folders, files = listing(folder)
    names = [*folders, *files]
    got = ", ".join(names[:SHOWN_NAMES]) + (", ..." if len(names) > SHOWN_NAMES else "")
    return CorpusError(
        f"{folder}: not the layout of this corpus: expected {expected}, got {got or 'an empty folder'}."
        " Correct `folder` and `root` in the catalog, or extract the archive again."
    )
