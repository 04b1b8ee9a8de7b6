"""How far the mean of channels lies below the channels themselves: in opposite phase they cancel each other out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.audio.levels import SILENCE_DBFS

# The mean of n channels that have nothing to do with each other has 1/n of their power: 3 dB less for two, more for
# more. What is lost beyond that was cancelled: 17 dB, so 20 dB in all for stereo. No two microphones come near that;
# lossy codecs leave opposite channels 45 dB apart and more.
CANCELLED_DB = 17.0
# Of the seconds with sound, the share that must be cancelled for a recording to be called so: music has such moments.
CANCELLED_SHARE = 0.1
# Of so many sample frames the first few are looked at, which is enough for a power: all would take a third longer. They
# lie side by side, since every sixty-fourth one by itself would cost as much memory traffic as all.
EVERY, LOOKED_AT = 8_192, 128

_SILENT_POWER = 10 ** (SILENCE_DBFS / 10)
_CANCELLED = 10 ** (-CANCELLED_DB / 10)


@dataclass
class DownmixMeter:
    """Counts the seconds in which channels cancel each other out; where blocks are cut does not matter."""

    rate_hz: int
    channels: int
    n_read: int = 0
    sounding: int = 0  # seconds
    cancelled: int = 0
    _second: int = 0  # the one under way, and of it the values looked at and the sums of their powers
    _n: int = 0
    _own: float = 0.0
    _mixed: float = 0.0

    def update(self, block: NDArray[np.integer | np.floating], mean: NDArray[np.floating], full_scale: int) -> None:
        """Feed a block, (n, channels) of that full scale, and the mean of its channels, (n,) of full scale 1.0."""
        places = self._places(len(block))
        if len(places):
            part, mixed = block.take(places, axis=0).astype(np.float32), np.square(mean.take(places))
            own = np.einsum("ij,ij->i", part, part)
            seconds = (self.n_read + places) // self.rate_hz
            starts = np.flatnonzero(np.diff(seconds, prepend=-1))
            sums = (np.add.reduceat(own, starts), np.add.reduceat(mixed, starts), np.diff(starts, append=len(places)))
            for second, one, other, n in zip(seconds[starts].tolist(), *(each.tolist() for each in sums), strict=True):
                self._add(second, one / (float(full_scale) ** 2 * self.channels), other, n)
        self.n_read += len(block)

    def _places(self, n: int) -> NDArray[np.int64]:
        """Return which of the next n sample frames are looked at."""
        firsts = np.arange(-(self.n_read % EVERY), n, EVERY)
        places = (firsts[:, None] + np.arange(LOOKED_AT)).ravel()
        return places[(places >= 0) & (places < n)]

    def _add(self, second: int, own: float, mixed: float, n: int) -> None:
        if second != self._second:
            self._close()
            self._second = second
        self._own, self._mixed, self._n = self._own + own, self._mixed + mixed, self._n + n

    def _close(self) -> None:
        """Judge the second under way."""
        if self._own > self._n * _SILENT_POWER:
            self.sounding += 1
            self.cancelled += self._mixed < self._own / self.channels * _CANCELLED
        self._own, self._mixed, self._n = 0.0, 0.0, 0

    def found(self) -> str:
        """Return in words how much is cancelled, at the end; an empty string for a recording that is well."""
        self._close()
        if self.cancelled <= CANCELLED_SHARE * self.sounding:
            return ""
        return f"the mean of {self.channels} channels is next to nothing in {self.cancelled:,} of {self.sounding:,} s"
