from pathlib import Path

import pytest

from earmark.catalog.project import open_project
from earmark.catalog.read import catalog_path, read_catalog
from earmark.errors import CatalogError

GOOD = """
[encoders.small]
model = "model"

[datasets.books]
corpus = "librispeech"
archives = [{ file = "books.tar.gz", md5 = "0123456789abcdef0123456789abcdef" }]
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "datasets.toml"
    path.write_text(text, "utf-8")
    return path


def test_the_catalog_of_this_checkout_is_valid():
    catalog = read_catalog(Path(__file__).parents[2] / "datasets.toml")
    assert "demo" in catalog.datasets


def test_relative_paths_resolve_against_the_catalogs_folder(tmp_path):
    project = open_project(write(tmp_path, '[paths]\ndata = "elsewhere"\n' + GOOD))
    assert project.data == tmp_path / "elsewhere"
    assert project.cache == tmp_path / "cache"
    assert project.root("books") == tmp_path / "elsewhere" / "books" / "."
    assert project.relative(tmp_path / "manifests" / "x.jsonl") == "manifests/x.jsonl"
    assert project.relative(tmp_path.parent / "other" / "x.flac") == "../other/x.flac"


def test_the_variable_names_another_catalog(tmp_path, monkeypatch):
    monkeypatch.setenv("EARMARK_CATALOG", str(tmp_path / "mine.toml"))
    assert catalog_path(Path("somewhere")) == tmp_path / "mine.toml"
    monkeypatch.delenv("EARMARK_CATALOG")
    assert catalog_path(tmp_path) == tmp_path / "datasets.toml"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[paths]\ndat = "x"\n', r'\[paths\]: unknown key "dat" \(did you mean "data"\?\)'),
        ('[dataset.x]\ncorpus = "mls"\n', r'\[top level\]: unknown key "dataset" \(did you mean "datasets"\?\)'),
        (
            '[datasets.x]\ncorpus = "mls"\nlicense = "CC0"\n',
            r'\[datasets.x\]: unknown key "license" \(did you mean "licence"\?\)',
        ),
        (
            '[datasets.x]\ncorpus = "mls"\npriority = "high"\n',
            r"\[datasets.x\]: priority: expected .*integer, got 'high' \(str\)",
        ),
        ('[datasets.x]\ncorpus = "mls"\nmax_bad = 2\n', r"max_bad: expected .*less than or equal to 1, got 2"),
        ("[datasets.x]\n", r'\[datasets.x\]: key "corpus" is missing'),
        ('[datasets.x]\ncorpus = "librispech"\n', r'no reader "librispech" \(did you mean "librispeech"\?\)'),
        ('[datasets.x]\ncorpus = "mls"\nencoders = ["tiny"]\n', r'no encoder "tiny"'),
        ('[datasets.x]\ncorpus = "mls"\narchives = [{ fil = "a" }]\n', r'unknown key "fil" \(did you mean "file"\?\)'),
        ('[datasets.x]\ncorpus = "mls"\narchives = [{ file = "a", md5 = "zz" }]\n', r"md5: expected"),
        ('[datasets."a b"]\ncorpus = "mls"\n', "expected a name of letters"),
        ('[datasets.x]\ncorpus = "mls"\nmanifest = "y"\n[datasets.y]\ncorpus = "mls"\n', "already the stem"),
        ('[jobs.asr]\ndatasets = ["nope"]\n', r'no dataset "nope"'),
        ('[standard]\nformat = "mp3"\n', r"\[standard\]: format: expected 'flac', 'wav' or 'none', got 'mp3'"),
        ('[encoders.e]\nmodel = "m"\nprecision = "float8"\n', "precision: expected 'float32'"),
        ('[disk]\nbudget = "3 parsecs"\n', "budget: expected a number, a space and a unit"),
        ("[datasets.x\n", "not valid TOML"),
    ],
)
def test_a_mistake_names_its_table_key_and_cure(tmp_path, text, expected):
    with pytest.raises(CatalogError, match=expected):
        read_catalog(write(tmp_path, text))


def test_several_mistakes_are_named_at_once(tmp_path):
    text = '[datasets.x]\ncorpus = "mls"\npriority = "high"\nwacth = "files"\n'
    with pytest.raises(CatalogError) as error:
        read_catalog(write(tmp_path, text))
    assert len(str(error.value).splitlines()) == 2


def test_a_missing_catalog_is_one_line(tmp_path):
    with pytest.raises(CatalogError, match=r"no such catalog\. Write one, or name another in EARMARK_CATALOG"):
        read_catalog(tmp_path / "datasets.toml")


def test_the_budget_is_read_in_bytes(tmp_path):
    assert read_catalog(write(tmp_path, '[disk]\nbudget = "3.5 TB"\n')).disk.budget_bytes == 3_500_000_000_000


def test_datasets_come_in_order_of_priority(tmp_path):
    text = '[datasets.b]\ncorpus = "mls"\npriority = 2\n[datasets.a]\ncorpus = "mls"\npriority = 2\n[datasets.c]\ncorpus = "mls"\npriority = 1\n'
    assert read_catalog(write(tmp_path, text)).by_priority() == ["c", "a", "b"]


def test_a_stem_that_is_another_datasets_split_is_refused(tmp_path):
    text = '[datasets.x]\ncorpus = "mls"\n[datasets.x_train]\ncorpus = "musan"\n'
    with pytest.raises(CatalogError, match=r'\[datasets.x_train\]: manifest: "x_train" is what the train split of'):
        read_catalog(write(tmp_path, text))


@pytest.mark.parametrize("names", [("a", "A"), ("a.json", "b")])
def test_names_that_would_meet_in_one_file_are_refused(tmp_path, names):
    text = "".join(f'[datasets."{name}"]\ncorpus = "mls"\n' for name in names)
    with pytest.raises(CatalogError, match="names become files"):
        read_catalog(write(tmp_path, text))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('channel = "left"', r"\[datasets.x\]: channel: expected 'mean' or a valid integer, got 'left' \(str\)"),
        ('language = "english!"', r'language: expected a BCP 47 tag such as "en", got'),
        (
            'archives = [{ file = "a", sha256 = "x" }]',
            r"\[datasets.x.archives entry 1\]: sha256: expected 64 lower-case hex",
        ),
        ('archives = "a"', "archives: expected a list, got 'a'"),
        ("expect = 3", r"expect: expected a table, got 3 \(int\)"),
        ('expect = { files = { "*.flac" = -1 } }', "greater than or equal to 0, got -1"),
        ('archives = [{ file = "a" }, { file = "a" }]', 'archives: "a" is named twice'),
        ('archives = [{ file = "a", parts = [{ file = "a" }] }]', 'archives: "a" is named twice'),
        ('encoders = ["f0", "f0"]\n[encoders.f0]\nkind = "f0"', 'encoders: "f0" is named twice'),
        ("[jobs.y]\ndatasets = []", r"\[jobs.y\]: datasets: expected at least one entry, got \[\]"),
    ],
)
def test_a_wrong_value_is_one_line_in_a_catalogs_words(tmp_path, line, expected):
    with pytest.raises(CatalogError, match=expected) as error:
        read_catalog(write(tmp_path, f'[datasets.x]\ncorpus = "mls"\n{line}\n'))
    assert len(str(error.value).splitlines()) == 1


def test_a_dataset_may_be_called_as_pydantic_calls_its_types(tmp_path):
    with pytest.raises(CatalogError, match=r'\[datasets.int\]: unknown key "rot" \(did you mean "root"\?\)'):
        read_catalog(write(tmp_path, '[datasets.int]\ncorpus = "mls"\nrot = "x"\n'))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('disjoint = ["speaker"]', r"\[datasets.books\]: disjoint"),
        ('spaces = { speaker = "librivox" }', r"\[datasets.books\]: spaces"),
        ('[jobs.j]\ndatasets = ["books"]\nlabels = ["text|speaker"]', r"\[jobs.j\]: labels"),
        ('[jobs.j]\ndatasets = ["books"]\nwhere = { speaker = "1" }', r"\[jobs.j\]: where"),
        ('[jobs.j]\ndatasets = ["books"]\nwithout = { speaker = "1" }', r"\[jobs.j\]: without"),
    ],
)
def test_a_label_that_no_row_can_have_is_refused_with_the_nearest(text, where, tmp_path):
    with pytest.raises(CatalogError, match=where + r': no label "speaker" \(did you mean "speaker_ids?"\?\)'):
        read_catalog(write(tmp_path, GOOD + text + "\n"))
