"""ESC-50: environmental sounds of five seconds, 50 classes, five folds.

    meta/esc50.csv      filename,fold,target,category,esc10,src_file,take       a header, commas
    audio/<filename>    <fold>-<source>-<take>-<target>.wav

All labels come from the table, none from names. `sound_class` is the published category, `category` one of the five
groups of ten targets, `freesound_id` the Freesound recording that a clip was cut from: clips of one recording are in
one fold. Many clips are padded with silence to five seconds.
Source: karolpiczak/ESC-50, README, version 2. Keeps the table in memory, 2 MB.
"""

from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.cells import FILLED, WHOLE, Check, require_cells
from earmark.corpora._formats.csv_files import csv_rows
from earmark.corpora._formats.lines import Entry
from earmark.corpora._labels import collect, join
from earmark.corpora._tree import audio_files, is_file, layout_error, listing, stem
from earmark.rows import Labels

VERSION = 1

TABLE = "meta/esc50.csv"
COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
CATEGORIES = ("animals", "natural", "human", "interior", "exterior")  # of targets 0 to 9, 10 to 19, ... (README)
TARGETS = 10  # in each category
FLAGS = {"true": True, "false": False}  # in any letter case: a spreadsheet saves them as TRUE and FALSE
CHECKS: dict[str, Check] = {
    "filename": (lambda cell: bool(stem(cell)), "a file name"),
    "fold": WHOLE,
    "target": (
        lambda cell: cell.isdecimal() and int(cell) < TARGETS * len(CATEGORIES),
        f"a whole number from 0 to {TARGETS * len(CATEGORIES) - 1}",
    ),
    "category": FILLED,
    "esc10": (lambda cell: cell.lower() in FLAGS, "True or False"),
    "src_file": FILLED,
    "take": FILLED,
}


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the clips in the order of their paths, without a split."""
    return _recordings(root)


def _recordings(root: Path) -> Iterator[Recording | Finding]:
    folders, _ = listing(root)
    if "audio" not in folders or not is_file(root / TABLE):
        raise layout_error(root, f"a folder audio next to {TABLE}")
    rows, repeated = collect(_rows(root / TABLE))
    yield from repeated
    # No split: the five folds are for cross-validation, and there is no published test set.
    for item in join(audio_files(root, "audio"), rows):
        yield item if isinstance(item, Finding) else Recording(item[0], item[1], None, item[2])


def _rows(path: Path) -> Iterator[Entry[Labels]]:
    for number, row in csv_rows(path, COLUMNS):
        with one_row(path, number):
            require_cells(path, number, row, CHECKS)
            yield (
                stem(row["filename"]),
                f"{TABLE}:{number}",
                {
                    "sound_class": row["category"],
                    "category": CATEGORIES[int(row["target"]) // TARGETS],
                    "fold": int(row["fold"]),
                    "esc10": FLAGS[row["esc10"].lower()],
                    "take": row["take"],
                    "freesound_id": row["src_file"],
                },
            )
