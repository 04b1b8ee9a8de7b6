"""DNS Challenge 1 to 5: clean speech, noise and impulse responses to be mixed, and test sets; labels are in the names.

    **/{clean,clean_fullband}/<set>/...           read_speech/book_<n>_chp_<n>_reader_<n>_<n>[_seg_<n>].wav,
                                                  emotional_speech (CREMA-D's names), vctk_*/p<nnn>_..., and others
    **/{noise,noise_fullband}/<name>.wav          <YouTube id>, or <class>_Freesound_validated_<Freesound id>_<n>
    **/impulse_responses/{SLR26,SLR28}/...        described by **/RIR_table_simple.csv, by channel:
                                                  wavfile, channel, T60_WB, C50_WB, isRealRIR
    **/{dev_testset*,test_set}/...                noisy; and clean or noise in folders of that name
    {clean,noise}_fileid_<n>.wav, *_snr<dB>_tl<dB>_fileid_<n>.wav     parts and mixture, in sibling folders

The folders are in `datasets`, `datasets_fullband` or `mnt/dnsv5`, some archives nest a second one of these, and so they
are found by name. An id is the path below the root. If a folder contains one of the same name, as read_speech of DNS4
does (117 GB), a file that the outer one has too is a duplicate. The table's paths are those of the 16 kHz release even
in the 48 kHz one; a row without audio is a finding only if its SLR folder is on disk. Git LFS pointers, as in an
archive of DNS1, are findings. The catalog's language is that of read, emotional and VCTK speech. `licence` is given if
the source of a set is known. Copies of VocalSet have only `singing`, False for spoken excerpts: their names do not tell
the singer reliably.
Source: microsoft/DNS-Challenge, README, download scripts and issues 108 and 120.
Keeps all ids, one folder's names and the table in memory (0.3 GB for DNS4).
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import AUDIO_WITHOUT_LABEL, DUPLICATE, LABEL_WITHOUT_AUDIO, Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.cells import NUMBER, require_cells
from earmark.corpora._formats.csv_files import csv_rows
from earmark.corpora._formats.lines import bad_line
from earmark.corpora._labels import once, present
from earmark.corpora._lfs import is_pointer, pointer_finding
from earmark.corpora._tree import child, is_file, layout_error, listing, walk
from earmark.corpora.crema_d import name_labels
from earmark.corpora.vocalset import SPOKEN
from earmark.rows import DraftLabels, Labels
from earmark.sounds import is_audio

VERSION = 1

CHECKS = {"T60_WB": NUMBER, "C50_WB": NUMBER}
CLEAN, NOISE, RESPONSE, NOISY = "clean", "noise", "impulse_response", "noisy"
CATEGORIES = {  # folder -> category
    **{"clean": CLEAN, "clean_fullband": CLEAN, "noise": NOISE, "noise_fullband": NOISE, "noisy": NOISY},
    "impulse_responses": RESPONSE,
}
TEST_SETS = {"dev_testset": "dev", "dev_testset_fullband": "dev", "test_set": "test"}  # folder -> split
SINGING = ("singing_voice", "VocalSet_48kHz_mono")
LANGUAGES = {  # set of clean speech -> language; None for the catalog's language
    **dict.fromkeys(("read_speech", "emotional_speech", "vctk_wav48_silence_trimmed", *SINGING)),
    **{"french_data": "fr", "french_speech": "fr", "german_speech": "de", "italian_speech": "it"},
    **{"mandarin_speech": "zh", "russian_speech": "ru", "spanish_speech": "es"},
}
LICENCES = {  # set of clean speech -> licence of its source: LibriVox, CREMA-D, VCTK, VocalSet
    **{"read_speech": "public domain", "emotional_speech": "ODbL-1.0", "vctk_wav48_silence_trimmed": "ODC-By-1.0"},
    **dict.fromkeys(SINGING, "CC-BY-4.0"),
}
DEEPEST = 5  # folders above those of the categories, as in x/Track1_Headset/mnt/dnsv5/clean
TABLE = "RIR_table_simple.csv"  # of impulse responses: reverberation time and clarity index, wide band
READ = re.compile(r"book_(\d+)_chp_(\d+)_(reader_\d+)_.+")
VCTK = re.compile(r"(p\d{3})_.+")
YOUTUBE = re.compile(r"[\w-]{11}", re.ASCII)  # noise without another form of name is from AudioSet
FREESOUND = re.compile(r"(.+)_Freesound_validated_(\d+)_\d+")
PART = re.compile(r"(clean|noise)_fileid_(\d+)")
MIXTURE = re.compile(r".+_snr(-?\d+)_tl(-?\d+)_fileid_(\d+)")

Responses = dict[str, tuple[str, Labels]]  # path below impulse_responses -> "table:line" and labels
Parts = dict[tuple[str, str], dict[str, str]]  # folder above that of a part, number -> {clean or noise: id}


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths; test sets have a split, material to be mixed has none."""
    return once(_recordings(root, options.language))


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    tables, is_layout = [], False
    for folder, folders, files in _above(root, "", DEEPEST):
        is_layout |= bool(set(folders) & {*CATEGORIES, *TEST_SETS})
        tables += [f"{folder}{TABLE}"] if TABLE in files else []
    if not is_layout:
        raise layout_error(root, f"a folder {', '.join((*CATEGORIES, *TEST_SETS))}")
    responses = _responses(root, tables[0]) if tables else {}
    parts: Parts = defaultdict(dict)
    on_disk: set[str] = set()  # responses with an audio file
    for folder, files in walk(root):
        for name in (name for name in files if is_audio(name)):
            path = child(folder, name)
            key = path.rpartition(".")[0]
            if outer := _outer_copy(root, folder, name):
                yield Finding(DUPLICATE, path, f"{key}: a copy of {outer}")
            elif is_pointer(root / path):
                yield pointer_finding(path, key)
            elif (labels := _labels(folder, name.rpartition(".")[0], language)) is None:
                yield Finding(AUDIO_WITHOUT_LABEL, path, f"{key}: in none of the folders {', '.join(CATEGORIES)}")
            else:
                if labels["category"] == RESPONSE:
                    on_disk.add(_response_key(path))
                    labels |= responses.get(_response_key(path), ("", {}))[1]
                labels |= _paired(key, parts)
                split = next((TEST_SETS[step] for step in folder.split("/") if step in TEST_SETS), None)
                yield Recording(key, path, split, present(labels))
    extracted = {key.partition("/")[0] for key in on_disk}
    for key, (where, _) in responses.items():
        if key not in on_disk and key.partition("/")[0] in extracted:
            yield Finding(LABEL_WITHOUT_AUDIO, where, f"{key}: no audio file with this path")


def _above(root: Path, below: str, depth: int) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield (folder with its slash, folders, files) of the root and of each folder above those of a category."""
    folders, files = listing(root / below)
    yield below, folders, files
    for name in folders if depth else ():
        if name not in CATEGORIES and name not in TEST_SETS:
            yield from _above(root, f"{below}{name}/", depth - 1)


def _outer_copy(root: Path, folder: str, name: str) -> str | None:
    """Return the path of the same file in the outer folder, where a folder contains one of its own name."""
    steps = folder.split("/")
    for at in range(1, len(steps)):
        if steps[at] == steps[at - 1]:
            outer = "/".join((*steps[:at], *steps[at + 1 :], name))
            if is_file(root / outer):
                return outer
    return None


def _labels(folder: str, name: str, language: str | None) -> DraftLabels | None:
    """Return the labels in the folders and the name, or None if no folder tells the category."""
    steps = folder.split("/")
    is_test = any(step in TEST_SETS for step in steps)
    category = next((CATEGORIES[step] for step in steps if step in CATEGORIES), NOISY if is_test else None)
    if category is None:
        return None
    if category == RESPONSE:
        return {"category": category, "source": next((step for step in steps if step.startswith("SLR")), None)}
    if category == NOISE:
        return {"category": category, **_noise(name)}
    if category == NOISY or is_test:
        return {"category": category}
    subset = next((step for step in steps if step in LANGUAGES), None)
    labels: DraftLabels = {"category": category, "subset": subset, "licence": LICENCES.get(subset or "")}
    if subset in SINGING:
        return labels | {"singing": SPOKEN not in steps and SPOKEN not in name.split("_")}
    match = READ.fullmatch(name)
    labels |= {"language": LANGUAGES.get(subset or "") or (language if subset or match else None)}
    if match:
        labels |= {"book_id": match[1], "chapter_id": match[2], "speaker_id": match[3]}
    elif subset == "vctk_wav48_silence_trimmed" and (match := VCTK.fullmatch(name)):
        labels |= {"speaker_id": match[1]}
    elif subset == "emotional_speech":
        labels |= name_labels(name) or {}
    return labels


def _noise(name: str) -> Labels:
    if match := FREESOUND.fullmatch(name):
        return {"source": "freesound", "sound_class": match[1], "freesound_id": match[2], "licence": "CC0-1.0"}
    return {"source": "audioset", "group_id": name} if YOUTUBE.fullmatch(name) else {}


def _paired(key: str, parts: Parts) -> DraftLabels:
    """Return the labels of a synthesised mixture, or of a part of one, which is added to `parts`.

    A mixture finds its parts there, since the folders clean and noise sort before noisy.
    """
    above, _, name = key.rpartition("/")
    above = above.rpartition("/")[0]
    if match := PART.fullmatch(name):
        parts[above, match[2]][match[1]] = key
        return {"stem": match[1]}
    if match := MIXTURE.fullmatch(name):
        labels: DraftLabels = {"stem": "mixture", "snr_db": int(match[1]), "level_db": int(match[2])}
        return labels | {"stems": dict(parts[above, match[3]]) or None}
    return {}


def _response_key(path: str) -> str:
    """Return a response's path below impulse_responses, with the rate in a folder's name left out."""
    below = path.replace("\\", "/").rpartition("impulse_responses/")[2]
    return re.sub(r"simulated_rirs_\d+k", "simulated_rirs", below)


def _responses(root: Path, table: str) -> Responses:
    """Return the labels of each response in the table: reverberation time and clarity of each channel, as listed."""
    responses: Responses = {}
    t60s: dict[str, list[float]] = {}
    c50s: dict[str, list[float]] = {}
    place = root / table
    for number, row in csv_rows(place, ("wavfile", "channel", "T60_WB", "C50_WB", "isRealRIR")):
        with one_row(place, number):
            real = {"0": False, "1": True, "false": False, "true": True}.get(row["isRealRIR"].strip().lower())
            require_cells(place, number, row, CHECKS)
            if real is None:
                raise bad_line(place, number, "0 or 1 in column isRealRIR", row["isRealRIR"])
            key = _response_key(row["wavfile"])
            t60s.setdefault(key, []).append(float(row["T60_WB"]))
            c50s.setdefault(key, []).append(float(row["C50_WB"]))
            responses.setdefault(
                key, (f"{table}:{number}", {"is_measured": real, "t60_s": t60s[key], "c50_db": c50s[key]})
            )
    return responses
