"""SEP-28k, FluencyBank and SEP-28k-Extended: clips of 3 s from podcasts on stuttering, labelled by three annotators.

    SEP-28k_labels.csv, fluencybank_labels.csv     Show,EpId,ClipId,Start,Stop and 12 columns of counts; rows may have a
                                                   blank after each comma; FluencyBank's EpIds begin with zeros; Start
                                                   and Stop are samples of the episode at 16 kHz
    SEP-28k-Extended_clips.csv                     the same rows with speaker and four splits: SEP12k,SEP28k-E,...
    clips/<Show>/<EpId>/<Show>_<EpId>_<ClipId>.wav

No audio is published: scripts download and cut the episodes, many of which are gone; each missing clip is a finding.
`votes` are the counts (0 to 3); `paralinguistic_events` are the stutters, or their absence, with two votes or more.
`group_id` is the episode, since neighbouring clips overlap (`source_start` and `source_end`, seconds in the episode).
`speaker_id` comes from the Extended table. The option `split` names a column of that table, from which train, dev and
test are taken (default none). Whole episodes (wavs/) and their titles are not read.
Source: apple/ml-stuttering-events-dataset; th-nuernberg/ml-stuttering-events-dataset-extended, README.
Keeps all rows in memory (about 30 MB).
"""

from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.cells import FILLED, WHOLE, require_cells
from earmark.corpora._formats.csv_files import csv_rows
from earmark.corpora._formats.lines import Entry, bad_line
from earmark.corpora._labels import collect, join, present, speakers
from earmark.corpora._options import choice
from earmark.corpora._tree import audio_files, layout_error, listing
from earmark.errors import CorpusError
from earmark.rows import SPLITS, Labels

VERSION = 1
OPTIONS = ("split",)

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
ENOUGH_VOTES = 2  # of three annotators, as is customary
RATE_HZ = 16_000  # of Start and Stop
# Not by the names of episodes: those of two shows repeat one wrong name throughout.
KEY = ("Show", "EpId", "ClipId")

Extended = tuple[str | None, Labels]  # split, further labels
COUNTS = dict.fromkeys(("Start", "Stop", *VOTES), WHOLE)
FILLED_KEY = dict.fromkeys(KEY, FILLED)


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the clips in the order of their paths."""
    column = choice(options, "split", SPLIT_COLUMNS) if options.options.get("split") is not None else None
    return _recordings(root, options.language, column)


def _recordings(root: Path, language: str | None, column: str | None) -> Iterator[Recording | Finding]:
    folders, files = listing(root)
    tables = [name for name in TABLES if name in files]
    if EXTENDED in files and TABLES[0] not in tables:
        tables.append(EXTENDED)  # it repeats the counts of the original table
    if "clips" not in folders or not tables:
        raise layout_error(root, f"a folder clips next to {' or '.join((*TABLES, EXTENDED))}")
    if column and EXTENDED not in files:
        raise CorpusError(
            f"{root}: no {EXTENDED}: expected it for the option split, got {', '.join(files)}. Put it there, or take"
            " the option out of the catalog."
        )
    extended, repeated = collect(_extended(root, column) if EXTENDED in files else ())
    yield from repeated if EXTENDED not in tables else ()  # else its rows are read below, with the same findings
    rows, repeated = collect(row for name in tables for row in _rows(root, name))
    yield from repeated
    for item in join(audio_files(root, "clips"), rows):
        if isinstance(item, Finding):
            yield item
            continue
        name, path, labels = item
        split, more = extended.get(name, ("", (None, {})))[1]
        yield Recording(name, path, split, present({"language": language, **labels, **more}))


def _rows(root: Path, table: str) -> Iterator[Entry[Labels]]:
    """Yield each clip's labels."""
    place = root / table
    for number, row in _stripped(place, (*KEY, "Start", "Stop", *VOTES)):
        with one_row(place, number):
            require_cells(place, number, row, COUNTS)
            if int(row["Start"]) > int(row["Stop"]):
                raise bad_line(place, number, "a Start before its Stop", f"{row['Start']} and {row['Stop']}")
            votes = {name: int(row[column]) for column, name in VOTES.items()}
            labels: Labels = {
                "subset": row["Show"],
                "group_id": f"{row['Show']}_{row['EpId']}",
                "source_start": int(row["Start"]) / RATE_HZ,
                "source_end": int(row["Stop"]) / RATE_HZ,
                "votes": votes,
                "paralinguistic_events": [name for name in EVENTS.values() if votes[name] >= ENOUGH_VOTES],
            }
            # As texts, since the zeros of FluencyBank's EpIds are part of its files' names.
            yield "_".join(row[column] for column in KEY), f"{table}:{number}", labels


def _extended(root: Path, column: str | None) -> Iterator[Entry[Extended]]:
    """Yield the split and the speaker of each clip in the Extended table."""
    for number, row in _stripped(root / EXTENDED, (*KEY, "speaker", *SPLIT_COLUMNS)):
        with one_row(root / EXTENDED, number):
            split = row[column] if column else ""
            if split not in ("", *SPLITS):
                raise bad_line(root / EXTENDED, number, f"train, dev, test or nothing as {column}", split)
            name = "_".join(row[key] for key in KEY)
            yield name, f"{EXTENDED}:{number}", (split or None, speakers(row["speaker"]))


def _stripped(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a table without the blanks around its fields."""
    for number, row in csv_rows(path, columns):
        with one_row(path, number):
            values = {column: value.strip() for column, value in row.items()}
            require_cells(path, number, values, FILLED_KEY)
            yield number, values
