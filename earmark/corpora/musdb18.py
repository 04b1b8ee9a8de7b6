"""MUSDB18 and MUSDB18-HQ: songs with the stems that they were mixed from.

    {train,test}/<artist> - <title>.stem.mp4                                 five audio streams: STREAMS, in this order
    {train,test}/<artist> - <title>/{mixture,drums,bass,other,vocals}.wav    HQ

A song is one recording a stem, id `<artist> - <title>.<stem>`; the mixture's label `stems` names the others. Fourteen
songs of train are the validation set (split dev). `group_id` is the artist, who may have songs in more than one split.
What the publisher says of wrong stems stands in `defects`: of the mixture, where it is not their sum. A mixture that
lacks a stem has that as a defect. The AAC of stem.mp4 is cut at 16 kHz, and its mixture is not exactly the sum. A
sample set of seven seconds a song has the same names; nothing is decoded here, but files that small are a finding.
Source: sigsep/sigsep-mus-db and its website. Holds one folder in memory.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    INCOMPLETE,
    LABEL_WITHOUT_AUDIO,
    Finding,
    ReaderOptions,
    Recording,
    check_options,
)
from earmark.corpora._labels import once, present
from earmark.corpora._tree import audio_files, layout_error, listing, stem
from earmark.errors import CorpusError
from earmark.sounds import is_audio

VERSION = 1

FOLDERS = ("test", "train")
MP4 = ".stem.mp4"
MIXTURE = "mixture"
STREAMS = (MIXTURE, "drums", "bass", "other", "vocals")
STEMS = STREAMS[1:]
SINGING = {"vocals": True, "drums": False, "bass": False}  # what is in `other` and in a mixture is not said
VALIDATION = frozenset(
    {
        "ANiMAL - Rockshow",
        "Actions - One Minute Smile",
        "Alexander Ross - Goodbye Bolero",
        "Clara Berry And Wooldog - Waltz For My Victims",
        "Fergessen - Nos Palpitants",
        "James May - On The Line",
        "Johnny Lokke - Promises & Lies",
        "Leaf - Summerghost",
        "Meaxic - Take A Step",
        "Patrick Talbot - A Reason To Leave",
        "Skelpolu - Human Mistakes",
        "Traffic Experiment - Sirens",
        "Triviul - Angelsaint",
        "Young Griffo - Pennies",
    }
)
ERRATA = {  # song -> stem, what is wrong with it
    "Al James - Schoolboy Facination": ("other", "synthesiser and vocals in other"),
    "BKS - Bulldozer": ("other", "cowbell in other"),
    "Chris Durban - Celebrate": ("vocals", "other instruments in vocals"),
    "Detsky Sad - Walkie Talkie": ("drums", "other in drums"),
    "Enda Reilly - Cur An Long Ag Seol": ("other", "speech at the start of other"),
    "Hop Along - Sister Cities": ("vocals", "other instruments in vocals"),
    "Leaf - Wicked": ("drums", "guitar in drums at 2:20 and 3:02"),
    "PR - Oh No": (MIXTURE, "the left channel is not the sum of the stems"),
}
LICENSED = ("The Easton Ellises", "CC-BY-NC-SA-3.0")  # of the songs with their own licence, those told by name
SAMPLE_BYTES = 3_000_000  # a file, on average: seven seconds are 1.2 MB in both forms, a song is 30 MB


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the songs of test, then of train, in the order of their names, each mixture before its stems."""
    check_options("musdb18", options)
    return once(_recordings(root))


def _recordings(root: Path) -> Iterator[Recording | Finding]:
    folders, files = listing(root)
    parts = [name for name in FOLDERS if name in folders]
    if not parts:
        raise layout_error(root, f"a folder {' or '.join(FOLDERS)}", [*folders, *files])
    for part in parts:
        songs, media = listing(root / part)
        for name in media:
            path, song = f"{part}/{name}", name.removesuffix(MP4)
            if name.endswith(MP4):
                yield from _song(part, song, {which: f"{path}/{number}.stream" for number, which in enumerate(STREAMS)})
            elif is_audio(name):
                yield Finding(AUDIO_WITHOUT_LABEL, path, f"{stem(name)}: not called <artist> - <title>{MP4}")
        for song in songs:
            yield from _folder(root, part, song)
    if _is_sample(root, parts):
        detail = "audio files of less than 3 MB on average: the sample set of seven seconds a song has the same names"
        yield Finding(INCOMPLETE, parts[0], detail)


def _folder(root: Path, part: str, song: str) -> Iterator[Recording | Finding]:
    """Yield the recordings of one song of HQ."""
    folder, names = f"{part}/{song}", listing(root / part / song)[1]
    there = {which: f"{folder}/{which}.wav" for which in STREAMS if f"{which}.wav" in names}
    yield from _song(part, song, there)
    for which in STREAMS:
        if which not in there:
            yield Finding(LABEL_WITHOUT_AUDIO, folder, f"{song}.{which}: no file {which}.wav")
    for name in names:
        if is_audio(name) and f"{folder}/{name}" not in there.values():
            yield Finding(AUDIO_WITHOUT_LABEL, f"{folder}/{name}", f"{stem(name)}: no stem of this name is documented")


def _song(part: str, song: str, paths: dict[str, str]) -> Iterator[Recording]:
    """Yield a recording for each stem of a song that is there."""
    split = "dev" if part == "train" and song in VALIDATION else part
    artist, _, title = song.partition(" - ")
    wrong, defect = ERRATA.get(song, ("", ""))
    for which, path in paths.items():
        labels: dict[str, Any] = {"stem": which, "artist": artist, "title": title, "group_id": artist}
        if which in SINGING:
            labels["singing"] = SINGING[which]
        defects = [defect] if which == wrong else []
        if which == MIXTURE:
            labels["stems"] = {other: f"{song}.{other}" for other in STEMS if other in paths}
            defects += [f"no stem {other}" for other in STEMS if other not in paths]
        labels["defects"] = defects
        if artist.startswith(LICENSED[0]):
            labels["licence"] = LICENSED[1]
        yield Recording(f"{song}.{which}", path, split, present(labels))


def _is_sample(root: Path, parts: list[str]) -> bool:
    """Say whether the audio files are as small as those of the sample set."""
    try:
        sizes = [(root / path).stat().st_size for part in parts for path in audio_files(root, part)]
    except OSError as error:
        raise CorpusError(
            f"{root}: a file vanished or cannot be read: {error.strerror}. Run the command again."
        ) from error
    return bool(sizes) and sum(sizes) < SAMPLE_BYTES * len(sizes)
