"""MUSAN: music, speech and noise; folders give the category and the source.

    {music,speech,noise}/<source>/<stem>.wav
    {music,speech,noise}/<source>/ANNOTATIONS       not for every source; no header, white space between fields
        music:   <stem> <genre[,genre...]> <Y|N vocals> <artist> [<composer>]     blanks inside a name are underscores
        speech:  <stem> <m|f> <language in English> ...
        noise:   <stem>                              the stems listed are background noises, the others are not

Not every file is annotated, and so a file without an annotation is a recording too. MUSAN names no speakers and has no
splits. Source: OpenSLR 17, the README of each source. Keeps all ids and one source's annotations in memory.
"""

from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import LABEL_WITHOUT_AUDIO, Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.lines import Entry, bad_line, lines
from earmark.corpora._labels import collect, gender, once, present
from earmark.corpora._match import otherwise, respelled
from earmark.corpora._tree import layout_error, listing, stem, walk
from earmark.rows import DraftLabels
from earmark.sounds import is_audio

VERSION = 1

CATEGORIES = ("music", "noise", "speech")
ANNOTATIONS = "ANNOTATIONS"
LANGUAGES = {  # BCP 47; any other name gives no `language`, only `language_name`
    "arabic": "ar",
    "chinese": "zh",
    "danish": "da",
    "dutch": "nl",
    "english": "en",
    "finnish": "fi",
    "french": "fr",
    "german": "de",
    "greek": "el",
    "hebrew": "he",
    "hungarian": "hu",
    "italian": "it",
    "japanese": "ja",
    "korean": "ko",
    "latin": "la",
    "polish": "pl",
    "portuguese": "pt",
    "romanian": "ro",
    "russian": "ru",
    "spanish": "es",
    "swedish": "sv",
    "tagalog": "tl",
    "turkish": "tr",
    "ukrainian": "uk",
}


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths, without a split; the catalog's language is for speech only."""
    return once(_recordings(root, options.language))


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    folders, _ = listing(root)
    if not set(folders) & set(CATEGORIES):
        raise layout_error(root, f"a folder {', '.join(CATEGORIES)}")
    for category in (name for name in CATEGORIES if name in folders):
        for folder, names in walk(root, category):
            annotated = ANNOTATIONS in names
            rows, repeated = collect(_annotations(root, folder, category) if annotated else ())
            yield from repeated
            stems = {stem(name) for name in names if is_audio(name)}
            same, doubtful = respelled(rows.keys() - stems, stems - rows.keys())
            for path in (f"{folder}/{name}" for name in names if is_audio(name)):
                source = folder.split("/")[1] if "/" in folder else None
                labels: DraftLabels = {"category": category, "source": source}
                annotation = rows.pop(same.get(stem(path), stem(path)), ("", None))[1]
                if category == "noise" and annotated:
                    labels["background"] = annotation is not None
                if category == "speech" and annotation is None:
                    labels["language"] = language
                yield Recording(stem(path), path, None, present(labels | (annotation or {})))
            for name, (where, _) in rows.items():
                more = otherwise(doubtful.get(name, ()))
                yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: no audio file with this id{more}")


def _annotations(root: Path, folder: str, category: str) -> Iterator[Entry[DraftLabels]]:
    path = root / folder / ANNOTATIONS
    for number, line in lines(path):
        with one_row(path, number):
            fields = line.split()  # some lines end with blanks
            if not fields:
                continue
            labels: DraftLabels = {}
            if category == "music":
                labels = _music(path, number, line, fields)
            elif category == "speech":
                labels = _speech(path, number, line, fields)
            yield fields[0], f"{folder}/{ANNOTATIONS}:{number}", labels


def _music(path: Path, number: int, line: str, fields: list[str]) -> DraftLabels:
    if len(fields) < 3 or fields[2] not in ("Y", "N"):
        raise bad_line(path, number, "stem, genres, Y or N, artist", line)
    labels: DraftLabels = {"genre": [name for name in fields[1].split(",") if name], "vocals": fields[2] == "Y"}
    return labels | dict(zip(("artist", "composer"), fields[3:], strict=False))


def _speech(path: Path, number: int, line: str, fields: list[str]) -> DraftLabels:
    if len(fields) < 3:
        raise bad_line(path, number, "stem, m or f, language", line)
    name = fields[2].lower()
    return {"gender": gender(fields[1]), "language": LANGUAGES.get(name), "language_name": name}
