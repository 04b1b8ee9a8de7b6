"""Tensors as MLX stores them: a safetensors file, or NumPy's npz; and what undoes MLX's quantisation.

Source: the safetensors format (8 bytes little-endian header length, JSON header, raw little-endian tensors in C
order); `numpy.lib.format`; MLX `mx.quantize`, mode "affine".
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from earmark.disk.plainly import cannot_read, gives_no_bytes
from earmark.errors import ModelError

Bits: TypeAlias = np.float32 | np.float16 | np.uint16 | np.uint32
# bfloat16 has no NumPy type: its 16 bits are kept as they are.
STORED: dict[str, np.dtype[Bits]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "U32": np.dtype("<u4"),
}
NPY_KINDS = {"<f4": "F32", "<f2": "F16", "<u4": "U32"}
LENGTH_BYTES = 8  # of the header length that opens a safetensors file
WORD_BITS = 32  # of one packed word
QUANTISED_BITS = (2, 4, 8)


@dataclass(frozen=True)
class Stored:
    """One tensor as it is in the file: `kind` is its safetensors dtype, `data` the bits in the stored shape."""

    kind: str
    data: NDArray[Bits]


def read_tensors(path: Path, prefix: str) -> dict[str, Stored]:
    """Return the tensors whose names begin with `prefix`, sorted by name; read from the disk when they are touched.

    Raises ModelError when the file is neither container, is damaged, or has a dtype that Whisper does not use.
    """
    read = _read_npz if path.suffix == ".npz" else _read_safetensors
    try:
        return dict(sorted(read(path, prefix).items()))
    except OSError as error:
        if gives_no_bytes(error):
            raise ModelError(f"{cannot_read(error, path)}. See whether it may be read, and run again.") from error
        raise _damaged(path, error) from error
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ModelError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ModelError(
        f"{path}: damaged weights: expected a whole {path.suffix[1:]} file, got {path.stat().st_size:,} bytes"
        f" ({reason}). Download it again."
    )


def _read_safetensors(path: Path, prefix: str) -> dict[str, Stored]:
    raw = np.memmap(path, dtype=np.uint8, mode="r")
    length = int.from_bytes(raw[:LENGTH_BYTES].tobytes(), "little")
    begin = LENGTH_BYTES + length
    if raw.size < begin:
        raise ValueError(f"header of {length:,} bytes")
    header = json.loads(raw[LENGTH_BYTES:begin].tobytes())
    tensors = {}
    for name, entry in header.items():
        if name.startswith(prefix):
            dtype = STORED[_known_kind(path, name, entry["dtype"])]
            first, last = entry["data_offsets"]
            bits = raw[begin + first : begin + last]
            if bits.size != last - first:
                raise ValueError(f"{name} ends at byte {begin + last:,}")
            tensors[name] = Stored(entry["dtype"], bits.view(dtype).reshape(entry["shape"]))
    return tensors


def _read_npz(path: Path, prefix: str) -> dict[str, Stored]:
    tensors = {}
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        for name in archive.files:
            if name.startswith(prefix):
                data = archive[name]
                kind = _known_kind(path, name, NPY_KINDS.get(data.dtype.str, data.dtype.str))
                tensors[name] = Stored(kind, np.ascontiguousarray(data))
    return tensors


def _known_kind(path: Path, name: str, kind: str) -> str:
    if kind not in STORED:
        raise ModelError(
            f"{path}: {name}: dtype that cannot be used: expected one of {', '.join(STORED)}, got {kind}."
            " Convert the model to float16 or float32."
        )
    return kind


def to_float32(stored: Stored) -> NDArray[np.float32]:
    """Return a stored tensor's values as float32, exactly, in memory of their own."""
    if stored.kind == "BF16":
        return np.left_shift(stored.data.astype(np.uint32), 16).view(np.float32)
    return np.array(stored.data, dtype=np.float32)


def dequantise(
    packed: NDArray[np.uint32], scales: NDArray[np.float32], biases: NDArray[np.float32], group_size: int, bits: int
) -> NDArray[np.float32]:
    """Return weights from MLX's affine quantisation, (rows, columns) float32: scale * q + bias of each group.

    `packed`: (rows, columns * bits / 32), the first value in the lowest bits of a word. `scales` and `biases`:
    (rows, columns / group_size).
    """
    assert bits in QUANTISED_BITS, bits
    shifts = np.arange(0, WORD_BITS, bits, dtype=np.uint32)
    values = (packed[:, :, None] >> shifts) & np.uint32((1 << bits) - 1)
    groups = values.reshape(packed.shape[0], -1, group_size).astype(np.float32)
    return (groups * scales[:, :, None] + biases[:, :, None]).reshape(packed.shape[0], -1)
