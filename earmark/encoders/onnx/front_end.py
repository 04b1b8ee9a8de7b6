"""From samples to what an ONNX model takes, window by window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from earmark.encoders import Frames, Window
from earmark.encoders.mel import true_mel
from earmark.encoders.onnx.measured import Measured
from earmark.encoders.whisper.mel import INT16_SCALE

if TYPE_CHECKING:
    from numpy.typing import NDArray

VARIANCE_FLOOR = 1e-7  # added to the variance; the constant of transformers' Wav2Vec2FeatureExtractor


@dataclass(frozen=True)
class OnnxWindows:
    """The front end: samples (n,) float32, or log-mel (frames, n_mels) float32 where `n_mels` is not 0."""

    measured: Measured
    n_mels: int
    normalize: bool

    @property
    def frames(self) -> Frames:
        """How many frames a recording gives."""
        return self.measured.frames

    @property
    def window_samples(self) -> int:
        """Samples from the start of one window to the start of the next."""
        return self.measured.window_samples

    @property
    def context(self) -> int:
        """What a window's last frame hears behind it; one sample at the least, which tells where a recording ends."""
        return max(1, self.measured.reach)

    def windows(self, samples: NDArray[np.int16], start: int, stop: int) -> list[Window]:
        """Return the input of each window of samples[start:stop], and how many of its frames are kept.

        A last window that is too short for a frame has none: the window before it heard its samples.
        """
        inputs = []
        for first in range(start, stop, self.window_samples):
            last = min(first + self.window_samples, stop)
            heard = samples[first : last + self.measured.reach]
            kept = self._kept(len(heard), is_first=first == 0, is_last=last == len(samples))
            if kept:
                inputs.append((self._input(heard), kept))
        return inputs

    def _kept(self, n_heard: int, *, is_first: bool, is_last: bool) -> int:
        if is_last:
            return self.frames.count(n_heard) if is_first else self.frames.inside(n_heard)
        return min(self.frames.inside(n_heard), self.frames.per * self.window_samples // self.frames.step)

    def _input(self, heard: NDArray[np.int16]) -> NDArray[np.float32]:
        missing = max(0, self.measured.least - len(heard))
        if self.n_mels:
            return true_mel(np.pad(heard, (0, missing)), self.n_mels)
        values = heard * INT16_SCALE
        if self.normalize:
            values = (values - values.mean()) / np.sqrt(values.var() + np.float32(VARIANCE_FLOOR))
        return np.pad(values, (0, missing))  # silence comes after scaling, as in transformers
