"""RAVDESS: 24 actors who speak and sing two sentences with eight emotions; all labels are in the file's name.

    Actor_<NN>/<modality>-<channel>-<emotion>-<intensity>-<statement>-<repetition>-<actor>.wav

Each field has two digits. Modality 01 is video with sound, 02 video alone and 03 sound alone, all three of one take, so
only 03 is a recording. Channel 01 is speech, 02 song (without disgust and surprise, and without actor 18). Actors with
odd numbers are men. The speech and song archives unpack into the same folders. A widespread copy repeats them inside a
further folder; that is read too, and a name that came before is a duplicate.
Source: Zenodo record 1188976, description. Keeps the names in memory (below 2 MB).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import AUDIO_WITHOUT_LABEL, CONTRADICTION, DUPLICATE, INCOMPLETE, Finding, ReaderOptions, Recording
from earmark.corpora._emotions import emotion
from earmark.corpora._labels import present
from earmark.corpora._tree import audio_files, layout_error, listing, stem
from earmark.rows import Labels

VERSION = 1

FOLDER = re.compile(r"Actor_(\d\d)")
NAME = re.compile(r"(0[123])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(0[1-9]|1\d|2[0-4])")
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")  # 01, 02, ...
INTENSITIES = ("normal", "strong")
STATEMENTS = ("Kids are talking by the door", "Dogs are sitting by the door")
SONG = "02"
SOUND_ALONE = "03"


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths, without a split."""
    return _recordings(root, options.language)


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    folders, _ = listing(root)
    wrapped = (inner for name in folders for inner in listing(root / name)[0])
    if not any(FOLDER.fullmatch(name) for name in (*folders, *wrapped)):
        raise layout_error(root, "a folder Actor_01 or another of the actors")
    paths = list(audio_files(root))
    takes = {stem(path).partition("-")[2] for path in paths if stem(path).startswith(SOUND_ALONE)}
    seen: dict[str, str] = {}  # name -> path
    for path in paths:
        name = stem(path)
        match = NAME.fullmatch(name)
        folder = FOLDER.fullmatch(path.split("/")[-2]) if "/" in path else None
        if match is None or (match[3], match[4]) == ("01", "02"):  # there is no strong neutral
            yield Finding(AUDIO_WITHOUT_LABEL, path, f"{name}: expected seven two-digit fields, neutral only normal")
        elif folder is not None and folder[1] != match[7]:
            yield Finding(CONTRADICTION, path, f"{name}: actor {match[7]} in the folder {folder[0]}")
        elif match[1] != SOUND_ALONE:
            yield _video(name, path, name.partition("-")[2] in takes)
        elif name in seen:
            yield Finding(DUPLICATE, path, f"{name}: listed as {seen[name]}")
        else:
            seen[name] = path
            yield Recording(name, path, None, present(_labels(match) | {"language": language}))


def _video(name: str, path: str, has_sound: bool) -> Finding:
    sound = f"{SOUND_ALONE}-{name.partition('-')[2]}"
    if has_sound:
        return Finding(DUPLICATE, path, f"{name}: the video of {sound}")
    return Finding(INCOMPLETE, path, f"{name}: a video; its sound {sound} is in the audio archives")


def _labels(match: re.Match[str]) -> Labels:
    _, channel, emotion_code, intensity, statement, repetition, actor = match.groups()
    return {
        "text": STATEMENTS[int(statement) - 1],
        "speaker_id": actor,
        "gender": "male" if int(actor) % 2 else "female",
        **emotion(EMOTIONS[int(emotion_code) - 1]),
        "emotion_intensity": INTENSITIES[int(intensity) - 1],
        "singing": channel == SONG,
        "take": repetition,
    }
