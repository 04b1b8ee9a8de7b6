"""Sound files that label files name by a path: relative to a folder that nothing records, or absolute on some machine.

A relative path is tried below the label file's folder, then below each folder above it, never outside the root. An
absolute one has to lead below the root. With the option `prefix`, the folder that absolute paths begin with on the
machine that wrote them stands for the root.
"""

import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from earmark.corpora import LABEL_WITHOUT_AUDIO, REFUSED, Finding, ReaderOptions
from earmark.corpora._options import wrong_option
from earmark.corpora._tree import is_file

OPTION = "prefix"


class PathError(ValueError):
    """A path that leads to no file below the root; `kind` is that of its finding."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind

    def finding(self, name: str, where: str) -> Finding:
        """Return the finding for what a label line calls `name`."""
        return Finding(self.kind, where, f"{name}: {self}")


def path_prefix(options: ReaderOptions) -> str:
    """Return the folder that absolute paths begin with elsewhere, "" for none. Raises CatalogError."""
    value = options.options.get(OPTION, "")
    if not isinstance(value, str) or (value and not posixpath.isabs(value)):
        raise wrong_option(options, OPTION, f'an absolute path, {OPTION} = "/data/mine"', repr(value))
    return posixpath.normpath(value) if value else ""


@dataclass(frozen=True)
class NamedPaths:
    """Finds the files that label files of one tree name."""

    root: Path
    prefix: str = ""
    _seen: dict[tuple[str, str], str] = field(default_factory=dict)

    def find(self, folder: str, value: str) -> str:
        """Return the path of a file, relative to the root, that a label file in a folder names. Raises PathError."""
        key = (folder, value)
        if key not in self._seen:
            self._seen[key] = self._find(folder, value)
        return self._seen[key]

    def _find(self, folder: str, value: str) -> str:
        inside = [path for path in map(posixpath.normpath, self._candidates(folder, value)) if _is_below(path)]
        if not inside:
            raise PathError(REFUSED, f"{value} leads out of the dataset's root")
        for path in inside:
            if is_file(self.root / path):
                return path
        raise PathError(LABEL_WITHOUT_AUDIO, f"no audio file {value}")

    def _candidates(self, folder: str, value: str) -> Iterator[str]:
        if self.prefix and posixpath.normpath(value).startswith(f"{self.prefix}/"):
            yield posixpath.normpath(value)[len(self.prefix) + 1 :]
        elif posixpath.isabs(value):
            # Whoever wrote the path may have come to the dataset through a link, or not.
            yield from (os.path.relpath(value, base) for base in (self.root.absolute(), self.root.resolve()))
        else:
            steps = folder.split("/") if folder else []
            yield from (posixpath.join(*steps[:count], value) for count in range(len(steps), -1, -1))


def _is_below(path: str) -> bool:
    return path.split("/")[0] not in {"..", "."}
