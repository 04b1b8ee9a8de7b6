"""OpenVINO on this machine's CPU: loaded without its converter, and never in another precision than asked."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, TypeAlias

from earmark.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Input: TypeAlias = NDArray[np.generic]  # of whatever type the model takes

DEVICE = "CPU"
CAPABILITIES = {"float32": "FP32", "float16": "FP16", "bfloat16": "BF16"}  # as the device lists what it computes in


# What is used here of OpenVINO's classes: its own stubs are not marked as types, and mypy finds no name in them.
class Dimension(Protocol):
    """The size of an axis, which may be open."""

    is_dynamic: bool
    is_static: bool

    def get_length(self) -> int:
        """Return the size of an axis that is not open."""


class Shape(Protocol):
    """The sizes of all axes."""

    rank: Dimension
    is_static: bool

    def __getitem__(self, axis: int) -> Dimension: ...

    def __iter__(self) -> Iterator[Dimension]: ...

    def to_shape(self) -> tuple[int, ...]:
        """Return the sizes, none of which is open."""


class ElementType(Protocol):
    """What numbers a tensor has."""

    def to_dtype(self) -> type[np.generic]:
        """Return NumPy's type for it."""

    def get_type_name(self) -> str:
        """Return what OpenVINO calls it."""


class Node(Protocol):
    """One operation of a model."""

    def get_friendly_name(self) -> str:
        """Return its name, which no two nodes of a model share."""

    def input_value(self, index: int) -> Port:
        """Return the tensor that is one of its inputs."""

    def input_values(self) -> list[Port]:
        """Return the tensors that are its inputs."""


class Port(Protocol):
    """A tensor that enters or leaves a model or a node."""

    partial_shape: Shape

    def get_any_name(self) -> str:
        """Return one of its names."""

    def get_element_type(self) -> ElementType:
        """Return what numbers it has."""

    def get_node(self) -> Node:
        """Return the node that computes it."""

    def get_partial_shape(self) -> Shape:
        """Return its shape."""


class Model(Protocol):
    """A model that was read or built."""

    inputs: list[Port]
    outputs: list[Port]

    def output(self, which: int | str) -> Port:
        """Return an output by number or name."""

    def add_outputs(self, name: str) -> object:
        """Make a tensor an output."""

    def get_parameters(self) -> list[Node]:
        """Return the nodes of the inputs."""

    def reshape(self, shapes: Mapping[Port, object]) -> None:
        """Set the shapes of inputs."""


class Opset(Protocol):
    """OpenVINO's operations by name, each of which returns a node."""

    def __getattr__(self, name: str) -> Callable[..., Node]: ...


class Compiled(Protocol):
    """A model compiled for a device."""

    def __call__(
        self, inputs: Input | Mapping[str, Input], *, share_inputs: bool = ..., share_outputs: bool = ...
    ) -> Mapping[int, NDArray[np.float32]]: ...


class Core(Protocol):
    """OpenVINO's runtime."""

    def get_property(self, device: str, name: str) -> list[str]:
        """Return a property of a device."""


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
