"""Kind "f0": fundamental frequency by Praat, (f0_hz, strength) a frame, at the frame rate of a Whisper encoder."""

import importlib.util
from typing import Literal

from pydantic import Field

from earmark.encoders import Encoder, EncoderForecast, EncoderTable, Frames, Identity, ModelStore
from earmark.errors import ModelError

CODE_VERSION = 1  # raise it when our code changes the numbers
LOWEST_HZ, HIGHEST_HZ = 20.0, 4000.0  # between which an analysis makes sense at all
FLOOR_HZ, CEILING_HZ = 60.0, 1100.0  # from a low voice to a soprano's high c
N_VALUES = 2  # f0_hz, strength
FRAMES = Frames(320)  # as a Whisper encoder's, so that frame i of both describes the same sound
WINDOWS_PER_S = 5.0  # 30 s windows a second on two shared cores


class F0(EncoderTable):
    """An encoder of kind "f0": between which frequencies it looks, and how frames are stored."""

    kind: Literal["f0"] = "f0"
    floor_hz: float | None = Field(default=None, gt=0, description=f"lowest F0 in Hz; absent: {FLOOR_HZ:g}")
    ceiling_hz: float | None = Field(default=None, gt=0, description=f"highest F0 in Hz; absent: {CEILING_HZ:g}")

    @property
    def range_hz(self) -> tuple[float, float]:
        """The frequencies between which F0 is looked for."""
        return self.floor_hz or FLOOR_HZ, self.ceiling_hz or CEILING_HZ

    def fault(self) -> str:
        """Return what is wrong with frequencies that no analysis can have."""
        floor, ceiling = self.range_hz
        if LOWEST_HZ <= floor < ceiling <= HIGHEST_HZ:
            return ""
        return (
            f"floor_hz, ceiling_hz: expected {LOWEST_HZ:g} <= floor_hz < ceiling_hz <= {HIGHEST_HZ:g},"
            f" got {floor:g} and {ceiling:g}"
        )

    def prepare(self, models: ModelStore) -> None:
        """See that Praat is installed. Raises ModelError."""
        if importlib.util.find_spec("parselmouth") is None:
            raise ModelError(
                'encoder of kind "f0": not installed: expected the package praat-parselmouth (GPL-3.0), found none.'
                " Install it: `uv sync --extra f0`."
            )

    def identity(self, models: ModelStore) -> Identity:
        """Return all that names the numbers; Praat's version is recorded, not keyed."""
        floor, ceiling = self.range_hz
        return {
            "kind": "f0",
            "method": "praat autocorrelation",
            "floor_hz": floor,
            "ceiling_hz": ceiling,
            "codec": self.codec,
            "code": CODE_VERSION,
        }

    def forecast(self, models: ModelStore) -> EncoderForecast:
        """Return width, frame rate and cost."""
        return EncoderForecast(N_VALUES, FRAMES, WINDOWS_PER_S)

    def open(self, models: ModelStore) -> Encoder:
        """Return the encoder. Raises ModelError where its library is not installed."""
        self.prepare(models)
        from earmark.encoders._front_end_alone import FrontEndAlone
        from earmark.encoders.f0 import pitch

        return FrontEndAlone(pitch.Pitch(*self.range_hz), N_VALUES, "praat", pitch.praat_version())


KIND = F0
