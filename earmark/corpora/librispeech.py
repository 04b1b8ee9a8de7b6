"""LibriSpeech and Mini LibriSpeech: read audiobooks, one transcript file a chapter.

    SPEAKERS.TXT                                       <id> | <F or M> | <subset> | <minutes> | <name, may hold |>
    <split>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac
    <split>/<speaker>/<chapter>/<speaker>-<chapter>.trans.txt        <id> <TEXT>
    <split>/<speaker>/<chapter>/<speaker>-<chapter>.alignment.txt    <id> "<,words,>" "<ends,in,seconds>"

Where the alignment files are merged into the tree, a recording has `words`; an empty word there is silence.
Source: OpenSLR 12 and 31; the word alignments of CorentinJ. Holds the speakers, all ids, and one chapter in memory.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from earmark.corpora import LABEL_WITHOUT_AUDIO, Finding, ReaderOptions, Recording, check_options
from earmark.corpora._labels import Row, bad_line, collect, gender, join, lines, once, present
from earmark.corpora._tree import is_audio, split_folders, walk

VERSION = 1

Word = dict[str, float | str]
T = TypeVar("T")


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths; `split` from the folder, `subset` is the folder's name."""
    check_options("librispeech", options)
    return once(_recordings(root, options.language))


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    splits = split_folders(root)
    genders = dict(_speakers(root / "SPEAKERS.TXT"))
    for subset, split in splits:
        for folder, files in walk(root, subset):
            texts, repeated = collect(_rows(root, folder, files, ".trans.txt", _text))
            words, again = collect(_rows(root, folder, files, ".alignment.txt", _words))
            yield from (*repeated, *again)
            for item in join((f"{folder}/{name}" for name in files if is_audio(name)), texts):
                if isinstance(item, Finding):
                    yield item
                    continue
                name, path, text = item
                speaker, chapter, _ = name.split("-")
                labels: dict[str, Any] = {
                    "text": text,
                    "speaker_id": speaker,
                    "chapter_id": chapter,
                    "gender": genders.get(speaker),
                }
                labels |= {"language": language, "subset": subset, "words": words.get(name, ("", None))[1]}
                yield Recording(name, path, split, present(labels))
            yield from _only_aligned(texts, words)


def _only_aligned(texts: Mapping[str, Any], words: Mapping[str, tuple[str, Any]]) -> Iterator[Finding]:
    """Yield a finding for each alignment that its chapter's transcript lacks.

    Chapters without any transcript are passed over: the alignments cover every split, downloaded or not.
    """
    for name, (where, _) in words.items():
        if texts and name not in texts:
            yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: aligned, but not in the transcript")


def _rows(
    root: Path, folder: str, files: list[str], ending: str, parse: Callable[[Path, int, str], T]
) -> Iterator[Row[T]]:
    """Yield the rows of a chapter's label files; the id is what stands before the first space."""
    for name in files:
        if name.endswith(ending):
            path = root / folder / name
            for number, line in lines(path):
                key, space, rest = line.partition(" ")
                if not space or key.count("-") != 2:
                    raise bad_line(path, number, "<speaker>-<chapter>-<number>, one space, and text", line)
                yield key, f"{folder}/{name}:{number}", parse(path, number, rest)


def _text(path: Path, number: int, rest: str) -> str:
    return rest


def _words(path: Path, number: int, rest: str) -> list[Word]:
    """Return [{"start", "end", "word"}, ...] in seconds; an item starts where the one before it ends."""
    quoted = rest.strip().split('"')
    texts, ends = (quoted[1].split(","), quoted[3].split(",")) if len(quoted) == 5 else ([], [])
    try:
        times = [0.0, *map(float, ends)]
    except ValueError:
        times = []
    if not texts or len(times) != len(texts) + 1:
        raise bad_line(path, number, '"words" "end times", two quoted lists of one length', rest)
    spans = zip(times, times[1:], texts, strict=False)
    return [{"start": start, "end": end, "word": word} for start, end, word in spans if word]


def _speakers(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (speaker, gender); names may hold the separator, so only the first four are cut."""
    if path.is_file():
        for number, line in lines(path):
            if not line.startswith(";"):
                fields = [part.strip() for part in line.split("|", 4)]
                if len(fields) < 3:
                    raise bad_line(path, number, "id | sex | subset | minutes | name", line)
                yield fields[0], gender(fields[1])
