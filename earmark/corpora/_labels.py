"""Label files of a corpus: lines as they stand in the file, errors that name the line, and the join with the audio.

UTF-8, with or without a byte order mark, lines ended by LF or CRLF; nothing else is cut or changed.
"""

import codecs
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from earmark.corpora import AUDIO_WITHOUT_LABEL, LABEL_WITHOUT_AUDIO, REPEATED_ID, Finding, Recording
from earmark.corpora._tree import stem
from earmark.errors import CorpusError

SHOWN_CHARACTERS = 80  # of a broken line, in its error

GENDERS = {"f": "female", "m": "male"}

T = TypeVar("T")
Row = tuple[str, str, T]  # id, where it stands ("file:line" or "file"), what it says


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) of a label file; empty lines are passed over.

    Raises CorpusError when the file cannot be read or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                line = decode_line(path, number, raw)
                if line:
                    yield number, line
    except OSError as error:
        raise unreadable(path, error) from error


def decode_line(path: Path, number: int, raw: bytes) -> str:
    """Return one line without its end (LF or CRLF) and, on line 1, without a byte order mark. Raises CorpusError."""
    if number == 1:
        raw = raw.removeprefix(codecs.BOM_UTF8)
    raw = raw[:-2] if raw.endswith(b"\r\n") else raw.removesuffix(b"\n")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}:{number}: not UTF-8: expected UTF-8 text, got byte 0x{raw[error.start]:02x} at byte {error.start}"
            " of the line. Extract the archive again, or convert the file."
        ) from error


def unreadable(path: Path, error: OSError) -> CorpusError:
    """Return the error for a label file that the disk does not give."""
    return CorpusError(
        f"{path}: label file cannot be read: expected a readable file, got: {error.strerror}."
        " Extract the archive again."
    )


def bad_line(path: Path, number: int, expected: str, got: str) -> CorpusError:
    """Return the error for a line of a label file that has not the form that the corpus documents."""
    shown = got if len(got) <= SHOWN_CHARACTERS else f"{got[:SHOWN_CHARACTERS]}..."
    return CorpusError(
        f"{path}:{number}: broken label line: expected {expected}, got {shown!r}."
        " Extract the archive again, or correct the line."
    )


def present(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value: not None, not empty, not only white space."""
    return {
        name: value
        for name, value in fields.items()
        if value is not None and value != [] and not (isinstance(value, str) and not value.strip())
    }


def gender(published: str) -> str:
    """Return "female" or "male" for F or M in any case; any other value as it was published."""
    return GENDERS.get(published.lower(), published)


def collect(rows: Iterable[Row[T]]) -> tuple[dict[str, tuple[str, T]], list[Finding]]:
    """Return rows by id as (where, what), and a finding for each id that stands there again; the first one counts."""
    labels: dict[str, tuple[str, T]] = {}
    findings: list[Finding] = []
    for name, where, value in rows:
        if name in labels:
            detail = f"{name}: labelled before at {labels[name][0]}, which counts"
            findings.append(Finding(REPEATED_ID, where, detail))
        else:
            labels[name] = (where, value)
    return labels, findings


def join(paths: Iterable[str], labels: Mapping[str, tuple[str, T]]) -> Iterator[tuple[str, str, T] | Finding]:
    """Yield (id, path, label) for each audio file whose stem has a label; findings for what is left on either side."""
    taken: set[str] = set()
    for path in paths:
        name = stem(path)
        if name in taken:
            yield Finding(REPEATED_ID, path, f"{name}: a second audio file of this id")
        elif name in labels:
            taken.add(name)
            yield name, path, labels[name][1]
        else:
            yield Finding(AUDIO_WITHOUT_LABEL, path, f"{name}: no label line with this id")
    for name, (where, _) in labels.items():
        if name not in taken:
            yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: no audio file with this id")


def once(items: Iterable[Recording | Finding], kind: str = REPEATED_ID) -> Iterator[Recording | Finding]:
    """Pass items on, a recording whose id came before as a finding of a kind.

    Holds every id in memory (about 0.1 kB each): for corpora of up to a few million recordings.
    """
    seen: set[str] = set()
    for item in items:
        if isinstance(item, Recording):
            if item.id in seen:
                yield Finding(kind, item.path, f"{item.id}: a recording with this id came before")
                continue
            seen.add(item.id)
        yield item
