"""One vocabulary of genders, whatever the reader."""

import jsonschema
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.readers import write

from earmark import corpora
from earmark.corpora import ReaderOptions
from earmark.corpora._genders import GENDERS, with_gender
from earmark.rows import SCHEMA

FIELDS = orjson.loads(SCHEMA.read_bytes())["properties"]


@pytest.mark.parametrize(
    ("published", "labels"),
    [
        ("F", {"gender": "female"}),
        ("Male", {"gender": "male"}),
        ("female_feminine", {"gender": "female", "gender_published": "female_feminine"}),
        ("Non-binary", {"gender": "other", "gender_published": "Non-binary"}),
        ("do_not_wish_to_say", {"gender_published": "do_not_wish_to_say"}),
        ("other", {"gender": "other"}),
    ],
)
def test_a_published_gender_is_one_of_three_words_and_kept_beside_it_where_it_says_more(published, labels):
    assert with_gender({"gender": published, "text": "x"}) == labels | {"text": "x"}
    segment = {"start": 0.0, "end": 1.0, "gender": published}
    (found,) = with_gender({"segments": [segment]})["segments"]
    assert found == {"start": 0.0, "end": 1.0, **labels}


@given(st.one_of(st.text(min_size=1).filter(str.strip), st.sampled_from(sorted(GENDERS)).map(str.upper)))
def test_any_word_becomes_what_the_schema_allows(published):
    for name, value in with_gender({"gender": published}).items():
        jsonschema.validate(value, FIELDS[name])


def test_labels_in_the_vocabulary_already_are_passed_on_as_they_are():
    labels = {"gender": "female", "segments": [{"start": 0.0, "end": 1.0}]}
    assert with_gender(labels) is labels


def test_the_publishers_own_word_is_not_replaced(tmp_path):
    write(tmp_path, {"metadata.csv": "file_name,gender,gender_published\na.wav,f,weiblich\n", "a.wav": ""})
    (item,) = corpora.read("audiofolder", tmp_path, ReaderOptions())
    assert item.labels == {"gender": "female", "gender_published": "weiblich"}
