"""Columns of home-made metadata against the schema of manifests."""

import datetime
import json
from decimal import Decimal

import jsonschema
import orjson
import pytest

from earmark.corpora._columns import LABELS, LARGEST, LISTS, SPANS, labels_of
from earmark.rows import SCHEMA

FIELDS = json.loads(SCHEMA.read_text("utf-8"))["properties"]


def cell(name):
    """Return a cell of a CSV file that suits a label."""
    spans = {what: f'[{{"start": 0, "end": 0.5, "{word}": "a"}}]' for what, word in SPANS.items()}
    fitting = spans | {"age": "31", "emotion": "Joy", "language": "de-AT", "gender": "M", "snr_db": "-2.5"}
    fitting |= dict.fromkeys(("background", "singing", "vocals"), "yes") | {"votes": '{"happy": 2}'}
    return fitting.get(name) or ("7" if name in LARGEST else '["a", "b"]' if name in LISTS else "some words")


@pytest.mark.parametrize("name", sorted(LABELS))
def test_a_column_named_as_a_label_becomes_a_value_that_the_schema_allows(name):
    labels = labels_of({name: cell(name)})
    assert name in labels
    for label, value in labels.items():
        jsonschema.validate(value, FIELDS[label])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pitch", "128"),
        ("pitch", 60.5),
        ("fold", -1),
        ("velocity", True),
        ("snr_db", "inf"),
        ("singing", "maybe"),
        ("speaker_id", 1.5),
        ("words", '[{"start": 1, "end": 0.5, "word": "a"}]'),
        ("words", '[{"start": 0, "end": 1, "word": "a", "text": "b"}]'),
        ("segments", [{"start": 0, "end": 1, "speaker": "a"}]),
        ("segments", [{"start": -1, "end": 1}]),
        ("phonemes", "a"),
        ("votes", '{"happy": -1}'),
        ("sound_events", [""]),
    ],
)
def test_a_value_of_another_form_is_refused(name, value):
    with pytest.raises(ValueError, match=f"in column {name}"):
        labels_of({name: value})


@pytest.mark.parametrize("empty", [None, "", "  ", [], {}, float("nan")])
def test_a_cell_without_a_value_gives_no_label(empty):
    assert labels_of({"text": empty, "mood": empty, "votes": empty}) == {}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Decimal("1.50"), "1.50"),
        ([Decimal("1.5"), None, 2], ["1.5", 2]),
        ([b"x"], ["b'x'"]),
        (float("inf"), "inf"),
        ([1.5, float("nan")], [1.5, "nan"]),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        ({"a": Decimal("1")}, '{"a":"1"}'),
        ({"a": [float("inf"), 1.5]}, '{"a":["inf",1.5]}'),
        ([{"a": [1]}], ['{"a":[1]}']),
        (0, 0),
        (False, False),
    ],
    ids=repr,
)
def test_any_other_column_is_kept_in_extra_as_json_can_carry_it(value, kept):
    labels = labels_of({"mood": value})
    assert labels == {"extra": {"mood": kept}}
    assert orjson.loads(orjson.dumps(labels)) == labels
