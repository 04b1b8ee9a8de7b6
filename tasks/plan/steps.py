"""What a plan is made of: steps, what each writes and where, and the recordings that it works on."""

import contextlib
import random
from dataclasses import astuple, dataclass, field
from pathlib import Path

from earmark.amounts import Amount, total
from earmark.encoders import Frames
from earmark.rates import HOUR_S
from tasks.engine.stage import State, Verdict
from tasks.engine.units import Unit

RECEIPT_BYTES = 1_100


@dataclass(frozen=True)
class Item:
    """What a step writes into a folder.

    `replaced`: bytes there now that are gone once the step is done; `passing`: bytes that lie there only meanwhile;
    `shared`: bytes that may turn out to be blocks of the source, and so take no space.
    """

    what: str
    folder: Path
    size: Amount
    files: float = 0.0
    replaced: float = 0.0
    passing: float = 0.0
    shared: float = 0.0


@dataclass
class Step:
    """One stage of one dataset: its state, why, how many of its units would run, what they would write."""

    unit: Unit
    state: State
    why: list[str]
    run: int = 0
    total: int = 1
    items: list[Item] = field(default_factory=list)
    seconds: Amount = field(default_factory=Amount)
    inputs: list[str] = field(default_factory=list)
    held: str = ""
    unknown: bool = False  # something of it has a size that nobody published
    shards: list[tuple[Unit, Verdict]] = field(default_factory=list)

    @property
    def size(self) -> Amount:
        """Bytes that it writes and that stay."""
        return total(item.size for item in self.items)


@dataclass(frozen=True)
class Lot:
    """Recordings to standardize: how many, their bytes, seconds of audio and bytes of standard audio."""

    files: Amount = field(default_factory=Amount)
    size: Amount = field(default_factory=Amount)
    seconds: Amount = field(default_factory=Amount)
    standard: Amount = field(default_factory=Amount)

    def __add__(self, other: "Lot") -> "Lot":
        return Lot(
            self.files + other.files,
            self.size + other.size,
            self.seconds + other.seconds,
            self.standard + other.standard,
        )

    def frames(self, frames: Frames) -> Amount:
        """Return about how many frames an encoder gives of them."""
        pairs = zip(astuple(self.seconds), astuple(self.files), strict=True)
        return Amount(*(frames.mean(seconds, files) for seconds, files in pairs))


def sampler() -> random.Random:
    """Return what chooses a sample, the same one each time."""
    return random.Random(1)  # noqa: S311 - a sample is no secret


def lies(path: Path, size: int) -> bool:
    """Say whether a file of that size is there."""
    with contextlib.suppress(OSError):
        return path.stat().st_size == size
    return False


def hours(seconds: Amount) -> str:
    """Say a length of audio."""
    return f"{seconds.likely / HOUR_S:,.2f} h"


def count(number: float) -> str:
    """Say a number of things."""
    return f"{round(number):,}"
