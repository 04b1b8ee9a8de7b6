"""LibriTTS and LibriTTS-R: read audiobooks cut into sentences, with case and punctuation.

    speakers.tsv                          READER GENDER SUBSET NAME, with tabs or blanks; the name may be missing
    <split>/<speaker>/<chapter>/<speaker>_<chapter>_<paragraph>_<sentence>.wav
    <split>/<speaker>/<chapter>/<speaker>_<chapter>.trans.tsv        <id> TAB <original> TAB <normalized>
    <split>/<speaker>/<chapter>/<id>.{original,normalized}.txt       the same texts, read for ids not in the table

`text` is the normalized text, `text_original` the original. `*.book.tsv` is not read: it has rejected sentences too.
Option `bad_samples`: a folder, relative to the root, with the publisher's `<split>_bad_sample_list.txt` files, which
have a path below the root on each line. Restoring failed there (LibriTTS-R), and the recordings become findings.
Source: OpenSLR 60 and 141, README; arXiv 1904.02882.
Keeps the speakers, all ids, one split's bad samples and one chapter in memory.
"""

from collections.abc import Container, Iterator
from pathlib import Path

from earmark.corpora import WITHDRAWN, Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.lines import Entry, bad_line, lines
from earmark.corpora._labels import collect, gender, join, once, present
from earmark.corpora._options import folder as folder_option
from earmark.corpora._tree import is_file, split_folders, walk
from earmark.errors import CorpusError
from earmark.rows import DraftLabels
from earmark.sounds import is_audio

VERSION = 1
OPTIONS = ("bad_samples",)

NORMALIZED = ".normalized.txt"
ORIGINAL = ".original.txt"

Texts = tuple[str | None, str]  # original, normalized


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths; `split` from the folder, `subset` is the folder's name."""
    lists = folder_option(options, "bad_samples")
    return once(_recordings(root, options.language, root / lists if lists else None))


def _recordings(root: Path, language: str | None, lists: Path | None) -> Iterator[Recording | Finding]:
    splits = split_folders(root)
    genders = dict(_speakers(root / "speakers.tsv"))
    for subset, split in splits:
        withdrawn = _bad_samples(lists / f"{subset}_bad_sample_list.txt") if lists else {}
        for folder, files in walk(root, subset):
            texts, repeated = collect(_table(root, folder, files))
            texts |= collect(_single(root, folder, files, texts))[0]
            yield from repeated
            for item in join((f"{folder}/{name}" for name in files if is_audio(name)), texts):
                if isinstance(item, Finding):
                    yield item
                    continue
                name, path, (original, normalized) = item
                if path in withdrawn:
                    yield Finding(WITHDRAWN, path, f"{name}: listed in {withdrawn[path]}")
                    continue
                speaker, chapter = name.split("_")[:2]
                labels: DraftLabels = {
                    "text": normalized,
                    "text_original": original,
                    "speaker_id": speaker,
                    "chapter_id": chapter,
                }
                labels |= {"gender": genders.get(speaker), "language": language, "subset": subset}
                yield Recording(name, path, split, present(labels))


def _table(root: Path, folder: str, files: list[str]) -> Iterator[Entry[Texts]]:
    """Yield the rows of a chapter's tables."""
    for name in files:
        if name.endswith(".trans.tsv"):
            path = root / folder / name
            for number, line in lines(path):
                with one_row(path, number):
                    fields = line.split("\t")
                    if len(fields) != 3 or fields[0].count("_") != 3:
                        raise bad_line(path, number, "id, original and normalized text with tabs between", line)
                    yield fields[0], f"{folder}/{name}:{number}", (fields[1], fields[2])


def _single(root: Path, folder: str, files: list[str], known: Container[str]) -> Iterator[Entry[Texts]]:
    """Yield the texts of ids that the tables lack, from the file that each text has besides."""
    for name in files:
        key = name.removesuffix(NORMALIZED)
        if key != name and key not in known and key.count("_") == 3:
            with one_row(root / folder / name):
                original = f"{key}{ORIGINAL}"
                text = _only_line(root / folder / original) if original in files else None
                yield key, f"{folder}/{name}", (text, _only_line(root / folder / name))


def _only_line(path: Path) -> str:
    text = ""
    for number, line in lines(path, strict=True):
        if text:
            raise bad_line(path, number, "a single line of text", line)
        text = line
    return text


def _speakers(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (speaker, gender), nothing without the file: LibriTTS-R has it in an archive of its own, doc.tar.gz."""
    if is_file(path):
        for number, line in lines(path):
            with one_row(path, number):
                fields = line.split(None, 3)  # some rows have three fields, and tabs do not always separate them
                if len(fields) < 2:
                    raise bad_line(path, number, "reader, gender, subset, name", line)
                if fields[0].upper() != "READER":
                    yield fields[0], gender(fields[1])


def _bad_samples(path: Path) -> dict[str, str]:
    """Return {path below the root: "<list>:<line>"} of one split."""
    if not is_file(path):
        raise CorpusError(
            f"{path}: no list of bad samples: expected a file for each split folder on disk, got none. Put it there"
            " (an empty one if the publisher names no sample), or drop the option bad_samples in the catalog."
        )
    samples: dict[str, str] = {}
    for number, line in lines(path):
        with one_row(path, number):
            sample = line.strip().removeprefix("./")
            if not is_audio(sample) or "/" not in sample:
                raise bad_line(path, number, "./<split>/<speaker>/<chapter>/<id>.wav", line)
            samples[sample] = f"{path.name}:{number}"
    return samples
