"""Entries of a folder: which of them lead to a folder, and which in a circle."""

import errno
import os
from pathlib import Path

NOWHERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}  # what following a link may end in


def is_folder_entry(entry: os.DirEntry[str]) -> bool:
    """Say whether an entry is a folder, or a link to one; a link that leads nowhere or in a circle is none."""
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno in NOWHERE:
            return False
        raise


def leads_back(entry: os.DirEntry[str]) -> bool:
    """Say whether an entry is a link to a folder that it is in itself: who follows it never comes to an end."""
    if not entry.is_symlink() or not is_folder_entry(entry):
        return False
    return Path(os.path.realpath(Path(entry.path).parent)).is_relative_to(os.path.realpath(entry.path))
