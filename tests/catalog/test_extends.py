"""`extends`: what a catalog takes over, changes and drops, and the message where that goes wrong."""

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.collection import CHECKOUT

from earmark.catalog import extends
from earmark.catalog.extends import Layer, Layers, read_layers, shipped_catalog
from earmark.catalog.project import open_project
from earmark.catalog.read import read_catalog
from earmark.errors import CatalogError

BASE = """
[paths]
data = "base-data"
[disk]
budget = "1 TB"
[encoders.small]
model = "small"
[encoders.pitch]
kind = "f0"
floor_hz = 60.0
[datasets.books]
corpus = "librispeech"
language = "en"
encoders = ["small", "pitch"]
archives = [{ file = "a.tar.gz" }, { file = "b.tar.gz" }]
expect = { folders = ["x"], files = { "*.flac" = 3 } }
[datasets.more]
corpus = "mls"
licence = "CC-BY-4.0"
[manifests.both]
datasets = ["books", "more"]
[jobs.asr]
datasets = ["books", "more"]
labels = ["text"]
[jobs.books_alone]
datasets = ["books"]
features = ["small"]
"""


@pytest.fixture
def write(tmp_path):
    """Write catalogs into a folder, `base.toml` first, and return the path of the last."""
    (tmp_path / "base.toml").write_text(BASE, "utf-8")

    def write(text, name="datasets.toml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    return write


def failure(path):
    with pytest.raises(CatalogError) as error:
        read_catalog(path)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_a_catalog_that_only_extends_another_is_the_other(write, tmp_path):
    assert read_catalog(write('extends = "base.toml"\n')) == read_catalog(tmp_path / "base.toml").model_copy(
        update={"extends": ("base.toml",)}
    )


def test_a_table_of_the_same_name_is_merged_key_by_key_all_the_way_down(write):
    catalog = read_catalog(
        write(
            'extends = "base.toml"\n[datasets.books]\npriority = 1\narchives = [{ file = "c.tar.gz" }]\n'
            'expect = { files = { "*.wav" = 1 } }\n[paths]\ncache = "elsewhere"\n'
        )
    )
    books = catalog.datasets["books"]
    assert (books.corpus, books.language, books.priority) == ("librispeech", "en", 1)
    assert [archive.file for archive in books.archives] == ["c.tar.gz"]
    assert books.expect.folders == ("x",)
    assert books.expect.files == {"*.flac": 3, "*.wav": 1}
    assert (catalog.paths.data, catalog.paths.cache) == ("base-data", "elsewhere")
    assert catalog.disk.budget_bytes == 10**12


def test_of_several_a_later_one_changes_an_earlier_one_and_the_file_itself_all(write):
    write("[run]\nworkers = 1\n[datasets.books]\npriority = 1\nmax_bad = 0.1\n", "one.toml")
    write("[run]\nworkers = 2\n[datasets.books]\npriority = 2\n", "two.toml")
    catalog = read_catalog(write('extends = ["base.toml", "one.toml", "two.toml"]\n[datasets.books]\nroot = "r"\n'))
    assert catalog.run.workers == 2
    books = catalog.datasets["books"]
    assert (books.priority, books.max_bad, books.root) == (2, 0.1, "r")


def test_a_path_in_extends_is_relative_to_the_file_that_names_it_and_every_other_to_the_users_own(write, tmp_path):
    write('extends = "../base.toml"\n[paths]\nmanifests = "m"\n', "deep/middle.toml")
    project = open_project(write('extends = "deep/middle.toml"\n'))
    assert project.data == tmp_path / "base-data"
    assert project.manifests == tmp_path / "m"


def test_encoders_that_a_file_adds_come_first_and_those_it_changes_stay_in_place(write):
    added = read_catalog(write('extends = "base.toml"\n[encoders.large]\nmodel = "large"\n'))
    assert list(added.encoders) == ["large", "small", "pitch"]
    assert added.encoders_of("more") == ("large",)
    changed = read_catalog(write('extends = "base.toml"\n[encoders.pitch]\nceiling_hz = 900.0\n'))
    assert changed.encoders_of("more") == ("small",)


def test_a_dataset_that_is_dropped_leaves_what_was_taken_over(write):
    catalog = read_catalog(write('extends = "base.toml"\n[datasets]\nbooks = false\n'))
    assert set(catalog.datasets) == {"more"}
    assert catalog.jobs["asr"].datasets == ("more",)
    assert catalog.manifests["both"].datasets == ("more",)
    assert set(catalog.jobs) == {"asr"}  # what read `books` alone has nothing left to read


def test_an_encoder_that_is_dropped_leaves_datasets_and_jobs(write):
    catalog = read_catalog(write('extends = "base.toml"\n[encoders]\nsmall = false\n'))
    assert catalog.datasets["books"].encoders == ("pitch",)
    assert catalog.jobs["books_alone"].features == ()


@pytest.mark.parametrize("family", ["datasets", "jobs", "manifests"])
def test_a_whole_family_can_be_dropped(write, family):
    catalog = read_catalog(write(f'extends = "base.toml"\n{family} = false\n'))
    assert getattr(catalog, family) == {}


def test_a_table_inside_a_table_can_be_dropped(write):
    catalog = read_catalog(write('extends = "base.toml"\n[datasets.books]\nexpect = false\n'))
    assert not catalog.datasets["books"].expect.model_fields_set


def test_a_job_of_ones_own_that_names_what_is_dropped_is_an_error(write):
    text = 'extends = "base.toml"\n[datasets]\nbooks = false\n[jobs.mine]\ndatasets = ["books"]\n'
    assert failure(write(text)) == 'datasets.toml: [jobs.mine]: datasets: no dataset "books".'


def test_a_job_whose_datasets_are_all_dropped_can_be_given_others(write):
    text = 'extends = "base.toml"\n[datasets]\nbooks = false\n[jobs.books_alone]\ndatasets = ["more"]\nfeatures = []\n'
    assert read_catalog(write(text)).jobs["books_alone"].datasets == ("more",)


def test_what_a_middle_file_drops_can_be_defined_again(write):
    write('extends = "base.toml"\n[datasets]\nbooks = false\n', "middle.toml")
    catalog = read_catalog(write('extends = "middle.toml"\n[datasets.books]\ncorpus = "mls"\n'))
    assert catalog.datasets["books"].language is None
    assert catalog.jobs["asr"].datasets == ("more",)


def test_a_dataset_of_another_corpus_and_an_encoder_of_another_kind_replace_the_table(write):
    catalog = read_catalog(
        write(
            'extends = "base.toml"\n[datasets.more]\ncorpus = "kaldi"\n[encoders.small]\nkind = "f0"\nfloor_hz = 50.0\n'
        )
    )
    assert catalog.datasets["more"].licence is None
    assert catalog.encoders["small"].kind == "f0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'extends = "earmrak"',
            'datasets.toml: extends: no catalog "earmrak" (did you mean "earmark"?):'
            ' expected "earmark", a path, or a list of them.',
        ),
        ('extends = "gone.toml"', "datasets.toml: extends: gone.toml: no such catalog. Write it, or name another."),
        ('extends = "base.toml/x.toml"', "datasets.toml: extends: base.toml/x.toml: no such catalog."),
        ('extends = "datasets.toml"', "datasets.toml: extends: datasets.toml extends this file in turn"),
        ('extends = "./folder"', "datasets.toml: extends: folder: expected a file in TOML, got a folder."),
        ('extends = "pipe"', "datasets.toml: extends: pipe: expected a file in TOML, got a pipe."),
        ('extends = "broken.toml"', "broken.toml: not valid TOML:"),
        ('extends = "latin.toml"', "datasets.toml: extends: latin.toml: not valid TOML: 'utf-8' codec"),
        ('extends = "nul\\u0000"', "cannot be read"),
        (
            "extends = 3",
            'datasets.toml: [top level]: extends: expected "earmark", a path, or a list of them, got 3 (int).',
        ),
        ('extends = ["base.toml", 3]', "a list of them, got 3 (int)."),
        ('extends = ""', "a list of them, got '' (str)."),
        ('[paths]\nextends = "earmark"', '[paths]: unknown key "extends": it belongs at the head of the file'),
        ('extend = "earmark"', 'unknown key "extend" (did you mean "extends"?)'),
        (
            'extends = "base.toml"\n[datasets]\nboks = false',
            'datasets.toml: [datasets]: boks = false drops nothing: no dataset "boks" (did you mean "books"?) in what',
        ),
        ("[datasets]\nx = false", 'datasets.toml: [datasets]: x = false drops nothing: no dataset "x" in what'),
        ('extends = "base.toml"\n[datasets]\nbooks = 3', "[datasets]: books: expected a table, got 3 (int)."),
        ('extends = "base.toml"\n[datasets]\nbooks = true', "[datasets]: books: expected a table, got True (bool)."),
        ("datasets = false", "datasets.toml: [top level]: datasets: expected a table, got False (bool)."),
    ],
)
def test_what_goes_wrong_is_one_line(write, tmp_path, text, expected):
    write("[x\n", "broken.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe4\n")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert expected in failure(write(text + "\n"))


def test_a_circle_of_several_files_is_one_line(write):
    write('extends = "two.toml"\n', "one.toml")
    write('extends = ["base.toml", "datasets.toml"]\n', "two.toml")
    message = failure(write('extends = "one.toml"\n'))
    assert message.startswith("two.toml: extends: datasets.toml extends this file in turn: expected no circle.")


def test_a_catalog_reached_on_two_ways_is_no_circle(write):
    write('extends = "base.toml"\n[run]\nworkers = 1\n', "one.toml")
    write('extends = "base.toml"\n', "two.toml")
    assert set(read_catalog(write('extends = ["one.toml", "two.toml"]\n')).datasets) == {"books", "more"}


@pytest.mark.parametrize("what", ["a pipe", "a folder"])
def test_a_catalog_that_is_no_file_is_one_line_and_waits_for_nobody(tmp_path, what):
    path = tmp_path / "datasets.toml"
    os.mkfifo(path) if what == "a pipe" else path.mkdir()
    assert failure(path) == f"{path}: expected a file in TOML, got {what}."


@pytest.mark.parametrize(
    ("base", "own", "file"),
    [
        ('[datasets.x]\ncorpus = "mls"\nlicense = "CC0-1.0"\n', "", "bad.toml"),
        ('[datasets.x]\ncorpus = "mls"\n', '[datasets.x]\nlicense = "CC0-1.0"\n', "datasets.toml"),
        ('[datasets.x]\ncorpus = "mls"\npriority = "high"\n', "[datasets.x]\nmax_bad = 0.1\n", "bad.toml"),
        ('[datasets.x]\ncorpus = "mls"\npriority = 1\n', '[datasets.x]\npriority = "high"\n', "datasets.toml"),
        ("[datasets.x]\npriority = 1\n", "", "bad.toml"),
        ('[datasets.x]\ncorpus = "msl"\n', "[datasets.x]\npriority = 1\n", "bad.toml"),
        ('[datasets.x]\ncorpus = "mls"\nencoders = ["none"]\n', "[datasets.x]\npriority = 1\n", "bad.toml"),
        (
            '[datasets.x]\ncorpus = "mls"\narchives = [{ file = "a", md6 = "b" }]\n',
            "[datasets.x]\npriority = 1\n",
            "bad.toml",
        ),
        ('[jobs.j]\ndatasets = ["books"]\nlabels = ["txt"]\n', "[jobs.j]\nseed = 1\n", "bad.toml"),
        ('[jobs.j]\ndatasets = ["books"]\n', "[jobs.j]\nseed = 1\n", "datasets.toml"),
        ('[manifests.m]\ndatasets = ["nope"]\n', "", "bad.toml"),
        ('[encoders.e]\nkind = "f0"\nmodel = "m"\n', "[encoders.e]\nfloor_hz = 50.0\n", "bad.toml"),
        ('[encoders.e]\nkind = "f0"\nfloor_hz = 900.0\n', "[encoders.e]\nceiling_hz = 80.0\n", "datasets.toml"),
        ('[datasets."a b"]\ncorpus = "mls"\n', "", "bad.toml"),
        ('[datasets.x]\ncorpus = "mls"\nmanifest = "books"\n', "[datasets.x]\npriority = 1\n", "bad.toml"),
    ],
)
def test_a_mistake_names_the_file_it_is_in(write, base, own, file):
    write('extends = "base.toml"\n' + base, "bad.toml")
    assert failure(write(f'extends = "bad.toml"\n{own}')).startswith(f"{file}: [")


def test_a_job_that_misses_an_encoder_after_a_change_says_how_to_go_on(write):
    message = failure(write('extends = "base.toml"\n[datasets.books]\nencoders = ["pitch"]\n'))
    assert 'base.toml: [jobs.books_alone]: features: [datasets.books] does not name "small" in its encoders.' in message
    assert "jobs.books_alone = false" in message


def test_the_shipped_catalog_can_be_extended_by_name(write):
    catalog = read_catalog(
        write('extends = "earmark"\n[datasets]\ntimit = false\n[datasets.librispeech]\nmax_bad = 0.5\n')
    )
    shipped = read_catalog(CHECKOUT / "datasets.toml")
    assert set(shipped.datasets) - set(catalog.datasets) == {"timit"}
    assert catalog.datasets["librispeech"] == shipped.datasets["librispeech"].model_copy(update={"max_bad": 0.5})
    assert list(catalog.encoders) == list(shipped.encoders)
    assert "timit" not in catalog.jobs["phoneme_recognition"].datasets


def test_a_mistake_about_the_shipped_catalog_names_it(write):
    message = failure(write('extends = "earmark"\n[datasets.libritts]\nencoders = ["whisper-tiny"]\n'))
    assert message.startswith("earmark's datasets.toml: [jobs.pitch_prosody]: features: [datasets.libritts]")


def test_the_shipped_catalog_is_that_of_the_package_or_else_that_of_the_checkout(tmp_path, monkeypatch):
    assert shipped_catalog() == CHECKOUT / "datasets.toml"
    package = tmp_path / "site-packages/earmark/catalog"
    package.mkdir(parents=True)
    monkeypatch.setattr(extends, "__file__", str(package / "extends.py"))
    with pytest.raises(CatalogError, match=r"the shipped catalog is missing\. Install earmark again\."):
        shipped_catalog()
    (package / "datasets.toml").write_text("", "utf-8")
    assert shipped_catalog() == package / "datasets.toml"


def test_a_wheel_has_the_shipped_catalog_where_it_is_looked_for():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    where = Path(extends.__file__).with_name("datasets.toml").relative_to(CHECKOUT)
    assert included == {"datasets.toml": where.as_posix()}


KEYS = st.sampled_from(["a", "b", "c"])
TREES = st.recursive(
    st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
TABLES = st.dictionaries(KEYS, TREES, max_size=3)


def leaves(tables, steps=()):
    """Yield the path and value of everything that is no table."""
    for key, value in tables.items():
        if isinstance(value, dict):
            yield from leaves(value, (*steps, key))
        else:
            yield (*steps, key), value


def has(tables, steps):
    """Say whether a file has something at a path that is not merged with a table there."""
    for step in steps[:-1]:
        tables = tables.get(step, {}) if isinstance(tables, dict) else {}
    return isinstance(tables, dict) and steps[-1] in tables


def merge(*several):
    merged = {}
    for number, tables in enumerate(several):
        merged = extends._lay_over(merged, Layer(str(number), tables))
    return merged


@given(below=TABLES, above=TABLES)
def test_keys_of_the_upper_file_win_and_the_rest_comes_from_the_lower(below, above):
    merged = dict(leaves(merge(below, above)))
    upper, lower = dict(leaves(above)), dict(leaves(below))
    assert merged.items() >= upper.items()
    for path, value in merged.items():
        assert path in upper or lower[path] == value
    for path in lower.keys() - merged.keys():  # gone only where the upper file has something else in its way
        assert any(has(above, path[:length]) for length in range(1, len(path) + 1))


@given(tables=TABLES)
def test_a_file_over_itself_or_over_nothing_is_itself(tables):
    assert merge(tables, tables) == merge({}, tables) == merge(tables, {}) == tables


@given(several=st.lists(TABLES, min_size=1, max_size=3))
def test_the_file_of_a_key_is_the_last_one_that_has_it(several):
    layers = Layers(tuple(Layer(str(number), tables) for number, tables in enumerate(several)), merge(*several))
    for path, value in leaves(layers.merged):
        assert dict(leaves(several[int(layers.file_of(*path))]))[path] == value


def test_text_that_is_not_in_the_file_yet_is_read_as_if_it_were(write, tmp_path):
    path = write('extends = "base.toml"\n')
    layers = read_layers(path, 'extends = "base.toml"\n[run]\nworkers = 7\n')
    assert layers.merged["run"] == {"workers": 7}
    assert layers.merged["paths"] == {"data": "base-data"}
