"""features: a shard's recordings through the encoder, into a pack of the audio hashes that no pack held yet."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from earmark.audio.table import GoodAudio, read_good
from earmark.catalog.project import Project
from earmark.disk.files import publishing, remove
from earmark.disk.hashing import digest
from earmark.disk.receipts import Inputs, Receipt, SealedFile
from earmark.encoders import Encoder, EncoderTable, ModelStore
from earmark.errors import CatalogError, EarmarkError
from earmark.features.manifest import FeatureRow, dump_row
from earmark.features.pack_index import PackIndex
from earmark.features.packs import pack_damage
from tasks.engine.judge import broken, receipt_of, require_receipt, seal_file
from tasks.engine.stage import Built, Rule, Run, Stage
from tasks.engine.units import Unit
from tasks.stages import encoder_packs, scan, standard_files
from tasks.stages.manifest import ManifestFiles, ManifestInputs
from tasks.stages.standardize import StandardizedShard
from tasks.stages.standardize_gather import require_accepted

NAME, VERSION = "features", 1


class EncodedShard(msgspec.Struct, frozen=True):
    """What an encoded shard seals: for each encoder the packs that its recordings are in."""

    packs: dict[str, list[str]]


class FeatureFiles(msgspec.Struct, frozen=True):
    """What an encoded dataset seals: the feature manifest of each encoder."""

    files: dict[str, SealedFile]


def _prepare(run: Run, unit: Unit) -> None:
    """Fetch or write the models that are not here yet."""
    project = run.project
    for name in encoder_packs.encoder_names(project, unit.dataset):
        project.encoder(name).prepare(project.models)


def _inputs(run: Run, unit: Unit) -> Inputs:
    project = run.project
    shards = scan.shards_of(project, unit.dataset)
    if unit.part not in shards:
        raise CatalogError(f"{unit}: no such shard: {unit.dataset} has {scan.shard_range(shards)}.")
    require_accepted(project, unit.dataset)
    audio = require_receipt(project, Unit("standardize", unit.dataset, unit.part), StandardizedShard).outputs.audio
    return {"audio": audio, "encoders": encoder_packs.identities(project, unit.dataset)}


def _intact(run: Run, _unit: Unit, receipt: Receipt[EncodedShard]) -> list[str]:
    problems = []
    for name, packs in receipt.outputs.packs.items():
        folder = encoder_packs.encoder_folder(run.project, name) / "packs"
        for pack in packs:
            damage = pack_damage(folder / pack)
            if damage:
                problems.append(f"{name}: pack {pack}: {damage}")
    return problems


def packs_of(project: Project, receipt: Receipt[EncodedShard]) -> Iterator[Path]:
    """Yield the packs that a shard's receipt names, under the identities that made them."""
    made_by = receipt.made_from(encoder_packs.MadeBy).encoders
    for name, packs in receipt.outputs.packs.items():
        folder = encoder_packs.folder_of(project, name, made_by[name]) / "packs"
        yield from (folder / pack for pack in packs)


def _build(run: Run, unit: Unit) -> Built[EncodedShard]:
    project = run.project
    rows = list(read_good(project.table(unit.dataset, unit.part)))
    packs: dict[str, list[str]] = {}
    counts = {"recordings": len(rows), "encoded": 0, "frames": 0}
    written = 0
    for name in encoder_packs.encoder_names(project, unit.dataset):
        packs[name], encoded, frames, wrote = _encode(run, unit, name, rows)
        counts["encoded"] += encoded
        counts["frames"] += frames
        written += wrote
    return Built(EncodedShard(packs), counts, written)


def _encode(run: Run, unit: Unit, name: str, rows: list[GoodAudio]) -> tuple[list[str], int, int, int]:
    """Encode what no pack of this encoder holds; return the packs that hold the shard, and what was new."""
    from earmark.features.encode import Recording, encode_pack

    project = run.project
    folder = encoder_packs.encoder_folder(project, name)
    index = encoder_packs.open_index(folder, run)
    by_hash = {row.audio_hash: row for row in rows}
    found = index.find(list(by_hash))
    # in the order of hashes: a pack that is lost and made again has the same name and the same rows
    new = [by_hash[audio_hash] for audio_hash in sorted(by_hash.keys() - found.keys())]
    if not new:
        return sorted({pack for pack, _, _ in found.values()}), 0, 0, 0
    standard = project.catalog.standard.format != "none"
    channel = project.dataset(unit.dataset).channel
    recordings = [
        Recording(
            row.audio_hash, standard_files.audio_file(project, unit.dataset, row.path), row.n_samples, standard, channel
        )
        for row in new
    ]
    table = project.encoder(name)
    encoder = _opened(table, project.models)
    if warning := table.warning(project.models, f"[encoders.{name}] of {project.path.name}"):
        run.log.note(f"encoder {name}: {warning}")
    content = digest("pack", [row.audio_hash for row in new])
    pack = f"{unit.dataset}-{unit.part}-{content[:8]}.zarr"
    attributes: dict[str, Any] = {
        "encoder": name,
        "identity": encoder_packs.identity(project, name),
        "source": str(unit),
    }
    with run.log.progress(f"{unit} {name}", len(new), after=scan.files_after(project, unit)) as bar:
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
    packs = {pack} | {older for older, _, _ in found.values()}
    return sorted(packs), len(new), frames, written


@functools.lru_cache(maxsize=2)
def _opened(table: EncoderTable, models: ModelStore) -> Encoder:
    return table.open(models)


RULE = Rule(NAME, VERSION, EncodedShard, _inputs, _intact, _build, _prepare)


def _whole_inputs(run: Run, unit: Unit) -> Inputs:
    project, dataset = run.project, unit.dataset
    shards = scan.shards_of(project, dataset)
    receipts = {shard: require_receipt(project, Unit(NAME, dataset, shard), EncodedShard) for shard in shards}
    manifest = require_receipt(project, Unit("manifest", dataset), ManifestFiles)
    return {
        "packs": digest("packs", {shard: receipt.outputs.packs for shard, receipt in receipts.items()}),
        "audio": manifest.made_from(ManifestInputs).audio,
        "encoders": encoder_packs.identities(project, dataset),
        "below": project.relative(standard_files.audio_folder(project, dataset)),
    }


def _whole_intact(run: Run, _unit: Unit, receipt: Receipt[FeatureFiles]) -> list[str]:
    return broken(run.project, receipt.outputs.files.values())


def _whole_build(run: Run, unit: Unit) -> Built[FeatureFiles]:
    """Write where each recording's features are, one manifest an encoder."""
    project = run.project
    files: dict[str, SealedFile] = {}
    rows = 0
    before = receipt_of(project, unit, FeatureFiles)
    for name in encoder_packs.encoder_names(project, unit.dataset):
        index = encoder_packs.open_index(encoder_packs.encoder_folder(project, name), run)
        target = project.feature_manifest(name, unit.dataset)
        with publishing(target, project.scratch) as temporary, temporary.open("wb") as file:
            for row in _feature_rows(project, unit.dataset, index):
                file.write(dump_row(row))
                rows += 1
        files[name] = seal_file(project, target)
    paths = {sealed.path for sealed in files.values()}
    for old in before.outputs.files.values() if before else ():
        if old.path not in paths:  # of an encoder that the dataset no longer names
            remove(project.home / old.path)
    return Built(FeatureFiles(files), {"rows": rows}, sum(sealed.size for sealed in files.values()))


def _feature_rows(project: Project, dataset: str, index: PackIndex) -> Iterator[FeatureRow]:
    path_of = standard_files.audio_path(project, dataset)
    for shard in scan.shards_of(project, dataset):
        rows = list(read_good(project.table(dataset, shard)))
        places = index.find([row.audio_hash for row in rows])
        for row in rows:
            if row.audio_hash not in places:
                raise EarmarkError(
                    f"features:{dataset}: {row.path}: in no pack, although its shard is done: was a pack deleted during"
                    f" the run? Run `doit features:{dataset}` again."
                )
            yield FeatureRow(row.audio_hash, path_of(row.path), *places[row.audio_hash])


WHOLE = Rule(NAME, VERSION, FeatureFiles, _whole_inputs, _whole_intact, _whole_build, _prepare)
STAGE = Stage(NAME, "encoder features of {}", WHOLE, follows=("manifest",), shard=RULE, shard_follows="standardize")
