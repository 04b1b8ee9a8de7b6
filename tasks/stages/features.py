"""features: encode a shard's recordings whose audio hash is in no pack of the encoder yet, into one new pack."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from earmark.audio.table import GoodAudio, read_good
from earmark.catalog.project import Project
from earmark.disk.hashing import digest
from earmark.disk.receipts import Inputs, Receipt, SealedFile
from earmark.encoders import Encoder, EncoderTable, ModelStore, one_model
from earmark.errors import CatalogError, EarmarkError
from earmark.features.manifest import FeatureRow, dump_row
from earmark.features.pack_index import PackIndex
from earmark.features.packs import pack_damage
from tasks.engine.judge import broken, receipt_of, require_receipt, seal_file
from tasks.engine.products import Products
from tasks.engine.stage import Built, Rule, Run, Stage
from tasks.engine.units import Unit
from tasks.stages import encoder_packs, scan, standard_files
from tasks.stages.manifest import ManifestFiles, ManifestInputs
from tasks.stages.standardize import StandardizedShard
from tasks.stages.standardize_gather import require_accepted

NAME, VERSION = "features", 1


class EncodedShard(msgspec.Struct, frozen=True):
    """What an encoded shard seals: for each encoder the packs that its recordings are in.

    Often packs of other shards, too: a recording that occurs twice, or moved to another shard, is encoded once.
    """

    packs: dict[str, list[str]]


class FeatureFiles(msgspec.Struct, frozen=True):
    """What an encoded dataset seals: the feature manifest of each encoder."""

    files: dict[str, SealedFile]


def _prepare(run: Run, unit: Unit) -> None:
    """Fetch or write the models that are not here yet."""
    project = run.project
    for name in encoder_packs.encoder_names(project, unit.dataset):
        with one_model(name):
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
            damage = pack_damage(folder / pack, run.project.memo)
            if damage:
                problems.append(f"{name}: pack {pack}: {damage}")
    return problems


def packs_of(project: Project, receipt: Receipt[EncodedShard]) -> Iterator[Path]:
    """Yield the packs that a shard's receipt names, in the folders of the identities that made them."""
    made_by = receipt.made_from(encoder_packs.MadeBy).encoders
    for name, packs in receipt.outputs.packs.items():
        folder = encoder_packs.folder_of(project, name, made_by[name]) / "packs"
        yield from (folder / pack for pack in packs)


class _Encoded(NamedTuple):
    """What encoding a shard came to: the packs with its recordings, and of the new one recordings, frames and bytes."""

    packs: list[str]
    recordings: int = 0
    frames: int = 0
    written_bytes: int = 0


def _build(run: Run, unit: Unit) -> Built[EncodedShard]:
    project = run.project
    rows = list(read_good(project.table(unit.dataset, unit.part)))
    encoded = {name: _encode(run, unit, name, rows) for name in encoder_packs.encoder_names(project, unit.dataset)}
    counts = {
        "recordings": len(rows),
        "encoded": sum(each.recordings for each in encoded.values()),
        "frames": sum(each.frames for each in encoded.values()),
    }
    packs = {name: each.packs for name, each in encoded.items()}
    return Built(EncodedShard(packs), counts, sum(each.written_bytes for each in encoded.values()))


def _encode(run: Run, unit: Unit, name: str, rows: list[GoodAudio]) -> _Encoded:
    """Encode the recordings that are in no pack of this encoder."""
    index = encoder_packs.open_index(encoder_packs.encoder_folder(run.project, name), run)
    by_hash = {row.audio_hash: row for row in rows}
    places = index.find(list(by_hash))
    older = {pack for pack, _, _ in places.values()}
    # in the order of hashes: a pack that is lost and made again has the same name and the same rows
    new = [by_hash[audio_hash] for audio_hash in sorted(by_hash.keys() - places.keys())]
    if not new:
        return _Encoded(sorted(older))
    pack, frames, written = _write_pack(run, unit, name, new)
    index.add(pack)
    return _Encoded(sorted({pack.name} | older), len(new), frames, written)


def _write_pack(run: Run, unit: Unit, name: str, rows: list[GoodAudio]) -> tuple[Path, int, int]:
    """Encode recordings into a new pack; return its path, frames and bytes."""
    from earmark.features.encode import Recording, encode_pack

    project, table = run.project, run.project.encoder(name)
    standard, dataset = project.catalog.standard.format != "none", project.dataset(unit.dataset)
    path_of = functools.partial(standard_files.audio_file, project, unit.dataset)
    recordings = [
        Recording(row.audio_hash, path_of(row.path), row.n_samples, standard, dataset.channel, dataset.media_time)
        for row in rows
    ]
    with one_model(name):
        encoder = _opened(table, project.models)
        warning = table.warning(project.models, f"[encoders.{name}] of {project.path.name}")
    if warning:
        run.log.note(f"encoder {name}: {warning}")
    # named by content, so that the same recordings have the same pack and no other pack is ever written over
    content = digest("pack", [row.audio_hash for row in rows])
    folder = encoder_packs.encoder_folder(project, name) / "packs"
    pack = folder / f"{unit.dataset}-{unit.part}-{content[:8]}.zarr"
    with run.log.progress(f"{unit} {name}", len(rows), after=scan.files_after(project, unit)) as bar:
        written, frames = encode_pack(
            recordings,
            encoder,
            folder,
            pack.name,
            dtype=table.codec,
            attributes={"encoder": name, "identity": encoder_packs.identity(project, name), "source": str(unit)},
            resampler=project.catalog.standard.resampler,
            scratch=project.scratch,
            on_done=bar.advance,
        )
    return pack, frames, written


# two encoders, as a dataset that has both alternates between them shard by shard; a model may be 3 GB of memory
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
    products = Products(run, unit, before.outputs.files.values() if before else ())
    for name in encoder_packs.encoder_names(project, unit.dataset):
        index = encoder_packs.open_index(encoder_packs.encoder_folder(project, name), run)
        target = project.feature_manifest(name, unit.dataset)
        with products.publishing(target) as temporary:
            with temporary.open("wb") as file:
                for row in _feature_rows(project, unit.dataset, index):
                    file.write(dump_row(row))
                    rows += 1
            products.settle()
        files[name] = seal_file(project, target)
    paths = {sealed.path for sealed in files.values()}
    for old in before.outputs.files.values() if before else ():
        if old.path not in paths:  # of an encoder that the dataset no longer names
            products.remove(project.home / old.path)
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
