"""What is named: by the catalogs that share a cache, and by the receipts of their datasets, manifests and jobs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from earmark.catalog.project import Project, open_project
from earmark.disk.owners import users_of
from earmark.disk.receipts import read_any, read_receipt
from earmark.errors import AbsentError, CatalogError, EarmarkError
from tasks.engine.stage import UpstreamError
from tasks.stages import encoder_packs, features
from tasks.stages.combined import JOB

RECORDS = ("extract", "cleanup")  # of archives and trees, which are not earmark's to delete: their receipts stay
DATASETS = ("scan", "standardize", "manifest", "features")
ASIDE = "orphans"  # below the cache: receipts on their way out, which nothing believes and gc still reads


@dataclass(frozen=True)
class ReceiptFile:
    """A receipt on disk: of which stage, and of what: a dataset, a joint manifest or a job."""

    path: Path
    stage: str
    of: str
    aside: bool = False

    @cached_property
    def content(self) -> dict[str, Any] | None:
        """What it says; None where it is damaged."""
        return read_any(self.path)

    def sealed(self) -> Iterator[dict[str, Any]]:
        """Yield the files that it seals: {path, size, xxh3}."""
        yield from _sealed_in(self.content["outputs"] if self.content else {})


@dataclass
class Named:
    """All catalogs that share a cache: what they name.

    `kept`: what no catalog has, and stays all the same. `notes`: what a reader of the list should know.
    """

    project: Project
    kept: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def projects(self) -> list[Project]:
        """The catalogs that share the cache, this one first.

        Raises CatalogError for one that cannot be read: what it names is not known then.
        """
        projects, cache = [self.project], self.project.cache.resolve()
        for path in sorted({*users_of(self.project.cache), *self.project.home.glob("*.toml")} - {self.project.path}):
            if not path.exists():
                self.notes.append(
                    f"{path.name}: this catalog shared the cache and is gone: what it named is listed, too"
                )
                continue
            try:
                other = open_project(path)
            except EarmarkError as error:
                if path in users_of(self.project.cache):
                    raise CatalogError(f"{path.name} shares this cache and cannot be read: {error}") from None
                continue  # another program's file
            if other.cache.resolve() == cache:
                projects.append(other)
        return projects

    @cached_property
    def datasets(self) -> set[str]:
        """The datasets of all catalogs."""
        return {name for project in self.projects for name in project.catalog.datasets}

    def is_live(self, receipt: ReceiptFile) -> bool:
        """Say whether a catalog has what a receipt is of."""
        if receipt.stage in RECORDS or receipt.of in self.kept:
            return True
        catalogs = [project.catalog for project in self.projects]
        if receipt.stage == JOB:
            return any(receipt.of in catalog.jobs for catalog in catalogs)
        joint = receipt.stage == "manifest" and any(receipt.of in catalog.manifests for catalog in catalogs)
        return receipt.of in self.datasets or joint

    @cached_property
    def receipts(self) -> list[ReceiptFile]:
        """All receipts of the cache, and those that an interrupted gc was about to delete."""
        return [*_receipts(self.project, "receipts"), *_receipts(self.project, ASIDE)]

    @cached_property
    def paths(self) -> set[Path]:
        """The files that living receipts seal."""
        live = (receipt for receipt in self.receipts if not receipt.aside and self.is_live(receipt))
        return {self.project.home / sealed["path"] for receipt in live for sealed in receipt.sealed()}

    @cached_property
    def packs(self) -> set[Path]:
        """The packs that living receipts name."""
        packs: set[Path] = set()
        for receipt in self.receipts:
            if receipt.stage == features.NAME and not receipt.aside and self.is_live(receipt):
                encoded = read_receipt(receipt.path, features.EncodedShard)
                packs |= set(features.packs_of(self.project, encoded)) if encoded else set()
        return packs

    def is_encoder(self, folder: Path) -> bool:
        """Say whether a folder of packs is that of an encoder of a catalog, or may be while its model is not here."""
        return any(self._is_encoder_of(project, folder) for project in self.projects)

    def _is_encoder_of(self, project: Project, folder: Path) -> bool:
        name = folder.name.rpartition("-")[0]
        if name not in project.catalog.encoders:
            return False
        try:
            return encoder_packs.encoder_folder(project, name).name == folder.name
        except (UpstreamError, AbsentError, EarmarkError):
            self.notes.append(f"encoder {name}: its model cannot be read now, so all its packs stay")
            return True


def _receipts(project: Project, below: str) -> Iterator[ReceiptFile]:
    root = project.cache / below
    for stage in (*DATASETS, JOB):
        for path in sorted((root / stage).glob("*.json")):
            yield ReceiptFile(path, stage, path.stem, below == ASIDE)
        for path in sorted((root / stage).glob("*/*.json")):
            yield ReceiptFile(path, stage, path.parent.name, below == ASIDE)


def _sealed_in(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if {"path", "size", "xxh3"} <= value.keys():
            yield value
        else:
            for inner in value.values():
                yield from _sealed_in(inner)
