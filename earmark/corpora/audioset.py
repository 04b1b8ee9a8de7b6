"""AudioSet: ten-second excerpts of YouTube videos with their sound events; no copy has all of them.

    {eval,balanced_train,unbalanced_train}_segments.csv      # comments, then <id>, <start>, <end>, "<mid>,<mid>"
    class_labels_indices.csv                                 index,mid,display_name       a header, commas
    audios/{eval,balanced_train,...}_segments/.../Y<id>.wav  PANNs: a Y before the id
    {eval,balanced,unbalanced}/<id>_<...>.wav                icefall, and downloaders: <id>_<start>_<end>.wav
    audio/{eval,bal_train,unbal_train}/<id>.flac             agkphysics/AudioSet, the tars of its old revisions
    data/{eval,bal_train,unbal_train}/<number>.parquet       agkphysics/AudioSet: video_id, audio, labels, human_labels

The tables are in the root or in `metadata`, `csv` or `data`. An id has eleven characters, letter case counts, and `-`
and `_` may be anywhere in it, first of all included (392 ids of eval begin with `-`, 308 with `_`). Split (eval is
test) and `subset` come from the table that lists an id, whatever folder the file is in; for Parquet they come from the
folder. Videos vanish, so rows without audio are counted in one finding for each table. Labels are incomplete: a sound
that is not labelled may be heard. `source_start` and `source_end`, seconds in the video, are absent for Parquet;
`sound_events`, the names, are absent for audio files without the table of classes.
Source: the AudioSet project's download page; qiuqiangkong/audioset_tagging_cnn, README; k2-fsa/icefall, recipe AT;
agkphysics/AudioSet, card. Keeps in memory the id and path of each audio file, 0.25 kB (0.5 GB for a copy of all
2 million), or the id of each row in Parquet, 0.1 kB; never a table.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    BROKEN_LABEL,
    LABEL_WITHOUT_AUDIO,
    REPEATED_ID,
    Finding,
    ReaderOptions,
    Recording,
)
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.cells import NUMBER, Check, require_cells
from earmark.corpora._formats.csv_files import csv_rows
from earmark.corpora._formats.lines import bad_line
from earmark.corpora._formats.parquet import audio_rows
from earmark.corpora._labels import present
from earmark.corpora._tree import every_file, is_file, layout_error, stem
from earmark.errors import CorpusError
from earmark.rows import Labels
from earmark.sounds import is_audio

VERSION = 1

TABLES = {  # table -> split, subset
    "eval_segments.csv": ("test", "eval"),
    "balanced_train_segments.csv": ("train", "balanced"),
    "unbalanced_train_segments.csv": ("train", "unbalanced"),
}
FOLDERS = {"eval": ("test", "eval"), "bal_train": ("train", "balanced"), "unbal_train": ("train", "unbalanced")}
CLASSES = "class_labels_indices.csv"
PLACES = ("", "metadata/", "csv/", "data/")  # of tables, the first that has one counts
COLUMNS = ("id", "start", "end", "labels")
PARQUET = ".parquet"
PARQUET_COLUMNS = ("video_id", "labels", "human_labels")
# PANNs put a Y before each id. Without it an id of eleven characters ends the name or is followed by "_". An id itself
# may begin with Y or contain "_", so counting characters is the only safe way: icefall cuts ids at the first "_".
NAME = re.compile(r"(?:Y([\w-]{11})|([\w-]{11}))(?:_.*)?", re.ASCII)
ID = re.compile(r"[\w-]{11}", re.ASCII)
CHECKS: dict[str, Check] = {
    "id": (lambda cell: bool(ID.fullmatch(cell)), "an id of eleven characters"),
    "start": NUMBER,
    "end": NUMBER,
    "labels": (lambda cell: all(cell.split(",")), "mid,mid"),
}


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings of Parquet files in their order, then those of audio files in the order of the tables."""
    return _recordings(root)


def _recordings(root: Path) -> Iterator[Recording | Finding]:
    # A later place overwrites an earlier one, so in reverse order the first place counts.
    tables = {name: place + name for name in TABLES for place in reversed(PLACES) if is_file(root / place / name)}
    audio: dict[str, str | None] = {}  # id -> path, None once its recording was yielded
    parquet: list[str] = []
    findings: list[Finding] = []
    for path in every_file(root):
        if path.endswith(PARQUET):
            parquet.append(path)
        elif not is_audio(path):
            continue
        elif (match := NAME.fullmatch(stem(path))) is None:
            findings.append(Finding(AUDIO_WITHOUT_LABEL, path, f"{stem(path)}: no YouTube id in the name"))
        elif audio.setdefault(name := match[1] or match[2], path) != path:
            findings.append(Finding(REPEATED_ID, path, f"{name}: {audio[name]} counts"))
    if not tables and not parquet:
        raise layout_error(root, f"a folder with {' or '.join(TABLES)}, or Parquet files")
    yield from findings
    seen: set[str] = set()
    for path in parquet:
        yield from _parquet(root, path, seen)
    classes = _classes(root)
    for name, table in tables.items():
        yield from _segments(root, table, TABLES[name], classes, audio, seen)
    for name, left in audio.items():
        if left is not None:
            yield Finding(AUDIO_WITHOUT_LABEL, left, f"{name}: in no table of segments")


def _segments(
    root: Path,
    table: str,
    part: tuple[str, str],
    classes: dict[str, str],
    audio: dict[str, str | None],
    seen: set[str],
) -> Iterator[Recording | Finding]:
    """Yield the recordings of one table whose audio is here, and a finding that counts its rows without audio.

    `seen` are the ids in Parquet files.
    """
    split, subset = part
    rows, missing, first = 0, 0, ""
    place = root / table
    for number, row in csv_rows(place, COLUMNS, headed=False, comment="#", spaced=True):
        with one_row(place, number):
            rows += 1
            name = row["id"]
            labels = _labels(place, number, row, classes) | {"subset": subset, "group_id": name}
            if name not in audio:
                if name not in seen:
                    missing, first = missing + 1, first or name
                continue
            path, audio[name] = audio[name], None
            if path is None:
                yield Finding(REPEATED_ID, f"{table}:{number}", f"{name}: a segment of this video came before")
            elif name in seen:
                yield Finding(REPEATED_ID, path, f"{name}: in a Parquet file too, which counts")
            else:
                yield Recording(name, path, split, labels)
    if missing:
        detail = f"{missing:,} of {rows:,} segments have no audio here, such as {first}"
        yield Finding(LABEL_WITHOUT_AUDIO, table, detail)


def _labels(path: Path, number: int, row: dict[str, str], classes: dict[str, str]) -> Labels:
    """Return the labels of a row.

    Raises CorpusError for a row of another form, and for a class that the table of classes lacks.
    """
    require_cells(path, number, row, CHECKS)
    ids, start_s, end_s = row["labels"].split(","), float(row["start"]), float(row["end"])
    if not 0 <= start_s <= end_s:
        raise bad_line(path, number, "a start from 0 and an end after it", f"{row['start']} and {row['end']}")
    unknown = [mid for mid in ids if mid not in classes]
    if classes and unknown:
        raise bad_line(path, number, f"classes of {CLASSES}", unknown[0])
    names = [classes[mid] for mid in ids] if classes else []
    return present({"sound_events": names, "sound_event_ids": ids, "source_start": start_s, "source_end": end_s})


def _parquet(root: Path, path: str, seen: set[str]) -> Iterator[Recording | Finding]:
    """Yield the rows of one Parquet file, and add their ids to `seen`."""
    folder = path.split("/")[-2] if "/" in path else ""
    if folder not in FOLDERS:
        raise CorpusError(
            f"{root / path}: expected a folder {', '.join(FOLDERS)} around it, got {folder or 'none'}: which split it"
            " belongs to cannot be told. Move it."
        )
    split, subset = FOLDERS[folder]
    for number, (audio, row) in enumerate(audio_rows(root / path, PARQUET_COLUMNS)):
        name, ids, names = str(row["video_id"] or ""), _texts(row["labels"]), _texts(row["human_labels"])
        where = f"{path}/{number}.row"
        if not name or len(ids) != len(names):
            yield Finding(BROKEN_LABEL, where, f"{name}: {len(ids)} labels and {len(names)} human_labels")
        elif name in seen:
            yield Finding(REPEATED_ID, where, f"{name}: a row with this id came before")
        elif not audio["has_bytes"]:
            yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: a row without audio")
        else:
            seen.add(name)
            labels: Labels = {"sound_events": names, "sound_event_ids": ids, "subset": subset, "group_id": name}
            yield Recording(name, where, split, present(labels))


def _texts(cell: object) -> list[str]:
    return [str(text) for text in cell] if isinstance(cell, list) else []


def _classes(root: Path) -> dict[str, str]:
    """Return {mid: display name}, empty without the table of classes."""
    path = next((root / place / CLASSES for place in PLACES if is_file(root / place / CLASSES)), None)
    if path is None:
        return {}
    classes = {}
    for number, row in csv_rows(path, ("index", "mid", "display_name")):
        with one_row(path, number):
            if not row["mid"].strip() or not row["display_name"].strip():
                raise bad_line(path, number, "a class with its mid and name", ",".join(row.values()))
            classes[row["mid"]] = row["display_name"]
    return classes
