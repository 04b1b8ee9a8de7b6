"""Log-mel spectrogram of canonical audio, number for number the one that Whisper was trained on.

Source: openai/whisper `whisper/audio.py` and its MLX port `mlx_whisper/audio.py`: short-time Fourier transform with a
periodic Hann window of 400 samples every 160, centred by reflection, the last frame dropped; power; Slaney mel bands;
log10 with a floor of 1e-10 and of 8 decades below the loudest value of the window; then (x + 4) / 4.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from earmark.encoders import Frames
from earmark.encoders._log_mel import HOP, N_FFT, N_MELS, WINDOW_SAMPLES
from earmark.encoders.whisper import FRAMES
from earmark.rates import RATE_HZ

STRIDE = FRAMES.step  # samples between encoder rows: 2 * HOP, 50 rows a second
INT16_SCALE = np.float32(1 / 32768)  # int16 to [-1, 1); a power of two, so exact
POWER_FLOOR = np.float32(1e-10)
DYNAMIC_RANGE = np.float32(8.0)  # decades kept below the loudest value
LOG_SHIFT = np.float32(4.0)  # Whisper's scaling to about [-1, 1]: (x + 4) / 4

# Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above.
HZ_PER_MEL = 200.0 / 3.0  # Hz a mel in the linear part
LOG_START_HZ = 1_000.0  # where the logarithmic part begins
LOG_STEP = float(np.log(6.4)) / 27.0  # natural logarithm of the frequency ratio of one mel above it


def windows(n_samples: int) -> list[tuple[int, int]]:
    """Return (start, stop) in samples of the consecutive 30 s windows that cover a recording; the last may be short."""
    return [(start, min(start + WINDOW_SAMPLES, n_samples)) for start in range(0, n_samples, WINDOW_SAMPLES)]


def n_output_frames(n_samples: int) -> int:
    """Return how many encoder rows a recording (or one window of it) has: ceil(n_samples / 320), 50 a second.

    A window is a whole number of strides, so the sum over a recording's windows is the same number.
    """
    return FRAMES.count(n_samples)


@dataclass(frozen=True)
class LogMel:
    """The front end of a Whisper encoder: each 30 s window alone, with nothing around it."""

    n_mels: int
    window: str
    context: int = 0
    window_samples: int = WINDOW_SAMPLES
    frames: Frames = FRAMES

    def windows(self, samples: NDArray[np.int16], start: int, stop: int) -> list[tuple[NDArray[np.float32], int]]:
        """Return the log-mel of each window of samples[start:stop], (frames, n_mels), and the rows it must give."""
        return [
            (log_mel(samples[start + first : start + last], self.n_mels, self.window), n_output_frames(last - first))
            for first, last in windows(stop - start)
        ]


def log_mel(samples: NDArray[np.int16], n_mels: int, window: str) -> NDArray[np.float32]:
    """Return the log-mel spectrogram of one window, (frames, n_mels) float32, 100 frames a second.

    `samples`: (n,) int16 at 16 kHz, 1 <= n <= 480,000. `n_mels`: 80 or 128.
    `window = "padded"`: silence is appended up to 30 s, so 3,000 frames.
    `window = "clip"`: silence is appended up to a whole number of encoder rows (320 samples), so
    2 * ceil(n / 320) frames. What the transform then needs beyond both ends is the sound mirrored, 200 samples each;
    the shortest clip has 320 after padding, so the mirror always fits.
    """
    assert samples.ndim == 1 and samples.dtype == np.int16 and 0 < samples.size <= WINDOW_SAMPLES, samples.shape
    assert window in {"padded", "clip"}, window
    length = WINDOW_SAMPLES if window == "padded" else n_output_frames(samples.size) * STRIDE
    padded = np.zeros(length + N_FFT, dtype=np.float32)
    centre = N_FFT // 2
    sound = padded[centre : centre + length]
    np.multiply(samples, INT16_SCALE, out=sound[: samples.size])
    padded[:centre] = sound[centre:0:-1]
    padded[-centre:] = sound[-2 : -centre - 2 : -1]
    near_end = samples.size > length - N_FFT  # there the mirror has sound
    n_heard = length // HOP if near_end else -(-(centre + samples.size) // HOP)
    return _compress(_mel_power(padded, length // HOP, n_mels, n_heard))


def _mel_power(padded: NDArray[np.float32], n_frames: int, n_mels: int, n_heard: int) -> NDArray[np.float32]:
    """Return the power in each mel band, (n_frames, n_mels); frames from `n_heard` on are in silence, so are zero."""
    frames = sliding_window_view(padded, N_FFT)[: n_heard * HOP : HOP]
    spectrum = np.fft.rfft(frames * _hann(), axis=-1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    bands = np.zeros((n_frames, n_mels), dtype=np.float32)
    np.matmul(power, mel_filters(n_mels).T, out=bands[:n_heard])
    return bands


def _compress(bands: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return Whisper's logarithm of mel power, in place."""
    np.maximum(bands, POWER_FLOOR, out=bands)
    np.log10(bands, out=bands)
    np.maximum(bands, bands.max() - DYNAMIC_RANGE, out=bands)
    bands += LOG_SHIFT
    bands /= LOG_SHIFT
    return bands


@functools.cache
def _hann() -> NDArray[np.float32]:
    """Return the periodic Hann window, (400,)."""
    phase = 2.0 * np.pi * np.arange(N_FFT) / N_FFT
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)


@functools.cache
def mel_filters(n_mels: int) -> NDArray[np.float32]:
    """Return triangular mel bands of unit area, (n_mels, 201), over the frequencies 0 to 8 kHz of the transform.

    Corners are evenly spaced on Slaney's mel scale from 0 to 8 kHz; each triangle is scaled by 2 / its width in Hz.
    Source: M. Slaney, Auditory Toolbox (1998); the same bands as librosa's default.
    """
    assert n_mels in N_MELS, n_mels
    top_mel = LOG_START_HZ / HZ_PER_MEL + np.log(RATE_HZ / 2 / LOG_START_HZ) / LOG_STEP
    corners = _mel_to_hz(np.linspace(0.0, top_mel, n_mels + 2))
    left, centre, right = (corners[i : i + n_mels, None] for i in range(3))
    bins = np.arange(N_FFT // 2 + 1) * (RATE_HZ / N_FFT)
    rising = (bins - left) / (centre - left)
    falling = (right - bins) / (right - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (right - left))).astype(np.float32)


def _mel_to_hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the frequencies of Slaney mels."""
    start_mel = LOG_START_HZ / HZ_PER_MEL
    return np.where(mels < start_mel, mels * HZ_PER_MEL, LOG_START_HZ * np.exp(LOG_STEP * (mels - start_mel)))
