"""VoxCeleb 1 and 2: what celebrities say in videos, cut by speaker; no text.

    <any folder>/id<5 digits>/<video>/<utterance>.wav or .m4a          such as wav/id10001/1zcIwhmdeo4/00001.wav
    voxceleb1_wav/<Name_of_Speaker>/<video>_<utterance>.wav            version 1.0
    vox1_meta.csv, vox2_meta.csv       ID, name, gender, nationality (VoxCeleb 1), set; tabs or commas, blanks around
    iden_split.txt                     <1, 2 or 3> <speaker>/<video>/<utterance>.wav, VoxCeleb 1 only

An id is `<speaker>/<video>/<utterance>`: a video's name may hold `-` and `_`, and may start with them. `session_id` is
the video. Dev and test of VoxCeleb 1 unpack into one folder, so the split is never the folder's.
Option `split`: "verification" (default): the set of the speaker's row, as `subset` too; the set "dev" is what systems
are trained on, so its split is "train". "identification": 1, 2, 3 of iden_split.txt are train, dev, test.
Option `lists`: the folder of the label files, relative to the root (default ".").
Of copies of one utterance (converted ones beside .m4a) the first path counts. Trial lists are not read.
Source: VoxCeleb's pages, clovaai/voxceleb_trainer. Holds speakers, all ids and iden_split.txt in memory (0.2 GB).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    DUPLICATE,
    LABEL_WITHOUT_AUDIO,
    Finding,
    ReaderOptions,
    Recording,
    check_options,
)
from earmark.corpora._labels import Row, bad_line, collect, gender, lines, once, present
from earmark.corpora._tree import audio_files, layout_error, listing
from earmark.errors import CatalogError, CorpusError, near
from earmark.sounds import is_audio

VERSION = 1

METAS = ("vox1_meta.csv", "vox2_meta.csv")
IDENTIFICATION_LIST = "iden_split.txt"
TASKS = ("verification", "identification")
SPEAKER = re.compile(r"id\d{5}")
OLD_FOLDER = "voxceleb1_wav"
OLD_NAME = re.compile(r"(.{11})_(\d+)")  # of a file: <video>_<utterance>
PARTS = {"1": "train", "2": "dev", "3": "test"}
SETS = {"dev": "train", "test": "test"}
DEEPEST = 4  # folders above the speakers'

Speaker = dict[str, str]  # its row: id, name, gender, nationality, set


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths."""
    check_options("voxceleb", options, ("split", "lists"))
    task, lists = options.options.get("split", TASKS[0]), options.options.get("lists", ".")
    if task not in TASKS:
        raise _wrong(f"split: expected {' or '.join(TASKS)}, got {task!r}{near(str(task), TASKS)}")
    if not isinstance(lists, str) or not lists:
        raise _wrong(f'lists: expected "<folder>", got {lists!r}')
    return once(_recordings(root, options.language, root / lists, task == "identification"), DUPLICATE)


def _wrong(what: str) -> CatalogError:
    return CatalogError(f'corpus "voxceleb": wrong option {what}. Correct the dataset\'s options in the catalog.')


def _recordings(root: Path, language: str | None, lists: Path, identify: bool) -> Iterator[Recording | Finding]:
    bases = list(_bases(root, ""))
    if not bases:
        expected = f"a folder of speakers, such as wav/id10001/<video>/00001.wav, or {OLD_FOLDER}"
        raise layout_error(root, expected, [name for names in listing(root) for name in names])
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
        labels: dict[str, str | None] = {
            "speaker_id": name,
            "session_id": names[1],
            "gender": gender(speaker["gender"]),
        }
        labels |= {"nationality": speaker.get("nationality"), "subset": speaker["set"], "language": language}
        split = listed[key][1] if identify else SETS[speaker["set"]]
        yield Recording(key, path, split, present(labels))
    for key, (where, _) in listed.items():
        if key not in taken:
            yield Finding(LABEL_WITHOUT_AUDIO, where, f"{key}: no audio file with this id")


def _bases(root: Path, folder: str) -> Iterator[str]:
    """Yield the folders that hold speakers, sorted."""
    folders = listing(root / folder)[0]
    if folder.rpartition("/")[2] == OLD_FOLDER or any(SPEAKER.fullmatch(name) for name in folders):
        yield folder
    elif folder.count("/") < DEEPEST - 1:
        for name in folders:
            yield from _bases(root, f"{folder}/{name}" if folder else name)


def _names(path: str) -> tuple[str, str, str] | None:
    """Return (speaker, video, utterance) of a path, or None for one of another form."""
    *_, first, second, last = f"//{path}".split("/")
    name = last.rpartition(".")[0]
    if SPEAKER.fullmatch(first):
        return first, second, name
    match = OLD_NAME.fullmatch(name)
    return (second, match[1], match[2]) if match and f"/{OLD_FOLDER}/" in f"/{path}" else None


def _speakers(lists: Path) -> Iterator[Row[Speaker]]:
    """Yield the rows of the meta files by their headers' names."""
    found = [name for name in METAS if (lists / name).is_file()]
    if not found:
        raise CorpusError(
            f"{lists}: no {' or '.join(METAS)}: expected one there, which says each speaker's gender and set, got none."
            ' Download it from VoxCeleb\'s page, or name its folder in the catalog: options = { lists = "..." }.'
        )
    for name in found:
        columns: list[str] = []
        for number, line in lines(lists / name):
            fields = [part.strip() for part in line.split("\t" if "\t" in line else ",")]
            if not columns:
                columns = [_column(part) for part in fields]
                if missing := [part for part in ("id", "gender", "set") if part not in columns]:
                    raise bad_line(lists / name, number, f"a header with a column {missing[0]}", line)
                continue
            row = dict(zip(columns, fields, strict=False))
            if len(fields) != len(columns) or not SPEAKER.fullmatch(row["id"]) or row["set"] not in SETS:
                raise bad_line(lists / name, number, f"{len(columns)} fields, idNNNNN first, dev or test last", line)
            yield row["id"], f"{name}:{number}", row


def _column(published: str) -> str:
    """Return id, name, gender, nationality or set: `VoxCeleb1 ID` is the id, `VGGFace1 ID` holds the name."""
    name = published.lower()
    return "id" if name.startswith("voxceleb") else "name" if name.startswith("vggface") else name


def _parts(path: Path) -> Iterator[Row[str]]:
    """Yield (utterance, place, split) of the list for identification."""
    if not path.is_file():
        raise CorpusError(
            f"{path}: no list for identification: expected {IDENTIFICATION_LIST} of VoxCeleb 1, got none. Download it,"
            ' or drop split = "identification" in the catalog.'
        )
    for number, line in lines(path):
        part, _, name = line.strip().partition(" ")
        key = name.rpartition(".")[0]
        if part not in PARTS or not is_audio(name) or key.count("/") != 2:
            raise bad_line(path, number, "<1, 2 or 3> <speaker>/<video>/<utterance>.wav", line)
        yield key, f"{path.name}:{number}", PARTS[part]
