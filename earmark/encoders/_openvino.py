"""OpenVINO on this machine's CPU: loaded without its converter, and never in another precision than asked."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from earmark.errors import ModelError

if TYPE_CHECKING:
    from earmark.encoders._openvino_types import Compiled, Core, Model, Opset

DEVICE = "CPU"
CAPABILITIES = {"float32": "FP32", "float16": "FP16", "bfloat16": "BF16"}  # as the device lists what it computes in


def load() -> ModuleType:
    """Return the module openvino, imported without its model converter.

    On import the converter reports to a server and leaves files in the home folder; the module itself does without it.
    """
    converter = "openvino.tools.ovc"
    if "openvino" not in sys.modules and converter not in sys.modules:
        sys.modules[converter] = None  # type: ignore[assignment]
        try:
            importlib.import_module("openvino")
        finally:
            del sys.modules[converter]
    return importlib.import_module("openvino")


def opset() -> Opset:
    """Return OpenVINO's operations; opset 13 is the first with scaled dot-product attention."""
    load()
    return importlib.import_module("openvino.opset13")


def compile_model(model: Model, precision: str, *, open_length: bool) -> Compiled:
    """Return a model compiled for this CPU; `precision`: `float32`, `float16` or `bfloat16`.

    `open_length` is for models whose input changes its length from call to call.
    Raises ModelError when the CPU cannot compute in that precision: OpenVINO would take another one in silence.
    """
    ov = load()
    core = ov.Core()
    _check_precision(core, precision)
    element = {"float32": ov.Type.f32, "float16": ov.Type.f16, "bfloat16": ov.Type.bf16}[precision]
    options = {
        "INFERENCE_PRECISION_HINT": element,
        "EXECUTION_MODE_HINT": ov.properties.hint.ExecutionMode.ACCURACY,
        "PERFORMANCE_HINT": ov.properties.hint.PerformanceMode.LATENCY,
        "NUM_STREAMS": 1,
    }
    if open_length:
        # OpenVINO 2026.4.1 keeps the kernel of its fused attention from a first clip of one row and uses it, with no
        # error, for all longer clips: wrong numbers. Unfused, about a tenth slower, every length came out right.
        options["SNIPPETS_MODE"] = "DISABLE"
    compiled = core.compile_model(model, DEVICE, options)
    used = compiled.get_property("INFERENCE_PRECISION_HINT")
    if used != element:
        raise _refusal(core, precision, used.get_type_name())
    result: Compiled = compiled
    return result


def version() -> str:
    """Return library version and device, for the record."""
    ov = load()
    return f"openvino {ov.__version__} on CPU {ov.Core().get_property(DEVICE, 'FULL_DEVICE_NAME')}"


def _check_precision(core: Core, precision: str) -> None:
    if CAPABILITIES[precision] not in core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"):
        raise _refusal(core, precision, "no such capability")


def _refusal(core: Core, precision: str, got: str) -> ModelError:
    capable = core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    offered = ", ".join(name for name, capability in CAPABILITIES.items() if capability in capable)
    return ModelError(
        f'precision "{precision}": this CPU cannot compute in it with OpenVINO: expected one of {offered}, got {got}.'
        " Name one of these for the encoder in the catalog."
    )
