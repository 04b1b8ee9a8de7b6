"""Splits by name: a keyword between delimiters, in the names of folders and files of home-made collections.

    train, training / valid, validation, val, dev / test, testing, eval, evaluation     in any case
    between the ends of the name, `-`, `.`, `_`, blanks and digits: my_train_set, dev2, test-00000-of-00004

One name is no evidence: "train station.wav" among interviews, or a folder "train" among those of other vehicles, is no
split. Names are taken for splits where all names beside them have a keyword, or, of folders, where they name two splits
at least. In file names the keyword has to be the same word of each, counted from the first or from the last, unless
they are numbered among others (train-00000-of-00002).

Source: huggingface/datasets, data_files.py (SPLIT_KEYWORDS), for audiofolder; the same serves Kaldi's data directories.
"""

import re
from collections.abc import Callable, Collection, Iterable

KEYWORDS = {
    "train": "train",
    "training": "train",
    "valid": "dev",
    "validation": "dev",
    "val": "dev",
    "dev": "dev",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
SHARD = re.compile(r"(?:.*-)?\w+-\d{5}-of-\d{5}(?:-[0-9a-f]+)?")  # no accident: x-train-00000-of-00002
DELIMITERS = re.compile(r"[-._ \d]+")


def split_of_name(name: str) -> str | None:
    """Return the split of the first keyword in the name of a folder or file; None where it has none."""
    words = DELIMITERS.split(name.lower())
    return next((KEYWORDS[word] for word in words if word in KEYWORDS), None)


def splits_of_paths(paths: Iterable[str]) -> Callable[[str], str | None]:
    """Return the function that gives the split of each of these paths: by its folders if any tell, else by its name."""
    paths = list(paths)
    folders = split_folders_of(paths)
    if folders:
        return lambda path: next((folders[above] for above in _above(path) if above in folders), None)
    names = _consistent({path: path.rpartition("/")[2].rpartition(".")[0] or path for path in paths})
    return lambda path: names.get(path) or (split_of_shard(path.rpartition("/")[2]))


def split_of_shard(name: str) -> str | None:
    """Return the split in the name of a file that is numbered among others, as Hugging Face's datasets name theirs."""
    return split_of_name(name) if SHARD.fullmatch(name.rpartition(".")[0]) else None


def split_folders_of(paths: Iterable[str]) -> dict[str, str]:
    """Return {folder: split} of the folders above some paths that are named as splits."""
    beside: dict[str, dict[str, str | None]] = {}  # folder -> the folders in it, each with the split in its name
    for folder in {above for path in paths for above in _above(path)}:
        around, _, name = folder.rpartition("/")
        beside.setdefault(around, {})[folder] = split_of_name(name)
    named: dict[str, str] = {}
    for folders in beside.values():
        of_split = {folder: split for folder, split in folders.items() if split}
        if len(of_split) == len(folders) or len(set(of_split.values())) > 1:
            named |= of_split
    return named


def _above(path: str) -> list[str]:
    """Return the folders above a path, the outermost first."""
    steps = path.split("/")[:-1]
    return ["/".join(steps[: n + 1]) for n in range(len(steps))]


def _consistent(names: dict[str, str]) -> dict[str, str]:
    """Return {path: split} where every name has its keyword in one place; nothing otherwise."""
    words = {path: [word for word in DELIMITERS.split(name.lower()) if word] for path, name in names.items()}
    for place in _places(words.values()):
        splits = {path: KEYWORDS.get(some[place]) for path, some in words.items()}
        if all(splits.values()):
            return {path: split for path, split in splits.items() if split}
    return {}


def _places(words: Collection[list[str]]) -> list[int]:
    """Return the places of words that all names have, from the first on and then from the last on."""
    fewest = min(map(len, words), default=0)
    return [*range(fewest), *range(-1, -fewest - 1, -1)]
