"""From label files to recordings: entries by id, matched with the audio files, and values in one form."""

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import TypeVar

from earmark.corpora import AUDIO_WITHOUT_LABEL, LABEL_WITHOUT_AUDIO, REPEATED_ID, Finding, Recording
from earmark.corpora._formats.broken import current
from earmark.corpora._formats.lines import Entry
from earmark.corpora._match import otherwise, respelled
from earmark.corpora._tree import stem
from earmark.rows import Label, Labels

GENDERS = {"f": "female", "m": "male"}
SEVERAL_JOINED = re.compile(r"\s*,?\s+(?:and|&|\+)\s+", re.IGNORECASE)  # between the names of several speakers
SEVERAL_WORDS = re.compile(  # in place of names; "all but Ross" too
    r"(?:all|both|everyone|everybody|several|various|multiple)"
    r"(?:\s+(?:of|but|except|together|actors|people|persons|speakers|voices)\b.*)?",
    re.IGNORECASE,
)

T = TypeVar("T")


def present(fields: Mapping[str, Label | None]) -> Labels:
    """Return the fields that have a value: not None, not an empty list, not text of white space alone."""
    return {
        name: value
        for name, value in fields.items()
        if value is not None and value != [] and not (isinstance(value, str) and not value.strip())
    }


def gender(published: str) -> str:
    """Return "female" or "male" for F or M in any case; any other value as it was published."""
    return GENDERS.get(published.lower(), published)


def speakers(published: str) -> Labels:
    """Return `speaker_id`, or for several who speak at once `several_speakers` and those of them that are named.

    "Both" and "All" are no speaker, and "Ross and Joey" is none either: as a `speaker_id` it would be a third person.
    """
    names = [name for name in SEVERAL_JOINED.split(published.strip()) if name]
    if len(names) < 2 and not SEVERAL_WORDS.fullmatch(published.strip()):
        return present({"speaker_id": published})
    several: Labels = {"several_speakers": True}
    if any(SEVERAL_WORDS.fullmatch(name) for name in names):
        return several  # "All and Ross": who else is not known
    return several | {"speaker_ids": list(dict.fromkeys(names))}


def collect(entries: Iterable[Entry[T]]) -> tuple[dict[str, tuple[str, T]], list[Finding]]:
    """Return {id: (where, value)}, and a finding for each entry whose id came before; the first one counts."""
    by_id: dict[str, tuple[str, T]] = {}
    findings: list[Finding] = []
    for name, where, value in entries:
        if name in by_id:
            detail = f"{name}: labelled before at {by_id[name][0]}, which counts"
            findings.append(Finding(REPEATED_ID, where, detail))
        else:
            by_id[name] = (where, value)
    if reading := current():
        reading.remember(by_id)
    return by_id, findings


def join(paths: Iterable[str], by_id: Mapping[str, tuple[str, T]]) -> Iterator[tuple[str, str, T] | Finding]:
    """Yield (id, path, value) for each audio file whose stem is an id; findings for what is left on either side.

    A stem that is an id but for its spelling (see `_match`) is that id.
    """
    named = [(stem(path), path) for path in paths]
    stems = {name for name, _ in named}
    left = stems - by_id.keys()
    same, doubtful = respelled(by_id.keys() - stems if left else (), left)
    taken: set[str] = set()
    for name, path in named:
        name = same.get(name, name)
        if name in taken:
            yield Finding(REPEATED_ID, path, f"{name}: a second audio file of this id")
        elif name in by_id:
            taken.add(name)
            yield name, path, by_id[name][1]
        else:
            yield Finding(AUDIO_WITHOUT_LABEL, path, f"{name}: no label line with this id")
    yield from without_audio(by_id, taken, doubtful)


def without_audio(
    by_id: Mapping[str, tuple[str, T]], taken: Container[str], doubtful: Mapping[str, list[str]] | None = None
) -> Iterator[Finding]:
    """Yield a finding for each entry whose id no audio file has taken; `doubtful` are names spelled otherwise."""
    for name, (where, _) in by_id.items():
        if name not in taken:
            more = otherwise((doubtful or {}).get(name, ()))
            yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: no audio file with this id{more}")


def once(items: Iterable[Recording | Finding], kind: str = REPEATED_ID) -> Iterator[Recording | Finding]:
    """Pass items on; a recording whose id came before becomes a finding of the given kind.

    Keeps every id in memory (about 0.1 kB each): for corpora of up to a few million recordings.
    """
    seen: set[str] = set()
    for item in items:
        if isinstance(item, Recording):
            if item.id in seen:
                yield Finding(kind, item.path, f"{item.id}: a recording with this id came before")
                continue
            seen.add(item.id)
        yield item
