"""Kaldi data directories, one or several: tables of an id, a blank or tab, and the rest of the line.

    [[data/]<split>/]wav.scp    <recording> <path>           or a command, which ends with | and is never executed
    segments                    <utterance> <recording> <start s> <end s> [<channel>]    an end of -1 means the end of
                                                             the recording; without this table each is one utterance
    text                        <utterance> [<words>]
    utt2spk, utt2lang, utt2emo  <utterance> <value>          a speaker with the utterance's name is unknown
    utt2dur, reco2dur           <id> <seconds>               used for an end of -1, and held against the sound
    spk2gender                  <speaker> <f or m>
    reco2file_and_channel       <recording> <file> <A or B>  telephone stereo: the label `channel`

A command that only brings a file into another form names that file (see `_commands`); any other is a finding. One side
of a stereo file is a recording (`call.wav/0.channel`) where a table or a command names its channel: numbers count from
0 in segments, and in reco2file_and_channel from 1, as NIST counts, unless it has a 0. Utterances of one sound are
joined, whatever directories they are in (see `_pieces`).
Kaldi resolves a path against the directory that the recipe runs in, which nothing records: here it is tried below the
data directory, then below each folder above it (see `_named_paths`, and its option `prefix`). The split is a keyword in
the directory's name (see `_splits`). With the table `segments`, a recording has the label `segments`, each with the
labels of its utterance; those that all of them share, except text, are labels of the recording as well.
Source: kaldi, src/doc/data_prep.dox and src/featbin/extract-segments.cc.
Keeps all tables in memory.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    BROKEN_LABEL,
    LABEL_WITHOUT_AUDIO,
    REFUSED,
    Finding,
    ReaderOptions,
    Recording,
)
from earmark.corpora._channels import channel_number
from earmark.corpora._columns import language_labels, with_language
from earmark.corpora._commands import NamedFile, named_file
from earmark.corpora._emotions import emotion_of_word
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.lines import Entry, bad_line, lines
from earmark.corpora._labels import collect, gender, once, present
from earmark.corpora._named_paths import NamedPaths, PathError, path_prefix
from earmark.corpora._pieces import Piece, Pieces, span_of
from earmark.corpora._splits import split_of_name
from earmark.corpora._tree import audio_files, child, is_file, layout_error, listing
from earmark.rows import Labels

VERSION = 2
OPTIONS = ("prefix",)

WAVES = "wav.scp"
SIDES = "reco2file_and_channel"
DEEPEST = 2  # folders between the root and a data directory's files: data/train/wav.scp
MAPS = ("text", "utt2spk", "utt2lang", "utt2emo", "utt2dur", "reco2dur", "spk2gender", SIDES)
SEPARATOR = re.compile(r"[ \t]+")  # str.split() would also split at the no-break spaces of a text
REMEDY = f"if they are its channels, say so in {SIDES}"

Maps = Mapping[str, Mapping[str, tuple[str, str]]]  # file -> id -> where, value


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings of all data directories in the order of their wav.scp, then audio in no wav.scp."""
    return once(_recordings(root, options.language, path_prefix(options)))


def _recordings(root: Path, language: str | None, prefix: str) -> Iterator[Recording | Finding]:
    directories = list(_directories(root, "", DEEPEST))
    if not directories:
        expected = f"a folder with {WAVES}, or with such folders in it, as in data/train/{WAVES}"
        raise layout_error(root, expected)
    pieces, paths = Pieces(root, REMEDY, named_by_side=True), NamedPaths(root, prefix)
    for folder in directories:
        yield from _directory(root, folder, paths, pieces)
    for item in pieces.items():
        if isinstance(item, Recording):
            item = Recording(item.id, item.path, item.split, with_language(item.labels, language))
        yield item
    for path in audio_files(root):
        if path not in pieces.by_path:
            yield Finding(AUDIO_WITHOUT_LABEL, path, f"{path}: in no {WAVES}")


def _directories(root: Path, below: str, depth: int) -> Iterator[str]:
    """Yield the data directories, sorted; those inside one (Kaldi's split4/1/wav.scp) repeat it and are left out."""
    folders, files = listing(root / below)
    if WAVES in files:
        yield below
    elif depth:
        for name in folders:
            yield from _directories(root, child(below, name), depth - 1)


def _directory(root: Path, folder: str, paths: NamedPaths, pieces: Pieces) -> Iterator[Finding]:
    """Add one directory's utterances to the pieces; yield what does not fit in it."""
    waves, repeated = collect(_table(root, folder, WAVES, needs_value=True))
    yield from repeated
    maps: dict[str, dict[str, tuple[str, str]]] = {}
    for name in MAPS:
        maps[name], repeated = collect(_table(root, folder, name, needs_value=name != "text"))
        yield from repeated
    spans: dict[str, list[Piece]] | None = None
    utterances: Mapping[str, object] = waves
    split = split_of_name(folder.rpartition("/")[2])
    if is_file(root / folder / "segments"):
        rows, repeated = collect(_segments(root, folder))
        yield from repeated
        utterances, spans = rows, {}
        for name, (where, row) in rows.items():
            if row[0] not in waves:
                yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: no recording {row[0]} in {WAVES}")
            elif isinstance(piece := _segment(name, where, row, split, maps), Finding):
                yield piece
            else:
                spans.setdefault(row[0], []).append(piece)
    first = 0 if any(SEPARATOR.split(value)[-1] == "0" for _, value in maps[SIDES].values()) else 1
    for name, (where, value) in waves.items():
        source = _audio(paths, folder, name, where, value)
        if isinstance(source, Finding):
            yield source
            continue
        side = SEPARATOR.split(_value(maps, SIDES, name))[-1]
        channel = channel_number(side, first) if source.channel is None else source.channel
        # A recording of which no utterance is known has no labels.
        parts = (spans or {}).get(name) or [_whole(name, where, split, {} if spans is not None else maps)]
        for piece in parts:
            if source.channel is not None or piece.channel is None:
                piece = replace(piece, channel=channel)
            pieces.add(source.path, replace(piece, side=side))
    for name, (where, _) in maps["text"].items():
        if name not in utterances:
            yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: not in {WAVES if spans is None else 'segments'}")


def _table(root: Path, folder: str, name: str, *, needs_value: bool) -> Iterator[Entry[str]]:
    """Yield the entries of a table of one directory; none if it is missing."""
    path = root / folder / name
    for number, line in lines(path) if is_file(path) else ():
        with one_row(path, number):
            key, *rest = SEPARATOR.split(line.lstrip(" \t"), maxsplit=1)
            value = rest[0] if rest else ""
            if not key or (needs_value and not value.strip(" \t")):
                raise bad_line(path, number, "an id, a blank or tab, and a value", line)
            yield key, f"{child(folder, name)}:{number}", value if name == "text" else value.strip(" \t")


def _value(maps: Maps, name: str, key: str) -> str:
    return maps.get(name, {}).get(key, ("", ""))[1]


def _seconds(maps: Maps, name: str, key: str) -> float | None:
    """Return a length in seconds; None where the table has none, or no number."""
    try:
        length = float(_value(maps, name, key))
    except ValueError:
        return None
    return length if 0 < length < math.inf else None


def _labels(utterance: str, maps: Maps) -> Labels:
    """Return the labels of an utterance."""
    speaker = _value(maps, "utt2spk", utterance)
    labels: Labels = {}
    if speaker and speaker != utterance:
        labels |= {"speaker_id": speaker, "gender": gender(_value(maps, "spk2gender", speaker))}
    labels["text"] = _value(maps, "text", utterance)
    if language := _value(maps, "utt2lang", utterance):
        labels |= language_labels(language)
    if emotion := _value(maps, "utt2emo", utterance):
        labels |= emotion_of_word(emotion)
    return present(labels)


def _whole(name: str, where: str, split: str | None, maps: Maps) -> Piece:
    """Return a recording as one utterance, with the length that its tables state."""
    length = _seconds(maps, "utt2dur", name) or _seconds(maps, "reco2dur", name)
    return Piece(name, name, where, split, _labels(name, maps), stated_s=length)


Row = tuple[str, float, float, int | None]  # of segments: recording, start and end in seconds, channel from 0


def _segments(root: Path, folder: str) -> Iterator[Entry[Row]]:
    """Yield each utterance's line of the table of segments."""
    path = root / folder / "segments"
    for name, where, value in _table(root, folder, path.name, needs_value=True):
        number = int(where.rpartition(":")[2])
        fields = SEPARATOR.split(value)
        with one_row(path, number):
            try:
                channel = int(fields[3]) if len(fields) == 4 else None
                if not 3 <= len(fields) <= 4:
                    raise ValueError
                yield name, where, (fields[0], float(fields[1]), float(fields[2]), channel)
            except ValueError as error:
                expected = "utterance, recording, start and end in seconds (-1: to the end), perhaps a channel from 0"
                raise bad_line(path, number, expected, f"{name} {value}") from error


def _segment(name: str, where: str, row: Row, split: str | None, maps: Maps) -> Piece | Finding:
    """Return an utterance that is a stretch of a recording, or why it is none."""
    recording, start, end, channel = row
    if end == -1:  # which means the end of its recording
        whole, length = _seconds(maps, "reco2dur", recording), _seconds(maps, "utt2dur", name)
        if whole is None and length is None:
            detail = f"{name}: it ends with its recording (-1), and neither reco2dur nor utt2dur says where that is"
            return Finding(BROKEN_LABEL, where, detail)
        end = whole if whole is not None else start + (length or 0.0)
    span = span_of(start, end)
    if span is None or (channel is not None and channel < 0):
        detail = f"{name}: expected a start from 0 s, an end after it and a channel from 0, got {row[1:]}"
        return Finding(BROKEN_LABEL, where, detail)
    return Piece(name, recording, where, split, _labels(name, maps), span, channel)


def _audio(paths: NamedPaths, folder: str, name: str, where: str, value: str) -> NamedFile | Finding:
    """Return the file of a recording below the root, and its channel if a command takes one, or a finding."""
    source = NamedFile(value)
    if value.endswith("|") or value.startswith("|") or value == "-":
        try:
            source = named_file(value)
        except ValueError as error:
            return Finding(REFUSED, where, f"{name}: {error}")
    try:
        return replace(source, path=paths.find(folder, source.path))
    except PathError as error:
        return error.finding(name, where)
