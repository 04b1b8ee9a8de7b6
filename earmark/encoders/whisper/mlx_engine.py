"""The Whisper encoder on MLX: Apple silicon, or an NVIDIA GPU with MLX's CUDA package; on a CPU only for small trials.

Source: the architecture of mlx-examples `whisper/mlx_whisper/whisper.py`; attention by MLX's fused kernel, which never
stores the matrix of scores.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from earmark.encoders.whisper.config import LAST, Layer, n_blocks
from earmark.encoders.whisper.engine import LAYER_NORM_EPSILON, WhisperEncoder
from earmark.encoders.whisper.mel import LogMel
from earmark.encoders.whisper.weights import Model, sinusoids

if TYPE_CHECKING:
    from mlx.core import array
    from numpy.typing import NDArray

GPU_BATCH = 8  # windows; enough to fill a GPU, small enough for 8 GB with the largest Whisper


@dataclass(frozen=True, kw_only=True)
class MlxEncoder(WhisperEncoder):
    """A Whisper encoder whose weights are on MLX's default device, in the precision that it computes in."""

    tensors: dict[str, array]
    positions: array
    engine: str = "mlx"

    def _encode(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        import mlx.core as mx

        n_rows = mels.shape[1] // 2
        rows = _stem(self.tensors, mx.array(mels).astype(self.positions.dtype)) + self.positions[:n_rows]
        states: dict[Layer, array] = {}
        for layer in range(n_blocks(self.config.n_audio_layer, self.layers)):
            rows = _block(self.tensors, f"encoder.blocks.{layer}", rows, self.config.n_audio_head)
            states[layer + 1] = rows
        if LAST in self.layers:
            states[LAST] = _layer_norm(self.tensors, "encoder.ln_post", rows)
        chosen = [states[layer] for layer in self.layers]
        return np.array((chosen[0] if len(chosen) == 1 else mx.concatenate(chosen, axis=-1)).astype(mx.float32))


def build(model: Model, precision: str, window: str, layers: tuple[Layer, ...]) -> MlxEncoder:
    """Return the encoder on MLX's default device; `precision`: `float32`, `float16` or `bfloat16`.

    `layers`: none named is the last alone. The graph is made anew for each call, so both windows are served alike.
    """
    import mlx.core as mx

    assert window in {"padded", "clip"}, window
    dtype = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}[precision]
    tensors = {name: mx.array(tensor).astype(dtype) for name, tensor in model.tensors.items()}
    positions = mx.array(sinusoids(model.config.n_audio_ctx, model.config.n_audio_state)).astype(dtype)
    mx.eval(tensors, positions)
    device = mx.default_device()
    on_gpu = device.type == mx.DeviceType.gpu
    name = mx.device_info().get("device_name", "unknown")
    return MlxEncoder(
        front_end=LogMel(model.config.n_mels, window),
        config=model.config,
        layers=layers or (LAST,),
        tensors=tensors,
        positions=positions,
        batch=GPU_BATCH if on_gpu else 1,
        version=f"mlx {importlib.metadata.version('mlx')} on {'GPU' if on_gpu else 'CPU'} {name}",
    )


def _stem(tensors: dict[str, array], mels: array) -> array:
    """Return (batch, frames // 2, n_state) from (batch, frames, n_mels): two convolutions, the second of stride 2."""
    import mlx.core as mx

    rows = mels
    for name, stride in (("encoder.conv1", 1), ("encoder.conv2", 2)):
        rows = mx.conv1d(rows, tensors[f"{name}.weight"], stride=stride, padding=1)
        rows = _gelu(rows + tensors[f"{name}.bias"])
    return rows


def _block(tensors: dict[str, array], name: str, rows: array, n_head: int) -> array:
    """Return one residual layer's rows, (batch, rows, n_state)."""
    hidden = _layer_norm(tensors, f"{name}.attn_ln", rows)
    rows = rows + _attention(tensors, f"{name}.attn", hidden, n_head)
    hidden = _gelu(_linear(tensors, f"{name}.mlp1", _layer_norm(tensors, f"{name}.mlp_ln", rows)))
    return rows + _linear(tensors, f"{name}.mlp2", hidden)


def _attention(tensors: dict[str, array], name: str, rows: array, n_head: int) -> array:
    """Return every row's softmax-weighted mean of all rows' values, by head; keys have no bias."""
    import mlx.core as mx

    n_batch, n_rows, n_state = rows.shape
    width = n_state // n_head
    query, key, value = (
        _linear(tensors, f"{name}.{part}", rows).reshape(n_batch, n_rows, n_head, width).transpose(0, 2, 1, 3)
        for part in ("query", "key", "value")
    )
    mixed = mx.fast.scaled_dot_product_attention(query, key, value, scale=width**-0.5)
    return _linear(tensors, f"{name}.out", mixed.transpose(0, 2, 1, 3).reshape(n_batch, n_rows, n_state))


def _linear(tensors: dict[str, array], name: str, rows: array) -> array:
    product = rows @ tensors[f"{name}.weight"].T
    bias = tensors.get(f"{name}.bias")
    return product if bias is None else product + bias


def _layer_norm(tensors: dict[str, array], name: str, rows: array) -> array:
    import mlx.core as mx

    return mx.fast.layer_norm(rows, tensors[f"{name}.weight"], tensors[f"{name}.bias"], LAYER_NORM_EPSILON)


def _gelu(rows: array) -> array:
    """Return the exact GELU, x * Phi(x)."""
    import mlx.core as mx

    return rows * (1 + mx.erf(rows * 0.5**0.5)) / 2
