"""How recordings become canonical audio: what the catalog chooses. Nothing heavy is imported here."""

import msgspec

from earmark.rates import RATE_HZ

MAX_SHORT_S = 0.1  # seconds that a recording may be shorter than its header says, where the catalog says nothing


class Policy(msgspec.Struct, frozen=True):
    """`channel`: "mean" or a number from 0; soxr's quality; `format` of standard files: "flac", "wav" or "none".

    `max_short` in seconds: what is shorter than its header by more is bad. `media_time`: silence is put where a
    container's time stamps leave gaps. Usual values of both are left out, of rows and keys too, so that those of
    versions before there was a choice are still those of the same policy.
    """

    channel: str | int = "mean"
    resampler: str = "HQ"
    format: str = "flac"
    rate_hz: int = RATE_HZ
    max_short: float | msgspec.UnsetType = msgspec.UNSET
    media_time: bool | msgspec.UnsetType = msgspec.UNSET

    @property
    def max_short_s(self) -> float:
        """Seconds that may be missing."""
        return MAX_SHORT_S if isinstance(self.max_short, msgspec.UnsetType) else self.max_short

    @property
    def keeps_time(self) -> bool:
        """Whether gaps in time are filled with silence."""
        return self.media_time is True


def stated_max_short(seconds: float) -> float | msgspec.UnsetType:
    """Return what a policy holds for a limit."""
    return msgspec.UNSET if seconds == MAX_SHORT_S else seconds
