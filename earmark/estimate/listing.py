"""What an archive will unpack to, by its own list of members: as much of it as there is time to read."""

import contextlib
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from earmark.amounts import Amount, about, exact
from earmark.archives.formats import decoded
from earmark.archives.members import Member
from earmark.archives.tars import tar_members
from earmark.archives.unpack import archive_kind
from earmark.archives.zips import zip_members
from earmark.disk.hashing import BLOCK_BYTES
from earmark.errors import EarmarkError
from earmark.estimate.probes import EXCERPTS, Probes, holds_sound

MEMBER_BYTES = 32 << 20  # the largest archive member that a probe reads into memory
PROBED_FOR_FLAC = 8  # of so many recordings, one is compressed, which takes far longer than reading a header


@dataclass
class Listing:
    """The members of an archive that were read in the time there was."""

    files: list[tuple[str, int]] = field(default_factory=list)  # path and bytes
    share: float = 0.0  # of the archive that was read; 1 if all
    nested: int = 0  # bytes of archives inside it, whose members are not seen
    probes: Probes = field(default_factory=Probes)  # of some of its recordings

    @property
    def audio(self) -> list[tuple[str, int]]:
        """The members that are recordings, or tables of them, by suffix."""
        return [(name, size) for name, size in self.files if holds_sound(name)]

    @property
    def certainty(self) -> Amount:
        """A factor around 1: how much larger or smaller the whole may be than what was read, scaled up."""
        return exact(1.0) if self.share == 1.0 else about(1.0, 1.25)


def list_archive(
    paths: Sequence[Path],
    nested: Sequence[str],
    skip: Sequence[str],
    channel: str | int,
    resampler: str,
    patience_s: float,
) -> Listing:
    """List an archive for `patience_s` seconds: a zip by its directory, a tar by as much of its stream as that allows.

    `paths` are its files in order; `nested` and `skip` patterns as in the catalog. Of a damaged archive the readable
    beginning is returned: what is wrong with it, extraction says.
    """
    listing, ends = Listing(), time.monotonic() + patience_s
    n_audio = 0
    with contextlib.suppress(EarmarkError, OSError):
        for member in _members(paths, ends, listing):
            plain = member.name.strip("/").removeprefix("./")
            if member.kind != "file" or any(fnmatchcase(plain, pattern) for pattern in skip):
                continue
            if any(fnmatchcase(PurePosixPath(plain).name, pattern) for pattern in nested):
                listing.nested += member.size
                continue
            if holds_sound(plain) and member.size <= MEMBER_BYTES and time.monotonic() < ends:
                excerpt = n_audio % PROBED_FOR_FLAC == 0 and len(listing.probes.flac_rates) < EXCERPTS
                sound = io.BytesIO(b"".join(member.blocks))
                listing.probes.add(sound, member.size, channel, resampler, excerpt=excerpt)
                n_audio += 1
            listing.files.append((plain, member.size))
    return listing


def _members(paths: Sequence[Path], ends: float, listing: Listing) -> Iterator[Member]:
    """Yield an archive's members and keep `listing.share` current; the last one of a tar that is left is not whole."""
    kind = archive_kind(paths)
    if kind == "zip":
        for member in zip_members(*paths, rest="anything"):
            listing.share = 1.0  # its whole directory is read before the first
            yield member
        return
    size, position = sum(path.stat().st_size for path in paths), 0

    def blocks() -> Iterator[bytes]:
        nonlocal position
        for path in paths:
            with path.open("rb", buffering=0) as file:
                while block := file.read(BLOCK_BYTES):
                    position += len(block)
                    yield block
                    if time.monotonic() >= ends:
                        return

    for member in tar_members(decoded(blocks(), kind, "anything"), ends_known=True, rest="anything"):
        yield member
        listing.share = position / size
    listing.share = position / size
