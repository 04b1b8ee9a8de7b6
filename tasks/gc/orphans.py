"""Orphans: files that earmark made and that nothing names any more. Found from receipts and names; nothing is deleted.

Only what is provably earmark's own is one: sealed by a receipt, named by a sealed table, a pack by its own seal. A
dataset whose standard audio may be on a volume that is not mounted keeps all, and so does a cache that another catalog
shares for what that one names. Archives, trees and the records of their extraction and deletion are never orphans.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from earmark.audio.batch import standard_name
from earmark.audio.table import GoodAudio, read_table
from earmark.catalog.project import Project
from earmark.disk import watch
from earmark.disk.hashing import hash_file
from earmark.disk.owners import require_not_another_s
from earmark.disk.receipts import Receipt, read_receipt
from earmark.errors import ForeignError
from earmark.features.packs import SEAL, PackError, Seal, read_seal
from tasks.engine.stage import Run
from tasks.gc.named import Named, ReceiptFile
from tasks.stages import presence
from tasks.stages.combined import JOB
from tasks.stages.standardize import StandardizedShard

AUDIO, LISTS, PRODUCTS, PACKS, RECEIPTS, ASIDE = (
    "standard audio", "lists and tables", "manifests", "packs", "receipts", "set aside as damaged",
)  # fmt: skip
SET_ASIDE = re.compile(r"[0-9a-f]{6}-.")  # how verify names what it moves to cache/damaged
ENCODER_FOLDER = re.compile(r".+-[0-9a-f]{8}")
PACK = re.compile(r".+-\d+-[0-9a-f]{8}\.zarr")


@dataclass
class Orphan:
    """Files of one kind that belonged to one thing, such as a dataset; of a pack, its folder."""

    kind: str
    of: str
    files: list[Path] = field(default_factory=list)
    size: int = 0

    def add(self, path: Path) -> None:
        """Count a file, or a folder, in."""
        self.files.append(path)
        inside = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
        self.size += sum(one.lstat().st_size for one in inside)


@dataclass
class Found:
    """What was found: orphans, and what a reader should know. `changed`: files that are not as they were made."""

    orphans: list[Orphan] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    changed: list[Path] = field(default_factory=list)

    def add(self, *orphans: Orphan) -> None:
        """Keep those that have files."""
        self.orphans += [orphan for orphan in orphans if orphan.files]


def find(run: Run, *, thorough: bool = True) -> Found:
    """Find the orphans of a cache and of this catalog's folders; `thorough`: what was touched is read and compared.

    Raises CatalogError where another catalog that shares the cache cannot be read.
    """
    project, named, found = run.project, Named(run.project), Found()
    finder = _Finder(project, named, found, thorough)
    names = sorted({receipt.of for receipt in named.receipts if receipt.stage != JOB} - named.datasets)
    for name in names:  # all that is kept before the first: what it names counts as named
        finder.keep(name)
    for name in names:
        finder.dropped(name)
    finder.rest()
    finder.packs()
    finder.set_aside()
    found.notes += dict.fromkeys(named.notes)
    return found


class _Finder:
    """Looks for orphans of each kind and adds them to `found`."""

    def __init__(self, project: Project, named: Named, found: Found, thorough: bool) -> None:
        self.project, self.named, self.found, self.thorough = project, named, found, thorough

    def _own(self, name: str) -> list[ReceiptFile]:
        return [receipt for receipt in self.named.receipts if receipt.of == name and not self.named.is_live(receipt)]

    def keep(self, name: str) -> None:
        """Keep all of a dataset of which a part may be on an absent volume, or is another collection's by now."""
        reason = self._away(name, self._own(name))
        try:
            require_not_another_s(self.project.standard / name, self.project.identity, "paths.standard")
        except ForeignError as error:
            reason = f"{name}: all that was made of it is kept: {error}"
        if reason:
            self.named.kept.add(name)
            self.found.notes.append(reason)

    def dropped(self, name: str) -> None:
        """Find what is left of a dataset, or joint manifest, that no catalog has any more."""
        own = self._own(name)
        if not own:
            return
        audio, lists = Orphan(AUDIO, name), Orphan(LISTS, name)
        products, receipts = Orphan(PRODUCTS, name), Orphan(RECEIPTS, name)
        for receipt in own:
            self._add_standard_audio(audio, receipt)
            for path in self._as_made(receipt):
                (lists if path.is_relative_to(self.project.cache) else products).add(path)
            receipts.add(receipt.path)
        watched = self.project.watch_list(name)
        if watch.load(watched) is not None:
            lists.add(watched)
        for path in sorted((self.project.cache / "audio" / name).glob("*.orphans")):
            lists.add(path)
        self.found.add(audio, lists, products, receipts)

    def rest(self) -> None:
        """Find jobs that no catalog has any more, and receipts that an interrupted gc moved of what came back since."""
        stale = Orphan(RECEIPTS, "an interrupted gc")
        for receipt in self.named.receipts:
            if receipt.aside and self.named.is_live(receipt):
                stale.add(receipt.path)
        self.found.add(stale)
        gone = [receipt for receipt in self.named.receipts if receipt.stage == JOB and not self.named.is_live(receipt)]
        for receipt in gone:
            products, receipts = Orphan(PRODUCTS, f"job {receipt.of}"), Orphan(RECEIPTS, f"job {receipt.of}")
            for path in self._as_made(receipt):
                products.add(path)
            receipts.add(receipt.path)
            self.found.add(products, receipts)

    def _away(self, name: str, own: list[ReceiptFile]) -> str:
        """Say that files of a dataset may be on a volume that is absent, or return ""."""
        folders = {self.project.home / sealed["path"] for receipt in own for sealed in receipt.sealed()}
        if any(shard.counts.get("standard_bytes") for shard, _ in self._tables(own)):
            folders.add(self.project.standard / name / "x")
        for root in (self.project.standard, self.project.manifests):
            named = [path for path in folders if path.is_relative_to(root)]
            lost = any(path.parent.is_symlink() and not path.parent.exists() for path in named)
            if named and (lost or not presence.has_files(root)):
                where = self.project.relative(root)
                return f"{name}: {where} is missing or empty: not mounted? All that was made of {name} is kept"
        return ""

    def _tables(self, own: list[ReceiptFile]) -> Iterator[tuple[Receipt[StandardizedShard], ReceiptFile]]:
        for receipt in own:
            if receipt.stage == "standardize":
                shard = read_receipt(receipt.path, StandardizedShard)
                if shard is not None:
                    yield shard, receipt

    def _add_standard_audio(self, audio: Orphan, receipt: ReceiptFile) -> None:
        """Add the standard files that a shard's table names, if the table is as it was sealed."""
        for shard, _ in self._tables([receipt]):
            table = self.project.home / shard.outputs.table.path
            with contextlib.suppress(OSError, ValueError):
                if hash_file(table) != shard.outputs.table.xxh3:
                    continue
                sealed_at = receipt.path.stat().st_mtime_ns
                for row in read_table(table):
                    if isinstance(row, GoodAudio) and row.file_size is not None:
                        name = standard_name(row.path, row.policy.format)
                        path = self.project.standard / receipt.of / name
                        if self._is_as_made(path, row.file_size, row.file_xxh3 or "", sealed_at):
                            audio.add(path)

    def _as_made(self, receipt: ReceiptFile) -> Iterator[Path]:
        """Yield the files that a receipt seals and no living one, as far as they are as they were made."""
        sealed_at = receipt.path.stat().st_mtime_ns
        for sealed in receipt.sealed():
            path = self.project.home / sealed["path"]
            if path not in self.named.paths and self._is_as_made(path, sealed["size"], sealed["xxh3"], sealed_at):
                yield path

    def _is_as_made(self, path: Path, size: int, xxh3: str, sealed_at: int) -> bool:
        """Say whether a file is there as it was sealed; what was touched since is read, and kept if it was changed."""
        with contextlib.suppress(OSError):
            status = path.lstat()
            if path.is_symlink() or not path.is_file():
                return False
            untouched = status.st_ctime_ns <= sealed_at or not self.thorough
            if status.st_size == size and (untouched or hash_file(path) == xxh3):
                return True
            self.found.changed.append(path)
        return False

    def packs(self) -> None:
        """Find packs that no receipt names: of encoders that no catalog has, and of shards that have others by now."""
        for folder in sorted((self.project.cache / "features").glob("*")):
            if not ENCODER_FOLDER.fullmatch(folder.name):
                continue
            orphan, has_encoder = Orphan(PACKS, folder.name), self.named.is_encoder(folder)
            for pack in sorted((folder / "packs").glob("*.zarr")):
                if pack in self.named.packs or not PACK.fullmatch(pack.name):
                    continue
                if sealed(pack) is not None and (not has_encoder or self._is_superseded(pack)):
                    orphan.add(pack)
            self.found.add(orphan)

    def _is_superseded(self, pack: Path) -> bool:
        """Say whether the shard that a pack was made for is done without it, or is no dataset's any more.

        A pack without its shard's receipt is the work of a run that was killed: the next one takes it over.
        """
        dataset, shard = pack.name.removesuffix(".zarr").rsplit("-", 2)[:2]
        if dataset not in self.named.datasets:
            return True
        receipt = self.project.receipt("features", dataset, shard)
        with contextlib.suppress(OSError):
            return (pack / SEAL).stat().st_mtime_ns < receipt.stat().st_mtime_ns
        return False

    def set_aside(self) -> None:
        """Find what verify and runs moved away as damaged."""
        folders = [self.project.cache / "damaged"]
        orphan = Orphan(ASIDE, "all datasets")
        for path in sorted(path for folder in folders for path in folder.glob("*")):
            if SET_ASIDE.match(path.name):
                orphan.add(path)
        for path in sorted((self.project.cache / "features").glob("*/damaged/*.zarr*")):
            orphan.add(path)
        self.found.add(orphan)


def sealed(pack: Path) -> Seal | None:
    """Return a pack's seal; None for a folder that is no pack, or whose seal is damaged."""
    try:
        return read_seal(pack)
    except PackError:
        return None
