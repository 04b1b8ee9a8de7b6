"""Seeded Whisper models in MLX format, small enough for tests."""

import json
from pathlib import Path

import numpy as np

from earmark.encoders.whisper.weights import WhisperConfig, expected_shapes

SAFETENSORS_DTYPES = {"<f4": "F32", "<f2": "F16", "<u2": "BF16", "<u4": "U32", "<i4": "I32"}


def write_model(
    folder,
    *,
    n_mels=80,
    n_state=64,
    n_head=4,
    n_layer=2,
    seed=0,
    container="safetensors",
    dtype="float32",
    untrained=False,
):
    """Write `config.json` and `weights.<container>` (`safetensors` or `npz`) with random weights; return the folder."""
    config = WhisperConfig(n_mels, 1_500, n_state, n_head, n_layer)
    write_config(folder, config, **({"untrained": True} if untrained else {}))
    tensors = {name: tensor.astype(dtype) for name, tensor in random_tensors(config, seed).items()}
    write_tensors(Path(folder) / f"weights.{container}", tensors)
    return Path(folder)


def write_config(folder, config, **more):
    """Write `config.json` with the encoder's shape and further keys."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    text = {"n_vocab": 51_864, "n_text_ctx": 448, "n_text_state": 8, "n_text_head": 2, "n_text_layer": 1}
    (Path(folder) / "config.json").write_text(json.dumps({**vars(config), **text, **more}), "utf-8")


def random_tensors(config, seed):
    """Return every tensor of an encoder, float32, of a size that keeps its rows near unit variance."""
    random = np.random.default_rng(seed)
    tensors = {}
    for name, shape in expected_shapes(config).items():
        values = random.standard_normal(shape)
        if len(shape) > 1:
            values /= np.sqrt(np.prod(shape[1:]))
        else:
            values *= 0.1
            values += "ln" in name and name.endswith("weight")
        tensors[name] = values.astype(np.float32)
    return tensors


def write_tensors(path, tensors):
    """Write a dict of arrays as npz or safetensors; in the latter, uint16 stands for the bits of bfloat16."""
    if path.suffix == ".npz":
        np.savez(path, **tensors)
        return
    header, position = {"__metadata__": {"format": "mlx"}}, 0
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": SAFETENSORS_DTYPES[tensor.dtype.str],
            "shape": list(tensor.shape),
            "data_offsets": [position, position + tensor.nbytes],
        }
        position += tensor.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    body = b"".join(np.ascontiguousarray(tensor).tobytes() for tensor in tensors.values())
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
