"""Receipts: what each finished unit of work was made from and what it made, published last.

`cache/receipts/<stage>/<dataset>[/<part>].json` holds {stage, version, key, inputs, outputs, counts, seconds, seal}.
`key` names the result: a digest of "<stage>/<version>" and the inputs. Inputs are configuration and the *outputs* of
the stage before, so that an unchanged result stops the rebuild; names of fields are kept so that `doit why` can say
in words which of them differ. `seal` is the hash of all the rest, so that damage to a receipt shows at once.
"""

import contextlib
import functools
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import orjson

from earmark.disk.faults import is_machine_fault
from earmark.disk.files import Scratch, publish
from earmark.disk.hashing import StatKey, digest, stat_key
from earmark.json_bytes import json_bytes

Inputs = Mapping[str, object]  # JSON values by name: all that a result depends on
Counts = dict[str, int]


class SealedFile(msgspec.Struct, frozen=True):
    """A file as a receipt seals it: `path` relative to the catalog's folder, bytes, XXH3-128."""

    path: str
    size: int
    xxh3: str


Outputs = TypeVar("Outputs", bound=msgspec.Struct)  # what a kind of unit makes: a record of the module that makes it
Record = TypeVar("Record", bound=msgspec.Struct)


@dataclass(frozen=True)
class Receipt(Generic[Outputs]):
    """One finished unit; `seconds` is how long it took."""

    stage: str
    version: int
    key: str
    inputs: Inputs
    outputs: Outputs
    counts: Counts
    seconds: float

    def made_from(self, kind: type[Record]) -> Record:
        """Return the inputs as the record of the module that wrote them.

        Raises msgspec.ValidationError for inputs of another kind.
        """
        return msgspec.convert(self.inputs, kind)


def as_inputs(record: msgspec.Struct) -> dict[str, object]:
    """Return a record as the JSON values that a key is made of."""
    values: dict[str, object] = msgspec.to_builtins(record)
    return values


def make_key(stage: str, version: int, inputs: Inputs) -> str:
    """Return the key of a unit: 32 hex digits over stage, version and typed inputs."""
    return digest(f"{stage}/{version}", inputs)


def read_receipt(path: Path, outputs: type[Outputs]) -> Receipt[Outputs] | None:
    """Return the receipt at `path`; None when there is none, it is damaged, or it seals outputs of another kind.

    In all these cases the work is done again.
    """
    try:
        status = path.stat()
        return _parsed(path, stat_key(status), outputs) if stat.S_ISREG(status.st_mode) else None  # a pipe would wait
    except OSError as error:
        if is_machine_fault(error):  # that of the disk: whether the work was done, nobody knows
            raise
        return None
    except (ValueError, TypeError, KeyError, AttributeError):  # msgspec.ValidationError is a ValueError
        return None


def is_receipt(path: Path) -> bool:
    """Say whether a file is a receipt of whatever kind of unit, as it was sealed."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        return bool(_sealed(path))
    return False


def read_any(path: Path) -> dict[str, Any] | None:
    """Return a receipt of whatever kind of unit as JSON; None when there is none or it is damaged."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        return _sealed(path)
    return None


def _sealed(path: Path) -> dict[str, Any]:
    raw: dict[str, Any] = orjson.loads(path.read_bytes())
    if raw.pop("seal") != digest("receipt", raw):
        raise ValueError("not what was sealed")
    return raw


@functools.lru_cache(maxsize=8192)
def _parsed(path: Path, _stat: StatKey, outputs: type[Outputs]) -> Receipt[Outputs]:
    """Parse a receipt once for as long as its file is not written to: thousands of shards ask for that of scan."""
    raw = _sealed(path)
    return Receipt(**raw | {"outputs": msgspec.convert(raw["outputs"], outputs)})


def publish_receipt(path: Path, receipt: Receipt[Outputs], scratch: Scratch) -> None:
    """Write a receipt, whole or not at all."""
    fields = vars(receipt) | {"outputs": msgspec.to_builtins(receipt.outputs)}
    raw = orjson.loads(json_bytes(fields))  # as it will be read: tuples become lists
    sealed = raw | {"seal": digest("receipt", raw)}
    publish(path, json_bytes(sealed, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n", scratch)


def differences(old: Inputs, new: Inputs, label: str = "") -> list[str]:
    """Say in words which input fields differ, nested fields by dotted name."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        full = f"{label}{name}"
        if before == after and (name in old) == (name in new):  # null is a value: a new field that is null is new
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, f"{full}.")
        elif name not in old:
            found.append(f"{full} is new")
        elif name not in new:
            found.append(f"{full} is gone")
        else:
            found.append(f"{full} changed ({_brief(before)} -> {_brief(after)})")
    return found


def _brief(value: object) -> str:
    """Shorten a value for a sentence."""
    text = value if isinstance(value, str) else json_bytes(value).decode()
    return f"{text[:8]}…" if len(text) == 32 else text if len(text) <= 40 else f"{text[:39]}…"
