"""What lies on disk: archives, trees, what is missing of them, what nobody claims. Listings and stats alone.

No file is opened; links are counted and never followed, save a folder that is itself asked for.
"""

import difflib
import fnmatch
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from earmark.catalog.tables import ArchiveTable, Catalog, Expect
from earmark.disk.junk import UNFINISHED, UNSEEN, is_counted

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
ARCHIVE_NAME = re.compile(r"\.(tar|tgz|tbz2?|txz|zip|z\d\d|7z|rar|tar\.(gz|bz2|xz|zst))$", re.IGNORECASE)
NAMED = 3  # names given in a sentence
SIMILAR = 0.8  # likeness of two names from which one is guessed to be the other


@dataclass
class Tally:
    """What one walk counted; sizes in bytes. Names that begin with `._` are in the size and in no count."""

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
    tally = Tally()
    tests = [(pattern, re.compile(fnmatch.translate(pattern)).match) for pattern in patterns]
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
                            _count(tally, entry, tests, archives_below or folder == str(root))
                    except OSError:  # gone since it was listed, or not to be looked at
                        tally.unreadable.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):  # gone since its parent was listed
            continue
        except OSError:
            tally.unreadable.append(folder)
        on_files(tally.n_files - before)
    return tally


def _count(
    tally: Tally, entry: os.DirEntry[str], tests: Sequence[tuple[str, Callable[[str], object]]], archives: bool
) -> None:
    name, size = entry.name, entry.stat(follow_symlinks=False).st_size
    if entry.is_symlink():
        size = 0
        if entry.is_dir():
            tally.folder_links.append(entry.path)
            return
    tally.size += size
    if not is_counted(name):
        return
    tally.n_files += 1
    for pattern, matches in tests:
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
    """Return how many files a tree has too few against the published counts."""
    return sum(max(0, count - tally.matched[pattern]) for pattern, count in expect.files.items())


def differences(root: Path, tally: Tally, expect: Expect) -> list[str]:
    """Say what a tree has too few or too many of against the published counts."""
    said, folders = [], missing_folders(root, expect)
    if folders:
        more = f" and {len(folders) - NAMED} more" if len(folders) > NAMED else ""
        said.append(f"{len(folders)} of {len(expect.folders)} folders missing ({', '.join(folders[:NAMED])}{more})")
    for pattern, count in expect.files.items():
        found = tally.matched[pattern]
        if found < count:
            said.append(f"{count - found:,} of {count:,} {pattern} missing")
        elif found > count:
            said.append(f"{found - count:,} {pattern} more than the {count:,} published")
    if said and tally.folder_links:
        said.append(f"{len(tally.folder_links):,} links to folders not followed (such as {tally.folder_links[0]})")
    return said


@dataclass
class ArchiveFound:
    """An archive of the catalog: what lies of it on disk, unfinished downloads too, and what deleting it would free."""

    file: str
    state: State
    size: int = 0
    published_size: int | None = None
    note: str = ""
    frees_now: int = 0
    frees_after_extract: int = 0


@dataclass
class CorpusFound:
    """A dataset: its tree and its archives. `n_files` and `size` are those of the tree.

    `missing` says what differs from the published counts; `n_missing` counts files too few, and with them, or where a
    published folder is not there, the tree is `incomplete`; `n_unfinished` are downloads that lie unfinished in it.
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
    archives: list[ArchiveFound] = field(default_factory=list)


@dataclass
class Unclaimed:
    """What lies below paths.data and belongs to no dataset, with a guess at what it is."""

    path: str
    size: int
    n_files: int = 1
    guess: str = ""


@dataclass
class Report:
    """Everything that was found; sizes in bytes."""

    data: str
    corpora: list[CorpusFound] = field(default_factory=list)
    unclaimed_archives: list[Unclaimed] = field(default_factory=list)
    unclaimed_folders: list[Unclaimed] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Download:
    """What lies of an archive's files: bytes, and why it is not whole, if it is not."""

    size: int
    problem: str = ""
    state: State = "archive only"
    linked: bool = False  # a link, or a second hard link: deleting it frees nothing
    paths: tuple[str, ...] = ()


def find_download(folder: Path, archive: ArchiveTable) -> Download | None:
    """Look at an archive's files, by stat; None where nothing of it is there."""
    size, there, problems, paths, linked = 0, 0, [], [], False
    state: State = "archive only"
    for wanted in archive.downloads:
        path = folder / wanted.file
        beside = [path.with_name(path.name + suffix) for suffix in UNFINISHED]
        beside = [other for other in beside if os.path.lexists(other)]
        paths += [str(other) for other in beside]
        size += sum(other.lstat().st_size for other in beside)
        found = None
        if os.path.lexists(path):
            status = path.lstat()
            linked = linked or path.is_symlink() or status.st_nlink > 1
            found = (path.stat() if path.exists() else status).st_size
            size += status.st_size
            paths.append(str(path))
            there += 1
        if beside:
            problems.append(f"{beside[0].name} beside it")
        if found is not None and wanted.size is not None and found != wanted.size:
            problems.append(f"{found:,} of {wanted.size:,} bytes")
            if found > wanted.size and not beside:
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
    """Judge an archive that is on disk.

    `verified`: its receipt holds; `tree`: its dataset has files; `incomplete`: less than published; `folders`: names of
    folders in that tree, by which the archives of a dataset are told apart while it is not whole.
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


def plain(file: str) -> str:
    """Return an archive's or a folder's name as it is compared: without suffix, case, and kinds of separators."""
    name = file.rsplit("/", 1)[-1]
    while (stem := ARCHIVE_NAME.sub("", name)) != name:
        name = stem
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def guess_archive(catalog: Catalog, path: str, size: int) -> str:
    """Say which dataset's archive a file is, by its name and published size, or "" where nothing is near."""
    name = re.sub(r"( ?\(\d+\)|[-_ ]copy)(?=\.)", "", Path(path).name, flags=re.IGNORECASE)
    known = [
        (dataset, download.file, download.size)
        for dataset, table in catalog.datasets.items()
        for archive in table.archives
        for download in archive.downloads
    ]
    same = [one for one in known if one[1].rsplit("/", 1)[-1].lower() == name.lower()]
    exact = [one for one in same if one[2] == size]
    if exact or same:
        what = "by name and size" if exact else "by name"
        owners = ", ".join(f"{file} of {dataset}" for dataset, file, _ in (exact or same)[:NAMED])
        wrong = "" if exact or any(one[2] is None for one in same) else ", though not by size"
        return f"{owners} ({what}{wrong})"
    near = _similar(plain(name), {plain(file) for _, file, _ in known})
    owners = ", ".join(f"{file} of {dataset}" for dataset, file, _ in known if near and plain(file) == near)
    return f"perhaps {owners}" if owners else ""


def guess_folder(folders: Mapping[str, str], name: str) -> str:
    """Say whose folder one with such a name might be; `folders` is dataset -> folder."""
    by_name = {plain(folder): dataset for dataset, folder in folders.items()}
    near = _similar(plain(name), by_name)
    return f"perhaps {by_name[near]}, whose folder is {folders[by_name[near]]}" if near else ""


def _similar(name: str, known: Collection[str]) -> str:
    """Return the nearest known name with the same numbers, or "": train-clean-100 is not train-clean-360."""
    numbers = re.findall(r"\d+", name)
    alike = sorted(other for other in known if re.findall(r"\d+", other) == numbers)
    return next(iter(difflib.get_close_matches(name, alike, n=1, cutoff=SIMILAR)), "")


def unclaimed_folders(data: Path, claimed: Collection[Path]) -> list[Path]:
    """Return the folders below `data` that hold no claimed one and lie in none."""
    found: list[Path] = []
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
            found += unclaimed_folders(path, claimed)
        else:
            found.append(path)
    return found
