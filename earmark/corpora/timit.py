"""TIMIT: 630 speakers of American English, ten sentences each, words and phones timed by hand.

    <TRAIN|TEST>/DR<1-8>/<speaker>/<sentence>.WAV           NIST SPHERE in spite of the name; copies may be converted
    <TRAIN|TEST>/DR<1-8>/<speaker>/<sentence>.TXT           <first sample> <last sample> <text>
    <TRAIN|TEST>/DR<1-8>/<speaker>/<sentence>.{WRD,PHN}     <first sample> <last sample> <word or phone>, a line each
    DOC/SPKRINFO.TXT        id without sex, sex, dialect, use, two dates, height, race, education; `;` is a comment
        <speaker> is the sex (F or M), three letters and a digit

Names are in any letter case, and may lie below folders called TIMIT or data. An id is <SPEAKER>_<SENTENCE> in upper
case: all speakers read SA1 and SA2. Times become seconds; words overlap or leave gaps as published, phones are
the 61 published ones, with closures and pauses. `sentence_type` is SA, SX or SI. Splits are the published two; of TEST,
`subset` "core" is the core test set (24 speakers, without SA). Option `dev_speakers = true`: the customary 50
speakers of TEST, all their sentences, are split "dev". Another copy of a recording (`SA1.WAV.wav`) is a finding.
Source: LDC93S1; the 50 speakers are those of Kaldi's recipe. Holds the ids, the speakers and one folder in memory.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    DUPLICATE,
    LABEL_WITHOUT_AUDIO,
    Finding,
    ReaderOptions,
    Recording,
    check_options,
)
from earmark.corpora._labels import bad_line, gender, lines, once, present
from earmark.corpora._tree import layout_error, listing, walk
from earmark.errors import CatalogError
from earmark.sounds import is_audio

VERSION = 1

RATE_HZ = 16_000  # of the sample offsets in label files
SPLITS = {"TRAIN": "train", "TEST": "test"}
ABOVE = frozenset({"timit", "data"})  # folders that copies put around the tree
SPEAKER = re.compile(r"[FM][A-Z]{3}\d")
DIALECT = re.compile(r"DR[1-8]")
LABELS = (".TXT", ".WRD", ".PHN")
KINDS = frozenset({"SA", "SI", "SX"})
CORE = frozenset({
    "MDAB0", "MWBT0", "FELC0", "MTAS1", "MWEW0", "FPAS0", "MJMP0", "MLNT0", "FPKT0", "MLLL0", "MTLS0", "FJLM0",
    "MBPM0", "MKLT0", "FNLP0", "MCMJ0", "MJDH0", "FMGD0", "MGRT0", "MNJM0", "FDHC0", "MJLN0", "MPAM0", "FMLD0",
})  # fmt: skip
DEV = frozenset({
    "FADG0", "FAKS0", "FCAL1", "FCMH0", "FDAC1", "FDMS0", "FDRW0", "FEDW0", "FGJD0", "FJEM0", "FJMG0", "FJSJ0",
    "FKMS0", "FMAH0", "FMML0", "FNMR0", "FREW0", "FSEM0", "MAJC0", "MBDG0", "MBNS0", "MBWM0", "MCSH0", "MDLF0",
    "MDLS0", "MDVC0", "MERS0", "MGJF0", "MGLB0", "MGWT0", "MJAR0", "MJFC0", "MJSW0", "MMDB1", "MMDM2", "MMJR0",
    "MMWH0", "MPDF0", "MRCS0", "MREB0", "MRJM4", "MRJR0", "MROA0", "MRTK0", "MRWS1", "MTAA0", "MTDT0", "MTEB0",
    "MTHC0", "MWJG0",
})  # fmt: skip
INFO = ("sex", "dr", "use", "recorded", "born", "height", "race", "education")  # columns after the id
KEPT = ("height", "race", "education")

Item = dict[str, float | str]


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their folders and sentences."""
    check_options("timit", options, ("dev_speakers",))
    dev = options.options.get("dev_speakers", False)
    if not isinstance(dev, bool):
        raise CatalogError(
            f'corpus "timit": wrong option: expected dev_speakers = true or false, got {dev!r}.'
            " Correct the dataset's options in the catalog."
        )
    return once(_recordings(root, options.language, DEV if dev else frozenset()))


def _recordings(root: Path, language: str | None, dev: frozenset[str]) -> Iterator[Recording | Finding]:
    base, folders = _base(root)
    speakers = dict(_speakers(root, base))
    for top in (name for name in folders if name.upper() in SPLITS):
        for folder, files in walk(root, f"{base}/{top}" if base else top):
            speaker = folder.rpartition("/")[2].upper()
            if not SPEAKER.fullmatch(speaker):
                for name in files:
                    if is_audio(name):
                        yield Finding(AUDIO_WITHOUT_LABEL, f"{folder}/{name}", f"{name}: not in a speaker's folder")
                continue
            split = "dev" if speaker in dev and top.upper() == "TEST" else SPLITS[top.upper()]
            dialect = folder.split("/")[-2].upper()
            labels: dict[str, Any] = {"speaker_id": speaker, "gender": gender(speaker[0]), "language": language}
            labels |= {"dialect": dialect if DIALECT.fullmatch(dialect) else None}
            yield from _sentences(root, folder, files, split, labels | speakers.get(speaker, {}))


def _base(root: Path) -> tuple[str, list[str]]:
    """Return where TRAIN and TEST lie below the root, "" for the root itself, and the folders there."""
    base = ""
    while True:
        folders, files = listing(root / base)
        if any(name.upper() in SPLITS for name in folders):
            return base, folders
        around = [name for name in folders if name.lower() in ABOVE]
        if not around:
            raise layout_error(root / base, "a folder TRAIN or TEST in any letter case", [*folders, *files])
        base = f"{base}/{around[0]}" if base else around[0]


def _sentences(
    root: Path, folder: str, files: list[str], split: str, of_speaker: dict[str, Any]
) -> Iterator[Recording | Finding]:
    """Yield what one speaker's folder holds; of several audio files of a sentence, the shortest name counts."""
    speaker = of_speaker["speaker_id"]
    sounds: dict[str, list[str]] = {}
    labelled: dict[str, dict[str, str]] = {}  # sentence -> ending -> path
    for name in sorted(files, key=lambda name: (len(name), name)):
        sentence, _, ending = name.upper().partition(".")
        if is_audio(name):
            sounds.setdefault(sentence, []).append(f"{folder}/{name}")
        elif f".{ending}" in LABELS:
            labelled.setdefault(sentence, {}).setdefault(f".{ending}", f"{folder}/{name}")
    for sentence in sorted({*sounds, *labelled}):
        key = f"{speaker}_{sentence}"
        paths, told = sounds.get(sentence, []), labelled.get(sentence, {})
        if not paths:
            yield Finding(LABEL_WITHOUT_AUDIO, min(told.values()), f"{key}: no audio file with this id")
            continue
        if not told:
            yield Finding(AUDIO_WITHOUT_LABEL, paths[0], f"{key}: no TXT, WRD or PHN file with this id")
        else:
            labels = of_speaker | {"sentence_id": sentence} | _said(root, told)
            labels["sentence_type"] = sentence[:2] if sentence[:2] in KINDS else None
            core = split == "test" and speaker in CORE and sentence[:2] != "SA"
            labels["subset"] = "core" if core else None
            yield Recording(key, paths[0], split, present(labels))
        for copy in paths[1:]:
            yield Finding(DUPLICATE, copy, f"{key}: a copy of {paths[0]}")


def _said(root: Path, told: dict[str, str]) -> dict[str, Any]:
    """Return text, words and phonemes of a sentence, as far as there are files of them."""
    spans = {ending: list(_spans(root / path)) for ending, path in told.items()}
    texts = [text for _, _, text in spans.get(".TXT", ())]
    if len(texts) > 1:
        raise bad_line(root / told[".TXT"], 2, "a single line of text", texts[1])
    return {
        "text": texts[0] if texts else None,
        "words": [_item(span, "word") for span in spans.get(".WRD", ())],
        "phonemes": [_item(span, "phoneme") for span in spans.get(".PHN", ())],
    }


def _item(span: tuple[int, int, str], key: str) -> Item:
    first, last, text = span
    return {"start": first / RATE_HZ, "end": last / RATE_HZ, key: text.strip()}


def _spans(path: Path) -> Iterator[tuple[int, int, str]]:
    """Yield (first sample, last sample, text) of each line."""
    for number, line in lines(path):
        first, _, rest = line.partition(" ")
        last, _, text = rest.partition(" ")
        if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last) and text.strip()):
            raise bad_line(path, number, "first sample, last sample and text with a blank between", line)
        yield int(first), int(last), text


def _speakers(root: Path, base: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (id with the sex before it, labels) of SPKRINFO.TXT, beside TRAIN or above, in DOC or not."""
    place = root / base
    for folder in (place, *list(place.parents)[: len(Path(base).parts)]):
        folders, files = listing(folder)
        docs = [folder / name for name in folders if name.upper() == "DOC"]
        found = [doc / name for doc in docs for name in listing(doc)[1]] + [folder / name for name in files]
        for path in found:
            if path.name.upper() == "SPKRINFO.TXT":
                yield from _info(path)
                return


def _info(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    for number, line in lines(path):
        if not line.startswith(";") and line.strip():
            name, *fields = line.split(None, len(INFO) + 1)
            if len(fields) < len(INFO):
                raise bad_line(path, number, f"id, {', '.join(INFO)}", line)
            said = dict(zip(INFO, fields, strict=False))
            yield f"{said['sex']}{name}".upper(), {key: said[key] for key in KEPT if said[key].strip("?")}
