"""The folders of a run, as they were when it began.

A volume that is unmounted leaves an empty folder at its place, and whoever makes folders anew would go on there, on
another disk, with exit code 0. So each is looked at again before anything is put into it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from earmark.errors import AbsentError

MOUNTS = Path("/proc/self/mountinfo")
Place = tuple[int, int]  # device and inode: a bind mount has the device of what it hides, and another inode


@dataclass(frozen=True)
class Volumes:
    """Folders with the device and inode that each had; of one that was missing, those of the nearest one above it."""

    seen: dict[Path, Place]

    @classmethod
    def of(cls, folders: Iterable[Path]) -> "Volumes":
        """Look at some folders."""
        seen: dict[Path, Place] = {}
        for folder in folders:
            for path in (folder, *folder.parents):
                place = _place(path)
                if place is not None:
                    seen[path] = place
                    break
        return cls(seen)

    def require(self, path: Path) -> None:
        """Look again at the folder that a path is in. Raises AbsentError if it is another one by now."""
        for folder in (path, *path.parents):
            if folder in self.seen:
                self._require(folder)
                return

    def require_all(self) -> None:
        """Look again at every folder. Raises AbsentError."""
        for folder in self.seen:
            self._require(folder)

    def _require(self, folder: Path) -> None:
        if _place(folder) != self.seen[folder]:
            raise AbsentError(
                f"{folder}: not the folder that it was when this run began: its volume was unmounted, or it was"
                " replaced. Nothing more is written there: mount it, and run again."
            )


NO_VOLUMES = Volumes({})


def _place(folder: Path) -> Place | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def mounted_below(*folders: Path) -> list[Path]:
    """Return what is mounted in the trees of some folders, by the paths that these have.

    Format: proc(5), mountinfo; elsewhere than on Linux none is known.
    """
    try:
        lines = MOUNTS.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []
    # blanks and the like are written as a backslash and three octal digits
    places = [Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), line.split(" ")[4])) for line in lines]
    trees = {folder: folder.resolve() for folder in folders}
    return sorted(
        folder / place.relative_to(tree)
        for folder, tree in trees.items()
        for place in places
        if place != tree and place.is_relative_to(tree)
    )
