"""audit: every archive and corpus on this disk, how whole each is, and what deleting archives would free. Read-only."""

import contextlib
import os
import time
from collections import Counter
from pathlib import Path

from earmark.archives import proof, unpack
from earmark.catalog.tables import ArchiveTable
from earmark.disk import watch
from earmark.disk.junk import is_counted
from earmark.disk.receipts import Receipt
from earmark.errors import EarmarkError
from tasks.audit import inventory
from tasks.audit.inventory import ArchiveFound, CorpusFound, Download, Report, State, Unclaimed
from tasks.engine import deletions
from tasks.engine.judge import judge, receipt_of
from tasks.engine.stage import Run, Verdict
from tasks.engine.units import Unit
from tasks.stages import extract, scan

GROUPED = 3  # more unclaimed archives than this in one folder are one line


class _Audit:
    """One audit under way."""

    def __init__(self, run: Run, deep: bool) -> None:
        self.run, self.project, self.deep = run, run.project, deep
        project = run.project
        self.report = Report(project.relative(project.data))
        self.downloads = {
            (name, archive.file): inventory.find_download(project.folder(name), archive)
            for name, table in project.catalog.datasets.items()
            for archive in table.archives
        }
        own = {str(project.standard), str(project.manifests), str(project.cache)}
        self.skip = own | {path for found in self.downloads.values() if found for path in found.paths}
        claims = Counter(path for found in self.downloads.values() if found for path in found.paths)
        self.shared = {path for path, n_claims in claims.items() if n_claims > 1}

    def walk(
        self, label: str, root: Path, patterns: tuple[str, ...] = (), *, below: bool, skip: set[str]
    ) -> inventory.Tally:
        """Walk a folder; what cannot be read and what nobody claims goes into the report."""
        with self.run.log.progress(f"audit {label}", 0) as bar:
            tally = inventory.walk(root, patterns, self.skip | skip, archives_below=below, on_files=bar.advance)
        self.report.unreadable += map(self._relative, tally.unreadable)
        self.report.unclaimed_archives += self._unclaimed(tally.archives)
        return tally

    def _relative(self, path: str) -> str:
        return self.project.relative(Path(path))

    def _unclaimed(self, found: list[tuple[str, int]]) -> list[Unclaimed]:
        """Return archives that nobody claims, with guesses; many in one folder as one."""
        by_folder: dict[str, list[tuple[str, int]]] = {}
        for path, size in sorted(found):
            by_folder.setdefault(str(Path(path).parent), []).append((path, size))
        said = []
        for folder, members in by_folder.items():
            if len(members) > GROUPED:
                size = sum(size for _, size in members)
                example = f"such as {Path(members[0][0]).name}"
                said.append(Unclaimed(self._relative(folder), size, len(members), example))
                continue
            for path, size in members:
                guess = inventory.guess_archive(self.project.catalog, path, size)
                said.append(Unclaimed(self._relative(path), size, 1, guess))
        return said

    def corpus(self, dataset: str) -> CorpusFound:
        """Audit one dataset: its archives by stat, its tree by its receipts, or by one walk."""
        project = self.project
        table, folder, root = project.dataset(dataset), project.folder(dataset), project.root(dataset)
        row = CorpusFound(dataset, project.relative(folder))
        unit = Unit(extract.NAME, dataset)
        verdict, whole = judge(self.run, extract.RULE, unit), receipt_of(project, unit, extract.Extracted)
        current = whole if verdict.state == "U" else None
        if root.is_dir():
            self._measure(row, root, current)
        tree = row.n_files > 0
        found = {archive.file: self.downloads[dataset, archive.file] for archive in table.archives}
        names = _folders_in(root) | _folders_in(folder)
        for archive in table.archives:
            if (download := found[archive.file]) is not None:
                row.archives.append(self._archive(row, archive, download, verdict, tree, names))
            elif (gone := self._gone(dataset, archive)) is not None:
                row.archives.append(gone)
        sealed = current.outputs.members if current else {}
        verified = bool(table.archives) and all(archive.file in sealed for archive in table.archives)
        row.state = _state(row, verdict, tree, verified=verified)
        if row.state == "extracted, unverified" and table.archives and not any(found.values()):
            row.state = "archive gone"
        if not tree and not row.archives and folder.is_symlink() and not folder.exists():
            row.state, row.note = "absent volume", f"a link to {folder.readlink()}, which is not there"
        elif verdict.state == "A":
            row.note = verdict.reasons[0]
        away = len(table.archives) - len(row.archives)
        if away and row.archives:
            row.note = f"{away} of {len(table.archives)} archives are not here"
        if self.deep and current:
            self._compare_members(row, table.archives)
        return row

    def _measure(self, row: CorpusFound, root: Path, current: Receipt[extract.Extracted] | None) -> None:
        """Count a tree: from receipts where they are current and the watch list sees no change, else by a walk."""
        dataset, expect = row.dataset, self.project.dataset(row.dataset).expect
        if current and (known := self._known(dataset, root, current)) is not None:
            row.n_files, row.size = known
            return
        tally = self.walk(dataset, root, tuple(expect.files), below=False, skip=set())
        row.n_files, row.size, row.walked = tally.n_files, tally.size, True
        if tally.n_files:
            row.missing, row.n_missing = (
                inventory.differences(root, tally, expect),
                inventory.count_missing(tally, expect),
            )
            row.incomplete = bool(row.n_missing or inventory.missing_folders(root, expect))
        extracted = self._extracted(dataset, root, current) if current else 0
        if tally.n_files < extracted and not row.incomplete:
            row.incomplete, row.n_missing = True, extracted - tally.n_files
            row.missing = [f"{row.n_missing:,} of {extracted:,} files that were there after extraction are gone"]
        if tally.unfinished:
            example = self._relative(tally.unfinished[0])
            row.n_unfinished = len(tally.unfinished)
            row.missing.append(f"{len(tally.unfinished):,} unfinished downloads in it (such as {example})")

    def _known(self, dataset: str, root: Path, current: Receipt[extract.Extracted]) -> tuple[int, int] | None:
        """Return files and bytes of a tree that is as scan saw it; None where that is not known."""
        snapshot = watch.load(self.project.watch_list(dataset))
        with contextlib.suppress(OSError):
            if snapshot and not watch.compare(root, snapshot, scan.ignored(self.project, dataset)).words("x"):
                if snapshot.mode == "files":
                    names = (path.rpartition("/")[2] for path in snapshot.entries)
                    n_files = sum(map(is_counted, names))
                    return n_files, sum(stat[0] for stat in snapshot.entries.values())
                parts = [extract.extracted(self.project, dataset, file) for file in current.outputs.members]
                size = sum(part.counts["member_bytes"] for part in parts if part)
                return self._extracted(dataset, root, current), size
        return None

    def _extracted(self, dataset: str, root: Path, current: Receipt[extract.Extracted]) -> int:
        """Return how many files extraction found below the root, less the archives that may have lain there."""
        files = (extract.archive_files(self.project, dataset, one) for one in self.project.dataset(dataset).archives)
        return current.counts["files"] - sum(path.is_relative_to(root) for paths in files for path in paths)

    def _archive(
        self, row: CorpusFound, archive: ArchiveTable, download: Download, verdict: Verdict, tree: bool, names: set[str]
    ) -> ArchiveFound:
        """Audit one archive that is on disk."""
        project, receipt = self.project, extract.extracted(self.project, row.dataset, archive.file)
        paths = extract.archive_files(project, row.dataset, archive)
        verified = False
        with contextlib.suppress(OSError):  # a part is missing
            verified = receipt is not None and tree and extract.is_as_read(project, paths, receipt.outputs)
        state = inventory.archive_state(
            archive,
            download,
            verified=verified,
            extracting=extract.staged(project, row.dataset, archive) is not None,
            tree=tree,
            incomplete=row.incomplete,
            folders=names,
        )
        published = sum(wanted.size or 0 for wanted in archive.downloads) or None
        found = ArchiveFound(archive.file, state, download.size, published, download.problem)
        if state == "extracting":
            found.note = f"unfinished: `doit extract:{row.dataset}` goes on, if it is not running"
        if self.deep and not download.problem:
            self._check_sums(found, row.dataset, archive)
        if found.state in ("partial download", "wrong size", "wrong content"):
            return found
        if download.linked:
            found.note = "; ".join(filter(None, [found.note, "linked: deleting it frees nothing"]))
        elif self.shared & set(download.paths):
            found.note = "; ".join(filter(None, [found.note, "claimed by several datasets"]))
        elif receipt is not None and verified and receipt.counts["skipped"]:
            found.note = f"{receipt.counts['skipped']:,} members left out by `skip` are nowhere but in it"
        elif verified and verdict.state == "U" and not row.incomplete:
            found.frees_now = download.size
        else:
            found.frees_after_extract = download.size
        return found

    def _check_sums(self, found: ArchiveFound, dataset: str, archive: ArchiveTable) -> None:
        """Read an archive and compare it with its published sums."""
        source = extract.archive_source(self.project, dataset, archive)
        if not any(file.sums for file in source.files):
            found.note = "no published sums to compare with"
            return
        raw = unpack.HashingReader(source.files)
        with self.run.log.progress(f"audit {dataset} {archive.file}", found.size, unit="bytes") as bar:
            try:
                for block in raw.blocks():
                    bar.advance(len(block))
                raw.checked_sums()
                found.note = "content as published"
            except EarmarkError as error:
                found.state, found.note = "wrong content", str(error)

    def _gone(self, dataset: str, archive: ArchiveTable) -> ArchiveFound | None:
        """Return an archive that is not on disk, but was read once."""
        for tombstone in deletions.deleted(self.project, dataset):
            if deletions.archive_of(tombstone).file == archive.file:
                return ArchiveFound(
                    archive.file, "archive gone", note=f"deleted by cleanup on {deletions.day(tombstone)}"
                )
        if extract.extracted(self.project, dataset, archive.file) is not None:
            return ArchiveFound(archive.file, "archive gone", note="it was extracted here")
        return None

    def _compare_members(self, row: CorpusFound, tables: tuple[ArchiveTable, ...]) -> None:
        """Compare the lists of members that receipts seal with the tree; what was written to since is read again."""
        for archive in tables:
            receipt = extract.extracted(self.project, row.dataset, archive.file)
            if receipt is None:
                continue
            members, folder = self.project.home / receipt.outputs.members.path, self.project.folder(row.dataset)
            with self.run.log.progress(
                f"audit {row.dataset} members", receipt.counts["member_bytes"], unit="bytes"
            ) as bar:
                memo = self.project.memo
                found = list(proof.faults(members, folder, reading="changed", memo=memo, on_bytes=bar.advance))
            if found:
                what = f"{len(found):,} of {receipt.counts['members']:,} members of {archive.file} are not as extracted"
                row.missing.append(f"{what} ({found[0]})")
                row.state, row.incomplete = "extracted in part", True
        for each in row.archives if row.incomplete else ():
            each.frees_after_extract, each.frees_now = each.frees_after_extract + each.frees_now, 0

    def rest(self, datasets: list[str], every: bool) -> None:
        """Look at what lies in datasets' folders beside their roots, and with `every` at what no dataset claims."""
        project = self.project
        roots = {str(project.root(name)) for name in project.catalog.datasets}
        folders = {project.folder(name) for name in project.catalog.datasets}
        rows = {row.dataset: row for row in self.report.corpora}
        for folder in sorted({project.folder(name) for name in datasets}):
            owners = [name for name in project.catalog.datasets if project.folder(name) == folder]
            walked = any(project.root(name) == folder and rows[name].walked for name in owners if name in rows)
            if not folder.is_dir() or walked:
                continue
            others = {str(other) for other in folders if other != folder}
            below = str(folder) not in roots  # else the folder is a tree itself: its own files are looked at, no more
            inner = set() if below else {str(folder / name) for name in _folders_in(folder)}
            tally = self.walk(owners[0], folder, below=below, skip=(roots - {str(folder)}) | others | inner)
            if below and len(owners) == 1:
                rows[owners[0]].size += tally.size - sum(size for _, size in tally.archives)
        for folder in inventory.unclaimed_folders(project.data, folders) if every else ():
            if str(folder) not in self.skip:
                tally = self.walk(folder.name, folder, below=True, skip=set())
                guess = inventory.guess_folder({name: project.folder(name).name for name in rows}, folder.name)
                size = tally.size - sum(size for _, size in tally.archives)
                self.report.unclaimed_folders.append(Unclaimed(project.relative(folder), size, tally.n_files, guess))
        if every and project.data.is_dir():
            loose = self.skip | {str(project.data / name) for name in _folders_in(project.data)}
            self.walk("data", project.data, below=True, skip=loose)

    def total(self) -> None:
        """Add up, what two datasets share once."""
        report, roots = self.report, {row.dataset: self.project.root(row.dataset) for row in self.report.corpora}
        trees = 0
        for at, row in enumerate(report.corpora):
            earlier = [roots[other.dataset] for other in report.corpora[:at]]
            later = [roots[other.dataset] for other in report.corpora[at + 1 :]]
            root = roots[row.dataset]
            if root not in earlier and not any(other in root.parents for other in earlier + later):
                trees += row.size
        once = {
            self.project.folder(row.dataset) / found.file: found for row in report.corpora for found in row.archives
        }
        report.totals = {
            "raw_audio": trees,
            "archives": sum(found.size for found in once.values()),
            "unclaimed": sum(found.size for found in (*report.unclaimed_archives, *report.unclaimed_folders)),
            "frees_now": sum(found.frees_now for found in once.values()),
            "frees_after_extract": sum(found.frees_after_extract for found in once.values()),
        }


def look(run: Run, datasets: list[str], *, deep: bool) -> Report:
    """Audit datasets, or with none named all of them and what nobody claims. Takes no lock and changes nothing."""
    project = run.project
    started = time.monotonic()
    names = datasets or project.catalog.by_priority()
    for name in names:
        project.dataset(name)
    under_way = _Audit(run, deep)
    for name in names:
        under_way.report.corpora.append(under_way.corpus(name))
    under_way.rest(names, every=not datasets)
    under_way.total()
    under_way.report.seconds = round(time.monotonic() - started, 3)
    return under_way.report


def _state(row: CorpusFound, verdict: Verdict, tree: bool, *, verified: bool) -> State:
    """Judge a dataset by its tree and its archives."""
    states = [found.state for found in row.archives if found.state != "archive gone"]
    if verdict.state == "A":
        return "absent volume"
    if "extracting" in states:
        return "extracting"
    if not tree and not states:
        return "nothing there"
    if not tree:
        return states[0] if len(set(states)) == 1 else "archive only"
    if row.n_unfinished and not states:
        return "partial download"
    if row.incomplete:
        return "extracted in part"
    return "extracted and verified" if verified else "extracted, unverified"


def _folders_in(folder: Path) -> set[str]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
    return set()
