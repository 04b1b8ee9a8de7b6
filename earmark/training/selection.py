"""Selection: which rows of a manifest a job takes, as recordings or as their segments, and into which split.

A segment is a row of its own: the recording's row with the segment's `start`, `end`, `duration`, speaker and text, and
the id `<recording id>:<start ms>-<end ms>`; `audio_path` and `audio_hash` stay the recording's; `overlapped` is true
where another speaker speaks, too. A recording without segments is one segment, itself.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xxhash

from earmark.catalog.licences import allows
from earmark.catalog.tables import JobTable

Row = dict[str, Any]
SPEAKER, GROUP = "speaker_id", "group_id"
AUDIO = "audio_hash"
OF_THE_WHOLE = frozenset({"segments", "text", "text_original", "words", "phonemes"})  # what no segment inherits


@dataclass(frozen=True)
class Source:
    """One dataset of a job: its manifest's files in order, and what the catalog says of it.

    `spaces` names labels whose values mean the same in other datasets; `features` is the feature manifest of each
    encoder by name.
    """

    name: str
    files: tuple[Path, ...]
    licence: str | None = None
    disjoint: tuple[str, ...] = ()
    spaces: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, Path] = field(default_factory=dict)

    def qualified(self, label: str, value: Any) -> bytes:
        """Return a label's value as it is compared: within its space, or else within its dataset."""
        return f"{label}\0{self.spaces.get(label, self.name)}\0{value}".encode()

    def mark(self, label: str, value: Any) -> int:
        """Return 64 bits that stand for a label's value as it is compared."""
        return xxhash.xxh3_64_intdigest(self.qualified(label, value))


def units(job: JobTable, recording: Row) -> Iterator[Row]:
    """Yield the rows that a recording is for a job: itself, or its segments; a segment ends where the audio ends."""
    segments = recording.get("segments")
    if job.unit == "recording" or not segments:
        yield recording
        return
    whole = {name: value for name, value in recording.items() if name not in OF_THE_WHOLE}
    seen: Counter[str] = Counter()
    overlapped = _overlapped(segments)
    for number, segment in enumerate(segments):
        start, end = segment["start"], min(segment["end"], recording["duration"])
        name = f"{recording['id']}:{round(start * 1000):08d}-{round(end * 1000):08d}"
        seen[name] += 1
        if seen[name] > 1:  # two speakers at exactly the same time
            name += f"-{seen[name]}"
        row = whole | segment | {"id": name, "start": start, "end": end, "duration": round(end - start, 6)}
        yield row | {"overlapped": True} if number in overlapped else row


def _overlapped(segments: list[Row]) -> set[int]:
    """Return the numbers of the segments, sorted by start, during which another speaker has one, too."""
    found = set()
    for number, segment in enumerate(segments):
        for later in range(number + 1, len(segments)):
            other = segments[later]
            if other["start"] >= segment["end"]:
                break
            if other["end"] > other["start"] and other.get(SPEAKER) != segment.get(SPEAKER):
                found |= {number, later}
    return found


def refusal(job: JobTable, source: Source, row: Row) -> str:
    """Return why a job leaves a row out, in the words of its summary; an empty string where it takes it."""
    if "defects" in row and not job.keep_defects:
        return "defects"
    for label in job.labels:
        if label not in row and not any(name in row for name in label.split("|")):
            return f"no {label}"
    if row["duration"] <= 0:
        return "no length"
    if job.min_duration is not None and row["duration"] < job.min_duration:
        return "too short"
    if job.max_duration is not None and row["duration"] > job.max_duration:
        return "too long"
    if job.languages and not any(_speaks(row.get("language", ""), wanted) for wanted in job.languages):
        return "other language" if "language" in row else "no language"
    if job.licences:
        licence = row.get("licence", source.licence)
        if not licence or not allows(job.licences, licence):
            return f"licence {licence}" if licence else "no licence known"
    if job.splits and row.get("split") not in job.splits:
        return "other split" if "split" in row else "no split"
    for label, wanted in job.where.items():
        if label not in row or not _are(row[label], wanted):
            return f"other {label}" if label in row else f"no {label}"
    for label, barred in job.without.items():
        if label in row and (found := _are(row[label], barred)):
            return f"{label} {found[0]}"
    return ""


def split_of(job: JobTable, source: Source, recording: Row) -> str | None:
    """Return the split of a recording and all its segments: by the first of the job's policies that can tell."""
    for policy in job.split:
        if policy == "official" and "split" in recording:
            return str(recording["split"])
        if policy == "fold" and "fold" in recording:
            fold = recording["fold"]
            return "test" if fold in job.test_folds else "dev" if fold in job.dev_folds else "train"
        if policy == "group":
            share = xxhash.xxh3_64_intdigest(f"{job.seed}\0".encode() + _group(source, recording)) / 2**64
            return "test" if share < job.test else "dev" if share < job.test + job.dev else "train"
    return job.unsplit


def values(row: Row, label: str) -> list[Any]:
    """Return what a row and its segments hold of a label or of its plural, each item of a list by itself."""
    found, several = [], f"{label}s"  # the speakers of a mixture are its `speaker_ids`
    for part in (row, *row["segments"]) if "segments" in row else (row,):
        for name in (label, several):
            value = part.get(name)
            if value is not None:
                found += value if isinstance(value, list) else [value]
    return found


def _group(source: Source, recording: Row) -> bytes:
    """Return what keeps a recording on one side of a split: its dataset's group, else its speaker, else its audio."""
    for label in (*source.disjoint, GROUP, SPEAKER):
        value = recording.get(label)
        if value is not None:
            return source.qualified(label, value)
    return str(recording[AUDIO]).encode()


def _are(value: Any, wanted: Any) -> list[Any]:
    """Return those values of a label, one or a list, that are what is wanted, or one of what is wanted."""
    several = wanted if isinstance(wanted, list) else [wanted]
    return [one for one in (value if isinstance(value, list) else [value]) if one in several]


def _speaks(language: str, wanted: str) -> bool:
    """Say whether a BCP 47 tag is another or narrower, in any case: "en" takes in "en-GB"."""
    return f"{language}-".lower().startswith(f"{wanted}-".lower())
