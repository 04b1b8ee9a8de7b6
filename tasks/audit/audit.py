"""audit: the archives and corpora on this disk, how complete each is, what deleting archives would free. Read-only."""

import contextlib
import os
import time
from collections import Counter
from pathlib import Path

from earmark.catalog.tables import ArchiveTable
from earmark.disk import watch
from earmark.disk.junk import is_counted
from earmark.disk.receipts import Receipt
from earmark.errors import EarmarkError
from tasks.audit import deep, guesses, inventory
from tasks.audit.inventory import ArchiveAudit, CorpusAudit, Download, Report, State, Unclaimed
from tasks.engine import deletions
from tasks.engine.judge import judge, receipt_of
from tasks.engine.stage import Run, Verdict
from tasks.engine.units import Unit
from tasks.gc import orphans
from tasks.gc.gc import totals
from tasks.stages import archive_records, extract, scan

GROUPED = 3  # more unclaimed archives than this in one folder are one line


class _Auditor:
    """Looks at one dataset after the other and writes what it sees into `report`."""

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
        # what a walk leaves out: our own folders, and archives of the catalog, which are looked at one by one
        self.skip = own | {path for download in self.downloads.values() if download for path in download.paths}
        claims = Counter(path for download in self.downloads.values() if download for path in download.paths)
        self.shared = {path for path, n_claims in claims.items() if n_claims > 1}

    def walk(
        self, label: str, root: Path, patterns: tuple[str, ...] = (), *, below: bool, skip: set[str]
    ) -> inventory.Tally:
        """Walk a folder; what cannot be read and archives that no dataset claims go into the report."""
        with self.run.log.progress(f"audit {label}", 0) as bar:
            tally = inventory.walk(root, patterns, self.skip | skip, archives_below=below, on_files=bar.advance)
        self.report.unreadable += map(self._relative, tally.unreadable)
        self.report.unclaimed_archives += self._unclaimed(tally.archives)
        return tally

    def _relative(self, path: str) -> str:
        return self.project.relative(Path(path))

    def _unclaimed(self, archives: list[tuple[str, int]]) -> list[Unclaimed]:
        """Return archives that no dataset claims, with guesses; many in one folder as one entry."""
        by_folder: dict[str, list[tuple[str, int]]] = {}
        for path, size in sorted(archives):
            by_folder.setdefault(str(Path(path).parent), []).append((path, size))
        entries = []
        for folder, members in by_folder.items():
            if len(members) > GROUPED:
                size = sum(size for _, size in members)
                example = f"such as {Path(members[0][0]).name}"
                entries.append(Unclaimed(self._relative(folder), size, len(members), example))
                continue
            for path, size in members:
                guess = guesses.guess_archive(self.project.catalog, path, size)
                entries.append(Unclaimed(self._relative(path), size, 1, guess))
        return entries

    def corpus(self, dataset: str) -> CorpusAudit:
        """Audit one dataset: its archives by stat, its tree by its receipts, or by one walk.

        The tree comes first: whether an archive can be deleted depends on what was extracted from it.
        """
        project = self.project
        table, folder, root = project.dataset(dataset), project.folder(dataset), project.root(dataset)
        row = CorpusAudit(dataset, project.relative(folder))
        unit = Unit(extract.NAME, dataset)
        verdict, whole = judge(self.run, extract.RULE, unit), receipt_of(project, unit, extract.Extracted)
        current = whole if verdict.state == "U" else None
        if root.is_dir():
            self._measure(row, root, current)
        tree = row.n_files > 0
        downloads = {archive.file: self.downloads[dataset, archive.file] for archive in table.archives}
        names = _folders_in(root) | _folders_in(folder)
        for archive in table.archives:
            if (download := downloads[archive.file]) is not None:
                row.archives.append(self._archive(row, archive, download, verdict, tree, names))
            elif (gone := self._gone(dataset, archive)) is not None:
                row.archives.append(gone)
        sealed = current.outputs.members if current else {}
        verified = bool(table.archives) and all(archive.file in sealed for archive in table.archives)
        row.state = _state(row, verdict, tree, verified=verified)
        if row.state == "extracted, unverified" and table.archives and not any(downloads.values()):
            row.state = "archive gone"
        if not tree and not row.archives and folder.is_symlink() and not folder.exists():
            row.state, row.note = "absent volume", f"a link to {folder.readlink()}, which is not there"
        elif verdict.state == "A":
            row.note = verdict.reasons[0]
        away = len(table.archives) - len(row.archives)
        if away and row.archives:
            row.note = f"{away} of {len(table.archives)} archives are not here"
        if self.deep and current:
            deep.compare_members(self.run, row, table.archives)
        return row

    def _measure(self, row: CorpusAudit, root: Path, current: Receipt[extract.Extracted] | None) -> None:
        """Count a tree: from receipts where they are current and nothing changed since the last scan, else by a walk.

        A walk takes minutes for a million files on a network share; what scan watches is compared in seconds.
        """
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
        # the catalog need not publish counts: then the number of files after extraction is what there should be
        if tally.n_files < extracted and not row.incomplete:
            row.incomplete, row.n_missing = True, extracted - tally.n_files
            row.missing = [f"{row.n_missing:,} of {extracted:,} files that were there after extraction are gone"]
        if tally.unfinished:
            example = self._relative(tally.unfinished[0])
            row.n_unfinished = len(tally.unfinished)
            row.missing.append(f"{len(tally.unfinished):,} unfinished downloads in it (such as {example})")

    def _known(self, dataset: str, root: Path, current: Receipt[extract.Extracted]) -> tuple[int, int] | None:
        """Return files and bytes of a tree that has not changed since it was scanned; None where that is not known."""
        snapshot = watch.load(self.project.watch_list(dataset))
        with contextlib.suppress(OSError):
            if snapshot and not watch.compare(root, snapshot, scan.ignored(self.project, dataset)).words("x"):
                if snapshot.kind == "files":
                    names = (path.rpartition("/")[2] for path in snapshot.entries)
                    n_files = sum(map(is_counted, names))
                    return n_files, sum(stat[0] for stat in snapshot.entries.values())
                # only folders are watched: so sizes come from the lists of members
                parts = [archive_records.extraction_of(self.project, dataset, file) for file in current.outputs.members]
                size = sum(part.counts["member_bytes"] for part in parts if part)
                return self._extracted(dataset, root, current), size
        return None

    def _extracted(self, dataset: str, root: Path, current: Receipt[extract.Extracted]) -> int:
        """Return how many files extraction counted below the root, less archives, which may be below it too."""
        files = (archive_records.files_of(self.project, dataset, one) for one in self.project.dataset(dataset).archives)
        return current.counts["files"] - sum(path.is_relative_to(root) for paths in files for path in paths)

    def _archive(
        self, row: CorpusAudit, archive: ArchiveTable, download: Download, verdict: Verdict, tree: bool, names: set[str]
    ) -> ArchiveAudit:
        """Audit one archive that is on disk."""
        project, receipt = self.project, archive_records.extraction_of(self.project, row.dataset, archive.file)
        paths = archive_records.files_of(project, row.dataset, archive)
        verified = False
        with contextlib.suppress(OSError):  # a part of a split archive is missing
            verified = receipt is not None and tree and archive_records.is_as_read(project, paths, receipt.outputs)
        state = inventory.archive_state(
            archive,
            download,
            verified=verified,
            extracting=archive_records.staged(project, row.dataset, archive) is not None,
            tree=tree,
            incomplete=row.incomplete,
            folders=names,
        )
        published = sum(part.size or 0 for part in archive.downloads) or None
        entry = ArchiveAudit(archive.file, state, download.size, published, download.problem)
        if state == "extracting":
            entry.note = f"unfinished: `doit extract:{row.dataset}` goes on, if it is not running"
        if self.deep and not download.problem:
            deep.check_sums(self.run, entry, row.dataset, archive)
        # what a damaged download would free is not counted: it must be downloaded again, not cleaned up
        if entry.state not in ("partial download", "wrong size", "wrong content"):
            self._note_freed(
                entry, row, download, current=receipt if verified else None, extracted=verdict.state == "U"
            )
        return entry

    def _note_freed(
        self,
        entry: ArchiveAudit,
        row: CorpusAudit,
        download: Download,
        *,
        current: Receipt[archive_records.ArchiveRead] | None,
        extracted: bool,
    ) -> None:
        """Note what deleting an archive would free, or why nothing; `current`: its receipt, if of this very file."""
        if download.linked:
            entry.note = "; ".join(filter(None, [entry.note, "linked: deleting it frees nothing"]))
        elif self.shared & set(download.paths):
            entry.note = "; ".join(filter(None, [entry.note, "claimed by several datasets"]))
        elif current is not None and current.counts["skipped"]:
            entry.note = f"{current.counts['skipped']:,} members left out by `skip` are nowhere but in it"
        elif current is not None and extracted and not row.incomplete:
            entry.frees_now = download.size
        else:
            entry.frees_after_extract = download.size

    def _gone(self, dataset: str, archive: ArchiveTable) -> ArchiveAudit | None:
        """Return the entry of an archive that was extracted once and is no longer on disk; None for any other."""
        for record in deletions.deleted(self.project, dataset):
            if deletions.archive_of(record).file == archive.file:
                return ArchiveAudit(archive.file, "archive gone", note=f"deleted by cleanup on {deletions.day(record)}")
        if archive_records.extraction_of(self.project, dataset, archive.file) is not None:
            return ArchiveAudit(archive.file, "archive gone", note="it was extracted here")
        return None

    def rest(self, datasets: list[str], every: bool) -> None:
        """Look at datasets' folders outside their roots, and with `every` at folders that no dataset claims."""
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
            below = (
                str(folder) not in roots
            )  # else the folder is a tree itself: only the files directly in it are looked at
            inner = set() if below else {str(folder / name) for name in _folders_in(folder)}
            tally = self.walk(owners[0], folder, below=below, skip=(roots - {str(folder)}) | others | inner)
            if below and len(owners) == 1:
                rows[owners[0]].size += tally.size - sum(size for _, size in tally.archives)
        for folder in inventory.unclaimed_folders(project.data, folders) if every else ():
            if str(folder) not in self.skip:
                tally = self.walk(folder.name, folder, below=True, skip=set())
                guess = guesses.guess_folder({name: project.folder(name).name for name in rows}, folder.name)
                size = tally.size - sum(size for _, size in tally.archives)
                self.report.unclaimed_folders.append(Unclaimed(project.relative(folder), size, tally.n_files, guess))
        if every and project.data.is_dir():
            loose = self.skip | {str(project.data / name) for name in _folders_in(project.data)}
            self.walk("data", project.data, below=True, skip=loose)

    def total(self) -> None:
        """Add up the sizes; what two datasets share is counted once."""
        report, roots = self.report, {row.dataset: self.project.root(row.dataset) for row in self.report.corpora}
        trees = 0
        for number, row in enumerate(report.corpora):
            earlier = [roots[other.dataset] for other in report.corpora[:number]]
            later = [roots[other.dataset] for other in report.corpora[number + 1 :]]
            root = roots[row.dataset]
            if root not in earlier and not any(other in root.parents for other in earlier + later):
                trees += row.size
        entries = {
            self.project.folder(row.dataset) / entry.file: entry for row in report.corpora for entry in row.archives
        }
        report.totals = {
            "raw_audio": trees,
            "archives": sum(entry.size for entry in entries.values()),
            "unclaimed": sum(unclaimed.size for unclaimed in (*report.unclaimed_archives, *report.unclaimed_folders)),
            "frees_now": sum(entry.frees_now for entry in entries.values()),
            "frees_after_extract": sum(entry.frees_after_extract for entry in entries.values()),
        }


def audit_disk(run: Run, datasets: list[str], *, deep: bool) -> Report:
    """Audit datasets, or without names all of them and what no dataset claims. Takes no lock and changes nothing."""
    project = run.project
    started = time.monotonic()
    names = datasets or project.catalog.by_priority()
    for name in names:
        project.dataset(name)
    auditor = _Auditor(run, deep)
    for name in names:
        auditor.report.corpora.append(auditor.corpus(name))
    auditor.rest(names, every=not datasets)
    auditor.total()
    if not datasets:
        with contextlib.suppress(EarmarkError):  # another catalog of this cache cannot be read: `doit gc` says so
            auditor.report.orphans = totals(orphans.find(run, thorough=False))
    auditor.report.seconds = round(time.monotonic() - started, 3)
    return auditor.report


def _state(row: CorpusAudit, verdict: Verdict, tree: bool, *, verified: bool) -> State:
    """Return a dataset's state from its tree and its archives; the first that applies, the most surprising first."""
    states = [entry.state for entry in row.archives if entry.state != "archive gone"]
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
