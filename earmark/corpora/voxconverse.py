"""VoxConverse: who speaks when in videos of conversations, one RTTM file for each recording.

    <any folder>/<id>.wav                     as published: audio/ for dev, voxconverse_test_wav/ for test
    <labels>/{dev,test}/<id>.rttm             labels: voxconverse-master, voxconverse, or the root itself

The split is that of the label file; there is no train. Speakers (spk00) are numbered anew in each recording, so
`speaker_id` is <recording>_<spk00>. The first release of the test audio has some 80 recordings for which labels were
never published. Option `labels`: the folder, relative to the root, that contains dev and test, if its name is another
or it is another version (the publisher corrected 18 test files in version 0.3).
Source: joonson/voxconverse, README and issue 7.
Keeps the names of all label files and one recording's turns in memory.
"""

from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import INCOMPLETE, REPEATED_ID, Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import BrokenLabelError, one_row
from earmark.corpora._formats.lines import ADVICE, bad_line
from earmark.corpora._formats.rttm import Turn, in_order, turns
from earmark.corpora._labels import join, present
from earmark.corpora._options import folder as folder_option
from earmark.corpora._tree import audio_files, is_folder, layout_error, listing, stem
from earmark.rows import Labels

VERSION = 1
OPTIONS = ("labels",)

PARTS = ("dev", "test")
SUFFIX = ".rttm"
LABEL_FOLDERS = ("voxconverse-master", "voxconverse", ".")  # of a zip of the repository, of a clone, merged


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths, with `segments` in seconds."""
    return _recordings(root, options.language, folder_option(options, "labels"))


def _recordings(root: Path, language: str | None, labels: str | None) -> Iterator[Recording | Finding]:
    rows, repeated = _label_files(root, labels)
    yield from repeated
    paths = list(audio_files(root))
    parts = {rows[stem(path)][1] for path in paths if stem(path) in rows} or set(PARTS)
    for part in PARTS:
        missing = [where for where, split in rows.values() if split == part]
        if missing and part not in parts:
            detail = f"no recording of {part} is here, {len(missing):,} are labelled"
            yield Finding(INCOMPLETE, missing[0].rpartition("/")[0], detail)
    rows = {name: row for name, row in rows.items() if row[1] in parts}
    for item in join(paths, rows):
        if isinstance(item, Finding):
            yield item
            continue
        name, path, split = item
        with one_row(root / rows[name][0]):  # a recording with half of its turns would be wrong
            segments = in_order(_segments(root / rows[name][0], name))
            yield Recording(name, path, split, present({"segments": segments, "language": language}))


def _segments(path: Path, name: str) -> Iterator[tuple[Turn, Labels]]:
    """Yield each turn of a recording's label file with the labels of its segment."""
    empty = True
    for number, recording, turn in turns(path):
        if recording != name:
            raise bad_line(path, number, f"turns of the recording {name}", recording)
        empty = False
        yield turn, turn.times | {"speaker_id": f"{name}_{turn.speaker_id}"}
    if empty:
        raise BrokenLabelError(path, None, "empty label file: expected a turn a line, got none", ADVICE)


def _label_files(root: Path, labels: str | None) -> tuple[dict[str, tuple[str, str]], list[Finding]]:
    """Return {id: (path of its label file, split)}, and a finding for an id that both splits have."""
    label_files: dict[str, tuple[str, str]] = {}
    findings: list[Finding] = []
    for base in (labels,) if labels else LABEL_FOLDERS:
        for part in PARTS:
            folder = part if base == "." else f"{base}/{part}"
            for file in listing(root / folder)[1] if is_folder(root / folder) else ():
                if file.endswith(SUFFIX):
                    name, where = file.removesuffix(SUFFIX), f"{folder}/{file}"
                    if name in label_files:
                        findings.append(Finding(REPEATED_ID, where, f"{name}: {label_files[name][0]} counts"))
                    else:
                        label_files[name] = (where, part)
        if label_files:
            return label_files, findings
    expected = f"{labels}/dev or {labels}/test" if labels else "voxconverse-master, dev or test"
    raise layout_error(root, f"a folder {expected} with RTTM files")
