"""What a dataset consists of before its shards say so: archives, trees, and files that came since the last scan."""

import contextlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson

from earmark.amounts import Amount, about, exact
from earmark.catalog.tables import ArchiveTable
from earmark.disk import watch
from earmark.estimate.listing import list_archive
from earmark.estimate.probes import EXCERPT_SHARE, EXCERPTS, Probes, assumed_rates, holds_sound
from earmark.rates import WAV_BYTES_PER_S
from earmark.sounds import is_compressed
from tasks.engine.judge import receipt_of
from tasks.engine.rollup import Query
from tasks.engine.units import Unit
from tasks.plan.speed import pace
from tasks.plan.steps import RECEIPT_BYTES, Item, Lot, Step, count, lies, sampler
from tasks.report import human
from tasks.stages import extract, scan

ROWS_SAMPLED = 4_000  # recordings of a sample, at most
LIST_ROW, WATCH_ROW, MEMBER_ROW, MEMO_ROW = 450, 90, 140, 110  # bytes of a line or entry, as written on the demo
FILE_BYTES = 400_000  # bytes of a recording, where nothing is known of it

# What earmark.demo writes; its bytes differ by a few where libraries do.
DEMO_ARCHIVE, DEMO_TREE, DEMO_FILES, DEMO_RECORDINGS, DEMO_SECONDS = 6_628_000, 6_619_000, 64, 52, 338.0


class Material:
    """A dataset's recordings: the shards that are `listed`, and in `new` those that no shard lists yet.

    `copied`: some of the new may be canonical already, so that their standard audio is a copy.
    """

    def __init__(self, query: Query, dataset: str) -> None:
        self.query, self.project, self.dataset = query, query.run.project, dataset
        project = self.project
        self.table = project.dataset(dataset)
        self.form = project.catalog.standard.format
        self.listed = scan.known_shards(project, dataset)
        self.new = Lot()
        self.new_words: list[str] = []
        self.copied = False

    def extract(self, step: Step) -> None:
        """Add what extraction writes, and the recordings in what it unpacks."""
        root, folder = self.project.root(self.dataset), self.project.folder(self.dataset)
        here, listed = extract.holds_files(root), bool(self.listed)
        unpacked, missing = Amount(), list[ArchiveTable]()
        for archive in self.table.archives:
            part = extract.extracted(self.project, self.dataset, archive.file)
            paths = extract.archive_files(self.project, self.dataset, archive)
            if part is not None:
                if not here:
                    size, files = exact(part.counts["member_bytes"]), part.counts["files"]
                    unpacked += self._writes_tree(step, archive.file, size, files, "its receipt")
                if not listed:
                    self._add_members(self.project.home / part.outputs.members.path)
            elif all(path.is_file() for path in paths):
                unpacked += self._unread(step, archive, paths)
            elif archive.generator:
                step.items.append(Item("generated archive", folder, exact(DEMO_ARCHIVE), 1))
                unpacked += self._writes_tree(step, archive.file, exact(DEMO_TREE), DEMO_FILES, "its generator")
                self._add_generated()
            elif not here:
                missing.append(archive)
        if missing:
            unpacked += self._undownloaded(step, missing)
        if not listed and self.new == Lot() and here:
            self._add_tree(root)
            unpacked = self.new.size
        if step.state not in "RE":
            step.items, step.inputs = [], []
            return
        rows = sum(item.files for item in step.items if item.what == "tree") or self.new.files.likely
        size = exact(rows * (MEMBER_ROW + MEMO_ROW) + RECEIPT_BYTES)
        step.items.append(Item("lists", self.project.cache / "members", size, 3))
        seconds, words = pace(self.query, self.dataset, "extract")
        step.seconds = unpacked * seconds
        step.inputs.append(words)

    def _undownloaded(self, step: Step, missing: list[ArchiveTable]) -> Amount:
        """Estimate archives that are not here from their published sizes; return the bytes they would unpack to."""
        folder = self.project.folder(self.dataset)
        downloads = [one for archive in missing for one in archive.downloads]
        unpublished = [one.file for one in downloads if one.size is None]
        if unpublished:
            step.unknown = True
            more = f" and {len(unpublished) - 1} more" if len(unpublished) > 1 else ""
            step.inputs.append(f"{unpublished[0]}{more}: not here, and no size is published: unknown")
        published = sum(one.size or 0 for one in downloads)
        if not published:
            return Amount()
        absent = sum(one.size or 0 for one in downloads if not (folder / one.file).exists())
        packed = [pattern for pattern in self.table.expect.files if is_compressed(pattern)]
        factor = Amount(1.0, 1.02, 1.1) if packed else Amount(1.0, 1.2, 2.0)
        size = exact(published) * factor
        many = f"{len(missing)} archives" if len(missing) > 1 else missing[0].file
        step.items.append(Item("archives to download", folder, exact(absent), len(downloads)))
        expected = sum(self.table.expect.files.values())
        self._writes_tree(step, many, size, expected, f"an assumption, {factor.likely:g} x the published size")
        self._guess(size, f"{many} not here")
        return size

    def _add_generated(self) -> None:
        made = {"flac": float(DEMO_TREE), "wav": WAV_BYTES_PER_S * DEMO_SECONDS, "none": 0.0}[self.form]
        self.new += Lot(exact(DEMO_RECORDINGS), exact(DEMO_TREE), exact(DEMO_SECONDS), exact(made))
        self.new_words.append(f"{DEMO_RECORDINGS} recordings, from the generator")
        self._note([".flac"])

    def _writes_tree(self, step: Step, archive: str, size: Amount, files: float, words: str) -> Amount:
        step.items.append(Item("tree", self.project.folder(self.dataset), size, files))
        step.inputs.append(f"{archive}: {human(size.likely)} of tree, from {words}")
        return size

    def _unread(self, step: Step, archive: ArchiveTable, paths: list[Path]) -> Amount:
        """Estimate an archive that was never extracted from its own list of members; return the bytes it unpacks to."""
        resampler = self.project.catalog.standard.resampler
        listing = list_archive(
            paths, archive.nested, archive.skip, self.table.channel, resampler, self.query.patience_s
        )
        staged = extract.staged(self.project, self.dataset, archive)  # by a run that did not end: written already
        if not listing.share:
            size = exact(sum(path.stat().st_size for path in paths)) * Amount(0.0 if staged else 1.0, 1.1, 3.0)
            self._guess(size, f"{archive.file}: assumed from its size")
            return self._writes_tree(step, archive.file, size, 0, "an assumption, 1.1 x its size")
        folder, scale = self.project.folder(self.dataset), listing.certainty * (1 / listing.share)
        trees = [folder, staged] if staged else [folder]
        absent = sum(size for name, size in listing.files if not any(lies(tree / name, size) for tree in trees))
        inner = about(listing.nested * 1.1, 1.4) if listing.nested else Amount()
        words = "its list of members" if listing.share == 1 else f"the first {listing.share:.0%} of it"
        self._writes_tree(step, archive.file, (exact(absent) + inner) * scale, len(listing.files), words)
        sounds, n_bytes = listing.audio, sum(size for _, size in listing.audio)
        if n_bytes:
            population = len(sounds) / listing.share
            if listing.probes.sounds:
                seconds = listing.probes.seconds_per_byte(population)
                standard = listing.probes.standard_per_byte(self.form, population)
            else:
                seconds, standard = assumed_rates(sounds[0][0], self.form)
            probed = f"{archive.file}: {count(population)} recordings, headers of {len(listing.probes.sounds):,}"
            self._add(exact(len(sounds)) * scale, exact(n_bytes) * scale, seconds, standard, probed)
            self._note(name for name, _ in sounds)
        if listing.nested:
            self._guess(inner * scale, f"{archive.file}: archives inside it, unseen")
        return exact(sum(size for _, size in listing.files)) * scale + inner * scale

    def _add(self, files: Amount, size: Amount, seconds: Amount, standard: Amount, words: str) -> None:
        self.new += Lot(files, size, size * seconds, size * standard)
        self.new_words.append(words)

    def _note(self, names: Iterable[str]) -> None:
        self.copied |= any(name.lower().endswith(f".{self.form}") for name in names)

    def _guess(self, size: Amount, words: str) -> None:
        expected = self._expected()
        known = exact(expected) if expected and self.new == Lot() else about(size.likely / FILE_BYTES, 4)
        seconds, standard = assumed_rates(next(iter(self.table.expect.files), ""), self.form)
        self._add(known, size, seconds, standard, f"{words}; no measurement yet: assumed {1 / seconds.likely:,.0f} B/s")
        self._note(self.table.expect.files or [f".{self.form}"])

    def _expected(self) -> int:
        """Return the published number of recordings, or 0."""
        return sum(count for pattern, count in self.table.expect.files.items() if holds_sound(pattern))

    def _add_members(self, path: Path) -> None:
        """Count the recordings in a list of extracted members, as far as the patience goes; none of a damaged one."""
        ends, found, read = time.monotonic() + self.query.patience_s, list[tuple[str, int]](), 0
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError), path.open("rb") as file:
            for line in file:
                read += len(line)
                row = orjson.loads(line)
                if "size" in row and holds_sound(row["path"]):
                    found.append((row["path"], row["size"]))
                if len(found) % 4096 == 0 and time.monotonic() > ends:
                    break
            share = read / max(1, path.stat().st_size)
            self._add_files(self.project.folder(self.dataset), found, share)

    def _add_tree(self, root: Path) -> None:
        """Count the recordings of a tree that nothing has listed, as far as the patience goes."""
        ends, found, share = time.monotonic() + self.query.patience_s, list[tuple[str, int]](), 1.0
        for number, entry in enumerate(watch.walk(root, scan.ignored(self.project, self.dataset))):
            with contextlib.suppress(OSError):
                if holds_sound(entry.name) and entry.is_file():
                    found.append((entry.path, entry.stat().st_size))
            if number % 4096 == 0 and time.monotonic() > ends:
                expected = self._expected()
                # where no count is published: at least as much again, or nothing, said as a range
                share = min(0.99, len(found) / expected) if expected else 0.5
                break
        self._add_files(root, found, share)

    def _add_files(self, folder: Path, found: list[tuple[str, int]], share: float) -> None:
        n_bytes = sum(size for _, size in found)
        if not n_bytes:
            return
        scale = exact(1 / share) * (exact(1.0) if share == 1.0 else about(1.0, 2.0 if share == 0.5 else 1.1))
        chosen = sampler().sample(found, min(ROWS_SAMPLED, len(found)))
        probes = self.probed([(folder / path, size) for path, size in chosen])
        population = len(found) / share if share < 1 or len(probes.sounds) < len(found) else len(probes.sounds)
        if probes.sounds:
            seconds = probes.seconds_per_byte(population)
            standard = probes.standard_per_byte(self.form, population)
        else:
            seconds, standard = assumed_rates(found[0][0], self.form)
        words = f"{count(population)} recordings, headers of {len(probes.sounds):,}"
        self._add(exact(len(found)) * scale, exact(n_bytes) * scale, seconds, standard, words)
        self._note(path for path, _ in found)

    def probed(self, chosen: Sequence[tuple[Path, float]]) -> Probes:
        """Read headers of recordings in random order, and compress excerpts of the first, while the patience lasts."""
        probes, started = Probes(), time.monotonic()
        channel, resampler = self.table.channel, self.project.catalog.standard.resampler
        for path, size in chosen:
            spent = time.monotonic() - started
            if spent > self.query.patience_s:
                break
            excerpt = self.form == "flac" and len(probes.flac_rates) < EXCERPTS
            excerpt = excerpt and spent < self.query.patience_s * EXCERPT_SHARE
            probes.add(path, size, channel, resampler, excerpt=excerpt)
        return probes

    def scan(self, step: Step) -> None:
        """Add what a scan writes, and the recordings that came since the last one."""
        receipt = receipt_of(self.project, Unit("scan", self.dataset), scan.Scanned)
        if step.state != "R":
            return
        if receipt is not None and self.new == Lot():
            self._add_changes()
        known = sum(sealed.files for sealed in self.listed.values())
        lists = sum(sealed.size for sealed in receipt.outputs.lists.values()) if receipt else 0
        size = exact(lists) + self.new.files * (LIST_ROW + WATCH_ROW) + exact(known * WATCH_ROW + RECEIPT_BYTES)
        files = max(1, len(self.listed)) + 2
        replaced = lists + known * WATCH_ROW
        step.items.append(Item("lists", self.project.cache / "shards", size, files, replaced, lists))
        seconds, words = pace(self.query, self.dataset, "scan")
        source = self.new.size + exact(sum(sealed.size_bytes for sealed in self.listed.values()))
        step.seconds = source * seconds
        step.inputs += [*self.new_words, f"{LIST_ROW + WATCH_ROW} bytes a recording", words]

    def _add_changes(self) -> None:
        """Count recordings that came into a tree since it was scanned; watched by folders, they are unseen."""
        snapshot, root = watch.load(self.project.watch_list(self.dataset)), self.project.root(self.dataset)
        if snapshot is None or not root.is_dir():
            return
        if snapshot.mode == "folders":
            self.new_words.append("files in changed folders are not counted")
            return
        changes = watch.compare(root, snapshot, scan.ignored(self.project, self.dataset))
        found, touched = list[tuple[str, int]](), 0
        for path in filter(holds_sound, (*changes.new, *changes.changed)):
            with contextlib.suppress(OSError):
                size, before = (root / path).stat().st_size, snapshot.entries.get(path)
                if before is not None and before[0] == size:
                    touched += size
                else:
                    found.append((path, size))
        self._add_files(root, found, 1.0)
        if touched:  # most of these were moved or copied; an edit that keeps the size is possible
            seconds, standard = assumed_rates(changes.changed[0], self.form)
            self._add(Amount(), Amount(0, 0, touched), seconds, standard, f"{len(changes.changed):,} files touched")
