"""A catalog and the folders it names: the one place that knows where everything is."""

import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from earmark.catalog.read import read_catalog
from earmark.catalog.tables import Catalog, DatasetTable
from earmark.disk.files import Scratch, nearest_existing, real
from earmark.disk.hashing import HashMemo
from earmark.disk.junk import OWNER_NAME, SCRATCH_NAME
from earmark.disk.owners import Owner, mark_cache, owner_of, require_own_cache
from earmark.disk.volumes import Volumes, mounted_below
from earmark.encoders import EncoderTable, ModelStore
from earmark.errors import CatalogError, near

PATHS = ("data", "standard", "manifests", "cache")  # the keys of [paths] that name folders
# What may be in a folder that becomes a cache: what earmark itself, git and backup programs put there before a run.
_DATABASES = (f"{name}{ending}" for name in ("state.db", "memo.db") for ending in ("", "-wal", "-shm", ".damaged"))
CACHE_NAMES = frozenset(_DATABASES) | frozenset(
    f"{OWNER_NAME} {SCRATCH_NAME} run.lock receipts members shards watch findings audio quarantine defects features"
    " damaged models tmp CACHEDIR.TAG .gitignore .gitkeep .DS_Store .nobackup lost+found".split()
)


# Compared and hashed by identity, so that what is opened for a project can be cached under it.
@dataclass(frozen=True, eq=False)
class Project:
    """An opened catalog. `home` is the catalog's folder; recorded paths are relative to it."""

    path: Path
    catalog: Catalog = field(repr=False)

    @cached_property
    def home(self) -> Path:
        """The catalog's folder."""
        return self.path.parent

    @cached_property
    def data(self) -> Path:
        """One folder a dataset."""
        return self.home / self.catalog.paths.data

    @cached_property
    def standard(self) -> Path:
        """Canonical audio."""
        return self.home / self.catalog.paths.standard

    @cached_property
    def manifests(self) -> Path:
        """The JSONL that training reads."""
        return self.home / self.catalog.paths.manifests

    @cached_property
    def cache(self) -> Path:
        """Everything derived that is not a product."""
        return self.home / self.catalog.paths.cache

    @cached_property
    def scratch(self) -> Scratch:
        """Where unfinished files are; it remembers the folders as they are when it is first asked for."""
        roots = (self.data, self.standard, self.manifests)
        folders = [folder for name in self.catalog.datasets for folder in (self.folder(name), self.standard / name)]
        volumes = Volumes.of((self.cache, *roots, *folders, *mounted_below(self.cache, *roots)))
        return Scratch(self.cache / SCRATCH_NAME, roots, self.identity.cache, volumes)

    @cached_property
    def identity(self) -> Owner:
        """The mark that the cache has or would be given; `owner` gives it."""
        return owner_of(self.cache, self.path)

    @cached_property
    def owner(self) -> Owner:
        """The collection that this catalog is of, by the mark of its cache.

        Raises ForeignError for a cache that is somebody else's; a fresh one is marked.
        """
        self.require_own_cache()
        if not (self.cache / OWNER_NAME).exists() and (self.cache / "receipts").is_dir():
            self.scratch.adopt(self.cache / "tmp")
        return mark_cache(self.cache, self.identity, self.scratch)

    def claim(self) -> None:
        """Mark a fresh cache as this collection's. Raises ForeignError for one that is somebody else's."""
        _ = self.owner

    def require_own_cache(self) -> None:
        """Refuse folders of the catalog that are none, and a cache that is somebody else's.

        Raises CatalogError, ForeignError.
        """
        for key in PATHS:
            self._require_folder(key, getattr(self, key))
        require_own_cache(self.cache, self.path, CACHE_NAMES)

    def _require_folder(self, key: str, path: Path) -> None:
        there = path if path.is_symlink() else nearest_existing(path)
        if not there.is_dir():
            got = "a link that leads nowhere (not mounted?)" if there.is_symlink() else "a file"
            raise CatalogError(
                f"{self.path.name}: paths.{key}: {there}: expected a folder, got {got}. Name another paths.{key},"
                " or move it away."
            )

    @cached_property
    def memo(self) -> HashMemo:
        """Hashes of files by their stat."""
        return HashMemo(self.cache / "memo.db", self.home)

    def dataset(self, name: str) -> DatasetTable:
        """Return a dataset's table.

        Raises CatalogError with the nearest name.
        """
        try:
            return self.catalog.datasets[name]
        except KeyError:
            raise CatalogError(
                f'{self.path.name}: no dataset "{name}"{near(name, self.catalog.datasets)}.'
                " `doit list --all` names them all."
            ) from None

    @cached_property
    def models(self) -> ModelStore:
        """Where encoders find their models."""
        return ModelStore(self.home, self.cache / "models", self.scratch, self.memo)

    def encoder(self, name: str) -> EncoderTable:
        """Return an encoder's table.

        Raises CatalogError with the nearest name.
        """
        try:
            return self.catalog.encoders[name]
        except KeyError:
            known = self.catalog.encoders
            raise CatalogError(f'{self.path.name}: no encoder "{name}"{near(name, known)}.') from None

    def folder(self, dataset: str) -> Path:
        """Return the folder of a dataset's archives, into which they are extracted."""
        return self.data / (self.dataset(dataset).folder or dataset)

    def root(self, dataset: str) -> Path:
        """Return the folder where a dataset's reader starts."""
        return self.folder(dataset) / self.dataset(dataset).root

    def receipt(self, stage: str, dataset: str, part: str = "") -> Path:
        """Return the path of a unit's receipt."""
        below = self.cache / "receipts" / stage
        return below / dataset / f"{part}.json" if part else below / f"{dataset}.json"

    def members(self, dataset: str, archive: str) -> Path:
        """Return the list of an archive's members."""
        return self.cache / "members" / dataset / f"{archive}.jsonl"

    def shard_list(self, dataset: str, shard: str) -> Path:
        """Return the list of a shard's recordings."""
        return self.cache / "shards" / dataset / f"{shard}.jsonl"

    def watch_list(self, dataset: str) -> Path:
        """Return what scan saw of the tree, by which edits are noticed."""
        return self.cache / "watch" / f"{dataset}.json"

    def findings(self, dataset: str) -> Path:
        """Return the list of what does not fit in a corpus: labels without audio and the like."""
        return self.cache / "findings" / f"{dataset}.jsonl"

    def table(self, dataset: str, shard: str) -> Path:
        """Return what standardize made of a shard, a row a recording."""
        return self.cache / "audio" / dataset / f"{shard}.jsonl"

    def quarantine(self, dataset: str) -> Path:
        """Return the list of a dataset's bad recordings with their reasons."""
        return self.cache / "quarantine" / f"{dataset}.jsonl"

    def defects(self, dataset: str) -> Path:
        """Return the list of a dataset's recordings that stay although something is wrong with their sound."""
        return self.cache / "defects" / f"{dataset}.jsonl"

    def features(self, encoder: str) -> Path:
        """Return the folder of an encoder's packs; `encoder` is `<catalog name>-<8 hex of the identity>`."""
        return self.cache / "features" / encoder

    def feature_manifest(self, encoder: str, dataset: str) -> Path:
        """Return the JSONL that says in which pack each recording's features are."""
        return self.manifests / "features" / encoder / f"{dataset}.jsonl"

    def relative(self, path: Path) -> str:
        """Return a path as it is recorded: POSIX, relative to the catalog's folder."""
        return Path(os.path.relpath(path, self.home)).as_posix()

    def __reduce__(self) -> tuple[Callable[[Path], "Project"], tuple[Path]]:
        """Travel to another process as the catalog's path: that is 100 bytes, and open databases cannot be pickled."""
        return (open_project, (self.path,))


def open_project(path: Path) -> Project:
    """Read a catalog and return its project.

    Raises CatalogError; also where standard audio would be written into, around or over a dataset's own files, and
    where the cache or manifests would be written into the tree that a reader reads.
    """
    project = Project(path, read_catalog(path))
    # Resolved: a link may lead one of these folders into another, and a rename or a walk would follow it.
    folders = {name: real(project.folder(name)) for name in project.catalog.datasets}
    standard = real(project.standard)
    for name, folder in folders.items():
        for other in _written_into(folder, standard, folders):
            target = standard / other
            raise CatalogError(
                f"{path.name}: [datasets.{name}]: its folder {project.relative(folder)} and the standard audio of"
                f" {other}, {project.relative(target)}: expected neither inside the other. Name another"
                " paths.standard or folder."
            )
        root = real(project.root(name))
        for what, ours in (("cache", project.cache), ("manifests", project.manifests)):
            if real(ours).is_relative_to(root):  # each run would change what the next one reads
                raise CatalogError(
                    f"{path.name}: paths.{what}: {project.relative(ours)} is in the tree of [datasets.{name}],"
                    f" {project.relative(root)}. Name another paths.{what}."
                )
    return project


def _written_into(folder: Path, standard: Path, names: Collection[str]) -> Iterable[str]:
    """Return the datasets whose folder below `standard` is in a folder, around it or the same."""
    if standard.is_relative_to(folder):
        return names
    # by its first part, not dataset by dataset: of a thousand datasets that would be a million comparisons
    below = folder.relative_to(standard).parts[:1] if folder.is_relative_to(standard) else ()
    return [name for name in below if name in names]
