"""Rates of canonical audio, in one place."""

RATE_HZ = 16_000  # sample rate of canonical audio
HOUR_S = 3_600  # seconds
