"""Git LFS pointers: small text files that a checkout has in place of the sound until `git lfs pull` is run.

A plain zip download of CREMA-D, and an archive of DNS Challenge 1, contain pointers that are named .wav.

Source: the specification of git-lfs, docs/spec.md: the first line is the version, a pointer is below 1024 bytes.
"""

import stat
from pathlib import Path

from earmark.corpora import INCOMPLETE, Finding

FIRST_BYTES = b"version https://git-lfs.github.com/spec/"
LARGEST_BYTES = 1024  # so a larger file need not be opened


def is_pointer(path: Path) -> bool:
    """Return whether a file is a pointer. Costs one stat, and a read where the file is small."""
    try:
        status = path.stat()
        if status.st_size > LARGEST_BYTES or not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            return False
        with path.open("rb") as file:
            return file.read(len(FIRST_BYTES)) == FIRST_BYTES
    except OSError:  # scan stats every file and reports this one
        return False


def pointer_finding(path: str, name: str) -> Finding:
    """Return the finding for a pointer at a POSIX path."""
    return Finding(INCOMPLETE, path, f"{name}: a Git LFS pointer, no sound: fetch the files with git lfs pull")
