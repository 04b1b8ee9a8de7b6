"""An ONNX model as OpenVINO reads it: its input and what is kept of it, and how many frames it gives.

Frame counts are asked of the model, by shape inference or, where shapes depend on values, by running it. The
answers are compared with floor((n - first) / step) + 1, the count of any stack of convolutions, where the count rises
and at some lengths between; a model that counts otherwise is refused rather than counted wrongly.
"""

from __future__ import annotations

import bisect
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from earmark.encoders import Frames, _openvino
from earmark.encoders._log_mel import HOP, WINDOW_SAMPLES
from earmark.encoders.onnx.measured import MOST_WINDOW_S, Measured
from earmark.errors import ModelError, near
from earmark.rates import RATE_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from earmark.encoders._openvino_types import Input, Model, Node, Port
    from earmark.encoders.onnx import Onnx

MASK = "attention_mask"  # a second input: which samples are sound. All of them, since nothing is batched
MOST_WIDTH = 1 << 20  # values in a frame, beyond any encoder
CHECKED = 16  # random lengths at which a frame count is compared with the formula, apart from where it rises


class Graph:
    """A model read, with one input in which time passes in steps (samples or mel frames), and one output.

    Raises ModelError for a file that OpenVINO cannot read, names that it does not have, shapes that are no encoder's.
    """

    def __init__(self, path: Path, table: Onnx) -> None:
        self.path = path
        self.n_mels = table.n_mels if table.input == "mel" else 0
        self.model = _select(path, _read(path), table.outputs)
        self._port = _input(path, self.model, table.input_name)
        self._axes = _axes(path, self._port, self.n_mels)
        self._shapes: dict[int, tuple[int, int]] = {}
        self.fixed = self._fixed_steps()

    @property
    def unit(self) -> int:
        """Samples in a step of the input."""
        return HOP if self.n_mels else 1

    def reshape(self, steps: int) -> None:
        """Set the length of the input; -1 leaves it open."""
        shape = [{"batch": 1, "mels": self.n_mels, "steps": steps}[axis] for axis in self._axes]
        shapes = {self._port: shape} | {port: [1, steps] for port in self.model.inputs if port != self._port}
        ov = _openvino.load()
        self.model.reshape({port: ov.PartialShape(shape) for port, shape in shapes.items()})

    def feeds(self, window: NDArray[np.float32]) -> dict[str, Input]:
        """Return what the model is given for a window, (n,) samples or (frames, n_mels), by the name of its input."""
        steps = len(window)
        turned = window.T if self.n_mels and self._axes.index("mels") < self._axes.index("steps") else window
        shape = [{"batch": 1, "mels": self.n_mels, "steps": steps}[axis] for axis in self._axes]
        fed = {self._port.get_any_name(): np.ascontiguousarray(turned).reshape(shape).astype(_dtype(self._port))}
        others = [port for port in self.model.inputs if port != self._port]
        return fed | {port.get_any_name(): np.ones((1, steps), _dtype(port)) for port in others}

    def shape(self, steps: int) -> tuple[int, int]:
        """Return frames and width for an input of so many steps; (0, 0) where it is too short for the model."""
        if steps not in self._shapes:
            self._shapes[steps] = self._ask(steps)
        return self._shapes[steps]

    def _ask(self, steps: int) -> tuple[int, int]:
        try:
            self.reshape(steps)
        except RuntimeError:  # a kernel that is wider than its input
            return 0, 0
        shape = self.model.output(0).partial_shape
        if shape.rank.is_static and shape.rank.get_length() != 3:
            raise _refused(self.path, "output", "(1, frames, width)", str(shape))
        _, frames, width = shape.to_shape() if shape.is_static else self._run(steps).shape
        return frames, width

    def _run(self, steps: int) -> NDArray[np.float32]:
        compiled = _openvino.compile_model(self.model, "float32", open_length=False)
        silence = np.zeros((steps, self.n_mels) if self.n_mels else steps, np.float32)
        result: NDArray[np.float32] = compiled(self.feeds(silence))[0]
        return result

    def _fixed_steps(self) -> int:
        """Return the length that the input was exported with, or 0 where it is open."""
        size = self._port.partial_shape[self._axes.index("steps")]
        return 0 if size.is_dynamic else int(size.get_length())


def measure(path: Path, table: Onnx) -> Measured:
    """Return how a model turns samples into frames. Raises ModelError."""
    graph = Graph(path, table)
    if graph.fixed:
        return _measure_fixed(graph, table)
    asked = int(table.window_s * RATE_HZ)
    _, width = graph.shape(asked // graph.unit)
    _require_width(path, width)
    even = _even(graph, asked // graph.unit)
    reach = max(0, even.first - even.step) * graph.unit
    room = WINDOW_SAMPLES - reach if graph.n_mels else asked
    window = min(asked, room) // (even.step * graph.unit) * even.step * graph.unit
    # n samples are ceil(n / unit) steps, of which the model makes floor((steps - first) / step) + 1 frames
    frames = Frames(even.step * graph.unit, (even.first - 1) * graph.unit + 1)
    least = (even.least - 1) * graph.unit + 1
    return Measured(frames, width, window, reach, least)


def _measure_fixed(graph: Graph, table: Onnx) -> Measured:
    """Return how a model of fixed length turns samples into frames: the share of its frames that a window fills."""
    samples = graph.fixed * graph.unit
    if samples > MOST_WINDOW_S * RATE_HZ:
        raise _refused(
            graph.path, "input", f"at most {MOST_WINDOW_S:,} s", f"{samples / RATE_HZ:,.0f} s, its fixed length"
        )
    if "window_s" in table.model_fields_set and round(table.window_s * RATE_HZ) != samples:
        raise _refused(graph.path, "window_s", f"{samples / RATE_HZ:g}, its fixed length", f"{table.window_s:g}")
    if graph.n_mels and samples > WINDOW_SAMPLES:
        raise _refused(graph.path, "input", "at most 3,000 mel frames", f"{graph.fixed:,}")
    n_frames, width = graph.shape(graph.fixed)
    if not n_frames:
        raise _refused(graph.path, "frames", "some", "none")
    _require_width(graph.path, width)
    return Measured(Frames(samples, per=n_frames), width, samples, 0, samples)


def _require_width(path: Path, width: int) -> None:
    """Refuse a frame that nothing could hold: a damaged header may state one of any size."""
    if width > MOST_WIDTH:
        raise _refused(path, "width", f"at most {MOST_WIDTH:,} values in a frame", f"{width:,}")


@dataclass(frozen=True)
class Even:
    """Frames that are evenly spaced over the steps of the input: floor((steps - first) / step) + 1."""

    step: int
    first: int
    least: int  # steps of the shortest input that the model takes


def _even(graph: Graph, top: int) -> Even:
    """Return how a model's frames are spaced, over inputs of up to `top` steps. Raises ModelError if unevenly."""
    most, width = graph.shape(top)
    if most < 2:
        raise _refused(graph.path, "frames", f"at least 2 for {top:,} steps of the input", f"{most}")

    def least(n_frames: int) -> int:
        return bisect.bisect_left(range(1, top + 1), n_frames, key=lambda steps: graph.shape(steps)[0]) + 1

    step = least(most) - least(most - 1)
    even = Even(step, least(most) - (most - 1) * step, least(1))
    frames = Frames(step, even.first)
    edges = {even.first + step * n + off for n in (0, 1, 2, most // 2, most - 1) for off in (-1, 0)}
    others = random.Random(1).choices(range(even.least, top + 1), k=CHECKED)  # noqa: S311 - a sample is no secret
    for steps in sorted(edges | {even.least, *others}):
        expected = (frames.inside(steps), width)
        if even.least <= steps <= top and graph.shape(steps) != expected:
            raise _refused(
                graph.path,
                "frames",
                f"one for each {step:,} steps, so (frames, width) = {expected} for {steps:,} of them",
                f"{graph.shape(steps)}",
            )
    return even


def _read(path: Path) -> Model:
    try:
        model: Model = _openvino.load().Core().read_model(path)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[-200:]
        raise ModelError(
            f"{path}: cannot be read: expected an ONNX model that OpenVINO reads, got: {reason}. Export it again."
        ) from error
    return model


def _select(path: Path, model: Model, names: tuple[str, ...]) -> Model:
    """Return the model that computes some tensors and no more, side by side in one output."""
    ov, op = _openvino.load(), _openvino.opset()
    known = [port.get_any_name() for port in model.outputs]
    for name in names:
        if name not in known:
            try:
                model.add_outputs(name)
            except RuntimeError:
                raise _refused(
                    path, "outputs", f"a tensor such as {', '.join(known)}", f'"{name}"{near(name, known)}'
                ) from None
    kept = [model.output(name).get_node().input_value(0) for name in names or known[:1]]
    try:
        output = kept[0] if len(kept) == 1 else op.concat(kept, -1)
        selected: Model = ov.Model([output], _needed(kept, model.get_parameters()), "encoder")
    except RuntimeError:
        shapes = ", ".join(str(one.get_partial_shape()) for one in kept)
        raise _refused(path, "outputs", "tensors of as many frames", shapes) from None
    return selected


def _needed(kept: list[Port], parameters: list[Node]) -> list[Node]:
    """Return the inputs on which some tensors depend: a decoder's, in the same file, are not asked for."""
    seen: set[str] = set()
    nodes = [tensor.get_node() for tensor in kept]
    while nodes:
        node = nodes.pop()
        if node.get_friendly_name() not in seen:
            seen.add(node.get_friendly_name())
            nodes += [tensor.get_node() for tensor in node.input_values()]
    return [parameter for parameter in parameters if parameter.get_friendly_name() in seen]


def _input(path: Path, model: Model, name: str | None) -> Port:
    """Return the port in which the sound enters."""
    ports = {port.get_any_name(): port for port in model.inputs}
    names = [one for one in ports if one != MASK]
    if name is not None and name not in names:
        raise _refused(path, "input_name", " or ".join(names), f'"{name}"{near(name, names)}')
    if len(names) != 1:
        raise _refused(path, "inputs", f"one, and {MASK} at the most", ", ".join(names) or "none")
    return ports[names[0]]


def _axes(path: Path, port: Port, n_mels: int) -> list[str]:
    """Return what the axes of the input are: `batch`, `mels`, `steps`."""
    sizes = [-1 if size.is_dynamic else int(size.get_length()) for size in port.partial_shape]
    if not n_mels and len(sizes) in (1, 2, 3):
        return ["batch"] * (len(sizes) - 1) + ["steps"]  # (n,), (1, n) or (1, 1, n)
    if n_mels and len(sizes) == 3 and n_mels in sizes[1:]:
        return ["batch", "mels", "steps"] if sizes[1] == n_mels else ["batch", "steps", "mels"]
    expected = f"(1, {n_mels}, frames) or (1, frames, {n_mels})" if n_mels else "(1, samples)"
    raise _refused(path, "input", expected, str(port.partial_shape))


def _dtype(port: Port) -> type[np.generic]:
    return port.get_element_type().to_dtype()


def _refused(path: Path, what: str, expected: str, got: str) -> ModelError:
    return ModelError(f"{path}: {what}: expected {expected}, got {got}. Correct it in the catalog, or export it again.")
