"""Guesses by name: what looks like an archive, and which dataset an archive or folder may belong to."""

import difflib
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from earmark.catalog.tables import Catalog

# by name alone: content would cost an open for each of millions of files
ARCHIVE_NAME = re.compile(r"\.(tar|tgz|tbz2?|txz|zip|z\d\d|7z|rar|tar\.(gz|bz2|xz|zst))$", re.IGNORECASE)
NAMED = 3  # names given in a sentence
SIMILAR = 0.8  # difflib's ratio of two names above which one is guessed to be the other


def plain(file: str) -> str:
    """Return the name of an archive or folder for comparison: without suffix, lower case, all separators alike."""
    name = file.rsplit("/", 1)[-1]
    while (stem := ARCHIVE_NAME.sub("", name)) != name:
        name = stem
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def guess_archive(catalog: Catalog, path: str, size: int) -> str:
    """Say which dataset's archive a file is, by its name and published size, or "" where nothing is near."""
    # what browsers and file managers add to a second download or a copy
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
