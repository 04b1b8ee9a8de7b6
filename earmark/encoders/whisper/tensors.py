"""Tensors as MLX stores them: a safetensors file, or NumPy's npz; and what undoes MLX's quantisation.

Source: the safetensors format (8 bytes little-endian header length, JSON header, raw little-endian tensors in C
order); `numpy.lib.format`; MLX `mx.quantize`, mode "affine".
"""

import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from earmark.disk.faults import require_content
from earmark.encoders.whisper.config import unreadable
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
MOST_DEFLATED = 20  # times the size of an npz that its arrays may have: weights are noise, which nothing makes smaller
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
    except ModelError:
        raise
    except Exception as error:  # a damaged header leads to whatever its sizes, its depth or its types lead to
        require_content(path, error)
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(path, error) from error
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(
            f"{path}: damaged weights: expected a whole {path.suffix[1:]} file, got {path.stat().st_size:,} bytes"
            f" ({reason}). Download it again."
        ) from error


def _read_safetensors(path: Path, prefix: str) -> dict[str, Stored]:
    raw = np.memmap(path, dtype=np.uint8, mode="r")
    length = int.from_bytes(raw[:LENGTH_BYTES].tobytes(), "little")
    begin = LENGTH_BYTES + length
    if raw.size < begin:
        raise ValueError(f"header of {length:,} bytes")
    header = json.loads(raw[LENGTH_BYTES:begin].tobytes())
    tensors, room = {}, raw.size - begin
    for name, entry in header.items():
        if name.startswith(prefix):
            dtype = STORED[_known_kind(path, name, entry["dtype"])]
            first, last = entry["data_offsets"]
            if not 0 <= first <= last <= raw.size - begin:
                raise ValueError(f"{name} is at bytes {first:,} to {last:,} of {raw.size - begin:,}")
            room -= last - first
            if room < 0:
                raise ValueError(f"{name}: more bytes of tensors than there are")
            tensors[name] = Stored(
                entry["dtype"], raw[begin + first : begin + last].view(dtype).reshape(entry["shape"])
            )
    return tensors


def _read_npz(path: Path, prefix: str) -> dict[str, Stored]:
    """Read an archive's arrays, each only once its header is seen to fit what the archive has of it.

    numpy.load would allocate what a header claims, and a deflated archive may claim a thousand times its size.
    """
    tensors, room = {}, MOST_DEFLATED * path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name.startswith(prefix):
                room -= member.file_size
                if room < 0:
                    raise ValueError(f"{name}: more than {MOST_DEFLATED} times the size of the file")
                with archive.open(member) as file:
                    tensors[name] = _read_npy(path, name, file, member.file_size)
    return tensors


def _read_npy(path: Path, name: str, file: IO[bytes], size: int) -> Stored:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"{name}: version {version} of NumPy's format")
    shape, is_fortran, dtype = readers[version](file)
    kind = _known_kind(path, name, NPY_KINDS.get(dtype.str, dtype.str))
    claimed = math.prod(shape) * dtype.itemsize
    if claimed != size - file.tell():
        raise ValueError(f"{name}: {shape} of {dtype}, which is {claimed:,} bytes, in {size - file.tell():,}")
    data = np.frombuffer(file.read(claimed), STORED[kind]).reshape(shape, order="F" if is_fortran else "C")
    return Stored(kind, np.ascontiguousarray(data))


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
