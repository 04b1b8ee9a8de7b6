"""Members of an archive, as its reader yields them and an extraction takes them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from earmark.errors import ArchiveError

Kind = Literal["file", "folder", "symlink", "hardlink", "special"]


@dataclass(frozen=True)
class Member:
    """One member, its name as the archive spells it; `blocks` must be used before the next member is asked for.

    `blocks` yields exactly `size` bytes or raises.
    """

    name: str
    kind: Kind
    size: int = 0
    mtime: float = 0.0
    executable: bool = False
    target: str = ""
    blocks: Iterator[bytes] = field(default_factory=lambda: iter(()))


class DamageError(ArchiveError):
    """The bytes of an archive cannot be read: cut short, altered, or no archive at all."""
