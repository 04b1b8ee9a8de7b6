"""VoxCeleb 1 and 2: what celebrities say in videos, cut by speaker; no text.

    <any folder>/id<5 digits>/<video>/<utterance>.wav or .m4a          such as wav/id10001/1zcIwhmdeo4/00001.wav
    voxceleb1_wav/<Name_of_Speaker>/<video>_<utterance>.wav            version 1.0
    vox1_meta.csv, vox2_meta.csv       ID, name, gender, nationality (VoxCeleb 1), set; tabs or commas, blanks around
    iden_split.txt                     <1, 2 or 3> <speaker>/<video>/<utterance>.wav, VoxCeleb 1 only

An id is `<speaker>/<video>/<utterance>` with slashes, because a video's name may contain `-` and `_` anywhere.
`session_id` is the video. The split never comes from a folder, since dev and test of VoxCeleb 1 unpack into the same.
Option `split`: with "verification" (default) it is the set in the speaker's row, which is `subset` too; systems are
trained on the set "dev", so that its split is "train". With "identification" the numbers 1, 2 and 3 of iden_split.txt
are train, dev and test. Option `lists`: the folder of the label files, relative to the root (default ".").
Of copies of one utterance, such as .wav converted from .m4a, the first path counts. Trial lists are not read.
Source: the pages of VoxCeleb 1 and 2; clovaai/voxceleb_trainer, README and dataprep.py.
Keeps the speakers, all ids and iden_split.txt in memory (0.2 GB).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import AUDIO_WITHOUT_LABEL, DUPLICATE, Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.lines import Entry, bad_header, bad_line, lines
from earmark.corpora._labels import collect, gender, once, present, without_audio
from earmark.corpora._options import choice
from earmark.corpora._options import folder as folder_option
from earmark.corpora._tree import audio_files, child, is_file, layout_error, listing
from earmark.errors import CorpusError
from earmark.rows import DraftLabels
from earmark.sounds import is_audio

VERSION = 1
OPTIONS = ("split", "lists")

METAS = ("vox1_meta.csv", "vox2_meta.csv")
IDENTIFICATION_LIST = "iden_split.txt"
TASKS = ("verification", "identification")
SPEAKER = re.compile(r"id\d{5}")
OLD_FOLDER = "voxceleb1_wav"
# VoxCeleb 1.0 named folders by celebrity: the column VGGFace1 ID leads to the ids of today.
OLD_NAME = re.compile(r"(.{11})_(\d+)")  # of a file: <video>_<utterance>
PARTS = {"1": "train", "2": "dev", "3": "test"}
SETS = {"dev": "train", "test": "test"}  # column Set -> split
DEEPEST = 4  # folders above the speakers'

Speaker = dict[str, str]  # its row: id, name, gender, nationality, set


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths."""
    identify = choice(options, "split", TASKS) == "identification"
    lists = folder_option(options, "lists") or "."
    return once(_recordings(root, options.language, root / lists, identify), DUPLICATE)


def _recordings(root: Path, language: str | None, lists: Path, identify: bool) -> Iterator[Recording | Finding]:
    bases = list(_bases(root, ""))
    if not bases:
        expected = f"a folder of speakers, such as wav/id10001/<video>/00001.wav, or {OLD_FOLDER}"
        raise layout_error(root, expected)
    rows, repeated = collect(_speakers(lists))
    yield from repeated
    speakers = {name: row for name, (_, row) in rows.items()}
    old_names = {row["name"]: name for name, row in speakers.items() if "name" in row}
    listed, again = collect(_parts(lists / IDENTIFICATION_LIST) if identify else ())
    yield from again
    taken: set[str] = set()
    for path in (path for base in bases for path in audio_files(root, base)):
        names = _names(path)
        if names is None:
            yield Finding(AUDIO_WITHOUT_LABEL, path, "not <speaker>/<video>/<utterance>")
            continue
        key, name = "/".join(names), old_names.get(names[0], names[0])
        if name not in speakers:
            yield Finding(AUDIO_WITHOUT_LABEL, path, f"{key}: no speaker {name} in the meta files")
            continue
        speaker = speakers[name]
        if identify and key not in listed:
            yield Finding(AUDIO_WITHOUT_LABEL, path, f"{key}: not in {IDENTIFICATION_LIST}")
            continue
        if identify:
            taken.add(key)
        labels: DraftLabels = {
            "speaker_id": name,
            "session_id": names[1],
            "gender": gender(speaker["gender"]),
        }
        labels |= {"nationality": speaker.get("nationality"), "subset": speaker["set"], "language": language}
        split = listed[key][1] if identify else SETS[speaker["set"]]
        yield Recording(key, path, split, present(labels))
    yield from without_audio(listed, taken)


def _bases(root: Path, folder: str) -> Iterator[str]:
    """Yield the folders that contain speakers' folders, sorted."""
    folders = listing(root / folder)[0]
    if folder.rpartition("/")[2] == OLD_FOLDER or any(SPEAKER.fullmatch(name) for name in folders):
        yield folder
    elif folder.count("/") < DEEPEST - 1:
        for name in folders:
            yield from _bases(root, child(folder, name))


def _names(path: str) -> tuple[str, str, str] | None:
    """Return (speaker, video, utterance) of a path, or None for one of another form."""
    *_, first, second, last = f"//{path}".split("/")
    name = last.rpartition(".")[0]
    if SPEAKER.fullmatch(first):
        return first, second, name
    match = OLD_NAME.fullmatch(name)
    return (second, match[1], match[2]) if match and f"/{OLD_FOLDER}/" in f"/{path}" else None


def _speakers(lists: Path) -> Iterator[Entry[Speaker]]:
    """Yield the rows of the meta files, whose columns differ from copy to copy and are found by their names."""
    metas = [name for name in METAS if is_file(lists / name)]
    if not metas:
        raise CorpusError(
            f"{lists}: no {' or '.join(METAS)}: expected one there, with each speaker's gender and set, got none."
            ' Download it from VoxCeleb\'s page, or name its folder in the catalog: options = { lists = "..." }.'
        )
    for name in metas:
        columns: list[str] = []
        place = lists / name
        for number, line in lines(place):
            with one_row(place, number):
                # vox1_meta.csv has tabs in spite of its name, vox2_meta.csv commas with blanks around every field.
                fields = [part.strip() for part in line.split("\t" if "\t" in line else ",")]
                if not columns:
                    columns = [_column(part) for part in fields]
                    if missing := [part for part in ("id", "gender", "set") if part not in columns]:
                        raise bad_header(place, number, f"a header with a column {missing[0]}", line)
                    continue
                row = dict(zip(columns, fields, strict=False))
                if len(fields) != len(columns) or not SPEAKER.fullmatch(row["id"]) or row["set"] not in SETS:
                    raise bad_line(place, number, f"{len(columns)} fields, idNNNNN first, dev or test last", line)
                yield row["id"], f"{name}:{number}", row


def _column(published: str) -> str:
    """Return id, name, gender, nationality or set: `VoxCeleb1 ID` is the id, `VGGFace1 ID` is the name."""
    name = published.lower()
    return "id" if name.startswith("voxceleb") else "name" if name.startswith("vggface") else name


def _parts(path: Path) -> Iterator[Entry[str]]:
    """Yield (utterance, line, split) of the list for identification."""
    if not is_file(path):
        raise CorpusError(
            f"{path}: no list for identification: expected {IDENTIFICATION_LIST} of VoxCeleb 1, got none. Download it,"
            ' or drop split = "identification" in the catalog.'
        )
    for number, line in lines(path):
        with one_row(path, number):
            part, _, name = line.strip().partition(" ")
            key = name.rpartition(".")[0]
            if part not in PARTS or not is_audio(name) or key.count("/") != 2:
                raise bad_line(path, number, "<1, 2 or 3> <speaker>/<video>/<utterance>.wav", line)
            yield key, f"{path.name}:{number}", PARTS[part]
