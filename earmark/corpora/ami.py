"""AMI: meetings of four or five people, several microphones, who says what when.

    {amicorpus,wav_db,}/<meeting>/audio/<meeting>.<microphone>.wav      Mix-Headset, Headset-2, Array1-01, ...
    {amicorpus,wav_db,}/beamformed/<meeting>/<meeting>_MDM8.wav
    corpusResources/meetings.xml, words/<meeting>.<agent>.words.xml, segments/<meeting>.<agent>.segments.xml
    {only_words,word_and_vocalsounds}/rttms/<split>/<meeting>.rttm      BUT's turns, instead of the XML

Option `microphone`: one of MICROPHONES (default "Mix-Headset"); files of other microphones are not looked at. "Headset"
is each speaker's own microphone: those recordings have `speaker_id`, `gender`, and the `segments` and `words` of that
speaker alone; all other recordings have the `segments` of everybody. Whose headset a file is follows from the speaker's
`channel` in meetings.xml: agent A does not always wear Headset-0.
Option `annotations`: "manual" (default, the XML), or "only_words" or "word_and_vocalsounds" for turns without text,
which may be in the folder AMI-diarization-setup. rttms/<split>.rttm repeats the turns of the single files, and is never
read. Option `partition`: "full-corpus-asr" (default), "full-corpus" or "scenario-only"; a meeting outside the chosen
partition has no split.
A word without times is part of its segment's text, but not of `words`. A segment may end after its audio does.
Source: AMI's manual annotations 1.6.2; the corpus's page on datasets for the partitions;
BUTSpeechFIT/AMI-diarization-setup. Keeps one meeting's words and all meetings' speakers in memory.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    DOUBTFUL_LABEL,
    DUPLICATE,
    LABEL_WITHOUT_AUDIO,
    WITHDRAWN,
    Finding,
    ReaderOptions,
    Recording,
)
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.lines import bad_line
from earmark.corpora._formats.nxt import Speaker, read_segments, read_speakers, read_tokens
from earmark.corpora._formats.rttm import Turn, in_order, turns
from earmark.corpora._labels import gender, once, present
from earmark.corpora._options import choice, wrong_option
from earmark.corpora._tree import is_folder, layout_error, listing, stem
from earmark.errors import CorpusError
from earmark.rows import DraftLabels, Labels

VERSION = 1
OPTIONS = ("microphone", "annotations", "partition")

ARRAYS = tuple(f"Array{array}-{number:02d}" for array in (1, 2) for number in range(1, 9))
MICROPHONES = ("Mix-Headset", "Headset", "Mix-Lapel", "MDM8", *ARRAYS)
ANNOTATIONS = ("manual", "only_words", "word_and_vocalsounds")
BASES = ("amicorpus", "wav_db", ".")  # as the download script, lhotse, and a bare copy have it
SETUPS = (".", "AMI-diarization-setup")  # folders that may contain the folders of turns
MEETING = re.compile(r"(?:ES|IS|TS|EN|IN|IB)\d{4}[a-e]?")  # site, S for a scenario, number
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
IN_NO_PARTITION = "IB4005"  # of 171 meetings, the partitions list 170
WITHOUT_AUDIO = frozenset({"IS1002a", "IS1005d", "EN2001c", "EN2009a"})  # never published
WITHOUT_ARRAYS = frozenset({"IS1003b", "IS1007d"})  # nor the beam formed of one


@dataclass
class Annotation:
    """The annotation of one meeting; `words` by speaker. Turns alone give neither `words` nor `speakers`."""

    where: str
    speakers: list[Speaker] = field(default_factory=list)
    segments: list[tuple[Turn, Labels]] = field(default_factory=list)
    words: dict[str, list[Labels]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings of one microphone by meeting and path."""
    microphone = choice(options, "microphone", MICROPHONES)
    annotations = choice(options, "annotations", ANNOTATIONS)
    partition = choice(options, "partition", tuple(PARTITIONS))
    if microphone == "Headset" and annotations != "manual":
        expected = '"manual" with the microphone "Headset", since turns name no headset'
        raise wrong_option(options, "annotations", expected, repr(annotations))
    return once(_recordings(root, options.language, microphone, annotations, partition), DUPLICATE)


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
        annotation: Annotation | None = None
        with one_row(root / min(files.get(meeting, [MEETINGS]))):  # a meeting with half of its turns would be wrong
            if annotations == "manual":
                annotation = _manual(root, speakers.get(meeting, []), files.get(meeting, []))
            else:
                annotation = _turns(root, meeting, files.get(meeting, []))
        if annotation is None:
            continue
        yield from annotation.findings
        annotated: dict[str, DraftLabels] = {}
        if meeting in files or meeting in speakers:
            annotated = _annotated(meeting, microphone, annotation)
        for path in audio.get(meeting, []):
            if stem(path) in annotated:
                labels = annotated[stem(path)] | {"session_id": meeting, "language": language}
                yield Recording(stem(path), path, split_of(meeting, partition), present(labels))
            else:
                yield Finding(AUDIO_WITHOUT_LABEL, path, f"{stem(path)}: no annotation with this id")
        for name in sorted(annotated.keys() - {stem(path) for path in audio.get(meeting, [])}):
            yield _lost(meeting, name, microphone, annotation.where)


def _audio(root: Path, microphone: str) -> dict[str, list[str]]:
    """Return the paths of one microphone's files by meeting, each list sorted."""
    by_meeting: dict[str, list[str]] = {}
    pattern = re.compile(rf".+\.{microphone}-\d\.wav" if microphone == "Headset" else rf".+[._]{microphone}\.wav")
    for base in BASES:
        for folder in (base, f"{base}/beamformed"):
            names = listing(root / folder)[0] if folder == "." or is_folder(root / folder) else []
            for meeting in names:
                if MEETING.fullmatch(meeting):
                    inner = f"{folder}/{meeting}" + ("" if folder.endswith("beamformed") else "/audio")
                    files = listing(root / inner)[1] if is_folder(root / inner) else []
                    paths = [f"{inner}/{name}".removeprefix("./") for name in files if pattern.fullmatch(name)]
                    by_meeting.setdefault(meeting, []).extend(paths)
    if not by_meeting:
        expected = "a folder <meeting>/audio, as in amicorpus/ES2011a/audio/ES2011a.Mix-Headset.wav"
        raise layout_error(root, expected)
    return by_meeting


def _annotation_files(root: Path) -> dict[str, list[str]]:
    """Return the paths of the segments files by meeting."""
    by_meeting: dict[str, list[str]] = {}
    for name in listing(root / "segments")[1]:
        if name.endswith(".segments.xml"):
            by_meeting.setdefault(name.partition(".")[0], []).append(f"segments/{name}")
    return by_meeting


def _turn_files(root: Path, kind: str) -> dict[str, list[str]]:
    """Return the paths of the turns by meeting; the file of a whole split, one folder higher, is left out."""
    by_meeting: dict[str, list[str]] = {}
    for setup in SETUPS:
        base = f"{setup}/{kind}/rttms".removeprefix("./")
        for split in listing(root / base)[0] if is_folder(root / base) else ():
            for name in listing(root / base / split)[1]:
                if name.endswith(".rttm"):
                    by_meeting.setdefault(name.removesuffix(".rttm"), []).append(f"{base}/{split}/{name}")
    if not by_meeting:
        raise CorpusError(
            f"{root}: no {kind}/rttms/<split>/<meeting>.rttm: expected the folder {kind} of AMI-diarization-setup, got"
            " none. Put it there, or name other annotations in the catalog."
        )
    return by_meeting


def _manual(root: Path, speakers: list[Speaker], files: list[str]) -> Annotation:
    annotation = Annotation(MEETINGS, speakers)
    names = {speaker.agent: speaker.name for speaker in speakers}
    seen: set[tuple[Turn, str]] = set()  # a few segments were published twice
    for path in files:
        # Segments exist of agents that meetings.xml does not list; whose headset they used is not known.
        meeting, agent = path.removeprefix("segments/").split(".")[:2]
        if agent not in names:
            annotation.findings.append(Finding(DOUBTFUL_LABEL, path, f"{meeting}: no speaker {agent} in {MEETINGS}"))
            continue
        tokens = read_tokens(root / f"words/{meeting}.{agent}.words.xml")
        annotation.words[names[agent]] = [
            {"start": token.start, "end": token.end, "word": token.text}
            for token in tokens
            if token.text and not token.punctuation and token.start is not None and token.end is not None
        ]
        for part in read_segments(root / path, tokens):
            turn = Turn(part.start, part.end, names[agent])
            if (turn, part.text) in seen:
                detail = f"{meeting}: {names[agent]} says the same twice at {part.start} s"
                annotation.findings.append(Finding(DUPLICATE, path, detail))
                continue
            seen.add((turn, part.text))
            labels = present({"start": part.start, "end": part.end, "text": part.text})
            annotation.segments.append((turn, labels | _who(names[agent])))
    return annotation


def _turns(root: Path, meeting: str, files: list[str]) -> Annotation:
    annotation = Annotation(files[0] if files else "")
    for path in files[:1]:
        for number, recording, turn in turns(root / path):
            if recording != meeting:
                raise bad_line(root / path, number, f"turns of {meeting} alone", recording)
            annotation.segments.append((turn, turn.times | _who(turn.speaker_id)))
    annotation.findings.extend(Finding(DUPLICATE, path, f"{meeting}: read from {files[0]}") for path in files[1:])
    return annotation


def _annotated(meeting: str, microphone: str, annotation: Annotation) -> dict[str, DraftLabels]:
    """Return the labels of each recording of the microphone that the annotation is for, by id."""
    if microphone != "Headset":
        separator = "_" if microphone == "MDM8" else "."
        return {f"{meeting}{separator}{microphone}": {"segments": in_order(annotation.segments)}}
    return {
        f"{meeting}.Headset-{speaker.channel}": {
            **_who(speaker.name),
            "segments": in_order(part for part in annotation.segments if part[0].speaker_id == speaker.name),
            "words": annotation.words.get(speaker.name, []),
        }
        for speaker in annotation.speakers
    }


def _who(speaker: str) -> Labels:
    """Return the labels of a speaker, whose name begins with F or M."""
    labels: Labels = {"speaker_id": speaker}
    return labels | ({"gender": gender(speaker[0])} if speaker[:1] in ("F", "M") else {})


def _lost(meeting: str, name: str, microphone: str, where: str) -> Finding:
    if meeting in WITHOUT_AUDIO or (meeting in WITHOUT_ARRAYS and microphone in (*ARRAYS, "MDM8")):
        return Finding(WITHDRAWN, where, f"{name}: never published")
    return Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: no audio file with this id")
