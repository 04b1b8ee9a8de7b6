"""LibriMix (Libri2Mix, Libri3Mix): mixtures of two or three LibriSpeech utterances and WHAM! noise, and their parts.

    wav{8k,16k}/{min,max}/{train-360,train-100,dev,test}/<folder>/<utterance>_<utterance>[_<utterance>].wav
        folder: mix_clean (speech), mix_both (with noise), mix_single (the first speech with noise), s1, s2, s3, noise
    wav{8k,16k}/{min,max}/metadata/mixture_<split>_<mix>.csv    mixture_ID, ..., length: absolute paths, not used
    wav{8k,16k}/{min,max}/metadata/metrics_<split>_<mix>.csv    mixture_ID, source_1_SNR, ..., noise_SNR

An id is <folder>/<mixture>. A mixture's `stems` name the recordings that were mixed; if one is missing, the mixture has
a defect. Each stem is a recording too, cut or padded for its mixture. Speaker ids are LibriSpeech's. A mixture that is
in one folder and not in another is a finding: the generator skips a folder that exists, even if it is half-filled.
Options: `rate` "16k" (default) or "8k"; `mode` "min" (cut to the shortest source, default) or "max" (padded to the
longest); `metadata`, a folder relative to the root with the generator's `*_info.csv` tables, for the genders.
Source: JorisCos/LibriMix, README and scripts. Keeps the names and tables of one split, and all ids, in memory (0.2 GB).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import AUDIO_WITHOUT_LABEL, CONTRADICTION, LABEL_WITHOUT_AUDIO, Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.cells import NUMBER, is_number, require_cells
from earmark.corpora._formats.csv_files import csv_rows
from earmark.corpora._labels import gender, once, present
from earmark.corpora._options import choice
from earmark.corpora._options import folder as folder_option
from earmark.corpora._tree import is_file, layout_error, listing
from earmark.errors import CorpusError
from earmark.rows import DraftLabels

VERSION = 1
OPTIONS = ("rate", "mode", "metadata")

RATES, MODES = ("16k", "8k"), ("min", "max")  # the first is the default
SUBSETS = {"train-360": "train", "train-100": "train", "dev": "dev", "test": "test"}
# The names of the generator's *_info.csv tables are those of LibriSpeech's sets.
SETS = {"train-360": "train-clean-360", "train-100": "train-clean-100", "dev": "dev-clean", "test": "test-clean"}
MIXES = ("mix_clean", "mix_both", "mix_single")
SOURCES = ("s1", "s2", "s3")
FOLDERS = (*MIXES, *SOURCES, "noise")  # in this order, so that a mixture comes before its stems
# The utterances of LibriSpeech in a mixture, <speaker>-<chapter>-<number>: s1 is the first of them.
NAME = re.compile(r"\d+-\d+-\d+(_\d+-\d+-\d+){1,2}")

DECIBELS = (is_number, "a number of dB")
Genders = dict[str, list[tuple[str, str]]]  # mixture -> (speaker, gender) of each source


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield split by split and mixture by mixture: the mixtures, then their stems."""
    base = f"wav{choice(options, 'rate', RATES)}/{choice(options, 'mode', MODES)}"
    metadata = folder_option(options, "metadata")
    return once(_recordings(root, options.language, base, root / metadata if metadata else None))


def _recordings(root: Path, language: str | None, base: str, metadata: Path | None) -> Iterator[Recording | Finding]:
    folders, _ = listing(root)
    generated = [f"{rate}/{mode}" for rate in folders if rate[3:] in RATES for mode in listing(root / rate)[0]]
    if not generated:
        raise layout_error(root, "a folder wav16k or wav8k")
    if base not in generated:
        raise CorpusError(
            f"{root}: no {base}: expected it by the options rate and mode, got {', '.join(generated)}. Generate it, or"
            ' name another in the catalog: options = { rate = "8k", mode = "min" }.'
        )
    splits, _ = listing(root / base)
    if not set(splits) & set(SUBSETS):
        raise layout_error(root / base, f"a folder {', '.join(SUBSETS)}")
    for split in (name for name in SUBSETS if name in splits):
        yield from _split(root, base, split, language, _genders(metadata, SETS[split]) if metadata else {})


def _split(root: Path, base: str, split: str, language: str | None, genders: Genders) -> Iterator[Recording | Finding]:
    names: dict[str, set[str]] = {}  # folder -> mixtures
    folders, _ = listing(root / base / split)
    for folder in (name for name in FOLDERS if name in folders):
        files = listing(root / base / split / folder)[1]
        names[folder] = {name.removesuffix(".wav") for name in files if name.endswith(".wav")}
    every = sorted(set().union(*names.values()))
    # A split may be half generated: its tables then list mixtures that no folder has.
    for mix in MIXES:
        yield from _lost(root, f"{base}/metadata/mixture_{split}_{mix}.csv", set(every))
    snrs = {mix: _snrs(root / base / "metadata" / f"metrics_{split}_{mix}.csv") for mix in MIXES if mix in names}
    for name in every:
        utterances = name.split("_") if NAME.fullmatch(name) else []
        speakers = genders.get(name, [])
        if speakers and [speaker for speaker, _ in speakers] != [utterance.split("-")[0] for utterance in utterances]:
            detail = f"{name}: speakers {', '.join(speaker for speaker, _ in speakers)} in the info table"
            yield Finding(CONTRADICTION, f"{base}/{split}", detail)
            speakers = []
        for folder, mixtures in names.items():
            path = f"{base}/{split}/{folder}/{name}.wav"
            fits = bool(utterances) and folder not in SOURCES[len(utterances) :]
            if name in mixtures and not fits:
                yield Finding(AUDIO_WITHOUT_LABEL, path, f"{folder}/{name}: no mixture of two or three utterances")
            elif name in mixtures:
                labels = _labels(name, folder, utterances, [sex for _, sex in speakers])
                labels |= {"mixture_id": name, "subset": split}
                parts = _parts(folder, len(utterances))
                if missing := [part for part in parts if name not in names.get(part, ())]:
                    labels |= {"stems": None, "defects": [f"no stem {part}" for part in missing]}
                labels |= {"language": None if folder == "noise" else language}
                labels |= {"stem_snr_db": snrs[folder].get(name)} if folder in snrs else {}
                yield Recording(f"{folder}/{name}", path, SUBSETS[split], present(labels))
            elif fits:
                other = next(folder for folder in names if name in names[folder])
                where = f"{base}/{split}/{other}/{name}.wav"
                yield Finding(LABEL_WITHOUT_AUDIO, where, f"{folder}/{name}: no such file beside this one")


def _parts(folder: str, count: int) -> tuple[str, ...]:
    """Return the folders of the stems of a mixture of `count` utterances; none for a folder that is a stem itself."""
    if folder not in MIXES:
        return ()
    sources = SOURCES[:1] if folder == "mix_single" else SOURCES[:count]
    return sources if folder == "mix_clean" else (*sources, "noise")


def _labels(name: str, folder: str, utterances: list[str], genders: list[str]) -> DraftLabels:
    """Return the labels in the name of a mixture and its folder; `genders` is empty or as long as `utterances`."""
    speakers = [utterance.split("-")[0] for utterance in utterances]
    labels: DraftLabels = {"stem": "mixture" if folder in MIXES else folder}
    if folder in SOURCES:
        nth = SOURCES.index(folder)
        labels |= {"speaker_id": speakers[nth], "chapter_id": utterances[nth].split("-")[1]}
        return labels | {"utterance_id": utterances[nth], "gender": genders[nth] if genders else None}
    if folder == "noise":
        return labels | {"category": "noise"}
    stems = {part: f"{part}/{name}" for part in _parts(folder, len(utterances))}
    labels |= {"mixture_type": folder, "stems": stems}
    return labels | ({"speaker_id": speakers[0]} if folder == "mix_single" else {"speaker_ids": speakers})


def _lost(root: Path, table: str, every: set[str]) -> Iterator[Finding]:
    """Yield a finding for each row of a table of mixtures that is in no folder."""
    if is_file(root / table):
        for number, row in csv_rows(root / table, ("mixture_ID",)):
            if row["mixture_ID"] not in every:
                detail = f"{row['mixture_ID']}: no audio file with this id"
                yield Finding(LABEL_WITHOUT_AUDIO, f"{table}:{number}", detail)


def _snrs(path: Path) -> dict[str, dict[str, float]]:
    """Return the level of each stem of a mixture against the rest of it: {mixture: {stem: dB}}."""
    by_mixture: dict[str, dict[str, float]] = {}
    for number, row in csv_rows(path, ("mixture_ID", "source_1_SNR")) if is_file(path) else ():
        with one_row(path, number):
            columns = {f"s{n}": f"source_{n}_SNR" for n in (1, 2, 3)} | {"noise": "noise_SNR"}
            columns = {stem: column for stem, column in columns.items() if column in row}
            require_cells(path, number, row, dict.fromkeys(columns.values(), DECIBELS))
            by_mixture[row["mixture_ID"]] = {stem: float(row[column]) for stem, column in columns.items()}
    return by_mixture


def _genders(metadata: Path, name: str) -> Genders:
    """Return the speakers of each mixture of a set, with their genders; the tables write ids as floats (4077.0)."""
    by_mixture: Genders = {}
    for table in (table for table in listing(metadata)[1] if table.endswith(f"mix_{name}_info.csv")):
        for number, row in csv_rows(metadata / table, ("mixture_ID", "speaker_1_ID", "speaker_1_sex")):
            with one_row(metadata / table, number):
                sources = [n for n in (1, 2, 3) if f"speaker_{n}_ID" in row and f"speaker_{n}_sex" in row]
                require_cells(metadata / table, number, row, {f"speaker_{n}_ID": NUMBER for n in sources})
                speakers = [str(int(float(row[f"speaker_{n}_ID"]))) for n in sources]
                genders = [gender(row[f"speaker_{n}_sex"]) for n in sources]
                by_mixture[row["mixture_ID"]] = list(zip(speakers, genders, strict=True))
    return by_mixture
