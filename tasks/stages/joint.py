"""Joint manifests: the rows of several datasets in one file, in the order of the catalog's list.

Copied as bytes: to parse and write a hundred million rows again would change nothing but the time.
"""

import shutil

import msgspec

from earmark.catalog.project import Project
from earmark.disk.receipts import Inputs, Receipt, SealedFile
from tasks.engine.judge import broken, receipt_of, require_receipt, seal_file
from tasks.engine.products import Products
from tasks.engine.stage import Built, Rule, Run
from tasks.engine.units import Unit
from tasks.stages import presence
from tasks.stages.manifest import ManifestFiles

NAME, VERSION = "joint", 1


class CombinedFiles(msgspec.Struct, frozen=True):
    """What a joint manifest or a job seals: its files by name, and the datasets that were not on this disk."""

    files: dict[str, SealedFile]
    skipped: list[str]


def manifest_of(project: Project, dataset: str) -> Receipt[ManifestFiles]:
    """Return the receipt of a dataset's manifest.

    Raises UpstreamError when it has not run.
    """
    return require_receipt(project, Unit("manifest", dataset), ManifestFiles)


def hashes(receipt: Receipt[ManifestFiles]) -> dict[str, str]:
    """Return the hashes of the files that a manifest's receipt seals, by name."""
    return {name: sealed.xxh3 for name, sealed in receipt.outputs.files.items()}


def note_skipped(run: Run, unit: Unit, absent: list[str]) -> None:
    """Note the datasets that are not on this disk, and so not in a unit."""
    if absent:
        run.log.note(f"{unit}: not on this disk, skipped: {', '.join(absent)}")


def _inputs(run: Run, unit: Unit) -> Inputs:
    project = run.project
    here, absent = presence.require_any(project, project.catalog.manifests[unit.dataset].datasets)
    return {
        "folder": project.catalog.paths.manifests,
        "datasets": here,
        "absent": absent,
        "manifests": {name: hashes(manifest_of(project, name)) for name in here},
    }


def _intact(run: Run, _unit: Unit, receipt: Receipt[CombinedFiles]) -> list[str]:
    return broken(run.project, receipt.outputs.files.values())


def _build(run: Run, unit: Unit) -> Built[CombinedFiles]:
    project = run.project
    here, absent = presence.here_and_absent(project, project.catalog.manifests[unit.dataset].datasets)
    note_skipped(run, unit, absent)
    target = project.manifests / f"{unit.dataset}.jsonl"
    receipts = [manifest_of(project, name) for name in here]
    before = receipt_of(project, unit, CombinedFiles)
    products = Products(run, unit, before.outputs.files.values() if before else ())
    with products.publishing(target) as temporary:
        with temporary.open("wb") as file:
            for receipt in receipts:
                for _, sealed in sorted(receipt.outputs.files.items()):
                    with (project.home / sealed.path).open("rb") as part:
                        shutil.copyfileobj(part, file)
        products.settle()
    whole = seal_file(project, target)
    counts = {"rows": sum(receipt.counts["rows"] for receipt in receipts), "skipped": len(absent)}
    return Built(CombinedFiles({target.name: whole}, absent), counts, whole.size)


RULE = Rule(NAME, VERSION, CombinedFiles, _inputs, _intact, _build)
