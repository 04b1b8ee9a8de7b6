"""LibriSpeech's chapter files: one line an utterance, `<speaker>-<chapter>-<number> <what is said of it>`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from earmark.corpora._labels import Row, bad_line, lines

TRANSCRIPT = ".trans.txt"

T = TypeVar("T")


def rows(
    root: Path, folder: str, files: list[str], ending: str, parse: Callable[[Path, int, str], T]
) -> Iterator[Row[T]]:
    """Yield the rows of a folder's label files; the id is what stands before the first space."""
    for name in files:
        if name.endswith(ending):
            path = root / folder / name
            for number, line in lines(path):
                key, space, rest = line.partition(" ")
                if not space or key.count("-") != 2:
                    raise bad_line(path, number, "<speaker>-<chapter>-<number>, one space, and text", line)
                yield key, f"{folder}/{name}:{number}", parse(path, number, rest)


def transcripts(root: Path, folder: str, files: list[str]) -> Iterator[Row[str]]:
    """Yield the text of each utterance of a folder, as it stands."""
    return rows(root, folder, files, TRANSCRIPT, lambda path, number, rest: rest)
