"""LibriSpeech and Mini LibriSpeech: read audiobooks, one transcript file for each chapter.

    SPEAKERS.TXT                                       <id> | <F or M> | <subset> | <minutes> | <name>
    CHAPTERS.TXT                                       <id> | <reader> | <minutes> | <subset> | <project> | <book> | ...
    <split>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac
    <split>/<speaker>/<chapter>/<speaker>-<chapter>.trans.txt        <id> <TEXT>
    <split>/<speaker>/<chapter>/<speaker>-<chapter>.alignment.txt    <id> "<,words,>" "<ends,in,seconds>"
    <split>/<speaker>/<chapter>/<id>.TextGrid                        tiers `words` and `phones`

`book_id` comes from CHAPTERS.TXT, where 0 means none. An alignment file in the tree gives `words`; an empty word in it
is silence. A TextGrid gives `words` and `phonemes`. Option `alignments`: a folder, relative to the root, with TextGrids
in the same folders as in the tree; a TextGrid in the tree itself comes first. Of an utterance in both kinds of
alignment, the words are the TextGrid's, so that words and phonemes fit together. Its unknown words, and the phone `spn`
of a word that could not be phonemised, are passed on unchanged; silence is left out. Utterances without an alignment
are normal: the aligners failed on some hundred.
Source: OpenSLR 12 and 31, README.TXT; CorentinJ/librispeech-alignments, README; Zenodo record 2619474.
Keeps the speakers, the chapters' books, all ids, and one chapter in memory.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from earmark.corpora import LABEL_WITHOUT_AUDIO, Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import BrokenLabelError, one_row
from earmark.corpora._formats.lines import ADVICE, bad_line, lines
from earmark.corpora._formats.textgrid import read_tiers
from earmark.corpora._formats.trans import chapter_entries, transcripts
from earmark.corpora._labels import collect, gender, join, once, present
from earmark.corpora._options import folder as folder_option
from earmark.corpora._tree import is_file, is_folder, listing, split_folders, walk
from earmark.rows import DraftLabels, Labels
from earmark.sounds import is_audio

VERSION = 2
OPTIONS = ("alignments",)

TEXTGRID = ".TextGrid"
TIERS = {"words": ("words", "word"), "phones": ("phonemes", "phoneme")}  # tier -> label, key of its spans
SILENCE = frozenset({"", "sil", "sp"})


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths; `split` from the folder, `subset` is the folder's name."""
    return once(_recordings(root, options.language, folder_option(options, "alignments")))


def _recordings(root: Path, language: str | None, alignments: str | None) -> Iterator[Recording | Finding]:
    splits = split_folders(root)
    if alignments:
        split_folders(root / alignments)  # only to raise here if the option names another folder
    genders = dict(_speakers(root / "SPEAKERS.TXT"))
    books = dict(_books(root / "CHAPTERS.TXT"))
    for subset, split in splits:
        for folder, files in walk(root, subset):
            texts, repeated = collect(transcripts(root, folder, files))
            words, again = collect(chapter_entries(root, folder, files, ".alignment.txt", _words))
            grids = _grids(root, folder, files, alignments)
            yield from (*repeated, *again)
            for item in join((f"{folder}/{name}" for name in files if is_audio(name)), texts):
                if isinstance(item, Finding):
                    yield item
                    continue
                name, path, text = item
                speaker, chapter, _ = name.split("-")
                labels: DraftLabels = {
                    "text": text,
                    "speaker_id": speaker,
                    "chapter_id": chapter,
                    "book_id": books.get(chapter),
                    "gender": genders.get(speaker),
                }
                labels |= {"language": language, "subset": subset, "words": words.get(name, ("", None))[1]}
                if name in grids:
                    with one_row(root / grids[name]):  # a broken alignment takes nothing from the utterance but itself
                        labels |= _aligned(root / grids[name])
                yield Recording(name, path, split, present(labels))
            aligned = [(name, where) for name, (where, _) in words.items()]
            yield from _only_aligned(texts, [*aligned, *grids.items()])


def _only_aligned(texts: Mapping[str, object], aligned: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Yield a finding for each aligned utterance that its chapter's transcript lacks.

    A chapter without a transcript was not downloaded: the alignments cover every split, and so it is passed over.
    """
    for name, where in aligned:
        if texts and name not in texts:
            yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: aligned, but not in the transcript")


def _words(path: Path, number: int, rest: str) -> list[Labels]:
    """Return [{"start", "end", "word"}, ...] in seconds; a word starts where the one before it ends."""
    quoted = rest.strip().split('"')
    texts, ends = (quoted[1].split(","), quoted[3].split(",")) if len(quoted) == 5 else ([], [])
    try:
        times = [0.0, *map(float, ends)]
    except ValueError:
        times = []
    if not texts or len(times) != len(texts) + 1:
        raise bad_line(path, number, '"words" "end times", two quoted lists of one length', rest)
    if not all(0 <= time < math.inf for time in times):
        raise bad_line(path, number, "end times in seconds", rest)
    spans = zip(times, times[1:], texts, strict=False)
    return [{"start": start, "end": end, "word": word} for start, end, word in spans if word]


def _grids(root: Path, folder: str, files: list[str], alignments: str | None) -> dict[str, str]:
    """Return {id: path below the root} of a chapter's TextGrids."""
    merged = {name.removesuffix(TEXTGRID): f"{folder}/{name}" for name in files if name.endswith(TEXTGRID)}
    apart = f"{alignments}/{folder}"
    if not alignments or not is_folder(root / apart):
        return merged
    names = [name for name in listing(root / apart)[1] if name.endswith(TEXTGRID)]
    return {name.removesuffix(TEXTGRID): f"{apart}/{name}" for name in names} | merged


def _aligned(path: Path) -> Labels:
    """Return `words` and `phonemes` of one utterance, [{"start", "end", "word" or "phoneme"}, ...] in seconds."""
    tiers = {tier.name: tier.intervals for tier in read_tiers(path) if tier.name in TIERS}
    if not tiers:
        raise BrokenLabelError(path, None, "no alignment: expected a tier words or phones, got neither", ADVICE)
    return {
        label: [
            {"start": item.start, "end": item.end, key: item.text}
            for item in tiers[tier]
            if item.text.strip() not in SILENCE
        ]
        for tier, (label, key) in TIERS.items()
        if tier in tiers
    }


def _speakers(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (speaker, gender). A name may contain the separator (|CBW|Simon), so that only the first four count."""
    if is_file(path):  # each archive repeats the file, but copies of single folders lack it
        for number, line in lines(path):
            if not line.startswith(";"):
                with one_row(path, number):
                    fields = [part.strip() for part in line.split("|", 4)]
                    if len(fields) < 3:
                        raise bad_line(path, number, "id | sex | subset | minutes | name", line)
                    yield fields[0], gender(fields[1])


def _books(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (chapter, book). A title may contain the separator, so that only the first six count."""
    if is_file(path):
        for number, line in lines(path):
            if not line.startswith(";"):
                with one_row(path, number):
                    fields = [part.strip() for part in line.split("|", 6)]
                    if len(fields) < 6:
                        form = "id | reader | minutes | subset | project | book | two titles"
                        raise bad_line(path, number, form, line)
                    if fields[5] != "0":
                        yield fields[0], fields[5]
