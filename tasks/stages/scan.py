"""scan: read a corpus's labels, hash its recordings, and group them in shards that stay as they are when files come."""

import contextlib
import itertools
import stat
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import orjson

from earmark import corpora
from earmark.catalog.project import Project
from earmark.corpora import SUSPICIOUS_TEXT, Finding, Recording
from earmark.disk import watch
from earmark.disk.entries import NOWHERE
from earmark.disk.files import publish, publishing
from earmark.disk.hashing import Known, StatKey, as_stored, hash_file, stat_key
from earmark.disk.inside import locate
from earmark.disk.plainly import cannot_read
from earmark.disk.receipts import Inputs, Receipt, SealedFile
from earmark.disk.shards import SealedShard, ShardRow, ShardWriter, read_rows
from earmark.errors import AbsentError, CorpusError
from earmark.json_bytes import json_bytes
from earmark.workers.prefetch import threaded_prefetch
from tasks.engine import deletions
from tasks.engine.judge import broken, receipt_of, require_receipt, seal_file
from tasks.engine.stage import Built, Rule, Run, Stage
from tasks.engine.units import Unit
from tasks.stages import archive_records, extract, presence
from tasks.stages.passed_over import PassedOver

NAME, VERSION = "scan", 1
READERS = 4  # threads that hash files: hashing is faster than one disk
LOOKAHEAD = 64  # recordings hashed ahead of the one that is written
MEMO_BATCH = 1_000  # hashes in a transaction of the memo: a commit for each would be slow
THE_CODE = "the reader's code"  # among the inputs, in the words of `doit why`
RECALL_ASKED = 20  # files of which the memo must know none before it is filled from the lists of the last scan
UNSTABLE = 3  # files that look changed and are not, from which a file system is suspected
EXAMPLES = 3  # paths of each kind of finding that an error names
# The findings that max_missing bounds; one of the last two may be the other's cause, see `_n_missing`.
MISSING = (corpora.LABEL_WITHOUT_AUDIO, corpora.AUDIO_WITHOUT_LABEL, corpora.BROKEN_LABEL)


class Scanned(msgspec.Struct, frozen=True):
    """What scan seals: a digest of each shard, the lists of their recordings, and the findings."""

    shards: dict[str, SealedShard]
    lists: dict[str, SealedFile]
    findings: SealedFile


def _inputs(run: Run, unit: Unit) -> Inputs:
    project = run.project
    table = project.dataset(unit.dataset)
    tree = require_receipt(project, Unit("extract", unit.dataset), extract.Extracted)
    return {
        "tree": {name: members.xxh3 for name, members in tree.outputs.members.items()},
        "root": table.root,
        "reader": {"corpus": table.corpus, "version": corpora.version(table.corpus), "options": table.options},
        THE_CODE: corpora.code(table.corpus),
        "language": table.language,
        "shards": {"files": table.shard_files, "hours": table.shard_hours},
        "max_missing": table.max_missing,
        **({"repair": table.repair} if table.repair else {}),
    }


def ignored(project: Project, dataset: str) -> set[str]:
    """Return names below a root that do not belong to the corpus: those of its archives."""
    archives = project.dataset(dataset).archives
    return {download.file.rsplit("/", 1)[-1] for archive in archives for download in archive.downloads}


def _intact(run: Run, unit: Unit, receipt: Receipt[Scanned]) -> list[str]:
    project = run.project
    problems = broken(project, [*receipt.outputs.lists.values(), receipt.outputs.findings])
    snapshot = watch.load(project.watch_list(unit.dataset))
    if snapshot is None:
        return [*problems, "what the last scan saw of the tree is not known"]
    presence.require_present(project, unit.dataset)
    # folders' times miss an edit inside a file; who names the scan of such a large corpus wants it whole
    if str(unit) in run.named and snapshot.mode == "folders":
        return [*problems, "named by the user: every file is looked at"]
    by_content = project.dataset(unit.dataset).watch == "content"
    if by_content != (snapshot.mode == "content"):
        return [*problems, "files are watched in another way than at the last scan"]
    changes = watch.compare(project.root(unit.dataset), snapshot, ignored(project, unit.dataset))
    words = changes.words(f"{snapshot.kind} under {project.relative(project.root(unit.dataset))}")
    return [*problems, words] if words else problems


def _build(run: Run, unit: Unit) -> Built[Scanned]:
    project, dataset = run.project, unit.dataset
    table = project.dataset(dataset)
    presence.require_present(project, dataset)
    root = project.root(dataset)
    # before the reader looks: a file that comes meanwhile is then new at the next scan, not lost
    snapshot = watch.take(root, table.watch, ignored(project, dataset))
    expected = len(snapshot.entries) if snapshot.mode != "folders" else 0
    folders = project.shard_list(dataset, "0").parent, project.table(dataset, "0").parent
    writer = ShardWriter(
        *folders, project.scratch, table.shard_files, table.shard_hours, lambda path: _is_sealed(project, dataset, path)
    )
    counts: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    texts, hasher = _Texts(), _Hasher(project, dataset)
    passed_over = PassedOver(root, ignored(project, dataset), snapshot)
    if not hasher.rereads:
        _recall(project, dataset)
    findings = project.findings(dataset)
    with contextlib.closing(writer), run.log.progress(str(unit), expected) as bar:
        with publishing(findings, project.scratch) as temporary, temporary.open("wb") as file:
            for item in _all_items(_hashed(hasher, texts), passed_over):
                if isinstance(item, ShardRow):
                    writer.add(item)
                    counts["recordings"] += 1
                    bar.advance(1)
                    continue
                counts[item.kind] += 1
                if counts[item.kind] <= EXAMPLES:
                    examples.setdefault(item.kind, []).append(_example(item))
                line = {"kind": item.kind, "path": item.path, "detail": item.detail}
                file.write(json_bytes(line, option=orjson.OPT_APPEND_NEWLINE))
        _check_counts(project, dataset, counts, examples)
        shards = writer.publish()
    _note_gone(run, unit, snapshot)
    publish(project.watch_list(dataset), watch.dump(snapshot), project.scratch)
    for kind in counts.keys() - {"recordings"}:
        run.log.note(
            f"{unit}: {counts[kind]:,} x {kind} (such as {examples[kind][0]}); all in {project.relative(findings)}"
        )
    for note in filter(None, (*texts.notes(dataset, table.repair is not None), hasher.note())):
        run.log.note(f"{unit}: {note}")
    lists = {shard: seal_file(project, project.shard_list(dataset, shard)) for shard in shards}
    written = sum(sealed.size for sealed in lists.values())
    return Built(Scanned(shards, lists, seal_file(project, findings)), dict(counts) | {"shards": len(shards)}, written)


def _all_items(items: Iterator[ShardRow | Finding], passed_over: PassedOver) -> Iterator[ShardRow | Finding]:
    """Yield what a reader found, and then what it passed over."""
    for item in items:
        passed_over.take(item)
        yield item
    yield from passed_over.findings()


def _is_sealed(project: Project, dataset: str, path: Path) -> bool:
    """Say whether a shard's list, or its table, is what the last receipt of scan or of the shard's audio seals."""
    if path.parent == project.shard_list(dataset, "0").parent:
        return list_intact(project, dataset, path.stem)
    receipt = receipt_of(project, Unit("standardize", dataset, path.stem), _Tabled)
    return receipt is not None and not broken(project, [receipt.outputs.table])


def _note_gone(run: Run, unit: Unit, snapshot: watch.Snapshot) -> None:
    """Note which files left the tree since the last scan: that may have been intended, or not."""
    project = run.project
    before = watch.load(project.watch_list(unit.dataset))
    gone = sorted(before.entries.keys() - snapshot.entries.keys()) if before and before.mode == snapshot.mode else []
    if gone:
        hint = ""
        if deleted := deletions.words(project, unit.dataset):
            hint = f"; if that was not intended: {deleted}"
        elif archive_records.members_here(project, unit.dataset):
            hint = f"; if that was not intended, `doit -a extract:{unit.dataset}` restores what is in its archives"
        run.log.note(f"{unit}: {len(gone):,} {snapshot.kind} gone since the last scan (such as {gone[0]}){hint}")


class _Tabled(msgspec.Struct, frozen=True):
    """Of what a standardized shard seals, what scan asks for: it comes before that stage, and does not import it."""

    table: SealedFile


class _Hashed(NamedTuple):
    """An item of a reader with the stat and the hash of its file; neither where it is a finding."""

    item: Recording | Finding
    key: StatKey | None = None
    source_hash: str = ""


class _Hasher:
    """Hashes the files of recordings that a reader yields; used by several threads at once."""

    def __init__(self, project: Project, dataset: str) -> None:
        self.project, self.dataset = project, dataset
        self.root = project.root(dataset)
        self.rereads = project.dataset(dataset).watch == "content"  # then no stat says that a file is what it was
        self._one_at_a_time = threading.Lock()
        self._tables: dict[tuple[Path, StatKey], str] = {}
        self._looked_at: Counter[str] = Counter()

    def __call__(self, item: Recording | Finding) -> _Hashed:
        """Return an item with its file's hash; a recording whose file is missing becomes a finding.

        Raises CorpusError for what cannot be read, AbsentError when the whole root has vanished.
        """
        if isinstance(item, Finding):
            return _Hashed(item)
        place = locate(self.root / item.path)
        try:
            status = place.file.stat()
            if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
                name = self.project.relative(place.file)
                raise CorpusError(f"{name}: neither a file nor a link to one. Take it away.")
            key = stat_key(status)
            return _Hashed(item, key, self._hash_of(key, place.file, shared=place.file != self.root / item.path))
        except OSError as error:
            if error.errno not in NOWHERE:
                name = self.project.relative(place.file)
                raise CorpusError(f"{cannot_read(error, name)}.") from error
            if not self.root.is_dir():
                where = self.project.relative(self.root)
                raise AbsentError(f"{where}: the root of {self.dataset} vanished: not mounted?") from None
            return _Hashed(Finding(corpora.LABEL_WITHOUT_AUDIO, item.path, f"no such file (recording {item.id})"))

    def _hash_of(self, key: StatKey, path: Path, shared: bool) -> str:
        """Return a file's hash; of one that is `shared` by recordings, as rows or channels, one thread reads it."""
        if not shared:
            return self._known_or_read(key, path)
        with self._one_at_a_time:
            if (path, key) not in self._tables:
                self._tables[path, key] = self._known_or_read(key, path)
            return self._tables[path, key]

    def _known_or_read(self, key: StatKey, path: Path) -> str:
        before = None if self.rereads else self.project.memo.last(path)
        if before is not None and before[0] == as_stored(key):
            self._looked_at["known"] += 1
            return before[1]
        xxh3 = hash_file(path)
        _, inode, size, mtime_ns, ctime_ns = stat_key(path.stat())
        if before is not None:
            self._looked_at["same" if xxh3 == before[1] else "changed"] += 1
        # while it was read: an inode number or ctime that comes and goes, and no write, which would set mtime, too
        elif (size, mtime_ns) == key[2:4] and (inode, ctime_ns) != (key[1], key[4]):
            self._looked_at["same"] += 1
        return xxh3

    def note(self) -> str:
        """Say that stats seem to say nothing here; "" where they do."""
        looked_at = self._looked_at
        if self.rereads or looked_at["same"] < UNSTABLE or looked_at["changed"] or looked_at["known"]:
            return ""
        return (
            f"{looked_at['same']:,} files look changed by their times or inode numbers, and none of them is. After a"
            " copy that is so once; on a file system where it is so at each run,"
            f' `watch = "content"` in [datasets.{self.dataset}] helps.'
        )


def _recall(project: Project, dataset: str) -> None:
    """Take hashes over from the sealed lists of the last scan, where the memo was lost or is an earlier version's."""
    device = project.root(dataset).stat().st_dev
    for number, shard in enumerate(known_shards(project, dataset)):
        if not list_intact(project, dataset, shard):
            continue
        known: dict[Path, tuple[StatKey, str]] = {}
        for row in read_rows(project.shard_list(dataset, shard)):
            key = (device, row.inode, row.size, row.mtime_ns, row.ctime_ns)
            known[locate(project.root(dataset) / row.path).file] = key, row.source_hash
        if number == 0 and any(map(project.memo.last, itertools.islice(known, RECALL_ASKED))):
            return
        project.memo.put((path, *entry) for path, entry in known.items())


def _hashed(hasher: _Hasher, texts: "_Texts") -> Iterator[ShardRow | Finding]:
    """Yield what the reader finds, recordings with stat and source hash; files seen before are not read again.

    What is suspicious in texts, or was repaired, is counted in `texts`.
    """
    project, dataset = hasher.project, hasher.dataset
    table = project.dataset(dataset)
    options = corpora.ReaderOptions(language=table.language, options=table.options)
    items = corpora.read(table.corpus, project.root(dataset), options, repair=table.repair is not None)
    fresh: list[Known] = []
    for item, key, source_hash in threaded_prefetch(hasher, items, READERS, LOOKAHEAD):
        if key is None or isinstance(item, Finding):
            assert isinstance(item, Finding)
            yield item
            continue
        fresh.append((locate(hasher.root / item.path).file, key, source_hash))
        if len(fresh) >= MEMO_BATCH:
            project.memo.put(fresh)
            fresh.clear()
        _, inode, size, mtime_ns, ctime_ns = key
        labels = dict(item.labels)
        texts.count(item)
        yield ShardRow(item.id, item.path, size, mtime_ns, ctime_ns, inode, source_hash, labels, item.split)
    project.memo.put(fresh)


class _Texts:
    """Counts what is suspicious in a dataset's texts, and what was repaired in them, for the notes of a scan."""

    def __init__(self) -> None:
        self._suspicious: Counter[str] = Counter()
        self._repaired: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def count(self, item: Recording) -> None:
        """Count one recording in."""
        for defect in item.labels.get("defects", ()) if "defects" in item.labels else ():  # type: ignore[union-attr]
            if isinstance(defect, str) and defect.startswith(SUSPICIOUS_TEXT):
                self._suspicious[defect] += 1
                self._examples.setdefault(defect, item.path)
        for what in item.repaired:
            self._repaired[what] += 1
            self._examples.setdefault(what, item.path)

    def notes(self, dataset: str, repair: bool) -> Iterator[str]:
        """Yield a line for each defect, and for each thing that was repaired."""
        hint = "" if repair else f'; repair = "certain" in [datasets.{dataset}] restores what can be'
        for defect, count in self._suspicious.items():
            yield f"{count:,} x {defect} (such as {self._examples[defect]}): a defect, see keep_defects{hint}"
        for what, count in self._repaired.items():
            yield f"{count:,} x repaired: {what} (such as {self._examples[what]})"


def _example(item: Finding) -> str:
    """Return a finding as an example of its kind; of some kinds also what is in it."""
    return f"{item.path}: {item.detail}" if item.kind in {corpora.BROKEN_LABEL, corpora.PASSED_OVER} else item.path


def _n_missing(counts: Counter[str]) -> int:
    """Return how many recordings the findings of a scan stand for.

    A broken row leaves its audio without a label where readers go by the files, and is all that is left of it where
    they go by the rows: counted as two it would halve what max_missing allows.
    """
    of_one = max(counts[corpora.AUDIO_WITHOUT_LABEL], counts[corpora.BROKEN_LABEL])
    return counts[corpora.LABEL_WITHOUT_AUDIO] + of_one


def _check_counts(project: Project, dataset: str, counts: Counter[str], examples: dict[str, list[str]]) -> None:
    """Refuse an empty corpus, and one in which more is missing than the catalog allows."""
    if not counts["recordings"]:
        kinds = "; ".join(f"{count:,} x {kind}, such as {examples[kind][0]}" for kind, count in counts.items() if count)
        findings = project.relative(project.findings(dataset))
        raise CorpusError(
            f"{dataset}: no recordings under {project.relative(project.root(dataset))}: expected the layout of"
            f' "{project.dataset(dataset).corpus}", got {kinds or "nothing of it"}.'
            f" {f'{findings} says why of each. ' if kinds else ''}Check root and corpus in {project.path.name}."
        )
    missing = _n_missing(counts)
    allowed = project.dataset(dataset).max_missing
    if missing > allowed * (counts["recordings"] + missing):
        words = "; ".join(f"{counts[kind]:,} x {kind}: {', '.join(examples[kind])}" for kind in MISSING if counts[kind])
        raise CorpusError(
            f"{dataset}: {missing:,} of {counts['recordings'] + missing:,} do not fit, max_missing allows {allowed:.2%}"
            f" ({words}). All are listed in {project.relative(project.findings(dataset))}; mend the tree, or raise"
            f" max_missing in [datasets.{dataset}]. {deletions.words(project, dataset)}".rstrip()
        )


def shards_of(project: Project, dataset: str) -> dict[str, SealedShard]:
    """Return a dataset's shards by name, as scan sealed them.

    Raises UpstreamError when it has not run.
    """
    return require_receipt(project, Unit(NAME, dataset), Scanned).outputs.shards


def known_shards(project: Project, dataset: str) -> dict[str, SealedShard]:
    """Return a dataset's shards by name, as scan sealed them; none before it has run."""
    receipt = receipt_of(project, Unit(NAME, dataset), Scanned)
    return receipt.outputs.shards if receipt else {}


def list_intact(project: Project, dataset: str, shard: str) -> bool:
    """Say whether a shard's list is what scan sealed."""
    receipt = receipt_of(project, Unit(NAME, dataset), Scanned)
    sealed = receipt.outputs.lists.get(shard) if receipt else None
    return sealed is not None and not broken(project, [sealed])


def shard_range(shards: Collection[str]) -> str:
    """Return in words which shards there are."""
    names = sorted(shards)
    return f"shards {names[0]} to {names[-1]}" if len(names) > 1 else f"shard {names[0]} only" if names else "no shards"


def files_after(project: Project, unit: Unit) -> int:
    """Count the recordings of later shards that this stage has not built yet, for the estimate of the time left."""
    shards = shards_of(project, unit.dataset)
    later = (shard for shard in shards if shard > unit.part)
    return sum(shards[shard].files for shard in later if not project.receipt(unit.stage, unit.dataset, shard).exists())


RULE = Rule(NAME, VERSION, Scanned, _inputs, _intact, _build, watches=True)
STAGE = Stage(NAME, "read labels of {}, group in shards", RULE, follows=("extract",), shards=shards_of)
