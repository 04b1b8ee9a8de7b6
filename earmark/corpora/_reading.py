"""What comes out of a reader, looked at in one place: broken rows, languages, genders, texts, and the schema."""

import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from earmark import corpora
from earmark.corpora import BROKEN_LABEL, Finding, Recording
from earmark.corpora._formats.broken import OF_ANOTHER_SHAPE, BrokenLabelError, Reading, during, shorten
from earmark.corpora._formats.lines import unreadable
from earmark.corpora._genders import with_gender
from earmark.corpora._texts import looked_at
from earmark.errors import CorpusError
from earmark.languages import is_language
from earmark.rows import RESERVED, Labels
from earmark.schema import SchemaError, labels

LANGUAGE, LANGUAGE_NAME, DEFECTS = "language", "language_name", "defects"

is_known_language = functools.lru_cache(maxsize=1024)(is_language)


def looked_over(
    corpus: str, root: Path, items: Iterator[Recording | Finding], repair: bool
) -> Iterator[Recording | Finding]:
    """Yield a reader's items with the findings of its broken rows, and each recording as the schema has it.

    A number that no label file should have is a broken label, too. Raises CorpusError for what a reader cannot read,
    and for labels that break a promise of its: a mistake in its code.
    """
    reading = Reading()
    while True:
        item = None
        with during(reading):
            try:
                item = next(items, None)
            except (OSError, *OF_ANOTHER_SHAPE) as error:
                raise _crashed(corpus, reading, error) from error
        if reading.broken:
            yield from [_finding(root, error) for error in reading.broken]
            reading.broken.clear()
        if item is None:
            return
        if isinstance(item, Finding):
            corpora.check_item(corpus, item)
            yield replace(item, path=_encodable(item.path), detail=_encodable(item.detail))
            continue
        corpora.check_place(corpus, item)
        try:
            yield _checked(item, repair)
        except SchemaError as error:
            where = _relative(root, reading.where(item.id))
            if not error.is_limit:
                raise _wrong_label(corpus, item, where, error) from None
            yield Finding(BROKEN_LABEL, where or item.path, f"{item.id}: label {error}")


def _checked(item: Recording, repair: bool) -> Recording:
    """Return a recording whose language is one of BCP 47 and whose texts were looked at. Raises SchemaError."""
    given = item.labels if isinstance(item.labels, dict) else dict(item.labels)
    fitting = _with_known_languages(with_gender(given))
    labels().check(fitting)
    fitting, defects, repaired = looked_at(fitting, repair)
    if defects:
        known = fitting.get(DEFECTS, [])
        fitting = {**fitting, DEFECTS: [*(known if isinstance(known, list | tuple) else ()), *defects]}
    return item if fitting is given else replace(item, labels=fitting, repaired=tuple(repaired))


def _with_known_languages(given: Labels) -> Labels:
    """Return labels in which a `language` that is not one of BCP 47 is a `language_name`; of segments too."""
    fitting = _with_known_language(given)
    segments = given.get("segments")
    if isinstance(segments, list) and any(isinstance(part, dict) and LANGUAGE in part for part in segments):
        fixed = [_with_known_language(part) if isinstance(part, dict) else part for part in segments]
        fitting = {**fitting, "segments": fixed}
    return fitting


def _with_known_language(given: Labels) -> Labels:
    language = given.get(LANGUAGE)
    if not isinstance(language, str) or is_known_language(language):
        return given
    if LANGUAGE_NAME in given:
        return {name: value for name, value in given.items() if name != LANGUAGE}
    return {LANGUAGE_NAME if name == LANGUAGE else name: value for name, value in given.items()}


def _wrong_label(corpus: str, item: Recording, where: str, error: SchemaError) -> CorpusError:
    """Return the error for a label of a reader that is not as the schema of manifests says."""
    if error.field in RESERVED:
        error = SchemaError(error.field, "a field of the corpus", "one that earmark fills")
    labelled = f" (labelled at {where})" if where else ""
    return CorpusError(
        f"reader {corpus}: {item.path}{labelled}: label {error.field}: expected {error.expected}, got {error.got}."
        f" Correct earmark/corpora/{corpus}.py, or list the field in manifest.schema.json."
    )


def _crashed(corpus: str, reading: Reading, error: Exception) -> CorpusError:
    """Return the error for a reader that met what it does not foresee, outside any row."""
    if isinstance(error, OSError):
        return unreadable(Path(error.filename or "a file"), error)
    said = " ".join(f"{type(error).__name__}: {error}".split())
    at = f"{reading.at[0]}: " if reading.at else ""
    return CorpusError(
        f"reader {corpus}: {at}expected what the corpus documents, got another shape ({shorten(said)})."
        " Extract the archive again, or correct the reader."
    )


def _finding(root: Path, error: BrokenLabelError) -> Finding:
    where = _relative(root, f"{error.path}:{error.number}" if error.number is not None else f"{error.path}")
    return Finding(BROKEN_LABEL, _encodable(where), _encodable(error.detail))


def _relative(root: Path, where: str) -> str:
    """Return a place below the root relative to it; any other as it is."""
    return where.removeprefix(f"{root}/")


def _encodable(text: str) -> str:
    """Return a text with U+FFFD in place of what no file can carry: unpaired surrogates."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
