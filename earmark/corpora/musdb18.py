"""MUSDB18 and MUSDB18-HQ: songs with the stems of which they were mixed.

    {train,test}/<artist> - <title>.stem.mp4                                 five audio streams: STREAMS, in this order
    {train,test}/<artist> - <title>/{mixture,drums,bass,other,vocals}.wav    HQ

Each stem of a song is a recording with the id `<artist> - <title>.<stem>`; the label `stems` of the mixture names the
others. Fourteen songs of train are the validation set (split dev). `group_id` is the artist, who may have songs in more
than one split. Errors that the publisher reports are `defects` of the stem, or of the mixture if that is not the sum of
its stems; a missing stem is a defect of the mixture too. The AAC of stem.mp4 has nothing above 16 kHz, and its mixture
is not exactly the sum. A sample set of seven seconds a song has the same names; no file is decoded here, but files as
small as those are a finding.
Source: sigsep/sigsep-mus-db, README and configs/mus.yaml; sigsep/website, errata of musdb. Keeps one folder in memory.
"""

from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import AUDIO_WITHOUT_LABEL, INCOMPLETE, LABEL_WITHOUT_AUDIO, Finding, ReaderOptions, Recording
from earmark.corpora._labels import once, present
from earmark.corpora._tree import audio_files, layout_error, listing, stem
from earmark.errors import CorpusError
from earmark.rows import DraftLabels
from earmark.sounds import is_audio

VERSION = 1

FOLDERS = ("test", "train")
MP4 = ".stem.mp4"
MIXTURE = "mixture"
# Audio streams in the order of the Native Instruments Stems format; the cover picture is a stream too, of another kind.
STREAMS = (MIXTURE, "drums", "bass", "other", "vocals")
STEMS = STREAMS[1:]
SINGING = {"vocals": True, "drums": False, "bass": False}  # of `other` and a mixture it is not known
VALIDATION = frozenset(  # validation_tracks of mus.yaml
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
LICENSED = ("The Easton Ellises", "CC-BY-NC-SA-3.0")  # the one licence of its own that a song's name shows
SAMPLE_BYTES = 3_000_000  # a file on average: seven seconds are 1.2 MB in both forms, a song is 30 MB


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the songs of test, then of train, in the order of their names, each mixture before its stems."""
    return once(_recordings(root))


def _recordings(root: Path) -> Iterator[Recording | Finding]:
    folders, _ = listing(root)
    parts = [name for name in FOLDERS if name in folders]
    if not parts:
        raise layout_error(root, f"a folder {' or '.join(FOLDERS)}")
    for part in parts:
        songs, media = listing(root / part)
        for name in media:
            path, song = f"{part}/{name}", name.removesuffix(MP4)  # names of songs contain dots too
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
    paths = {which: f"{folder}/{which}.wav" for which in STREAMS if f"{which}.wav" in names}
    yield from _song(part, song, paths)
    for which in STREAMS:
        if which not in paths:
            yield Finding(LABEL_WITHOUT_AUDIO, folder, f"{song}.{which}: no file {which}.wav")
    for name in names:
        if is_audio(name) and f"{folder}/{name}" not in paths.values():
            yield Finding(AUDIO_WITHOUT_LABEL, f"{folder}/{name}", f"{stem(name)}: no stem of this name is documented")


def _song(part: str, song: str, paths: dict[str, str]) -> Iterator[Recording]:
    """Yield a recording for each stem of a song that has a path."""
    split = "dev" if part == "train" and song in VALIDATION else part
    artist, _, title = song.partition(" - ")
    wrong, defect = ERRATA.get(song, ("", ""))
    for which, path in paths.items():
        labels: DraftLabels = {"stem": which, "artist": artist, "title": title, "group_id": artist}
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
    """Return whether the audio files are as small as those of the sample set."""
    try:
        sizes = [(root / path).stat().st_size for part in parts for path in audio_files(root, part)]
    except OSError as error:
        raise CorpusError(
            f"{root}: a file vanished or cannot be read: {error.strerror}. Run the command again."
        ) from error
    return bool(sizes) and sum(sizes) < SAMPLE_BYTES * len(sizes)
