import json
from pathlib import Path

import jsonschema
import pytest
from support.fixtures import parse

from earmark.audio.policy import Policy
from earmark.audio.table import GoodAudio
from earmark.disk.shards import ShardRow
from earmark.rows import SCHEMA
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
