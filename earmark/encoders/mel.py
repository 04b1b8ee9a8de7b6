"""Kind "mel": Whisper's log-mel itself, 100 frames a second, for those who run the encoder while training.

ceil(n / 160) frames of n samples. Whisper scales a log-mel by the loudest value of its 30 s window, so a recording has
no log-mel of its own but one a window: consecutive windows of 30 s, each as the window "clip" computes it, cut to its
true length. A window of 30 s is what Whisper was trained on, bit for bit. A shorter one, filled up with its smallest
value, differs from Whisper's in the last frames alone, whose transform hears the end mirrored instead of silence.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from earmark.encoders import Encoder, EncoderForecast, EncoderTable, Frames, Identity, ModelStore, Window
from earmark.encoders._log_mel import HOP, WINDOW_SAMPLES, log_mel_identity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CODE_VERSION = 1  # raise it when our code changes the numbers
FRAMES = Frames(HOP)
WINDOWS_PER_S = 20.0  # 30 s windows a second on two shared cores, decoding and writing included


class Mel(EncoderTable):
    """An encoder of kind "mel": how many bands, and how they are stored."""

    kind: Literal["mel"] = "mel"
    n_mels: Literal[80, 128] = Field(default=80, description="mel bands: 80 up to Whisper large-v2, 128 from large-v3")

    def identity(self, models: ModelStore) -> Identity:
        """Return all that names the numbers."""
        return {"kind": "mel", "mel": log_mel_identity(self.n_mels), "codec": self.codec, "code": CODE_VERSION}

    def forecast(self, models: ModelStore) -> EncoderForecast:
        """Return width, frame rate and cost."""
        return EncoderForecast(self.n_mels, FRAMES, WINDOWS_PER_S)

    def open(self, models: ModelStore) -> Encoder:
        """Return the encoder."""
        import numpy as np

        from earmark.encoders._front_end_alone import FrontEndAlone

        about = {"frames": asdict(FRAMES)}
        return FrontEndAlone(TrueMel(self.n_mels), self.n_mels, "numpy", f"numpy {np.__version__}", about)


KIND = Mel


@dataclass(frozen=True)
class TrueMel:
    """The front end: the log-mel of each 30 s window, cut to its true length."""

    n_mels: int
    context: int = 0
    window_samples: int = WINDOW_SAMPLES
    frames: Frames = FRAMES

    def windows(self, samples: NDArray[np.int16], start: int, stop: int) -> list[Window]:
        """Return the log-mel of each 30 s window of samples[start:stop], (frames, n_mels) float32, and its length."""
        inputs = []
        for first in range(start, stop, self.window_samples):
            frames = true_mel(samples[first : min(first + self.window_samples, stop)], self.n_mels)
            inputs.append((frames, len(frames)))
        return inputs


def true_mel(samples: NDArray[np.int16], n_mels: int) -> NDArray[np.float32]:
    """Return the log-mel of a window, (ceil(n / 160), n_mels) float32; `samples`: (n,) int16, 1 <= n <= 480,000."""
    from earmark.encoders.whisper.mel import log_mel

    return log_mel(samples, n_mels, "clip")[: FRAMES.count(samples.size)]
