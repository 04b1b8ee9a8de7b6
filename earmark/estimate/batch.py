"""Recordings that are to be standardized: how many, how long, and how large their standard audio will be.

Known from the headers of a seeded sample of them, read in a limited time, or else from stated assumptions.
"""

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path

from earmark.amounts import Amount, about, exact
from earmark.encoders import Frames
from earmark.estimate.probes import EXCERPT_SHARE, EXCERPTS, Probes, assumed_rates

RECORDINGS_SAMPLED = 4_000  # at most, of which headers are read
UNKNOWN_SHARE = 0.5  # of a tree that could not be walked to its end: at least as much again, or nothing


@dataclass(frozen=True)
class Batch:
    """Recordings to standardize: how many, their bytes, seconds of audio and bytes of standard audio."""

    files: Amount = field(default_factory=Amount)
    size: Amount = field(default_factory=Amount)
    seconds: Amount = field(default_factory=Amount)
    standard: Amount = field(default_factory=Amount)

    def __add__(self, other: "Batch") -> "Batch":
        return Batch(
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


def batch_of(files: Amount, size: Amount, seconds: Amount, standard: Amount) -> Batch:
    """Return the batch of some files from their bytes; `seconds` and `standard` are those of a byte of source."""
    return Batch(files, size, size * seconds, size * standard)


@dataclass(frozen=True)
class Prober:
    """How recordings are looked at: into which standard form they go, by which channel and resampler, how long."""

    form: str
    channel: str | int
    resampler: str
    patience_s: float

    def probe(self, recordings: Iterable[tuple[Path, float]]) -> Probes:
        """Read headers of recordings in random order, and compress excerpts of the first, while the patience lasts."""
        probes, started = Probes(), time.monotonic()
        for path, size in recordings:
            spent = time.monotonic() - started
            if spent > self.patience_s:
                break
            excerpt = self.form == "flac" and len(probes.flac_rates) < EXCERPTS
            excerpt = excerpt and spent < self.patience_s * EXCERPT_SHARE
            probes.add(path, size, self.channel, self.resampler, excerpt=excerpt)
        return probes

    def batch(self, folder: Path, recordings: Sequence[tuple[str, int]], share: float) -> tuple[Batch, str]:
        """Return the batch of which some recordings are a share, and in words what that was made from.

        `recordings`: path below `folder` and bytes of each; their sum must not be 0.
        """
        n_bytes = sum(size for _, size in recordings)
        known = exact(1.0) if share == 1.0 else about(1.0, 2.0 if share == UNKNOWN_SHARE else 1.1)
        scale = exact(1 / share) * known
        chosen = sampler().sample(recordings, min(RECORDINGS_SAMPLED, len(recordings)))
        probes = self.probe([(folder / path, size) for path, size in chosen])
        whole = share == 1.0 and len(probes.sounds) >= len(recordings)
        population = len(probes.sounds) if whole else len(recordings) / share
        seconds, standard = self.rates(probes, population, recordings[0][0])
        words = f"{round(population):,} recordings, headers of {len(probes.sounds):,}"
        return batch_of(exact(len(recordings)) * scale, exact(n_bytes) * scale, seconds, standard), words

    def rates(self, probes: Probes, population: float, example: str) -> tuple[Amount, Amount]:
        """Return seconds and bytes of standard audio in a byte of source; assumed by a name where nothing was read."""
        if not probes.sounds:
            return assumed_rates(example, self.form)
        return probes.seconds_per_byte(population), probes.standard_per_byte(self.form, population)
