"""VocalSet: 20 professional singers, everything told by folders.

    FULL/<female1..9 or male1..11>/<arpeggios, scales, long_tones, excerpts>/<technique>/<name>.wav
    train_singers_technique.txt, test_singers_technique.txt       one singer a line, no header
    data_by_singer/, data_by_technique/, data_by_vowel/           (release 1.2) the same recordings again

Folders are right where the file's name says something else: names lack the singer, or name another one or another
technique. A name gives the vowel, its last letter, and the song of an excerpt. An id is the path below FULL.
Without the two lists the splits are those of the publisher's paper. Source: Zenodo 1203819 and 1442513.
Holds all paths in memory (about 4,000).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    CONTRADICTION,
    DUPLICATE,
    LABEL_WITHOUT_AUDIO,
    Finding,
    ReaderOptions,
    Recording,
    check_options,
)
from earmark.corpora._labels import bad_line, lines, once, present
from earmark.corpora._tree import audio_files, layout_error, listing, stem

VERSION = 1

TREE = "FULL"
COPIES = ("data_by_singer", "data_by_technique", "data_by_vowel")
TEST_SINGERS = ("female2", "female8", "male3", "male5", "male10")
SINGER = re.compile(r"(f|m)(?:emale|ale)(\d+)")
NAMED_SINGER = re.compile(r"([fm]\d+)_")  # at the start of a file's name
COPY = re.compile(r"\(\d+\)$")
MISSPELT = {"vibrado": "vibrato"}
SPOKEN = "spoken"
TECHNIQUES = frozenset(
    {"belt", "breathy", "fast_forte", "fast_piano", "forte", "inhaled", "lip_trill", "messa", "pp", "slow_forte"}
    | {"slow_piano", SPOKEN, "straight", "trill", "trillo", "vibrato", "vocal_fry"}
)
SONGS = ("caro", "dona", "row")
VOWELS = ("a", "e", "i", "o", "u")


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths; `singing` is False for what is spoken."""
    check_options("vocalset", options)
    return once(_recordings(root, options.language))


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    folders, files = listing(root)
    if TREE not in folders:
        raise layout_error(root, f"a folder {TREE}", [*folders, *files])
    lists = {split: f"{split}_singers_technique.txt" for split in ("train", "test")}
    listed = {split: _singers(root / name) for split, name in lists.items() if name in files}
    paths = list(audio_files(root, TREE))
    there = {path.split("/")[1] for path in paths}
    for split, singers in listed.items():
        for singer, number in singers.items():
            if singer not in there:
                yield Finding(LABEL_WITHOUT_AUDIO, f"{lists[split]}:{number}", f"{singer}: no recording of this singer")
            elif split == "test" and singer in listed.get("train", {}):
                yield Finding(CONTRADICTION, f"{lists[split]}:{number}", f"{singer}: in both lists; test counts")
    splits = {singer: split for split, singers in listed.items() for singer in singers}
    known = set(paths)
    for path in paths:
        singer = path.split("/")[1]
        split_or_none = splits.get(singer) if listed else _published_split(singer)
        yield from _recording(path, known, split_or_none, language)
    yield from _copies(root, [name for name in COPIES if name in folders], paths)


def _copies(root: Path, folders: list[str], paths: list[str]) -> Iterator[Finding]:
    """Yield a finding for each file of the other trees of release 1.2."""
    originals = {path.rpartition("/")[2]: path for path in paths}
    for folder in folders:
        for path in audio_files(root, folder):
            original = originals.get(path.rpartition("/")[2])
            kind, detail = (DUPLICATE, original) if original else (AUDIO_WITHOUT_LABEL, f"no such name below {TREE}")
            yield Finding(kind, path, f"{stem(path)}: {detail}")


def _published_split(singer: str) -> str:
    return "test" if singer in TEST_SINGERS else "train"


def _recording(path: str, here: set[str], split: str | None, language: str | None) -> Iterator[Recording | Finding]:
    """Yield a recording from its path FULL/<singer>/<exercise>/<technique>/<name>, and what its name contradicts."""
    steps = path.split("/")[1:-1]
    name = COPY.sub("", stem(path))
    extension = path[path.rfind(".") :]
    original = f"{path.rpartition('/')[0]}/{name}{extension}"
    match = SINGER.fullmatch(steps[0]) if len(steps) == 3 else None
    if match is None:
        yield Finding(AUDIO_WITHOUT_LABEL, path, f"{name}: not in a folder <singer>/<exercise>/<technique>")
        return
    if original != path and original in here:
        yield Finding(DUPLICATE, path, f"{stem(path)}: {original}")
        return
    singer, exercise, technique = steps[0], steps[1], MISSPELT.get(steps[2], steps[2])
    tokens = name.split("_")
    labels: dict[str, Any] = {
        "speaker_id": singer,
        "gender": "female" if singer.startswith("female") else "male",
        "language": language,
        "singing": technique != SPOKEN,
        "singing_technique": technique,
        "exercise": exercise,
        "vowel": tokens[-1] if tokens[-1] in VOWELS else None,
        "title": next((song for song in SONGS if song in tokens), None),
    }
    yield Recording("/".join((*steps, stem(path))), path, split, present(labels))
    if (named := NAMED_SINGER.match(name)) and named[1] != match[1] + match[2]:
        yield Finding(CONTRADICTION, path, f"{name}: the folder says {singer}, which counts; the name {named[1]}")
    if (told := _named_techniques(name)) and technique not in told:
        yield Finding(CONTRADICTION, path, f"{name}: the folder says {technique}, which counts; the name {told[0]}")


def _named_techniques(name: str) -> list[str]:
    """Return the techniques that a name tells, without those that are a part of another one that it tells."""
    found = [one for one in sorted(TECHNIQUES) if f"_{one}_" in f"_{name}_"]
    return [one for one in found if not any(one != other and f"_{one}_" in f"_{other}_" for other in found)]


def _singers(path: Path) -> dict[str, int]:
    """Return {singer: line number} of a list."""
    found: dict[str, int] = {}
    for number, line in lines(path):
        singer = line.strip()
        if singer and not SINGER.fullmatch(singer):
            raise bad_line(path, number, "a singer such as female1", line)
        if singer:
            found.setdefault(singer, number)
    return found
