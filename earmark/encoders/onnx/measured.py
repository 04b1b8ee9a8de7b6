"""What was measured of a model: how many frames it gives, how wide, and how a recording is cut for it."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from earmark.encoders import Frames

MOST_WINDOW_S = 600  # seconds of a recording encoded at once


@dataclass(frozen=True)
class Measured:
    """How a model turns samples into frames."""

    frames: Frames
    width: int  # values in a frame
    window_samples: int  # from the start of one window to the start of the next
    reach: int  # samples behind a window that its last frame hears
    least: int  # samples that the model must be given at the least: a shorter window is filled up with silence

    def to_json(self) -> str:
        """Return it as text."""
        return orjson.dumps(self).decode()

    @classmethod
    def from_json(cls, text: str) -> Measured:
        """Return what `to_json` wrote."""
        read = orjson.loads(text)
        return cls(**read | {"frames": Frames(**read["frames"])})
