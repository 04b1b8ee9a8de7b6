"""CREMA-D: 91 actors who speak 12 sentences with six emotions, and what listeners heard in them.

    AudioWAV/<actor>_<sentence>_<emotion>_<level>.wav    actor 1001-1091; ANG DIS FEA HAP NEU SAD; LO MD HI XX (none)
    AudioMP3/<the same name>.mp3                         the same takes, as are VideoFlash/<the same name>.flv
    SentenceFilenames.csv                                Stimulus_Number, Filename: every clip of the corpus
    VideoDemographics.csv                                ActorID, Age, Sex, Race, Ethnicity
    processedResults/tabulatedVotes.csv                  (id), A, D, F, H, N, S, fileName, ...: three rows a clip, the
                                                         id's first digit is 1 heard, 2 seen, 3 heard and seen

The tables may be missing, as in copies that hold AudioWAV alone. `votes` are of those who only heard the clip. The WAV
file is the recording, the MP3 file where there is no WAV; a Git LFS pointer is no sound but a finding.
Source: CheyneyComputerScience/CREMA-D. Holds the tables and names in memory (about 10 MB).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    DUPLICATE,
    INCOMPLETE,
    LABEL_WITHOUT_AUDIO,
    Finding,
    ReaderOptions,
    Recording,
    check_options,
)
from earmark.corpora._csv import csv_rows
from earmark.corpora._labels import Row, bad_line, collect, present
from earmark.corpora._lfs import is_pointer, pointer_finding
from earmark.corpora._tree import audio_files, layout_error, listing, stem

VERSION = 1

SOUND = ("AudioWAV", "AudioMP3")  # the first that has a clip gives it
VIDEO = "VideoFlash"
NAME = re.compile(r"(\d{4})_([A-Z]{3})_(ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX)")
EMOTIONS = {"ANG": "angry", "DIS": "disgusted", "FEA": "fearful", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
LEVELS = {"LO": "low", "MD": "medium", "HI": "high"}
SENTENCES = {
    "DFA": "Don't forget a jacket",
    "IEO": "It's eleven o'clock",
    "IOM": "I'm on my way to the meeting",
    "ITH": "I think I have a doctor's appointment",
    "ITS": "I think I've seen this before",
    "IWL": "I would like a new alarm clock",
    "IWW": "I wonder what this is about",
    "MTI": "Maybe tomorrow it will be cold",
    "TAI": "The airplane is almost full",
    "TIE": "That is exactly what happened",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
DEFECTS = {  # by the path's folder and the clip
    ("AudioWAV", "1076_MTI_SAD_XX"): "no usable audio",
    ("AudioMP3", "1076_MTI_NEU_XX"): "cut short",
    ("AudioMP3", "1064_TIE_SAD_XX"): "no duration",
    ("AudioMP3", "1064_IEO_DIS_MD"): "several emotions in one take",
}
CLIPS, PEOPLE = "SentenceFilenames.csv", "VideoDemographics.csv"
VOTES = "processedResults/tabulatedVotes.csv"
LETTERS = {code[0]: emotion for code, emotion in EMOTIONS.items()}  # columns of the votes
HEARD = "1"  # first digit of a row's id


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths, those of WAV files first, without a split."""
    check_options("crema_d", options)
    return _recordings(root, options.language)


def name_labels(name: str) -> dict[str, Any] | None:
    """Return what a clip's name says, or None where it is no name of this corpus."""
    match = NAME.fullmatch(name)
    if match is None or match[2] not in SENTENCES:
        return None
    actor, sentence, code, level = match.groups()
    labels = {"text": SENTENCES[sentence], "sentence_id": sentence, "speaker_id": actor}
    labels |= {"emotion": EMOTIONS[code], "emotion_published": code, "emotion_intensity": LEVELS.get(level)}
    return present(labels)


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    folders, files = listing(root)
    if not set(folders) & set(SOUND):
        raise layout_error(root, f"a folder {' or '.join(SOUND)}", [*folders, *files])
    clips, repeated = collect(_clips(root / CLIPS))
    people = _people(root / PEOPLE)
    votes, again = collect(_votes(root / VOTES))
    yield from (*repeated, *again)
    taken: dict[str, str] = {}  # name -> path
    for folder in (name for name in SOUND if name in folders):
        for path in audio_files(root, folder):
            name = stem(path)
            labels = name_labels(name)
            if labels is None or (clips and name not in clips):
                reason = f"not in {CLIPS}" if labels else "no <actor>_<sentence>_<emotion>_<level>"
                yield Finding(AUDIO_WITHOUT_LABEL, path, f"{name}: {reason}")
            elif name in taken:
                yield Finding(DUPLICATE, path, f"{name}: listed as {taken[name]}")
            elif is_pointer(root / path):
                yield pointer_finding(path, name)
            else:
                taken[name] = path
                labels |= {"votes": votes.get(name, ("", None))[1], "language": language}
                labels |= people.get(labels["speaker_id"], {})
                labels |= {"defects": [DEFECTS[folder, name]] if (folder, name) in DEFECTS else None}
                yield Recording(name, path, None, present(labels))
    for path in audio_files(root, VIDEO) if VIDEO in folders else ():
        name = stem(path)
        if name in taken:
            yield Finding(DUPLICATE, path, f"{name}: the video of {taken[name]}")
        else:
            yield Finding(INCOMPLETE, path, f"{name}: a video whose sound is not in {' or '.join(SOUND)}")
    for name, (where, _) in clips.items():
        if name not in taken:
            yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: no audio file with this id")


def _clips(path: Path) -> Iterator[Row[None]]:
    if path.is_file():
        for number, row in csv_rows(path, ("Filename",)):
            if name_labels(row["Filename"]) is None:
                raise bad_line(path, number, "<actor>_<sentence>_<emotion>_<level> as Filename", row["Filename"])
            yield row["Filename"], f"{CLIPS}:{number}", None


def _people(path: Path) -> dict[str, dict[str, Any]]:
    """Return the labels of each actor."""
    people: dict[str, dict[str, Any]] = {}
    if path.is_file():
        for number, row in csv_rows(path, ("ActorID", "Age", "Sex", "Race", "Ethnicity")):
            if not row["Age"].isdecimal():
                raise bad_line(path, number, "years as Age", row["Age"])
            labels = {"age": int(row["Age"]), "gender": row["Sex"].lower(), "race": row["Race"]}
            people[row["ActorID"]] = present(labels | {"ethnicity": row["Ethnicity"]})
    return people


def _votes(path: Path) -> Iterator[Row[dict[str, int]]]:
    """Yield how many listeners heard which emotion in a clip; the id's column has no name."""
    if path.is_file():
        for number, row in csv_rows(path, ("", *LETTERS, "fileName")):
            counts = [row[letter] for letter in LETTERS]
            if not all(count.isdecimal() for count in counts):
                raise bad_line(path, number, f"counts as {', '.join(LETTERS)}", ", ".join(counts))
            if row[""].startswith(HEARD):
                said = dict(zip(LETTERS.values(), map(int, counts), strict=True))
                yield row["fileName"], f"{VOTES}:{number}", said
