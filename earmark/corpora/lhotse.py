"""Lhotse manifests: recordings with supervisions, or cuts, a JSON object a line; in any folder.

    [<name>_]recordings[_<split>].jsonl[.gz]       id, duration, sources: {type, channels, source}, channel_ids
    [<name>_]supervisions[_<split>].jsonl[.gz]     id, recording_id, start, duration, channel, text, language, speaker,
                                                   gender, custom, alignment: {"word": [[word, start, duration], ...]}
    [<name>_]cuts[_<split>].jsonl[.gz]             id, start, duration, channel, recording, supervisions; read where
                                                   there are no recordings, since cuts are made of them

A `source` is a path that is relative to nobody knows what, or absolute (see `_named_paths`, and its option `prefix`),
or a command that only brings a file into another form (see `_commands`). A supervision that covers its recording has
labels of the whole, any other is a segment. A supervision of one channel of several is of that side, which is a
recording of its own; one of several channels is of their mean. `custom` has labels by the names of columns (see
`_columns`), the rest is `extra`. The split is a keyword (see `_splits`) in a manifest's name or its folder's.
Supervisions of one sound file in several manifests are joined (see `_pieces`).
What changes the sound (transforms, mixed cuts) and sound that is no file (an address, Shar's tar files) are findings.
Source: lhotse-speech/lhotse, docs/corpus.rst, docs/cuts.rst, lhotse/audio/{recording,source}.py, lhotse/supervision.py.
Keeps all manifests in memory.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import cast

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
from earmark.corpora._columns import labels_of, language_labels, with_language
from earmark.corpora._commands import named_file
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.json_lines import json_lines
from earmark.corpora._labels import once, present
from earmark.corpora._named_paths import NamedPaths, PathError, path_prefix
from earmark.corpora._pieces import Piece, Pieces, span_of
from earmark.corpora._splits import split_of_name
from earmark.corpora._tree import every_file, layout_error
from earmark.rates import RATE_HZ
from earmark.rows import JSON, Label, Labels
from earmark.sounds import is_audio

VERSION = 1
OPTIONS = ("prefix",)

MANIFEST = re.compile(r"(?:.*[-_.])?(recordings|supervisions|cuts)(?:[-_.].*)?\.jsonl(?:\.gz)?")
SHAR = re.compile(r"recording\.\d+\.tar(?:\.gz)?|recording\.\d+\.jsonl(?:\.gz)?")
COVERS_S = 0.01  # a supervision that leaves out less covers its recording
REMEDY = "if they are its channels, name them in the supervisions"
ALIGNMENTS = {"word": "words", "phone": "phonemes"}  # Lhotse's kind -> label, whose spans have its singular
KNOWN = {"text": "text", "speaker": "speaker_id", "gender": "gender"}  # of a supervision -> label

Object = Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class _Sound:
    """A recording: the files of its channels, by channel: path, the channel in that file, and how many that has."""

    name: str
    where: str
    split: str | None
    duration_s: float
    files: Mapping[int, tuple[str, int | None]]

    def paths(self) -> list[str]:
        """Return its files in the order of their channels."""
        return list(dict.fromkeys(path for path, _ in self.files.values()))


@dataclass
class _Found:
    """What the manifests say, as far as it was read."""

    root: Path
    paths: NamedPaths
    pieces: Pieces
    sounds: dict[str, _Sound] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)  # recordings that a finding tells of
    heard: set[str] = field(default_factory=set)  # paths of sound that some line names


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of the manifests, then sound that none of them names."""
    return once(_recordings(root, options.language, path_prefix(options)))


def _recordings(root: Path, language: str | None, prefix: str) -> Iterator[Recording | Finding]:
    files = list(every_file(root))
    found = _Found(root, NamedPaths(root, prefix), Pieces(root, REMEDY))
    manifests: dict[str, list[str]] = {"recordings": [], "supervisions": [], "cuts": []}
    shar = {path.rpartition("/")[0] for path in files if SHAR.fullmatch(path.rpartition("/")[2])}
    for path in files:
        folder, _, name = path.rpartition("/")
        if (match := MANIFEST.fullmatch(name)) and folder not in shar:
            manifests[match[1]].append(path)
    if not any(manifests.values()) and not shar:
        raise layout_error(root, "a folder with *recordings*.jsonl.gz and *supervisions*.jsonl.gz, or *cuts*.jsonl.gz")
    for folder in sorted(shar):
        yield Finding(REFUSED, folder or ".", "Lhotse Shar, sound in tar files: write it as files with Lhotse")
    yield from _read(found, manifests)
    for item in found.pieces.items():
        if isinstance(item, Recording):
            item = Recording(item.id, item.path, item.split, with_language(item.labels, language))
        yield item
    for path in files:
        if is_audio(path) and path not in found.heard:
            yield Finding(AUDIO_WITHOUT_LABEL, path, f"{path}: in no manifest")


def _read(found: _Found, manifests: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Read the recordings and their supervisions, or the cuts."""
    for manifest in manifests["recordings"]:
        for number, row in json_lines(found.root / manifest):
            with one_row(found.root / manifest, number):
                yield from _sound(found, row, manifest, f"{manifest}:{number}")
    for manifest in manifests["supervisions"]:
        for number, row in json_lines(found.root / manifest):
            with one_row(found.root / manifest, number):
                yield from _supervision(found, row, f"{manifest}:{number}", 0.0, _split(manifest))
    for manifest in manifests["cuts"]:
        if manifests["recordings"]:
            yield Finding(
                DUPLICATE, manifest, f"{manifest}: cuts of the recordings that other manifests list, not read"
            )
            continue
        for number, row in json_lines(found.root / manifest):
            with one_row(found.root / manifest, number):
                yield from _cut(found, row, manifest, f"{manifest}:{number}")
    for sound in found.sounds.values():
        for path in sound.paths():
            if path not in found.pieces.by_path:  # all that is known of it is that it is there
                name = _name(sound, path)
                found.pieces.add(path, Piece(name, name, sound.where, sound.split, {}))


def _name(sound: _Sound, path: str) -> str:
    """Return the id of one file of a recording: its own, unless there are several."""
    return sound.name if len(sound.paths()) == 1 else f"{sound.name}/{PurePosixPath(path).stem}"


def _split(manifest: str) -> str | None:
    folder, _, name = manifest.rpartition("/")
    return split_of_name(name.removesuffix(".gz").removesuffix(".jsonl")) or split_of_name(folder.rpartition("/")[2])


def _sound(found: _Found, row: Object, manifest: str, where: str) -> Iterator[Finding]:
    """Keep a recording by its id, or yield why it is none."""
    name = str(row["id"])
    if name in found.sounds or name in found.lost:
        return  # each cut repeats its recording; what differs in a second manifest is told by its supervisions
    try:
        for transform in cast("Sequence[Object]", row.get("transforms") or ()):
            _require_same_sound(transform)
        channels: dict[int, tuple[str, int | None]] = {}
        for source in cast("Sequence[Object]", row["sources"]):
            numbers = cast("Sequence[int]", source["channels"])
            path, taken = _source(found, source, manifest.rpartition("/")[0])
            found.heard.add(path)
            for at, number in enumerate(numbers):
                channels[int(number)] = (path, taken if taken is not None else at if len(numbers) > 1 else None)
    except PathError as error:
        found.lost.add(name)
        yield error.finding(name, where)
        return
    found.sounds[name] = _Sound(name, where, _split(manifest), _seconds(row, "duration"), channels)


def _require_same_sound(transform: Object) -> None:
    """Raise PathError for a transform of a recording, unless it is a sample rate that loses nothing here."""
    kind, arguments = str(transform.get("name")), cast("Object", transform.get("kwargs") or {})
    rate = arguments.get("target_sampling_rate")
    if not (kind == "Resample" and isinstance(rate, int) and rate >= RATE_HZ):
        raise PathError(REFUSED, f"the transform {kind} changes the sound: write the recording as a file")


def _source(found: _Found, source: Object, folder: str) -> tuple[str, int | None]:
    """Return the path of a source's file, and its channel if a command takes one. Raises PathError."""
    kind, value = source["type"], str(source["source"])
    if kind == "command":
        try:
            named = named_file(f"{value.rstrip().removesuffix('|')} |")
        except ValueError as error:
            raise PathError(REFUSED, str(error)) from error
        return found.paths.find(folder, named.path), named.channel
    if kind != "file":
        raise PathError(REFUSED, f"its sound is of the type {kind}, not a file")
    return found.paths.find(folder, value), None


def _supervision(
    found: _Found, row: Object, where: str, begin_s: float, split: str | None, recording: str = ""
) -> Iterator[Finding]:
    """Add a supervision to the pieces of its sound, or yield why it has none; times count from `begin_s`."""
    name, recording = str(row["id"]), recording or str(row["recording_id"])
    sound = found.sounds.get(recording)
    if sound is None:
        if recording not in found.lost:
            yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: no recording {recording} in the manifests")
        return
    start = begin_s + _seconds(row, "start")
    span = span_of(start, start + _seconds(row, "duration"))
    if span is None:
        got = f"{row['start']} and {row['duration']}"
        yield Finding(BROKEN_LABEL, where, f"{name}: expected a start and a duration in the sound, got {got}")
        return
    covers = span[0] <= COVERS_S and abs(span[1] - sound.duration_s) <= COVERS_S
    named = row.get("channel", 0)
    channels = [int(cast("int", number)) for number in (named if isinstance(named, list) else [named])]
    if missing := [number for number in channels if number not in sound.files]:
        yield Finding(BROKEN_LABEL, where, f"{name}: no channel {missing[0]} in the recording {recording}")
        return
    labels = _labels(row, begin_s)
    for path in dict.fromkeys(sound.files[number][0] for number in channels):
        inside = [sound.files[number][1] for number in channels if sound.files[number][0] == path]
        piece = Piece(
            name=name,
            recording=_name(sound, path),
            where=where,
            split=split or sound.split,
            labels=labels,
            span=None if covers else span,
            channel=inside[0] if len(inside) == 1 else None,  # of several: an array, which hears the same
            stated_s=sound.duration_s if covers else None,
        )
        found.pieces.add(path, piece)


def _labels(row: Object, begin_s: float) -> Labels:
    """Return what a supervision says; times of its alignment count from `begin_s`. Raises ValueError."""
    custom = cast("Object", row.get("custom") or {})
    known = {label: row.get(key) for key, label in KNOWN.items()}
    language = row.get("language")
    labels: Labels = {**labels_of({**custom, **{key: value for key, value in known.items() if value is not None}})}
    if isinstance(language, str) and language:
        labels |= language_labels(language)
    alignments = cast("Mapping[str, Sequence[Sequence[JSON]]]", row.get("alignment") or {})
    for kind, label in ALIGNMENTS.items():
        spans: list[Label] = []
        for symbol, start, duration, *_ in alignments.get(kind, ()):
            span = span_of(
                begin_s + float(cast("float", start)),
                begin_s + float(cast("float", start)) + float(cast("float", duration)),
            )
            if span and isinstance(symbol, str) and symbol:
                spans.append({"start": span[0], "end": span[1], label.removesuffix("s"): symbol})
        labels |= present({label: spans})
    return labels


def _cut(found: _Found, row: Object, manifest: str, where: str) -> Iterator[Finding]:
    """Keep a cut's recording, and add its supervisions to the pieces of it, or yield why it has none."""
    name, kind, recording = str(row.get("id")), row.get("type", "MonoCut"), row.get("recording")
    if kind not in ("MonoCut", "MultiCut"):
        yield Finding(REFUSED, where, f"{name}: a {kind}, which is no stretch of one recording")
        return
    if not isinstance(recording, dict):
        yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: a cut without a recording")
        return
    yield from _sound(found, recording, manifest, where)
    for supervision in cast("Sequence[Object]", row.get("supervisions") or ()):
        yield from _supervision(
            found, supervision, where, _seconds(row, "start"), _split(manifest), str(recording["id"])
        )


def _seconds(row: Object, key: str) -> float:
    """Return a number of seconds. Raises ValueError, TypeError or KeyError."""
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected seconds as {key}, got {value!r}")
    return float(value)
