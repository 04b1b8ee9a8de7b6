"""Columns of home-made metadata: a column named as a manifest's label becomes that label; other columns become `extra`.

Each label has one type, whatever the table's: a cell of a CSV file is text, so numbers, true and false are parsed from
it, and lists and objects where they are written as JSON.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import SupportsFloat

import orjson

from earmark.corpora._emotions import emotion_of_word
from earmark.corpora._formats.lines import bad_line
from earmark.corpora._labels import gender, speakers
from earmark.corpora._splits import split_of_name
from earmark.languages import is_language
from earmark.rows import JSON, Label, Labels

TEXTS = frozenset(
    {"accent", "artist", "book_id", "category", "chapter_id", "composer", "country", "dialect", "emotion_intensity"}
    | {
        "emotion_published",
        "gender_published",
        "group_id",
        "instrument",
        "instrument_family",
        "instrument_source",
        "language_name",
    }
    | {"licence", "nationality", "native_language", "sentiment", "session_id", "singing_technique", "sound_class"}
    | {"source", "speaker_id", "stem", "subset", "text", "text_original", "title", "translation", "vowel"}
)
LISTS = frozenset({"defects", "genre", "paralinguistic_events", "qualities", "sound_event_ids", "sound_events"})
FLAGS = frozenset({"background", "singing", "vocals"})
LARGEST = {"fold": 1000, "pitch": 127, "salience": 1000, "velocity": 127}  # whole numbers from 0
SPANS = {"phonemes": "phoneme", "segments": "speaker_id", "words": "word"}  # label -> key of a span besides start, end
WORDS = frozenset({"age", "emotion", "gender", "language"})  # words with one spelling here, whatever the publisher's
LABELS = TEXTS | LISTS | FLAGS | WORDS | LARGEST.keys() | SPANS.keys() | {"snr_db", "votes"}
OLDEST = 130  # years; a larger number in a column `age` stays as text

TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


def labels_of(row: Mapping[str, object]) -> Labels:
    """Return the labels of a row of metadata; cells without a value give none.

    Raises ValueError whose arguments are what was expected in which column, and what was there.
    """
    labels: Labels = {}
    extra: Labels = {}
    for name, value in row.items():
        if value is None or value != value or value in ([], {}) or (isinstance(value, str) and not value.strip()):
            continue  # a NaN is not equal to itself
        if name not in LABELS:
            extra[name] = _plain(value)
        elif name in WORDS:
            # A column emotion_published is the publisher's own word: it must not give way to one derived from emotion.
            labels = _word(name, _text(name, value)) | labels
        elif name == "speaker_id":
            labels |= speakers(_text(name, value))
        elif (typed := _typed(name, value)) not in ([], {}):  # "[]" in a cell is no value either
            labels[name] = typed
    return labels | ({"extra": extra} if extra else {})


def labels_and_split(path: Path, number: int, row: Mapping[str, object]) -> tuple[Labels, str | None]:
    """Return the labels of a row, and the split of its column `split`, if any. Raises CorpusError."""
    published = str(row.get("split") or "")
    split = split_of_name(published)
    if published and not split:
        raise bad_line(path, number, "train, dev or test as split", published)
    try:
        return labels_of({name: value for name, value in row.items() if name != "split"}), split
    except ValueError as error:
        raise bad_line(path, number, *error.args) from error


def language_labels(published: str) -> dict[str, str]:
    """Return `language` for a BCP 47 tag whose parts are registered, `language_name` for anything else."""
    return {"language" if is_language(published) else "language_name": published}


def with_language(labels: Mapping[str, Label], language: str | None) -> Labels:
    """Return labels with the catalog's language added, if they name none themselves."""
    if not language or "language" in labels or "language_name" in labels:
        return dict(labels)
    return {**labels, "language": language}


def _word(name: str, value: str) -> Labels:
    if name == "emotion":
        return dict(emotion_of_word(value))
    if name == "language":
        return dict(language_labels(value))
    if name == "gender":
        return {"gender": gender(value)}
    years = int(value) if value.isascii() and value.isdecimal() else OLDEST + 1
    return {"age": years if years <= OLDEST else value}


def _typed(name: str, value: object) -> Label:
    if name in TEXTS:
        return _text(name, value)
    if name in FLAGS:
        word = str(value).lower()
        if word not in (*TRUE, *FALSE):
            raise _wrong(name, "true or false", value)
        return word in TRUE
    if name in LARGEST or name == "snr_db":
        return _number(name, value)
    return _nested(name, _from_json(value), value)


def _nested(name: str, parsed: object, value: object) -> Label:
    """Return a list or an object of the form that the label has; `value` is the cell as it was, for the error."""
    if name in LISTS:
        words = [parsed] if isinstance(parsed, str) else parsed
        if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
            raise _wrong(name, "a word, or a list of words", value)
        return words
    if name in SPANS:
        if not isinstance(parsed, list) or not all(_is_span(span, SPANS[name]) for span in parsed):
            raise _wrong(name, f"a list of objects with start and end in seconds and {SPANS[name]}", value)
        return parsed
    if not isinstance(parsed, dict) or not all(type(count) is int and count >= 0 for count in parsed.values()):
        raise _wrong(name, "an object of whole numbers", value)
    return parsed


def _text(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _wrong(name, "a text", value)
    return str(value)


def _number(name: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, str | SupportsFloat) else math.nan
    except ValueError:
        number = math.nan
    if name in LARGEST:
        if isinstance(value, bool) or not number.is_integer() or not 0 <= number <= LARGEST[name]:
            raise _wrong(name, f"a whole number from 0 to {LARGEST[name]}", value)
        return int(number)
    if isinstance(value, bool) or not math.isfinite(number):
        raise _wrong(name, "a number", value)
    return number


def _from_json(value: object) -> object:
    """Return a text that is a JSON list or object parsed; any other value as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        parsed: JSON = orjson.loads(value)
        return parsed
    except orjson.JSONDecodeError:
        return value


def _is_span(span: object, key: str) -> bool:
    """Return whether an item of a list is {"start", "end", <key>}; a segment may have `text`, and lack its speaker."""
    may = {"text", key} if key == SPANS["segments"] else set()
    if not isinstance(span, dict) or span.keys() - may != {"start", "end", key} - may:
        return False
    start, end = span["start"], span["end"]
    return (
        type(start) in (int, float)  # not bool, which is an int too
        and type(end) in (int, float)
        and 0 <= start <= end
        and all(isinstance(span[name], str) and span[name] for name in (key, "text") if name in span)
        and ("text" not in span or key == SPANS["segments"])
    )


def _plain(value: object) -> Label:
    """Return a value as `extra` may contain it: objects as JSON text; dates, infinities and the like as text."""
    if isinstance(value, dict):
        return orjson.dumps(_spelled(value), default=str).decode()
    if isinstance(value, list):
        return [_plain(item) for item in value if item is not None]
    return value if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)) else str(value)


def _spelled(value: object) -> object:
    """Return a value in which numbers that are not finite are words: orjson would write them as null."""
    if isinstance(value, dict):
        return {name: _spelled(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _wrong(name: str, expected: str, value: object) -> ValueError:
    return ValueError(f"{expected} in column {name}", str(value))
