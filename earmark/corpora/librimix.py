"""LibriMix (Libri2Mix, Libri3Mix): mixtures of two or three LibriSpeech utterances and WHAM! noise, and their parts.

    wav{8k,16k}/{min,max}/{train-360,train-100,dev,test}/<folder>/<utterance>_<utterance>[_<utterance>].wav
        folder: mix_clean (speech), mix_both (with noise), mix_single (the first speech with noise), s1, s2, s3, noise
    wav{8k,16k}/{min,max}/metadata/mixture_<split>_<mix>.csv    mixture_ID, ..., length: absolute paths, not used
    wav{8k,16k}/{min,max}/metadata/metrics_<split>_<mix>.csv    mixture_ID, source_1_SNR, ..., noise_SNR

An id is <folder>/<mixture>. A mixture's `stems` name the recordings in it; where one is lacking, it has a defect.
Each stem is a recording too, cut or padded for its mixture. Speaker ids are LibriSpeech's. A mixture that one folder
has and another lacks is a finding: the generator passes over a folder that it finds half-filled.
Options: `rate` "16k" (default) or "8k"; `mode` "min" (cut to the shortest source, default) or "max" (padded to the
longest); `metadata`, a folder relative to the root with the generator's `*_info.csv` tables, for the genders.
Source: JorisCos/LibriMix. Holds the names and tables of one split, and all ids, in memory (0.2 GB).
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    CONTRADICTION,
    LABEL_WITHOUT_AUDIO,
    Finding,
    ReaderOptions,
    Recording,
    check_options,
)
from earmark.corpora._csv import csv_rows
from earmark.corpora._labels import bad_line, gender, once, present
from earmark.corpora._tree import layout_error, listing
from earmark.errors import CatalogError, CorpusError, near

VERSION = 1

RATES, MODES = ("16k", "8k"), ("min", "max")  # the first is the default
SUBSETS = {"train-360": "train", "train-100": "train", "dev": "dev", "test": "test"}
SETS = {"train-360": "train-clean-360", "train-100": "train-clean-100", "dev": "dev-clean", "test": "test-clean"}
MIXES = ("mix_clean", "mix_both", "mix_single")
SOURCES = ("s1", "s2", "s3")
FOLDERS = (*MIXES, *SOURCES, "noise")
NAME = re.compile(r"\d+-\d+-\d+(_\d+-\d+-\d+){1,2}")

Sexes = dict[str, list[tuple[str, str]]]  # mixture -> (speaker, gender) of each source


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield split by split and mixture by mixture: the mixtures, then what is in them."""
    check_options("librimix", options, ("rate", "mode", "metadata"))
    chosen = [_choice(options, "rate", RATES), _choice(options, "mode", MODES)]
    metadata = options.options.get("metadata")
    if metadata is not None and (not isinstance(metadata, str) or not metadata):
        raise _wrong("metadata", f"a folder, got {metadata!r}")
    base = f"wav{chosen[0]}/{chosen[1]}"
    return once(_recordings(root, options.language, base, root / metadata if metadata else None))


def _choice(options: ReaderOptions, name: str, known: tuple[str, ...]) -> str:
    value = options.options.get(name, known[0])
    if value not in known:
        raise _wrong(name, f"{' or '.join(known)}, got {value!r}{near(str(value), known)}")
    return str(value)


def _wrong(name: str, what: str) -> CatalogError:
    return CatalogError(
        f'corpus "librimix": wrong option {name}: expected {what}. Correct the dataset\'s options in the catalog.'
    )


def _recordings(root: Path, language: str | None, base: str, metadata: Path | None) -> Iterator[Recording | Finding]:
    folders, files = listing(root)
    there = [f"{rate}/{mode}" for rate in folders if rate[3:] in RATES for mode in listing(root / rate)[0]]
    if not there:
        raise layout_error(root, "a folder wav16k or wav8k", [*folders, *files])
    if base not in there:
        raise CorpusError(
            f"{root}: no {base}: expected it by the options rate and mode, got {', '.join(there)}. Generate it, or name"
            ' another in the catalog: options = { rate = "8k", mode = "min" }.'
        )
    splits, others = listing(root / base)
    if not set(splits) & set(SUBSETS):
        raise layout_error(root / base, f"a folder {', '.join(SUBSETS)}", [*splits, *others])
    for split in (name for name in SUBSETS if name in splits):
        yield from _split(root, base, split, language, _sexes(metadata, SETS[split]) if metadata else {})


def _split(root: Path, base: str, split: str, language: str | None, sexes: Sexes) -> Iterator[Recording | Finding]:
    names: dict[str, set[str]] = {}  # folder -> mixtures
    folders, _ = listing(root / base / split)
    for folder in (name for name in FOLDERS if name in folders):
        files = listing(root / base / split / folder)[1]
        names[folder] = {name.removesuffix(".wav") for name in files if name.endswith(".wav")}
    every = sorted(set().union(*names.values()))
    for mix in MIXES:
        yield from _lost(root, f"{base}/metadata/mixture_{split}_{mix}.csv", set(every))
    snrs = {mix: _snrs(root / base / "metadata" / f"metrics_{split}_{mix}.csv") for mix in MIXES if mix in names}
    for name in every:
        utterances = name.split("_") if NAME.fullmatch(name) else []
        said = sexes.get(name, [])
        if said and [speaker for speaker, _ in said] != [utterance.split("-")[0] for utterance in utterances]:
            detail = f"{name}: speakers {', '.join(speaker for speaker, _ in said)} in the info table"
            yield Finding(CONTRADICTION, f"{base}/{split}", detail)
            said = []
        for folder, mixtures in names.items():
            path = f"{base}/{split}/{folder}/{name}.wav"
            fits = bool(utterances) and folder not in SOURCES[len(utterances) :]
            if name in mixtures and not fits:
                yield Finding(AUDIO_WITHOUT_LABEL, path, f"{folder}/{name}: no mixture of two or three utterances")
            elif name in mixtures:
                labels = _labels(name, folder, utterances, said) | {"mixture_id": name, "subset": split}
                lacking = [part for part in labels.get("stems", ()) if name not in names.get(part, ())]
                labels |= {"stems": None, "defects": [f"no stem {part}" for part in lacking]} if lacking else {}
                labels |= {"language": None if folder == "noise" else language}
                labels |= {"stem_snr_db": snrs[folder].get(name)} if folder in snrs else {}
                yield Recording(f"{folder}/{name}", path, SUBSETS[split], present(labels))
            elif fits:
                other = next(folder for folder in names if name in names[folder])
                where = f"{base}/{split}/{other}/{name}.wav"
                yield Finding(LABEL_WITHOUT_AUDIO, where, f"{folder}/{name}: no such file beside this one")


def _labels(name: str, folder: str, utterances: list[str], sexes: list[tuple[str, str]]) -> dict[str, Any]:
    """Return what the name of a mixture and its folder say; `sexes` is empty or as long as `utterances`."""
    speakers = [utterance.split("-")[0] for utterance in utterances]
    labels: dict[str, Any] = {"stem": "mixture" if folder in MIXES else folder}
    if folder in SOURCES:
        nth = SOURCES.index(folder)
        labels |= {"speaker_id": speakers[nth], "chapter_id": utterances[nth].split("-")[1]}
        return labels | {"utterance_id": utterances[nth], "gender": sexes[nth][1] if sexes else None}
    if folder == "noise":
        return labels | {"category": "noise"}
    parts = SOURCES[:1] if folder == "mix_single" else SOURCES[: len(speakers)]
    parts += () if folder == "mix_clean" else ("noise",)
    labels |= {"mixture_type": folder, "stems": {part: f"{part}/{name}" for part in parts}}
    return labels | ({"speaker_id": speakers[0]} if folder == "mix_single" else {"speaker_ids": speakers})


def _lost(root: Path, table: str, every: set[str]) -> Iterator[Finding]:
    """Yield a finding for each row of a table of mixtures of which no folder holds anything."""
    if (root / table).is_file():
        for number, row in csv_rows(root / table, ("mixture_ID",)):
            if row["mixture_ID"] not in every:
                yield Finding(
                    LABEL_WITHOUT_AUDIO, f"{table}:{number}", f"{row['mixture_ID']}: no audio file with this id"
                )


def _snrs(path: Path) -> dict[str, dict[str, float]]:
    """Return how loud each stem of a mixture is against the rest of it: {mixture: {stem: dB}}."""
    found: dict[str, dict[str, float]] = {}
    for number, row in csv_rows(path, ("mixture_ID", "source_1_SNR")) if path.is_file() else ():
        columns = {f"s{n}": f"source_{n}_SNR" for n in (1, 2, 3)} | {"noise": "noise_SNR"}
        try:
            snrs = {stem: float(row[column]) for stem, column in columns.items() if column in row}
        except ValueError:
            snrs = {"": math.nan}
        if not all(map(math.isfinite, snrs.values())):
            raise bad_line(path, number, "numbers of dB", ", ".join(row.values()))
        found[row["mixture_ID"]] = snrs
    return found


def _sexes(metadata: Path, name: str) -> Sexes:
    """Return the speakers of each mixture of a set, whose ids are written as floats there (4077.0)."""
    found: Sexes = {}
    for table in (table for table in listing(metadata)[1] if table.endswith(f"mix_{name}_info.csv")):
        for number, row in csv_rows(metadata / table, ("mixture_ID", "speaker_1_ID", "speaker_1_sex")):
            sources = [n for n in (1, 2, 3) if f"speaker_{n}_ID" in row and f"speaker_{n}_sex" in row]
            try:
                speakers = [str(int(float(row[f"speaker_{n}_ID"]))) for n in sources]
            except (ValueError, OverflowError) as error:
                raise bad_line(metadata / table, number, "numbers of speakers", ", ".join(row.values())) from error
            sexes = [gender(row[f"speaker_{n}_sex"]) for n in sources]
            found[row["mixture_ID"]] = list(zip(speakers, sexes, strict=True))
    return found
