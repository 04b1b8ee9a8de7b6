"""Run in earmark's environment: mlx_whisper's own AudioEncoder on one window, import and loading not timed.

Usage: python peer_mlx.py WEIGHTS.npz; prints the seconds of one window.
"""

import sys
import time

import mlx.core as mx
import numpy as np
from mlx.utils import tree_unflatten
from mlx_whisper.whisper import AudioEncoder


def main(weights: str) -> None:
    """Load the encoder and time one window of noise."""
    with np.load(weights) as stored:
        tensors = {name.removeprefix("encoder."): stored[name] for name in stored.files if name.startswith("encoder.")}
        heads, context, state = int(stored["heads"]), *stored["positions"].shape
    n_mels = tensors["conv1.weight"].shape[2]
    layers = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("blocks."))
    encoder = AudioEncoder(n_mels, context, state, heads, layers, mx.float32)
    encoder.update(tree_unflatten([(name, mx.array(tensor)) for name, tensor in tensors.items()]))
    mels = mx.array(np.random.default_rng(0).standard_normal((1, 2 * context, n_mels)).astype(np.float32))
    mx.eval(encoder.parameters(), mels)
    started = time.perf_counter()
    mx.eval(encoder(mels))
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main(sys.argv[1])
