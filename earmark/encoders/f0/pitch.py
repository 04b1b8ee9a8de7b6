"""Fundamental frequency by Praat's autocorrelation method: one row for each row of a Whisper encoder, 50 a second.

Row i, (f0_hz, strength) float32, describes samples [320 i, 320 i + 320): the analysis window of 3 / floor_hz seconds is
centred on them. f0_hz is 0 where the sound is unvoiced; strength is the height of the autocorrelation's peak, 0 to 1.
Windows of 30 s, with 1 s of sound around them, are analysed alone: Praat compares loudness within what it is given.
Source: P. Boersma, "Accurate short-term analysis of the fundamental frequency ..." (IFA Proceedings 17, 1993), in the
implementation of Praat itself (parselmouth), with Praat's standard costs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.encoders import Frames
from earmark.encoders._log_mel import WINDOW_SAMPLES
from earmark.encoders.f0 import FRAMES
from earmark.encoders.whisper.mel import INT16_SCALE, STRIDE, windows
from earmark.rates import RATE_HZ

CONTEXT_SAMPLES = RATE_HZ  # sound around a window of 30 s
PERIODS = 3  # periods of the floor frequency in an analysis window: Praat's choice for this method
SPARE = STRIDE // 4  # samples added so that Praat counts as many frames as are wanted; two frames are 320 apart


@dataclass(frozen=True)
class Pitch:
    """The front end: samples to rows of (f0_hz, strength)."""

    floor_hz: float
    ceiling_hz: float
    context: int = CONTEXT_SAMPLES
    window_samples: int = WINDOW_SAMPLES
    frames: Frames = FRAMES

    def windows(self, samples: NDArray[np.int16], start: int, stop: int) -> list[tuple[NDArray[np.float32], int]]:
        """Return the rows of each 30 s window of samples[start:stop], (n, 2) float32, and n; the rest is context."""
        inputs = []
        for first, last in windows(stop - start):
            # no more than the context: however much of the recording was read, the numbers are the same
            heard = slice(max(start + first - self.context, 0), start + last + self.context)
            rows = self._rows(samples[heard], start + first - heard.start, start + last - heard.start)
            inputs.append((rows, len(rows)))
        return inputs

    def _rows(self, samples: NDArray[np.int16], start: int, stop: int) -> NDArray[np.float32]:
        """Analyse samples [start, stop) within what is around; frames are laid out so that some fall on their rows."""
        n_rows = -(-(stop - start) // STRIDE)
        rows_before = start // STRIDE
        rows_after = -(-(len(samples) - stop) // STRIDE)
        n_all = rows_before + n_rows + rows_after
        # Praat centres its frames in the sound: silence is put around it until frame 0 is centred on row 0
        reach = PERIODS * RATE_HZ / self.floor_hz
        length = round((n_all - 1) * STRIDE + reach + SPARE)
        lead = round((length - (n_all - 1) * STRIDE) / 2 - STRIDE / 2)
        first = start - rows_before * STRIDE
        sound = np.zeros(length)
        heard = samples[max(first - lead, 0) : first - lead + length]
        at = max(lead - first, 0)
        sound[at : at + len(heard)] = heard * float(INT16_SCALE)
        values = self._analyse(sound)
        assert len(values) == n_all, (len(values), n_all)
        return values[rows_before : rows_before + n_rows]

    def _analyse(self, sound: NDArray[np.float64]) -> NDArray[np.float32]:
        import parselmouth

        pitch = parselmouth.Sound(sound, RATE_HZ).to_pitch_ac(
            time_step=STRIDE / RATE_HZ, pitch_floor=self.floor_hz, pitch_ceiling=self.ceiling_hz
        )
        chosen = pitch.selected_array
        return np.stack([chosen["frequency"], chosen["strength"]], axis=1).astype(np.float32)


def praat_version() -> str:
    """Return the versions of Praat and of its Python library."""
    import parselmouth

    return f"parselmouth {parselmouth.__version__}, Praat {parselmouth.PRAAT_VERSION}"
