"""WHAM! noise: two-channel recordings of cafes, bars and parks, cut to the lengths of the wsj0-2mix mixtures.

    {tr,cv,tt}/<id>.wav                      train, dev, test; the id is the name of a mixture, not of the noise
    metadata/noise_meta_{tr,cv,tt}.csv       utterance_id (with .wav), Noise Band, File ID, L to R Width (cm),
                                             Reverberation Level, Location ID, Location Day ID

LibriMix writes copies at other speeds, `<id>sp08.wav` and `<id>sp12.wav`, into the same `tr`; each is a finding.
`group_id` is the location and day, which no two splits share.
Source: the metadata in wham_noise.zip; JorisCos/LibriMix, scripts. Keeps the ids and one split's table in memory (about
20 MB).
"""

from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import DUPLICATE, Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.cells import FILLED, NUMBER, WHOLE, one_of, require_cells
from earmark.corpora._formats.csv_files import csv_rows
from earmark.corpora._formats.lines import Entry
from earmark.corpora._labels import collect, join, once, present
from earmark.corpora._tree import audio_files, layout_error, listing, stem
from earmark.rows import DraftLabels, Labels

VERSION = 1

# The names of wsj0-2mix, whose mixtures the noise was cut for.
FOLDERS = {"tr": "train", "cv": "dev", "tt": "test"}
SPEED_COPIES = {"sp08": "0.8", "sp12": "1.2"}  # ending of the name -> speed
REVERBERATION = {"l": "low", "m": "medium", "h": "high"}
BAND, FILE, WIDTH, LEVEL = "Noise Band", "File ID", "L to R Width (cm)", "Reverberation Level"
PLACE, PLACE_DAY = "Location ID", "Location Day ID"
COLUMNS = ("utterance_id", BAND, FILE, WIDTH, LEVEL, PLACE, PLACE_DAY)
CHECKS = {"utterance_id": FILLED, BAND: WHOLE, WIDTH: NUMBER, LEVEL: one_of(REVERBERATION, "l, m or h")}


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings of train, dev and test, each in the order of its paths."""
    return once(_recordings(root))


def _recordings(root: Path) -> Iterator[Recording | Finding]:
    folders, _ = listing(root)
    if not set(folders) & set(FOLDERS):
        raise layout_error(root, "a folder tr, cv or tt")
    for folder in (name for name in FOLDERS if name in folders):
        rows, repeated = collect(_rows(root, f"metadata/noise_meta_{folder}.csv"))
        yield from repeated
        originals = []
        for path in audio_files(root, folder):
            name = stem(path)
            if name[-4:] in SPEED_COPIES and name not in rows:
                detail = f"{name}: {name[:-4]} at {SPEED_COPIES[name[-4:]]} of its speed, made by LibriMix"
                yield Finding(DUPLICATE, path, detail)
            else:
                originals.append(path)
        for item in join(originals, rows):
            yield item if isinstance(item, Finding) else Recording(item[0], item[1], FOLDERS[folder], item[2])


def _rows(root: Path, table: str) -> Iterator[Entry[Labels]]:
    path = root / table
    for number, row in csv_rows(path, COLUMNS):
        with one_row(path, number):
            name = row["utterance_id"].removesuffix(".wav")
            require_cells(path, number, row, CHECKS)
            labels: DraftLabels = {"noise_band": int(row[BAND]), "microphone_distance_cm": float(row[WIDTH])}
            labels |= {"category": "noise", "reverberation": REVERBERATION[row[LEVEL]], "source_file": row[FILE]}
            yield name, f"{table}:{number}", present(labels | {"location": row[PLACE], "group_id": row[PLACE_DAY]})
