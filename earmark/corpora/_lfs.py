"""Git LFS pointers: small text files that stand in a checkout where the sound would be, until `git lfs pull` runs.

Source: the specification of git-lfs, docs/spec.md: the first line is the version, a pointer is below 1024 bytes.
"""

from pathlib import Path

from earmark.corpora import INCOMPLETE, Finding

FIRST_BYTES = b"version https://git-lfs.github.com/spec/"
LARGEST_BYTES = 1024


def is_pointer(path: Path) -> bool:
    """Say whether a file is a pointer: one stat, and a read where it is small."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return False
        with path.open("rb") as file:
            return file.read(len(FIRST_BYTES)) == FIRST_BYTES
    except OSError:  # scan says what is wrong with it
        return False


def pointer_finding(path: str, name: str) -> Finding:
    """Return the finding for a pointer at a POSIX path."""
    return Finding(INCOMPLETE, path, f"{name}: a Git LFS pointer, no sound: fetch the files with git lfs pull")
