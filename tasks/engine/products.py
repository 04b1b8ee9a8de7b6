"""Products: the files below `paths.manifests` that training reads.

What is in a product's place is replaced only if it is one, as it was made. What somebody else put there, or changed by
hand, is never lost.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from earmark.catalog.project import Project
from earmark.disk.files import publishing, remove
from earmark.disk.hashing import hash_file
from earmark.disk.receipts import SealedFile, read_receipt
from earmark.errors import ForeignError
from tasks.engine.stage import Run
from tasks.engine.units import Unit

STAGES_WITH_PRODUCTS = ("manifest", "features", "job")


class _Files(msgspec.Struct, frozen=True):
    """What the receipts of all products have in common."""

    files: dict[str, SealedFile]


class Products:
    """The files of one unit on their way into place; `sealed` are those of its last receipt.

    Write each through `publishing`, and call `settle` when all are written and none is in place yet.
    """

    def __init__(self, run: Run, unit: Unit, sealed: Iterable[SealedFile]) -> None:
        self._run, self._unit = run, unit
        self._sealed = {run.project.home / file.path: file for file in sealed}
        self._written: dict[Path, Path] = {}  # not looked at yet: place -> where it was written

    @contextlib.contextmanager
    def publishing(self, path: Path) -> Iterator[Path]:
        """Yield a scratch path; it takes the product's place if the block succeeds and all were settled."""
        with publishing(path, self._run.project.scratch) as temporary:
            self._written[path] = temporary
            yield temporary
            assert path not in self._written, f"{path}: not settled"

    def settle(self) -> None:
        """Look at what is in the places of all products, before any of them is put there.

        A product of ours that was changed since is renamed to `<name>.edited`, and that is said. Raises ForeignError
        for a file that no receipt names. One that equals the new one is ours: a run was killed before its receipt.
        """
        foreign = [path for path, new in self._written.items() if self._is_foreign(path, new)]
        if foreign:
            where = self._run.project.relative(foreign[0])
            others = f" (and {len(foreign) - 1} more)" if len(foreign) > 1 else ""
            raise ForeignError(
                f"{where}{others}: a file that no receipt names is in the place of what {self._unit} makes. Move it"
                " away, or name another paths.manifests, and run again."
            )
        for path, new in self._written.items():
            if path.exists() and not _equal(path, new) and not self._is_as_made(path):
                self._keep_edited(path)
        self._written.clear()

    def remove(self, path: Path, *, is_claimed: bool = False) -> None:
        """Delete a product of the last receipt that is no longer made, unless it was changed since.

        `is_claimed`: another unit makes a file of this name by now, so that what was changed may be that one.
        """
        if not path.exists():
            return
        if self._is_as_made(path):
            remove(path)
        elif not is_claimed:
            self._keep_edited(path)

    def _is_foreign(self, path: Path, new: Path) -> bool:
        if path in self._sealed or not (path.exists() or path.is_symlink()) or _equal(path, new):
            return False
        named = _sealed_anywhere(self._run.project, path)  # by a dataset that was renamed, and had this manifest
        if named is not None:
            self._sealed[path] = named
        return named is None

    def _is_as_made(self, path: Path) -> bool:
        sealed = self._sealed.get(path)
        return sealed is not None and path.stat().st_size == sealed.size and hash_file(path) == sealed.xxh3

    def _keep_edited(self, path: Path) -> None:
        kept, n = path.with_name(f"{path.name}.edited"), 1
        while kept.exists():
            n += 1
            kept = path.with_name(f"{path.name}.edited-{n}")
        path.rename(kept)
        relative = self._run.project.relative
        self._run.log.note(
            f"{self._unit}: {relative(path)} was changed since it was made, and is kept as {relative(kept)}"
        )


def _sealed_anywhere(project: Project, path: Path) -> SealedFile | None:
    """Return a file as whatever receipt seals it that names it as a product; looked for only where none should be."""
    wanted = project.relative(path)
    for stage in STAGES_WITH_PRODUCTS:
        for receipt in sorted((project.cache / "receipts" / stage).rglob("*.json")):
            found = read_receipt(receipt, _Files)
            for sealed in found.outputs.files.values() if found else ():
                if sealed.path == wanted:
                    return sealed
    return None


def _equal(path: Path, other: Path) -> bool:
    """Say whether two files have the same bytes."""
    if not path.is_file() or path.stat().st_size != other.stat().st_size:
        return False
    return hash_file(path) == hash_file(other)
