"""Small seeded ONNX models in the shapes of HuBERT, wav2vec2 and Whisper exports."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HUBERT = ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))  # kernel, stride: 400 samples a frame, one each 320
WIDTH = 8  # of the models written here


class Graph:
    """An ONNX graph in the making, its weights seeded."""

    def __init__(self, seed=0):
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights = [], []

    def add(self, op, *inputs, name="", **attributes):
        name = name or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def constant(self, values):
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def weight(self, *shape):
        scale = np.sqrt(np.prod(shape[1:]))
        return self.constant((self.random.standard_normal(shape) / scale).astype(np.float32))

    def convolve(self, rows, channels, width, kernel, stride, padding=0):
        convolved = self.add(
            "Conv", rows, self.weight(width, channels, kernel), kernel_shape=[kernel], strides=[stride],
            pads=[padding, padding],
        )  # fmt: skip
        return self.add("Tanh", convolved)

    def attend(self, rows, name, width=WIDTH):
        """One head of self-attention and a residual: every frame hears the whole window, as in a transformer."""
        query, key, value = (self.add("MatMul", rows, self.weight(width, width)) for _ in range(3))
        scores = self.add("MatMul", query, self.add("Transpose", key, perm=[0, 2, 1]))
        mixed = self.add("MatMul", self.add("Softmax", scores, axis=-1), value)
        return self.add("Add", rows, mixed, name=name)

    def save(self, path, inputs, outputs):
        made = helper.make_graph(self.nodes, "seeded", inputs, outputs, self.weights)
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, path)
        return Path(path)


def value(name, *shape, element=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, element, list(shape))


def write_hubert(path, seed=0, convolutions=HUBERT, length="samples", mask=False, width=WIDTH):
    """Write a model of samples (1, n): convolutions without padding, two blocks; outputs `last_hidden_state`, `first`.

    With `mask` it wants an attention mask too, and adds what it says to every frame.
    """
    graph = Graph(seed)
    rows = graph.add("Unsqueeze", "input_values", graph.constant(np.array([1], np.int64)))
    for number, (kernel, stride) in enumerate(convolutions):
        rows = graph.convolve(rows, 1 if number == 0 else width, width, kernel, stride)
    rows = graph.add("Transpose", rows, perm=[0, 2, 1])
    inputs = [value("input_values", "batch", length)]
    if mask:
        heard = graph.add("ReduceMean", graph.add("Cast", "attention_mask", to=TensorProto.FLOAT), keepdims=0)
        rows = graph.add("Add", rows, heard)
        inputs.append(value("attention_mask", "batch", length, element=TensorProto.INT64))
    first = graph.attend(rows, "first", width)
    graph.add("Tanh", graph.attend(first, "second", width), name="last_hidden_state")
    outputs = [value(name, "batch", "frames", width) for name in ("last_hidden_state", "first")]
    return graph.save(path, inputs, outputs)


def write_mel_model(path, n_mels=80, seed=0, length="mel_frames"):
    """Write a model of log-mel (1, n_mels, frames) in the shape of Whisper's: two convolutions, the second halves."""
    graph = Graph(seed)
    rows = graph.convolve("input_features", n_mels, WIDTH, 3, 1, padding=1)
    rows = graph.convolve(rows, WIDTH, WIDTH, 3, 2, padding=1)
    graph.attend(graph.add("Transpose", rows, perm=[0, 2, 1]), "last_hidden_state")
    return graph.save(
        path, [value("input_features", "batch", n_mels, length)], [value("last_hidden_state", "batch", "rows", WIDTH)]
    )
