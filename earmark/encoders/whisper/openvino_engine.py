"""The Whisper encoder on OpenVINO: the CPU of any machine, from the same MLX-format weights.

The graph is built node by node from OpenVINO's opset 13; no file in another format, no conversion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from earmark.encoders import _openvino
from earmark.encoders.whisper.config import LAST, Layer, n_blocks
from earmark.encoders.whisper.engine import LAYER_NORM_EPSILON, WhisperEncoder
from earmark.encoders.whisper.mel import LogMel
from earmark.encoders.whisper.weights import Model, WhisperConfig, sinusoids

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from earmark.encoders._openvino_types import Compiled, Node
    from earmark.encoders._openvino_types import Model as Graph

    Tensors: TypeAlias = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class OpenvinoEncoder(WhisperEncoder):
    """A Whisper encoder compiled for this CPU."""

    compiled: Compiled
    engine: str = "openvino"
    batch: int = 1  # larger batches were slower on every CPU tried

    def _encode(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        n_batch, n_frames, _ = mels.shape
        rows = np.empty((n_batch, n_frames // 2, self.n_state), dtype=np.float32)
        for index in range(n_batch):
            window = np.ascontiguousarray(mels[index : index + 1], dtype=np.float32)
            rows[index] = self.compiled(window, share_inputs=True, share_outputs=True)[0][0]
        return rows


def build(model: Model, precision: str, window: str, layers: tuple[Layer, ...]) -> OpenvinoEncoder:
    """Return the encoder compiled for this CPU; `precision`: `float32`, `float16` or `bfloat16`.

    `window = "padded"` fixes the length at 3,000 mel frames, "clip" leaves it open. `layers`: none is the last alone.
    Raises ModelError when the CPU cannot compute in that precision.
    """
    n_frames = 2 * model.config.n_audio_ctx if window == "padded" else -1
    chosen: tuple[Layer, ...] = layers or (LAST,)
    compiled = _openvino.compile_model(_graph(model, n_frames, chosen), precision, open_length=window == "clip")
    return OpenvinoEncoder(
        front_end=LogMel(model.config.n_mels, window),
        config=model.config,
        layers=chosen,
        compiled=compiled,
        version=_openvino.version(),
    )


def _graph(model: Model, n_frames: int, layers: tuple[Layer, ...]) -> Graph:
    """Return the encoder as an OpenVINO model: (1, n_frames, n_mels) to (1, n_frames // 2, n_state of the layers)."""
    ov, op = _openvino.load(), _openvino.opset()
    config, tensors = model.config, model.tensors
    mels = op.parameter(ov.PartialShape([1, n_frames, config.n_mels]), ov.Type.f32, name="mels")
    channels_first = np.array([0, 2, 1], dtype=np.int32)
    rows = op.transpose(mels, channels_first)
    for name, stride in (("encoder.conv1", 1), ("encoder.conv2", 2)):
        kernel = np.ascontiguousarray(tensors[f"{name}.weight"].transpose(0, 2, 1))
        rows = op.convolution(rows, op.constant(kernel), [stride], [1], [1], [1])
        rows = op.gelu(op.add(rows, op.constant(tensors[f"{name}.bias"][None, :, None])), "erf")
    rows = op.add(op.transpose(rows, channels_first), _positions(rows, config, n_frames))
    states: dict[Layer, Node] = {}
    for layer in range(n_blocks(config.n_audio_layer, layers)):
        rows = _block(tensors, f"encoder.blocks.{layer}", rows, config)
        states[layer + 1] = rows
    if LAST in layers:
        states[LAST] = _layer_norm(tensors, "encoder.ln_post", rows)
    chosen = [states[layer] for layer in layers]
    output = chosen[0] if len(chosen) == 1 else op.concat(chosen, -1)
    graph: Graph = ov.Model([output], [mels], "whisper_encoder")
    return graph


def _positions(channels_first: Node, config: WhisperConfig, n_frames: int) -> Node:
    """Return the position table, (rows, n_state), cut to the rows at hand where their number is open."""
    op = _openvino.opset()
    table = op.constant(sinusoids(config.n_audio_ctx, config.n_audio_state))
    if n_frames > 0:
        return table
    zero, one, two = (op.constant(np.array([value], dtype=np.int64)) for value in range(3))
    n_rows = op.gather(op.shape_of(channels_first, "i64"), two, zero)
    return op.slice(table, zero, n_rows, one, zero)


def _block(tensors: Tensors, name: str, rows: Node, config: WhisperConfig) -> Node:
    """Return one residual layer's rows, (1, rows, n_state)."""
    op = _openvino.opset()
    hidden = _layer_norm(tensors, f"{name}.attn_ln", rows)
    rows = op.add(rows, _attention(tensors, f"{name}.attn", hidden, config))
    hidden = _linear(tensors, f"{name}.mlp1", _layer_norm(tensors, f"{name}.mlp_ln", rows))
    return op.add(rows, _linear(tensors, f"{name}.mlp2", op.gelu(hidden, "erf")))


def _attention(tensors: Tensors, name: str, rows: Node, config: WhisperConfig) -> Node:
    """Return every row's softmax-weighted mean of all rows' values, by head; keys have no bias."""
    op = _openvino.opset()
    heads = op.constant(np.array([0, 0, config.n_audio_head, -1], dtype=np.int64))
    swapped = op.constant(np.array([0, 2, 1, 3], dtype=np.int32))
    query, key, value = (
        op.transpose(op.reshape(_linear(tensors, f"{name}.{part}", rows), heads, True), swapped)
        for part in ("query", "key", "value")
    )
    mixed = op.scaled_dot_product_attention(query, key, value)
    merged = op.constant(np.array([0, 0, config.n_audio_state], dtype=np.int64))
    return _linear(tensors, f"{name}.out", op.reshape(op.transpose(mixed, swapped), merged, True))


def _linear(tensors: Tensors, name: str, rows: Node) -> Node:
    op = _openvino.opset()
    product = op.matmul(rows, op.constant(tensors[f"{name}.weight"]), False, True)
    bias = tensors.get(f"{name}.bias")
    return product if bias is None else op.add(product, op.constant(bias))


def _layer_norm(tensors: Tensors, name: str, rows: Node) -> Node:
    op = _openvino.opset()
    last_axis = op.constant(np.array([-1], dtype=np.int64))
    normal = op.mvn(rows, last_axis, True, LAYER_NORM_EPSILON, "inside_sqrt")
    scaled = op.multiply(normal, op.constant(tensors[f"{name}.weight"]))
    return op.add(scaled, op.constant(tensors[f"{name}.bias"]))
