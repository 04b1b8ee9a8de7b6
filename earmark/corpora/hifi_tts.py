"""Hi-Fi TTS: ten LibriVox readers at 44.1 kHz, with a manifest for each reader, quality and split.

    <reader>_manifest_<clean|other>_<train|dev|test>.json           JSON Lines in spite of the name
        {"audio_filepath", "duration", "text", "text_no_preprocessing", "text_normalized"}
    audio/<reader>_<clean|other>/<book>/<chapter>_<number>.flac

`text` is text_normalized, with case and punctuation, or if that is missing the key text, in lower case without
punctuation; `text_original` is text_no_preprocessing. `subset` is the quality. File names are not known to be unique,
so an id is the path below audio. The publisher asks that a reader's consent be sought before the voice is cloned.
Source: OpenSLR 109, README; arXiv 2104.01497. Keeps all ids and one reader's texts (about 1 kB an utterance) in memory.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import AUDIO_WITHOUT_LABEL, LABEL_WITHOUT_AUDIO, Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.json_files import json_object
from earmark.corpora._formats.lines import Entry, bad_line, lines
from earmark.corpora._labels import collect, once, present
from earmark.corpora._match import otherwise, respelled
from earmark.corpora._tree import audio_files, layout_error, listing
from earmark.rows import DraftLabels
from earmark.sounds import is_audio

VERSION = 1

MANIFEST = re.compile(r"(\d+)_manifest_(clean|other)_(train|dev|test)\.json")
# By reader, from the README's list of readers.
GENDERS = dict.fromkeys(("92", "8051", "9136", "11614", "11697", "12787"), "female") | dict.fromkeys(
    ("6097", "6670", "6671", "9017"), "male"
)
TEXTS = ("text_normalized", "text", "text_no_preprocessing")

Texts = tuple[str, dict[str, str]]  # split, texts by key


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths."""
    return once(_recordings(root, options.language))


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    folders, files = listing(root)
    manifests: dict[str, list[tuple[str, str]]] = {}  # folder below audio -> (file, split)
    for name in files:
        if match := MANIFEST.fullmatch(name):
            manifests.setdefault(f"{match[1]}_{match[2]}", []).append((name, match[3]))
    if not manifests:
        expected = "a folder with files <reader>_manifest_<clean or other>_<train, dev or test>.json"
        raise layout_error(root, expected)
    voices, strays = listing(root / "audio") if "audio" in folders else ([], [])
    for name in filter(is_audio, strays):
        yield Finding(AUDIO_WITHOUT_LABEL, f"audio/{name}", f"{name}: not in a reader's folder")
    # One reader, 6097, has recordings of both qualities, so a voice is a reader with a quality.
    for voice in sorted({*voices, *manifests}):
        rows = (row for name, split in manifests.get(voice, ()) for row in _rows(root, name, split))
        listed, repeated = collect(rows)
        yield from repeated
        reader, _, quality = voice.partition("_")
        paths = list(audio_files(root, f"audio/{voice}")) if voice in voices else []
        same, doubtful = respelled(listed.keys() - set(paths), set(paths) - listed.keys())
        for path in paths:
            key = path.removeprefix("audio/").rpartition(".")[0]
            if same.get(path, path) not in listed:
                yield Finding(AUDIO_WITHOUT_LABEL, path, f"{key}: no manifest line with this path")
                continue
            split, texts = listed.pop(same.get(path, path))[1]
            book, _, name = key.removeprefix(f"{voice}/").rpartition("/")
            labels: DraftLabels = {"text": texts.get("text_normalized") or texts.get("text")}
            labels |= {"text_original": texts.get("text_no_preprocessing"), "speaker_id": reader}
            labels |= {"book_id": book, "chapter_id": name.rpartition("_")[0], "gender": GENDERS.get(reader)}
            labels |= {"language": language, "subset": quality}
            yield Recording(key, path, split, present(labels))
        for path, (where, _) in listed.items():
            key = path.removeprefix("audio/").rpartition(".")[0]
            more = otherwise(doubtful.get(path, ()))
            yield Finding(LABEL_WITHOUT_AUDIO, where, f"{key}: no audio file with this path{more}")


def _rows(root: Path, name: str, split: str) -> Iterator[Entry[Texts]]:
    """Yield (path, where, (split, texts)) for each line of a manifest."""
    place = root / name
    for number, line in lines(place):
        with one_row(place, number):
            row = json_object(place, number, line)
            path = row.get("audio_filepath")
            values = {key: row[key] for key in TEXTS if row.get(key) is not None}
            texts = {key: value for key, value in values.items() if isinstance(value, str)}
            if not isinstance(path, str) or not is_audio(path) or len(texts) < len(values):
                raise bad_line(place, number, "audio_filepath and texts", line)
            yield path, f"{name}:{number}", (split, texts)
