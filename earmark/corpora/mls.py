"""Multilingual LibriSpeech, FLAC or Opus: one transcript file for each split, up to 10.8 million recordings.

    metainfo.txt                                  <speaker> | <gender> | <partition> | ...   a line for each chapter
    <split>/transcripts.txt                       <id> TAB <text>      id = <speaker>_<book>_<number>
    <split>/audio/<speaker>/<book>/<id>.flac or .opus
    train/limited_supervision/{9hr,1hr/<fold>}/handles.txt           ids

The second part of an id is a LibriVox book (`book_id`), not a chapter. A speaker of metainfo.txt need not have audio:
its partition `secret` was never published. Texts are passed on unchanged; those with boilerplate of the scanned book
have `defects`.
Source: OpenSLR 94, README. Keeps in memory one speaker's texts, the ids of dev and test, and the positions of each
speaker's lines: 24 bytes for each unbroken run of one speaker's lines, so 0.3 GB at worst (English, lines in random
order).
"""

import io
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from earmark.corpora import AUDIO_WITHOUT_LABEL, CONTRADICTION, REPEATED_ID, Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.lines import Entry, bad_line, decode_line, lines, open_label_file, unreadable
from earmark.corpora._labels import collect, gender, join, present
from earmark.corpora._tree import audio_files, is_file, layout_error, listing, split_folders, stem
from earmark.rows import SPLITS, DraftLabels
from earmark.sounds import is_audio

VERSION = 2  # 1 -> 2: defects of the text

BOILERPLATE = "content from google book search"  # of the scanned book, found in Spanish texts
ROW_FORM = "<speaker>_<book>_<number>, a tab, and text"

Runs = dict[str, "array[int]"]  # speaker -> first byte, byte after the last, first line number; for each run


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings by split, speaker and path; `subset` is "9hr" or "1hr" for limited supervision."""
    return _recordings(root, options.language)


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    splits = [name for name, split in split_folders(root) if name == split]
    if not splits:
        raise layout_error(root, f"a folder {', '.join(SPLITS)}")
    genders, contradictions = _genders(root)
    yield from contradictions
    subsets = dict(_handles(root))
    earlier: set[str] = set()  # train comes last, so that only the ids of dev and test are kept
    for split in sorted(splits):
        last = split == max(splits)
        for item in _split(root, split):
            if isinstance(item, Finding):
                yield item
                continue
            name, path, text = item
            if name in earlier:
                yield Finding(REPEATED_ID, path, f"{name}: a recording with this id came before, in another split")
                continue
            if not last:
                earlier.add(name)
            speaker, book, _ = name.split("_")
            labels: DraftLabels = {"text": text, "speaker_id": speaker, "book_id": book, "language": language}
            labels |= {"gender": genders.get(speaker), "subset": subsets.get(name)}
            if BOILERPLATE in text:
                labels["defects"] = ["text of the scan, not of the book"]
            yield Recording(name, path, split, present(labels))


def _split(root: Path, split: str) -> Iterator[tuple[str, str, str] | Finding]:
    """Yield (id, path, text) of one split, speaker by speaker."""
    transcripts = root / split / "transcripts.txt"
    runs = _runs(transcripts)
    # Speaker by speaker, since the texts of all of English (10.8 million) do not fit into memory.
    speakers, strays = listing(root / split / "audio")
    for name in strays:
        if is_audio(name):
            yield Finding(AUDIO_WITHOUT_LABEL, f"{split}/audio/{name}", f"{stem(name)}: not in a speaker's folder")
    with open_label_file(transcripts) as file:
        for speaker in sorted({*speakers, *runs}):
            rows = _rows(file, transcripts, runs.get(speaker, array("Q")), f"{split}/transcripts.txt")
            texts, repeated = collect(rows)
            yield from repeated
            paths = audio_files(root, f"{split}/audio/{speaker}") if speaker in speakers else ()
            yield from join(paths, texts)


def _runs(transcripts: Path) -> Runs:
    """Read a transcript file once and return the positions of each speaker's lines. Raises CorpusError."""
    runs: Runs = {}
    offset, last = 0, None
    try:
        with open_label_file(transcripts) as file:
            for number, raw in enumerate(file, 1):
                end = offset + len(raw)
                name, tab, _ = raw.partition(b"\t")
                if tab and name.count(b"_") == 2:
                    speaker = ""
                    with one_row(transcripts, number):
                        speaker = decode_line(transcripts, number, name).partition("_")[0]
                    if speaker and speaker == last:
                        runs[speaker][-2] = end
                    elif speaker:
                        runs.setdefault(speaker, array("Q")).extend((offset, end, number))
                    last = speaker
                else:
                    with one_row(transcripts, number):
                        if line := decode_line(transcripts, number, raw):
                            raise bad_line(transcripts, number, ROW_FORM, line)
                offset = end
    except OSError as error:
        raise unreadable(transcripts, error) from error
    return runs


def _rows(file: BinaryIO, transcripts: Path, runs: "array[int]", where: str) -> Iterator[Entry[str]]:
    """Yield the rows of one speaker from an open transcript file."""
    for index in range(0, len(runs), 3):
        start, end, first = runs[index : index + 3]
        file.seek(start)
        for number, raw in enumerate(io.BytesIO(file.read(end - start)), first):
            with one_row(transcripts, number):
                name, _, text = decode_line(transcripts, number, raw).partition("\t")
                if name:
                    yield name, f"{where}:{number}", text


def _genders(root: Path) -> tuple[dict[str, str], list[Finding]]:
    """Return the gender of each speaker, and a finding for each speaker with two, who gets none."""
    genders: dict[str, str] = {}
    findings: dict[str, Finding] = {}
    path = root / "metainfo.txt"
    for number, line in lines(path) if is_file(path) else ():
        with one_row(path, number):
            fields = [part.strip() for part in line.split("|", 2)]
            if len(fields) < 2:
                raise bad_line(path, number, "speaker | gender | ...", line)
            speaker, value = fields[0], gender(fields[1])
            if speaker.upper() != "SPEAKER" and genders.setdefault(speaker, value) != value:
                detail = f"speaker {speaker}: {genders[speaker]} before, {value} here; gender left out"
                findings.setdefault(speaker, Finding(CONTRADICTION, f"metainfo.txt:{number}", detail))
    return {name: value for name, value in genders.items() if name not in findings}, list(findings.values())


def _handles(root: Path) -> Iterator[tuple[str, str]]:
    """Yield (id, "9hr" or "1hr") of the publisher's small training sets."""
    base = root / "train" / "limited_supervision"
    for subset in ("9hr", "1hr"):  # ten hours are 9hr and all six folds of 1hr
        for path in sorted((base / subset).rglob("handles.txt")):
            for _, line in lines(path):
                yield line.strip(), subset
