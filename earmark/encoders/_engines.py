"""Which engine computes: MLX or OpenVINO, by name and by what is installed; without importing either."""

import importlib.metadata
import importlib.util
import platform
import sys

from earmark.errors import ModelError, near

ENGINES = ("mlx", "openvino")
PRECISIONS = ("float32", "float16", "bfloat16")
MLX_CUDA_DISTRIBUTIONS = ("mlx-cuda-13", "mlx-cuda-12", "mlx-cuda")  # what the extras mlx[cuda13] etc. install


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
