"""Splits that a name tells: a keyword between delimiters, as folders of home-made collections are called.

    train, training / valid, validation, val, dev / test, testing, eval, evaluation     in any case
    between the ends of the name, `-`, `.`, `_`, blanks and digits: my_train_set, dev2, test-00000-of-00004

Source: the split keywords of Hugging Face datasets (audiofolder), which also suit Kaldi's data directories.
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
    """Return the split that a folder's or a file's name tells: that of its first keyword, None without one."""
    words = DELIMITERS.split(name.lower())
    return next((KEYWORDS[word] for word in words if word in KEYWORDS), None)
