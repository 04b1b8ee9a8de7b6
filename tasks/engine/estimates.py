"""What a plan consists of: steps, what each writes and where, and what is expected of a dataset on the way.

A stage's estimate is the function `estimate` of `tasks/stages/<stage>_estimate.py`: it adds to a step what the stage
would write, from what the stages before it left in `Expected`, and leaves there what later ones need.
"""

import contextlib
import importlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from earmark.amounts import Amount, total
from earmark.disk.shards import ShardRow, read_rows
from earmark.estimate.batch import Batch, Prober, sampler
from earmark.rates import HOUR_S
from tasks.engine.judge import sealed_shards
from tasks.engine.rollup import Query
from tasks.engine.stage import Stage, State, Verdict
from tasks.engine.units import Unit

RECEIPT_BYTES = 1_100  # of a receipt, as written on the demo
SHARDS_SAMPLED = 8  # shards whose lists are read for a sample
NO_SHARD = ""  # the key of recordings that no shard lists yet


@dataclass(frozen=True)
class Item:
    """What a step writes into a folder.

    `replaced`: bytes there now that are gone once the step is done; `passing`: bytes that are there only while it
    works; `shared`: bytes that may turn out to be blocks of the source (a copy by reflink), and so take no space.
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
    """One stage of one dataset: its state, why, how many of its units would run, what they would write.

    `inputs`: in words, what the numbers come from; `stored`: in words, how much of it is stored already.
    """

    unit: Unit
    state: State
    why: list[str]
    run: int = 0
    total: int = 1
    items: list[Item] = field(default_factory=list)
    seconds: Amount = field(default_factory=Amount)
    inputs: list[str] = field(default_factory=list)
    stored: str = ""
    unknown: bool = False  # it reads an archive whose size nobody published
    shards: list[tuple[Unit, Verdict]] = field(default_factory=list)

    @property
    def size(self) -> Amount:
        """Bytes that it writes and that stay."""
        return total(item.size for item in self.items)


class Expected:
    """What is known of a dataset while its stages are estimated in order.

    `listed`: the shards that scan listed last. `new`: recordings that no shard lists yet, `new_words` how they are
    known, `copied` whether some of them may be canonical already, so that their standard audio is a copy. `todo`: what
    standardize would decode, by shard.
    """

    def __init__(self, query: Query, dataset: str) -> None:
        self.query, self.project, self.dataset = query, query.run.project, dataset
        self.table = self.project.dataset(dataset)
        self.form = self.project.catalog.standard.format
        self.listed = sealed_shards(query.run, dataset)
        self.new = Batch()
        self.new_words: list[str] = []
        self.copied = False
        self.todo: dict[str, Batch] = {}
        self._samples: dict[str, list[ShardRow]] = {}

    @property
    def prober(self) -> Prober:
        """How the headers of its recordings are probed."""
        standard = self.project.catalog.standard
        return Prober(self.form, self.table.channel, standard.resampler, self.query.patience_s)

    def add(self, batch: Batch, words: str, names: Iterable[str]) -> None:
        """Expect more recordings; `words` say how they are known."""
        self.new += batch
        self.new_words.append(words)
        self.copied |= any(name.lower().endswith(f".{self.form}") for name in names)

    @property
    def files_listed(self) -> int:
        """Recordings that shards list."""
        return sum(sealed.files for sealed in self.listed.values())

    def new_shards(self) -> float:
        """Return how many shards the recordings of no shard yet will fill."""
        new = self.todo.get(NO_SHARD)
        if new is None or not new.files.likely:
            return 0.0
        by_hours = new.seconds.likely / HOUR_S / self.table.shard_hours
        return float(math.ceil(max(new.files.likely / self.table.shard_files, by_hours, 0.01)))

    def sample(self) -> list[ShardRow]:
        """Return the recordings of some shards."""
        chosen = sampler().sample(sorted(self.listed), min(SHARDS_SAMPLED, len(self.listed)))
        return [row for shard in chosen for row in self.rows(shard)]

    def rows(self, shard: str) -> list[ShardRow]:
        """Return the recordings that a shard lists; none where its list is damaged."""
        if shard not in self._samples:
            self._samples[shard] = []  # a damaged list is read once, not at every question
            with contextlib.suppress(OSError, ValueError, TypeError):
                self._samples[shard] = list(read_rows(self.project.shard_list(self.dataset, shard)))
        return self._samples[shard]


def estimate(stage: Stage, expected: Expected, step: Step) -> None:
    """Add to a step what its stage would write and for how long.

    Its module is imported only here: plans are rare, and what they need (probes of headers) is slow to import.
    """
    module = importlib.import_module(f"tasks.stages.{stage.name}_estimate")
    cast("Callable[[Expected, Step], None]", module.estimate)(expected, step)


def has_size(path: Path, size: int) -> bool:
    """Say whether a file of that size is there."""
    with contextlib.suppress(OSError):
        return path.stat().st_size == size
    return False


def hours(seconds: Amount) -> str:
    """Return a length of audio in words."""
    return f"{seconds.likely / HOUR_S:,.2f} h"


def count(number: float) -> str:
    """Return a number of things in words."""
    return f"{round(number):,}"
