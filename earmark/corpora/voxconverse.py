"""VoxConverse: who speaks when in videos of conversations, one RTTM file a recording.

    <any folder>/<id>.wav                     as published: audio/ for dev, voxconverse_test_wav/ for test
    <labels>/{dev,test}/<id>.rttm             labels: voxconverse-master, voxconverse, or the root itself

The split is that of the label file; there is no train. Speakers (spk00) are a recording's own, so `speaker_id` is
<recording>_<spk00>. The first release of the test audio has recordings for which no labels were ever published.
Option `labels`: the folder of dev and test, relative to the root, where it has another name or holds another version
(the publisher corrected 18 test files in version 0.3). Source: github.com/joonson/voxconverse.
Holds the names of all label files and one recording's turns in memory.
"""

from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import INCOMPLETE, REPEATED_ID, Finding, ReaderOptions, Recording, check_options
from earmark.corpora._labels import bad_line, join, present
from earmark.corpora._rttm import in_order, turns
from earmark.corpora._tree import audio_files, layout_error, listing, stem
from earmark.errors import CatalogError, CorpusError

VERSION = 1

PARTS = ("dev", "test")
SUFFIX = ".rttm"
LABEL_FOLDERS = ("voxconverse-master", "voxconverse", ".")


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths, with `segments` in seconds."""
    check_options("voxconverse", options, ("labels",))
    labels = options.options.get("labels")
    if labels is not None and (not isinstance(labels, str) or not labels):
        raise CatalogError(
            f'corpus "voxconverse": wrong option: expected labels = "<folder>", got {labels!r}.'
            " Correct the dataset's options in the catalog."
        )
    return _recordings(root, options.language, labels)


def _recordings(root: Path, language: str | None, labels: str | None) -> Iterator[Recording | Finding]:
    rows, repeated = _label_files(root, labels)
    yield from repeated
    paths = list(audio_files(root))
    there = {rows[stem(path)][1] for path in paths if stem(path) in rows} or set(PARTS)
    for part in PARTS:
        missing = [where for where, split in rows.values() if split == part]
        if missing and part not in there:
            detail = f"no recording of {part} is here, {len(missing):,} are labelled"
            yield Finding(INCOMPLETE, missing[0].rpartition("/")[0], detail)
    rows = {name: row for name, row in rows.items() if row[1] in there}
    for item in join(paths, rows):
        if isinstance(item, Finding):
            yield item
            continue
        name, path, split = item
        segments = in_order(_segments(root / rows[name][0], name))
        yield Recording(name, path, split, present({"segments": segments, "language": language}))


def _segments(path: Path, name: str) -> Iterator[dict[str, object]]:
    empty = True
    for number, recording, segment in turns(path):
        if recording != name:
            raise bad_line(path, number, f"turns of the recording {name}", recording)
        empty = False
        yield segment | {"speaker_id": f"{name}_{segment['speaker_id']}"}
    if empty:
        raise CorpusError(f"{path}: empty label file: expected a turn a line, got none. Extract the archive again.")


def _label_files(root: Path, labels: str | None) -> tuple[dict[str, tuple[str, str]], list[Finding]]:
    """Return {id: (path of its label file, split)}, and a finding for an id that both splits have."""
    folders, files = listing(root)
    found: dict[str, tuple[str, str]] = {}
    findings: list[Finding] = []
    for base in (labels,) if labels else LABEL_FOLDERS:
        for part in PARTS:
            folder = part if base == "." else f"{base}/{part}"
            for file in listing(root / folder)[1] if (root / folder).is_dir() else ():
                if file.endswith(SUFFIX):
                    name, where = file.removesuffix(SUFFIX), f"{folder}/{file}"
                    if name in found:
                        findings.append(Finding(REPEATED_ID, where, f"{name}: {found[name][0]} counts"))
                    else:
                        found[name] = (where, part)
        if found:
            return found, findings
    expected = f"{labels}/dev or {labels}/test" if labels else "voxconverse-master, dev or test"
    raise layout_error(root, f"a folder {expected} with RTTM files", [*folders, *files])
