"""A formant synthesiser: phones to samples, after D. H. Klatt, "Software for a cascade/parallel formant synthesizer",
JASA 67 (1980): a train of glottal pulses through a cascade of resonators, and noise through one broad resonator.

Not a good voice: it has the pitch, the pauses and the formants that level meters, F0 trackers and encoders look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from earmark.rates import RATE_HZ

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

HOP = RATE_HZ // 100  # samples between two settings of the synthesiser: 10 ms
N_FFT = 640  # samples: a window of two hops and 20 ms for the slowest resonance to die away
PEAK = 0.9  # largest amplitude, so that nothing clips
EDGE_FRAMES = 20  # silence before and after an utterance
BANDWIDTHS_HZ = (60.0, 90.0, 150.0, 200.0, 250.0)
HIGH_FORMANTS_HZ = (3500.0, 4500.0)  # F4 and F5 of a man
WOMAN_SCALE = 1.17  # a woman's vocal tract is shorter by about this factor
NOISE_BANDWIDTH_HZ = 1200.0
GLOTTIS_HZ = 100.0  # bandwidth of Klatt's glottal low pass: -12 dB an octave, of which radiation gives back 6
BREATH_S = 1.2  # how fast the pitch falls after a pause
VIBRATO_HZ = 5.0


@dataclass(frozen=True)
class Speaker:
    """A synthetic voice and what it reads."""

    number: int
    sex: str
    split: str
    name: str
    f0_hz: float
    level_dbfs: float
    chapters: tuple[int, ...]
    n_utterances: int  # a chapter


@dataclass(frozen=True)
class Target:
    """What the synthesiser moves to and keeps for some frames of 10 ms."""

    n_frames: int
    voice: float  # loudness of the glottal pulses
    noise: float  # loudness of the noise
    noise_hz: float  # middle of the noise's band
    formants_hz: tuple[float, float, float]  # F1 to F3 of a man


# Frames, then F1 to F3 of men and of women in Hz: the averages of G. E. Peterson and H. L. Barney, "Control methods
# used in a study of the vowels", JASA 24 (1952), table II. Names as in ARPAbet.
VOWELS = {
    "IY": (13, (270.0, 2290.0, 3010.0), (310.0, 2790.0, 3310.0)),
    "IH": (9, (390.0, 1990.0, 2550.0), (430.0, 2480.0, 3070.0)),
    "EH": (11, (530.0, 1840.0, 2480.0), (610.0, 2330.0, 2990.0)),
    "AE": (14, (660.0, 1720.0, 2410.0), (860.0, 2050.0, 2850.0)),
    "AA": (13, (730.0, 1090.0, 2440.0), (850.0, 1220.0, 2810.0)),
    "AO": (14, (570.0, 840.0, 2410.0), (590.0, 920.0, 2710.0)),
    "UH": (9, (440.0, 1020.0, 2240.0), (470.0, 1160.0, 2680.0)),
    "UW": (13, (300.0, 870.0, 2240.0), (370.0, 950.0, 2670.0)),
    "AH": (9, (640.0, 1190.0, 2390.0), (760.0, 1400.0, 2780.0)),
    "ER": (14, (490.0, 1350.0, 1690.0), (500.0, 1640.0, 1960.0)),
}
SILENCE = Target(EDGE_FRAMES, 0.0, 0.0, 3000.0, (500.0, 1500.0, 2500.0))
LIPS, TEETH, PALATE = (
    (300.0, 1000.0, 2150.0),
    (300.0, 1600.0, 2550.0),
    (300.0, 1990.0, 2850.0),
)  # where F1 to F3 move to
CONSONANTS = {
    "SIL": (SILENCE,),
    "P": (Target(6, 0.0, 0.0, 900.0, LIPS), Target(3, 0.0, 0.30, 900.0, LIPS)),
    "B": (Target(5, 0.15, 0.0, 900.0, LIPS), Target(1, 0.3, 0.25, 900.0, LIPS)),
    "T": (Target(6, 0.0, 0.0, 4500.0, TEETH), Target(3, 0.0, 0.40, 4500.0, TEETH)),
    "D": (Target(4, 0.15, 0.0, 4500.0, TEETH), Target(1, 0.3, 0.30, 4500.0, TEETH)),
    "K": (Target(6, 0.0, 0.0, 2000.0, PALATE), Target(3, 0.0, 0.40, 2000.0, PALATE)),
    "G": (Target(5, 0.15, 0.0, 2000.0, PALATE), Target(2, 0.3, 0.25, 2000.0, PALATE)),
    "F": (Target(9, 0.0, 0.08, 5500.0, LIPS),),
    "V": (Target(6, 0.35, 0.05, 5500.0, LIPS),),
    "DH": (Target(5, 0.35, 0.05, 5000.0, TEETH),),
    "S": (Target(11, 0.0, 0.25, 6200.0, TEETH),),
    "SH": (Target(11, 0.0, 0.30, 3000.0, PALATE),),
    "HH": (Target(6, 0.0, 0.12, 1500.0, SILENCE.formants_hz),),
    "M": (Target(8, 0.45, 0.0, 1000.0, (260.0, 1000.0, 2200.0)),),
    "N": (Target(7, 0.45, 0.0, 1000.0, (260.0, 1500.0, 2600.0)),),
    "L": (Target(7, 0.6, 0.0, 1000.0, (310.0, 1050.0, 2880.0)),),
    "R": (Target(7, 0.7, 0.0, 1000.0, (310.0, 1060.0, 1380.0)),),
    "W": (Target(7, 0.5, 0.0, 1000.0, (290.0, 610.0, 2150.0)),),
}


def targets_of(phone: str, sex: str) -> tuple[Target, ...]:
    """Return a phone's targets for a voice of sex "F" or "M": a stop has two, its closure and its burst."""
    if phone in VOWELS:
        n_frames, men_hz, women_hz = VOWELS[phone]
        return (Target(n_frames, 1.0, 0.0, SILENCE.noise_hz, women_hz if sex == "F" else men_hz),)
    if sex == "M":
        return CONSONANTS[phone]
    scaled = []
    for target in CONSONANTS[phone]:
        f1, f2, f3 = (WOMAN_SCALE * formant for formant in target.formants_hz)
        scaled.append(replace(target, formants_hz=(f1, f2, f3)))
    return tuple(scaled)


def synthesise(phones: Sequence[str], speaker: Speaker, random: np.random.Generator) -> Floats:
    """Return samples (n,) float64 at 16 kHz of some phones; a vowel has an RMS near 1."""
    import numpy as np

    targets = [target for phone in phones for target in targets_of(phone, speaker.sex)]
    rows = np.array([(target.voice, target.noise, target.noise_hz, *target.formants_hz) for target in targets])
    frames = np.repeat(rows, [target.n_frames for target in targets], axis=0)
    voice = smooth(frames[:, :1], 3)[:, 0]
    formants = smooth(frames[:, 3:], 5)  # the tongue is slower than the vocal folds
    scale = WOMAN_SCALE if speaker.sex == "F" else 1.0
    steady = [np.full(len(frames), scale * formant) for formant in HIGH_FORMANTS_HZ]
    tract = list(zip([*formants.T, *steady], BANDWIDTHS_HZ, strict=True))
    glottis = np.zeros(len(frames))
    pulses = glottal_pulses(voice, frames[:, 0] > 0, speaker.f0_hz, random)
    hiss = random.standard_normal(len(frames) * HOP) * np.repeat(frames[:, 1], HOP)
    return filtered(pulses, [(glottis, GLOTTIS_HZ), *tract]) + filtered(hiss, [(frames[:, 2], NOISE_BANDWIDTH_HZ)])


def smooth(track: Floats, n_frames: int) -> Floats:
    """Return a track (frames, columns) with its jumps turned into ramps of about `n_frames` frames."""
    import numpy as np

    kernel = np.hanning(n_frames + 2)[1:-1]
    padded = np.pad(track, ((n_frames // 2, n_frames // 2), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, n_frames, axis=0)
    return np.asarray(windows @ (kernel / kernel.sum()), dtype=np.float64)


def glottal_pulses(voice: Floats, voiced: NDArray[np.bool_], f0_hz: float, random: np.random.Generator) -> Floats:
    """Return a train of unit-power pulses, (samples,), under the loudness `voice`, (frames,).

    The pitch falls after each pause, and has a vibrato of 2 % and, frame by frame, a jitter of 1 %. Without them a
    tracker of F0 would have nothing to follow.
    """
    import numpy as np

    n_frames, time_s = len(voice), np.arange(len(voice)) * HOP / RATE_HZ
    silent_for = np.arange(n_frames) - np.maximum.accumulate(np.where(voiced, np.arange(n_frames), 0))
    start_s = np.maximum.accumulate(np.where(silent_for > EDGE_FRAMES // 2, time_s, 0.0))
    fall = 0.88 + 0.26 * np.exp(-(time_s - start_s) / BREATH_S)
    vibrato = 1 + 0.02 * np.sin(2 * np.pi * VIBRATO_HZ * time_s) + 0.01 * random.standard_normal(n_frames)
    at = np.arange(n_frames * HOP) / HOP
    pitch_hz = np.interp(at, np.arange(n_frames), f0_hz * fall * vibrato)
    phase = np.cumsum(pitch_hz) / RATE_HZ
    last = np.flatnonzero(np.diff(np.floor(phase)))  # a pulse falls between this sample and the next
    share = (np.floor(phase[last + 1]) - phase[last]) / (phase[last + 1] - phase[last])
    power = np.interp(at, np.arange(n_frames), voice)[last] * np.sqrt(RATE_HZ / pitch_hz[last])
    power *= 1 + 0.03 * random.standard_normal(len(last))
    pulses = np.zeros(len(at))
    pulses[last] += (1 - share) * power
    pulses[last + 1] += share * power
    return pulses


def filtered(source: Floats, resonators: Sequence[tuple[Floats, float]]) -> Floats:
    """Return a source, (frames * HOP,), through resonators in cascade and the radiation at the lips.

    Each resonator has a frequency a frame, (frames,), and one bandwidth, in Hz: Klatt (1980), equations 1 and 2, here
    as a response a frame, scaled to unit power, on half-overlapping windows.
    """
    import numpy as np

    n_frames = len(source) // HOP
    delay = np.exp(-2j * np.pi * np.arange(N_FFT // 2 + 1) / N_FFT)  # z^-1 at each bin
    response = np.broadcast_to(1 - delay, (n_frames, len(delay))).copy()
    for frequency_hz, bandwidth_hz in resonators:
        radius = np.exp(-np.pi * bandwidth_hz / RATE_HZ)
        turn = 2 * radius * np.cos(2 * np.pi * frequency_hz / RATE_HZ)
        response /= 1 + radius**2 * delay**2 - turn[:, None] * delay
    response /= np.sqrt(np.mean(np.abs(response) ** 2, axis=1, keepdims=True))
    window = 0.5 - 0.5 * np.cos(np.pi * np.arange(2 * HOP) / HOP)
    padded = np.pad(source, (HOP, 0))
    pieces = np.lib.stride_tricks.sliding_window_view(np.pad(padded, (0, HOP)), 2 * HOP)[::HOP][:n_frames]
    rung = np.fft.irfft(np.fft.rfft(pieces * window, N_FFT) * response, N_FFT).reshape(n_frames, -1, HOP)
    out = np.zeros((n_frames + rung.shape[1], HOP))
    for step in range(rung.shape[1]):
        out[step : step + n_frames] += rung[:, step]
    return out[1 : n_frames + 1].reshape(-1)
