"""From recordings to a pack: decoding, encoding and writing overlap; memory does not grow with the shard.

Threads decode and make the encoder's input some windows ahead; the encoder takes one batch after another; one thread
writes.
"""

import contextlib
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from earmark.audio import canonical
from earmark.audio.policy import Policy
from earmark.disk.files import Scratch, remove, require_space, size_on_disk
from earmark.encoders import Encoder, FrontEnd, Window
from earmark.errors import BadAudioError, CorpusError, ModelError
from earmark.features.packs import PackWriter, chunk_frames_of
from earmark.rates import RATE_HZ
from earmark.rows import JSON
from earmark.workers.chatter import captured
from earmark.workers.prefetch import threaded_prefetch

LOADERS = 2  # threads that decode; more than the encoder can follow would only fill memory
LOOKAHEAD = 8  # chunks decoded ahead
WRITES_AHEAD = 4  # encoded batches waiting for the writer
WINDOWS_A_CHUNK = 8  # windows of one recording loaded at a time: 4 minutes where a window has 30 s
SPOOL_SAMPLES = 60 * 10 * RATE_HZ  # samples; a longer source without a standard file is decoded to disk first


@dataclass(frozen=True)
class Recording:
    """One recording to encode; `standard`: whether the file at `path` is canonical already."""

    audio_hash: str
    path: Path
    n_samples: int
    standard: bool
    channel: str | int = "mean"
    media_time: bool = False


@dataclass(frozen=True)
class _Chunk:
    """Some windows of one recording: samples [start, stop) of the file at `path`; raw int16 where `raw`."""

    recording: Recording
    path: Path
    start: int
    stop: int
    raw: bool
    last: bool


@dataclass(frozen=True)
class _Loaded:
    """A decoded chunk: its samples (n,) int16 and the encoder's input of each of its windows."""

    chunk: _Chunk
    samples: NDArray[np.int16]
    windows: list[Window]


def encode_pack(
    recordings: list[Recording],
    encoder: Encoder,
    folder: Path,
    pack: str,
    *,
    dtype: str,
    attributes: Mapping[str, JSON],
    resampler: str,
    scratch: Scratch,
    on_done: Callable[[int, float], None],
) -> tuple[int, int]:
    """Encode recordings into a new pack; return its bytes and frames.

    Raises CorpusError when a file no longer decodes to its hash, DiskFullError when the pack does not fit,
    ModelError when the encoder gives too few frames or some that cannot be stored.
    """
    front_end = encoder.front_end
    # Known before anything is decoded, so that the pack's arrays have their size from the start.
    n_frames = [front_end.frames.count(recording.n_samples) for recording in recordings]
    needed = sum(n_frames) * encoder.n_state * np.dtype(dtype).itemsize
    require_space(folder, needed, f"{folder.name}/{pack}")
    hashes = [recording.audio_hash for recording in recordings]
    about = {**attributes, "engine": encoder.engine, "engine_version": encoder.version, **encoder.about}
    chunk_frames = chunk_frames_of(front_end.frames)
    with (
        PackWriter(folder, pack, hashes, n_frames, encoder.n_state, dtype, about, scratch, chunk_frames) as writer,
        _loading(recordings, front_end, resampler, scratch, on_done) as windows,
        _appending(writer) as append,
    ):
        for batch in _batches(windows, encoder.batch):
            encoded = encoder.encode(np.stack([window for window, _ in batch]))
            for frames, (_, n_kept) in zip(encoded, batch, strict=True):
                if len(frames) < n_kept:
                    raise ModelError(f"{pack}: the encoder gave {len(frames)} frames of a window of {n_kept}.")
                append(frames[:n_kept])
    return size_on_disk(folder / pack), sum(n_frames)


@contextlib.contextmanager
def _loading(
    recordings: list[Recording],
    front_end: FrontEnd,
    resampler: str,
    scratch: Scratch,
    on_done: Callable[[int, float], None],
) -> Iterator[Iterator[Window]]:
    """Yield the windows of recordings in order, made by threads some chunks ahead."""
    with _spool(scratch) as spool, contextlib.ExitStack() as stack:
        # What libraries print of a source was told when it was standardized; a standard file gives them no cause.
        stack.enter_context(contextlib.nullcontext() if all(one.standard for one in recordings) else captured())
        chunks = _chunks(recordings, spool, resampler, WINDOWS_A_CHUNK * front_end.window_samples)
        loaded = threaded_prefetch(lambda chunk: _load(chunk, front_end, resampler), chunks, LOADERS, LOOKAHEAD)
        with contextlib.closing(loaded):  # before the spool goes: a thread may be reading it
            yield _windows(loaded, on_done)


@contextlib.contextmanager
def _appending(writer: PackWriter) -> Iterator[Callable[[NDArray[np.float32]], None]]:
    """Yield a function that hands frames to a writing thread, some batches ahead of it."""
    pending: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1, "pack-writer") as thread:

        def append(frames: NDArray[np.float32]) -> None:
            pending.append(thread.submit(writer.append, frames))
            while len(pending) > WRITES_AHEAD:
                pending.popleft().result()

        yield append
        while pending:
            pending.popleft().result()


@contextlib.contextmanager
def _spool(scratch: Scratch) -> Iterator[Path]:
    """Yield a path for the raw samples of one long source at a time."""
    path = scratch.new(scratch.tmp / "spool.pcm")
    try:
        yield path
    finally:
        for leftover in path.parent.glob(f"{path.name}*"):
            remove(leftover)


def _chunks(recordings: Iterable[Recording], spool: Path, resampler: str, step: int) -> Iterator[_Chunk]:
    """Cut recordings into chunks of whole windows, `step` samples each; long sources are decoded to disk first."""
    for number, recording in enumerate(recordings):
        path, raw = recording.path, False
        if not recording.standard:
            if recording.n_samples <= SPOOL_SAMPLES:
                yield _Chunk(recording, path, 0, recording.n_samples, raw=False, last=True)
                continue
            # Decoded once and as a whole: a resampler started in the middle of a file gives other samples there.
            path, raw = Path(f"{spool}.{number}"), True
            with path.open("wb") as file:
                for block in _decode(recording, resampler):
                    file.write(block.tobytes())
        for start in range(0, recording.n_samples, step):
            stop = min(start + step, recording.n_samples)
            yield _Chunk(recording, path, start, stop, raw, last=stop == recording.n_samples)


def _decode(recording: Recording, resampler: str) -> Iterator[NDArray[np.int16]]:
    # how much of it may be missing was judged before; its hash says that it is the same
    policy = Policy(recording.channel, resampler, "none", max_short=math.inf, media_time=recording.media_time)
    yield from canonical.canonical_blocks(recording.path, policy)


def _load(chunk: _Chunk, front_end: FrontEnd, resampler: str) -> _Loaded:
    """Decode a chunk with the context that the front end wants, and make the encoder's input of its windows."""
    start = max(chunk.start - front_end.context, 0)
    stop = min(chunk.stop + front_end.context, chunk.recording.n_samples)
    try:
        samples = _samples(replace(chunk, start=start, stop=stop), resampler)
    except BadAudioError as error:
        raise CorpusError(
            f"{chunk.recording.path}: {error}: damaged since it was standardized. `doit verify` sets such files aside;"
            " then run again."
        ) from error
    own = slice(chunk.start - start, chunk.stop - start)
    return _Loaded(chunk, samples[own], front_end.windows(samples, own.start, own.stop))


def _samples(chunk: _Chunk, resampler: str) -> NDArray[np.int16]:
    if chunk.raw:
        return np.fromfile(chunk.path, np.int16, chunk.stop - chunk.start, offset=2 * chunk.start)
    if chunk.recording.standard:
        return canonical.read_canonical(chunk.path, chunk.start, chunk.stop)
    return np.concatenate(list(_decode(chunk.recording, resampler)))


def _windows(loaded: Iterable[_Loaded], on_done: Callable[[int, float], None]) -> Iterator[Window]:
    """Yield windows in order, and compare each recording's samples with its audio hash on the way."""
    hasher = xxhash.xxh3_128()
    for item in loaded:
        chunk = item.chunk
        hasher.update(item.samples.tobytes())
        yield from item.windows
        if chunk.last:
            _require_hash(chunk.recording, hasher.hexdigest())
            hasher.reset()
            if chunk.raw:
                chunk.path.unlink()
        on_done(int(chunk.last), (chunk.stop - chunk.start) / RATE_HZ)


def _require_hash(recording: Recording, actual: str) -> None:
    if actual != recording.audio_hash:
        raise CorpusError(
            f"{recording.path}: no longer decodes to the samples of its audio hash: expected {recording.audio_hash},"
            f" got {actual}: damaged or edited since it was standardized. `doit verify` sets such files aside; then run"
            " again."
        )


def _batches(windows: Iterable[Window], size: int) -> Iterator[list[Window]]:
    """Group consecutive windows of equal shape, up to what the engine likes at once."""
    # Consecutive ones alone: sorted by length a batch would be fuller, and the frames would have to wait in memory.
    batch: list[Window] = []
    for item in windows:
        if batch and (len(batch) >= size or item[0].shape != batch[0][0].shape):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
