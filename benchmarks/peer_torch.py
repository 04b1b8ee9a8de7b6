"""Run in PyTorch's environment: a plain loop of log-mel and Whisper encoder over FLAC files, one window at a time.

Usage: python peer_torch.py WEIGHTS.npz LIST TARGET THREADS

The encoder is written out here after openai/whisper `whisper/model.py`, with PyTorch's fused attention. WEIGHTS.npz
holds the tensors by MLX's names, the position table, the mel filters and the number of heads. Frames of each file, cut
to its true length, are saved as float16 in TARGET/<stem>.npy.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile
import torch
import torch.nn.functional as nn

WINDOW_SAMPLES, N_FFT, HOP, STRIDE = 480_000, 400, 160, 320


def log_mel(samples: np.ndarray, filters: torch.Tensor) -> torch.Tensor:
    """Return Whisper's log-mel of a window padded to 30 s, (1, n_mels, 3000)."""
    padded = nn.pad(torch.from_numpy(samples), (0, WINDOW_SAMPLES - len(samples)))
    spectrum = torch.stft(padded, N_FFT, HOP, window=torch.hann_window(N_FFT), return_complex=True)
    bands = (filters @ spectrum[..., :-1].abs() ** 2).clamp(min=1e-10).log10()
    return ((torch.maximum(bands, bands.max() - 8.0) + 4.0) / 4.0)[None]


def encode(mels: torch.Tensor, w: dict[str, torch.Tensor], heads: int) -> torch.Tensor:
    """Return the rows after the last layer norm, (1, 1500, n_state)."""
    x = nn.gelu(nn.conv1d(mels, w["conv1.weight"], w["conv1.bias"], padding=1))
    x = nn.gelu(nn.conv1d(x, w["conv2.weight"], w["conv2.bias"], stride=2, padding=1))
    x = x.transpose(1, 2) + w["positions"]
    block = 0
    while f"blocks.{block}.attn_ln.weight" in w:
        x = layer(x, {name[len(f"blocks.{block}.") :]: w[name] for name in w if f"blocks.{block}." in name}, heads)
        block += 1
    return nn.layer_norm(x, x.shape[-1:], w["ln_post.weight"], w["ln_post.bias"])


def layer(x: torch.Tensor, w: dict[str, torch.Tensor], heads: int) -> torch.Tensor:
    """Return one residual block's rows."""
    hidden = nn.layer_norm(x, x.shape[-1:], w["attn_ln.weight"], w["attn_ln.bias"])
    query, key, value = (
        nn.linear(hidden, w[f"attn.{part}.weight"], w.get(f"attn.{part}.bias"))
        .unflatten(-1, (heads, -1))
        .transpose(1, 2)
        for part in ("query", "key", "value")
    )
    mixed = nn.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    x = x + nn.linear(mixed, w["attn.out.weight"], w["attn.out.bias"])
    hidden = nn.layer_norm(x, x.shape[-1:], w["mlp_ln.weight"], w["mlp_ln.bias"])
    hidden = nn.gelu(nn.linear(hidden, w["mlp1.weight"], w["mlp1.bias"]))
    return x + nn.linear(hidden, w["mlp2.weight"], w["mlp2.bias"])


def main(weights: str, listed: str, target: str, threads: int) -> None:
    """Encode the listed files one after another."""
    torch.set_num_threads(threads)
    with np.load(weights) as stored:
        tensors = {name.removeprefix("encoder."): torch.from_numpy(stored[name]) for name in stored.files}
    heads, filters = int(tensors.pop("heads")), tensors.pop("filters")
    for name in ("conv1.weight", "conv2.weight"):
        tensors[name] = tensors[name].permute(0, 2, 1).contiguous()
    Path(target).mkdir(parents=True)
    with torch.inference_mode():
        for line in Path(listed).read_text("utf-8").splitlines():
            samples, _ = soundfile.read(line, dtype="float32")
            rows = encode(log_mel(samples, filters), tensors, heads)[0, : -(-len(samples) // STRIDE)]
            np.save(Path(target) / f"{Path(line).stem}.npy", rows.numpy().astype(np.float16))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
