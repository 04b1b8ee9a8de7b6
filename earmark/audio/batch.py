"""Standard audio of a batch of recordings, made in a worker process: plain values in, table rows out.

The catalog and the project stay with the parent: what a worker gets is all that its result depends on.
"""

from dataclasses import dataclass
from pathlib import Path

from earmark.audio.policy import Policy
from earmark.audio.table import AudioRow, BadAudio, GoodAudio
from earmark.disk.files import Scratch
from earmark.disk.hashing import hash_file
from earmark.disk.inside import CHANNEL, locate
from earmark.disk.names import fitting
from earmark.disk.plainly import unreadable
from earmark.errors import BadAudioError, CorpusError


@dataclass(frozen=True)
class Work:
    """One recording to standardize; `path` is below the root. `target` is None where no standard file is to be made."""

    path: str
    source_hash: str
    size: int
    mtime_ns: int
    source: Path
    target: Path | None


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


def standardize_batch(batch: tuple[list[Work], Policy, Scratch]) -> list[AudioRow]:
    """Standardize some recordings, a row each; a bad one becomes a row that says why.

    Raises CorpusError for a source that is not the one that was scanned.
    """
    works, policy, scratch = batch
    return [_standardize(work, policy, scratch) for work in works]


def _standardize(work: Work, policy: Policy, scratch: Scratch) -> AudioRow:
    from earmark.audio.canonical import standardize

    try:
        status = locate(work.source).file.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CorpusError(f"{work.path}: vanished since it was scanned ({error.strerror}). Run again.") from error
    except OSError as error:
        raise unreadable(error, work.source) from error
    if (status.st_size, status.st_mtime_ns) != (work.size, work.mtime_ns):
        raise CorpusError(f"{work.path}: changed since it was scanned. Run again.")
    try:
        audio, size = standardize(work.source, work.target, policy, scratch)
    except BadAudioError as error:
        return BadAudio(work.path, work.source_hash, error.kind, error.detail, error.decoder, policy)
    return GoodAudio(
        path=work.path,
        source_hash=work.source_hash,
        **vars(audio),
        file_size=size if work.target is not None else None,
        file_xxh3=hash_file(work.target) if work.target is not None else None,
        policy=policy,
    )
