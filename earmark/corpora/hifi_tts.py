"""Hi-Fi TTS: ten LibriVox readers at 44.1 kHz, a manifest for each reader, quality and split.

    <reader>_manifest_<clean|other>_<train|dev|test>.json           JSON Lines in spite of the name
        {"audio_filepath", "duration", "text", "text_no_preprocessing", "text_normalized"}
    audio/<reader>_<clean|other>/<book>/<chapter>_<number>.flac

`text` is the normalised text, with case and punctuation; `text_original` the one before preprocessing. The third one,
lower case without punctuation, stands in where there is no normalised text. `subset` is the quality. File names are not
known to be unique, so an id is the path below audio. The publisher asks that a reader's consent be sought before
the voice is cloned.
Source: OpenSLR 109. Holds all ids and one reader's texts (about 1 kB an utterance) in memory.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import AUDIO_WITHOUT_LABEL, LABEL_WITHOUT_AUDIO, Finding, ReaderOptions, Recording, check_options
from earmark.corpora._json import json_object
from earmark.corpora._labels import Row, bad_line, collect, lines, once, present
from earmark.corpora._tree import audio_files, layout_error, listing
from earmark.sounds import is_audio

VERSION = 1

MANIFEST = re.compile(r"(\d+)_manifest_(clean|other)_(train|dev|test)\.json")
GENDERS = dict.fromkeys(("92", "8051", "9136", "11614", "11697", "12787"), "female") | dict.fromkeys(
    ("6097", "6670", "6671", "9017"), "male"
)
TEXTS = ("text_normalized", "text", "text_no_preprocessing")

Said = tuple[str, dict[str, str]]  # split, texts by key


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths."""
    check_options("hifi_tts", options)
    return once(_recordings(root, options.language))


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    folders, files = listing(root)
    manifests: dict[str, list[tuple[str, str]]] = {}  # folder below audio -> (file, split)
    for name in files:
        if match := MANIFEST.fullmatch(name):
            manifests.setdefault(f"{match[1]}_{match[2]}", []).append((name, match[3]))
    if not manifests:
        expected = "a folder with files <reader>_manifest_<clean or other>_<train, dev or test>.json"
        raise layout_error(root, expected, [*folders, *files])
    voices, strays = listing(root / "audio") if "audio" in folders else ([], [])
    for name in filter(is_audio, strays):
        yield Finding(AUDIO_WITHOUT_LABEL, f"audio/{name}", f"{name}: not in a reader's folder")
    for voice in sorted({*voices, *manifests}):
        rows = (row for name, split in manifests.get(voice, ()) for row in _rows(root, name, split))
        said, repeated = collect(rows)
        yield from repeated
        reader, _, quality = voice.partition("_")
        for path in audio_files(root, f"audio/{voice}") if voice in voices else ():
            key = path.removeprefix("audio/").rpartition(".")[0]
            if path not in said:
                yield Finding(AUDIO_WITHOUT_LABEL, path, f"{key}: no manifest line with this path")
                continue
            split, texts = said.pop(path)[1]
            book, _, name = key.removeprefix(f"{voice}/").rpartition("/")
            labels = {"text": texts.get("text_normalized") or texts.get("text")}
            labels |= {"text_original": texts.get("text_no_preprocessing"), "speaker_id": reader}
            labels |= {"book_id": book, "chapter_id": name.rpartition("_")[0], "gender": GENDERS.get(reader)}
            labels |= {"language": language, "subset": quality}
            yield Recording(key, path, split, present(labels))
        for path, (where, _) in said.items():
            key = path.removeprefix("audio/").rpartition(".")[0]
            yield Finding(LABEL_WITHOUT_AUDIO, where, f"{key}: no audio file with this path")


def _rows(root: Path, name: str, split: str) -> Iterator[Row[Said]]:
    """Yield (path, where, (split, texts)) for each line of a manifest."""
    for number, line in lines(root / name):
        row = json_object(root / name, number, line)
        path = row.get("audio_filepath")
        texts = {key: row[key] for key in TEXTS if row.get(key) is not None}
        if not isinstance(path, str) or not is_audio(path) or not all(isinstance(t, str) for t in texts.values()):
            raise bad_line(root / name, number, "audio_filepath and texts", line)
        yield path, f"{name}:{number}", (split, texts)
