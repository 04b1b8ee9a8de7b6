"""Rates of canonical audio, in one place."""

RATE_HZ = 16_000  # sample rate of canonical audio
SAMPLE_BYTES = 2  # int16
WAV_BYTES_PER_S = RATE_HZ * SAMPLE_BYTES  # of canonical audio without compression
HOUR_S = 3_600  # seconds
