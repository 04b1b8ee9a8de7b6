"""Accuracy of the F0 encoder on synthetic glides and a vibrato: `uv run python benchmarks/f0_glides.py`.

Voice-like tones of eight harmonics (amplitude 1/k), exponential glides of 4 s; white noise at a given signal-to-noise
ratio. The error is in cents against the F0 in the middle of each row; a row that is off by 50 cents or more is gross.
"""

import time

import numpy as np

from earmark.encoders.f0 import CEILING_HZ, FLOOR_HZ
from earmark.encoders.f0.pitch import Pitch

RATE_HZ, STEP, SECONDS = 16_000, 320, 4.0
SNRS_DB = (None, 20, 10)
TIME_S = np.arange(int(SECONDS * RATE_HZ)) / RATE_HZ
CONTOURS = {
    "glide 70 to 140 Hz": 70 * 2 ** (TIME_S / SECONDS),
    "glide 80 to 400 Hz": 80 * 5 ** (TIME_S / SECONDS),
    "glide 400 to 80 Hz": 400 * 0.2 ** (TIME_S / SECONDS),
    "glide 200 to 1,000 Hz": 200 * 5 ** (TIME_S / SECONDS),
    "vibrato 220 Hz, 6 %, 5.5 Hz": 220 * (1 + 0.06 * np.sin(2 * np.pi * 5.5 * TIME_S)),
}


def voice(f0_hz, snr_db):
    """Return a tone of given F0 (n,) in Hz as int16, with seeded white noise."""
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE_HZ
    sound = sum(np.sin(k * phase) / k * (k * f0_hz < 7_500) for k in range(1, 9))
    sound *= 0.4 / np.abs(sound).max()
    if snr_db is not None:
        noise = np.random.default_rng(0).normal(size=len(sound))
        sound = sound + noise * np.sqrt(np.mean(sound**2) / 10 ** (snr_db / 10))
    return np.rint(sound * 32_000).clip(-32_768, 32_767).astype(np.int16)


def main():
    """Print one line a contour and ratio."""
    pitch = Pitch(FLOOR_HZ, CEILING_HZ)
    print(f"{'contour':<28} {'SNR':>6} {'voiced':>7} {'median':>7} {'95 %':>6} {'gross':>6}   (cents; shares of rows)")
    seconds = heard = 0.0
    for name, f0_hz in CONTOURS.items():
        for snr_db in SNRS_DB:
            samples = voice(f0_hz, snr_db)
            started = time.perf_counter()
            rows = np.concatenate([found for found, _ in pitch.windows(samples, 0, len(samples))])
            seconds, heard = seconds + time.perf_counter() - started, heard + SECONDS
            truth = f0_hz[STEP // 2 :: STEP]
            found = rows[: len(truth), 0]
            error = np.abs(1200 * np.log2(found[found > 0] / truth[found > 0]))
            ratio = "clean" if snr_db is None else f"{snr_db} dB"
            print(
                f"{name:<28} {ratio:>6} {np.mean(found > 0):>7.3f} {np.median(error):>7.2f}"
                f" {np.percentile(error, 95):>6.2f} {np.mean(error >= 50):>6.3f}"
            )
    print(f"{heard / seconds:,.0f} s of sound a second on one core")


if __name__ == "__main__":
    main()
