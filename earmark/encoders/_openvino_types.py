"""The classes of OpenVINO as they are used here, for mypy: its own stubs export no name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Input: TypeAlias = NDArray[np.generic]  # of whatever type the model takes


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
