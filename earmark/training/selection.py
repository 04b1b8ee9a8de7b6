"""Selection: which rows of a manifest a job takes, as recordings or as their segments, and into which split.

A segment becomes a row of its own: the recording's row with the segment's `start`, `end`, `duration`, speaker and text,
and the id `<recording id>:<start ms>-<end ms>`; `audio_path` and `audio_hash` stay the recording's; `overlapped` is
the share of it during which another speaker speaks, too. A recording without segments is one segment, itself. A
segment that reaches beyond its recording by more than rounding has a defect (see `earmark.training.bounds`).
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import xxhash

from earmark.audio.defects import SEGMENT_BEYOND, kind_of
from earmark.audio.table import GoodAudio
from earmark.catalog.licences import allows
from earmark.catalog.tables import JobTable
from earmark.training import bounds
from earmark.training.manifest_row import AUDIO, GROUP, SPEAKER, ManifestRow, Segment

OVERLAPPED: Final = "overlapped"
OF_THE_WHOLE = frozenset({"segments", "text", "text_original", "words", "phonemes"})  # what no segment inherits


@dataclass(frozen=True)
class JobDataset:
    """One dataset of a job: its manifest's files in order, and its facts from the catalog.

    `spaces` names labels whose values mean the same in other datasets; `features` is the feature manifest of each
    encoder by name. `tables` are its tables of canonical audio in order, where how loud recordings are decides.
    """

    name: str
    files: tuple[Path, ...]
    licence: str | None = None
    disjoint: tuple[str, ...] = ()
    spaces: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, Path] = field(default_factory=dict)
    tables: tuple[Path, ...] = ()

    def qualified(self, label: str, value: object) -> bytes:
        """Return a label's value as it is compared: within its space, or else within its dataset."""
        return f"{label}\0{self.spaces.get(label, self.name)}\0{value}".encode()

    def mark(self, label: str, value: object) -> int:
        """Return a 64-bit hash of a label's value as it is compared."""
        return xxhash.xxh3_64_intdigest(self.qualified(label, value))


def rows_of(job: JobTable, recording: ManifestRow) -> Iterator[ManifestRow]:
    """Yield the rows that a recording is for a job: itself, or its segments; a segment ends where the audio ends."""
    segments = recording.get("segments")
    if job.unit == "recording" or not segments:
        yield recording
        return
    whole = {name: value for name, value in recording.items() if name not in OF_THE_WHOLE}
    seen: Counter[str] = Counter()
    shares = _overlaps(segments, recording["duration"])
    for number, segment in enumerate(segments):
        start, end = segment["start"], min(segment["end"], recording["duration"])
        name = f"{recording['id']}:{round(start * 1000):08d}-{round(end * 1000):08d}"
        seen[name] += 1
        if seen[name] > 1:  # two speakers at exactly the same time
            name += f"-{seen[name]}"
        # rounded to microseconds: 2.3 - 1.1 is 1.1999999999999997, and the file would say so
        own = {"id": name, "start": start, "end": end, "duration": round(end - start, 6)}
        row = cast("ManifestRow", {**whole, **segment, **own})
        if number in shares:
            row["overlapped"] = shares[number]
        if defects := [*recording.get("defects", []), *_defects(segment, recording["duration"])]:
            row["defects"] = defects
        yield row


def without_beyond(job: JobTable, recording: ManifestRow) -> tuple[ManifestRow, int]:
    """Return a recording without the segments that reach beyond it, and how many those are; all if a job keeps them."""
    segments = recording.get("segments", [])
    inside = [segment for segment in segments if not _defects(segment, recording["duration"])]
    if job.keep_defects or len(inside) == len(segments):
        return recording, 0
    rest = {name: value for name, value in recording.items() if name != "segments" or inside}
    return cast("ManifestRow", {**rest, **({"segments": inside} if inside else {})}), len(segments) - len(inside)


def _defects(segment: Segment, duration_s: float) -> list[str]:
    """Return the defects of a segment by its manifest, and by its recording's length."""
    known = segment.get("defects", [])
    if not any(map(bounds.is_segment_beyond, known)) and bounds.is_beyond(segment, duration_s):
        return [*known, bounds.beyond(segment, duration_s)]
    return known


def _overlaps(segments: list[Segment], duration_s: float) -> dict[int, float]:
    """Return the share of each segment, sorted by start, during which others speak; by number, only where they do.

    A speaker who is not known may be another.
    """
    spans: dict[int, list[tuple[float, float]]] = {}
    for number, segment in enumerate(segments):
        for later in range(number + 1, len(segments)):
            other = segments[later]
            if other["start"] >= segment["end"]:  # sorted by start: none after it begins earlier
                break
            if other["end"] > other["start"] and (SPEAKER not in other or other[SPEAKER] != segment.get(SPEAKER)):
                both = (other["start"], min(segment["end"], other["end"]))
                spans.setdefault(number, []).append(both)
                spans.setdefault(later, []).append(both)
    return {number: _share(found, segments[number], duration_s) for number, found in spans.items()}


def _share(spans: list[tuple[float, float]], segment: Segment, duration_s: float) -> float:
    """Return which share of a segment some spans in it cover, to the millionth, and more than 0."""
    covered, last = 0.0, 0.0
    for start, end in sorted(spans):
        covered += max(0.0, min(end, duration_s) - max(start, last))
        last = max(last, end)
    length = min(segment["end"], duration_s) - segment["start"]
    return min(1.0, max(1e-6, round(covered / length, 6))) if length > 0 else 1.0


def refusal(job: JobTable, dataset: JobDataset, row: ManifestRow) -> str:
    """Return why a job leaves a row out, in the words of its summary; an empty string where it takes it."""
    if "defects" in row and not _are_kept(job, row["defects"]):
        return SEGMENT_BEYOND if any(map(bounds.is_segment_beyond, row["defects"])) else "defects"
    for label in job.labels:
        if label not in row and not any(name in row for name in label.split("|")):
            return f"no {label}"
    if row["duration"] <= 0:  # a segment that begins where its audio ends, or after
        return "no length"
    if job.min_duration is not None and row["duration"] < job.min_duration:
        return "too short"
    if job.max_duration is not None and row["duration"] > job.max_duration:
        return "too long"
    if job.max_overlap is not None and row.get(OVERLAPPED, 0.0) > job.max_overlap:
        return OVERLAPPED
    if job.languages and not any(_is_language(row.get("language", ""), wanted) for wanted in job.languages):
        return "other language" if "language" in row else "no language"
    if job.licences:
        licence = row.get("licence", dataset.licence)
        if not licence or not allows(job.licences, licence):
            return f"licence {licence}" if licence else "no licence known"
    if job.splits and row.get("split") not in job.splits:
        return "other split" if "split" in row else "no split"
    return _refused_label(job, row) if job.where or job.without else ""


def _are_kept(job: JobTable, defects: Collection[str]) -> bool:
    """Say whether a row stays with these defects: all of their kinds are named, or any is taken."""
    keep = job.keep_defects
    return keep if isinstance(keep, bool) else all(kind_of(told) in keep for told in defects)


def refused_level(job: JobTable, audio: GoodAudio) -> str:
    """Return why a job leaves a recording out for how loud it is, all its segments with it; else an empty string."""
    if job.min_rms_db is not None and audio.rms < 10 ** (job.min_rms_db / 20):
        return "too quiet"
    if job.max_clipped is not None and audio.clipped > job.max_clipped:
        return "clipped"
    if job.max_silence is not None and audio.silence > job.max_silence:
        return "too much silence"
    return ""


def _refused_label(job: JobTable, labels: Mapping[str, object]) -> str:
    """Return which label of a row is not as `where` and `without` of a job want it, or an empty string."""
    for label, wanted in job.where.items():
        if label not in labels or not _matching(_asked(label, labels), wanted):
            return f"other {label}" if label in labels else f"no {label}"
    for label, barred in job.without.items():
        if label in labels and (values := _matching(_asked(label, labels), barred)):
            return f"{label} {values[0]}"
    return ""


def _asked(label: str, labels: Mapping[str, object]) -> object:
    """Return the value of a label as a job asks for it: whether a row is overlapped, by whatever share."""
    return label in labels if label == OVERLAPPED else labels[label]


def split_of(job: JobTable, dataset: JobDataset, recording: ManifestRow) -> str | None:
    """Return the split of a recording and all its segments: by the first of the job's policies that can tell."""
    for policy in job.split:
        if policy == "official" and "split" in recording:
            return recording["split"]
        if policy == "fold" and "fold" in recording:
            fold = recording["fold"]
            return "test" if fold in job.test_folds else "dev" if fold in job.dev_folds else "train"
        if policy == "group":
            # By the group's own hash, never by counting: a dataset or row that joins later moves no other.
            share = xxhash.xxh3_64_intdigest(f"{job.seed}\0".encode() + _group(dataset, recording)) / 2**64
            return "test" if share < job.test else "dev" if share < job.test + job.dev else "train"
    return job.unsplit


def values_of(row: ManifestRow, label: str) -> list[object]:
    """Return what a row and its segments have of a label or of its plural, each item of a list by itself."""
    parts: tuple[Mapping[str, object], ...] = (row, *row["segments"]) if "segments" in row else (row,)
    values: list[object] = []
    for part in parts:
        for name in (label, f"{label}s"):  # the speakers of a mixture are its `speaker_ids`
            value = part.get(name)
            if value is not None:
                values += value if isinstance(value, list) else [value]
    return values


def _group(dataset: JobDataset, recording: ManifestRow) -> bytes:
    """Return what keeps a recording on one side of a split: its dataset's group, else its speaker, else its audio."""
    labels: Mapping[str, object] = recording
    for label in (*dataset.disjoint, GROUP, SPEAKER):
        value = labels.get(label)
        if value is not None:
            return dataset.qualified(label, value)
    return recording[AUDIO].encode()


def _matching(value: object, wanted: object) -> list[object]:
    """Return those values of a label, one or a list, that are what is wanted, or one of what is wanted."""
    choices = _as_list(wanted)
    return [one for one in _as_list(value) if one in choices]


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _is_language(language: str, wanted: str) -> bool:
    """Say whether a BCP 47 tag is another or narrower, in any case: "en" takes in "en-GB"."""
    return f"{language}-".lower().startswith(f"{wanted}-".lower())
