"""Modules that cost start-up time: nothing that only looks may import them."""

HEAVY = {
    "mlx",
    "mlx_whisper",
    "numba",
    "zarr",
    "av",
    "openvino",
    "parselmouth",
    "pyarrow",
    "numpy",
    "soundfile",
    "soxr",
    "huggingface_hub",
    "rich",
}
