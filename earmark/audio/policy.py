"""How recordings become canonical audio: what the catalog chooses. Nothing heavy is imported here."""

import msgspec

from earmark.rates import RATE_HZ


class Policy(msgspec.Struct, frozen=True):
    """`channel`: "mean" or a number from 0; soxr's quality; `format` of standard files: "flac", "wav" or "none"."""

    channel: str | int = "mean"
    resampler: str = "HQ"
    format: str = "flac"
    rate_hz: int = RATE_HZ
