"""Levels of int16 samples that arrive in blocks; how they are cut into blocks does not change the result."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.rates import RATE_HZ

FULL_SCALE = 32_768  # the int16 magnitude that counts as 1.0
FRAME_SAMPLES = RATE_HZ // 50  # 20 ms, the frame in which silence is judged
SILENCE_DBFS = -60.0  # dB relative to a constant of 1.0; a frame whose RMS is below is silent

_SILENT_SQUARE = (FULL_SCALE * 10 ** (SILENCE_DBFS / 20)) ** 2  # mean square at the limit of silence


@dataclass
class LevelMeter:
    """Counts over the samples so far.

    All are whole numbers: sums of floats would depend on where the blocks end, and the levels are in tables that must
    be byte-equal between runs.
    """

    n_samples: int = 0
    n_clipped: int = 0
    n_silent: int = 0
    total: int = 0
    squares: int = 0
    greatest: int = 0
    tail: bytes = b""  # samples behind the last whole frame

    def update(self, block: NDArray[np.int16]) -> None:
        """Feed samples, (n,) int16, n > 0."""
        low, high = int(block.min()), int(block.max())
        self.n_samples += len(block)
        self.greatest = max(self.greatest, -low, high)
        self.total += int(block.sum(dtype=np.int64))
        if low == -FULL_SCALE or high == FULL_SCALE - 1:
            self.n_clipped += int(((block == -FULL_SCALE) | (block == FULL_SCALE - 1)).sum())
        samples = np.concatenate([np.frombuffer(self.tail, np.int16), block]) if self.tail else block
        whole = len(samples) - len(samples) % FRAME_SAMPLES
        wide = samples[:whole].astype(np.int32)  # a square of an int16 fits in, a sum of squares does not
        energies = np.square(wide, out=wide).reshape(-1, FRAME_SAMPLES).sum(axis=1, dtype=np.int64)
        self.squares += int(energies.sum())
        self.n_silent += int((energies < FRAME_SAMPLES * _SILENT_SQUARE).sum())
        self.tail = samples[whole:].tobytes()

    def levels(self) -> dict[str, float]:
        """Return peak, rms, clipped, silence and dc, 1.0 being 32,768; at least one sample must have come.

        peak: greatest magnitude. rms: root mean square. dc: mean. clipped: share of samples at -32,768 or 32,767.
        silence: share of 20 ms frames, a shorter last one included, whose RMS is below -60 dBFS.
        """
        rest = np.frombuffer(self.tail, np.int16).astype(np.int64)
        energy = int((rest * rest).sum())
        n_silent = self.n_silent + int(len(rest) > 0 and energy < len(rest) * _SILENT_SQUARE)
        return {
            "peak": self.greatest / FULL_SCALE,
            "rms": float(((self.squares + energy) / self.n_samples) ** 0.5 / FULL_SCALE),
            "clipped": self.n_clipped / self.n_samples,
            "silence": n_silent / -(-self.n_samples // FRAME_SAMPLES),
            "dc": self.total / self.n_samples / FULL_SCALE,
        }
