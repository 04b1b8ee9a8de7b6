"""new-catalog: a catalog of one's own, which takes over the shipped one and changes what differs."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from doit import get_initial_workdir, get_var
from doit.exceptions import TaskFailed

from earmark.catalog.extends import FILE, VARIABLE
from earmark.disk.files import clear_disk_errors
from earmark.errors import CatalogError, EarmarkError
from tasks.cli.doit_types import TaskDict
from tasks.engine.opened import OPENED

CATALOG = """\
# A catalog of your own. What is not named here is as in the catalog that comes with earmark; docs/catalog.md lists
# every key. A table of the same name is changed key by key; `timit = false` below [datasets] drops a dataset.
extends = "earmark"

[paths]                   # relative to this file's folder; an absolute path may be on another volume
data = "data"             # one folder a dataset: archives go into it

[disk]
budget = "1.0 TB"         # of everything below these paths; a run that would exceed it does not begin

# [encoders.whisper-base] # comes before the shipped ones, so it is that of datasets which name none
# model = "mlx-community/whisper-base-mlx"

# [datasets.librispeech]  # the shipped table, with this one key changed
# max_bad = 0.01
"""


def new_catalog_tasks() -> Iterator[TaskDict]:
    """Yield the one task; `at=folder` on the command line says where."""
    yield {
        "basename": "new-catalog",
        "actions": [(_make, [get_var("at")])],
        "uptodate": [False],
        "doc": "write a catalog of your own to start from: doit new-catalog at=/some/where",
    }


def _make(at: str | None) -> TaskFailed | None:
    try:
        path = write(at or "", Path(get_initial_workdir() or "."))
    except EarmarkError as error:
        return TaskFailed(str(error))
    OPENED.run.log.note(f"written: {path}")
    variable = f"{VARIABLE}={shlex.quote(str(path))}"
    OPENED.run.log.note(f"next: {variable} doit list; or for all that this shell runs: export {variable}")
    return None


def write(at: str, start: Path) -> Path:
    """Write a catalog into a folder, which is made where it is missing, or as a .toml file, and return its path.

    `start` is the folder that a relative path begins at. Raises CatalogError where none is named or a catalog is there
    already, DiskFullError where it cannot be written.
    """
    if not at:
        raise CatalogError("no place: expected a folder, as in `doit new-catalog at=/some/where`.")
    named = start / Path(at).expanduser()
    path = named if named.suffix == ".toml" and not named.is_dir() else named / FILE
    with clear_disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(CATALOG)
        except FileExistsError:
            what = f"{path} is there already" if path.exists() else f"{path.parent} is no folder"
            raise CatalogError(f"{what}: nothing is written over it. Name another place.") from None
    return path
