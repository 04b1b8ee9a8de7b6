"""Splits are read from names that are called as splits on purpose, never from a word in one of many."""

import pytest
from support.readers import write

from earmark import corpora
from earmark.corpora import ReaderOptions
from earmark.corpora._splits import splits_of_paths

OTHERS = [f"interview {number}.wav" for number in range(6)]


def splits(paths):
    split_of = splits_of_paths(paths)
    return [split_of(path) for path in paths]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["train station.wav", *OTHERS], [None] * 7),
        (["train station.wav", "test flight.wav", *OTHERS], [None] * 8),
        (["train/a.wav", "tram/b.wav", "bus/c.wav"], [None] * 3),
        (["a/my train/a.wav", "a/my tram/b.wav"], [None] * 2),
        (["train_1.wav", "test_1.wav", "dev_1.wav"], ["train", "test", "dev"]),
        (["train_1.wav", "train_2.wav"], ["train"] * 2),
        (["a_train.wav", "b_c_test.wav"], ["train", "test"]),
        (["train a.wav", "a test.wav"], [None] * 2),
        (["train/a.wav", "test/b.wav", "extra/c.wav"], ["train", "test", None]),
        (["train/a.wav"], ["train"]),
        (["train/a.wav", "stray.wav"], ["train", None]),
        (["x/train/a.wav", "x/test/b.wav", "y/dev/c.wav"], ["train", "test", "dev"]),
        (["dogs/train/a.wav", "dogs/test/b.wav", "train horns/c.wav", "cars/d.wav"], ["train", "test", None, None]),
        (["train-00000-of-00001.wav", "other.wav"], ["train", None]),
    ],
    ids=str,
)
def test_a_keyword_counts_where_the_names_beside_it_have_one_too(paths, expected):
    assert splits(paths) == expected


def test_a_file_called_train_station_is_as_the_other_six(tmp_path):
    write(tmp_path, dict.fromkeys(["train station.wav", *OTHERS], ""))
    assert {item.split for item in corpora.read("audiofolder", tmp_path, ReaderOptions())} == {None}


def test_a_class_called_train_beside_others_is_a_class(tmp_path):
    write(tmp_path, {"train/a.wav": "", "tram/b.wav": "", "bus/c.wav": ""})
    items = list(corpora.read("audiofolder", tmp_path, ReaderOptions()))
    assert [(item.split, item.labels["sound_class"]) for item in items] == [
        (None, "bus"),
        (None, "train"),
        (None, "tram"),
    ]
