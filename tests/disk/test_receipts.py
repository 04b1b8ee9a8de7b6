"""Receipts: what was sealed is read back, anything else is no receipt, and what differs is said in words."""

import itertools
import json
import os

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earmark.disk.files import Scratch
from earmark.disk.receipts import Receipt, SealedFile, differences, make_key, publish_receipt, read_receipt
from earmark.errors import DiskFullError

NAMES = st.text("abc_é", min_size=1, max_size=4)
SCALARS = st.none() | st.integers(-9, 9) | st.text(max_size=6)
INPUTS = st.dictionaries(
    NAMES,
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)),
    max_size=4,
)


class Made(msgspec.Struct, frozen=True):
    """What a kind of unit of these tests makes."""

    files: dict[str, SealedFile]
    rows: int = 0


class Other(msgspec.Struct, frozen=True):
    """What another kind makes."""

    pack: str


def receipt(**fields) -> Receipt[Made]:
    inputs = fields.pop("inputs", {"policy": {"rate_hz": 16_000}, "max_bad": 0.001})
    made = Made({"a.jsonl": SealedFile("manifests/a.jsonl", 12, "0" * 32)}, rows=3)
    values = {"stage": "manifest", "version": 1, "key": make_key("manifest", 1, inputs)}
    return Receipt(**values | {"inputs": inputs, "outputs": made, "counts": {"rows": 3}, "seconds": 0.25} | fields)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "receipts" / "manifest" / "books.json"


@pytest.fixture
def scratch(tmp_path):
    return Scratch(tmp_path / "cache" / "tmp")


def publish(path, scratch, one=None):
    publish_receipt(path, one or receipt(), scratch)
    return path


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(INPUTS)
def test_what_was_sealed_is_read_back_whatever_it_was_made_from(path, scratch, inputs):
    one = receipt(inputs=inputs)
    assert read_receipt(publish(path, scratch, one), Made) == one
    assert list(scratch.tmp.iterdir()) == []


def test_tuples_are_read_back_as_lists_and_give_the_same_key(path, scratch):
    found = read_receipt(publish(path, scratch, receipt(inputs={"labels": ("text", "emotion")})), Made)
    assert found.inputs == {"labels": ["text", "emotion"]}
    assert found.key == make_key("manifest", 1, found.inputs)


def test_a_receipt_is_json_that_any_program_reads(path, scratch):
    text = publish(path, scratch).read_text("utf-8")
    raw = json.loads(text)
    assert list(raw) == ["counts", "inputs", "key", "outputs", "seal", "seconds", "stage", "version"]
    assert raw["outputs"]["files"]["a.jsonl"] == {"path": "manifests/a.jsonl", "size": 12, "xxh3": "0" * 32}
    assert text.endswith("}\n")


@pytest.fixture(scope="module")
def sealed(tmp_path_factory) -> bytes:
    """The bytes of a receipt."""
    home = tmp_path_factory.mktemp("sealed")
    return publish(home / "x.json", Scratch(home / "tmp")).read_bytes()


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Return a new path at each call: two contents of one size in one tick of the clock look alike to a stat."""
    folder, number = tmp_path_factory.mktemp("fresh"), itertools.count()
    return lambda: folder / f"{next(number)}.json"


@settings(deadline=None, max_examples=200)
@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_flipped_byte_is_no_receipt_or_changes_nothing_that_it_says(sealed, fresh, where, flip):
    flipped = bytearray(sealed)
    flipped[int(where * len(sealed))] ^= flip
    (path := fresh()).write_bytes(flipped)
    found = read_receipt(path, Made)
    assert found is None or found == receipt()  # white space between values says nothing


@settings(deadline=None)
@given(where=st.floats(0, 1, exclude_max=True))
def test_a_receipt_cut_short_is_none(sealed, fresh, where):
    (path := fresh()).write_bytes(sealed.rstrip()[: int(where * len(sealed.rstrip()))])
    assert read_receipt(path, Made) is None


@pytest.mark.parametrize("field", ["key", "inputs", "outputs", "counts", "seconds", "stage", "version", "seal"])
def test_a_receipt_edited_by_hand_is_none(path, scratch, field):
    raw = json.loads(publish(path, scratch).read_bytes())
    values = {"inputs": {}, "outputs": {"files": {}, "rows": 4}, "counts": {}, "seconds": 9.0, "version": 2}
    path.write_text(json.dumps(raw | {field: values.get(field, "0" * 32)}), "utf-8")
    assert read_receipt(path, Made) is None
    del raw[field]
    path.write_text(json.dumps(raw), "utf-8")
    assert read_receipt(path, Made) is None


@pytest.mark.parametrize("text", ["", "[]", "null", "7", "{}", '{"seal": "x"}', "\x00" * 9])
def test_any_other_file_is_no_receipt(path, text):
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")
    assert read_receipt(path, Made) is None


def test_a_file_that_is_not_there_or_cannot_be_a_file_is_no_receipt(path):
    assert read_receipt(path, Made) is None
    path.mkdir(parents=True)
    assert read_receipt(path, Made) is None


def test_a_receipt_of_another_kind_of_outputs_is_none(path, scratch):
    publish(path, scratch)
    assert read_receipt(path, Other) is None
    assert read_receipt(path, Made) == receipt()


def test_a_receipt_published_anew_is_seen_at_once(path, scratch):
    for rows in range(5):
        publish(path, scratch, receipt(counts={"rows": rows}))
        assert read_receipt(path, Made).counts == {"rows": rows}


def test_a_receipt_that_cannot_be_published_leaves_the_old_one(path, scratch, monkeypatch):
    publish(path, scratch)

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match="disk full"):
        publish(path, scratch, receipt(counts={"rows": 9}))
    assert read_receipt(path, Made) == receipt()


@pytest.mark.slow
@given(INPUTS, INPUTS)
def test_a_key_is_that_of_the_stage_the_version_and_the_inputs_in_any_order(one, other):
    key = make_key("scan", 1, one)
    assert len(key) == 32 and int(key, 16) >= 0
    assert make_key("scan", 1, dict(reversed(one.items()))) == key
    assert make_key("scan", 2, one) != key != make_key("extract", 1, one)
    assert (make_key("scan", 1, other) == key) == (one == other)


@pytest.mark.slow
@given(INPUTS, INPUTS)
def test_a_difference_is_said_where_and_only_where_keys_differ(old, new):
    assert bool(differences(old, new)) == (make_key("scan", 1, old) != make_key("scan", 1, new))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, ["b is new"]),
        ({"a": 1, "b": 2}, {"b": 2}, ["a is gone"]),
        ({}, {"a": None}, ["a is new"]),
        ({"a": None}, {}, ["a is gone"]),
        ({"window": "padded"}, {"window": "clip"}, ["window changed (padded -> clip)"]),
        ({"n": 1}, {"n": {"x": 1}}, ['n changed (1 -> {"x":1})']),
        ({"e": {"small": {"window": "a", "codec": "x"}}}, {"e": {"small": {"window": "b", "codec": "x"}}},
         ["e.small.window changed (a -> b)"]),
        ({"sum": "0" * 32}, {"sum": "f" * 32}, ["sum changed (00000000… -> ffffffff…)"]),
        ({"text": "x" * 50}, {"text": "y"}, [f"text changed ({'x' * 39}… -> y)"]),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, ["a changed (1 -> 2)", "b changed (1 -> 2)"]),
    ],
)  # fmt: skip
def test_differences_are_said_in_words_by_dotted_names(old, new, words):
    assert differences(old, new) == words
