"""UrbanSound8K: sounds of the street of up to four seconds, ten classes, ten folds.

    metadata/UrbanSound8K.csv       slice_file_name,fsID,start,end,salience,fold,classID,class      a header, commas
    audio/fold<fold>/<fsID>-<classID>-<occurrence>-<slice>.wav

Two versions of the table write numbers as `0` or as `0.0`; the README spells its name UrbanSound8k.csv, which is read
too. `source_start` and `source_end` are seconds in the Freesound recording `freesound_id` that the slice was cut from;
`salience` is 1 in the foreground, 2 in the background. Five recordings were cut into slices of two folds: each is a
finding; the slices stay, since results are compared on the published folds.
Source: Zenodo record 1203745, UrbanSound8K_README.txt. Keeps the table in memory, 10 MB.
"""

from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import CONTRADICTION, Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.cells import FILLED, NUMBER, Check, require_cells
from earmark.corpora._formats.csv_files import csv_rows
from earmark.corpora._formats.lines import Entry, bad_line
from earmark.corpora._labels import collect, join
from earmark.corpora._tree import audio_files, layout_error, listing, stem
from earmark.rows import Labels

VERSION = 1

FOLDER, TABLE = "metadata", "UrbanSound8K.csv"
COLUMNS = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
FORM = "a name <fsID>-<classID>-<occurrence>-<slice>.wav"
NUMBERS = ("fsID", "salience", "fold", "classID")
CHECKS: dict[str, Check] = {
    **dict.fromkeys(NUMBERS, (lambda cell: cell.removesuffix(".0").isdecimal(), "a whole number")),
    "start": NUMBER,
    "end": NUMBER,
    "class": FILLED,
}

Slice = tuple[int, Labels]  # fold, labels


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the slices in the order of their paths, without a split."""
    return _recordings(root)


def _recordings(root: Path) -> Iterator[Recording | Finding]:
    folders, _ = listing(root)
    tables = listing(root / FOLDER)[1] if FOLDER in folders else []
    table = next((name for name in tables if name.lower() == TABLE.lower()), None)
    if "audio" not in folders or table is None:
        raise layout_error(root, f"a folder audio next to {FOLDER}/{TABLE}")
    rows, repeated = collect(_rows(root, f"{FOLDER}/{table}"))
    yield from repeated
    yield from _in_two_folds(rows)
    for item in join(audio_files(root, "audio"), rows):
        if isinstance(item, Finding):
            yield item
            continue
        name, path, (fold, labels) = item
        folder = f"audio/fold{fold}"
        if path.rpartition("/")[0] == folder:
            yield Recording(name, path, None, labels)
        else:
            yield Finding(CONTRADICTION, path, f"{name}: belongs into {folder} by {rows[name][0]}")


def _in_two_folds(rows: dict[str, tuple[str, Slice]]) -> Iterator[Finding]:
    """Yield a finding for each source recording with a slice in another fold than its first slice."""
    folds: dict[str, int] = {}
    reported: set[str] = set()
    for name, (where, (fold, _)) in rows.items():
        source = name.partition("-")[0]
        if folds.setdefault(source, fold) != fold and source not in reported:
            reported.add(source)
            yield Finding(CONTRADICTION, where, f"source {source}: in fold {folds[source]} before, in fold {fold} here")


def _rows(root: Path, table: str) -> Iterator[Entry[Slice]]:
    place = root / table
    for number, row in csv_rows(place, COLUMNS):
        with one_row(place, number):
            name, where = stem(row["slice_file_name"]), f"{table}:{number}"
            require_cells(place, number, row, CHECKS)
            source, salience, fold, target = (_whole(row[column]) for column in NUMBERS)
            start_s, end_s = float(row["start"]), float(row["end"])
            if not 0 <= start_s <= end_s:
                got = f"{row['start']} and {row['end']}"
                raise bad_line(place, number, "a start from 0 and an end after it", got)
            if name.split("-")[:2] != [str(source), str(target)]:
                raise bad_line(place, number, f"{FORM} of fsID {source} and classID {target}", name)
            labels: Labels = {"sound_class": row["class"], "fold": fold, "salience": salience}
            labels |= {"source_start": start_s, "source_end": end_s, "freesound_id": str(source)}
            yield name, where, (fold, labels)


def _whole(text: str) -> int:
    """Return a whole number that is written 5 or 5.0. Raises ValueError."""
    return int(text.removesuffix(".0"))
