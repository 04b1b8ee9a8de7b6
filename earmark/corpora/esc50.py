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
from earmark.corpora._formats.csv_files import csv_rows
from earmark.corpora._formats.lines import Entry, bad_line
from earmark.corpora._labels import collect, join
from earmark.corpora._tree import audio_files, is_file, layout_error, listing, stem
from earmark.rows import Labels

VERSION = 1

TABLE = "meta/esc50.csv"
COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
CATEGORIES = ("animals", "natural", "human", "interior", "exterior")  # of targets 0 to 9, 10 to 19, ... (README)
TARGETS = 10  # in each category
FLAGS = {"True": True, "False": False}


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
            target = row["target"]
            if not (row["fold"].isdecimal() and target.isdecimal() and int(target) < TARGETS * len(CATEGORIES)):
                raise bad_line(path, number, "a fold and a target from 0 to 49", f"{row['fold']}, {target}")
            if not all(row[column] for column in COLUMNS) or row["esc10"] not in FLAGS or not stem(row["filename"]):
                raise bad_line(
                    path, number, "a file, a category, True or False for esc10, a source and a take", str(row)
                )
            yield (
                stem(row["filename"]),
                f"{TABLE}:{number}",
                {
                    "sound_class": row["category"],
                    "category": CATEGORIES[int(target) // TARGETS],
                    "fold": int(row["fold"]),
                    "esc10": FLAGS[row["esc10"]],
                    "take": row["take"],
                    "freesound_id": row["src_file"],
                },
            )
