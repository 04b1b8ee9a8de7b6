"""verify: read every sealed file again; damaged files that can be made again are set aside, so that a run does."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from earmark.catalog.project import Project
from earmark.disk.files import make_folder
from earmark.disk.hashing import hash_file
from earmark.disk.inside import locate
from earmark.disk.shards import read_rows
from earmark.errors import EarmarkError
from earmark.features.packs import verify_pack
from earmark.workers.prefetch import threaded_prefetch
from tasks.engine import deletions
from tasks.engine.stage import STAGES, Unit, broken, receipt_of
from tasks.report import LOG
from tasks.stages import extract, features, scan
from tasks.stages.joined import joined
from tasks.stages.standardize import audio_file, read_table, require_standard

READERS = 4  # files hashed at a time
LOOKAHEAD = 64


def verify(project: Project, datasets: list[str]) -> int:
    """Check datasets and print what is damaged; return how many files are."""
    damaged = checked = 0
    for dataset in datasets:
        files = list(_sealed(project, dataset))
        with LOG.progress(f"verify:{dataset}", len(files)) as bar:
            for path, wrong, source in threaded_prefetch(_check, files, READERS, LOOKAHEAD):
                bar.advance(1)
                checked += 1
                if wrong:
                    damaged += 1
                    print(f"!! {project.relative(path)}: {wrong}. {_act(project, dataset, path, source)}")
        for pack in _packs(project, dataset):
            checked += 1
            faults = verify_pack(pack) if pack.exists() else ["gone"]
            if faults:
                damaged += 1
                print(f"!! {project.relative(pack)}: {faults[0]}. {_act(project, dataset, pack, source=False)}")
    for path, size, expected, again in _joined(project, datasets):
        checked += 1
        _, wrong, _ = _check((path, size, expected, False))
        if wrong:
            damaged += 1
            print(f"!! {project.relative(path)}: {wrong}. {_set_aside(project, path)}`doit {again}` makes it again.")
    print(f"{checked:,} files and packs read, {damaged:,} damaged")
    return damaged


def _joined(project: Project, datasets: list[str]) -> Iterator[tuple[Path, int, str, str]]:
    """Yield path, size, hash and task of the files of joint manifests and jobs all of whose datasets are verified."""
    for name, one in joined(project).items():
        receipt = receipt_of(project, one.unit) if set(one.datasets) <= set(datasets) else None
        for entry in receipt.outputs["files"].values() if receipt else ():
            yield project.home / entry["path"], entry["size"], entry["xxh3"], name


def _sealed(project: Project, dataset: str) -> Iterator[tuple[Path, int, str, bool]]:
    """Yield path, size, hash of every sealed file, and whether it is a source, which cannot be made again."""
    for stage in STAGES:
        receipt = receipt_of(project, Unit(stage, dataset))
        if receipt is None:
            continue
        for value in receipt.outputs.values():
            for entry in _entries(value):
                yield project.home / entry["path"], entry["size"], entry["xxh3"], False
    try:
        shards = scan.shards_of(project, dataset)
    except EarmarkError:
        return
    sources = _present(lambda: extract.require_present(project, dataset))
    standard = _present(lambda: require_standard(project, dataset))
    lists = scan_receipt.outputs["lists"] if (scan_receipt := receipt_of(project, Unit("scan", dataset))) else {}
    for shard in shards:
        if sources and not broken(project, [lists[shard]]):
            yield from _sources(project, dataset, shard)
        receipt = receipt_of(project, Unit("standardize", dataset, shard))
        if receipt is None:
            continue
        entry = receipt.outputs["table"]
        yield project.home / entry["path"], entry["size"], entry["xxh3"], False
        if standard and not broken(project, [entry]):  # what a damaged table says is not to be acted on
            for made in read_table(project.table(dataset, shard)):
                if "file_size" in made:
                    yield audio_file(project, dataset, made["path"]), made["file_size"], made["file_xxh3"], False


def _present(require: Callable[[], None]) -> bool:
    """Say what is absent, and whether all is there."""
    try:
        require()
    except EarmarkError as error:
        LOG.note(f"not checked: {error}")
        return False
    return True


def _sources(project: Project, dataset: str, shard: str) -> Iterator[tuple[Path, int, str, bool]]:
    """Yield the raw files of a shard, one that holds several recordings once."""
    last = None
    for row in read_rows(project.shard_list(dataset, shard)):
        path = locate(project.root(dataset) / row.path).file
        if path != last:
            yield path, row.size, row.source_hash, True
        last = path


def _entries(value: Any) -> list[dict[str, Any]]:
    """Return the sealed files in an output of a receipt: one, or several by name."""
    if not isinstance(value, dict):
        return []
    found = [value] if "xxh3" in value else list(value.values())
    return [entry for entry in found if isinstance(entry, dict) and {"path", "size", "xxh3"} <= entry.keys()]


def _packs(project: Project, dataset: str) -> Iterator[Path]:
    """Yield the packs that a dataset's receipts name, under the identities that made them."""
    seen = set()
    try:
        shards = scan.shards_of(project, dataset)
    except EarmarkError:
        return
    for shard in shards:
        receipt = receipt_of(project, Unit("features", dataset, shard))
        for name, packs in (receipt.outputs["packs"] if receipt else {}).items():
            assert receipt is not None
            folder = features.folder_of(project, name, receipt.inputs["encoders"][name]) / "packs"
            seen |= {folder / pack for pack in packs}
    yield from sorted(seen)


def _check(item: tuple[Path, int, str, bool]) -> tuple[Path, str, bool]:
    """Read one file again and say what is wrong with it, if anything."""
    path, size, expected, source = item
    try:
        found = path.stat().st_size
        if found != size:
            return path, f"{found:,} bytes instead of {size:,}", source
        return path, "" if hash_file(path) == expected else "same size, other content", source
    except OSError as error:
        return path, f"cannot be read ({error.strerror})", source


def _act(project: Project, dataset: str, path: Path, source: bool) -> str:
    """Set a damaged product aside, and say what to do."""
    if source and (deleted := deletions.words(project, dataset)):
        return f"It is a source: {deleted} Or, if you edited it, run `doit scan:{dataset}`."
    if source:
        return (
            f"It is a source: delete it and run `doit -a extract:{dataset}`, which restores it from its archive;"
            f" or, if you edited it, run `doit scan:{dataset}`."
        )
    return f"{_set_aside(project, path)}`doit features:{dataset}` makes it again."


def _set_aside(project: Project, path: Path) -> str:
    """Move a damaged product away, if it is there, and say where it is."""
    if not path.exists():
        return ""
    aside = make_folder(project.cache / "damaged") / f"{uuid.uuid4().hex[:6]}-{path.name}"
    shutil.move(str(path), str(aside))
    return f"Set aside as {project.relative(aside)}; "
