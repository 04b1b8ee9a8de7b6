"""The Whisper encoder on OpenVINO: the CPU of any machine, from the same MLX-format weights.

The graph is built node by node from OpenVINO's opset 13; no file in another format, no conversion.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from earmark.encoders.whisper.weights import Model, WhisperConfig, sinusoids
from earmark.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEVICE = "CPU"
LAYER_NORM_EPSILON = 1e-5  # PyTorch's default, which Whisper was trained with
CAPABILITIES = {"float32": "FP32", "float16": "FP16", "bfloat16": "BF16"}  # as the device lists what it computes in


@dataclass(frozen=True)
class OpenvinoEncoder:
    """A Whisper encoder compiled for this CPU."""

    config: WhisperConfig
    compiled: Any
    version: str
    batch: int = 1  # larger batches were slower on every CPU tried
    engine: str = "openvino"

    @property
    def n_state(self) -> int:
        """Width of a feature row."""
        return self.config.n_audio_state

    def encode(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the rows after the last layer norm, (batch, frames // 2, n_state) float32, 50 a second."""
        n_batch, n_frames, n_mels = mels.shape
        assert n_mels == self.config.n_mels and n_frames % 2 == 0, mels.shape
        assert n_frames // 2 <= self.config.n_audio_ctx, mels.shape
        rows = np.empty((n_batch, n_frames // 2, self.n_state), dtype=np.float32)
        for index in range(n_batch):
            window = np.ascontiguousarray(mels[index : index + 1], dtype=np.float32)
            rows[index] = self.compiled(window, share_inputs=True, share_outputs=True)[0][0]
        return rows


def build(model: Model, precision: str, window: str) -> OpenvinoEncoder:
    """Return the encoder compiled for this CPU; `precision`: `float32`, `float16` or `bfloat16`.

    `window = "padded"` fixes the length at 3,000 mel frames, "clip" leaves it open.
    Raises ModelError when the CPU cannot compute in that precision: OpenVINO would take another one in silence.
    """
    ov = _import_openvino()
    core = ov.Core()
    _check_precision(core, precision)
    n_frames = 2 * model.config.n_audio_ctx if window == "padded" else -1
    element = {"float32": ov.Type.f32, "float16": ov.Type.f16, "bfloat16": ov.Type.bf16}[precision]
    options = {
        "INFERENCE_PRECISION_HINT": element,
        "EXECUTION_MODE_HINT": ov.properties.hint.ExecutionMode.ACCURACY,
        "PERFORMANCE_HINT": ov.properties.hint.PerformanceMode.LATENCY,
        "NUM_STREAMS": 1,
    }
    if window == "clip":
        # OpenVINO 2026.4.1 keeps the kernel of its fused attention from a first clip of one row and uses it, with no
        # error, for all longer clips: wrong numbers. Unfused, about a tenth slower, every length came out right.
        options["SNIPPETS_MODE"] = "DISABLE"
    compiled = core.compile_model(_graph(ov, model, n_frames), DEVICE, options)
    used = compiled.get_property("INFERENCE_PRECISION_HINT")
    if used != element:
        raise _refusal(core, precision, used.get_type_name())
    name = core.get_property(DEVICE, "FULL_DEVICE_NAME")
    return OpenvinoEncoder(model.config, compiled, f"openvino {ov.__version__} on CPU {name}")


def _import_openvino() -> Any:
    """Return the module openvino, imported without its model converter.

    On import the converter reports to a server and leaves files in the home folder; the module itself does without it.
    """
    converter = "openvino.tools.ovc"
    if "openvino" not in sys.modules and converter not in sys.modules:
        sys.modules[converter] = None  # type: ignore[assignment]
        try:
            import openvino
        finally:
            del sys.modules[converter]
        return openvino
    import openvino

    return openvino


def _check_precision(core: Any, precision: str) -> None:
    if CAPABILITIES[precision] not in core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"):
        raise _refusal(core, precision, "no such capability")


def _refusal(core: Any, precision: str, got: str) -> ModelError:
    capable = core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    offered = ", ".join(name for name, capability in CAPABILITIES.items() if capability in capable)
    return ModelError(
        f'precision "{precision}": this CPU cannot compute in it with OpenVINO: expected one of {offered}, got {got}.'
        " Name one of these for the encoder in the catalog."
    )


def _graph(ov: Any, model: Model, n_frames: int) -> Any:
    """Return the encoder as an OpenVINO model: (1, n_frames, n_mels) to (1, n_frames // 2, n_state)."""
    from openvino import opset13 as op

    config, tensors = model.config, model.tensors
    mels = op.parameter(ov.PartialShape([1, n_frames, config.n_mels]), ov.Type.f32, name="mels")
    channels_first = np.array([0, 2, 1], dtype=np.int32)
    rows = op.transpose(mels, channels_first)
    for name, stride in (("encoder.conv1", 1), ("encoder.conv2", 2)):
        kernel = np.ascontiguousarray(tensors[f"{name}.weight"].transpose(0, 2, 1))
        rows = op.convolution(rows, op.constant(kernel), [stride], [1], [1], [1])
        rows = op.gelu(op.add(rows, op.constant(tensors[f"{name}.bias"][None, :, None])), "erf")
    rows = op.add(op.transpose(rows, channels_first), _positions(op, rows, config, n_frames))
    for layer in range(config.n_audio_layer):
        rows = _block(op, tensors, f"encoder.blocks.{layer}", rows, config)
    return ov.Model([_layer_norm(op, tensors, "encoder.ln_post", rows)], [mels], "whisper_encoder")


def _positions(op: Any, channels_first: Any, config: WhisperConfig, n_frames: int) -> Any:
    """Return the position table, (rows, n_state), cut to the rows at hand where their number is open."""
    table = op.constant(sinusoids(config.n_audio_ctx, config.n_audio_state))
    if n_frames > 0:
        return table
    zero, one, two = (op.constant(np.array([value], dtype=np.int64)) for value in range(3))
    n_rows = op.gather(op.shape_of(channels_first, "i64"), two, zero)
    return op.slice(table, zero, n_rows, one, zero)


def _block(op: Any, tensors: dict[str, Any], name: str, rows: Any, config: WhisperConfig) -> Any:
    """Return one residual layer's rows, (1, rows, n_state)."""
    hidden = _layer_norm(op, tensors, f"{name}.attn_ln", rows)
    rows = op.add(rows, _attention(op, tensors, f"{name}.attn", hidden, config))
    hidden = _linear(op, tensors, f"{name}.mlp1", _layer_norm(op, tensors, f"{name}.mlp_ln", rows))
    return op.add(rows, _linear(op, tensors, f"{name}.mlp2", op.gelu(hidden, "erf")))


def _attention(op: Any, tensors: dict[str, Any], name: str, rows: Any, config: WhisperConfig) -> Any:
    """Return every row's softmax-weighted mean of all rows' values, by head; keys have no bias."""
    heads = op.constant(np.array([0, 0, config.n_audio_head, -1], dtype=np.int64))
    swapped = op.constant(np.array([0, 2, 1, 3], dtype=np.int32))
    query, key, value = (
        op.transpose(op.reshape(_linear(op, tensors, f"{name}.{part}", rows), heads, True), swapped)
        for part in ("query", "key", "value")
    )
    mixed = op.scaled_dot_product_attention(query, key, value)
    joined = op.constant(np.array([0, 0, config.n_audio_state], dtype=np.int64))
    return _linear(op, tensors, f"{name}.out", op.reshape(op.transpose(mixed, swapped), joined, True))


def _linear(op: Any, tensors: dict[str, Any], name: str, rows: Any) -> Any:
    product = op.matmul(rows, op.constant(tensors[f"{name}.weight"]), False, True)
    bias = tensors.get(f"{name}.bias")
    return product if bias is None else op.add(product, op.constant(bias))


def _layer_norm(op: Any, tensors: dict[str, Any], name: str, rows: Any) -> Any:
    last_axis = op.constant(np.array([-1], dtype=np.int64))
    normal = op.mvn(rows, last_axis, True, LAYER_NORM_EPSILON, "inside_sqrt")
    scaled = op.multiply(normal, op.constant(tensors[f"{name}.weight"]))
    return op.add(scaled, op.constant(tensors[f"{name}.bias"]))
