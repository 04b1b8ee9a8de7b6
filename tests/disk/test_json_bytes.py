"""JSON never holds null in place of a number: NaN and the infinities are refused by name, wherever earmark writes."""

import re
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.disk.hashing import digest
from earmark.json_bytes import NotFiniteError, json_bytes

CHECKOUT = Path(__file__).parents[2]
# Where JSON is written that holds no number which was read or computed, or only such as the schema's check has seen.
ELSEWHERE = {
    "earmark/json_bytes.py",
    "earmark/disk/shards.py",  # labels that were checked where they left their reader
    "earmark/disk/watch.py",  # stats
    "earmark/archives/staging.py",  # names
    "earmark/schema.py",  # a value for a message
    "earmark/corpora/_columns.py",  # objects as their text, numbers of which were parsed from JSON
    "earmark/encoders/onnx/files.py",  # names
    "earmark/encoders/onnx/measured.py",  # whole numbers
    "tasks/stages/standardize.py",  # names
    "tasks/cleanup/candidates.py",  # names
}


@dataclass
class Record:
    level: float


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    ("value", "name"),
    [
        (lambda wrong: {"a": {"b": [0, wrong]}}, r"a\.b\[1\]"),
        (lambda wrong: [None, {"x": wrong}], r"\[1\]\.x"),
        (lambda wrong: Record(wrong), "level"),
        (lambda wrong: wrong, "a value"),
        (lambda wrong: (1, (wrong,)), r"\[1\]\[0\]"),
    ],
)
def test_a_number_that_is_not_finite_is_refused_by_name(value, name, wrong):
    with pytest.raises(NotFiniteError, match=f"^{name}: expected a finite number"):
        json_bytes(value(wrong))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text("null"),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("nul"), inner),
    )
)
def test_anything_else_is_written_as_orjson_writes_it(value):
    assert json_bytes(value) == orjson.dumps(value)


def test_two_inputs_are_never_of_one_key_because_neither_is_a_number():
    with pytest.raises(NotFiniteError):
        digest("key", {"options": {"x": float("inf")}})


def test_no_other_module_writes_json_by_itself():
    writers = set()
    for path in [*CHECKOUT.glob("earmark/**/*.py"), *CHECKOUT.glob("tasks/**/*.py")]:
        if re.search(r"orjson\.dumps\(|msgspec\.json\.encode\(|json\.Encoder\(", path.read_text("utf-8")):
            writers.add(path.relative_to(CHECKOUT).as_posix())
    assert writers <= ELSEWHERE
