"""TIMIT: 630 speakers of American English, ten sentences each, words and phones timed by hand.

    <TRAIN|TEST>/DR<1-8>/<speaker>/<sentence>.WAV           NIST SPHERE in spite of the name; copies may be converted
    <TRAIN|TEST>/DR<1-8>/<speaker>/<sentence>.TXT           <first sample> <last sample> <text>
    <TRAIN|TEST>/DR<1-8>/<speaker>/<sentence>.{WRD,PHN}     <first sample> <last sample> <word or phone>, a line each
    DOC/SPKRINFO.TXT        id without sex, sex, dialect, use, two dates, height, race, education; `;` is a comment
        <speaker> is the sex (F or M), three letters and a digit

Names are in any letter case, below any folders called TIMIT or data. An id is <SPEAKER>_<SENTENCE> in upper case, since
all speakers read SA1 and SA2. Times become seconds; words overlap or leave gaps as published, and phones are the 61
published ones, with closures and pauses. `sentence_type` is SA, SX or SI. Splits are the published two; `subset` "core"
is the core test set (24 speakers of TEST, without SA). With the option `dev_speakers = true`, all sentences of the
customary 50 speakers of TEST are split "dev". A further copy of a recording (`SA1.WAV.wav`) is a finding.
Source: LDC93S1, DOC/TESTSET.DOC for the core set; Kaldi's recipe egs/timit for the 50 speakers.
Keeps the ids, the speakers and one folder in memory.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import AUDIO_WITHOUT_LABEL, DUPLICATE, LABEL_WITHOUT_AUDIO, Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.lines import bad_line, lines
from earmark.corpora._labels import gender, once, present
from earmark.corpora._options import flag
from earmark.corpora._tree import child, layout_error, listing, walk
from earmark.rows import DraftLabels, Labels
from earmark.sounds import is_audio

VERSION = 1
OPTIONS = ("dev_speakers",)

RATE_HZ = 16_000  # of the sample offsets in label files
SPLIT_OF = {"TRAIN": "train", "TEST": "test"}  # folder -> split
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


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their folders and sentences."""
    dev = flag(options, "dev_speakers", default=False)
    return once(_recordings(root, options.language, DEV if dev else frozenset()))


def _recordings(root: Path, language: str | None, dev: frozenset[str]) -> Iterator[Recording | Finding]:
    base, folders = _base(root)
    speakers = dict(_speakers(root, base))
    for top in (name for name in folders if name.upper() in SPLIT_OF):
        for folder, files in walk(root, child(base, top)):
            speaker = folder.rpartition("/")[2].upper()
            if not SPEAKER.fullmatch(speaker):
                for name in files:
                    if is_audio(name):
                        yield Finding(AUDIO_WITHOUT_LABEL, f"{folder}/{name}", f"{name}: not in a speaker's folder")
                continue
            split = "dev" if speaker in dev and top.upper() == "TEST" else SPLIT_OF[top.upper()]
            dialect = folder.split("/")[-2].upper()
            labels: DraftLabels = {"speaker_id": speaker, "gender": gender(speaker[0]), "language": language}
            labels |= {"dialect": dialect if DIALECT.fullmatch(dialect) else None}
            labels |= speakers.get(speaker, {})
            yield from _sentences(root, folder, files, split, speaker, labels)


def _base(root: Path) -> tuple[str, list[str]]:
    """Return the folder below the root that contains TRAIN or TEST, "" for the root itself, and the folders in it."""
    base = ""
    while True:
        folders, _ = listing(root / base)
        if any(name.upper() in SPLIT_OF for name in folders):
            return base, folders
        around = [name for name in folders if name.lower() in ABOVE]
        if not around:
            raise layout_error(root / base, "a folder TRAIN or TEST in any letter case")
        base = child(base, around[0])


def _sentences(
    root: Path, folder: str, files: list[str], split: str, speaker: str, of_speaker: DraftLabels
) -> Iterator[Recording | Finding]:
    """Yield the recordings of one speaker's folder; of several audio files of a sentence, the shortest name counts."""
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
        paths, label_files = sounds.get(sentence, []), labelled.get(sentence, {})
        if not paths:
            yield Finding(LABEL_WITHOUT_AUDIO, min(label_files.values()), f"{key}: no audio file with this id")
            continue
        if not label_files:
            yield Finding(AUDIO_WITHOUT_LABEL, paths[0], f"{key}: no TXT, WRD or PHN file with this id")
        else:
            with one_row(root / min(label_files.values())):  # half of a sentence's labels would be wrong ones
                labels: DraftLabels = {**of_speaker, "sentence_id": sentence, **_sentence(root, label_files)}
                labels["sentence_type"] = sentence[:2] if sentence[:2] in KINDS else None
                core = split == "test" and speaker in CORE and sentence[:2] != "SA"
                labels["subset"] = "core" if core else None
                yield Recording(key, paths[0], split, present(labels))
        for copy in paths[1:]:
            yield Finding(DUPLICATE, copy, f"{key}: a copy of {paths[0]}")


def _sentence(root: Path, label_files: dict[str, str]) -> DraftLabels:
    """Return text, words and phonemes of a sentence, each if there is a file of it."""
    spans = {ending: list(_spans(root / path)) for ending, path in label_files.items()}
    texts = [text for _, _, text in spans.get(".TXT", ())]
    if len(texts) > 1:
        raise bad_line(root / label_files[".TXT"], 2, "a single line of text", texts[1])
    return {
        "text": texts[0] if texts else None,
        "words": [_timed(span, "word") for span in spans.get(".WRD", ())],
        "phonemes": [_timed(span, "phoneme") for span in spans.get(".PHN", ())],
    }


def _timed(span: tuple[int, int, str], key: str) -> Labels:
    first, last, text = span
    return {"start": first / RATE_HZ, "end": last / RATE_HZ, key: text.strip()}


def _spans(path: Path) -> Iterator[tuple[int, int, str]]:
    """Yield (first sample, last sample, text) of each line."""
    for number, line in lines(path, strict=True):
        first, _, rest = line.partition(" ")
        last, _, text = rest.partition(" ")
        # Words may overlap or leave gaps, and the last label may end before the sound: neither is an error.
        if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last) and text.strip()):
            raise bad_line(path, number, "first sample, last sample and text with a blank between", line)
        yield int(first), int(last), text


def _speakers(root: Path, base: str) -> Iterator[tuple[str, Labels]]:
    """Yield (id with the sex before it, labels) of SPKRINFO.TXT, in the folder of TRAIN or above it, in DOC or not."""
    inner = root / base
    for folder in (inner, *list(inner.parents)[: len(Path(base).parts)]):
        folders, files = listing(folder)
        docs = [folder / name for name in folders if name.upper() == "DOC"]
        for path in [doc / name for doc in docs for name in listing(doc)[1]] + [folder / name for name in files]:
            if path.name.upper() == "SPKRINFO.TXT":
                yield from _info(path)
                return


def _info(path: Path) -> Iterator[tuple[str, Labels]]:
    """Yield the speakers of SPKRINFO.TXT, whose ids lack the sex that names of folders begin with."""
    for number, line in lines(path):
        if not line.startswith(";") and line.strip():
            with one_row(path, number):
                name, *fields = line.split(None, len(INFO) + 1)
                if len(fields) < len(INFO):
                    raise bad_line(path, number, f"id, {', '.join(INFO)}", line)
                info = dict(zip(INFO, fields, strict=False))  # comments may follow
                known = {key: info[key] for key in KEPT if info[key].strip("?")}  # "??" is unknown
                yield f"{info['sex']}{name}".upper(), {**known}
