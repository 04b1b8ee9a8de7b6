"""Multilingual LibriSpeech, FLAC or Opus: one transcript file a split, up to 10.8 million recordings.

    metainfo.txt                                  <speaker> | <gender> | <partition> | ...   one line a chapter
    <split>/transcripts.txt                       <id> TAB <text>      id = <speaker>_<book>_<number>
    <split>/audio/<speaker>/<book>/<id>.flac or .opus
    train/limited_supervision/{9hr,1hr/<fold>}/handles.txt           ids

The second part of an id is a LibriVox book (`book_id`), not a chapter. A speaker of metainfo.txt need not have audio.
Texts go through as they are; `defects` names those that hold boilerplate of the scanned book.
Source: OpenSLR 94. Holds in memory one speaker's texts, the ids of dev and test, and where each speaker's lines stand:
24 bytes for each unbroken run of one speaker's lines, so 0.3 GB at worst (English, lines in random order).
"""

import io
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    CONTRADICTION,
    REPEATED_ID,
    SPLITS,
    Finding,
    ReaderOptions,
    Recording,
    check_options,
)
from earmark.corpora._labels import Row, bad_line, collect, decode_line, gender, join, lines, present, unreadable
from earmark.corpora._tree import audio_files, layout_error, listing, split_folders, stem
from earmark.sounds import is_audio

VERSION = 2  # 1 -> 2: defects of the text

BOILERPLATE = "content from google book search"  # of the scan, where it got into Spanish texts
ROW_FORM = "<speaker>_<book>_<number>, a tab, and text"

Runs = dict[str, "array[int]"]  # speaker -> first byte, byte after the last, first line number; for each run


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings by split, speaker and path; `subset` is "9hr" or "1hr" for limited supervision."""
    check_options("mls", options)
    return _recordings(root, options.language)


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    splits = [name for name, split in split_folders(root) if name == split]
    if not splits:
        raise layout_error(root, f"a folder {', '.join(SPLITS)}", listing(root)[0])
    genders, contradictions = _genders(root)
    yield from contradictions
    subsets = dict(_handles(root))
    earlier: set[str] = set()  # train comes last, so only dev and test are ever held
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
            labels: dict[str, Any] = {"text": text, "speaker_id": speaker, "book_id": book, "language": language}
            labels |= {"gender": genders.get(speaker), "subset": subsets.get(name)}
            if BOILERPLATE in text:
                labels["defects"] = ["text of the scan, not of the book"]
            yield Recording(name, path, split, present(labels))


def _split(root: Path, split: str) -> Iterator[tuple[str, str, str] | Finding]:
    """Yield (id, path, text) of one split, a speaker at a time."""
    transcripts = root / split / "transcripts.txt"
    runs = _runs(transcripts)
    speakers, strays = listing(root / split / "audio")
    for name in strays:
        if is_audio(name):
            yield Finding(AUDIO_WITHOUT_LABEL, f"{split}/audio/{name}", f"{stem(name)}: not in a speaker's folder")
    with transcripts.open("rb") as file:
        for speaker in sorted({*speakers, *runs}):
            rows = _rows(file, transcripts, runs.get(speaker, array("Q")), f"{split}/transcripts.txt")
            texts, repeated = collect(rows)
            yield from repeated
            paths = audio_files(root, f"{split}/audio/{speaker}") if speaker in speakers else ()
            yield from join(paths, texts)


def _runs(transcripts: Path) -> Runs:
    """Read a transcript file once and return where each speaker's lines stand. Raises CorpusError for a broken line."""
    runs: Runs = {}
    offset, last = 0, None
    try:
        with transcripts.open("rb") as file:
            for number, raw in enumerate(file, 1):
                end = offset + len(raw)
                name, tab, _ = raw.partition(b"\t")
                if tab and name.count(b"_") == 2:
                    speaker = decode_line(transcripts, number, name).partition("_")[0]
                    if speaker == last:
                        runs[speaker][-2] = end
                    else:
                        runs.setdefault(speaker, array("Q")).extend((offset, end, number))
                    last = speaker
                elif decode_line(transcripts, number, raw):
                    raise bad_line(transcripts, number, ROW_FORM, decode_line(transcripts, number, raw))
                offset = end
    except OSError as error:
        raise unreadable(transcripts, error) from error
    return runs


def _rows(file: BinaryIO, transcripts: Path, runs: "array[int]", where: str) -> Iterator[Row[str]]:
    """Yield the rows of one speaker from an open transcript file."""
    for index in range(0, len(runs), 3):
        start, end, first = runs[index : index + 3]
        file.seek(start)
        for number, raw in enumerate(io.BytesIO(file.read(end - start)), first):
            name, _, text = decode_line(transcripts, number, raw).partition("\t")
            if name:
                yield name, f"{where}:{number}", text


def _genders(root: Path) -> tuple[dict[str, str], list[Finding]]:
    """Return the gender of each speaker, and a finding for each speaker who has two and is therefore given none."""
    genders: dict[str, str] = {}
    findings: dict[str, Finding] = {}
    path = root / "metainfo.txt"
    for number, line in lines(path) if path.is_file() else ():
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
    for subset in ("9hr", "1hr"):
        for path in sorted((base / subset).rglob("handles.txt")):
            for _, line in lines(path):
                yield line.strip(), subset
