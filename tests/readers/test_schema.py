import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fixtures import parse

from earmark.audio.policy import Policy
from earmark.audio.table import GoodAudio
from earmark.disk.shards import ShardRow
from earmark.rows import SCHEMA
from earmark.schema import Checker, SchemaError, job_rows, labels, manifest_rows
from earmark.training.manifest_row import dump_row, make_row

FIXTURES = sorted((Path(__file__).parents[1] / "corpora").glob("*.txt"))
AUDIO = GoodAudio(
    path="",
    source_hash="",
    audio_hash="0" * 32,
    n_samples=16_000,
    source_rate_hz=48_000,
    source_channels=1,
    decoder="",
    peak=0.5,
    rms=0.1,
    clipped=0.0,
    silence=0.0,
    dc=0.0,
    policy=Policy(),
)
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))


def manifest_row(expected):
    """Return the manifest row of a fixture's expected recording; stems as the manifest names them."""
    labels = {name: value for name, value in expected.items() if name not in ("id", "path", "split")}
    row = ShardRow(expected["id"], expected["path"], 1, 0, 0, 0, "0", labels, expected.get("split"))
    found = make_row("books", row, AUDIO, f"data/standard/books/{row.path}", "flac")
    if "stems" in found:
        found["stems"] = {
            name: {"id": other, "audio_path": "x", "audio_hash": "0" * 32} for name, other in found["stems"].items()
        }
    return json.loads(dump_row(found))


def test_schema_is_valid_and_says_what_each_field_is():
    schema = json.loads(SCHEMA.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert all(field["description"].endswith(".") for field in schema["properties"].values())


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_rows_of_every_fixture_are_as_the_schema_says(path):
    for expected in parse(path.read_text("utf-8")).expected:
        wrong = [f"{list(error.path)}: {error.message}" for error in VALIDATOR.iter_errors(manifest_row(expected))]
        assert not wrong, expected["id"]


def test_every_field_of_the_schema_is_in_some_fixture():
    seen = set()
    for path in FIXTURES:
        for expected in parse(path.read_text("utf-8")).expected:
            seen |= set(manifest_row(expected))
    assert set(json.loads(SCHEMA.read_text("utf-8"))["properties"]) == seen


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": None},
        {"text": ""},
        {"duration": 0},
        {"split": "validation"},
        {"emotion": "joy"},
        {"segments": []},
        {"segments": [{"start": 0, "end": 1, "speaker": "A"}]},
        {"language": "English language"},
        {"unheard_of": "x"},
    ],
    ids=str,
)
def test_null_empty_invented_and_unknown_fields_are_no_rows(wrong):
    good = manifest_row({"id": "a", "path": "a.wav", "text": "A", "language": "en"})
    VALIDATOR.validate(good)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(good | wrong)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 200)
    | st.floats()
    | st.sampled_from(["", "x", "en", "train", "0" * 32, "joy"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["start", "end", "word", "id", "x"]), inner)
    ),
    max_leaves=5,
)


def is_json(value):
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_compiled_check_says_of_any_row_what_the_schema_says(data):
    """Only a whole number that is written as 1.0 is none here, and is one to JSON Schema."""
    properties = json.loads(SCHEMA.read_text("utf-8"))["properties"]
    row = manifest_row({"id": "a", "path": "a.wav", "text": "A", "language": "en"})
    for name in data.draw(st.lists(st.sampled_from(sorted(properties)), max_size=3)):
        row[name] = data.draw(VALUES)
    fits = is_json(row) and VALIDATOR.is_valid(row)
    try:
        manifest_rows().check(row)
        checked = True
    except SchemaError as error:
        checked = False
        assert error.field.split(".")[0].split("[")[0] in row
    whole = [value for value in _numbers(row) if isinstance(value, float) and value.is_integer()]
    assert checked == fits or (whole and not checked)


def _numbers(value):
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _numbers(item)
    else:
        yield value


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_the_compiled_check_takes_the_rows_of_every_fixture(path):
    for expected in parse(path.read_text("utf-8")).expected:
        manifest_rows().check(manifest_row(expected))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"text": None}, "text: expected text, got null"),
        ({"text": ["A"]}, 'text: expected text, got ["A"]'),
        ({"duration": 0}, "duration: expected a number > 0.0, got 0"),
        ({"snr_db": float("nan")}, "snr_db: expected a number that is finite, got nan"),
        ({"snr_db": float("-inf")}, "snr_db: expected a number that is finite, got -inf"),
        ({"t60_s": [1, float("inf")]}, "t60_s[1]: expected a number that is finite, got inf"),
        ({"extra": {"a": [{"b": float("inf")}]}}, "extra.a[0].b: expected a finite number, got inf"),
        ({"extra": {"a": {1, 2}}}, "extra.a: expected a value that JSON has, got set {1, 2}"),
        ({"fold": 2**70}, "fold: expected a whole number <= 9223372036854775807, got 1180591620717411303424"),
        ({"audio_hash": "0" * 31 + "G"}, "audio_hash: expected text of the form ^[0-9a-f]{32}$"),
        ({"audio_hash": "0" * 32 + "\n"}, "audio_hash: expected text of the form ^[0-9a-f]{32}$"),
        ({"segments": [{"start": 0}]}, "segments[0].end: expected a value, got none"),
        ({"unheard_of": 1}, "unheard_of: expected a field that manifest.schema.json lists, got 1"),
    ],
    ids=str,
)
def test_the_first_wrong_field_is_named_with_what_was_expected_and_what_is_there(wrong, told):
    good = manifest_row({"id": "a", "path": "a.wav", "text": "A", "language": "en"})
    manifest_rows().check(good)
    with pytest.raises(SchemaError) as error:
        manifest_rows().check(good | wrong)
    assert str(error.value).startswith(told)


def test_a_row_without_a_field_that_all_have_is_refused_whatever_was_checked_before():
    good = manifest_row({"id": "a", "path": "a.wav"})
    for name in json.loads(SCHEMA.read_text("utf-8"))["required"]:
        with pytest.raises(SchemaError, match=f"{name}: expected a value, got none"):
            manifest_rows().check({key: value for key, value in good.items() if key != name})


def test_values_of_free_form_are_nested_within_bounds():
    deep = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(SchemaError, match="at most 100 lists and objects in one another"):
        labels().check({"extra": {"a": deep}})


@pytest.mark.parametrize(
    "field", [{"type": "string", "format": "date"}, {"const": 1}, {"type": "array", "items": {}, "uniqueItems": True}]
)
def test_a_keyword_that_the_check_does_not_know_is_refused_when_it_is_made(field):
    with pytest.raises(NotImplementedError):
        Checker("Row", {"x": field}, ["x"])


def test_what_rows_of_jobs_have_besides_is_checked_too():
    row = manifest_row({"id": "a", "path": "a.wav"}) | {
        "start": 0,
        "end": 1.5,
        "features": {"w": {"pack": "p", "row": 0, "n_frames": 1}},
    }
    job_rows().check(row)
    with pytest.raises(SchemaError, match="features"):
        job_rows().check(row | {"features": {"w": {"pack": "p"}}})


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_batch_is_refused_for_its_first_wrong_row_and_no_other(data):
    rows = [manifest_row({"id": f"a{n}", "path": "a.wav", "language": "en"}) for n in range(5)]
    wrong = data.draw(st.sets(st.integers(0, 4)))
    faults = [
        {"audio_hash": "0" * 32 + "\n" + "0" * 32}, {"audio_hash": "x"}, {"language": "de\nen"}, {"language": "-"},
        {"text": ""}, {"extra": {"x": float("nan")}}, {"unheard_of": 1}, {"duration": float("inf")},
    ]  # fmt: skip
    for number in wrong:
        rows[number] |= data.draw(st.sampled_from(faults))
    first = manifest_rows().check_all(rows)
    assert (first[0] if first else None) == min(wrong, default=None)
    assert manifest_rows().check_all([]) is None
