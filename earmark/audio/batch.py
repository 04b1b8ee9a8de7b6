"""Standard audio of a batch of recordings, made in a worker process: plain values in, table rows out.

The catalog and the project stay with the parent: what a worker gets is all that its result depends on.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec

from earmark.audio.defects import of_levels
from earmark.audio.doubts import is_still_true
from earmark.audio.policy import Policy
from earmark.audio.table import AudioRow, BadAudio, GoodAudio
from earmark.disk.faults import MachineError, is_machine_fault
from earmark.disk.files import Scratch
from earmark.disk.hashing import hash_file
from earmark.disk.inside import CHANNEL, locate
from earmark.disk.names import fitting
from earmark.errors import BadAudioError, CorpusError
from earmark.workers.chatter import told_of


@dataclass(frozen=True)
class Work:
    """One recording to standardize; `path` is below the root. `target` is None where no standard file is to be made.

    `made`: the hashes of standard files that were made for it before, and may be replaced.
    `before`: what an earlier version found, to be kept if decoding it again would give the same.
    """

    path: str
    source_hash: str
    size: int
    mtime_ns: int
    source: Path
    target: Path | None
    made: tuple[str, ...] = ()
    before: GoodAudio | None = None


Batch: TypeAlias = tuple[list[Work], Policy, Scratch]  # what is sent to a worker at a time


def standard_name(path: str, form: str) -> str:
    """Return a recording's path below the dataset's standard folder; two sources never meet in one file.

    The source's suffix stays in the name: a.wav -> a.wav.flac, a.flac -> a.flac, a.wav.flac -> a.wav.flac.flac.
    A channel is a file beside, a.flac/1.channel -> a.flac.1.channel..flac: a.flac may be a standard file, so it cannot
    be a folder, and no source whose name has a suffix gets two dots. A name that leaves no room for a suffix is cut.
    """
    folder, slash, name = path.rpartition("/")
    if folder and CHANNEL.fullmatch(name):
        above, slash, file = folder.rpartition("/")
        return above + slash + fitting(f"{file}.{name}", f"..{form}")
    if name.lstrip(".").partition(".")[2] == form:  # a dot elsewhere in the name may be another file's suffix
        return folder + slash + fitting(name[: -len(form) - 1], f".{form}")
    has_suffix = 0 < name.rfind(".") < len(name) - 1
    return folder + slash + fitting(name, f".{form}" if has_suffix else f"..{form}")


def standardize_batch(batch: Batch) -> list[AudioRow]:
    """Standardize some recordings, a row each; a bad one becomes a row that says why.

    Raises CorpusError for a source that is not the one that was scanned, MachineError where that cannot be known.
    """
    works, policy, scratch = batch
    rows = []
    for work in works:
        with told_of(work.path):
            rows.append(_standardize(work, policy, scratch))
    return rows


def _standardize(work: Work, policy: Policy, scratch: Scratch) -> AudioRow:
    """Return a recording's row; a bad one is one that its own bytes say is bad, read again and decoded again."""
    _require_unchanged(work)
    if work.before is not None and is_still_true(work.source, work.before):
        found = of_levels(work.before.peak, work.before.clipped, work.before.defects)
        return msgspec.structs.replace(work.before, defects=(*work.before.defects, *found))
    try:
        return _good_row(work, policy, scratch)
    except BadAudioError:
        require_source(work)
    try:
        return _good_row(work, policy, scratch)
    except BadAudioError as error:
        return BadAudio(work.path, work.source_hash, error.kind, error.detail, error.decoder, policy)


def _good_row(work: Work, policy: Policy, scratch: Scratch) -> GoodAudio:
    from earmark.audio.canonical import standardize

    audio, size = standardize(work.source, work.target, policy, scratch, work.made)
    return GoodAudio(
        path=work.path,
        source_hash=work.source_hash,
        **vars(audio),
        file_size=size if work.target is not None else None,
        file_xxh3=hash_file(work.target) if work.target is not None else None,
        policy=policy,
    )


def _require_unchanged(work: Work) -> None:
    try:
        status = locate(work.source).file.stat()
    except OSError as error:
        if is_machine_fault(error):
            raise MachineError(work.path, error) from error
        raise CorpusError(f"{work.path}: vanished since it was scanned ({error.strerror}). Run again.") from error
    if (status.st_size, status.st_mtime_ns) != (work.size, work.mtime_ns):
        raise CorpusError(f"{work.path}: changed since it was scanned. Run again.")


def require_source(work: Work) -> None:
    """Read a recording's file whole, and see that it is what scan read: only then is a verdict on it its own.

    libsndfile and FFmpeg tell a disk's fault from damage no better than a user could: both are "corrupt" to them.
    Raises MachineError, and CorpusError where the file is another one.
    """
    try:
        got = _hash_once(locate(work.source).file, work.size, work.mtime_ns)
    except OSError as error:
        raise MachineError(work.path, error) from error
    if got != work.source_hash:
        raise CorpusError(
            f"{work.path}: not the bytes that were scanned: expected XXH3 {work.source_hash}, got {got}, though size"
            " and time are the same. The disk or its memory is failing, or somebody wrote to it and put the time back:"
            " see that the file is well, and run again."
        )


@functools.lru_cache(maxsize=8)
def _hash_once(file: Path, _size: int, _mtime_ns: int) -> str:
    """Return a file's hash; a table with many bad rows is read once."""
    return hash_file(file)
