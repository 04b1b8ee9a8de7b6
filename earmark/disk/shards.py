"""Shards: stable groups of a dataset's recordings, one JSONL list each.

A recording stays in its shard for as long as it exists, and new ones go to new shards: so an edit makes one shard out
of date, and an addition none of the old ones. Grouped by sorted path instead, one new file would shift all after it.
Row: {id, path, split?, labels, size, mtime_ns, ctime_ns, inode, source_hash}.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import orjson
import xxhash

from earmark.disk.files import Scratch, clear_disk_errors, make_folder, publishing, remove
from earmark.disk.hashing import hash_file
from earmark.disk.inside import file_of, without_channel
from earmark.errors import CorpusError
from earmark.rates import HOUR_S
from earmark.sounds import BYTES_PER_S, OTHER_BYTES_PER_S, suffix_of

STREAM_BYTES_PER_S = 160_000  # five AAC streams of 256 kbit/s, as Native Instruments Stems files have them
ROW_HOURS = 10 / HOUR_S  # of a table's row: a clip of 10 s, as the size of the table says nothing about one row
FLUSH_ROWS = 20_000  # rows in memory before they are appended to their files


class ShardRow(msgspec.Struct, frozen=True):
    """One recording of a shard, as scan saw it; `path` is relative to the dataset's root.

    Of a recording inside a larger file (`earmark.disk.inside`), stat and hash are those of the file.
    """

    id: str
    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    source_hash: str
    labels: dict[str, Any]
    split: str | None = None


class SealedShard(msgspec.Struct, frozen=True):
    """What a shard's list seals: `audio` names what must be decoded, `labels` what the manifest says; both XXH3-128."""

    audio: str
    labels: str
    files: int
    size_bytes: int


_decode = msgspec.json.Decoder(ShardRow).decode


def read_rows(path: Path) -> Iterator[ShardRow]:
    """Yield the rows of a shard list.

    Raises OSError, and ValueError for a line that is no row.
    """
    with path.open("rb") as file:
        for line in file:
            yield _decode(line)


def estimated_hours(path: str, size_bytes: int) -> float:
    """Guess a recording's length in hours from its file's size in bytes and its suffix."""
    suffix = suffix_of(without_channel(path))  # each channel of a file is as long as the file
    if suffix == ".row":
        return ROW_HOURS
    bytes_per_s = STREAM_BYTES_PER_S if suffix == ".stream" else BYTES_PER_S.get(suffix, OTHER_BYTES_PER_S)
    return size_bytes / bytes_per_s / HOUR_S


@dataclass
class ShardDigest:
    """What a shard's list seals: `audio` names what must be decoded, `labels` what the manifest says.

    `size_bytes` is that of its files; one that holds several recordings counts once, as long as they come together.
    """

    audio: xxhash.xxh3_128 = field(default_factory=xxhash.xxh3_128)
    labels: xxhash.xxh3_128 = field(default_factory=xxhash.xxh3_128)
    files: int = 0
    size_bytes: int = 0
    last: str = ""  # the file of the row before

    def add(self, row: ShardRow) -> None:
        """Count one row in. Stat fields stay out: touching a file changes nothing."""
        self.audio.update(f"{row.path}\0{row.source_hash}\n".encode())
        self.labels.update(orjson.dumps([row.id, row.path, row.split, row.labels], option=orjson.OPT_SORT_KEYS))
        self.files += 1
        file = file_of(row.path)
        self.size_bytes += row.size if file != self.last else 0
        self.last = file

    def sealed(self) -> SealedShard:
        """Return the digest of the rows so far."""
        return SealedShard(self.audio.hexdigest(), self.labels.hexdigest(), self.files, self.size_bytes)


class ShardWriter:
    """Writes a dataset's shard lists: known recordings to their old shards, new ones to new shards.

    `is_sealed` says whether an older list, or a table, is as a receipt seals it: such a one is believed first.
    Memory: 64-bit hashes of known paths and of ids (about 200 bytes a recording), never the rows themselves.
    """

    def __init__(
        self,
        folder: Path,
        tables: Path,
        scratch: Scratch,
        shard_files: int,
        shard_hours: float,
        is_sealed: Callable[[Path], bool] = lambda path: True,
    ) -> None:
        self._folder = folder
        self._scratch = scratch
        self._limits = (shard_files, shard_hours)
        self._work = make_folder(scratch.new(folder))
        self._known = _known_shards(folder, tables, is_sealed)
        self._ids: set[int] = set()
        self._rows: dict[str, list[bytes]] = {}
        self._n_waiting = 0
        self._digests: dict[str, ShardDigest] = {}
        self._last = max((int(shard) for shard in (*list_shards(folder), *list_shards(tables))), default=-1)
        self._new = ""
        self._new_hours = 0.0

    def add(self, row: ShardRow) -> None:
        """Put one recording into its shard.

        Raises CorpusError when its id was there before.
        """
        # 64 bits: two different ids among ten million share one in 3 of a million datasets, and the error names the id
        marker = xxhash.xxh3_64_intdigest(row.id.encode())
        if marker in self._ids:
            raise CorpusError(f"{row.path}: recording id {row.id!r} occurs twice in the dataset: ids must be unique.")
        self._ids.add(marker)
        known = self._known.get(xxhash.xxh3_64_intdigest(row.path.encode()))
        shard = f"{known:04d}" if known is not None else self._shard_for_new(row)
        self._digests.setdefault(shard, ShardDigest()).add(row)
        line = {name: getattr(row, name) for name in ShardRow.__struct_fields__}
        self._rows.setdefault(shard, []).append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        self._n_waiting += 1
        if self._n_waiting >= FLUSH_ROWS:
            self._flush()

    def publish(self) -> dict[str, SealedShard]:
        """Publish the lists that changed, delete those of shards that are no more; return what each seals."""
        self._flush()
        for shard in sorted(self._digests):
            written, target = self._work / f"{shard}.jsonl", self._folder / f"{shard}.jsonl"
            # a list that did not change keeps its stat, so that no task that depends on it looks at it again
            if not target.exists() or hash_file(written) != hash_file(target):
                with publishing(target, self._scratch, needed=written.stat().st_size) as temporary:
                    written.rename(temporary)
        for shard in list_shards(self._folder):
            if shard not in self._digests:
                remove(self._folder / f"{shard}.jsonl")
        return {shard: self._digests[shard].sealed() for shard in sorted(self._digests)}

    def close(self) -> None:
        """Delete what is unfinished."""
        remove(self._work)

    def _shard_for_new(self, row: ShardRow) -> str:
        files, hours = self._limits
        digest = self._digests.get(self._new)
        if not self._new or (digest is not None and digest.files >= files) or self._new_hours >= hours:
            self._last += 1
            self._new, self._new_hours = f"{self._last:04d}", 0.0
        self._new_hours += estimated_hours(row.path, row.size)
        return self._new

    def _flush(self) -> None:
        for shard, lines in self._rows.items():
            path = self._work / f"{shard}.jsonl"
            with clear_disk_errors(self._folder / path.name, sum(map(len, lines))), path.open("ab") as file:
                file.writelines(lines)
        self._rows.clear()
        self._n_waiting = 0


def list_shards(folder: Path) -> list[str]:
    """Return the numbers of the shards whose lists are in a folder, sorted."""
    return sorted(path.stem for path in folder.glob("*.jsonl") if path.stem.isdigit())


def _known_shards(folder: Path, tables: Path, is_sealed: Callable[[Path], bool]) -> dict[int, int]:
    """Return the shard of every recording listed so far, by the 64-bit hash of its path.

    Where a list is lost or not as it was sealed, the table of what was made of its shard says the same: nothing is
    regrouped.
    """
    known: dict[int, int] = {}
    for shard in sorted({*list_shards(folder), *list_shards(tables)}):
        places = (folder / f"{shard}.jsonl", tables / f"{shard}.jsonl")
        for path in sorted(places, key=is_sealed, reverse=True):  # the sort keeps the order of what is equal
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
                for line in path.read_bytes().splitlines():  # up to a torn line, what is readable counts
                    known.setdefault(xxhash.xxh3_64_intdigest(orjson.loads(line)["path"].encode()), int(shard))
                break
    return known
