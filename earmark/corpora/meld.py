"""MELD: utterances of the series Friends as video clips, with emotion, sentiment and speaker.

    **/train_splits/dia<dialogue>_utt<utterance>.mp4       from train.tar.gz
    **/dev_splits_complete/...                             from dev.tar.gz
    **/output_repeated_splits_test/...                     from test.tar.gz; also final_videos_testdia<d>_utt<u>.mp4
    **/{train,dev,test}_sent_emo.csv                       Sr No., Utterance, Speaker, Emotion, Sentiment, Dialogue_ID,
                                                           Utterance_ID, Season, Episode, StartTime, EndTime

Folders and tables are searched for below the root, since copies differ in where the inner archives were extracted; of a
table that is there twice, the first by path counts. Dialogues are numbered anew in each split, so an id is
<split>_dia<d>_utt<u>, and `group_id` is the dialogue. Times are the episode's, as published. Of a line that several say
("Ross and Joey", "Both", "All"), the speakers that are named are `speaker_ids`. A `final_videos_test` clip is another
cut of the plain one, and is read only if that is missing.
Source: declare-lab/MELD, README and issues 9, 22, 27 and 39. Keeps names and tables in memory (about 20 MB).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import AUDIO_WITHOUT_LABEL, DUPLICATE, Finding, ReaderOptions, Recording
from earmark.corpora._emotions import emotion
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.cells import WHOLE, Check, one_of, require_cells
from earmark.corpora._formats.csv_files import csv_rows
from earmark.corpora._formats.lines import Entry
from earmark.corpora._labels import collect, present, speakers, without_audio
from earmark.corpora._tree import child, layout_error, stem, walk
from earmark.errors import CorpusError
from earmark.rows import SPLITS, DraftLabels, Labels
from earmark.sounds import is_audio

VERSION = 2

# The inner archives were packed with three different names of folders.
FOLDERS = {"train_splits": "train", "dev_splits_complete": "dev", "output_repeated_splits_test": "test"}
NAME = re.compile(r"(final_videos_test)?(dia\d+_utt\d+)")
TIME = re.compile(r"\d{1,2}:\d\d:\d\d,\d{2,3}")  # hours and milliseconds are short in some rows
SENTIMENTS = ("neutral", "positive", "negative")
EMOTIONS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
NUMBERS = ("Dialogue_ID", "Utterance_ID", "Season", "Episode")
CHECKS: dict[str, Check] = {
    **dict.fromkeys(NUMBERS, WHOLE),
    "Emotion": one_of(EMOTIONS, f"one of {', '.join(EMOTIONS)}"),
    "Sentiment": one_of(SENTIMENTS, f"one of {', '.join(SENTIMENTS)}"),
    **dict.fromkeys(("StartTime", "EndTime"), (lambda cell: bool(TIME.fullmatch(cell)), "a time as H:MM:SS,mmm")),
}
COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", *NUMBERS, "StartTime", "EndTime")
CORRUPT, WRONG_CUT, NEARLY_EMPTY = "corrupt file", "wrong cut", "nearly no sound"
DEFECTS = {  # as reported in issues 9 and 39 and by users; wrong cuts are 41 to 305 s long
    "train_dia125_utt3": CORRUPT,
    "train_dia309_utt0": WRONG_CUT,
    "test_dia38_utt4": WRONG_CUT,
    "test_dia220_utt0": WRONG_CUT,
    "dev_dia99_utt3": NEARLY_EMPTY,
    "dev_dia108_utt5": NEARLY_EMPTY,
    "train_dia71_utt0": NEARLY_EMPTY,
    "train_dia179_utt8": NEARLY_EMPTY,
    "train_dia312_utt9": NEARLY_EMPTY,
    "train_dia332_utt1": NEARLY_EMPTY,
    "train_dia406_utt2": NEARLY_EMPTY,
    "train_dia523_utt10": NEARLY_EMPTY,
}


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings of train, dev and test, each in the order of its paths."""
    return _recordings(root, options.language)


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    tables, clips, elsewhere = _look(root)
    if not clips:
        raise layout_error(root, f"a folder {', '.join(FOLDERS)}")
    for split in (name for name in SPLITS if name in clips):
        if split not in tables:
            raise CorpusError(
                f"{root}: no {split}_sent_emo.csv: expected a table for the clips of {split}, got"
                f" {', '.join(tables.values()) or 'none'}. Put that of the publisher's repository (data/MELD) there."
            )
        rows, repeated = collect(_rows(root, tables[split], split))
        yield from repeated
        yield from _split(split, clips[split], rows, language)
    for path in elsewhere:
        yield Finding(AUDIO_WITHOUT_LABEL, path, f"{stem(path)}: in none of the folders {', '.join(FOLDERS)}")


def _look(root: Path) -> tuple[dict[str, str], dict[str, list[str]], list[str]]:
    """Return {split: table}, {split: clips} and the sound files in other folders, as paths below the root."""
    tables: dict[str, str] = {}
    clips: dict[str, list[str]] = {}
    elsewhere: list[str] = []
    for folder, files in walk(root):
        split = FOLDERS.get(folder.rpartition("/")[2])
        for name in files:
            path = child(folder, name)
            if is_audio(name):
                (clips.setdefault(split, []) if split else elsewhere).append(path)
            elif name.endswith("_sent_emo.csv"):
                tables.setdefault(name.removesuffix("_sent_emo.csv"), path)
    return tables, clips, elsewhere


def _split(
    split: str, paths: list[str], rows: dict[str, tuple[str, Labels]], language: str | None
) -> Iterator[Recording | Finding]:
    plain = {stem(path) for path in paths}  # whether final_videos_test corrects these is not published
    taken: dict[str, str] = {}  # id -> path
    for path in paths:
        match = NAME.fullmatch(stem(path))
        if match is None:
            yield Finding(AUDIO_WITHOUT_LABEL, path, f"{stem(path)}: no dia<dialogue>_utt<utterance>")
            continue
        name = f"{split}_{match[2]}"
        if match[1] and match[2] in plain:
            yield Finding(DUPLICATE, path, f"{name}: another cut of the clip {match[2]}")
        elif name in taken:
            yield Finding(DUPLICATE, path, f"{name}: listed as {taken[name]}")
        elif name not in rows:
            yield Finding(AUDIO_WITHOUT_LABEL, path, f"{name}: no label line with this id")
        else:
            taken[name] = path
            defects = [DEFECTS[name]] if name in DEFECTS and not match[1] else None
            labels: DraftLabels = {**rows[name][1], "language": language, "defects": defects}
            yield Recording(name, path, split, present(labels))
    yield from without_audio(rows, taken)


def _rows(root: Path, table: str, split: str) -> Iterator[Entry[Labels]]:
    path = root / table
    for number, row in csv_rows(path, COLUMNS):
        with one_row(path, number):
            require_cells(path, number, row, CHECKS)
            dialogue, utterance, season, episode = (int(row[name]) for name in NUMBERS)
            labels: Labels = {"text": row["Utterance"], **emotion(row["Emotion"]), "sentiment": row["Sentiment"]}
            labels |= speakers(row["Speaker"])
            labels |= {"season": season, "episode": episode, "group_id": f"{split}_dia{dialogue}"}
            labels |= {"episode_start": row["StartTime"], "episode_end": row["EndTime"]}
            yield f"{split}_dia{dialogue}_utt{utterance}", f"{table}:{number}", labels
