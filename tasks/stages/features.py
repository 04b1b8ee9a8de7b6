"""features: a shard's recordings through the encoder, into a pack of the audio hashes that no pack held yet."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from earmark.catalog.project import Project
from earmark.disk.files import publishing, remove
from earmark.disk.hashing import digest
from earmark.disk.receipts import Receipt
from earmark.encoders import Encoder, EncoderTable, ModelStore
from earmark.errors import CatalogError, EarmarkError, ModelAbsentError
from earmark.features.pack_index import PackIndex
from earmark.features.packs import pack_damage
from tasks.engine.stage import Built, Stage, Unit, UpstreamError, broken, receipt_of, seal
from tasks.report import LOG
from tasks.stages import scan
from tasks.stages.standardize import after, audio_file, audio_folder, audio_path, named, read_table
from tasks.stages.standardize_gather import require_accepted

NAME, VERSION = "features", 1


def _encoders(project: Project, dataset: str) -> tuple[str, ...]:
    names = project.catalog.encoders_of(dataset)
    if not names and project.dataset(dataset).encoders is None:
        raise CatalogError(f"{project.path.name}: no encoder: write a table [encoders.<name>] with a model.")
    return names


def identity(project: Project, name: str) -> dict[str, Any]:
    """Return all that names an encoder's numbers.

    Raises UpstreamError while its model is not here, ModelError when it cannot be used.
    """
    try:
        return project.encoder(name).identity(project.models)
    except ModelAbsentError as error:
        raise UpstreamError(str(error)) from error


def encoder_folder(project: Project, name: str) -> Path:
    """Return `cache/features/<catalog name>-<8 hex of the identity>`."""
    return folder_of(project, name, identity(project, name))


def folder_of(project: Project, name: str, known: dict[str, Any]) -> Path:
    """Return the folder of an encoder whose identity is known, whatever the catalog says of it now."""
    return project.features(f"{name}-{digest('encoder', known)[:8]}")


def _prepare(project: Project, unit: Unit) -> None:
    """Fetch or write the models that are not here yet."""
    for name in _encoders(project, unit.dataset):
        project.encoder(name).prepare(project.models)


def _inputs(project: Project, unit: Unit) -> dict[str, Any]:
    shards = scan.shards_of(project, unit.dataset)
    if unit.part not in shards:
        raise CatalogError(f"{unit}: no such shard: {unit.dataset} has {named(shards)}.")
    require_accepted(project, unit.dataset)
    table = receipt_of(project, Unit("standardize", unit.dataset, unit.part))
    if table is None:
        raise UpstreamError(f"standardize:{unit.dataset}:{unit.part} has not run")
    known = {name: identity(project, name) for name in _encoders(project, unit.dataset)}
    return {"audio": table.outputs["audio"], "encoders": known}


def _intact(project: Project, unit: Unit, receipt: Receipt) -> list[str]:
    problems = []
    for name, packs in receipt.outputs["packs"].items():
        folder = encoder_folder(project, name) / "packs"
        for pack in packs:
            damage = pack_damage(folder / pack)
            if damage:
                problems.append(f"{name}: pack {pack}: {damage}")
    return problems


def _build(project: Project, unit: Unit) -> Built:
    made = [row for row in read_table(project.table(unit.dataset, unit.part)) if "bad" not in row]
    outputs: dict[str, list[str]] = {}
    counts = {"recordings": len(made), "encoded": 0, "frames": 0}
    written = 0
    for name in _encoders(project, unit.dataset):
        outputs[name], encoded, frames, wrote = _encode(project, unit, name, made)
        counts["encoded"] += encoded
        counts["frames"] += frames
        written += wrote
    return Built({"packs": outputs}, counts, written)


def _encode(project: Project, unit: Unit, name: str, rows: list[dict[str, Any]]) -> tuple[list[str], int, int, int]:
    """Encode what no pack of this encoder holds; return the packs that hold the shard, and what was new."""
    from earmark.features.encode import Recording, encode_pack

    folder = encoder_folder(project, name)
    index = open_index(folder)
    by_hash = {row["audio_hash"]: row for row in rows}
    found = index.find(list(by_hash))
    # in the order of hashes: a pack that is lost and made again has the same name and the same rows
    new = [by_hash[audio_hash] for audio_hash in sorted(by_hash.keys() - found.keys())]
    if not new:
        return sorted({pack for pack, _, _ in found.values()}), 0, 0, 0
    standard = project.catalog.standard.format != "none"
    channel = project.dataset(unit.dataset).channel
    recordings = [
        Recording(
            row["audio_hash"], audio_file(project, unit.dataset, row["path"]), row["n_samples"], standard, channel
        )
        for row in new
    ]
    table = project.encoder(name)
    encoder = _opened(table, project.models)
    if warning := table.warning(project.models):
        LOG.note(f"encoder {name}: {warning} in [encoders.{name}] of {project.path.name}.")
    held_here = digest("pack", [row["audio_hash"] for row in new])
    pack = f"{unit.dataset}-{unit.part}-{held_here[:8]}.zarr"
    attributes: dict[str, Any] = {"encoder": name, "identity": identity(project, name), "source": str(unit)}
    with LOG.progress(f"{unit} {name}", len(new), after=after(project, unit)) as bar:
        written, frames = encode_pack(
            recordings,
            encoder,
            folder / "packs",
            pack,
            dtype=table.codec,
            attributes=attributes,
            resampler=project.catalog.standard.resampler,
            scratch=project.scratch,
            on_done=bar.advance,
        )
    index.add(folder / "packs" / pack)
    packs = {pack} | {held for held, _, _ in found.values()}
    return sorted(packs), len(new), frames, written


@functools.lru_cache(maxsize=2)
def _opened(table: EncoderTable, models: ModelStore) -> Encoder:
    return table.open(models)


def held(project: Project, name: str, hashes: set[str]) -> set[str]:
    """Return those audio hashes that a pack of an encoder holds; reads the index as it is."""
    folder = encoder_folder(project, name)
    if not folder.is_dir():
        return set()
    places = PackIndex(folder).find(list(hashes))
    whole = {pack for pack in {pack for pack, _, _ in places.values()} if pack_damage(folder / "packs" / pack) is None}
    return {audio_hash for audio_hash, (pack, _, _) in places.items() if pack in whole}


@functools.lru_cache(maxsize=4)
def open_index(folder: Path) -> PackIndex:
    """Return an encoder's index, compared once a run with the packs on disk."""
    index = PackIndex(folder)
    for damage in index.sync():
        LOG.note(f"{damage}; set aside, what it held is encoded again")
    return index


STAGE = Stage(NAME, VERSION, _inputs, _intact, _build, _prepare)


def _seal_inputs(project: Project, unit: Unit) -> dict[str, Any]:
    packs: dict[str, Any] = {}
    for shard in scan.shards_of(project, unit.dataset):
        receipt = receipt_of(project, Unit(NAME, unit.dataset, shard))
        if receipt is None:
            raise UpstreamError(f"features:{unit.dataset}:{shard} has not run")
        packs[shard] = receipt.outputs["packs"]
    manifest = receipt_of(project, Unit("manifest", unit.dataset))
    if manifest is None:
        raise UpstreamError(f"manifest:{unit.dataset} has not run")
    known = {name: identity(project, name) for name in _encoders(project, unit.dataset)}
    below = project.relative(audio_folder(project, unit.dataset))
    return {"packs": digest("packs", packs), "audio": manifest.inputs["audio"], "encoders": known, "below": below}


def _seal_intact(project: Project, unit: Unit, receipt: Receipt) -> list[str]:
    return broken(project, receipt.outputs["files"].values())


def _seal_build(project: Project, unit: Unit) -> Built:
    """Write where each recording's features lie, one manifest an encoder."""
    files, rows = {}, 0
    before = receipt_of(project, unit)
    for name in _encoders(project, unit.dataset):
        index = open_index(encoder_folder(project, name))
        target = project.feature_manifest(name, unit.dataset)
        with publishing(target, project.scratch) as temporary, temporary.open("wb") as file:
            for line in _lines(project, unit.dataset, index):
                file.write(line)
                rows += 1
        files[name] = seal(project, target)
    made = {entry["path"] for entry in files.values()}
    for old in before.outputs["files"].values() if before else ():
        if old["path"] not in made:  # an encoder that the dataset no longer names
            remove(project.home / old["path"])
    return Built({"files": files}, {"rows": rows}, sum(entry["size"] for entry in files.values()))


def _lines(project: Project, dataset: str, index: PackIndex) -> Iterator[bytes]:
    path_of = audio_path(project, dataset)
    for shard in scan.shards_of(project, dataset):
        rows = [row for row in read_table(project.table(dataset, shard)) if "bad" not in row]
        found = index.find([row["audio_hash"] for row in rows])
        for row in rows:
            if row["audio_hash"] not in found:
                raise EarmarkError(
                    f"features:{dataset}: {row['path']}: no pack holds it, although its shard is done: was a pack"
                    f" deleted during the run? Run `doit features:{dataset}` again."
                )
            pack, at, n_frames = found[row["audio_hash"]]
            line = {"audio_hash": row["audio_hash"], "audio_path": path_of(row["path"]), "pack": pack, "row": at}
            yield orjson.dumps(line | {"n_frames": n_frames}, option=orjson.OPT_APPEND_NEWLINE)


SEAL = Stage(NAME, VERSION, _seal_inputs, _seal_intact, _seal_build, _prepare)
