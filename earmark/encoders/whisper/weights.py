"""A Whisper encoder's weights: found in a folder, the hub's cache or the hub, checked, and read as float32.

Source: names, shapes and the position table of mlx-examples `whisper/mlx_whisper/whisper.py`; convolution weights are
stored as (n_state, 3, channels in). Only the encoder's tensors are looked at. Hub cache: huggingface_hub's own docs.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.disk.files import FULL, disk_error
from earmark.disk.hashing import new_hasher
from earmark.encoders.whisper.config import (
    Quantisation,
    WhisperConfig,
    parse_quantisation,
    parse_shape,
    read_config,
    read_json,
    weights_file,
)
from earmark.errors import ModelError, near

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from earmark.encoders.whisper.tensors import Stored

__all__ = [
    "Model",
    "WhisperConfig",
    "expected_shapes",
    "load",
    "read_config",
    "resolve",
    "resolve_cached",
    "sinusoids",
    "weights_file",
    "weights_hash",
]

PREFIX = "encoder."
POSITION_NAMES = ("encoder._positional_embedding", "encoder.positional_embedding")
POSITION_TOLERANCE = 1e-3  # float16, in which the table is stored, is that fine near 1
MAX_TIMESCALE = 10_000  # of the sinusoids: the longest wavelength is 2 pi times that many rows
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
HUB_FILES = ("config.json", "weights.*", "model.safetensors")
HUB_TIMEOUT_S = 5.0  # to wait for the hub's answer about one file
KERNEL = 3  # rows under both convolutions
MLP_RATIO = 4  # width of the hidden layer over n_state


@dataclass(frozen=True)
class Model:
    """An encoder's weights in memory, by MLX name, float32; `untrained` marks random weights made for trials."""

    config: WhisperConfig
    tensors: dict[str, NDArray[np.float32]]
    untrained: bool


def load(folder: Path) -> Model:
    """Return a model folder's encoder, every tensor there, of its right shape, float32.

    Raises ModelError naming folder, tensor, expected and got.
    """
    path = weights_file(folder)
    raw = read_json(folder)
    config = parse_shape(folder / "config.json", raw)
    quantisation = parse_quantisation(folder / "config.json", raw.get("quantization"))
    from earmark.encoders.whisper.tensors import read_tensors, to_float32

    stored = read_tensors(path, PREFIX)
    for name in POSITION_NAMES:
        if name in stored:
            _check_positions(folder, name, to_float32(stored.pop(name)), config)
    expected = expected_shapes(config)
    tensors = {name: _take(folder, stored, name, shape, quantisation) for name, shape in expected.items()}
    parts = {f"{name.removesuffix('.weight')}.{part}" for name in expected for part in ("scales", "biases")}
    if extra := sorted(stored.keys() - expected.keys() - (parts if quantisation else set())):
        raise ModelError(
            f"{folder}: {extra[0]}: unknown tensor: expected those of {config.n_audio_layer} Whisper encoder layers"
            f"{near(extra[0], expected)}. Check that config.json and {path.name} belong together."
        )
    return Model(config, tensors, bool(raw.get("untrained", False)))


def weights_hash(folder: Path) -> str:
    """Return the XXH3-128 of the encoder's tensors as stored: name, dtype, shape and bytes of each, sorted by name.

    The container does not enter it, nor does a stored position table, which is computed and not used.
    """
    path = weights_file(folder)
    from earmark.encoders.whisper.tensors import read_tensors

    hasher = new_hasher("xxh3")
    for name, tensor in read_tensors(path, PREFIX).items():
        if name not in POSITION_NAMES:
            hasher.update(json.dumps([name, tensor.kind, list(tensor.data.shape)]).encode() + b"\n")
            hasher.update(tensor.data.reshape(-1).view("u1").data)
    return hasher.hexdigest()


def expected_shapes(config: WhisperConfig) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor of an encoder; attention keys have no bias."""
    n_state, hidden = config.n_audio_state, config.n_audio_state * MLP_RATIO
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.conv1.weight": (n_state, KERNEL, config.n_mels),
        "encoder.conv1.bias": (n_state,),
        "encoder.conv2.weight": (n_state, KERNEL, n_state),
        "encoder.conv2.bias": (n_state,),
        "encoder.ln_post.weight": (n_state,),
        "encoder.ln_post.bias": (n_state,),
    }
    for layer in range(config.n_audio_layer):
        block = f"encoder.blocks.{layer}"
        for name in ("attn.query", "attn.key", "attn.value", "attn.out"):
            shapes[f"{block}.{name}.weight"] = (n_state, n_state)
        for name in ("attn.query", "attn.value", "attn.out", "mlp2"):
            shapes[f"{block}.{name}.bias"] = (n_state,)
        for name in ("attn_ln", "mlp_ln"):
            shapes[f"{block}.{name}.weight"] = shapes[f"{block}.{name}.bias"] = (n_state,)
        shapes[f"{block}.mlp1.weight"] = (hidden, n_state)
        shapes[f"{block}.mlp1.bias"] = (hidden,)
        shapes[f"{block}.mlp2.weight"] = (n_state, hidden)
    return shapes


def sinusoids(length: int, n_state: int) -> NDArray[np.float32]:
    """Return Whisper's position table, (length, n_state) float32: sines, then cosines in each row.

    Wavelengths grow geometrically from 2 pi to 2 pi * 10,000 rows. Source: openai/whisper `whisper/model.py`.
    """
    import numpy as np

    half = n_state // 2
    rates = np.exp(-np.log(MAX_TIMESCALE) / (half - 1) * np.arange(half))
    angles = np.arange(length)[:, None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _take(
    folder: Path, stored: dict[str, Stored], name: str, shape: tuple[int, ...], quantisation: Quantisation | None
) -> NDArray[np.float32]:
    import numpy as np

    from earmark.encoders.whisper.tensors import WORD_BITS, dequantise, to_float32

    base = name.removesuffix(".weight")
    if quantisation is not None and name.endswith(".weight") and f"{base}.scales" in stored:
        rows, columns = shape
        groups = (rows, columns // quantisation.group_size)
        packed = _checked(folder, stored, name, (rows, columns * quantisation.bits // WORD_BITS), ("U32",))
        scales = to_float32(_checked(folder, stored, f"{base}.scales", groups))
        biases = to_float32(_checked(folder, stored, f"{base}.biases", groups))
        words = packed.data.astype(np.uint32, copy=False)
        return dequantise(words, scales, biases, quantisation.group_size, quantisation.bits)
    return to_float32(_checked(folder, stored, name, shape))


def _checked(
    folder: Path,
    stored: dict[str, Stored],
    name: str,
    shape: tuple[int, ...],
    kinds: tuple[str, ...] = ("F32", "F16", "BF16"),
) -> Stored:
    tensor = stored.get(name)
    if tensor is None or tensor.data.shape != shape or tensor.kind not in kinds:
        got = "no such tensor" if tensor is None else f"{tensor.kind} {tensor.data.shape}"
        raise ModelError(
            f"{folder}: {name}: wrong weights: expected {' or '.join(kinds)} {shape}, got {got}."
            " Check that config.json and the weights belong together and are in MLX format."
        )
    return tensor


def _check_positions(folder: Path, name: str, table: NDArray[np.float32], config: WhisperConfig) -> None:
    import numpy as np

    ours = sinusoids(config.n_audio_ctx, config.n_audio_state)
    if table.shape != ours.shape or not np.allclose(table, ours, rtol=0.0, atol=POSITION_TOLERANCE):
        off = f"{table.shape}" if table.shape != ours.shape else f"values off by {np.abs(table - ours).max():.3g}"
        raise ModelError(
            f"{folder}: {name}: not Whisper's position table: expected sinusoids {ours.shape}, got {off}."
            " Use a Whisper model whose positions were not trained."
        )


def resolve(model: str, base: Path) -> Path:
    """Return the folder of a model named by a path (relative to `base`) or by a hub id `owner/name`.

    A local folder wins; then a snapshot in the hub's cache, without any network; then the hub.
    Raises ModelError when it is none of these, or cannot be fetched.
    """
    if (cached := resolve_cached(model, base)) is not None:
        return cached
    if not HUB_ID.fullmatch(model):
        raise ModelError(
            f'model "{model}": not found: expected a folder below {base} or a hub id such as'
            " mlx-community/whisper-tiny-mlx, got neither. Correct it in the catalog."
        )
    import huggingface_hub

    try:
        folder = Path(
            huggingface_hub.snapshot_download(model, allow_patterns=list(HUB_FILES), etag_timeout=HUB_TIMEOUT_S)
        )
    except Exception as error:  # the hub raises its own, the HTTP client's and the system's errors alike
        if isinstance(error, OSError) and error.errno in FULL:
            raise disk_error(error, base) from error
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(
            f'model "{model}": cannot be fetched: expected a folder {base / model}, a cached snapshot or the hub,'
            f" got {type(error).__name__} ({reason}). Run `hf download {model}` where there is a network, or name a"
            " local folder."
        ) from error
    weights_file(folder)
    return folder


def resolve_cached(model: str, base: Path) -> Path | None:
    """Return the folder that `resolve` would find without a network, or None."""
    folder = base / Path(model).expanduser()
    if folder.is_dir():
        return folder
    if not HUB_ID.fullmatch(model):
        return None
    home = _hub_cache() / f"models--{model.replace('/', '--')}"
    with contextlib.suppress(OSError, ModelError):  # an interrupted download is as good as none: it is fetched again
        snapshot = home / "snapshots" / (home / "refs" / "main").read_text("utf-8").strip()
        weights_file(snapshot)
        return snapshot
    return None


def _hub_cache() -> Path:
    """Return the hub's cache folder as its own environment variables place it."""
    environment = os.environ
    cache = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or f"{cache}/huggingface"
    folder = environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    return Path(os.path.expandvars(folder)).expanduser()
