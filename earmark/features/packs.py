"""Encoder features in immutable Zarr v3 packs keyed by audio hash.

A pack is a group that plain `zarr.open_group` reads: `frames (total_frames, n_state)` float16 or float32;
`offsets (n+1,) int64`: recording i has rows offsets[i]:offsets[i+1]; `audio_hash (n, 16) uint8`: its bytes in reading
order. Nothing is compressed: chunks of 30 s follow each other in shard files, so a reader can map them.
`seal.json`, written last, has the size and XXH3-128 of every other file. A chunk that is not there reads as NaN, where
zarr's usual 0 would be a frame like any other.
"""

import itertools
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeAlias

from earmark.disk.faults import require_content
from earmark.disk.files import Scratch, clear_disk_errors, publishing, remove, require_space
from earmark.disk.hashing import HashMemo, hash_bytes, hash_file
from earmark.errors import EarmarkError, ModelError
from earmark.rows import JSON

if TYPE_CHECKING:  # numpy and zarr are loaded where they are used: doit's start-up asks pack_damage only
    import numpy as np
    from numpy.typing import NDArray

    from earmark.encoders import Frames

    Features: TypeAlias = NDArray[np.float16 | np.float32]  # (n_frames, n_state)

    class FrameArray(Protocol):
        """The array `frames` of a pack, as zarr opens it for writing."""

        def __setitem__(self, rows: slice, frames: Features, /) -> None:
            """Write some rows."""


CHUNK_S = 30  # seconds of frames in a chunk: what most recordings of speech fit in
SHARD_BYTES = 128 << 20  # bytes of frames in a shard file, at most; also the writer's buffer
ITEM_BYTES = {"float16": 2, "float32": 4}
HASH_BYTES = 16
SEAL = "seal.json"
SEAL_VERSION = 1


class PackError(EarmarkError):
    """A feature pack, or the index over packs, is missing, damaged or in the way."""


def chunk_frames_of(frames: "Frames") -> int:
    """Return how many frames of an encoder are in a chunk of a pack."""
    return round(CHUNK_S * frames.per_s)


@dataclass(frozen=True)
class Seal:
    """The content of a pack's seal.json: its counts, and (size, XXH3-128) by file; `digest` is the hash of the seal."""

    n: int
    total_frames: int
    n_state: int
    files: dict[str, tuple[int, str]]
    digest: str


class PackWriter:
    """Writes one pack, `folder`/`name` (name ends in .zarr), whole or not at all: a context manager.

    `hashes` (32 hex digits each, no two alike) and `n_frames` (rows of each) are in the order in which rows will be
    appended; `attributes` is any JSON object; `chunk_frames` is what `chunk_frames_of` gives. At most one shard of rows
    is buffered. Use it from one thread at a time.

    Raises PackError if the pack exists, ModelError for frames too large for `dtype`, DiskFullError.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        hashes: Sequence[str],
        n_frames: Sequence[int],
        n_state: int,
        dtype: str,
        attributes: Mapping[str, JSON],
        scratch: Scratch,
        chunk_frames: int,
    ) -> None:
        assert name.endswith(".zarr") and "/" not in name and not name.startswith("."), name
        assert 0 < len(hashes) == len(n_frames) == len(set(hashes)) and min(n_frames) > 0 and n_state > 0
        self.path = folder / name
        self._hashes = list(hashes)
        self._edges = [0, *itertools.accumulate(n_frames)]
        self._total = self._edges[-1]
        self._shape = (self._total, n_state)
        self._dtype = dtype
        self._attributes = attributes
        self._scratch = scratch
        self._chunk_frames = chunk_frames
        chunks = -(-self._total // chunk_frames)
        chunk_bytes = chunk_frames * n_state * ITEM_BYTES[dtype]
        self._shard_frames = chunk_frames * max(1, min(SHARD_BYTES // chunk_bytes, chunks))
        self._needed = chunks * chunk_bytes + len(hashes) * (HASH_BYTES + 8)
        self._written = self._buffered = 0  # rows in shard files, rows in the buffer

    def __enter__(self) -> "PackWriter":
        import numpy as np

        if self.path.exists():
            raise PackError(f"{self.path}: there already, and a pack never changes. Move it away and run again.")
        require_space(self.path.parent, self._needed, self.path.name)
        self._folder = self._scratch.new(self.path)
        try:
            with clear_disk_errors(self.path, self._needed):
                self._frames = self._create()
        except BaseException:
            remove(self._folder)
            raise
        self._buffer = np.empty((min(self._shard_frames, self._total), self._shape[1]), self._dtype)
        return self

    def _create(self) -> "FrameArray":
        import numpy as np
        import zarr

        group = zarr.create_group(str(self._folder), zarr_format=3, attributes=dict(self._attributes))
        raw = {"compressors": None, "filters": None, "config": {"write_empty_chunks": True}}
        octets = np.frombuffer(bytes.fromhex("".join(self._hashes)), np.uint8).reshape(-1, HASH_BYTES)
        for name, data in (("offsets", np.array(self._edges, np.int64)), ("audio_hash", octets)):
            group.create_array(name, data=data, chunks=data.shape, **raw)
        frames: FrameArray = group.create_array(
            "frames",
            shape=self._shape,
            dtype=self._dtype,
            chunks=(self._chunk_frames, self._shape[1]),
            shards=(self._shard_frames, self._shape[1]),
            fill_value=float("nan"),
            **raw,
        )
        return frames

    def append(self, frames: "NDArray[np.float32]") -> None:
        """Add rows, (any, n_state) float32, after those before.

        Raises ModelError, naming the recording, for a value that is not finite once it has the pack's dtype.
        """
        assert frames.ndim == 2 and frames.shape[1] == self._shape[1], f"rows of {self._shape[1]}, got {frames.shape}"
        assert self._written + self._buffered + len(frames) <= self._total, "more rows than announced"
        while len(frames):
            taken = frames[: len(self._buffer) - self._buffered]
            self._buffer_rows(taken)
            frames = frames[len(taken) :]
            if self._buffered == len(self._buffer):
                self._write()

    def _buffer_rows(self, rows: "NDArray[np.float32]") -> None:
        import numpy as np

        slot = self._buffer[self._buffered : self._buffered + len(rows)]
        with np.errstate(over="ignore"):  # an overflow is an error below, which names its recording
            slot[:] = rows
        # checked as stored, not as given: 70,000 is finite in float32 and infinite in float16
        good = np.isfinite(slot).all(axis=1)
        if not good.all():
            raise self._not_finite(rows, int(np.argmin(good)))
        self._buffered += len(rows)

    def _not_finite(self, rows: "NDArray[np.float32]", at: int) -> ModelError:
        """Return the error for a row that is not finite once it has the pack's dtype."""
        import numpy as np

        frame = self._written + self._buffered + at
        i = int(np.searchsorted(self._edges, frame, side="right")) - 1
        where = f"recording {self._hashes[i]}: frame {frame - self._edges[i]}"
        top = float(np.abs(rows[at]).max())
        if not np.isfinite(top):
            return ModelError(f"{where}: the encoder gave NaN or infinity. Check its weights and its precision.")
        most = float(np.finfo(self._dtype).max)
        return ModelError(
            f"{where}: does not fit in {self._dtype}: expected at most {most:,.0f}, got {top:,.0f}."
            ' Set codec = "float32" for this encoder.'
        )

    def _write(self) -> None:
        """Write the buffer as one whole shard (the last may be short), so that zarr never reads one back."""
        self._scratch.volumes.require(self._folder)  # Zarr would make its folders anew, on another disk
        rows = self._buffer[: self._buffered]
        with clear_disk_errors(self.path, self._needed):
            self._frames[self._written : self._written + len(rows)] = rows
        self._written += len(rows)
        self._buffered = 0

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if error is None:
                assert self._written + self._buffered == self._total, (
                    f"{self._written + self._buffered} of {self._total} rows"
                )
                if self._buffered:
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
        seal: dict[str, object] = {"version": SEAL_VERSION, "n": len(self._hashes), "total_frames": self._total}
        seal |= {"n_state": self._shape[1], "dtype": self._dtype, "files": files}
        (self._folder / SEAL).write_text(json.dumps(seal, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_seal(pack: Path) -> Seal:
    """Return a pack's seal. Raises PackError with a short phrase that leaves the pack's name to the caller."""
    try:
        data = (pack / SEAL).read_bytes()
    except OSError as error:
        if not pack.is_dir():
            raise PackError("is not there") from None
        if isinstance(error, FileNotFoundError):
            raise PackError(f"{SEAL} is missing") from None
        require_content(pack / SEAL, error)
        raise PackError(f"{SEAL} cannot be read: {error.strerror}") from None
    try:
        seal = json.loads(data)
        files = {str(name): (int(entry["size"]), str(entry["xxh3"])) for name, entry in seal["files"].items()}
        return Seal(int(seal["n"]), int(seal["total_frames"]), int(seal["n_state"]), files, hash_bytes(data))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PackError(f"{SEAL} is damaged") from None


def pack_damage(pack: Path, memo: HashMemo | None = None) -> str | None:
    """Say what is wrong with a pack, or None: by names and sizes of files alone, and by its seal.

    With a memo also by the content of all files but the frames, which are read again only if they were touched.
    """
    try:
        seal = read_seal(pack)
        return next(itertools.chain(size_faults(pack, seal), touched_faults(pack, seal, memo) if memo else ()), None)
    except PackError as error:
        return str(error)


def small_files(seal: Seal) -> list[str]:
    """Return the files of a pack that are no frames: a wrong bit in them gives one recording another's features."""
    return [name for name in seal.files if not name.startswith("frames/c/")]


def touched_faults(pack: Path, seal: Seal, memo: HashMemo) -> Iterator[str]:
    """Yield which small files have another content than was sealed; untouched ones are not read again."""
    for name in small_files(seal):
        try:
            actual = memo.hash_file(pack / name)
        except OSError as error:
            yield f"{name} cannot be read: {error.strerror}"
        else:
            if actual != seal.files[name][1]:
                yield f"{name} has other content: expected xxh3 {seal.files[name][1]}, got {actual}"


def verify_pack(pack: Path) -> list[str]:
    """Read a whole pack again and return all that is wrong with it: sizes, hashes, files not sealed, structure.

    Raises MachineError.
    """
    try:
        seal = read_seal(pack)
    except PackError as error:
        return [str(error)]
    # in this order, the cheapest first: of a truncated file the hash says nothing more
    faults = list(size_faults(pack, seal)) or list(hash_faults(pack, seal, seal.files))
    for path in sorted(pack.rglob("*")):
        name = str(path.relative_to(pack))
        # A file manager's hidden files are no part of the pack.
        if path.is_file() and name != SEAL and name not in seal.files and not path.name.startswith("."):
            faults.append(f"{name} is not in the seal")
    return faults or list(structure_faults(pack, seal))


def size_faults(pack: Path, seal: Seal) -> Iterator[str]:
    """Yield what a stat of every file shows to be wrong."""
    for name, (size_bytes, _) in seal.files.items():
        try:
            actual = (pack / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            yield f"{name} is missing"
        except OSError as error:
            require_content(pack / name, error)
            yield f"{name} cannot be read: {error.strerror}"
        else:
            if actual != size_bytes:
                yield f"{name} is truncated or overwritten: expected {size_bytes:,} bytes, got {actual:,}"


def hash_faults(pack: Path, seal: Seal, names: Iterable[str]) -> Iterator[str]:
    """Yield which of some files have another content than was sealed."""
    for name in names:
        try:
            actual = hash_file(pack / name)
        except FileNotFoundError:
            yield f"{name} is missing"
        except OSError as error:
            require_content(pack / name, error)
            yield f"{name} cannot be read: {error.strerror}"
        else:
            if actual != seal.files[name][1]:
                yield f"{name} has other content: expected xxh3 {seal.files[name][1]}, got {actual}"


def structure_faults(pack: Path, seal: Seal) -> Iterator[str]:
    """Yield where arrays and seal contradict each other."""
    import numpy as np
    import zarr

    try:
        group = zarr.open_group(str(pack), mode="r")
        shape, edges, octets = group["frames"].shape, group["offsets"][:], group["audio_hash"][:]
    except Exception as error:  # zarr raises many types for bad metadata; each of them is the same to us
        require_content(pack, error)
        yield f"is not a feature pack: {error}"
        return
    if shape != (seal.total_frames, seal.n_state):
        yield f"frames: expected {(seal.total_frames, seal.n_state)} as sealed, got {shape}"
    if octets.shape != (seal.n, HASH_BYTES):
        yield f"audio_hash: expected {(seal.n, HASH_BYTES)} as sealed, got {octets.shape}"
    elif len(np.unique(octets, axis=0)) != seal.n:
        yield "audio_hash: the same hash twice"
    if edges.shape != (seal.n + 1,):
        yield f"offsets: expected {(seal.n + 1,)} as sealed, got {edges.shape}"
    elif edges[0] != 0 or edges[-1] != seal.total_frames or (np.diff(edges) <= 0).any():
        yield f"offsets: expected to rise from 0 to {seal.total_frames}"


def read_features(packs_folder: Path, pack: str, row: int) -> "Features":
    """Return one recording's features, (n_frames, n_state) in the pack's dtype.

    `pack` and `row` are as in a feature manifest. Raises PackError.
    """
    import zarr

    damage = pack_damage(packs_folder / pack)  # or a chunk that is gone would be read as NaN, without an error
    if damage:
        raise PackError(f"{packs_folder / pack}: {damage}. Run doit features again: it encodes what is missing.")
    group = zarr.open_group(str(packs_folder / pack), mode="r")
    n = group["offsets"].shape[0] - 1
    if not 0 <= row < n:
        raise PackError(f"{pack}: no such row: expected 0 to {n - 1}, got {row}. Run doit features again.")
    start, stop = (int(edge) for edge in group["offsets"][row : row + 2])
    frames: Features = group["frames"][start:stop]
    return frames
