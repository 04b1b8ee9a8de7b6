"""The files of an ONNX model: found, hashed and remembered, without reading the graph.

Source: onnx.proto3; a tensor outside of the file names its own in an entry with the key "location".
"""

import mmap
import re
from collections.abc import Callable
from pathlib import Path

import orjson

from earmark.disk.hashing import HashMemo, digest, stat_key
from earmark.errors import ModelError

# StringStringEntryProto{key: "location", value: <up to 127 bytes>}: tag 1, length 8, the key; tag 2, length, the value.
LOCATION = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])")


def model_file(path: Path) -> Path:
    """Return the .onnx file that a path names, itself or the only one of its folder. Raises ModelError."""
    files = sorted(path.glob("*.onnx")) if path.is_dir() else [path] if path.is_file() else []
    if len(files) != 1:
        got = ", ".join(one.name for one in files[:3]) or ("none" if path.is_dir() else "no such file")
        raise ModelError(
            f"{path}: not an ONNX model: expected an .onnx file, or a folder with one, got {got}."
            " Export the model there, or name its file in the catalog."
        )
    return files[0]


def model_hash(path: Path, memo: HashMemo) -> str:
    """Return the XXH3-128 of a model: of its file and of those with its large tensors."""
    return digest("onnx", {one.name: memo.hash_file(one) for one in _all_files(path, memo)})


def model_bytes(path: Path, memo: HashMemo) -> int:
    """Return the size of a model's files in bytes."""
    return sum(one.stat().st_size for one in _all_files(path, memo))


def remembered(path: Path, memo: HashMemo, what: str, compute: Callable[[], str]) -> str:
    """Return what was computed of a file once, as long as its stat is what it was."""
    key = stat_key(path.stat())
    known = memo.get(path, key, what)
    if known is None:
        known = compute()
        memo.put([(path, key, known)], what)
    return known


def _all_files(path: Path, memo: HashMemo) -> list[Path]:
    """Return a model's file and those in its folder that it names. Raises ModelError where one is missing."""
    names = orjson.loads(remembered(path, memo, "onnx-data", lambda: orjson.dumps(_locations(path)).decode()))
    for name in names:
        if not (path.parent / name).is_file():
            raise ModelError(
                f"{path}: its weights are in {name}, which is not there. Put it into the folder of {path.name}."
            )
    return [path, *(path.parent / name for name in names)]


def _locations(path: Path) -> list[str]:
    """Return the names of the files in which a model's large tensors are."""
    if not path.stat().st_size:
        return []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        names = {data[one.end() : one.end() + one[1][0]] for one in LOCATION.finditer(data)}
    return sorted(name.decode("utf-8", "replace") for name in names)
