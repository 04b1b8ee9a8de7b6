"""UrbanSound8K: sounds of the street of up to four seconds, ten classes, ten folds.

    metadata/UrbanSound8K.csv       slice_file_name,fsID,start,end,salience,fold,classID,class      a header, commas
    audio/fold<fold>/<fsID>-<classID>-<occurrence>-<slice>.wav

Numbers are written `0` or `0.0`, as two versions of the table do; the README spells the table UrbanSound8k.csv, and
that is read too. `source_start` and `source_end` are seconds in the Freesound recording `freesound_id` that the slice
was cut from; `salience` is 1 in the foreground, 2 in the background. A recording that was cut into two folds is a
finding; its slices stay, as the published folds are what results are compared on. Source: Zenodo 1203745. Holds the
table in memory, 10 MB.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earmark.corpora import CONTRADICTION, Finding, ReaderOptions, Recording, check_options
from earmark.corpora._csv import csv_rows
from earmark.corpora._labels import Row, bad_line, collect, join
from earmark.corpora._tree import audio_files, layout_error, listing, stem

VERSION = 1

FOLDER, TABLE = "metadata", "UrbanSound8K.csv"
COLUMNS = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
FORM = "numbers in fsID, start, end, salience, fold, classID, and a name <fsID>-<classID>-<occurrence>-<slice>.wav"


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the slices in the order of their paths, without a split."""
    check_options("urbansound8k", options)
    return _recordings(root)


def _recordings(root: Path) -> Iterator[Recording | Finding]:
    folders, files = listing(root)
    tables = listing(root / FOLDER)[1] if FOLDER in folders else []
    table = next((name for name in tables if name.lower() == TABLE.lower()), None)
    if "audio" not in folders or table is None:
        raise layout_error(root, f"a folder audio beside {FOLDER}/{TABLE}", [*folders, *files])
    rows, repeated = collect(_rows(root, f"{FOLDER}/{table}"))
    yield from repeated
    yield from _torn(rows)
    for item in join(audio_files(root, "audio"), rows):
        if isinstance(item, Finding):
            yield item
            continue
        name, path, labels = item
        folder = f"audio/fold{labels['fold']}"
        if path.rpartition("/")[0] == folder:
            yield Recording(name, path, None, labels)
        else:
            yield Finding(CONTRADICTION, path, f"{name}: belongs into {folder} by {rows[name][0]}")


def _torn(rows: dict[str, tuple[str, dict[str, Any]]]) -> Iterator[Finding]:
    """Yield a finding for each source recording with slices in another fold than its first."""
    folds: dict[str, int] = {}
    told: set[str] = set()
    for where, labels in rows.values():
        source, fold = labels["freesound_id"], labels["fold"]
        if folds.setdefault(source, fold) != fold and source not in told:
            told.add(source)
            yield Finding(CONTRADICTION, where, f"source {source}: in fold {folds[source]} before, in fold {fold} here")


def _rows(root: Path, table: str) -> Iterator[Row[dict[str, Any]]]:
    for number, row in csv_rows(root / table, COLUMNS):
        name, where = stem(row["slice_file_name"]), f"{table}:{number}"
        try:
            source, salience, fold, target = (_whole(row[column]) for column in ("fsID", "salience", "fold", "classID"))
            start_s, end_s = float(row["start"]), float(row["end"])
            named = name.split("-")[:2] == [str(source), str(target)]
        except ValueError:
            named = False
        if not named or not row["class"] or not 0 <= start_s <= end_s < float("inf"):
            raise bad_line(root / table, number, FORM, str(row))
        labels = {"sound_class": row["class"], "fold": fold, "salience": salience}
        yield name, where, labels | {"source_start": start_s, "source_end": end_s, "freesound_id": str(source)}


def _whole(text: str) -> int:
    """Return a whole number that is written 5 or 5.0. Raises ValueError for any other."""
    return int(text.removesuffix(".0"))
