"""VocalSet: 20 professional singers; folders give singer, exercise and technique.

    FULL/<female1..9 or male1..11>/<arpeggios, scales, long_tones, excerpts>/<technique>/<name>.wav
    train_singers_technique.txt, test_singers_technique.txt       a singer on each line, no header
    data_by_singer/, data_by_technique/, data_by_vowel/           (release 1.2) the same recordings again

If a file's name contradicts its folders, the folders count: some names lack the singer, or name another singer or
technique. The name gives the vowel, its last letter, and the song of an excerpt. An id is the path below FULL. Without
the two lists the test singers are those of the publisher's list.
Source: Zenodo records 1203819 and 1442513. Keeps all paths in memory (about 4,000).
"""

import re
from collections.abc import Iterator
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
from earmark.corpora._formats.lines import bad_line, lines
from earmark.corpora._labels import once, present
from earmark.corpora._tree import audio_files, layout_error, listing, stem
from earmark.rows import DraftLabels

VERSION = 1

TREE = "FULL"
COPIES = ("data_by_singer", "data_by_technique", "data_by_vowel")
# test_singers_technique.txt as published; a copy may lack the file.
TEST_SINGERS = ("female2", "female8", "male3", "male5", "male10")
SINGER = re.compile(r"(f|m)(?:emale|ale)(\d+)")
NAMED_SINGER = re.compile(r"([fm]\d+)_")  # at the start of a file's name; m1 must not match m10
COPY = re.compile(r"\(\d+\)$")  # at the end of the name of a second copy
MISSPELT = {"vibrado": "vibrato"}  # a folder of female2
SPOKEN = "spoken"
TECHNIQUES = frozenset(
    {"belt", "breathy", "fast_forte", "fast_piano", "forte", "inhaled", "lip_trill", "messa", "pp", "slow_forte"}
    | {"slow_piano", SPOKEN, "straight", "trill", "trillo", "vibrato", "vocal_fry"}
)
SONGS = ("caro", "dona", "row")  # Caro mio ben, Dona nobis pacem, Row row row your boat
VOWELS = ("a", "e", "i", "o", "u")


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths; `singing` is False for what is spoken."""
    return once(_recordings(root, options.language))


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    folders, files = listing(root)
    if TREE not in folders:
        raise layout_error(root, f"a folder {TREE}")
    lists = {split: f"{split}_singers_technique.txt" for split in ("train", "test")}
    listed = {split: _singers(root / name) for split, name in lists.items() if name in files}
    paths = list(audio_files(root, TREE))
    recorded = {path.split("/")[1] for path in paths}
    for split, singers in listed.items():
        for singer, number in singers.items():
            if singer not in recorded:
                yield Finding(LABEL_WITHOUT_AUDIO, f"{lists[split]}:{number}", f"{singer}: no recording of this singer")
            elif split == "test" and singer in listed.get("train", {}):
                yield Finding(CONTRADICTION, f"{lists[split]}:{number}", f"{singer}: in both lists; test counts")
    splits = {singer: split for split, singers in listed.items() for singer in singers}
    on_disk = set(paths)
    for path in paths:
        singer = path.split("/")[1]
        split_of_singer = splits.get(singer) if listed else _published_split(singer)
        yield from _recording(path, on_disk, split_of_singer, language)
    yield from _copies(root, [name for name in COPIES if name in folders], paths)


def _copies(root: Path, folders: list[str], paths: list[str]) -> Iterator[Finding]:
    """Yield a finding for each file of the other trees of release 1.2, which repeat FULL."""
    originals = {path.rpartition("/")[2]: path for path in paths}
    for folder in folders:
        for path in audio_files(root, folder):
            original = originals.get(path.rpartition("/")[2])
            kind, detail = (DUPLICATE, original) if original else (AUDIO_WITHOUT_LABEL, f"no such name below {TREE}")
            yield Finding(kind, path, f"{stem(path)}: {detail}")


def _published_split(singer: str) -> str:
    return "test" if singer in TEST_SINGERS else "train"


def _recording(path: str, on_disk: set[str], split: str | None, language: str | None) -> Iterator[Recording | Finding]:
    """Yield the recording of FULL/<singer>/<exercise>/<technique>/<name>, and a finding if the name contradicts it."""
    steps = path.split("/")[1:-1]
    name = COPY.sub("", stem(path))
    extension = path[path.rfind(".") :]
    original = f"{path.rpartition('/')[0]}/{name}{extension}"
    match = SINGER.fullmatch(steps[0]) if len(steps) == 3 else None
    if match is None:
        yield Finding(AUDIO_WITHOUT_LABEL, path, f"{name}: not in a folder <singer>/<exercise>/<technique>")
        return
    if original != path and original in on_disk:
        yield Finding(DUPLICATE, path, f"{stem(path)}: {original}")
        return
    singer, exercise, technique = steps[0], steps[1], MISSPELT.get(steps[2], steps[2])
    tokens = name.split("_")
    labels: DraftLabels = {
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
    if (techniques := _named_techniques(name)) and technique not in techniques:
        detail = f"{name}: the folder says {technique}, which counts; the name {techniques[0]}"
        yield Finding(CONTRADICTION, path, detail)


def _named_techniques(name: str) -> list[str]:
    """Return the techniques in a name: of two that overlap (forte in fast_forte) only the longer one."""
    named = [one for one in sorted(TECHNIQUES) if f"_{one}_" in f"_{name}_"]
    return [one for one in named if not any(one != other and f"_{one}_" in f"_{other}_" for other in named)]


def _singers(path: Path) -> dict[str, int]:
    """Return {singer: line number} of a list."""
    singers: dict[str, int] = {}
    for number, line in lines(path):
        with one_row(path, number):
            singer = line.strip()
            if singer and not SINGER.fullmatch(singer):
                raise bad_line(path, number, "a singer such as female1", line)
            if singer:
                singers.setdefault(singer, number)
    return singers
