"""CREMA-D: 91 actors who speak 12 sentences with six emotions, and what listeners heard in them.

    AudioWAV/<actor>_<sentence>_<emotion>_<level>.wav    actor 1001-1091; ANG DIS FEA HAP NEU SAD; LO MD HI XX (none)
    AudioMP3/<the same name>.mp3                         the same takes, and so are VideoFlash/<the same name>.flv
    SentenceFilenames.csv                                Stimulus_Number, Filename: every clip of the corpus
    VideoDemographics.csv                                ActorID, Age, Sex, Race, Ethnicity
    processedResults/tabulatedVotes.csv                  (id), A, D, F, H, N, S, fileName, ...: 3 rows for a clip; the
                                                         id's first digit is 1 for voice, 2 face, 3 voice and face

The tables may be missing, as in copies of AudioWAV alone. `votes` are those of listeners who heard the voice alone. The
WAV file is the recording, or the MP3 file if there is no WAV; a Git LFS pointer becomes a finding.
Source: CheyneyComputerScience/CREMA-D, README, tables and issue 8.
Keeps the tables and names in memory (about 10 MB).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import AUDIO_WITHOUT_LABEL, DUPLICATE, INCOMPLETE, Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.cells import WHOLE, require_cells
from earmark.corpora._formats.csv_files import csv_rows
from earmark.corpora._formats.lines import Entry, bad_line
from earmark.corpora._labels import collect, present, without_audio
from earmark.corpora._lfs import is_pointer, pointer_finding
from earmark.corpora._tree import audio_files, is_file, layout_error, listing, stem
from earmark.rows import DraftLabels, Labels

VERSION = 1

SOUND = ("AudioWAV", "AudioMP3")  # of a clip in both folders, the first counts
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
DEFECTS = {  # by folder and clip, as the README and issue 8 report them
    ("AudioWAV", "1076_MTI_SAD_XX"): "no usable audio",
    ("AudioMP3", "1076_MTI_NEU_XX"): "cut short",
    ("AudioMP3", "1064_TIE_SAD_XX"): "no duration",
    ("AudioMP3", "1064_IEO_DIS_MD"): "several emotions in one take",
}
CLIPS, PEOPLE = "SentenceFilenames.csv", "VideoDemographics.csv"
VOTES = "processedResults/tabulatedVotes.csv"
LETTERS = {code[0]: emotion for code, emotion in EMOTIONS.items()}  # columns of the votes
VOICE = "1"  # first digit of a row's id
COUNTS = dict.fromkeys(LETTERS, WHOLE)


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths, those of WAV files first, without a split."""
    return _recordings(root, options.language)


def name_labels(name: str) -> Labels | None:
    """Return the labels in a clip's name, or None for a name of another form. DNS Challenge has such names too."""
    match = NAME.fullmatch(name)
    if match is None or match[2] not in SENTENCES:
        return None
    actor, sentence, code, level = match.groups()
    labels: DraftLabels = {"text": SENTENCES[sentence], "sentence_id": sentence, "speaker_id": actor}
    labels |= {"emotion": EMOTIONS[code], "emotion_published": code, "emotion_intensity": LEVELS.get(level)}
    return present(labels)


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    folders, _ = listing(root)
    if not set(folders) & set(SOUND):
        raise layout_error(root, f"a folder {' or '.join(SOUND)}")
    clips, repeated = collect(_clips(root / CLIPS))
    people = _people(root / PEOPLE)
    votes, again = collect(_votes(root / VOTES))
    yield from (*repeated, *again)
    taken: dict[str, str] = {}  # name -> path
    for folder in (name for name in SOUND if name in folders):
        for path in audio_files(root, folder):
            name = stem(path)
            named = name_labels(name)
            if named is None or (clips and name not in clips):
                reason = f"not in {CLIPS}" if named else "no <actor>_<sentence>_<emotion>_<level>"
                yield Finding(AUDIO_WITHOUT_LABEL, path, f"{name}: {reason}")
            elif name in taken:
                yield Finding(DUPLICATE, path, f"{name}: listed as {taken[name]}")
            elif is_pointer(root / path):
                yield pointer_finding(path, name)
            else:
                taken[name] = path
                labels: DraftLabels = {**named, "votes": votes.get(name, ("", None))[1], "language": language}
                labels |= people.get(name.partition("_")[0], {})
                labels |= {"defects": [DEFECTS[folder, name]] if (folder, name) in DEFECTS else None}
                yield Recording(name, path, None, present(labels))
    for path in audio_files(root, VIDEO) if VIDEO in folders else ():
        name = stem(path)  # 28 of the videos had no sound before December 2020
        if name in taken:
            yield Finding(DUPLICATE, path, f"{name}: the video of {taken[name]}")
        else:
            yield Finding(INCOMPLETE, path, f"{name}: a video whose sound is not in {' or '.join(SOUND)}")
    yield from without_audio(clips, taken)


def _clips(path: Path) -> Iterator[Entry[None]]:
    if is_file(path):
        for number, row in csv_rows(path, ("Filename",)):
            with one_row(path, number):
                if name_labels(row["Filename"]) is None:
                    raise bad_line(path, number, "<actor>_<sentence>_<emotion>_<level> as Filename", row["Filename"])
                yield row["Filename"], f"{CLIPS}:{number}", None


def _people(path: Path) -> dict[str, Labels]:
    """Return the labels of each actor."""
    people: dict[str, Labels] = {}
    if is_file(path):
        for number, row in csv_rows(path, ("ActorID", "Age", "Sex", "Race", "Ethnicity")):
            with one_row(path, number):
                if not row["Age"].isdecimal():
                    raise bad_line(path, number, "years as Age", row["Age"])
                labels: DraftLabels = {"age": int(row["Age"]), "gender": row["Sex"].lower(), "race": row["Race"]}
                people[row["ActorID"]] = present(labels | {"ethnicity": row["Ethnicity"]})
    return people


def _votes(path: Path) -> Iterator[Entry[dict[str, int]]]:
    """Yield how many listeners heard which emotion in a clip; the column of the id has no name."""
    if is_file(path):
        for number, row in csv_rows(path, ("", *LETTERS, "fileName")):
            with one_row(path, number):
                require_cells(path, number, row, COUNTS)
                counts = [row[letter] for letter in LETTERS]
                if row[""].startswith(VOICE):
                    votes = dict(zip(LETTERS.values(), map(int, counts), strict=True))
                    yield row["fileName"], f"{VOTES}:{number}", votes
