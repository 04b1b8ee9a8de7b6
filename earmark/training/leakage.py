"""Leakage: the same audio, the same speaker or the same group on two sides of a split.

The same `audio_hash` in two splits, a mixture's stems included, is always a leak. The same value of a label is one
where a dataset of either row names it in `disjoint`; it is compared among all datasets that name the same space for the
label (`spaces`: readers of LibriVox, recordings of Freesound), else within its dataset. Of a row that has several
values (segments, mixtures) each one counts.

Values are kept as 64-bit marks in sorted arrays, 8 bytes a distinct value and split, twice that while they are sorted:
a set of Python integers takes about 60. That two different values share a mark in two splits is below one in a million
for 10 million against a million.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from earmark.rows import SPLITS
from earmark.training.manifest_row import AUDIO, ManifestRow
from earmark.training.selection import JobDataset, values_of

if TYPE_CHECKING:  # numpy is loaded where it is used: doit's start-up imports this module
    import numpy as np
    from numpy.typing import NDArray

    Marks: TypeAlias = NDArray[np.uint64]  # (n,), sorted, no two alike

PAIRS = tuple((one, other) for at, one in enumerate(SPLITS) for other in SPLITS[at + 1 :])
COMPACTED = 1 << 20  # marks collected before repeated ones are taken out
AUDIO_DIGITS = 16  # hex digits of an audio hash that are its mark: 64 of its 128 bits


# A value of a row that another split may have, too: its kind (`audio_hash`, or a label), whether this row's dataset
# wants it disjoint, and its 64-bit hash. A plain tuple: there are several a row, and named ones made jobs slower.
Mark: TypeAlias = tuple[str, bool, int]


def disjoint_labels(datasets: list[JobDataset]) -> tuple[str, ...]:
    """Return the labels that a job's datasets want disjoint, sorted."""
    return tuple(sorted({label for dataset in datasets for label in dataset.disjoint}))


def marks_of(row: ManifestRow, dataset: JobDataset, labels: tuple[str, ...]) -> Iterator[Mark]:
    """Yield what a row must not share with another split."""
    yield AUDIO, True, int(row[AUDIO][:AUDIO_DIGITS], 16)
    if "stems" in row:
        for stem in row["stems"].values():
            yield AUDIO, True, int(stem[AUDIO][:AUDIO_DIGITS], 16)
    for label in labels:
        demanded = label in dataset.disjoint
        if demanded or label in dataset.spaces:  # what one dataset demands binds the others that share the space
            for value in values_of(row, label):
                yield label, demanded, dataset.mark(label, value)


class DistinctMarks:
    """A set of marks that grows; repeated ones are taken out now and then, so a speaker of many rows takes no room."""

    def __init__(self) -> None:
        self._marks = array("Q")
        self._limit = COMPACTED

    def add(self, mark: int) -> None:
        """Put one in."""
        self._marks.append(mark)
        if len(self._marks) >= self._limit:
            distinct = self.distinct()
            self._marks = array("Q")
            self._marks.frombytes(distinct.data.cast("B"))
            # twice what is left, or a set of distinct marks would be sorted again for every million that follow
            self._limit = 2 * len(self._marks) + COMPACTED

    def distinct(self) -> Marks:
        """Return the marks as a sorted (n,) uint64 array; one at least was put in."""
        import numpy as np

        marks = np.frombuffer(self._marks, dtype=np.uint64)
        marks.sort()  # in place, of the array itself: np.unique would copy millions of marks
        first = np.ones(len(marks), dtype=bool)
        first[1:] = marks[1:] != marks[:-1]
        return marks[first]


class LeakFinder:
    """Marks of all rows by kind and split, from which the leaks follow once every row was seen."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str], DistinctMarks] = defaultdict(DistinctMarks)
        self._demanded: dict[tuple[str, str], DistinctMarks] = defaultdict(DistinctMarks)

    def add(self, split: str, mark: Mark) -> None:
        """Put in one mark of a row."""
        kind, demanded, value = mark
        self._all[kind, split].add(value)
        if demanded and kind != AUDIO:  # audio is demanded of every row: a second set would be the same
            self._demanded[kind, split].add(value)

    def leaks(self) -> Leaks:
        """Return the marks that are in two splits, and let go of the rest."""
        import numpy as np

        everything = {key: self._all.pop(key).distinct() for key in list(self._all)}
        demanded = {key: self._demanded.pop(key).distinct() for key in list(self._demanded)}
        shared: dict[tuple[str, str, str], array[int]] = {}
        for kind in sorted({kind for kind, _ in everything}):
            wanted = everything if kind == AUDIO else demanded
            for one, other in PAIRS:
                # both ways round: a leak is demanded by the dataset of either row
                sides = [(wanted.get((kind, one)), everything.get((kind, other)))]
                sides += [(wanted.get((kind, other)), everything.get((kind, one)))]
                marks = np.unique(np.concatenate([_common(*pair) for pair in sides]))
                if len(marks):
                    shared[kind, one, other] = array("Q", marks.tobytes())
        return Leaks(shared)


class Leaks:
    """The marks that two splits share, by kind and pair of splits."""

    def __init__(self, shared: dict[tuple[str, str, str], array[int]]) -> None:
        self._shared = shared
        self.kinds = sorted({kind for kind, _, _ in shared})

    def counts(self, kind: str) -> dict[str, int]:
        """Count the shared values of a kind by pair of splits."""
        return {f"{one}/{other}": len(marks) for (of, one, other), marks in sorted(self._shared.items()) if of == kind}

    def others(self, kind: str, split: str, mark: int) -> list[str]:
        """Return the other splits that share a mark."""
        splits = []
        for one, other in PAIRS:
            if split in (one, other) and _contains(self._shared.get((kind, one, other)), mark):
                splits.append(other if split == one else one)
        return splits

    def by_kind(
        self, row: ManifestRow, dataset: JobDataset, split: str, labels: tuple[str, ...]
    ) -> dict[str, list[str]]:
        """Return by kind the other splits that share something with a row."""
        splits: dict[str, list[str]] = {}
        if not self.kinds:  # as in nearly every job
            return splits
        for kind, _, mark in marks_of(row, dataset, labels):
            if others := self.others(kind, split, mark):
                splits.setdefault(kind, []).extend(others)
        return splits


def gives_way(split: str, others: list[str]) -> bool:
    """Say whether a row is the one to leave out: those of train make way for dev and test, those of dev for test."""
    return any(SPLITS.index(other) > SPLITS.index(split) for other in others)


def _common(one: Marks | None, other: Marks | None) -> Marks:
    """Return what two sets of marks share."""
    import numpy as np

    if one is None or other is None:
        return np.empty(0, dtype=np.uint64)
    # Each of the few is looked up in the many: np.intersect1d would join and sort both.
    few, many = (one, other) if len(one) <= len(other) else (other, one)
    at = np.minimum(np.searchsorted(many, few), len(many) - 1)
    common: Marks = few[many[at] == few]
    return common


def _contains(marks: array[int] | None, mark: int) -> bool:
    if marks is None:
        return False
    at = bisect_left(marks, mark)
    return at < len(marks) and marks[at] == mark
