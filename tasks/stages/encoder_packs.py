"""The packs of an encoder: their folder, which the encoder's identity names, and what is in them."""

import functools
from collections.abc import Mapping
from pathlib import Path

import msgspec

from earmark.catalog.project import Project
from earmark.disk.hashing import digest
from earmark.encoders import Identity, one_model
from earmark.errors import CatalogError, ModelAbsentError
from earmark.features.pack_index import PackIndex
from earmark.features.packs import pack_damage
from tasks.engine.stage import Run, UpstreamError


class MadeBy(msgspec.Struct, frozen=True):
    """The part of the inputs of features, of a shard or a dataset, that names encoders: the identity of each."""

    encoders: dict[str, dict[str, object]]


def encoder_names(project: Project, dataset: str) -> tuple[str, ...]:
    """Return the names of a dataset's encoders; none where its table says `encoders = []`.

    Raises CatalogError where it should have the catalog's and there are none.
    """
    names = project.catalog.encoders_of(dataset)
    if not names and project.dataset(dataset).encoders is None:
        raise CatalogError(f"{project.path.name}: no encoder: write a table [encoders.<name>] with a model.")
    return names


def identity(project: Project, name: str) -> Identity:
    """Return an encoder's identity: all that its numbers depend on.

    Raises UpstreamError while its model is not on this disk, ModelError when it cannot be used.
    """
    try:
        with one_model(name):
            return project.encoder(name).identity(project.models)
    except ModelAbsentError as error:
        raise UpstreamError(str(error)) from error


def identities(project: Project, dataset: str) -> dict[str, Identity]:
    """Return the identities of a dataset's encoders by name. Raises as `identity`."""
    return {name: identity(project, name) for name in encoder_names(project, dataset)}


def encoder_folder(project: Project, name: str) -> Path:
    """Return the folder of an encoder, `cache/features/<catalog name>-<8 hex digits of the identity>`.

    With the identity in its name, a changed model or setting gets a folder of its own and mixes with nothing.
    """
    return folder_of(project, name, identity(project, name))


def folder_of(project: Project, name: str, known: Mapping[str, object]) -> Path:
    """Return the folder of an encoder of this identity, which a receipt may name and the catalog no longer."""
    return project.features(f"{name}-{digest('encoder', known)[:8]}")


def stored(project: Project, name: str, hashes: set[str]) -> set[str]:
    """Return those audio hashes that are in an undamaged pack of an encoder.

    Reads the index as the last run left it: this is for commands that only look, and comparing it would write.
    """
    folder = encoder_folder(project, name)
    if not folder.is_dir():
        return set()
    places = PackIndex(folder).find(list(hashes))
    whole = {pack for pack in {pack for pack, _, _ in places.values()} if pack_damage(folder / "packs" / pack) is None}
    return {audio_hash for audio_hash, (pack, _, _) in places.items() if pack in whole}


@functools.lru_cache(maxsize=4)
def open_index(folder: Path, run: Run) -> PackIndex:
    """Return an encoder's index, compared once a run with the packs on disk.

    Once: comparing looks at every pack, and a dataset has thousands of shards.
    """
    index = PackIndex(folder, run.project.memo)
    for damage in index.sync():
        run.log.note(f"{damage}; set aside, its recordings are encoded again")
    return index
