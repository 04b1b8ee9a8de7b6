"""Hugging Face copies of a corpus: tables of a cache or of a hub snapshot, and the audio that some rows only name.

    datasets/<namespace>___<name>/<config>/<version>/<hash>/<name>-<split>[-NNNNN-of-NNNNN].arrow    Arrow IPC streams
    datasets/<namespace>___<name>/<config>/<version>/<hash>/dataset_info.json        the names of class labels
    datasets/downloads/extracted/<sha256>/...                                        audio of rows without bytes
    hub/datasets--<namespace>--<name>/snapshots/<commit>/<config>/[<name>-]<split>-NNNNN-of-NNNNN.parquet

A table's config is the last folder above it that has a config's name, so a copy of any of these folders is read too;
below no folder that names the dataset, as caches of old are, a table is the dataset's by its own name, or has no name.
Of two builds of one split, one counts: a whole one before one with missing shards, Arrow before Parquet, then the last
path. What lies in `extracted` is looked at only for rows without bytes. Source: huggingface/datasets, arrow_writer,
naming and features/audio. Holds the tables' names in memory, and where a row has no bytes the extracted files' names.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from earmark.corpora import DUPLICATE, INCOMPLETE, LABEL_WITHOUT_AUDIO, Finding
from earmark.corpora._tables import columns_of, table_rows
from earmark.corpora._tree import audio_files, listing
from earmark.errors import CorpusError

FILE = re.compile(r"(?:(.+)-)?(train|validation|dev|test)(?:-(\d{5})-of-(\d{5}))?\.(arrow|parquet)")
SPLITS = {"train": "train", "validation": "dev", "dev": "dev", "test": "test"}
EXTRACTED = "extracted"
PARTIAL = ".incomplete"
NOT_ENTERED = frozenset({EXTRACTED, "audio", "raw_audios", "transcribed_data", "unlabelled_data"})


@dataclass(frozen=True, slots=True)
class Table:
    """One table file; `names` are its class labels' names by column, `split` is one of train, dev, test."""

    path: str
    config: str
    split: str
    names: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Row:
    """A table's row: class labels by name, and the files its audio may be, one unless something is wrong."""

    table: Table
    path: str
    audio: tuple[str, ...]
    values: dict[str, Any]

    def missing(self, name: str) -> Finding:
        """Return the finding for a row whose audio is in no file, or in several of one name."""
        count = len(self.audio) or "no"
        detail = f"{name}: the row has no bytes, and {count} files of its name are below downloads/{EXTRACTED}"
        return Finding(LABEL_WITHOUT_AUDIO, self.path, detail)


@dataclass(frozen=True)
class Copy:
    """The tables of one dataset below a root, what does not fit among them, and the folders of extracted downloads."""

    root: Path
    tables: list[Table] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    extracted: list[str] = field(default_factory=list)

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        """Yield the rows of every table; columns that a table lacks are absent. Raises CorpusError for no table."""
        for table in self.tables:
            known = columns_of(self.root / table.path)
            wanted = ["audio", *(name for name in columns if name in known)]
            for number, values in enumerate(table_rows(self.root / table.path, wanted)):
                audio, path = values.pop("audio"), f"{table.path}/{number}.row"
                named = {name: class_named(value, table.names.get(name)) for name, value in values.items()}
                inside = (path,) if audio["has_bytes"] else self._places(audio["path"] or "")
                yield Row(table, path, inside, {**named, "file": audio["path"] or named.get("path") or ""})

    def _places(self, published: str) -> tuple[str, ...]:
        """Return where a file of the machine that built the cache lies here: at its place, else by its name."""
        below = published.replace("\\", "/").rpartition(f"/{EXTRACTED}/")[2]
        for folder in self.extracted:
            if below and not below.startswith("/") and ".." not in below and (self.root / folder / below).is_file():
                return (f"{folder}/{below}",)
        return tuple(self._by_name.get(below.rpartition("/")[2], ()))

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for folder in self.extracted:
            for path in audio_files(self.root, folder):
                found.setdefault(path.rpartition("/")[2], []).append(path)
        return found


def look(root: Path, dataset: str, configs: frozenset[str], mixed: str) -> Copy:
    """Return the tables of `dataset` below a root by config and split; those of other datasets are passed over.

    The tables of the config `mixed`, which repeats parts of the others, come last.

    Raises CorpusError when a folder or a dataset_info.json cannot be read.
    """
    copy = Copy(root)
    builds: dict[tuple[str, str], dict[tuple[str, str, str], list[tuple[str, str]]]] = {}
    for path in _walk(root, "", dataset, copy):
        folder, _, name = path.rpartition("/")
        match = FILE.fullmatch(name)
        config = next((part for part in reversed(folder.split("/")) if part in configs or part == mixed), None)
        if match is None or config is None or not _is_table(folder, match[1], dataset):
            continue
        if not (root / path).is_file():
            copy.findings.append(Finding(INCOMPLETE, path, "a link to a file that is not there"))
            continue
        _, split, part, of, form = match.groups()
        build = builds.setdefault((config, SPLITS[split]), {}).setdefault((form, folder, of or ""), [])
        build.append((part or "", path))
    for (config, split), found in sorted(builds.items(), key=lambda item: (item[0][0] == mixed, item[0])):
        chosen = max(found, key=lambda build: (not _gaps(build[2], found[build]), build[0] == "arrow", build))
        names = info_names(root / chosen[1])
        copy.tables.extend(Table(path, config, split, names) for _, path in sorted(found[chosen]))
        if missing := _gaps(chosen[2], found[chosen]):
            copy.findings.append(Finding(INCOMPLETE, chosen[1], f"{config} {split}: no shard {', '.join(missing)}"))
        for other in sorted(found.keys() - {chosen}):
            detail = f"{config} {split}: read from {chosen[1] or 'the root'}"
            copy.findings.extend(Finding(DUPLICATE, path, detail) for _, path in sorted(found[other]))
    return copy


def _walk(root: Path, folder: str, dataset: str, copy: Copy) -> Iterator[str]:
    """Yield the files that may be tables, sorted; note what is not finished, and where extracted downloads lie."""
    folders, files = listing(root / folder)
    below = f"{folder}/" if folder else ""
    for name in sorted(os.listdir(root / folder)):
        if name.endswith(PARTIAL):
            copy.findings.append(Finding(INCOMPLETE, f"{below}{name}", "left unfinished by a download"))
    yield from (f"{below}{name}" for name in files)
    for name in folders:
        if name == EXTRACTED:
            copy.extracted.append(f"{below}{name}")
        elif name not in NOT_ENTERED and _belongs(name, dataset):
            yield from _walk(root, f"{below}{name}", dataset, copy)


def _belongs(name: str, dataset: str) -> bool:
    """Say whether a folder may be the dataset's: `<namespace>___<name>` and `datasets--<namespace>--<name>` tell."""
    separator = _separator(name)
    return not separator or name.rpartition(separator)[2].replace("_", "-") == dataset


def _is_table(folder: str, prefix: str | None, dataset: str) -> bool:
    """Say whether a table is the dataset's: by a folder above it, which was entered as such, or by its own name."""
    named = any(_separator(part) for part in folder.split("/"))
    return named or prefix is None or prefix.replace("_", "-") == dataset


def _separator(folder: str) -> str:
    """Return what stands between namespace and name in a folder's name, "" where it names no dataset."""
    return "___" if "___" in folder else "--" if folder.startswith("datasets--") else ""


def _gaps(of: str, parts: list[tuple[str, str]]) -> list[str]:
    """Return the numbers of the shards that are not there."""
    there = {part for part, _ in parts}
    return [number for index in range(int(of or 0)) if (number := f"{index:05d}") not in there]


def info_names(folder: Path) -> dict[str, list[str]]:
    """Return {column: names} from a folder's dataset_info.json, if there is one. Raises CorpusError."""
    path = folder / "dataset_info.json"
    if not path.is_file():
        return {}
    try:
        return class_names(orjson.loads(path.read_bytes())["features"] or {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(
            f'{path}: broken: expected a JSON object with "features", got: {error}. Build the cache again.'
        ) from error


def class_names(features: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return {column: names} of the features that are a class label, or a list of them in any of its three forms."""
    found = {}
    for column, feature in features.items():
        of_list = feature[:1] if isinstance(feature, list) else [feature.get("feature"), feature]
        names = next((item["names"] for item in of_list if isinstance(item, dict) and "names" in item), None)
        if isinstance(names, list):
            found[column] = names
    return found


def class_named(value: Any, names: Sequence[str] | None) -> Any:
    """Return the name of a class label's number, None for -1, which is no class; any other value as it is."""
    if not names:
        return value
    if isinstance(value, list):
        return [class_named(item, names) for item in value]
    if value == -1:
        return None
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value
