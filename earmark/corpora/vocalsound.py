"""VocalSound: coughs, laughs, sighs, sneezes, sniffs and cleared throats, recorded by volunteers.

    audio_16k/<f|m><4 digits>_<collection>_<event>.wav         or another folder audio_* or data_* (release in 44.1 kHz)
    datafiles/{tr,val,te}.json      {"data": [{"wav": "<a path on the author's machine>/<name>.wav", "labels": <MID>}]}
    meta/*_meta.csv                 no header: speaker, gender, age, country, native language, health condition or "no"

The event comes from the name, the split from the list with that name; about 50 files are in no list and have no split.
The speaker is the first part of the name with its letter, since the numbers of women and men may overlap. Some 30 files
of the 16 kHz release cannot be decoded; that is found when they are.
Source: YuanGongND/vocalsound, README; the AudioSet ontology for MIDs.
Keeps the lists and the speakers in memory (about 10 MB).
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    CONTRADICTION,
    DUPLICATE,
    LABEL_WITHOUT_AUDIO,
    Finding,
    ReaderOptions,
    Recording,
)
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.csv_files import csv_rows
from earmark.corpora._formats.json_files import json_file
from earmark.corpora._formats.lines import bad_line
from earmark.corpora._labels import gender, present
from earmark.corpora._tree import audio_files, layout_error, listing, stem
from earmark.rows import Labels

VERSION = 1

LISTS = {"tr": "train", "val": "dev", "te": "test"}
AUDIO_FOLDER = re.compile(r"(audio|data)_\d+k")
EVENTS = {  # as names have them -> AudioSet MID, as the lists have them
    "cough": "/m/01b_21",
    "laughter": "/m/01j3sz",
    "sigh": "/m/07plz5l",
    "sneeze": "/m/01hsr_",
    "sniff": "/m/07ppn3j",
    "throatclearing": "/m/0dl9sf8",
}
NAME = re.compile(rf"([fm]\d{{4}})_(\d+)_({'|'.join(EVENTS)})")
PEOPLE = ("speaker", "gender", "age", "country", "native language", "health condition")  # columns, without a header
HEALTHY = "no"

Lists = dict[str, tuple[str, str]]  # name -> list, MID


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths; of two audio folders the first one counts."""
    return _recordings(root)


def _recordings(root: Path) -> Iterator[Recording | Finding]:
    folders, _ = listing(root)
    audio = [name for name in folders if AUDIO_FOLDER.fullmatch(name)]
    if not audio or "datafiles" not in folders:
        raise layout_error(root, "a folder audio_16k or audio_44k next to a folder datafiles")
    listed: Lists = {}
    for name in LISTS:
        yield from _add_list(root, name, listed)
    speakers: dict[str, Labels] = {}
    if "meta" in folders:
        for name in listing(root / "meta")[1]:
            if name.endswith("_meta.csv"):
                yield from _add_speakers(root, f"meta/{name}", speakers)
    taken: dict[str, str] = {}
    for path in (path for folder in audio for path in audio_files(root, folder)):
        name = stem(path)
        match = NAME.fullmatch(name)
        if match is None:
            detail = f"{name}: expected <f or m><4 digits>_<number>_<{', '.join(EVENTS)}>"
            yield Finding(AUDIO_WITHOUT_LABEL, path, detail)
        elif name in taken:
            yield Finding(DUPLICATE, path, f"{name}: {taken[name]}")
        else:
            taken[name] = path
            yield from _recording(path, match, listed, speakers)
    for name, (part, _) in listed.items():
        if name not in taken:
            yield Finding(LABEL_WITHOUT_AUDIO, _path(part), f"{name}: no audio file with this name")


def _recording(
    path: str, match: re.Match[str], listed: Lists, speakers: Mapping[str, Labels]
) -> Iterator[Recording | Finding]:
    speaker, collection, event = match.groups()
    part, mid = listed.get(match[0], (None, EVENTS[event]))
    if part and mid != EVENTS[event]:
        detail = f"{match[0]}: the name says {event}, which counts; the list says {mid}"
        yield Finding(CONTRADICTION, _path(part), detail)
    labels: Labels = {"speaker_id": speaker, "gender": gender(speaker[0]), "collection": int(collection)}
    labels |= {"paralinguistic_events": [event], **speakers.get(speaker, {})}
    yield Recording(match[0], path, LISTS[part] if part else None, present(labels))


def _path(part: str) -> str:
    return f"datafiles/{part}.json"


def _add_list(root: Path, name: str, listed: Lists) -> Iterator[Finding]:
    """Add the files of a list to `listed`; a file that is in an earlier list stays there, and is a finding."""
    path = root / _path(name)
    rows = json_file(path).get("data")
    if not isinstance(rows, list):
        raise bad_line(path, 1, 'an object with a list as "data"', str(rows))
    for number, row in enumerate(rows, 1):
        with one_row(path):
            wav, mid = (row.get("wav"), row.get("labels")) if isinstance(row, dict) else (None, None)
            if not isinstance(wav, str) or not isinstance(mid, str):
                raise bad_line(
                    path, 1, f'entry {number} of "data" to be an object with the texts wav and labels', str(row)
                )
            recording = stem(wav)  # its folders are those of the author's machine
            if recording in listed:
                where = _path(listed[recording][0])
                yield Finding(CONTRADICTION, _path(name), f"{recording}: also in {where}, which counts")
            else:
                listed[recording] = (name, mid)


def _add_speakers(root: Path, name: str, speakers: dict[str, Labels]) -> Iterator[Finding]:
    """Add the speakers of a table to `speakers`; all_meta.csv repeats the others."""
    for number, row in csv_rows(root / name, PEOPLE, headed=False, spaced=True):
        with one_row(root / name, number):
            speaker, sex, age, country, native, health = (value.strip() for value in row.values())
            if not speaker:
                raise bad_line(root / name, number, "a speaker in the first column", speaker)
            labels = present(
                {
                    "gender": gender(sex),
                    "age": int(age) if age.isdecimal() else age,
                    "country": country,
                    "native_language": native,
                    "health_condition": None if health == HEALTHY else health,
                }
            )
            if speakers.setdefault(speaker, labels) != labels:
                yield Finding(CONTRADICTION, f"{name}:{number}", f"{speaker}: described otherwise before, which counts")
