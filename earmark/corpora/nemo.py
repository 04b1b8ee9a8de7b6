"""NeMo manifests: a JSON object a line for each utterance, with its sound file and its text; in any folder.

    [<folder>/]<name>.json, .jsonl    {"audio_filepath": <path>, "duration": <s>, "offset": <s>, "text": ..., ...}

A file is a manifest if its first line has `audio_filepath`: a path that is relative to the manifest's folder, or
absolute (see `_named_paths`, and its option `prefix`). `duration` counts from `offset`, or from the beginning: an
utterance that is a part of its file, or one of several, is a segment of it; a whole file's duration is held against
the sound. `lang` or `source_lang` is the language, `speaker` the speaker; where `target_lang` is another language, the
text is a translation. Other keys named as labels become labels, the rest `extra` (see `_columns`). A column `channel`
of A and B, left and right, or (with the option `first_channel`, 0 or 1) numbers makes one side a recording.
The split comes from a key `split`, or from a keyword (see `_splits`) in the manifest's name or its folder's. An id is
the sound file's path without extension. Utterances of one file in several manifests are joined (see `_pieces`).
Tarred manifests, whose sound is in tar files, and lists of files, one a channel, are findings.
Source: NVIDIA-NeMo/NeMo, docs/source/asr/datasets.rst and collections/common/parts/preprocessing/manifest.py.
Keeps all lines in memory.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import cast

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    BROKEN_LABEL,
    REFUSED,
    Finding,
    ReaderOptions,
    Recording,
)
from earmark.corpora._channels import first_channel, side_of, unclear
from earmark.corpora._columns import labels_and_split, with_language
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.json_lines import first_object, json_lines
from earmark.corpora._formats.lines import bad_line
from earmark.corpora._labels import once
from earmark.corpora._named_paths import NamedPaths, PathError, path_prefix
from earmark.corpora._pieces import Piece, Pieces, piece_name, span_of
from earmark.corpora._splits import split_of_name
from earmark.corpora._tree import every_file, layout_error
from earmark.rows import JSON
from earmark.sounds import is_audio

VERSION = 1
OPTIONS = ("prefix", "first_channel")

KEY = "audio_filepath"
SUFFIXES = (".json", ".jsonl")
TARRED = ("shard_id", "_shard_id")
RENAMED = {"lang": "language", "source_lang": "language", "speaker": "speaker_id"}  # NeMo's key -> label
OF_THE_LINE = {KEY, "duration", "offset", "orig_sr"}
NO_TEXT = "-"  # in manifests for diarization, where the text is in another file
REMEDY = "if they are its channels, name them in `channel`"


@dataclass(frozen=True, slots=True)
class _Line:
    """One line: its labels as a piece, where in its file it begins, and how long it is."""

    piece: Piece
    offset_s: float | None
    duration_s: float | None


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order in which the manifests name them, then sound that none of them names."""
    return once(_recordings(root, options.language, path_prefix(options), first_channel(options)))


def _recordings(root: Path, language: str | None, prefix: str, first: int | None) -> Iterator[Recording | Finding]:
    files = list(every_file(root))
    manifests = [path for path in files if path.endswith(SUFFIXES) and KEY in first_object(root / path)]
    if not manifests:
        expected = f'a folder with manifests, {" or ".join(f"*{end}" for end in SUFFIXES)}, of lines with "{KEY}"'
        raise layout_error(root, expected)
    by_path: dict[str, list[_Line]] = {}
    paths = NamedPaths(root, prefix)
    for manifest in manifests:
        if any(key in first_object(root / manifest) for key in TARRED):
            detail = f"{manifest}: a tarred manifest: extract its tar files, and let a manifest name what was in them"
            yield Finding(REFUSED, manifest, detail)
            continue
        yield from _manifest(root, manifest, paths, first, by_path)
    pieces = Pieces(root, REMEDY)
    for path, lines in by_path.items():
        yield from _add(path, lines, pieces)
    for item in pieces.items():
        if isinstance(item, Recording):
            item = Recording(item.id, item.path, item.split, with_language(item.labels, language))
        yield item
    for path in files:
        if is_audio(path) and path not in by_path:
            yield Finding(AUDIO_WITHOUT_LABEL, path, f"{path}: in no manifest")


def _manifest(
    root: Path, manifest: str, paths: NamedPaths, first: int | None, by_path: dict[str, list[_Line]]
) -> Iterator[Finding]:
    """Add the lines of one manifest by the sound file that they name; yield what does not fit."""
    folder, _, name = manifest.rpartition("/")
    by_name = split_of_name(PurePosixPath(name).stem) or split_of_name(folder.rpartition("/")[2])
    for number, row in json_lines(root / manifest):
        with one_row(root / manifest, number):
            where, value = f"{manifest}:{number}", row.get(KEY)
            if isinstance(value, list):
                yield Finding(REFUSED, where, f"{value}: a file for each channel, not one file")
                continue
            if not isinstance(value, str) or not value:
                raise bad_line(root / manifest, number, f"a path as {KEY}", str(value))
            try:
                path = paths.find(folder, value)
            except PathError as error:
                yield error.finding(PurePosixPath(value).with_suffix("").as_posix(), where)
                continue
            lines = by_path.setdefault(path, [])
            labels, split = labels_and_split(root / manifest, number, _columns_of(row))
            labels, side = side_of(labels, first)
            name = PurePosixPath(path).with_suffix("").as_posix()
            if side and (finding := unclear(root, path, name, where, side)):
                yield finding
                continue
            piece = Piece(name, name, where, split or by_name, labels, channel=side.channel if side else None)
            for key in ("offset", "duration"):
                if not _is_seconds(row.get(key)):
                    raise bad_line(root / manifest, number, f"seconds as {key}", str(row[key]))
            lines.append(_Line(piece, _seconds(row, "offset"), _seconds(row, "duration")))


def _columns_of(row: Mapping[str, JSON]) -> dict[str, object]:
    """Return what a line says of its utterance, by the names that labels have here."""
    columns: dict[str, object] = {}
    for key, value in row.items():
        if key not in OF_THE_LINE:
            label = RENAMED.get(key, key)
            columns[key if label in row and label != key else label] = value
    source, target = columns.get("language"), row.get("target_lang")
    if source and target and source != target and "translation" not in columns and "text" in columns:
        columns["translation"] = columns.pop("text")
    if columns.get("text") == NO_TEXT:
        del columns["text"]
    return columns


def _is_seconds(value: JSON) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _seconds(row: Mapping[str, JSON], key: str) -> float | None:
    return None if row.get(key) is None else float(cast("float", row[key]))


def _add(path: str, lines: list[_Line], pieces: Pieces) -> Iterator[Finding]:
    """Add the lines of one sound file: as its segments, or as labels of the whole."""
    lengths = {line.duration_s for line in lines}
    if not any(line.offset_s for line in lines) and len(lengths) == 1:
        for line in lines:
            pieces.add(path, replace(line.piece, stated_s=line.duration_s or None))
        return
    for line in lines:
        start = line.offset_s or 0.0
        span = None if line.duration_s is None else span_of(start, start + line.duration_s)
        if span is None:
            got = f"offset {line.offset_s} and duration {line.duration_s}"
            detail = f"{line.piece.name}: expected an offset and a duration in the sound, got {got}"
            yield Finding(BROKEN_LABEL, line.piece.where, detail)
        else:
            name = piece_name(line.piece.recording, span, line.piece.labels)
            pieces.add(path, replace(line.piece, name=name, span=span))
