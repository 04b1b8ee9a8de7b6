"""Whisper's log-mel by its numbers, for all kinds that know it; what computes it is `whisper.mel`.

Source: openai/whisper `whisper/audio.py`.
"""

from earmark.encoders import Identity
from earmark.rates import RATE_HZ

WINDOW_S = 30  # seconds over which a log-mel is scaled by its loudest value
WINDOW_SAMPLES = WINDOW_S * RATE_HZ
N_FFT = 400  # samples under one Hann window
HOP = 160  # samples between mel frames: 100 a second
N_MELS = (80, 128)  # mel bands of Whisper up to large-v2, and from large-v3 on


def log_mel_identity(n_mels: int) -> Identity:
    """Return what names the numbers of a log-mel."""
    return {"rate_hz": RATE_HZ, "n_fft": N_FFT, "hop": HOP, "n_mels": n_mels, "scale": "slaney"}
