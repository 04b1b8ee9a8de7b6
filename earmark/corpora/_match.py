"""Names in label files and names on the disk that are the same but for their spelling.

A Mac decomposes accents (NFD), Windows separates with backslashes, and file systems and spreadsheets change the case of
letters. Where one name is left over on either side and only these differ, they are meant for each other; where there
are several, nothing is guessed.
"""

import unicodedata
from collections.abc import Iterable


def folded(name: str) -> str:
    """Return a name without what spelling may change: NFC, `/` between folders, lower case."""
    plain = name if name.isascii() else unicodedata.normalize("NFC", name)
    return unicodedata.normalize("NFC", plain.replace("\\", "/").lower())


def respelled(wanted: Iterable[str], on_disk: Iterable[str]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Match names that labels want with names on the disk, neither of which has a match of its own spelling.

    Return {name on the disk: name wanted} of those without doubt, and {name wanted: names on the disk} of others.
    """
    wanted_by_fold: dict[str, list[str]] = {}
    for name in wanted:
        wanted_by_fold.setdefault(folded(name), []).append(name)
    found_by_fold: dict[str, list[str]] = {}
    for name in on_disk if wanted_by_fold else ():
        fold = folded(name)
        if fold in wanted_by_fold:
            found_by_fold.setdefault(fold, []).append(name)
    matched: dict[str, str] = {}
    doubtful: dict[str, list[str]] = {}
    for fold, found in found_by_fold.items():
        if len(found) == len(wanted_by_fold[fold]) == 1:
            matched[found[0]] = wanted_by_fold[fold][0]
        else:
            doubtful |= dict.fromkeys(wanted_by_fold[fold], sorted(found))
    return matched, doubtful


def otherwise(names: Iterable[str]) -> str:
    """Return the end of a finding's detail: which files are spelled otherwise; an empty string without any."""
    listed = ", ".join(names)
    return f"; spelled otherwise: {listed}" if listed else ""
