"""AMI: meetings of four or five people, several microphones, who says what when.

    {amicorpus,wav_db,}/<meeting>/audio/<meeting>.<microphone>.wav      Mix-Headset, Headset-2, Array1-01, ...
    {amicorpus,wav_db,}/beamformed/<meeting>/<meeting>_MDM8.wav
    corpusResources/meetings.xml, words/<meeting>.<agent>.words.xml, segments/<meeting>.<agent>.segments.xml   (_nxt)
    {only_words,word_and_vocalsounds}/rttms/<split>/<meeting>.rttm      BUT's turns, instead of the XML

Option `microphone`: one of MICROPHONES (default "Mix-Headset"); the others' files are not looked at. "Headset" is each
speaker's own: those recordings have `speaker_id`, `gender`, and that speaker's `segments` and `words` alone; the
speaker's `channel` tells whose one is, not the agent's place in the alphabet. The others have everybody's `segments`.
Option `annotations`: "manual" (default, the XML), or "only_words", "word_and_vocalsounds": turns without text; they may
lie below AMI-diarization-setup. rttms/<split>.rttm, which repeats the turns of the single files, is never read.
Option `partition`: "full-corpus-asr" (default), "full-corpus" or "scenario-only"; meetings in none have no split.
A word without times is part of its segment's text, not of `words`. A segment may end after its audio.
Source: AMI 1.6.2, BUTSpeechFIT/AMI-diarization-setup. Holds one meeting's words and all meetings' speakers in memory.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    BROKEN_LABEL,
    DUPLICATE,
    LABEL_WITHOUT_AUDIO,
    WITHDRAWN,
    Finding,
    ReaderOptions,
    Recording,
    check_options,
)
from earmark.corpora._labels import bad_line, gender, once, present
from earmark.corpora._nxt import Speaker, read_segments, read_speakers, read_tokens
from earmark.corpora._rttm import in_order, turns
from earmark.corpora._tree import layout_error, listing, stem
from earmark.errors import CatalogError, CorpusError, near

VERSION = 1

ARRAYS = tuple(f"Array{array}-{number:02d}" for array in (1, 2) for number in range(1, 9))
MICROPHONES = ("Mix-Headset", "Headset", "Mix-Lapel", "MDM8", *ARRAYS)
ANNOTATIONS = ("manual", "only_words", "word_and_vocalsounds")
BASES = ("amicorpus", "wav_db", ".")
SETUPS = (".", "AMI-diarization-setup")  # where the folders of turns lie
MEETING = re.compile(r"(?:ES|IS|TS|EN|IN|IB)\d{4}[a-e]?")
MEETINGS = "corpusResources/meetings.xml"
PARTITIONS = {  # dev and test, by series of meetings; the rest is train
    "full-corpus-asr": (
        "ES2011 IS1008 TS3004 IB4001 IB4002 IB4003 IB4004 IB4010 IB4011",
        "ES2004 IS1009 TS3003 EN2002",
    ),
    "full-corpus": (
        "ES2003 ES2011 IS1008 TS3004 TS3006 IB4001 IB4002 IB4003 IB4004 IB4010 IB4011",
        "ES2004 ES2014 IS1009 TS3003 TS3007 EN2002",
    ),
    "scenario-only": ("ES2003 ES2011 IS1008 TS3004 TS3006", "ES2004 ES2014 IS1009 TS3003 TS3007"),
}
SCENARIO = ("ES", "IS", "TS")
IN_NO_PARTITION = "IB4005"
WITHOUT_AUDIO = frozenset({"IS1002a", "IS1005d", "EN2001c", "EN2009a"})  # never published
WITHOUT_ARRAYS = frozenset({"IS1003b", "IS1007d"})  # nor the beam formed of one


@dataclass
class Annotation:
    """What is known of one meeting; `words` by speaker, and `speakers` are empty where only turns are known."""

    where: str
    speakers: list[Speaker] = field(default_factory=list)
    segments: list[dict[str, Any]] = field(default_factory=list)
    words: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings of one microphone by meeting and path."""
    choices = {"microphone": MICROPHONES, "annotations": ANNOTATIONS, "partition": tuple(PARTITIONS)}
    check_options("ami", options, tuple(choices))
    chosen = {name: options.options.get(name, known[0]) for name, known in choices.items()}
    for name, known in choices.items():
        if chosen[name] not in known:
            raise _wrong(name, f"one of {', '.join(known)}", f"{chosen[name]!r}{near(str(chosen[name]), known)}")
    if chosen["microphone"] == "Headset" and chosen["annotations"] != "manual":
        raise _wrong("annotations", '"manual" with the microphone "Headset" (turns name no headset)', "another")
    return once(_recordings(root, options.language, **chosen), DUPLICATE)


def _wrong(option: str, expected: str, got: str) -> CatalogError:
    return CatalogError(
        f'corpus "ami": wrong option {option}: expected {expected}, got {got}.'
        " Correct the dataset's options in the catalog."
    )


def split_of(meeting: str, partition: str) -> str | None:
    """Return the split of a meeting; None for one that the partition leaves out."""
    series = meeting[:6]
    dev, test = (names.split() for names in PARTITIONS[partition])
    if series == IN_NO_PARTITION or (partition == "scenario-only" and not series.startswith(SCENARIO)):
        return None
    return "dev" if series in dev else "test" if series in test else "train"


def _recordings(
    root: Path, language: str | None, microphone: str, annotations: str, partition: str
) -> Iterator[Recording | Finding]:
    audio = _audio(root, microphone)
    speakers = read_speakers(root / MEETINGS) if annotations == "manual" else {}
    files = _annotation_files(root) if annotations == "manual" else _turn_files(root, annotations)
    for meeting in sorted({*audio, *files, *speakers}):
        if annotations == "manual":
            found = _manual(root, speakers.get(meeting, []), files.get(meeting, []))
        else:
            found = _turns(root, meeting, files.get(meeting, []))
        yield from found.findings
        wanted = {}
        if meeting in files or meeting in speakers:
            wanted = _wanted(meeting, microphone, found)
        for path in audio.get(meeting, []):
            if stem(path) in wanted:
                labels = wanted[stem(path)] | {"session_id": meeting, "language": language}
                yield Recording(stem(path), path, split_of(meeting, partition), present(labels))
            else:
                yield Finding(AUDIO_WITHOUT_LABEL, path, f"{stem(path)}: no annotation with this id")
        there = {stem(path) for path in audio.get(meeting, [])}
        for name in sorted(wanted.keys() - there):
            yield _lost(meeting, name, microphone, found.where)


def _audio(root: Path, microphone: str) -> dict[str, list[str]]:
    """Return the paths of one microphone by meeting, each list sorted."""
    found: dict[str, list[str]] = {}
    places = 0
    pattern = re.compile(rf".+\.{microphone}-\d\.wav" if microphone == "Headset" else rf".+[._]{microphone}\.wav")
    for base in BASES:
        for folder in (base, f"{base}/beamformed"):
            names = listing(root / folder)[0] if folder == "." or (root / folder).is_dir() else []
            for meeting in names:
                if MEETING.fullmatch(meeting):
                    place = f"{folder}/{meeting}" + ("" if folder.endswith("beamformed") else "/audio")
                    places += 1
                    audio = listing(root / place)[1] if (root / place).is_dir() else []
                    paths = [f"{place}/{name}".removeprefix("./") for name in audio if pattern.fullmatch(name)]
                    found.setdefault(meeting, []).extend(paths)
    if not places:
        expected = "a folder <meeting>/audio, as in amicorpus/ES2011a/audio/ES2011a.Mix-Headset.wav"
        raise layout_error(root, expected, [name for names in listing(root) for name in names])
    return found


def _annotation_files(root: Path) -> dict[str, list[str]]:
    """Return the paths of the segments files by meeting."""
    found: dict[str, list[str]] = {}
    for name in listing(root / "segments")[1]:
        if name.endswith(".segments.xml"):
            found.setdefault(name.partition(".")[0], []).append(f"segments/{name}")
    return found


def _turn_files(root: Path, kind: str) -> dict[str, list[str]]:
    """Return the paths of the turns by meeting; those of a whole split, which lie one folder higher, are left out."""
    found: dict[str, list[str]] = {}
    for setup in SETUPS:
        base = f"{setup}/{kind}/rttms".removeprefix("./")
        for split in listing(root / base)[0] if (root / base).is_dir() else ():
            for name in listing(root / base / split)[1]:
                if name.endswith(".rttm"):
                    found.setdefault(name.removesuffix(".rttm"), []).append(f"{base}/{split}/{name}")
    if not found:
        raise CorpusError(
            f"{root}: no {kind}/rttms/<split>/<meeting>.rttm: expected the folder {kind} of AMI-diarization-setup, got"
            " none. Put it there, or name other annotations in the catalog."
        )
    return found


def _manual(root: Path, speakers: list[Speaker], files: list[str]) -> Annotation:
    found = Annotation(MEETINGS, speakers)
    names = {speaker.agent: speaker.name for speaker in speakers}
    seen: set[tuple[Any, ...]] = set()
    for path in files:
        meeting, agent = path.removeprefix("segments/").split(".")[:2]
        if agent not in names:
            found.findings.append(Finding(BROKEN_LABEL, path, f"{meeting}: no speaker {agent} in {MEETINGS}"))
            continue
        tokens = read_tokens(root / f"words/{meeting}.{agent}.words.xml")
        found.words[names[agent]] = [
            {"start": token.start, "end": token.end, "word": token.text}
            for token in tokens
            if token.text and not token.punctuation and token.start is not None and token.end is not None
        ]
        for part in read_segments(root / path, tokens):
            key = (names[agent], part.start, part.end, part.text)
            if key in seen:
                detail = f"{meeting}: {names[agent]} says the same twice at {part.start} s"
                found.findings.append(Finding(DUPLICATE, path, detail))
                continue
            seen.add(key)
            said = present({"start": part.start, "end": part.end, "text": part.text})
            found.segments.append(said | _who(names[agent]))
    found.segments = in_order(found.segments)
    return found


def _turns(root: Path, meeting: str, files: list[str]) -> Annotation:
    found = Annotation(files[0] if files else "")
    for path in files[:1]:
        for number, recording, turn in turns(root / path):
            if recording != meeting:
                raise bad_line(root / path, number, f"turns of {meeting} alone", recording)
            found.segments.append(turn | _who(turn["speaker_id"]))
    found.findings.extend(Finding(DUPLICATE, path, f"{meeting}: read from {files[0]}") for path in files[1:])
    found.segments = in_order(found.segments)
    return found


def _wanted(meeting: str, microphone: str, found: Annotation) -> dict[str, dict[str, Any]]:
    """Return the labels of each recording that the annotation is for, by id."""
    if microphone != "Headset":
        separator = "_" if microphone == "MDM8" else "."
        return {f"{meeting}{separator}{microphone}": {"segments": found.segments}}
    return {
        f"{meeting}.Headset-{speaker.channel}": {
            **_who(speaker.name),
            "segments": [part for part in found.segments if part["speaker_id"] == speaker.name],
            "words": found.words.get(speaker.name, []),
        }
        for speaker in found.speakers
    }


def _who(speaker: str) -> dict[str, str]:
    """Return what a speaker's name says: F or M comes first."""
    return {"speaker_id": speaker} | ({"gender": gender(speaker[0])} if speaker[:1] in ("F", "M") else {})


def _lost(meeting: str, name: str, microphone: str, where: str) -> Finding:
    if meeting in WITHOUT_AUDIO or (meeting in WITHOUT_ARRAYS and microphone in (*ARRAYS, "MDM8")):
        return Finding(WITHDRAWN, where, f"{name}: never published")
    return Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: no audio file with this id")
