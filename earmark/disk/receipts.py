"""Receipts: what each finished unit of work was made from and what it made, published last.

`cache/receipts/<stage>/<dataset>[/<part>].json` holds {stage, version, key, inputs, outputs, counts, seconds, seal}.
`key` names the result: a digest of "<stage>/<version>" and the inputs. Inputs are configuration and the *outputs* of
the stage before, so that an unchanged result stops the rebuild; names of fields are kept so that `doit why` can say
in words which of them differ. `seal` is the hash of all the rest, so that damage to a receipt shows at once.
"""

import functools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from earmark.disk.files import Scratch, publish
from earmark.disk.hashing import StatKey, digest, stat_key


@dataclass(frozen=True)
class Receipt:
    """One finished unit. `inputs`, `outputs` and `counts` are JSON values."""

    stage: str
    version: int
    key: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    counts: dict[str, int]
    seconds: float


def make_key(stage: str, version: int, inputs: dict[str, Any]) -> str:
    """Return the key of a unit: 32 hex digits over stage, version and typed inputs."""
    return digest(f"{stage}/{version}", inputs)


def read_receipt(path: Path) -> Receipt | None:
    """Return the receipt at `path`; None when there is none or it is damaged (then the work is done again)."""
    try:
        return _parsed(path, stat_key(path.stat()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


@functools.lru_cache(maxsize=8192)
def _parsed(path: Path, _stat: StatKey) -> Receipt:
    """Parse a receipt once for as long as its file is not written to: thousands of shards ask for that of scan."""
    raw = orjson.loads(path.read_bytes())
    if raw.pop("seal") != digest("receipt", raw):
        raise ValueError("not what was sealed")
    return Receipt(**raw)


def publish_receipt(path: Path, receipt: Receipt, scratch: Scratch) -> None:
    """Write a receipt, whole or not at all."""
    raw = orjson.loads(orjson.dumps(asdict(receipt)))  # as it will be read: tuples become lists
    sealed = raw | {"seal": digest("receipt", raw)}
    publish(path, orjson.dumps(sealed, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n", scratch)


def differences(old: dict[str, Any], new: dict[str, Any], label: str = "") -> list[str]:
    """Say in words which input fields differ, nested fields by dotted name."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        full = f"{label}{name}"
        if before == after:
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


def _brief(value: Any) -> str:
    """Shorten a value for a sentence."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return f"{text[:8]}…" if len(text) == 32 else text if len(text) <= 40 else f"{text[:39]}…"
