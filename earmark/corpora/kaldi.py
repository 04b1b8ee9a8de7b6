"""Kaldi data directories, one or several: tables of an id, a blank or tab, and the rest of the line.

    [[data/]<split>/]wav.scp    <recording> <path>           or a command, which ends with | and is never executed
    segments                    <utterance> <recording> <start s> <end s> [<channel>]    an end of -1 means the end of
                                                             the recording; without this table each is one utterance
    text                        <utterance> [<words>]
    utt2spk, utt2lang, utt2emo  <utterance> <value>          a speaker with the utterance's name is unknown
    utt2dur, reco2dur           <id> <seconds>               used for an end of -1
    spk2gender                  <speaker> <f or m>
    reco2file_and_channel       <recording> <file> <A or B>  telephone stereo: the label `channel`

Kaldi resolves a path against the directory that the recipe runs in, which nothing records: here it is tried below the
data directory, then below each folder above it, never outside the root. The split is a keyword in the directory's name
(see `_splits`). With the table `segments`, a recording has the label `segments`, each with the labels of its utterance;
those that all of them share, except text, are labels of the recording as well.
Source: kaldi, src/doc/data_prep.dox and src/featbin/extract-segments.cc.
Keeps the tables of one directory and all paths in memory.
"""

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    BROKEN_LABEL,
    DUPLICATE,
    LABEL_WITHOUT_AUDIO,
    REFUSED,
    Finding,
    ReaderOptions,
    Recording,
)
from earmark.corpora._columns import language_labels, with_language
from earmark.corpora._emotions import emotion_of_word
from earmark.corpora._formats.lines import Entry, bad_line, lines
from earmark.corpora._labels import collect, gender, once, present
from earmark.corpora._splits import split_of_name
from earmark.corpora._tree import audio_files, child, layout_error, listing
from earmark.rows import Labels

VERSION = 1

WAVES = "wav.scp"
DEEPEST = 2  # folders between the root and a data directory's files: data/train/wav.scp
MAPS = ("text", "utt2spk", "utt2lang", "utt2emo", "utt2dur", "reco2dur", "spk2gender", "reco2file_and_channel")
SEPARATOR = re.compile(r"[ \t]+")  # str.split() would also split at the no-break spaces of a text
OF_A_SEGMENT = ("speaker_id", "text")  # given in each segment even if all share them

Maps = Mapping[str, Mapping[str, tuple[str, str]]]  # file -> id -> where, value
Span = tuple[str, float, float]  # utterance, start and end in seconds


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings of each data directory in the order of its wav.scp, then audio in no wav.scp as findings."""
    return once(_recordings(root, options.language))


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    directories = list(_directories(root, "", DEEPEST))
    if not directories:
        expected = f"a folder with {WAVES}, or with such folders in it, as in data/train/{WAVES}"
        raise layout_error(root, expected)
    taken: dict[str, str] = {}  # path -> recording
    for folder in directories:
        yield from _directory(root, folder, language, taken)
    for path in audio_files(root):
        if path not in taken:
            yield Finding(AUDIO_WITHOUT_LABEL, path, f"{path}: in no {WAVES}")


def _directories(root: Path, below: str, depth: int) -> Iterator[str]:
    """Yield the data directories, sorted; those inside one (Kaldi's split4/1/wav.scp) repeat it and are left out."""
    folders, files = listing(root / below)
    if WAVES in files:
        yield below
    elif depth:
        for name in folders:
            yield from _directories(root, child(below, name), depth - 1)


def _directory(root: Path, folder: str, language: str | None, taken: dict[str, str]) -> Iterator[Recording | Finding]:
    """Yield one data directory's recordings; the audio that it names is added to `taken`."""
    waves, repeated = collect(_table(root, folder, WAVES, needs_value=True))
    yield from repeated
    maps: dict[str, dict[str, tuple[str, str]]] = {}
    for name in MAPS:
        maps[name], repeated = collect(_table(root, folder, name, needs_value=name != "text"))
        yield from repeated
    has_segments = (root / folder / "segments").is_file()
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
            labels = _segments_labels(spans.get(name, []), maps) if has_segments else _utterance_labels(name, maps)
            labels = with_language(labels, language)
            labels["channel"] = SEPARATOR.split(_value(maps, "reco2file_and_channel", name))[-1]
            yield Recording(name, path, split_of_name(folder.rpartition("/")[2]), present(labels))
    known = utterances if has_segments else waves
    for name, (where, _) in maps["text"].items():
        if name not in known:
            yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: not in {'segments' if has_segments else WAVES}")


def _table(root: Path, folder: str, name: str, *, needs_value: bool) -> Iterator[Entry[str]]:
    """Yield the entries of a table of one directory; none if it is missing."""
    path = root / folder / name
    for number, line in lines(path) if path.is_file() else ():
        key, *rest = SEPARATOR.split(line.lstrip(" \t"), maxsplit=1)
        value = rest[0] if rest else ""
        if not key or (needs_value and not value.strip(" \t")):
            raise bad_line(path, number, "an id, a blank or tab, and a value", line)
        yield key, f"{child(folder, name)}:{number}", value if name == "text" else value.strip(" \t")


def _value(maps: Maps, name: str, key: str) -> str:
    return maps[name].get(key, ("", ""))[1]


def _utterance_labels(utterance: str, maps: Maps) -> Labels:
    """Return the labels of an utterance."""
    speaker = _value(maps, "utt2spk", utterance)
    labels: Labels = {}
    if speaker != utterance:
        labels |= {"speaker_id": speaker, "gender": gender(_value(maps, "spk2gender", speaker))}
    labels["text"] = _value(maps, "text", utterance)
    if language := _value(maps, "utt2lang", utterance):
        labels |= language_labels(language)
    if emotion := _value(maps, "utt2emo", utterance):
        labels |= emotion_of_word(emotion)
    return present(labels)


def _segments_labels(spans: Iterable[Span], maps: Maps) -> Labels:
    """Return `segments`, and the labels that all segments of a recording share."""
    utterances = [(start, end, name, _utterance_labels(name, maps)) for name, start, end in spans]
    utterances.sort(key=lambda item: (*item[:2], str(item[3].get("speaker_id", item[2]))))
    first = utterances[0][3] if utterances else {}
    shared = {
        key: value
        for key, value in first.items()
        if key != "text" and all(labels.get(key) == value for *_, labels in utterances)
    }
    segments: list[Labels] = []
    for start, end, name, labels in utterances:
        # A segment has to have a speaker: an unknown one is called as Kaldi calls it, by the utterance's name.
        segment: Labels = {"start": start, "end": end, "speaker_id": name}
        segment |= {key: value for key, value in labels.items() if key in OF_A_SEGMENT or key not in shared}
        segments.append(segment)
    return {**shared, "segments": segments}


def _segments(root: Path, folder: str, maps: Maps) -> Iterator[Entry[tuple[str, float, float | None]]]:
    """Yield each utterance's recording, start and end in seconds; the end is None if no table gives it."""
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


def _end(maps: Maps, utterance: str, recording: str, start: float, end: float) -> float | None:
    """Return the end of a segment in seconds, of which -1 means the end of its recording."""
    if end != -1:
        return end
    if whole := _value(maps, "reco2dur", recording):
        return float(whole)
    length = _value(maps, "utt2dur", utterance)
    return start + float(length) if length else None


def _audio(root: Path, folder: str, name: str, where: str, value: str) -> tuple[str, Finding | None]:
    """Return the path of a recording below the root, or a finding."""
    if value.endswith("|") or value.startswith("|") or value == "-":
        return "", Finding(REFUSED, where, f"{name}: a command, which is not executed: write its output as a file")
    if posixpath.isabs(value):
        # Whoever wrote the path may have come to the dataset through a link, or not.
        candidates = [os.path.relpath(value, base) for base in (root.absolute(), root.resolve())]
    else:
        steps = folder.split("/") if folder else []
        candidates = [posixpath.join(*steps[:count], value) for count in range(len(steps), -1, -1)]
    inside = [path for path in map(posixpath.normpath, candidates) if path.split("/")[0] != ".."]
    if not inside:
        return "", Finding(REFUSED, where, f"{name}: {value} leads out of the dataset's root")
    path = next((path for path in inside if _is_file(root / path)), None)
    if path is None:
        return "", Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: no audio file {value}")
    return path, None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long for the file system, so no file has it
        return False
