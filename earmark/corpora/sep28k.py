"""SEP-28k, FluencyBank and SEP-28k-Extended: clips of 3 s from podcasts on stuttering, labelled by three annotators.

    SEP-28k_labels.csv, fluencybank_labels.csv     Show,EpId,ClipId,Start,Stop and 12 columns of counts; a blank may
                                                   follow each comma of a row; FluencyBank's EpIds begin with zeros;
                                                   Start and Stop are samples of the episode at 16 kHz
    SEP-28k-Extended_clips.csv                     the same rows with speaker and four splits: SEP12k,SEP28k-E,...
    clips/<Show>/<EpId>/<Show>_<EpId>_<ClipId>.wav

No audio is released: scripts fetch and cut it, and many episodes are gone, so each missing clip is a finding.
`votes` are the counts (0 to 3); `paralinguistic_events` are the stutters, or their absence, with two votes or more.
`group_id` is the episode: neighbouring clips overlap, as `source_start` and `source_end` (seconds in it) show.
`speaker_id` needs the Extended table, and so does the option `split`: the column that tells train, dev and test
(default none). Whole episodes (wavs/) and their titles are not read.
Source: apple/ml-stuttering-events-dataset; th-nuernberg/ml-stuttering-events-dataset-extended.
Holds all rows in memory (about 30 MB).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earmark.corpora import SPLITS, Finding, ReaderOptions, Recording, check_options
from earmark.corpora._csv import csv_rows
from earmark.corpora._labels import Row, bad_line, collect, join, present
from earmark.corpora._tree import audio_files, layout_error, listing
from earmark.errors import CatalogError, CorpusError, near

VERSION = 1

TABLES = ("SEP-28k_labels.csv", "fluencybank_labels.csv")
EXTENDED = "SEP-28k-Extended_clips.csv"
SPLIT_COLUMNS = ("SEP12k", "SEP28k-E", "SEP28k-T", "SEP28k-D")
EVENTS = {  # column -> event
    "Prolongation": "prolongation",
    "Block": "block",
    "SoundRep": "sound_repetition",
    "WordRep": "word_repetition",
    "Interjection": "interjection",
    "NoStutteredWords": "no_stuttered_words",
}
VOTES = {
    **EVENTS,
    "NaturalPause": "natural_pause",
    "DifficultToUnderstand": "difficult_to_understand",
    "Unsure": "unsure",
    "PoorAudioQuality": "poor_audio_quality",
    "Music": "music",
    "NoSpeech": "no_speech",
}
ENOUGH_VOTES = 2
RATE_HZ = 16_000  # of Start and Stop
KEY = ("Show", "EpId", "ClipId")

Said = tuple[str | None, dict[str, Any]]  # split, labels


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the clips in the order of their paths."""
    check_options("sep28k", options, ("split",))
    column = options.options.get("split")
    if column is not None and column not in SPLIT_COLUMNS:
        expected = ", ".join(SPLIT_COLUMNS)
        raise CatalogError(
            f'corpus "sep28k": wrong option split: expected one of {expected}, got {column!r}'
            f"{near(str(column), SPLIT_COLUMNS)}. Correct the dataset's options in the catalog."
        )
    return _recordings(root, options.language, column)


def _recordings(root: Path, language: str | None, column: str | None) -> Iterator[Recording | Finding]:
    folders, files = listing(root)
    tables = [name for name in TABLES if name in files]
    if EXTENDED in files and TABLES[0] not in tables:
        tables.append(EXTENDED)  # it repeats the counts of the original table
    if "clips" not in folders or not tables:
        raise layout_error(root, f"a folder clips beside {' or '.join((*TABLES, EXTENDED))}", [*folders, *files])
    if column and EXTENDED not in files:
        raise CorpusError(
            f"{root}: no {EXTENDED}: expected it for the option split, got {', '.join(files)}. Put it there, or take"
            " the option out of the catalog."
        )
    extended, repeated = collect(_extended(root, column) if EXTENDED in files else ())
    yield from repeated if EXTENDED not in tables else ()  # else told of its rows below
    rows, repeated = collect(row for name in tables for row in _rows(root, name))
    yield from repeated
    for item in join(audio_files(root, "clips"), rows):
        if isinstance(item, Finding):
            yield item
            continue
        name, path, labels = item
        split, more = extended.get(name, ("", (None, {})))[1]
        yield Recording(name, path, split, present({"language": language, **labels, **more}))


def _rows(root: Path, table: str) -> Iterator[Row[dict[str, Any]]]:
    """Yield each clip's labels."""
    for number, row in _stripped(root / table, (*KEY, "Start", "Stop", *VOTES)):
        numbers = {column: row[column] for column in ("Start", "Stop", *VOTES)}
        if not all(value.isdecimal() for value in numbers.values()) or int(row["Start"]) > int(row["Stop"]):
            raise bad_line(root / table, number, "whole numbers as counts, Start and Stop", ",".join(row.values()))
        votes = {name: int(row[column]) for column, name in VOTES.items()}
        labels = {
            "subset": row["Show"],
            "group_id": f"{row['Show']}_{row['EpId']}",
            "source_start": int(row["Start"]) / RATE_HZ,
            "source_end": int(row["Stop"]) / RATE_HZ,
            "votes": votes,
            "paralinguistic_events": [name for name in EVENTS.values() if votes[name] >= ENOUGH_VOTES],
        }
        yield "_".join(row[column] for column in KEY), f"{table}:{number}", labels


def _extended(root: Path, column: str | None) -> Iterator[Row[Said]]:
    """Yield what the Extended table adds to a clip: its split and its speaker."""
    for number, row in _stripped(root / EXTENDED, (*KEY, "speaker", *SPLIT_COLUMNS)):
        split = row[column] if column else ""
        if split not in ("", *SPLITS):
            raise bad_line(root / EXTENDED, number, f"train, dev, test or nothing as {column}", split)
        name = "_".join(row[key] for key in KEY)
        yield name, f"{EXTENDED}:{number}", (split or None, {"speaker_id": row["speaker"]})


def _stripped(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a table without the blanks around its fields."""
    for number, row in csv_rows(path, columns):
        values = {column: value.strip() for column, value in row.items()}
        if not all(values[column] for column in KEY):
            raise bad_line(path, number, "values as Show, EpId and ClipId", ",".join(row.values()))
        yield number, values
