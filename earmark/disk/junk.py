"""Names that are no part of any corpus: left in folders by file managers, archivers, downloaders and this project."""

SCRATCH_NAME = ".earmark-tmp"  # our own folder of unfinished files, in the cache and on other volumes
WITHDRAWN_NAME = ".earmark-withdrawn"  # our own folder of members that a newer archive no longer has
OWNER_NAME = ".earmark-owner"  # our own mark of whose a folder is
RESERVED = frozenset({SCRATCH_NAME, WITHDRAWN_NAME, OWNER_NAME})  # nothing else may be called so

# Neither watched nor counted nor walked into: a Mac writes .DS_Store whenever somebody looks into a folder, and that
# must not make a dataset look edited.
UNSEEN = RESERVED | {".DS_Store"}
APPLE_DOUBLE = "._"  # a Mac's metadata of the file of that name, on volumes and in archives that cannot store it
FILE_MANAGERS = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
TRASH = ".Trash"  # of a Mac, and with a user's number of Linux: what is in it was deleted
# Folders and files of other programs, some of which hold copies of sound: snapshots, caches, version control.
_HIDDEN = (
    ".AppleDouble .DocumentRevisions-V100 .Spotlight-V100 .TemporaryItems .apdisk .bzr .cache .config .directory"
    " .dropbox .dropbox.cache .dvc .fseventsd .git .hg .huggingface .idea .ipynb_checkpoints .local .mypy_cache"
    " .pytest_cache .recycle .ruff_cache .snapshot .snapshots .stfolder .stversions .svn .thumbnails .tox .venv"
    " .vscode .zfs @eaDir #recycle #snapshot"
)
HIDDEN = frozenset(_HIDDEN.split())
LOCKS = (".lock", ".incomplete")  # what huggingface_hub appends while it downloads
UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".incomplete", ".aria2")  # what downloaders append


def is_counted(name: str) -> bool:
    """Say whether a file is one of those that a publisher counts.

    The count goes into receipts and is compared with later ones, so it leaves out less than a reader does.
    """
    return name not in UNSEEN and not name.startswith(APPLE_DOUBLE)


def is_junk(name: str) -> bool:
    """Return whether a name is left behind by another program, so that readers pass over it without a word.

    A leading dot alone is none: "...baby one more time.wav" is a recording.
    """
    return (
        name.startswith((APPLE_DOUBLE, TRASH))
        or name in UNSEEN
        or name in FILE_MANAGERS
        or name in HIDDEN
        or name.endswith(LOCKS)
    )
