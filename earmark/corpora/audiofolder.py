"""A home-made folder of recordings, as Hugging Face's audiofolder reads it. The first of these forms that fits counts:

    metadata.csv, .jsonl or .parquet    in any folder: `file_name` (or one column *_file_name) is a path below that
                                        folder; columns named as labels become labels, others `extra`
    [<split>/]<class>/<name>.wav        two or more class folders at one depth: option `label` (default "sound_class")
    [<split>/]<name>.wav                recordings without a label

If there is a table, names of folders give no label, and a sound file that no table lists is a finding. A file that it
lists several times, with columns `start` and `end` in seconds, has those lines as segments. A column `channel` of A and
B, left and right, or (with the option `first_channel`, 0 or 1) numbers makes one side of a stereo file a recording.
In each form `x.txt` beside `x.wav` is its text, unless a table gives it another; the option `transcripts` names another
ending, such as ".lab", or is false. Beside texts, folders are classes only if the option `label` says of what.
The split comes from a column `split`, or from the names of folders, or, if none is called as a split, from those of
the files, where all of them tell (see `_splits`).
With the option `splits = false` names give no split, so that a class or a speaker may be called dev. An id is the path
without its extension.
Unlike Hugging Face's, this reader gives no split where there is no keyword, counts .m4a and .aac as sound, and reads
neither zips nor the `configs` of README.md.
Source: huggingface/datasets, folder_based_builder.py and data_files.py. Keeps all paths in memory, and the labels of
files that are listed several times.
"""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import cast

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    CONTRADICTION,
    LABEL_WITHOUT_AUDIO,
    REFUSED,
    Finding,
    ReaderOptions,
    Recording,
)
from earmark.corpora._channels import first_channel, on_its_side, side_of, unclear
from earmark.corpora._columns import LABELS, labels_and_split, labels_of, with_language
from earmark.corpora._formats.broken import Reading, during, one_row
from earmark.corpora._formats.csv_files import csv_rows
from earmark.corpora._formats.json_files import json_object
from earmark.corpora._formats.lines import bad_header, bad_line, lines
from earmark.corpora._formats.parquet import columns_of, table_rows
from earmark.corpora._labels import once
from earmark.corpora._match import otherwise, respelled
from earmark.corpora._options import flag, wrong_option
from earmark.corpora._pieces import Piece, Pieces, piece_name, span_of
from earmark.corpora._splits import split_folders_of, splits_of_paths
from earmark.corpora._transcripts import are_transcribed, transcript_ending, with_transcripts
from earmark.corpora._tree import every_file, layout_error
from earmark.errors import CorpusError, near
from earmark.rows import Labels
from earmark.sounds import is_audio

VERSION = 2
OPTIONS = ("label", "splits", "transcripts", "first_channel")

TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
LAYOUTS = (
    "a folder with metadata.csv or metadata.jsonl, or with two or more class folders at one depth (folders called as"
    " splits are none, unless options = { splits = false }), or with sound files alone"
)
KEY = "file_name"
FORM = f"a path in a column {KEY}, or in one column that ends in _{KEY}"
DRIVE = re.compile(r"[A-Za-z]:[/\\]")  # begins an absolute path on Windows

SplitOf = Callable[[str], str | None]


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of the tables' lines, or of their paths."""
    label = options.options.get("label")
    if label is not None and (not isinstance(label, str) or label not in LABELS):
        got = f"{label!r}{near(str(label), LABELS)}"
        raise wrong_option(options, "label", "the name of a label such as emotion", got)
    ending, first = transcript_ending(options), first_channel(options)
    keywords = flag(options, "splits", default=True)
    return once(_recordings(root, options.language, label, keywords, ending, first))


def _recordings(
    root: Path, language: str | None, label: str | None, keywords: bool, ending: str, first: int | None
) -> Iterator[Recording | Finding]:
    files = list(every_file(root))
    sounds = [path for path in files if is_audio(path)]
    tables = [path for path in files if path.rpartition("/")[2] in TABLES]
    # A Kaldi directory would pass as class folders, and its labels would be lost without a word.
    if any(path.rpartition("/")[2] == "wav.scp" for path in files):
        raise layout_error(root, f'{LAYOUTS}; wav.scp is the mark of corpus = "kaldi"')
    split_of: SplitOf = splits_of_paths(sounds) if keywords else lambda path: None
    splits = split_folders_of(sounds) if keywords else {}
    classes = {} if tables else {path: _class_of(path, splits) for path in sounds}
    depths = {len(steps) for steps in classes.values()}
    items: Iterator[Recording | Finding]
    if tables:
        items = _listed(root, tables, set(files), split_of, first)
    elif depths == {0} or (label is None and are_transcribed(sounds, files, ending)):
        items = (_recording(path, split_of(path), {}) for path in sounds)
    elif len(depths - {0}) == 1 and len({steps[-1] for steps in classes.values() if steps}) > 1:
        items = _classed(root, classes, label or "sound_class", split_of)
    else:
        inside = any(path.endswith((".parquet", ".arrow")) for path in files)  # none of them is a metadata.parquet
        mark = '; tables with the sound inside are read by corpus = "tables"' if inside else ""
        raise layout_error(root, f"{LAYOUTS}{mark}")
    for item in with_transcripts(root, items, files, ending):
        if isinstance(item, Recording):
            item = Recording(item.id, item.path, item.split, with_language(item.labels, language))
        yield item


def _recording(path: str, split: str | None, labels: Labels) -> Recording:
    return Recording(_id(path), path, split, labels)


def _id(path: str) -> str:
    return PurePosixPath(path).with_suffix("").as_posix()


def _class_of(path: str, splits: Container[str]) -> list[str]:
    """Return the folders of a path that are no splits; the last one is its class."""
    steps = path.split("/")[:-1]
    return [name for n, name in enumerate(steps) if "/".join(steps[: n + 1]) not in splits]


def _classed(root: Path, classes: dict[str, list[str]], label: str, split_of: SplitOf) -> Iterator[Recording | Finding]:
    for path, steps in classes.items():
        if not steps:
            detail = f"{path}: in no class folder (a folder called as a split is none, unless splits = false)"
            yield Finding(AUDIO_WITHOUT_LABEL, path, detail)
            continue
        try:
            labels = labels_of({label: steps[-1]})
        except ValueError as error:
            raise CorpusError(
                f"{root / path}: wrong class folder: expected {error.args[0]}, got {steps[-1]!r}. Rename the folder, or"
                " name another label in the dataset's options in the catalog."
            ) from error
        yield _recording(path, split_of(path), labels)


def _listed(
    root: Path, tables: list[str], files: set[str], split_of: SplitOf, first: int | None
) -> Iterator[Recording | Finding]:
    """Yield the recordings that the tables list, then a finding for each sound file that none of them lists."""
    endings = {path.rpartition(".")[2] for path in tables}
    if len(endings) > 1:
        raise CorpusError(
            f"{root}: metadata in several forms: expected one of {', '.join(TABLES)}, got {', '.join(tables)}."
            " Keep one form."
        )
    _require_columns(root, tables, endings)
    # The tables are read twice, since the labels of all rows would not fit in memory: only those of files that are
    # listed several times are kept. What is wrong with a row is noted the second time.
    with during(Reading()):
        counts = Counter(row.path for row in _entries(root, tables) if isinstance(row, _Row))
    left = sorted(path for path in files - counts.keys() if is_audio(path))
    same, doubtful = respelled((path for path in counts if path not in files), left)
    on_disk = {wanted: found for found, wanted in same.items()}
    missing: list[Finding] = []
    several = Pieces(root, "if they are its channels, name them in a column `channel`")
    for row in _entries(root, tables):
        if isinstance(row, Finding):
            yield row
            continue
        path = on_disk.get(row.path, row.path)
        if path in files:
            yield from _entry(root, replace(row, path=path), counts[row.path] > 1, several, split_of, first)
        else:
            more = otherwise(doubtful.get(path, ()))
            missing.append(Finding(LABEL_WITHOUT_AUDIO, row.where, f"{_id(path)}: no audio file {path}{more}"))
    yield from several.items()
    for path in left:
        if path not in same:
            yield Finding(AUDIO_WITHOUT_LABEL, path, f"{path}: in no metadata table")
    yield from missing


def _require_columns(root: Path, tables: list[str], endings: set[str]) -> None:
    """Raise CorpusError for tables whose columns differ; each line of .jsonl may have its own."""
    columns: dict[str, set[str]] = {}
    for table in tables if endings != {"jsonl"} else ():
        with during(Reading()):
            row = next(_rows(root / table), None)  # the columns of one row are those of all
        if row is not None:
            _check_columns(root, table, set(row[1]), columns)


def _check_columns(root: Path, table: str, names: set[str], columns: dict[str, set[str]]) -> None:
    """Raise CorpusError for a table without a column of file names, or with other columns than the first table."""
    if table in columns:
        return
    columns[table] = names
    first = next(iter(columns))
    if names != columns[first]:
        expected = f"the columns of {first}, {', '.join(sorted(columns[first]))}"
        raise bad_header(root / table, 1, expected, ", ".join(sorted(names)))
    if _key(names) is None:
        raise bad_header(root / table, 1, FORM, ", ".join(sorted(names)))


def _key(names: Iterable[str]) -> str | None:
    """Return the column of the file names, if there is one and no doubt about it."""
    keys = [name for name in names if name.endswith(f"_{KEY}")]
    return KEY if KEY in names else keys[0] if len(keys) == 1 else None


def _entry(
    root: Path, row: "_Row", repeated: bool, several: Pieces, split_of: SplitOf, first: int | None
) -> Iterator[Recording | Finding]:
    """Yield the recording of a row, or keep it among `several` where its file is listed again."""
    name, named, by_folder = _id(row.path), row.split, split_of(row.path)
    if named and by_folder and named != by_folder:
        yield Finding(
            CONTRADICTION, row.where, f"{name}: {named} in the table, {by_folder} by its path: the table counts"
        )
    if not repeated:
        yield on_its_side(root, Recording(name, row.path, named or by_folder, row.labels), row.where, first)
        return
    labels, side = side_of(row.labels, first)
    if side and (finding := unclear(root, row.path, name, row.where, side)):
        yield finding
        return
    span, labels = _span(labels)
    channel = side.channel if side else None
    piece = Piece(name, name, row.where, named or by_folder, labels, span, channel)
    several.add(row.path, replace(piece, name=piece_name(name, span, labels)) if span else piece)


def _span(labels: Labels) -> tuple[tuple[float, float] | None, Labels]:
    """Take the columns `start` and `end`, in seconds, out of the labels of a row; None where they are no stretch."""
    extra = dict(cast("Labels", labels.get("extra", {})))
    try:
        start, end = (float(cast("str", extra.pop(name))) for name in ("start", "end"))
    except (KeyError, ValueError, TypeError):
        return None, labels
    rest = {name: label for name, label in labels.items() if name != "extra"}
    span = span_of(start, end)
    return (span, rest | ({"extra": extra} if extra else {})) if span else (None, labels)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a table: where it is, the path that it names, its labels and its split."""

    where: str
    path: str
    labels: Labels
    split: str | None


def _entries(root: Path, tables: list[str]) -> Iterator[_Row | Finding]:
    """Yield the rows of all tables, and a finding for each path that is not followed."""
    for table in tables:
        for number, row in _rows(root / table):
            with one_row(root / table, number):
                value, labels, split = _read_row(root / table, number, row)
                where = f"{table}:{number}"
                if reason := _refusal(value):
                    yield Finding(REFUSED, where, f"{value}: {reason}, not a path below the folder of {table}")
                else:
                    yield _Row(where, (PurePosixPath(table).parent / value).as_posix(), labels, split)


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield (line or row number, {column: value}) of a table."""
    if path.suffix == ".csv":
        yield from csv_rows(path, (), distinct=True)
    elif path.suffix == ".jsonl":
        for number, line in lines(path):
            with one_row(path, number):
                yield number, json_object(path, number, line)
    else:
        yield from enumerate(table_rows(path, columns_of(path)), 1)


def _read_row(path: Path, number: int, row: Mapping[str, object]) -> tuple[str, Labels, str | None]:
    """Return a row's file name, labels and split. Raises CorpusError."""
    key = _key(row)
    value = row[key] if key else None
    if not isinstance(value, str) or not value:
        raise bad_line(path, number, f"a path in column {key}" if key else FORM, str(value or "") if key else str(row))
    return value, *labels_and_split(path, number, {name: cell for name, cell in row.items() if name != key})


def _refusal(value: str) -> str:
    """Return why a file name is not followed; an empty string for one that is. Hugging Face refuses the same names."""
    if "://" in value:
        return "a URL"
    if value.startswith(("/", "\\")) or DRIVE.match(value):
        return "an absolute path"
    return "a path with .." if ".." in re.split(r"[/\\]", value) else ""
