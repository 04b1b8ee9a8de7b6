"""Hugging Face copies of a corpus: tables of a cache or of a hub snapshot, and the audio that some rows only name.

    datasets/<namespace>___<name>/<config>/<version>/<hash>/<name>-<split>[-NNNNN-of-NNNNN].arrow    Arrow IPC streams
    datasets/<namespace>___<name>/<config>/<version>/<hash>/dataset_info.json        the names of class labels
    datasets/downloads/extracted/<sha256>/...                                        audio of rows without bytes
    hub/datasets--<namespace>--<name>/snapshots/<commit>/<config>/[<name>-]<split>-NNNNN-of-NNNNN.parquet

A table's config is the last folder above it that is named as a config, so that a copy of any of these folders alone can
be read. Where no folder above names a dataset, as in old caches, a table's own name decides whether it belongs to this
dataset; a table without such a name does.
Of two builds of one split only one is read: a complete one before one that lacks shards, Arrow before Parquet, then the
last path. `extracted` is listed only if a row has no bytes.
Source: huggingface/datasets, arrow_writer.py, naming.py and features/audio.py.
Keeps the tables' names in memory, and the names of the extracted files if a row has no bytes.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import orjson

from earmark.corpora import DUPLICATE, INCOMPLETE, LABEL_WITHOUT_AUDIO, Finding
from earmark.corpora._formats.lines import label_bytes
from earmark.corpora._formats.parquet import audio_rows, columns_of
from earmark.corpora._tree import audio_files, child, is_file, listing
from earmark.errors import CorpusError
from earmark.rows import JSON

FILE = re.compile(r"(?:(.+)-)?(train|validation|dev|test)(?:-(\d{5})-of-(\d{5}))?\.(arrow|parquet)")
SPLIT_OF = {"train": "train", "validation": "dev", "dev": "dev", "test": "test"}  # name in a file -> split
EXTRACTED = "extracted"
PARTIAL = ".incomplete"
# Folders of other copies of the same corpora, which can have a million files and never a table.
NOT_ENTERED = frozenset({EXTRACTED, "audio", "raw_audios", "transcribed_data", "unlabelled_data"})


@dataclass(frozen=True, slots=True)
class TableFile:
    """One table of a copy; `names` are the names of its class labels by column, `split` is one of train, dev, test."""

    path: str
    config: str
    split: str
    names: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table: its values with class labels by name, and the path of its audio, exactly one if all is well.

    `path` is that of the row itself (see `earmark.disk.inside`), `file` the published name of the audio, "" without.
    """

    table: TableFile
    path: str
    audio: tuple[str, ...]
    file: str
    values: Mapping[str, object]

    def text(self, column: str) -> str | None:
        """Return the value of a column that is a text, None where it is another value or none."""
        value = self.values.get(column)
        return value if isinstance(value, str) else None

    def missing(self, name: str) -> Finding:
        """Return the finding for a row whose audio is in no file, or in several files of its name."""
        count = len(self.audio) or "no"
        detail = f"{name}: the row has no bytes, and {count} files of its name are below downloads/{EXTRACTED}"
        return Finding(LABEL_WITHOUT_AUDIO, self.path, detail)


@dataclass(frozen=True)
class Copy:
    """The tables of one dataset below a root, findings about them, and the folders of extracted downloads."""

    root: Path
    tables: list[TableFile] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    extracted: list[str] = field(default_factory=list)

    def rows(self, columns: Sequence[str]) -> Iterator[TableRow]:
        """Yield the rows of every table; columns that a table lacks are absent.

        Raises CorpusError for a file that is not a table, or has no column `audio`.
        """
        for table in self.tables:
            known = columns_of(self.root / table.path)
            wanted = [name for name in columns if name in known]
            for number, (audio, values) in enumerate(audio_rows(self.root / table.path, wanted)):
                path = f"{table.path}/{number}.row"
                named = {name: class_named(value, table.names.get(name)) for name, value in values.items()}
                places = (path,) if audio["has_bytes"] else self._places(audio["path"] or "")
                yield TableRow(table, path, places, str(audio["path"] or named.get("path") or ""), named)

    def _places(self, published: str) -> tuple[str, ...]:
        """Return the paths here of a file whose path is that on the machine that built the cache.

        A moved cache still has it at the same place below `extracted`; a merged one perhaps elsewhere, by its name.
        """
        below = published.replace("\\", "/").rpartition(f"/{EXTRACTED}/")[2]
        for folder in self.extracted:
            if below and not below.startswith("/") and ".." not in below and is_file(self.root / folder / below):
                return (f"{folder}/{below}",)
        return tuple(self._by_name.get(below.rpartition("/")[2], ()))

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        by_name: dict[str, list[str]] = {}
        for folder in self.extracted:
            for path in audio_files(self.root, folder):
                by_name.setdefault(path.rpartition("/")[2], []).append(path)
        return by_name


Part = tuple[str, str]  # number of a shard, "" for a table that is alone; path
Build = tuple[str, str, str]  # arrow or parquet, folder, count of its shards as in the names


def look(root: Path, dataset: str, configs: frozenset[str], mixed: str) -> Copy:
    """Return the tables of `dataset` below a root by config and split; those of other datasets are passed over.

    The tables of the config `mixed`, which repeats parts of the others, come last, so that the others' rows count.
    Raises CorpusError when a folder or a dataset_info.json cannot be read.
    """
    copy = Copy(root)
    builds = _builds(copy, dataset, configs, mixed)
    for (config, split), of_split in sorted(builds.items(), key=lambda item: (item[0][0] == mixed, item[0])):
        _choose(copy, config, split, of_split)
    return copy


def _builds(
    copy: Copy, dataset: str, configs: frozenset[str], mixed: str
) -> dict[tuple[str, str], dict[Build, list[Part]]]:
    """Return the parts of each build of each (config, split); links to files that are not here become findings."""
    root = copy.root
    builds: dict[tuple[str, str], dict[Build, list[Part]]] = {}
    for path in _walk(root, "", dataset, copy):
        folder, _, name = path.rpartition("/")
        match = FILE.fullmatch(name)
        config = next((part for part in reversed(folder.split("/")) if part in configs or part == mixed), None)
        if match is None or config is None or not _is_table(folder, match[1], dataset):
            continue
        if not is_file(root / path):
            # The hub's snapshots link to blobs; a copy without the blobs has the links alone.
            copy.findings.append(Finding(INCOMPLETE, path, "a link to a file that is not there"))
            continue
        _, split, part, count, form = match.groups()
        parts = builds.setdefault((config, SPLIT_OF[split]), {}).setdefault((form, folder, count or ""), [])
        parts.append((part or "", path))
    return builds


def _choose(copy: Copy, config: str, split: str, builds: Mapping[Build, list[Part]]) -> None:
    """Add the tables of one build of a split to the copy, and a finding for what is missing, and for other builds."""
    chosen = max(builds, key=lambda build: (not _gaps(build[2], builds[build]), build[0] == "arrow", build))
    _, folder, count = chosen
    names = info_names(copy.root / folder)
    copy.tables.extend(TableFile(path, config, split, names) for _, path in sorted(builds[chosen]))
    if missing := _gaps(count, builds[chosen]):
        copy.findings.append(Finding(INCOMPLETE, folder, f"{config} {split}: no shard {', '.join(missing)}"))
    for other in sorted(builds.keys() - {chosen}):
        detail = f"{config} {split}: read from {folder or 'the root'}"
        copy.findings.extend(Finding(DUPLICATE, path, detail) for _, path in sorted(builds[other]))


def _walk(root: Path, folder: str, dataset: str, copy: Copy) -> Iterator[str]:
    """Yield the files that may be tables, sorted; note unfinished downloads and the folders of extracted ones."""
    folders, files = listing(root / folder)
    for name in sorted(os.listdir(root / folder)):  # listing() leaves such names out
        if name.endswith(PARTIAL):
            copy.findings.append(Finding(INCOMPLETE, child(folder, name), "left unfinished by a download"))
    yield from (child(folder, name) for name in files)
    for name in folders:
        if name == EXTRACTED:
            copy.extracted.append(child(folder, name))
        elif name not in NOT_ENTERED and _belongs(name, dataset):
            yield from _walk(root, child(folder, name), dataset, copy)


def _belongs(name: str, dataset: str) -> bool:
    """Return whether a folder may belong to the dataset: it names no dataset, or this one."""
    separator = _separator(name)
    return not separator or name.rpartition(separator)[2].replace("_", "-") == dataset


def _is_table(folder: str, prefix: str | None, dataset: str) -> bool:
    """Return whether a table belongs to the dataset, by a folder above it or by the prefix of its own name."""
    # A folder that names another dataset is never entered, so one that names any names this one.
    named = any(_separator(part) for part in folder.split("/"))
    return named or prefix is None or prefix.replace("_", "-") == dataset


def _separator(folder: str) -> str:
    """Return the separator of <namespace>___<name> or datasets--<namespace>--<name>, "" for any other folder."""
    return "___" if "___" in folder else "--" if folder.startswith("datasets--") else ""


def _gaps(count: str, parts: list[Part]) -> list[str]:
    """Return the numbers of the shards that are missing."""
    numbers = {number for number, _ in parts}
    return [number for index in range(int(count or 0)) if (number := f"{index:05d}") not in numbers]


def info_names(folder: Path) -> dict[str, list[str]]:
    """Return {column: names} from a folder's dataset_info.json, if there is one. Raises CorpusError."""
    path = folder / "dataset_info.json"
    if not is_file(path):
        return {}
    try:
        return class_names(orjson.loads(label_bytes(path))["features"] or {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(
            f'{path}: broken: expected a JSON object with "features", got: {error}. Build the cache again.'
        ) from error


def class_names(features: Mapping[str, JSON]) -> dict[str, list[str]]:
    """Return {column: names} of the features that are a class label, or a list of class labels.

    A list was written as [feature], then as {"feature": feature, "_type": "Sequence"}, and since datasets 4 with the
    type "List". Raises AttributeError for a feature of another form.
    """
    by_column = {}
    for column, feature in features.items():
        if isinstance(feature, list):
            candidates = feature[:1]
        elif isinstance(feature, dict):
            candidates = [feature.get("feature"), feature]
        else:
            raise AttributeError(f"{column} is not a feature")
        names = next((item["names"] for item in candidates if isinstance(item, dict) and "names" in item), None)
        if isinstance(names, list):
            by_column[column] = [str(name) for name in names]
    return by_column


def class_named(value: object, names: Sequence[str] | None) -> object:
    """Return the name of a class label's number, None for -1, which means no class; any other value as it is."""
    if not names:
        return value
    if isinstance(value, list):
        return [class_named(item, names) for item in value]
    if value == -1:
        return None
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value
