"""Encoder features in immutable Zarr v3 packs keyed by audio hash, and an index over the packs of one encoder.

A pack is a group that plain `zarr.open_group` reads: `frames (total_frames, n_state)` float16 or float32, 50 a second;
`offsets (n+1,) int64`, recording i has the rows offsets[i]:offsets[i+1]; `audio_hash (n, 16) uint8`, the hash's bytes in
reading order. Nothing is compressed: chunks of 1,500 frames follow each other in shard files, so a reader can map them.
`seal.json`, written last, holds the size and XXH3-128 of every other file. A chunk that is not there reads as NaN.
"""

import contextlib
import errno
import json
import sqlite3
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from earmark.errors import AbsentError, EarmarkError, ModelError
from earmark.files import Scratch, disk_error, flush_folder, make_folder, publishing, remove, require_space
from earmark.hashing import hash_bytes, hash_file

if TYPE_CHECKING:  # numpy and zarr are loaded where they are used: doit's start-up asks pack_damage only
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

CHUNK_FRAMES = 1500  # frames in a chunk: 30 s
SHARD_BYTES = 128 << 20  # bytes of frames in a shard file, at most; also the writer's buffer
ITEM_BYTES = {"float16": 2, "float32": 4}
HASH_BYTES = 16
SEAL = "seal.json"
SEAL_VERSION = 1
INDEX_VERSION = 1
INDEX_CACHE_KIB = 64 << 10  # SQLite's page cache; the index of 10 million recordings is several times that
QUERY_HASHES = 500  # hashes in one query
CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class PackError(EarmarkError):
    """A feature pack, or the index over packs, is missing, damaged or in the way."""


@dataclass(frozen=True)
class Seal:
    """What a pack's seal.json says: its counts, and (size, XXH3-128) by file; `digest` is the hash of the seal."""

    n: int
    total_frames: int
    n_state: int
    files: dict[str, tuple[int, str]]
    digest: str


class PackWriter:
    """Writes one pack, `folder`/`name` (name ends in .zarr), whole or not at all: a context manager.

    `hashes` (32 hex digits each, no two alike) and `n_frames` (rows of each) are in the order in which rows will be
    appended; `attributes` is any JSON object. At most one shard of rows is buffered. Use it from one thread at a time.

    Raises PackError if the pack exists, ModelError for frames that `dtype` cannot hold, DiskFullError.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        hashes: Sequence[str],
        n_frames: Sequence[int],
        n_state: int,
        dtype: str,
        attributes: dict[str, Any],
        scratch: Scratch,
    ) -> None:
        assert name.endswith(".zarr") and "/" not in name and not name.startswith("."), name
        assert 0 < len(hashes) == len(n_frames) == len(set(hashes)) and min(n_frames) > 0 and n_state > 0
        self.path = folder / name
        self._hashes = list(hashes)
        self._edges = [0, *accumulate(n_frames)]
        self._total = self._edges[-1]
        self._shape = (self._total, n_state)
        self._dtype = dtype
        self._attributes = attributes
        self._scratch = scratch
        chunks = -(-self._total // CHUNK_FRAMES)
        chunk_bytes = CHUNK_FRAMES * n_state * ITEM_BYTES[dtype]
        self._shard_frames = CHUNK_FRAMES * max(1, min(SHARD_BYTES // chunk_bytes, chunks))
        self._needed = chunks * chunk_bytes + len(hashes) * (HASH_BYTES + 8)
        self._written = self._held = 0  # rows in shard files, rows in the buffer

    def __enter__(self) -> "PackWriter":
        import numpy as np

        if self.path.exists():
            raise PackError(f"{self.path}: there already, and a pack never changes. Move it away and run again.")
        require_space(self.path.parent, self._needed, self.path.name)
        self._folder = self._scratch.new(self.path)
        try:
            self._frames = self._create()
        except BaseException as error:
            remove(self._folder)
            raise self._told(error) from error
        self._buffer = np.empty((min(self._shard_frames, self._total), self._shape[1]), self._dtype)
        return self

    def _told(self, error: BaseException) -> BaseException:
        return disk_error(error, self.path, self._needed) if isinstance(error, OSError) else error

    def _create(self) -> Any:
        import numpy as np
        import zarr

        group = zarr.create_group(str(self._folder), zarr_format=3, attributes=self._attributes)
        octets = np.frombuffer(bytes.fromhex("".join(self._hashes)), np.uint8).reshape(-1, HASH_BYTES)
        for name, data in (("offsets", np.array(self._edges, np.int64)), ("audio_hash", octets)):
            group.create_array(name, data=data, chunks=data.shape, compressors=None, filters=None)
        return group.create_array(
            "frames",
            shape=self._shape,
            dtype=self._dtype,
            chunks=(CHUNK_FRAMES, self._shape[1]),
            shards=(self._shard_frames, self._shape[1]),
            compressors=None,
            filters=None,
            fill_value=float("nan"),
            config={"write_empty_chunks": True},
        )

    def append(self, frames: "NDArray[np.float32]") -> None:
        """Add rows, (any, n_state) float32, after those before.

        Raises ModelError, naming the recording, for a value that is not finite once it has the pack's dtype.
        """
        assert frames.ndim == 2 and frames.shape[1] == self._shape[1], f"rows of {self._shape[1]}, got {frames.shape}"
        assert self._written + self._held + len(frames) <= self._total, "more rows than announced"
        while len(frames):
            taken = frames[: len(self._buffer) - self._held]
            self._take(taken)
            frames = frames[len(taken) :]
            if self._held == len(self._buffer):
                self._write()

    def _take(self, rows: "NDArray[np.float32]") -> None:
        import numpy as np

        slot = self._buffer[self._held : self._held + len(rows)]
        with np.errstate(over="ignore"):  # an overflow is told below, with its recording
            slot[:] = rows
        good = np.isfinite(slot).all(axis=1)
        if not good.all():
            at = int(np.argmin(good))
            frame = self._written + self._held + at
            i = int(np.searchsorted(self._edges, frame, side="right")) - 1
            where = f"recording {self._hashes[i]}: frame {frame - self._edges[i]}"
            top = float(np.abs(rows[at]).max())
            if np.isfinite(top):
                most = float(np.finfo(self._dtype).max)
                raise ModelError(
                    f"{where}: does not fit in {self._dtype}: expected at most {most:,.0f}, got {top:,.0f}."
                    ' Set codec = "float32" for this encoder.'
                )
            raise ModelError(f"{where}: the encoder gave NaN or infinity. Check its weights and its precision.")
        self._held += len(rows)

    def _write(self) -> None:
        """Write the buffer as one whole shard (the last may be short), so that zarr never reads one back."""
        rows = self._buffer[: self._held]
        try:
            self._frames[self._written : self._written + len(rows)] = rows
        except OSError as error:
            raise self._told(error) from error
        self._written += len(rows)
        self._held = 0

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if error is None:
                assert self._written + self._held == self._total, f"{self._written + self._held} of {self._total} rows"
                if self._held:
                    self._write()
                with publishing(self.path, self._scratch, self._needed) as whole:
                    self._seal()
                    self._folder.replace(whole)
        finally:
            del self._buffer
            remove(self._folder)

    def _seal(self) -> None:
        import zarr

        with warnings.catch_warnings():
            # zarr warns that the specification does not know consolidated metadata yet; other readers pass over it.
            # With it, listing a group does not stumble over seal.json.
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(str(self._folder), zarr_format=3)
        files = {
            str(path.relative_to(self._folder)): {"size": path.stat().st_size, "xxh3": hash_file(path)}
            for path in sorted(self._folder.rglob("*"))
            if path.is_file()
        }
        head = {"version": SEAL_VERSION, "n": len(self._hashes), "total_frames": self._total}
        seal = head | {"n_state": self._shape[1], "dtype": self._dtype, "files": files}
        (self._folder / SEAL).write_text(json.dumps(seal, indent=1) + "\n", encoding="utf-8")
