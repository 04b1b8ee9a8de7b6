"""NSynth: four-second notes of instruments, one JSON object a part.

    nsynth-{train,valid,test}/examples.json      {"<note>": {"instrument_str": ..., "pitch": ..., ...}, ...}
    nsynth-{train,valid,test}/audio/<note>.wav   note = <family>_<source>_<number>-<pitch>-<velocity>

`valid` is split dev. An instrument of train is in no other part, but valid and test share instruments. The number in a
note's name is that within family and source. Notes that are known to be noise carry `defects`: in test those of
brass_acoustic_046 from pitch 84 on, some of which have one and the same waveform.
Source: the Magenta project; its issue 2092 for the defect. `examples.json` (200 MB for train) is never held whole: in
memory are some million characters of it, the names of one part's files, and the ids of all, 80 MB together.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    LABEL_WITHOUT_AUDIO,
    REPEATED_ID,
    Finding,
    ReaderOptions,
    Recording,
    check_options,
)
from earmark.corpora._json_stream import json_members
from earmark.corpora._labels import bad_line, once, present
from earmark.corpora._tree import layout_error, listing, stem
from earmark.sounds import is_audio

VERSION = 1

PARTS = {"nsynth-train": "train", "nsynth-valid": "dev", "nsynth-test": "test"}
TABLE = "examples.json"
FIELDS = {  # label -> field, and its type
    "instrument": ("instrument_str", str),
    "instrument_family": ("instrument_family_str", str),
    "instrument_source": ("instrument_source_str", str),
    "pitch": ("pitch", int),
    "velocity": ("velocity", int),
    "qualities": ("qualities_str", list),
}

NOISY_INSTRUMENT, NOISY_PITCH = "brass_acoustic_046", 84  # from this pitch on, in test
NOISE = "noise instead of a note"


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the notes part by part, in the order of examples.json; `group_id` is the instrument."""
    check_options("nsynth", options)
    return once(_recordings(root))


def _recordings(root: Path) -> Iterator[Recording | Finding]:
    folders, files = listing(root)
    parts = [name for name in PARTS if name in folders]
    if not parts:
        raise layout_error(root, f"a folder {', '.join(PARTS)}", [*folders, *files])
    for part in parts:
        table, split = root / part / TABLE, PARTS[part]
        files = [name for name in listing(root / part / "audio")[1] if is_audio(name)]
        there, left = frozenset(files), set(files)
        for number, name, note in json_members(table):
            labels = _labels(table, number, name, note)
            if split == "test" and labels["instrument"] == NOISY_INSTRUMENT and labels["pitch"] >= NOISY_PITCH:
                labels["defects"] = [NOISE]
            where, file = f"{part}/{TABLE}:{number}", f"{name}.wav"
            if file in left:
                left.remove(file)
                yield Recording(name, f"{part}/audio/{file}", split, labels)
            elif file in there:
                yield Finding(REPEATED_ID, where, f"{name}: listed before, which counts")
            else:
                yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: no audio file with this id")
        for name in sorted(left):
            yield Finding(AUDIO_WITHOUT_LABEL, f"{part}/audio/{name}", f"{stem(name)}: not in {TABLE}")


def _labels(path: Path, number: int, name: str, note: Any) -> dict[str, Any]:
    """Return the labels of a note. Raises CorpusError for a field that is missing or of another type."""
    for field, kind in FIELDS.values():
        value = note.get(field) if isinstance(note, dict) else None
        if not isinstance(value, kind) or value == "":
            raise bad_line(path, number, f"a note with {field} ({kind.__name__})", name)
    labels = present({label: note[field] for label, (field, _) in FIELDS.items()})
    return labels | {"group_id": labels["instrument"]}
