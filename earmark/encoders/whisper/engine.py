"""What the engines of the Whisper encoder have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from earmark.encoders.whisper.config import Layer, WhisperConfig
from earmark.encoders.whisper.mel import LogMel
from earmark.rows import JSON

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LAYER_NORM_EPSILON = 1e-5  # PyTorch's default, which Whisper was trained with


@dataclass(frozen=True, kw_only=True)
class WhisperEncoder:
    """A Whisper encoder on some engine, ready to run."""

    front_end: LogMel
    config: WhisperConfig
    layers: tuple[Layer, ...]
    version: str
    engine: str
    batch: int = 1
    about: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def n_state(self) -> int:
        """Width of a frame: that of the model for each layer."""
        return self.config.n_audio_state * len(self.layers)

    def encode(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the hidden states of the layers side by side, (batch, frames // 2, n_state) float32, 50 a second.

        `mels`: (batch, frames, n_mels), 100 a second, `frames` even and at most 3,000.
        """
        _, n_frames, n_mels = mels.shape
        assert n_mels == self.config.n_mels and n_frames % 2 == 0, mels.shape
        assert n_frames // 2 <= self.config.n_audio_ctx, mels.shape
        return self._encode(mels)

    @abstractmethod
    def _encode(self, mels: NDArray[np.float32]) -> NDArray[np.float32]: ...
