"""Libri-Light: whole LibriVox chapters without transcripts, and ten hours with transcripts for fine-tuning.

    {small,medium,large,duplicate}/<speaker>/<book>/<file>.flac
    {small,medium,large,duplicate}/<speaker>/<book>/<file>.json
        {"speaker", "book_meta": {"id", "title", "genre", "meta_genre", "Dramatic Readings"}, "snr",
         "voice_activity": [[<on>, <off>]]}
    librispeech_finetuning/<hours>/<clean|other>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac
    librispeech_finetuning/<hours>/<clean|other>/<speaker>/<chapter>/<speaker>-<chapter>.trans.txt      <id> <TEXT>
        <hours> is 9h, or 1h/0 to 1h/5 of ten minutes each; 10 h are 9h and all of 1h

The root holds these folders, or is librispeech_finetuning itself. `segments` are the stretches of voice, in seconds.
A chapter without JSON has the speaker of its folder. File names need not be unique, so a chapter's id is its path.
A transcript may list utterances of its chapter that are not in the fine-tuning set: findings. phones/ is not read,
since it has no times. The publisher left out the readers of LibriSpeech's dev and test, so all is split "train".
Source: facebookresearch/libri-light. Holds all ids and one folder's labels in memory.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earmark.corpora import CONTRADICTION, LABEL_WITHOUT_AUDIO, Finding, ReaderOptions, Recording, check_options
from earmark.corpora._json import json_file
from earmark.corpora._labels import bad_line, collect, join, once, present
from earmark.corpora._trans import transcripts
from earmark.corpora._tree import layout_error, listing, stem, walk
from earmark.sounds import is_audio

VERSION = 1

UNLABELLED = ("small", "medium", "large", "duplicate")
LIMITED = "librispeech_finetuning"
HOURS = ("1h", "9h")
CONDITIONS = ("clean", "other")
BOOK = {  # keys of book_meta -> labels
    "title": "title",
    "genre": "genre",
    "meta_genre": "meta_genre",
    "Dramatic Readings": "dramatic_reading",
}
JSON_FORM = "book_meta an object, snr a number, voice_activity a list of [on, off] in seconds"


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings by subset and path, all of split "train"."""
    check_options("libri_light", options)
    return once(_recordings(root, options.language))


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    folders, files = listing(root)
    limited = [f"{LIMITED}/{name}" for name in HOURS if (root / LIMITED / name).is_dir()]
    limited += [name for name in HOURS if name in folders]
    unlabelled = [name for name in UNLABELLED if name in folders]
    if not limited and not unlabelled:
        raise layout_error(root, f"a folder {', '.join((*UNLABELLED, LIMITED, *HOURS))}", [*folders, *files])
    for top in unlabelled:
        for folder, names in walk(root, top):
            yield from _chapters(root, folder, names, language)
    for top in limited:
        for folder, names in walk(root, top):
            yield from _utterances(root, folder, names, language)


def _chapters(root: Path, folder: str, files: list[str], language: str | None) -> Iterator[Recording | Finding]:
    """Yield what one folder of a book holds."""
    subset, *below = folder.split("/")
    metas = {stem(name): f"{folder}/{name}" for name in files if name.endswith(".json")}
    for name in files:
        if is_audio(name):
            speaker = below[0] if len(below) > 1 else None
            where = metas.pop(stem(name), None)
            said, labels = _meta(root / where) if where else (None, {})
            if where and said and speaker and said != speaker:
                yield Finding(CONTRADICTION, where, f"{folder}/{stem(name)}: speaker {said} in JSON; left out")
                speaker = said = None
            speaker = speaker or said
            for segment in labels.get("segments", ()):
                segment |= present({"speaker_id": speaker})
            labels |= {"speaker_id": speaker, "language": language, "subset": subset}
            yield Recording(f"{folder}/{stem(name)}", f"{folder}/{name}", "train", present(labels))
    for name, where in metas.items():
        yield Finding(LABEL_WITHOUT_AUDIO, where, f"{folder}/{name}: no audio file with this id")


def _meta(path: Path) -> tuple[str | None, dict[str, Any]]:
    """Return the speaker and the other labels of one JSON file."""
    said = json_file(path)
    book, activity = said.get("book_meta") or {}, said.get("voice_activity") or []
    try:
        segments = [{"start": on, "end": off} for on, off in sorted((float(on), float(off)) for on, off in activity)]
        snr = None if said.get("snr") is None else float(said["snr"])
        labels = {label: book.get(name) for name, label in BOOK.items()} | {"book_id": _text(book.get("id"))}
    except (AttributeError, TypeError, ValueError) as error:
        raise bad_line(path, 1, JSON_FORM, str(said)) from error
    return _text(said.get("speaker")), labels | {"snr": snr, "segments": segments}


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _utterances(root: Path, folder: str, files: list[str], language: str | None) -> Iterator[Recording | Finding]:
    """Yield what one chapter of the fine-tuning set holds."""
    texts, repeated = collect(transcripts(root, folder, files))
    yield from repeated
    parts = folder.removeprefix(f"{LIMITED}/").split("/")
    condition = next((part for part in parts if part in CONDITIONS), None)
    subset = "/".join(parts[: parts.index(condition)]) if condition else parts[0]
    for item in join((f"{folder}/{name}" for name in files if is_audio(name)), texts):
        if isinstance(item, Finding):
            yield item
            continue
        name, path, text = item
        speaker, chapter, _ = name.split("-")
        labels: dict[str, str | None] = {"text": text, "speaker_id": speaker, "chapter_id": chapter}
        labels |= {"language": language, "subset": subset, "condition": condition}
        yield Recording(name, path, "train", present(labels))
