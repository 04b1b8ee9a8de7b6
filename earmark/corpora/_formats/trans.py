"""LibriSpeech's chapter files: an utterance on each line, `<speaker>-<chapter>-<number> <text>`.

Source: OpenSLR 12, README.TXT; Libri-Light's fine-tuning set and the alignments of CorentinJ use the same form.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.lines import Entry, bad_line, lines

TRANSCRIPT = ".trans.txt"

T = TypeVar("T")


def chapter_entries(
    root: Path, folder: str, files: list[str], ending: str, parse: Callable[[Path, int, str], T]
) -> Iterator[Entry[T]]:
    """Yield the entries of a folder's files with an ending, their values parsed from what follows the id and a space.

    A line without such an id is broken and passed over.
    """
    for name in files:
        if name.endswith(ending):
            path = root / folder / name
            for number, line in lines(path):
                with one_row(path, number):
                    key, space, rest = line.partition(" ")
                    if not space or key.count("-") != 2:
                        raise bad_line(path, number, "<speaker>-<chapter>-<number>, one space, and text", line)
                    yield key, f"{folder}/{name}:{number}", parse(path, number, rest)


def transcripts(root: Path, folder: str, files: list[str]) -> Iterator[Entry[str]]:
    """Yield the text of each utterance of a folder, unchanged."""
    return chapter_entries(root, folder, files, TRANSCRIPT, lambda path, number, rest: rest)
