"""What stands in a tree and is in neither recordings nor findings: counted by suffix, so that nothing is passed over
without a word. Label files are not counted, for a reader reads some and need not say so.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from earmark import corpora
from earmark.corpora import Finding, Recording
from earmark.disk import watch
from earmark.disk.inside import file_of
from earmark.disk.junk import is_junk
from earmark.disk.shards import ShardRow
from earmark.sounds import suffix_of

# Suffixes of labels, of notes about a corpus, and of what is read as one of them.
_LABELS = (
    ".arrow .bib .cfg .csv .ctm .eaf .gz .htm .html .info .ini .json .jsonl .lab .lst .m .md .md5 .mlf .parquet .phn"
    " .py .rst .rttm .scp .sh .sha256 .stm .tab .tex .textgrid .toml .trans .trn .tsv .txt .uem .wrd .xml .yaml .yml"
)
LABELS = frozenset(_LABELS.split())
SNIFFED = 1_000  # files without a suffix whose first bytes are looked at, at most
# How the files of sound begin that are found without a suffix.
MAGIC = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"NIST_1A", b"caff", b"riff", b"\x1aE\xdf\xa3")
NO_SUFFIX = "sound without a suffix"


class PassedOver:
    """Takes what a reader yields, and says in the end what of the tree it did not.

    Of a tree that is watched by its folders only numbers are kept, by suffix: two recordings of one file that do not
    follow each other are then taken for two files.
    """

    def __init__(self, root: Path, ignored: set[str], snapshot: watch.Snapshot) -> None:
        self._root, self._ignored, self._snapshot = root, ignored, snapshot
        self._used: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._last = ""

    def take(self, item: Recording | ShardRow | Finding) -> None:
        """Take a recording, or a finding with or without the number of a line."""
        if isinstance(item, Finding) and item.kind == corpora.LABEL_WITHOUT_AUDIO:
            return
        path = file_of(item.path)
        if path == self._last:
            return
        self._last = path
        if self._snapshot.mode == "files":
            self._used |= {path, path.rpartition(":")[0]} if isinstance(item, Finding) else {path}
        elif not isinstance(item, Finding) or ":" not in path:
            self._counts[suffix_of(path)] += 1

    def findings(self) -> Iterator[Finding]:
        """Yield a finding for each suffix of files that were passed over, with their number and an example."""
        counts: Counter[str] = Counter()
        examples: dict[str, str] = {}
        for path in self._paths():
            if (kind := self._kind(path, counts)) and path not in self._used:
                counts[kind] += 1
                examples[kind] = min(examples.get(kind, path), path)
        for kind, count in sorted((counts - self._counts).items()):
            detail = f"{count:,} x {kind}: in no recording and in no finding"
            yield Finding(corpora.PASSED_OVER, examples[kind], detail)

    def _paths(self) -> Iterator[str]:
        if self._snapshot.mode == "files":
            yield from self._snapshot.entries
            return
        start = len(str(self._root)) + 1
        yield from (entry.path[start:] for entry in watch.walk(self._root, self._ignored) if not entry.is_dir())

    def _kind(self, path: str, counts: Counter[str]) -> str:
        """Return the suffix under which a file is counted; an empty string for one that is not."""
        suffix = suffix_of(path)
        if suffix in LABELS or any(map(is_junk, path.split("/"))):
            return ""
        if suffix and suffix != path.rpartition("/")[2].lower():
            return suffix
        return NO_SUFFIX if counts[NO_SUFFIX] < SNIFFED and _begins_as_sound(self._root / path) else ""


def _begins_as_sound(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:  # counting is no reason to fail
        return False
    return head.startswith(MAGIC) or head[4:8] == b"ftyp"
