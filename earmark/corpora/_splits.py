"""Splits by name: a keyword between delimiters, in the names of folders and files of home-made collections.

    train, training / valid, validation, val, dev / test, testing, eval, evaluation     in any case
    between the ends of the name, `-`, `.`, `_`, blanks and digits: my_train_set, dev2, test-00000-of-00004

Source: huggingface/datasets, data_files.py (SPLIT_KEYWORDS), for audiofolder; the same serves Kaldi's data directories.
"""

import re

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
DELIMITERS = re.compile(r"[-._ \d]+")


def split_of_name(name: str) -> str | None:
    """Return the split of the first keyword in the name of a folder or file; None where it has none."""
    words = DELIMITERS.split(name.lower())
    return next((KEYWORDS[word] for word in words if word in KEYWORDS), None)
