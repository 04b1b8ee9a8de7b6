"""What is on disk: archives, trees, what is missing from them, what no dataset claims. Listings and stats alone.

No file is opened: an audit of a disk with a hundred corpora must take seconds. Links are counted and never followed,
except where the folder to be walked is one.
"""

import fnmatch
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from earmark.catalog.tables import ArchiveTable, Expect
from earmark.disk.entries import is_folder_entry
from earmark.disk.junk import UNFINISHED, UNSEEN, is_counted
from tasks.audit.guesses import ARCHIVE_NAME, plain

# printed as they are, and in the JSON of `doit audit --json`
State = Literal[
    "archive only",
    "extracting",
    "extracted and verified",
    "extracted, unverified",
    "extracted in part",
    "partial download",
    "wrong size",
    "wrong content",
    "archive gone",
    "absent volume",
    "nothing there",
]
NAMED = 3  # names given in a sentence


@dataclass
class Tally:
    """What one walk counted; sizes in bytes.

    Names that begin with `._` (macOS writes them next to real files) are in the size and in no count.
    """

    n_files: int = 0
    size: int = 0
    matched: Counter[str] = field(default_factory=Counter)
    archives: list[tuple[str, int]] = field(default_factory=list)  # path and size of what looks like one
    unfinished: list[str] = field(default_factory=list)
    folder_links: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def walk(
    root: Path,
    patterns: Iterable[str] = (),
    skip: Collection[str] = (),
    *,
    archives_below: bool = True,
    on_files: Callable[[int], None] = lambda n_files: None,
) -> Tally:
    """Count files, bytes and names that match patterns below a folder, links not followed.

    `skip` are paths that are left out with all below them. Archives are listed wherever they are, or, without
    `archives_below`, in the folder itself alone: the files of a corpus may be archives.
    Not `watch.walk`: that one follows links, which would count another volume's files, and passes over what it cannot
    list, which an audit must name.
    """
    # os.scandir and a stack, not Path.rglob: a tree may have ten million entries
    tally = Tally()
    patterns_compiled = [(pattern, re.compile(fnmatch.translate(pattern)).match) for pattern in patterns]
    pending = [str(root)]
    while pending:
        folder = pending.pop()
        before = tally.n_files
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name in UNSEEN or entry.path in skip:
                        continue
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(entry.path)
                        else:
                            _count(tally, entry, patterns_compiled, archives_below or folder == str(root))
                    except OSError:  # gone since it was listed, or not to be looked at
                        tally.unreadable.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):  # gone since its parent was listed
            continue
        except OSError:
            tally.unreadable.append(folder)
        on_files(tally.n_files - before)
    return tally


def _count(
    tally: Tally, entry: os.DirEntry[str], patterns: Sequence[tuple[str, Callable[[str], object]]], archives: bool
) -> None:
    """Count one file or link; `archives`: list it where it looks like one."""
    name, size = entry.name, entry.stat(follow_symlinks=False).st_size
    if entry.is_symlink():
        size = 0  # its target is counted where it is
        if is_folder_entry(entry):
            tally.folder_links.append(entry.path)
            return
    tally.size += size
    if not is_counted(name):
        return
    tally.n_files += 1
    for pattern, matches in patterns:
        if matches(name):
            tally.matched[pattern] += 1
    if name.endswith(UNFINISHED):
        tally.unfinished.append(entry.path)
    elif archives and ARCHIVE_NAME.search(name):
        tally.archives.append((entry.path, size))


def missing_folders(root: Path, expect: Expect) -> list[str]:
    """Return the published folders that a tree does not have."""
    return [name for name in expect.folders if not (root / name).is_dir()]


def count_missing(tally: Tally, expect: Expect) -> int:
    """Return how many files a tree lacks by the published counts."""
    return sum(max(0, count - tally.matched[pattern]) for pattern, count in expect.files.items())


def differences(root: Path, tally: Tally, expect: Expect) -> list[str]:
    """Say in words where a tree has fewer or more files than the published counts."""
    words, folders = [], missing_folders(root, expect)
    if folders:
        more = f" and {len(folders) - NAMED} more" if len(folders) > NAMED else ""
        words.append(f"{len(folders)} of {len(expect.folders)} folders missing ({', '.join(folders[:NAMED])}{more})")
    for pattern, count in expect.files.items():
        n_files = tally.matched[pattern]
        if n_files < count:
            words.append(f"{count - n_files:,} of {count:,} {pattern} missing")
        elif n_files > count:
            words.append(f"{n_files - count:,} {pattern} more than the {count:,} published")
    if words and tally.folder_links:  # the files that are missing may be behind them
        words.append(f"{len(tally.folder_links):,} links to folders not followed (such as {tally.folder_links[0]})")
    return words


@dataclass
class ArchiveAudit:
    """An archive of the catalog: its bytes on disk, unfinished downloads included, and what deleting it would free."""

    file: str
    state: State
    size: int = 0
    published_size: int | None = None
    note: str = ""
    frees_now: int = 0
    frees_after_extract: int = 0


@dataclass
class CorpusAudit:
    """A dataset: its tree and its archives. `n_files` and `size` are those of the tree.

    `missing` says in words what differs from the published counts; `n_missing` is the number of files it lacks. With
    any of them, or without a published folder, it is `incomplete`. `n_unfinished`: unfinished downloads inside it.
    """

    dataset: str
    folder: str
    state: State = "nothing there"
    n_files: int = 0
    size: int = 0
    missing: list[str] = field(default_factory=list)
    n_missing: int = 0
    n_unfinished: int = 0
    incomplete: bool = False
    note: str = ""
    walked: bool = False
    archives: list[ArchiveAudit] = field(default_factory=list)


@dataclass
class Unclaimed:
    """An archive or folder below paths.data that belongs to no dataset, with a guess at what it is."""

    path: str
    size: int
    n_files: int = 1
    guess: str = ""


@dataclass
class Report:
    """An audit's result; sizes in bytes. Its fields are the keys of `doit audit --json`."""

    data: str
    corpora: list[CorpusAudit] = field(default_factory=list)
    unclaimed_archives: list[Unclaimed] = field(default_factory=list)
    unclaimed_folders: list[Unclaimed] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    orphans: dict[str, dict[str, int]] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Download:
    """The files of an archive that are on disk: their bytes, and in `problem` why it is not whole, if it is not."""

    size: int
    problem: str = ""
    state: State = "archive only"
    linked: bool = False  # a link, or a second hard link: deleting it frees nothing
    paths: tuple[str, ...] = ()


def find_download(folder: Path, archive: ArchiveTable) -> Download | None:
    """Look at an archive's files, by stat; None where none of them is there."""
    size, there, problems, paths, linked = 0, 0, [], [], False
    state: State = "archive only"
    for part in archive.downloads:
        path = folder / part.file
        unfinished = [path.with_name(path.name + suffix) for suffix in UNFINISHED]
        unfinished = [partial for partial in unfinished if os.path.lexists(partial)]
        paths += [str(partial) for partial in unfinished]
        size += sum(partial.lstat().st_size for partial in unfinished)
        part_size = None
        if os.path.lexists(path):
            status = path.lstat()
            linked = linked or path.is_symlink() or status.st_nlink > 1
            part_size = (path.stat() if path.exists() else status).st_size
            size += status.st_size
            paths.append(str(path))
            there += 1
        if unfinished:
            problems.append(f"{unfinished[0].name} is there too")
        if part_size is not None and part.size is not None and part_size != part.size:
            problems.append(f"{part_size:,} of {part.size:,} bytes")
            # too long is no unfinished download: more likely another release
            if part_size > part.size and not unfinished:
                state = "wrong size"
    if not paths:
        return None
    if 0 < there < len(archive.downloads):
        problems.append(f"{len(archive.downloads) - there} of {len(archive.downloads)} parts missing")
    if problems and state != "wrong size":
        state = "partial download"
    return Download(size, "; ".join(problems), state, linked, tuple(paths))


def archive_state(
    archive: ArchiveTable,
    download: Download,
    *,
    verified: bool,
    extracting: bool,
    tree: bool,
    incomplete: bool,
    folders: Collection[str],
) -> State:
    """Return the state of an archive that is on disk.

    `verified`: its receipt is of this very file; `tree`: its dataset has files; `incomplete`: fewer than published;
    `folders`: names of folders in that tree. While a tree is incomplete, a folder of an archive's name is taken as a
    sign that this archive is extracted: nothing else distinguishes those of one dataset without reading them.
    """
    if download.problem:
        return download.state
    if extracting:
        return "extracting"
    if verified:
        return "extracted and verified"
    if not tree:
        return "archive only"
    if not incomplete or plain(archive.file) in {plain(name) for name in folders}:
        return "extracted, unverified"
    return "extracted in part"


def unclaimed_folders(data: Path, claimed: Collection[Path]) -> list[Path]:
    """Return the folders below `data` that contain no claimed folder and are inside none."""
    folders: list[Path] = []
    try:
        with os.scandir(data) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []
    for name in names:
        path = data / name
        if name in UNSEEN or path in claimed:
            continue
        if any(one.is_relative_to(path) for one in claimed):
            folders += unclaimed_folders(path, claimed)
        else:
            folders.append(path)
    return folders
