"""Joint manifests: the rows of several datasets in one file, in the order of the catalog's list, as bytes."""

import shutil
from collections.abc import Iterable
from typing import Any

from earmark.catalog.project import Project
from earmark.disk.files import publishing
from earmark.disk.receipts import Receipt
from earmark.errors import CorpusError
from tasks.engine.stage import Built, Stage, Unit, UpstreamError, broken, receipt_of, seal
from tasks.report import LOG
from tasks.stages import extract

NAME, VERSION = "joint", 1


def present(project: Project, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Tell datasets that are on this disk, or are made here, from those that are not; both in the order given."""
    here: list[str] = []
    absent: list[str] = []
    for name in names:
        made_here = any(archive.generator for archive in project.dataset(name).archives)
        (here if made_here or extract.on_disk(project, name) else absent).append(name)
    return here, absent


def require_some(project: Project, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return what `present` does.

    Raises CorpusError when no dataset is on this disk.
    """
    here, absent = present(project, names)
    if not here:
        raise CorpusError(
            f"none of its datasets is on this disk: {', '.join(absent)}."
            f" `doit why extract:{absent[0]}` says where archives belong."
        )
    return here, absent


def manifest_of(project: Project, dataset: str) -> Receipt:
    """Return the receipt of a dataset's manifest; `outputs["files"]` are its files by name.

    Raises UpstreamError when it has not run.
    """
    receipt = receipt_of(project, Unit("manifest", dataset))
    if receipt is None:
        raise UpstreamError(f"manifest:{dataset} has not run")
    return receipt


def hashes(receipt: Receipt) -> dict[str, str]:
    """Return the hashes of the files that a receipt seals, by name."""
    return {name: entry["xxh3"] for name, entry in receipt.outputs["files"].items()}


def note_skipped(unit: Unit, absent: list[str]) -> None:
    """Name the datasets that a unit goes without."""
    if absent:
        LOG.note(f"{unit}: not on this disk, skipped: {', '.join(absent)}")


def _inputs(project: Project, unit: Unit) -> dict[str, Any]:
    here, absent = require_some(project, project.catalog.manifests[unit.dataset].datasets)
    return {
        "folder": project.catalog.paths.manifests,
        "datasets": here,
        "absent": absent,
        "manifests": {name: hashes(manifest_of(project, name)) for name in here},
    }


def _intact(project: Project, unit: Unit, receipt: Receipt) -> list[str]:
    return broken(project, receipt.outputs["files"].values())


def _build(project: Project, unit: Unit) -> Built:
    here, absent = present(project, project.catalog.manifests[unit.dataset].datasets)
    note_skipped(unit, absent)
    target = project.manifests / f"{unit.dataset}.jsonl"
    receipts = [manifest_of(project, name) for name in here]
    with publishing(target, project.scratch) as temporary, temporary.open("wb") as file:
        for receipt in receipts:
            for _, entry in sorted(receipt.outputs["files"].items()):
                with (project.home / entry["path"]).open("rb") as part:
                    shutil.copyfileobj(part, file)
    sealed = seal(project, target)
    counts = {"rows": sum(receipt.counts["rows"] for receipt in receipts), "skipped": len(absent)}
    return Built({"files": {target.name: sealed}, "skipped": absent}, counts, sealed["size"])


STAGE = Stage(NAME, VERSION, _inputs, _intact, _build)
