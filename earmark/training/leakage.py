"""Leakage: the same audio, the same speaker or the same group on two sides of a split.

The same `audio_hash` in two splits, a mixture's stems included, is always a leak. The same value of a label is one
where a dataset of either row names it in `disjoint`; it is compared among all datasets that name the same space for the
label (`spaces`: readers of LibriVox, recordings of Freesound), else within its dataset. A row that holds several values
(segments, mixtures) stands for each of them.

Values are held as 64-bit marks in sorted arrays, 8 bytes a distinct value and split, twice that while they are
sorted. That two different values share a mark in two splits is below one in a million for 10 million against a million.
"""

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from earmark.rows import SPLITS
from earmark.training.selection import AUDIO, Row, Source, values

PAIRS = tuple((one, other) for at, one in enumerate(SPLITS) for other in SPLITS[at + 1 :])
COMPACTED = 1 << 20  # marks gathered before repeated ones are taken out

Mark = tuple[str, bool, int]  # kind, whether this row's dataset demands it, 64-bit mark


def watched(sources: list[Source]) -> tuple[str, ...]:
    """Return the labels that a job's datasets want disjoint, sorted."""
    return tuple(sorted({label for source in sources for label in source.disjoint}))


def marks(row: Row, source: Source, labels: tuple[str, ...]) -> Iterator[Mark]:
    """Yield what a row must not share with another split."""
    yield AUDIO, True, int(row[AUDIO][:16], 16)
    if "stems" in row:
        for stem in row["stems"].values():
            yield AUDIO, True, int(stem[AUDIO][:16], 16)
    for label in labels:
        demanded = label in source.disjoint
        if demanded or label in source.spaces:  # what one dataset demands binds the others that share the space
            for value in values(row, label):
                yield label, demanded, source.mark(label, value)


class Gathered:
    """Distinct marks, of which repeated ones are taken out as they grow."""

    def __init__(self) -> None:
        self._marks = array("Q")
        self._limit = COMPACTED

    def add(self, mark: int) -> None:
        """Put one in."""
        self._marks.append(mark)
        if len(self._marks) >= self._limit:
            found = self.distinct()
            self._marks = array("Q")
            self._marks.frombytes(found.data.cast("B"))
            self._limit = 2 * len(self._marks) + COMPACTED

    def distinct(self) -> Any:
        """Return the marks as a sorted (n,) uint64 array; one at least was put in."""
        import numpy as np

        held = np.frombuffer(self._marks, dtype=np.uint64)
        held.sort()  # in place: millions of marks are held once
        first = np.ones(len(held), dtype=bool)
        first[1:] = held[1:] != held[:-1]
        return held[first]


class Watch:
    """Marks of all rows by kind and split, from which the leaks are told once every row was seen."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str], Gathered] = defaultdict(Gathered)
        self._demanded: dict[tuple[str, str], Gathered] = defaultdict(Gathered)

    def add(self, split: str, found: Mark) -> None:
        """Put in one mark of a row."""
        kind, demanded, mark = found
        self._all[kind, split].add(mark)
        if demanded and kind != AUDIO:
            self._demanded[kind, split].add(mark)

    def leaks(self) -> "Leaks":
        """Return what stands in two splits, and let go of the rest."""
        import numpy as np

        everything = {key: self._all.pop(key).distinct() for key in list(self._all)}
        demanded = {key: self._demanded.pop(key).distinct() for key in list(self._demanded)}
        shared: dict[tuple[str, str, str], array[int]] = {}
        for kind in sorted({kind for kind, _ in everything}):
            asked = everything if kind == AUDIO else demanded
            for one, other in PAIRS:
                sides = [(asked.get((kind, one)), everything.get((kind, other)))]
                sides += [(asked.get((kind, other)), everything.get((kind, one)))]
                found = np.unique(np.concatenate([_common(*pair) for pair in sides]))
                if len(found):
                    shared[kind, one, other] = array("Q", found.tobytes())
        return Leaks(shared)


class Leaks:
    """The marks that two splits share, by kind and pair of splits."""

    def __init__(self, shared: dict[tuple[str, str, str], "array[int]"]) -> None:
        self._shared = shared
        self.kinds = sorted({kind for kind, _, _ in shared})

    def counts(self, kind: str) -> dict[str, int]:
        """Count the shared values of a kind by pair of splits."""
        return {f"{one}/{other}": len(found) for (of, one, other), found in sorted(self._shared.items()) if of == kind}

    def others(self, kind: str, split: str, mark: int) -> list[str]:
        """Return the other splits that share a mark."""
        found = []
        for one, other in PAIRS:
            if split in (one, other) and _holds(self._shared.get((kind, one, other)), mark):
                found.append(other if split == one else one)
        return found


def gives_way(split: str, others: list[str]) -> bool:
    """Say whether a row is the one to leave out: those of train make way for dev and test, those of dev for test."""
    return any(SPLITS.index(other) > SPLITS.index(split) for other in others)


def _common(one: Any, other: Any) -> Any:
    """Return what two sorted (n,) uint64 arrays share, either of which may be None."""
    import numpy as np

    if one is None or other is None:
        return np.empty(0, dtype=np.uint64)
    few, many = sorted((one, other), key=len)
    at = np.minimum(np.searchsorted(many, few), len(many) - 1)
    return few[many[at] == few]


def _holds(found: "array[int] | None", mark: int) -> bool:
    if found is None:
        return False
    at = bisect_left(found, mark)
    return at < len(found) and found[at] == mark
