"""An ONNX model, compiled by OpenVINO for this CPU and ready to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from earmark.encoders import _openvino
from earmark.encoders.onnx.front_end import OnnxWindows
from earmark.encoders.onnx.graph import Graph
from earmark.encoders.onnx.measured import Measured
from earmark.rows import JSON

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from earmark.encoders._openvino_types import Compiled
    from earmark.encoders.onnx import Onnx


@dataclass(frozen=True)
class OnnxEncoder:
    """A compiled model with its front end."""

    graph: Graph
    front_end: OnnxWindows
    compiled: Compiled
    version: str
    batch: int = 1  # as Whisper's on OpenVINO: larger batches were slower on every CPU tried
    engine: str = "openvino"

    @property
    def n_state(self) -> int:
        """Width of a frame."""
        return self.front_end.measured.width

    @property
    def about(self) -> Mapping[str, JSON]:
        """How frames are placed in time: frame i begins at sample i * step / per."""
        return {"frames": asdict(self.front_end.frames)}

    def encode(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the frames of windows, (batch, frames, n_state) float32.

        `windows`: (batch, n) samples, or (batch, mel frames, n_mels).
        """
        frames = [np.array(self.compiled(self.graph.feeds(window))[0][0], dtype=np.float32) for window in windows]
        return np.stack(frames)


def build(path: Path, table: Onnx, measured: Measured) -> OnnxEncoder:
    """Return the encoder. Raises ModelError."""
    graph = Graph(path, table)
    graph.reshape(graph.fixed or -1)
    compiled = _openvino.compile_model(graph.model, table.precision, open_length=not graph.fixed)
    front_end = OnnxWindows(measured, graph.n_mels, table.normalize)
    return OnnxEncoder(graph, front_end, compiled, _openvino.version())
