"""Libri-Light: whole LibriVox chapters without transcripts, and ten hours with transcripts for fine-tuning.

    {small,medium,large,duplicate}/<speaker>/<book>/<file>.flac
    {small,medium,large,duplicate}/<speaker>/<book>/<file>.json
        {"speaker", "book_meta": {"id", "title", "genre", "meta_genre", "Dramatic Readings"}, "snr",
         "voice_activity": [[<on>, <off>], ...]}
    librispeech_finetuning/<hours>/<clean|other>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac
    librispeech_finetuning/<hours>/<clean|other>/<speaker>/<chapter>/<speaker>-<chapter>.trans.txt      <id> <TEXT>
        <hours> is 9h, or 1h/0 to 1h/5 of ten minutes each; 10 h are 9h and all of 1h

The root contains these folders, or is librispeech_finetuning itself. `segments` are the publisher's voice activity, in
seconds. A chapter without JSON has the speaker of its folder. File names need not be unique, so a chapter's id is its
path. A transcript may list utterances of its chapter that are not in the fine-tuning set; they are findings. phones/ is
not read, since it has no times. The publisher left out the readers of LibriSpeech's dev and test, so the split is
always "train".
Source: facebookresearch/libri-light, data_preparation/README.md. Keeps all ids and one folder's labels in memory.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from earmark.corpora import CONTRADICTION, LABEL_WITHOUT_AUDIO, Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.json_files import json_file
from earmark.corpora._formats.lines import bad_line
from earmark.corpora._formats.trans import transcripts
from earmark.corpora._labels import collect, join, once, present
from earmark.corpora._tree import is_folder, layout_error, listing, stem, walk
from earmark.rows import JSON, DraftLabels
from earmark.sounds import is_audio

VERSION = 1

UNLABELLED = ("small", "medium", "large", "duplicate")
LIMITED = "librispeech_finetuning"
HOURS = ("1h", "9h")
CONDITIONS = ("clean", "other")
JSON_FORM = "book_meta an object of texts, snr a number, voice_activity a list of [on, off] in seconds"


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings by subset and path, all of split "train"."""
    return once(_recordings(root, options.language))


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    folders, _ = listing(root)
    limited = [f"{LIMITED}/{name}" for name in HOURS if is_folder(root / LIMITED / name)]
    limited += [name for name in HOURS if name in folders]
    unlabelled = [name for name in UNLABELLED if name in folders]
    if not limited and not unlabelled:
        raise layout_error(root, f"a folder {', '.join((*UNLABELLED, LIMITED, *HOURS))}")
    for top in unlabelled:
        for folder, names in walk(root, top):
            yield from _chapters(root, folder, names, language)
    for top in limited:
        for folder, names in walk(root, top):
            yield from _utterances(root, folder, names, language)


def _chapters(root: Path, folder: str, files: list[str], language: str | None) -> Iterator[Recording | Finding]:
    """Yield the recordings and findings of one book's folder."""
    subset, *below = folder.split("/")
    metas = {stem(name): f"{folder}/{name}" for name in files if name.endswith(".json")}
    for name in files:
        if is_audio(name):
            speaker = below[0] if len(below) > 1 else None  # a folder of a speaker, and in it one of a book
            where = metas.pop(stem(name), None)
            meta = Meta()
            if where:
                with one_row(root / where):  # the chapter stays, without what the file would have said of it
                    meta = _meta(root / where)
            if where and meta.speaker and speaker and meta.speaker != speaker:
                yield Finding(CONTRADICTION, where, f"{folder}/{stem(name)}: speaker {meta.speaker} in JSON; left out")
                speaker = None
            else:
                speaker = speaker or meta.speaker
            segments = [{"start": on, "end": off} | present({"speaker_id": speaker}) for on, off in meta.voice]
            labels = meta.labels | ({"segments": segments} if where else {})
            labels |= {"speaker_id": speaker, "language": language, "subset": subset}
            yield Recording(f"{folder}/{stem(name)}", f"{folder}/{name}", "train", present(labels))
    for name, where in metas.items():
        yield Finding(LABEL_WITHOUT_AUDIO, where, f"{folder}/{name}: no audio file with this id")


@dataclass(frozen=True, slots=True)
class Meta:
    """The JSON file of a chapter; `voice` are the beginning and end in seconds of each stretch of voice, sorted."""

    speaker: str | None = None
    labels: DraftLabels = field(default_factory=dict)
    voice: Sequence[tuple[float, float]] = ()


def _meta(path: Path) -> Meta:
    """Return what one JSON file contains."""
    meta = json_file(path)
    book, activity = meta.get("book_meta") or {}, meta.get("voice_activity") or []
    if not isinstance(book, dict) or not isinstance(activity, list):
        raise bad_line(path, 1, JSON_FORM, str(meta))
    try:
        voice = sorted(_pair(item) for item in activity)
        snr = None if meta.get("snr") is None else _number(meta["snr"])
        speaker = _text(meta.get("speaker"))
        labels: DraftLabels = {"title": _text(book.get("title")), "genre": _texts(book.get("genre"))}
        labels |= {"meta_genre": _text(book.get("meta_genre")), "book_id": _text(book.get("id"))}
        labels |= {"dramatic_reading": _flag(book.get("Dramatic Readings"))}
    except ValueError as error:
        raise bad_line(path, 1, JSON_FORM, str(meta)) from error
    return Meta(speaker, labels | {"snr": snr}, voice)


def _pair(value: JSON) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError
    on_s, off_s = _number(value[0]), _number(value[1])
    if not 0 <= on_s <= off_s:
        raise ValueError
    return on_s, off_s


def _number(value: JSON) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or not math.isfinite(float(value)):
        raise ValueError
    return float(value)


def _text(value: JSON) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | str | None):
        raise ValueError
    return None if value is None else str(value)


def _flag(value: JSON) -> bool | None:
    if not isinstance(value, bool | None):
        raise ValueError
    return value


def _texts(value: JSON) -> list[str]:
    """Return the words of a list; a word alone is a list of one."""
    words = value if isinstance(value, list) else [value]
    return [word for word in map(_text, words) if word]


def _utterances(root: Path, folder: str, files: list[str], language: str | None) -> Iterator[Recording | Finding]:
    """Yield the recordings and findings of one chapter of the fine-tuning set."""
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
        labels: DraftLabels = {"text": text, "speaker_id": speaker, "chapter_id": chapter}
        labels |= {"language": language, "subset": subset, "condition": condition}
        yield Recording(name, path, "train", present(labels))
