"""The generated pages: current, whole, and true."""

import re
from typing import Annotated, Literal

import pytest
from pydantic import Field
from support.collection import CHECKOUT
from support.fixtures import parse
from support.shipped import DATASETS, READERS

from earmark.catalog.read import read_catalog
from earmark.catalog.tables import Catalog, Table
from tasks.cli import docs, docs_catalog

PAGES = docs.pages(CHECKOUT)


def tables(table=Catalog):
    """Every table of the catalog."""
    yield table
    for field in table.model_fields.values():
        for inner in docs_catalog._tables_in(field.annotation):
            yield from tables(inner)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_page_is_current(path):
    expected = [line for line in PAGES[path].splitlines() if path.name == "catalog.md" or is_shipped(line)]
    found = [line for line in path.read_text("utf-8").splitlines() if path.name == "catalog.md" or is_shipped(line)]
    assert found == expected, f"docs/{path.name} is not current: run `uv run doit docs`"


def is_shipped(line):
    """Say whether a line is of the shipped datasets and readers: a user's own need not be on the page."""
    row = re.match(r"\| `(\w+)` \|", line)
    return row is None or row[1] in {*DATASETS, *READERS}


def test_only_what_is_not_current_is_written(tmp_path):
    for path in (*PAGES, CHECKOUT / "datasets.toml", *(CHECKOUT / "tests/corpora").glob("*.txt")):
        copy = tmp_path / path.relative_to(CHECKOUT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    docs.write(tmp_path)
    (tmp_path / "docs/corpora.md").write_text("old", "utf-8")
    assert docs.write(tmp_path) == [tmp_path / "docs/corpora.md"]
    assert (tmp_path / "docs/corpora.md").read_text("utf-8") == PAGES[CHECKOUT / "docs/corpora.md"]
    assert docs.write(tmp_path) == []


def test_every_key_of_every_table_is_on_the_page_with_its_meaning():
    page = PAGES[CHECKOUT / "docs/catalog.md"]
    undescribed = []
    for table in tables():
        for name in table.model_fields:
            assert re.search(rf"(?m)^\| `{name}` \| [^|]+ \|", page)
            if not docs_catalog.meaning_of(table, name):
                undescribed.append(f"{table.__name__}.{name}")
    assert undescribed == []


def test_no_default_of_a_key_is_given_twice_or_left_out():
    rows = re.findall(
        r"(?m)^\| `(\w+)` \| (.+?) \| (.*?) \| .* \|$", PAGES[CHECKOUT / "docs/catalog.md"].partition("## Licences")[0]
    )
    assert len(rows) == sum(len(table.model_fields) for table in tables())
    defaults = {row[0]: row[2] for row in rows}
    assert defaults["corpus"] == "required"
    assert defaults["max_bad"] == "`0.001`"
    assert defaults["per_split"] == "`true`"
    assert defaults["language"] == ""


def test_the_example_catalogs_of_the_page_are_right(tmp_path):
    blocks = re.findall(r"```toml\n(.*?)```", PAGES[CHECKOUT / "docs/catalog.md"], re.DOTALL)
    assert blocks
    for block in blocks:
        catalog = read_catalog(tmp_path / "datasets.toml", block)
        assert "timit" not in catalog.datasets
        assert catalog.encoders_of("librispeech") == ("whisper-base",)
        assert catalog.datasets["commonvoice_en"].licence == "CC0-1.0"


def test_every_dataset_and_reader_is_on_the_page():
    page = PAGES[CHECKOUT / "docs/corpora.md"]
    catalog = read_catalog(CHECKOUT / "datasets.toml")
    for name, table in catalog.datasets.items():
        row = re.search(rf"(?m)^\| `{name}` \|.*$", page)[0]
        assert row.count(" | ") == 6
        assert f"| `{table.corpus}` |" in row
        assert (table.licence or "") in row
        assert (table.home or "") in row


def test_labels_are_those_of_the_fixtures_expected_rows():
    labels = docs.labels_by_reader(CHECKOUT / "tests/corpora")
    for path in (CHECKOUT / "tests/corpora").glob("*.txt"):
        fixture = parse(path.read_text("utf-8"))
        for row in fixture.expected:
            assert row.keys() - {"id", "path", "split"} <= set(labels[fixture.catalog["corpus"]])


class Plain(Table):
    """One kind."""

    kind: Literal["plain"] = Field(default="plain", description="what it is")


class Fancy(Table):
    """Another kind."""

    kind: Literal["fancy"] = Field(default="fancy", description="what it is")
    size: int = Field(ge=1, description="how large")


class Both(Table):
    """A family of tables."""

    things: dict[str, Annotated[Plain | Fancy, Field(discriminator="kind")]] = Field(default={}, description="by name")


def test_the_kinds_of_a_family_are_listed_one_by_one(monkeypatch):
    monkeypatch.setattr(docs_catalog, "Catalog", Both)
    lines = "\n".join(docs_catalog._section("Things", Both))
    assert '### `[things.NAME]` with `kind = "plain"`\n\nOne kind.' in lines
    assert '### `[things.NAME]` with `kind = "fancy"`\n\nAnother kind.' in lines
    assert "| `size` | whole number, at least 1 | required | how large |" in lines
