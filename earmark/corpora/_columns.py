"""Columns of home-made metadata: one that is named as a manifest's label becomes it, with its type; others are `extra`.

A cell of a CSV file is text: numbers, true or false, and lists and objects written as JSON are read from it.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from earmark.corpora._emotions import emotion_of_word
from earmark.corpora._labels import bad_line, gender
from earmark.corpora._splits import split_of_name

TEXTS = frozenset(
    {"accent", "artist", "book_id", "category", "chapter_id", "composer", "country", "dialect", "emotion_intensity"}
    | {"emotion_published", "group_id", "instrument", "instrument_family", "instrument_source", "language_name"}
    | {"licence", "nationality", "native_language", "sentiment", "session_id", "singing_technique", "sound_class"}
    | {"source", "speaker_id", "stem", "subset", "text", "text_original", "title", "vowel"}
)
LISTS = frozenset({"defects", "genre", "paralinguistic_events", "qualities", "sound_event_ids", "sound_events"})
FLAGS = frozenset({"background", "singing", "vocals"})
LARGEST = {"fold": 1000, "pitch": 127, "salience": 1000, "velocity": 127}  # whole numbers from 0
SPANS = {"phonemes": "phoneme", "segments": "speaker_id", "words": "word"}  # what each span says beside start and end
WORDS = frozenset({"age", "emotion", "gender", "language"})  # a word that is read
LABELS = TEXTS | LISTS | FLAGS | WORDS | LARGEST.keys() | SPANS.keys() | {"snr_db", "votes"}
OLDEST = 130  # years; a larger number in a column age is none

TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")  # BCP 47
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


def labels_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the labels of a row of metadata; cells without a value give none.

    Raises ValueError, saying which column, what was expected and got.
    """
    labels: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in row.items():
        if value is None or value != value or value in ([], {}) or (isinstance(value, str) and not value.strip()):
            continue
        if name not in LABELS:
            extra[name] = _plain(value)
        elif name in WORDS:
            labels = _word(name, _text(name, value)) | labels  # a column emotion_published says more
        else:
            labels[name] = _typed(name, value)
    return labels | ({"extra": extra} if extra else {})


def labels_and_split(path: Path, number: int, row: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Return the labels of a row, and the split that its column `split` tells. Raises CorpusError."""
    said = str(row.get("split") or "")
    split = split_of_name(said)
    if said and not split:
        raise bad_line(path, number, "train, dev or test as split", said)
    try:
        return labels_of({name: value for name, value in row.items() if name != "split"}), split
    except ValueError as error:
        raise bad_line(path, number, *error.args) from error


def language_labels(published: str) -> dict[str, str]:
    """Return `language` for a BCP 47 tag, `language_name` for anything else."""
    return {"language" if TAG.fullmatch(published) else "language_name": published}


def _word(name: str, value: str) -> dict[str, Any]:
    if name == "emotion":
        return dict(emotion_of_word(value))
    if name == "language":
        return dict(language_labels(value))
    if name == "gender":
        return {"gender": gender(value)}
    years = int(value) if value.isascii() and value.isdecimal() else OLDEST + 1
    return {"age": years if years <= OLDEST else value}


def _typed(name: str, value: Any) -> Any:
    if name in TEXTS:
        return _text(name, value)
    if name in FLAGS:
        word = str(value).lower()
        if word not in (*TRUE, *FALSE):
            raise _wrong(name, "true or false", value)
        return word in TRUE
    if name in LARGEST or name == "snr_db":
        return _number(name, value)
    found = _from_json(value)
    if name in LISTS:
        found = [found] if isinstance(found, str) else found
        if not isinstance(found, list) or not all(isinstance(item, str) and item for item in found):
            raise _wrong(name, "a word, or a list of words", value)
    elif name in SPANS:
        if not isinstance(found, list) or not all(_is_span(item, SPANS[name]) for item in found):
            raise _wrong(name, f"a list of objects with start and end in seconds and {SPANS[name]}", value)
    elif not isinstance(found, dict) or not all(type(count) is int and count >= 0 for count in found.values()):
        raise _wrong(name, "an object of whole numbers", value)
    return found


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _wrong(name, "a text", value)
    return str(value)


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (ValueError, TypeError):
        number = math.nan
    if name in LARGEST:
        if isinstance(value, bool) or not number.is_integer() or not 0 <= number <= LARGEST[name]:
            raise _wrong(name, f"a whole number from 0 to {LARGEST[name]}", value)
        return int(number)
    if isinstance(value, bool) or not math.isfinite(number):
        raise _wrong(name, "a number", value)
    return number


def _from_json(value: Any) -> Any:
    """Return what a text that is written as a JSON list or object says; any other value as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _is_span(item: Any, what: str) -> bool:
    if not isinstance(item, dict) or item.keys() - {"text"} != {"start", "end", what}:
        return False
    numbers, words = (item["start"], item["end"]), [item[name] for name in (what, "text") if name in item]
    return (
        all(type(edge) in (int, float) for edge in numbers)
        and 0 <= numbers[0] <= numbers[1]
        and all(isinstance(word, str) and word for word in words)
        and ("text" not in item or what == SPANS["segments"])
    )


def _plain(value: Any) -> Any:
    """Return a value that a manifest's `extra` may hold: objects as JSON, dates, infinities and the like as text."""
    if isinstance(value, dict):
        return orjson.dumps(value, default=str).decode()
    if isinstance(value, list):
        return [_plain(item) for item in value if item is not None]
    return value if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)) else str(value)


def _wrong(name: str, expected: str, value: Any) -> ValueError:
    return ValueError(f"{expected} in column {name}", str(value))
