"""Encoders: Whisper's, the same numbers from two engines, MLX and OpenVINO, and F0; behind one small protocol.

Nothing heavy is imported here, so that a build tool may ask for names and identities at its start-up.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from earmark.errors import CatalogError, ModelError, near
from earmark.rates import RATE_HZ

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from earmark.encoders.whisper.weights import WhisperConfig

CODE_VERSION = 1  # raise it when our mel or encoder code changes the numbers: every feature is then computed anew
F0_CODE_VERSION = 1
F0_LOWEST_HZ, F0_HIGHEST_HZ = 20.0, 4000.0
F0_FLOOR_HZ, F0_CEILING_HZ = 60.0, 1100.0  # from a low voice to a soprano's high c
ENGINES = ("mlx", "openvino")
PRECISIONS = ("float32", "float16", "bfloat16")
WINDOWS = ("padded", "clip")
MLX_CUDA_DISTRIBUTIONS = ("mlx-cuda-13", "mlx-cuda-12", "mlx-cuda")  # what the extras mlx[cuda13] etc. install


class FrontEnd(Protocol):
    """What makes an encoder's input of samples; `context` is how many samples around a window it looks at."""

    @property
    def context(self) -> int:
        """Samples wanted on both sides, as far as the recording has them."""

    def windows(self, samples: NDArray[np.int16], start: int, stop: int) -> list[tuple[NDArray[np.float32], int]]:
        """Return the input of each 30 s window of samples[start:stop], and the number of rows that it must give."""


class Encoder(Protocol):
    """An encoder, ready to run; the front end that belongs to it makes its input."""

    @property
    def n_state(self) -> int:
        """Width of a feature row."""

    @property
    def batch(self) -> int:
        """How many windows of equal length this engine likes at once."""

    @property
    def engine(self) -> str:
        """`mlx`, `openvino` or `praat`."""

    @property
    def version(self) -> str:
        """Library version and device, for the record."""

    def encode(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the rows after the last layer norm, (batch, frames // 2, n_state) float32, 50 a second.

        `mels`: (batch, frames, n_mels) float32, 100 frames a second, `frames` even and at most 3,000; exactly 3,000
        where the window is "padded".
        """


def choose_engine(name: str) -> str:
    """Return the engine to use, `mlx` or `openvino`; `auto` takes MLX where it has a GPU, else OpenVINO.

    Raises ModelError when the name is unknown or the engine is not installed.
    """
    if name == "auto":
        return choose_engine("mlx" if _mlx_has_gpu() else "openvino")
    if name not in ENGINES:
        raise ModelError(
            f'engine "{name}": unknown: expected "auto", "mlx" or "openvino"{near(name, ("auto", *ENGINES))}.'
            " Correct it in the catalog."
        )
    if importlib.util.find_spec(name) is None:
        package = "mlx[cpu]" if name == "mlx" and sys.platform == "linux" else name
        raise ModelError(
            f'engine "{name}": not installed: expected the package {name}, found none.'
            f" Install it (uv pip install '{package}') or name the other engine in the catalog."
        )
    return name


def _mlx_has_gpu() -> bool:
    """Tell whether MLX computes on a GPU here: Apple silicon, or Linux with one of MLX's CUDA packages."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    for distribution in MLX_CUDA_DISTRIBUTIONS:
        try:
            importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
        return True
    return False


def check_choice(what: str, value: str, known: tuple[str, ...]) -> str:
    """Return `value` if it is one of `known`; raises ModelError with the nearest known one if not."""
    if value not in known:
        expected = ", ".join(f'"{one}"' for one in known)
        raise ModelError(
            f'{what} "{value}": unknown: expected one of {expected}{near(value, known)}. Correct it in the catalog.'
        )
    return value


def open_encoder(folder: Path, engine: str, precision: str, window: str) -> Encoder:
    """Return the encoder of a model folder, its weights loaded and its graph built.

    `engine`: `auto`, `mlx` or `openvino`. `precision`: what it computes in: `float32`, `float16` or `bfloat16`.
    `window`: `padded` (always 3,000 mel frames) or `clip` (any even number up to that).
    Raises ModelError for a folder, weights, name or precision that cannot be used here.
    """
    chosen = choose_engine(engine)
    check_choice("precision", precision, PRECISIONS)
    check_choice("window", window, WINDOWS)
    from earmark.encoders.whisper import mlx_engine, openvino_engine, weights

    build = mlx_engine.build if chosen == "mlx" else openvino_engine.build
    return build(weights.load(folder), precision, window)


def open_f0() -> Encoder:
    """Return the encoder of kind "f0". Raises ModelError where its library is not installed."""
    from earmark.encoders import f0

    return f0.build()


def front_end(identity: dict[str, Any]) -> FrontEnd:
    """Return the front end that an identity names."""
    from earmark.encoders import f0
    from earmark.encoders.whisper import mel

    if identity["kind"] == "f0":
        return f0.Pitch(identity["floor_hz"], identity["ceiling_hz"])
    return mel.LogMel(identity["mel"]["n_mels"], identity["window"])


def f0_range(floor_hz: float | None, ceiling_hz: float | None, where: str = "the catalog") -> tuple[float, float]:
    """Return the frequencies between which F0 is looked for. Raises CatalogError for what no analysis can have."""
    floor, ceiling = floor_hz or F0_FLOOR_HZ, ceiling_hz or F0_CEILING_HZ
    if not F0_LOWEST_HZ <= floor < ceiling <= F0_HIGHEST_HZ:
        raise CatalogError(
            f"{where}: floor_hz, ceiling_hz: expected {F0_LOWEST_HZ:g} <= floor_hz < ceiling_hz <= {F0_HIGHEST_HZ:g},"
            f" got {floor:g} and {ceiling:g}."
        )
    return floor, ceiling


def f0_identity(floor_hz: float | None, ceiling_hz: float | None, codec: str) -> dict[str, Any]:
    """Return all that names the numbers of an encoder of kind "f0"; Praat's version is recorded, not keyed."""
    floor, ceiling = f0_range(floor_hz, ceiling_hz)
    return {
        "kind": "f0",
        "method": "praat autocorrelation",
        "floor_hz": floor,
        "ceiling_hz": ceiling,
        "codec": codec,
        "code": F0_CODE_VERSION,
    }


def identity(weights: str, config: WhisperConfig, *, window: str, precision: str, codec: str) -> dict[str, Any]:
    """Return all that names the numbers in a feature pack; the engine is not in it, for engines agree.

    `weights` is the hash from `weights.weights_hash`, `config` comes from `weights.read_config`.
    Raises ModelError for an unknown window or precision.
    """
    check_choice("precision", precision, PRECISIONS)
    check_choice("window", window, WINDOWS)
    return {
        "kind": "whisper",
        "weights": weights,
        "config": asdict(config),
        "mel": {"rate_hz": RATE_HZ, "n_fft": 400, "hop": 160, "n_mels": config.n_mels, "scale": "slaney"},
        "window": window,
        "precision": precision,
        "codec": codec,
        "code": CODE_VERSION,
    }
