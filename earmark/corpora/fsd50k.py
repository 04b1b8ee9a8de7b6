"""FSD50K: sound events from Freesound, several classes a clip, in AudioSet's ontology.

    FSD50K.{dev,eval}_audio/<fname>.wav               or FSD50K.{dev,eval}_audio_16k/, as some mirrors have it
    FSD50K.ground_truth/dev.csv                       fname,labels,mids,split       header; split is train or val
    FSD50K.ground_truth/eval.csv                      fname,labels,mids             header
    FSD50K.ground_truth/vocabulary.csv                <index>,<label>,<mid>         no header
    FSD50K.metadata/{dev,eval}_clips_info_FSD50K.json {"<fname>": {"license": <URL>, "uploader": ..., ...}, ...}

`labels` and `mids` are lists with commas, quoted if they have more than one item; with a class they contain its
ancestors. In dev labels may be missing (a class that is not named may be heard), in eval they are complete. Splits are
train, val (dev) and eval (test). No uploader (`group_id`) of eval is in dev; train and val may share some. Without
FSD50K.metadata recordings have neither `group_id` nor `licence`. A part without a folder of audio is one finding.
Source: Zenodo record 4060432, README. Keeps one part's tables in memory, 40 MB for dev; the metadata is read through a
window.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import DUPLICATE, INCOMPLETE, Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.cells import FILLED, one_of, require_cells
from earmark.corpora._formats.csv_files import csv_rows
from earmark.corpora._formats.json_stream import json_members
from earmark.corpora._formats.lines import Entry, bad_line
from earmark.corpora._labels import collect, join, once, present
from earmark.corpora._tree import audio_files, is_file, layout_error, listing
from earmark.rows import Labels

VERSION = 1

TRUTH, METADATA = "FSD50K.ground_truth", "FSD50K.metadata"
SPLIT_OF = {"train": "train", "val": "dev"}  # value in dev.csv -> split
# Clips have one of CC0, CC-BY, CC-BY-NC and Sampling+; FSD50K.metadata gives their URLs.
CREATIVE_COMMONS = re.compile(r"https?://creativecommons\.org/(?:licenses/([a-z-]+)|publicdomain/(zero))/(\d\.\d)/?")


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the clips of dev, then of eval, in the order of their paths; an id is the clip's Freesound id."""
    return once(_recordings(root))


def _recordings(root: Path) -> Iterator[Recording | Finding]:
    folders, _ = listing(root)
    parts = [part for part in ("dev", "eval") if is_file(root / TRUTH / f"{part}.csv")]
    if not parts:
        raise layout_error(root, f"a folder {TRUTH} with dev.csv or eval.csv")
    vocabulary = _vocabulary(root / TRUTH / "vocabulary.csv")
    for part in parts:
        rows, repeated = collect(_rows(root, part, vocabulary))
        yield from repeated
        # Some mirrors have only the resampled folders.
        audio = [name for name in (f"FSD50K.{part}_audio", f"FSD50K.{part}_audio_16k") if name in folders]
        if not audio:
            detail = f"no folder FSD50K.{part}_audio, {len(rows):,} clips are labelled"
            yield Finding(INCOMPLETE, f"{TRUTH}/{part}.csv", detail)
            continue
        for folder in audio[1:]:
            yield Finding(DUPLICATE, folder, f"the clips of {audio[0]} at another rate")
        clips = root / METADATA / f"{part}_clips_info_FSD50K.json"
        published = dict(_published(clips)) if is_file(clips) else {}
        for item in join(audio_files(root, audio[0]), rows):
            if isinstance(item, Finding):
                yield item
                continue
            name, path, (split, labels) = item
            yield Recording(name, path, split, labels | published.get(name, {}))


def _rows(root: Path, part: str, vocabulary: dict[str, str]) -> Iterator[Entry[tuple[str, Labels]]]:
    """Yield (clip, where, (split, labels)) of dev.csv or eval.csv."""
    table = f"{TRUTH}/{part}.csv"
    columns = ("fname", "labels", "mids", "split") if part == "dev" else ("fname", "labels", "mids")
    place = root / table
    checks = {"fname": FILLED} | ({"split": one_of(SPLIT_OF, "train or val")} if part == "dev" else {})
    for number, row in csv_rows(place, columns):
        with one_row(place, number):
            names, ids = row["labels"].split(","), row["mids"].split(",")
            require_cells(place, number, row, checks)
            split = SPLIT_OF[row["split"]] if part == "dev" else "test"
            if len(names) != len(ids) or not all(names) or not all(ids):
                raise bad_line(place, number, "as many mids as labels", f"{row['labels']} and {row['mids']}")
            # Names differ from AudioSet's, and of five classes the meaning too: only mids are comparable.
            for name, mid in zip(names, ids, strict=True):
                if vocabulary and vocabulary.get(name) != mid:
                    raise bad_line(place, number, "classes of vocabulary.csv with their mids", f"{name}, {mid}")
            labels: Labels = {"sound_events": names, "sound_event_ids": ids, "freesound_id": row["fname"]}
            yield row["fname"], f"{table}:{number}", (split, labels)


def _vocabulary(path: Path) -> dict[str, str]:
    """Return {class: its AudioSet id}, empty without the file."""
    if not is_file(path):
        return {}
    return {row["label"]: row["mid"] for _, row in csv_rows(path, ("index", "label", "mid"), headed=False)}


def _published(path: Path) -> Iterator[tuple[str, Labels]]:
    """Yield (clip, labels): its licence, and its uploader as the group."""
    for number, name, clip in json_members(path):
        with one_row(path, number):
            url, uploader = (clip.get("license"), clip.get("uploader")) if isinstance(clip, dict) else (None, None)
            if not isinstance(url, str) or not isinstance(uploader, str):
                raise bad_line(path, number, 'a clip {"license": <URL>, "uploader": <name>}', name)
            yield name, present({"licence": _licence(url), "group_id": uploader})


def _licence(url: str) -> str:
    """Return the SPDX name of a Creative Commons licence, or the published URL of any other, such as Sampling+."""
    match = CREATIVE_COMMONS.fullmatch(url)
    if match is None:
        return url
    return f"CC0-{match[3]}" if match[2] else f"CC-{match[1].upper()}-{match[3]}"
