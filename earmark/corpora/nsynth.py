"""NSynth: four-second notes of instruments, with one JSON object for each part.

    nsynth-{train,valid,test}/examples.json      {"<note>": {"instrument_str": ..., "pitch": ..., ...}, ...}
    nsynth-{train,valid,test}/audio/<note>.wav   note = <family>_<source>_<number>-<pitch>-<velocity>

`valid` is split dev. An instrument of train is in no other part, but valid and test share instruments. The number in a
note's name counts within family and source only. Notes that are known to be noise have `defects`: in test those of
brass_acoustic_046 from pitch 84 on, some of which share one waveform.
Source: the Magenta project's page on NSynth; magenta/magenta issue 2092 for the defect. `examples.json` (200 MB for
train) is read through a window; in memory are the names of one part's files and all ids, 80 MB together.
"""

from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import AUDIO_WITHOUT_LABEL, LABEL_WITHOUT_AUDIO, REPEATED_ID, Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.json_stream import json_members
from earmark.corpora._formats.lines import bad_line
from earmark.corpora._labels import once, present
from earmark.corpora._tree import layout_error, listing, stem
from earmark.rows import JSON, DraftLabels, Labels
from earmark.sounds import is_audio

VERSION = 1

PARTS = {"nsynth-train": "train", "nsynth-valid": "dev", "nsynth-test": "test"}
TABLE = "examples.json"
FIELDS = {  # field of a note -> label, and its type
    "instrument_str": ("instrument", str),
    "instrument_family_str": ("instrument_family", str),
    "instrument_source_str": ("instrument_source", str),
    "pitch": ("pitch", int),
    "velocity": ("velocity", int),
    "qualities_str": ("qualities", list),
}

NOISY_INSTRUMENT, NOISY_PITCH = "brass_acoustic_046", 84  # from this pitch on, in test
NOISE = "noise instead of a note"


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the notes part by part, in the order of examples.json; `group_id` is the instrument."""
    return once(_recordings(root))


def _recordings(root: Path) -> Iterator[Recording | Finding]:
    folders, _ = listing(root)
    parts = [name for name in PARTS if name in folders]
    if not parts:
        raise layout_error(root, f"a folder {', '.join(PARTS)}")
    for part in parts:
        table, split = root / part / TABLE, PARTS[part]
        # One listing instead of a stat for each note: train has 289,205 files in one folder.
        files = [name for name in listing(root / part / "audio")[1] if is_audio(name)]
        on_disk, left = frozenset(files), set(files)
        for number, name, note in json_members(table):
            with one_row(table, number):
                labels = _labels(table, number, name, note, may_be_noise=split == "test")
                where, file = f"{part}/{TABLE}:{number}", f"{name}.wav"
                if file in left:
                    left.remove(file)
                    yield Recording(name, f"{part}/audio/{file}", split, labels)
                elif file in on_disk:
                    yield Finding(REPEATED_ID, where, f"{name}: listed before, which counts")
                else:
                    yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: no audio file with this id")
        for name in sorted(left):
            yield Finding(AUDIO_WITHOUT_LABEL, f"{part}/audio/{name}", f"{stem(name)}: not in {TABLE}")


def _labels(path: Path, number: int, name: str, note: JSON, *, may_be_noise: bool) -> Labels:
    """Return the labels of a note. Raises CorpusError for a field that is missing or of another type."""
    fields = note if isinstance(note, dict) else {}
    labels: DraftLabels = {}
    for field, (label, kind) in FIELDS.items():
        value = labels[label] = fields.get(field)
        if type(value) is not kind or value == "":  # not isinstance: true is no pitch
            raise bad_line(path, number, f"a note {name} with {field} ({kind.__name__})", str(value))
    qualities = fields["qualities_str"]
    if not isinstance(qualities, list) or not all(isinstance(word, str) and word for word in qualities):
        raise bad_line(path, number, f"a note {name} with a list of words as qualities_str", str(qualities))
    labels["group_id"] = labels["instrument"]
    pitch = fields["pitch"]
    if may_be_noise and labels["instrument"] == NOISY_INSTRUMENT and isinstance(pitch, int) and pitch >= NOISY_PITCH:
        labels["defects"] = [NOISE]
    return present(labels)
