"""Checks across the tables of a catalog: names that become tasks and files, references, and what a job's table needs.

Pydantic has checked each table by itself before. A mistake found here would else come up hours later, in a task.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from earmark import corpora
from earmark.catalog.extends import Layers
from earmark.catalog.tables import Catalog, DatasetTable, JobTable
from earmark.disk.names import LONGEST, size_of
from earmark.errors import CatalogError, near
from earmark.rows import SPLITS, field_names

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # what a task, a folder and a file may all be called
LONGEST_NAME = 200  # letters: what is put around a name in a file's must fit into 255 bytes
SPLIT_SUFFIXES = tuple(f"_{split}" for split in SPLITS)


@dataclass(frozen=True)
class Place:
    """A table of the catalog, for messages: called with one of its keys it gives their beginning."""

    layers: Layers
    table: str
    name: str

    def __call__(self, key: str = "") -> str:
        """Return the file in which a key is written, and the table."""
        return f"{self.layers.file_of(self.table, self.name, *([key] if key else []))}: [{self.table}.{self.name}]"


def check(layers: Layers, catalog: Catalog) -> None:
    """Check what one table says of another. Raises CatalogError for the first mistake."""
    names: dict[str, Collection[str]] = {
        "datasets": catalog.datasets,
        "encoders": catalog.encoders,
        "manifests": catalog.manifests,
        "jobs": catalog.jobs,
    }
    for table, in_table in names.items():
        _check_names(layers, table, in_table)
    for name, encoder in catalog.encoders.items():
        if wrong := encoder.fault():
            raise CatalogError(f"{Place(layers, 'encoders', name)()}: {wrong}.")
    readers = corpora.names()
    for name, dataset in catalog.datasets.items():
        _check_dataset(Place(layers, "datasets", name), dataset, catalog.encoders, readers)
    _check_manifests(layers, catalog, _stems(layers, catalog))
    for name, job in catalog.jobs.items():
        _check_job(Place(layers, "jobs", name), catalog, job)


def _check_job(at: Place, catalog: Catalog, job: JobTable) -> None:
    """Check a job's datasets and labels, and what goes with what."""
    _check_references(at, "datasets", "dataset", job.datasets, catalog.datasets)
    _check_labels(at, "labels", [one for label in job.labels for one in label.split("|")])
    _check_labels(at, "where", job.where)
    _check_labels(at, "without", job.without)
    _check_features(at, catalog, job)
    if wrong := _wrong_in_job(catalog, job):
        raise CatalogError(f"{at(_key_of(wrong))}: {wrong}.")


def _key_of(wrong: str) -> str:
    """Return the key that a message on a job begins with."""
    return wrong.partition(":")[0].partition(" ")[0].rstrip(",")


def _check_names(layers: Layers, table: str, names: Collection[str]) -> None:
    """Check names that become tasks, files and folders."""
    seen: dict[str, str] = {}
    for name in names:
        where = f'{layers.file_of(table, name)}: [{table}."{name}"]'
        # macOS and Windows take "A" and "a" for one file
        if (twin := seen.setdefault(name.casefold(), name)) != name:
            raise CatalogError(f'{where}: names become files: expected more than another case of "{twin}".')
        if name.endswith((".json", ".jsonl")):
            raise CatalogError(f"{where}: names become files: expected a name without a file's suffix.")
        if len(name) > LONGEST_NAME:
            raise CatalogError(f"{where}: names become files: expected up to {LONGEST_NAME} letters, got more.")
        if not NAME.fullmatch(name):
            raise CatalogError(f'{where}: expected a name of letters, digits, "_", "-" and "." only.')


def _check_dataset(at: Place, dataset: DatasetTable, encoders: Collection[str], readers: list[str]) -> None:
    """Check a dataset's reader, its encoders and the files of its archives."""
    if dataset.corpus not in readers:
        raise CatalogError(f'{at("corpus")}: corpus: no reader "{dataset.corpus}"{near(dataset.corpus, readers)}.')
    _check_references(at, "encoders", "encoder", dataset.encoders or (), encoders)
    _check_labels(at, "disjoint", dataset.disjoint)
    _check_labels(at, "spaces", dataset.spaces)
    files = [download.file for archive in dataset.archives for download in archive.downloads]
    _check_once(at, "archives", files)
    for file in files:
        # a catalog may come from somebody else, and what it names is unpacked and deleted
        if any(size_of(part) > LONGEST for part in Path(file).parts):
            raise CatalogError(f'{at("archives")}: archives: expected names of up to {LONGEST} bytes, got "{file}".')
        if Path(file).is_absolute() or ".." in Path(file).parts:
            raise CatalogError(f'{at("archives")}: archives: expected a file below its folder, got "{file}".')


def _check_labels(at: Place, key: str, names: Iterable[str]) -> None:
    """Check that labels are fields of manifest rows: a misspelt one would be missing in every row, unseen."""
    for name in names:
        if name not in field_names():
            raise CatalogError(
                f'{at(key)}: {key}: no label "{name}"{near(name, field_names())}: expected a field of'
                " earmark/manifest.schema.json."
            )


def _stems(layers: Layers, catalog: Catalog) -> dict[str, str]:
    """Return the datasets by the stems of their manifests, of which no two may write one file."""
    stems: dict[str, str] = {}
    for name, dataset in catalog.datasets.items():
        where, stem = Place(layers, "datasets", name)("manifest"), dataset.manifest or name
        if not NAME.fullmatch(stem) or len(stem) > LONGEST_NAME:
            raise CatalogError(f'{where}: manifest: expected a plain name, got "{stem}".')
        if stem in stems:
            raise CatalogError(f'{where}: manifest: "{stem}" is already the stem of [datasets.{stems[stem]}].')
        stems[stem] = name
    for stem, name in stems.items():
        for split in SPLITS:
            if (owner := stems.get(f"{stem}_{split}")) is not None:
                raise CatalogError(
                    f'{Place(layers, "datasets", owner)("manifest")}: manifest: "{stem}_{split}" is what the {split}'
                    f" split of [datasets.{name}] is called. Name another stem."
                )
    return stems


def _check_references(at: Place, key: str, what: str, names: Sequence[str], known: Collection[str]) -> None:
    """Check that a table's list names things that there are, each once."""
    for name in names:
        if name not in known:
            raise CatalogError(f'{at(key)}: {key}: no {what} "{name}"{near(name, known)}.')
    _check_once(at, key, names)


def _check_once(at: Place, key: str, names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise CatalogError(f'{at(key)}: {key}: "{name}" is named twice.')


def _check_features(at: Place, catalog: Catalog, job: JobTable) -> None:
    """Check that a job's encoders are those of all its datasets."""
    _check_references(at, "features", "encoder", job.features, catalog.encoders)
    for encoder in job.features:
        for name in job.datasets:
            if encoder not in catalog.encoders_of(name):
                raise CatalogError(
                    f'{at("features")}: features: [datasets.{name}] does not name "{encoder}" in its encoders. Name it'
                    f" there, or leave it out here; a job that is taken over is dropped by jobs.{at.name} = false."
                )


def _check_manifests(layers: Layers, catalog: Catalog, stems: dict[str, str]) -> None:
    """Check the joint manifests: no task and no file of theirs may be that of a dataset."""
    # every split's name, whether the corpus has it or not: which ones it has is known only once it was read
    taken = {f"{stem}{split}".casefold(): name for stem, name in stems.items() for split in ("", *SPLIT_SUFFIXES)}
    taken |= {name.casefold(): name for name in catalog.datasets}
    for name, manifest in catalog.manifests.items():
        at = Place(layers, "manifests", name)
        _check_references(at, "datasets", "dataset", manifest.datasets, catalog.datasets)
        if owner := taken.get(name.casefold()):
            raise CatalogError(
                f"{at()}: that is what a task or a manifest of [datasets.{owner}] is called. Take another name."
            )


def _wrong_in_job(catalog: Catalog, job: JobTable) -> str:
    """Return what of a job's table does not fit the rest of it, or an empty string."""
    if job.unit == "segment" and "segments" in job.labels:
        return 'labels: no segment has the label segments: expected another label, or unit = "recording"'
    # a reason for a kind that is never compared would look like a check that was made
    kinds = sorted({"audio_hash", *(label for name in job.datasets for label in catalog.datasets[name].disjoint)})
    for kind in job.accept_leakage:
        if kind not in kinds:
            return f'accept_leakage: expected {" or ".join(kinds)}, got "{kind}"{near(kind, kinds)}'
    folds = {*job.dev_folds, *job.test_folds}
    if bool(folds) != ("fold" in job.split):
        return 'dev_folds and test_folds go with split = "fold": expected both or none'
    if both := sorted({*job.dev_folds} & {*job.test_folds}):
        return f"dev_folds and test_folds: expected no fold in both, got {both[0]}"
    if "group" in job.split[:-1]:
        return 'split: "group" can tell of every row: expected it at the end'
    if "group" in job.split and job.unsplit is not None:
        return f'unsplit: split = "group" leaves no row without a split: expected none, got "{job.unsplit}"'
    # by what the file says, not by the values: the defaults are there in every table
    if "group" not in job.split and job.model_fields_set & {"dev", "test", "seed"}:
        return 'dev, test and seed go with split = "group": expected none of them'
    if job.dev + job.test >= 1:
        return f"dev and test: expected shares that leave some for train, got {job.dev} and {job.test}"
    if job.min_duration and job.max_duration and job.min_duration > job.max_duration:
        return f"min_duration: expected at most max_duration = {job.max_duration}, got {job.min_duration}"
    return ""
