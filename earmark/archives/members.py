"""Members of an archive: as its reader yields them, and as a members file lists them once they are in the tree."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from earmark.errors import ArchiveError
from earmark.json_bytes import json_bytes

Kind = Literal["file", "folder", "symlink", "hardlink", "special"]
# What may follow an archive's last member in its file: the format's own padding; any number of zero bytes, where a
# published sum proves the whole; anything, where the user says that it is of no use.
Rest = Literal["padding", "zeros", "anything"]


@dataclass(frozen=True)
class Member:
    """One member, its name as the archive spells it; `blocks` must be used before the next member is asked for.

    `blocks` yields exactly `size` bytes or raises.
    """

    name: str
    kind: Kind
    size: int = 0  # bytes
    mtime: float = 0.0  # seconds since the epoch
    executable: bool = False
    target: str = ""  # of a link
    blocks: Iterator[bytes] = field(default_factory=lambda: iter(()))


class ListedMember(msgspec.Struct, frozen=True):
    """A line of a members file: a file with `size` and `xxh3`, a symbolic link with its `link`, or else a folder.

    `path` is POSIX and relative to the tree.
    """

    path: str
    size: int = 0  # bytes
    xxh3: str = ""  # 32 hex digits
    link: str = ""  # where a symbolic link points, as it is written in the link

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return not (self.xxh3 or self.link)

    def line(self) -> bytes:
        """Return it as a JSON line. Receipts name a members file by its hash, so these bytes are a format."""
        row: dict[str, str | int] = {"path": self.path}
        if self.xxh3:
            row |= {"size": self.size, "xxh3": self.xxh3}
        elif self.link:
            row["link"] = self.link
        else:
            row["dir"] = True
        return json_bytes(row) + b"\n"


_decode = msgspec.json.Decoder(ListedMember).decode


def parse_member(line: bytes) -> ListedMember:
    """Read a line of a members file. Raises ValueError for one that is damaged."""
    return _decode(line)


class DamageError(ArchiveError):
    """The bytes of an archive cannot be read: cut short, altered, or no archive at all."""


class TrailingError(ArchiveError):
    """Bytes of an archive's file that are no part of the archive: what they hold would be nowhere in the tree."""

    def __init__(self, what: str, cause: str = "several archives joined in one file, or a damaged download?") -> None:
        super().__init__(
            f"{what}: {cause} Take them apart, each an archive of its own; or, if what is left over is of no use, set"
            ' `rest = "ignore"` in its table of the catalog.'
        )
