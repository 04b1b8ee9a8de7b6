"""Kaldi data directories, one or several: tables of an id, a blank or tab, and the rest of the line.

    [[data/]<split>/]wav.scp    <recording> <path>           or a command, which ends with | and is never executed
    segments                    <utterance> <recording> <start s> <end s> [<channel>]    an end of -1 is that of the
                                                             recording; without this table a recording is an utterance
    text                        <utterance> [<words>]
    utt2spk, utt2lang, utt2emo  <utterance> <value>          a speaker called like the utterance is unknown
    utt2dur, reco2dur           <id> <seconds>               read where an end is -1
    spk2gender                  <speaker> <f or m>
    reco2file_and_channel       <recording> <file> <A or B>  telephone stereo: the label `channel`

A path is tried below the data directory, then below each folder above it, never outside the root. Split: a keyword in
the directory's name (see `_splits`). With `segments`, a recording has the label `segments`, each with what is known of
its utterance; what all of them share, except text, is the recording's as well.
Source: kaldi src/doc/data_prep.dox, src/featbin/extract-segments.cc. Holds the tables of one directory and all paths.
"""

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    BROKEN_LABEL,
    DUPLICATE,
    LABEL_WITHOUT_AUDIO,
    REFUSED,
    Finding,
    ReaderOptions,
    Recording,
    check_options,
)
from earmark.corpora._columns import language_labels
from earmark.corpora._emotions import emotion_of_word
from earmark.corpora._labels import Row, bad_line, collect, gender, lines, once, present
from earmark.corpora._splits import split_of_name
from earmark.corpora._tree import audio_files, layout_error, listing

VERSION = 1

WAVES = "wav.scp"
DEEPEST = 2  # folders between the root and a data directory's files: data/train/wav.scp
MAPS = ("text", "utt2spk", "utt2lang", "utt2emo", "utt2dur", "reco2dur", "spk2gender", "reco2file_and_channel")
SEPARATOR = re.compile(r"[ \t]+")
OF_A_SEGMENT = ("speaker_id", "text")  # stay with each segment though all share them

Maps = Mapping[str, Mapping[str, tuple[str, str]]]  # file -> id -> where, value
Span = tuple[str, float, float]  # utterance, start and end in seconds


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings of each data directory in the order of its wav.scp, then the sound that none names."""
    check_options("kaldi", options)
    return once(_recordings(root, options.language))


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    directories = list(_directories(root, "", DEEPEST))
    if not directories:
        expected = f"a folder with {WAVES}, or one that holds such folders, as in data/train/{WAVES}"
        raise layout_error(root, expected, [name for names in listing(root) for name in names])
    taken: dict[str, str] = {}
    for folder in directories:
        yield from _directory(root, folder, language, taken)
    for path in audio_files(root):
        if path not in taken:
            yield Finding(AUDIO_WITHOUT_LABEL, path, f"{path}: in no {WAVES}")


def _directories(root: Path, below: str, depth: int) -> Iterator[str]:
    """Yield the data directories, sorted; what lies in one (Kaldi's split4/1/wav.scp) repeats it."""
    folders, files = listing(root / below)
    if WAVES in files:
        yield below
    elif depth:
        for name in folders:
            yield from _directories(root, posixpath.join(below, name), depth - 1)


def _directory(root: Path, folder: str, language: str | None, taken: dict[str, str]) -> Iterator[Recording | Finding]:
    """Yield one data directory's recordings; `taken` gains the audio that it names."""
    waves, repeated = collect(_table(root, folder, WAVES, needs_value=True))
    yield from repeated
    maps: dict[str, dict[str, tuple[str, str]]] = {}
    for name in MAPS:
        maps[name], repeated = collect(_table(root, folder, name, needs_value=name != "text"))
        yield from repeated
    cut = (root / folder / "segments").is_file()
    utterances, repeated = collect(_segments(root, folder, maps))
    yield from repeated
    spans: dict[str, list[Span]] = {}
    for name, (where, (recording, start, end)) in utterances.items():
        if recording not in waves:
            yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: no recording {recording} in {WAVES}")
        elif end is None:
            detail = f"{name}: it ends with its recording (-1), and neither reco2dur nor utt2dur says where that is"
            yield Finding(BROKEN_LABEL, where, detail)
        else:
            spans.setdefault(recording, []).append((name, start, end))
    for name, (where, value) in waves.items():
        path, finding = _audio(root, folder, name, where, value)
        if finding:
            yield finding
        elif path in taken:
            yield Finding(DUPLICATE, where, f"{name}: {path} is the recording {taken[path]} already")
        else:
            taken[path] = name
            labels = _cut_labels(spans.get(name, []), maps) if cut else _said(name, maps)
            if not {"language", "language_name"} & labels.keys():
                labels["language"] = language
            labels["channel"] = SEPARATOR.split(_value(maps, "reco2file_and_channel", name))[-1]
            yield Recording(name, path, split_of_name(folder.rpartition("/")[2]), present(labels))
    known = utterances if cut else waves
    for name, (where, _) in maps["text"].items():
        if name not in known:
            yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: not in {'segments' if cut else WAVES}")


def _table(root: Path, folder: str, name: str, *, needs_value: bool) -> Iterator[Row[str]]:
    """Yield the rows of a table of one directory; none where it is missing."""
    path = root / folder / name
    for number, line in lines(path) if path.is_file() else ():
        key, *rest = SEPARATOR.split(line.lstrip(" \t"), maxsplit=1)
        value = rest[0] if rest else ""
        if not key or (needs_value and not value.strip(" \t")):
            raise bad_line(path, number, "an id, a blank or tab, and a value", line)
        yield key, f"{posixpath.join(folder, name)}:{number}", value if name == "text" else value.strip(" \t")


def _value(maps: Maps, name: str, key: str) -> str:
    return maps[name].get(key, ("", ""))[1]


def _said(utterance: str, maps: Maps) -> dict[str, Any]:
    """Return the labels of an utterance."""
    speaker = _value(maps, "utt2spk", utterance)
    labels: dict[str, Any] = {}
    if speaker != utterance:
        labels |= {"speaker_id": speaker, "gender": gender(_value(maps, "spk2gender", speaker))}
    labels["text"] = _value(maps, "text", utterance)
    if language := _value(maps, "utt2lang", utterance):
        labels |= language_labels(language)
    if emotion := _value(maps, "utt2emo", utterance):
        labels |= emotion_of_word(emotion)
    return present(labels)


def _cut_labels(spans: Iterable[Span], maps: Maps) -> dict[str, Any]:
    """Return `segments`, and the labels that all segments of a recording share."""
    said = [(start, end, name, _said(name, maps)) for name, start, end in spans]
    said.sort(key=lambda item: (*item[:2], item[3].get("speaker_id", item[2])))
    first = said[0][3] if said else {}
    shared = {
        key: value
        for key, value in first.items()
        if key != "text" and all(labels.get(key) == value for *_, labels in said)
    }
    segments = [
        {"start": start, "end": end, "speaker_id": name}  # Kaldi calls an unknown speaker like the utterance
        | {key: value for key, value in labels.items() if key in OF_A_SEGMENT or key not in shared}
        for start, end, name, labels in said
    ]
    return {**shared, "segments": segments}


def _segments(root: Path, folder: str, maps: Maps) -> Iterator[Row[tuple[str, float, float | None]]]:
    """Yield each utterance's recording, start and end in seconds; None for an end that nothing tells."""
    for name, where, value in _table(root, folder, "segments", needs_value=True):
        fields = SEPARATOR.split(value)
        try:
            recording, start = fields[0], float(fields[1])
            end = _end(maps, name, recording, start, float(fields[2]))
            if len(fields) > 4 or not (0 <= start < float("inf") and (end is None or start <= end < float("inf"))):
                raise ValueError
        except (ValueError, IndexError) as error:
            expected = "utterance, recording, start and end in seconds (-1: to the end)"
            number = int(where.rpartition(":")[2])
            raise bad_line(root / folder / "segments", number, expected, f"{name} {value}") from error
        yield name, where, (recording, start, end)


def _end(maps: Maps, utterance: str, recording: str, start: float, said: float) -> float | None:
    """Return the end of a segment in seconds, where -1 is the end of its recording."""
    if said != -1:
        return said
    if whole := _value(maps, "reco2dur", recording):
        return float(whole)
    length = _value(maps, "utt2dur", utterance)
    return start + float(length) if length else None


def _audio(root: Path, folder: str, name: str, where: str, value: str) -> tuple[str, Finding | None]:
    """Return the path of a recording below the root, or a finding."""
    if value.endswith("|") or value.startswith("|") or value == "-":
        return "", Finding(REFUSED, where, f"{name}: a command, which is not executed: write its output as a file")
    if posixpath.isabs(value):
        candidates = [os.path.relpath(value, base) for base in (root.absolute(), root.resolve())]
    else:
        steps = folder.split("/") if folder else []
        candidates = [posixpath.join(*steps[:count], value) for count in range(len(steps), -1, -1)]
    inside = [path for path in map(posixpath.normpath, candidates) if path.split("/")[0] != ".."]
    if not inside:
        return "", Finding(REFUSED, where, f"{name}: {value} leads out of the dataset's root")
    found = next((path for path in inside if _is_file(root / path)), None)
    if found is None:
        return "", Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: no audio file {value}")
    return found, None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for the file system: nothing can bear it
        return False
