"""docs: the pages that are made from the catalog: every key of it, and every corpus in the shipped one.

doit docs       writes docs/catalog.md and docs/corpora.md; a test fails where they are not current
"""

import ast
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

from doit.exceptions import TaskFailed

from earmark import corpora
from earmark.catalog.extends import FILE
from earmark.catalog.read import read_catalog
from earmark.catalog.tables import DatasetTable
from earmark.errors import EarmarkError
from tasks.cli.doit_types import TaskDict
from tasks.engine.opened import OPENED

CHECKOUT = Path(__file__).parents[2]
GENERATED = "<!-- made by `doit docs` from {}: change those, not this page -->"


CORPORA_HEAD = """\
# Corpora

The datasets of the shipped catalog. *Hours* are the publisher's figures for the archives that the catalog names, or
sums of them; empty where none is known. *Labels* are what the reader can give, as its test fixtures show; some need an
option or a further file, which the catalog and the head of the reader's module name. *Licence* is that of the dataset
as published; where rows have one of their own, the label `licence` says so. `docs/catalog.md` explains the names.
"""


def docs_tasks() -> Iterator[TaskDict]:
    """Yield the one task."""
    yield {
        "basename": "docs",
        "actions": [(_write, [CHECKOUT])],
        "uptodate": [False],
        "doc": "write docs/catalog.md and docs/corpora.md anew",
    }


def pages(checkout: Path) -> dict[Path, str]:
    """Return the generated pages of a checkout by their paths."""
    from tasks.cli.docs_catalog import catalog_page

    keys = f"{GENERATED.format('the classes that read the catalog')}\n\n{catalog_page()}"
    return {checkout / "docs/catalog.md": keys, checkout / "docs/corpora.md": corpora_page(checkout)}


def _write(checkout: Path) -> TaskFailed | None:
    try:
        for path in write(checkout):
            OPENED.run.log.note(f"written: {path.relative_to(checkout)}")
    except (EarmarkError, OSError) as error:
        return TaskFailed(str(error))
    return None


def write(checkout: Path) -> list[Path]:
    """Write the pages that are not current, and return their paths."""
    stale = {
        path: text for path, text in pages(checkout).items() if not path.exists() or path.read_text("utf-8") != text
    }
    for path, text in stale.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    return list(stale)


def corpora_page(checkout: Path) -> str:
    """Return docs/corpora.md: every dataset of the shipped catalog, and every reader."""
    catalog, labels = read_catalog(checkout / FILE), labels_by_reader(checkout / "tests" / "corpora")
    lines = [GENERATED.format(f"{FILE} and the readers' fixtures"), "", CORPORA_HEAD, "## Datasets", ""]
    lines += ["| dataset | reader | language | hours | licence | labels | home |", "|---|---|---|---|---|---|---|"]
    lines += [_corpus(name, table, labels.get(table.corpus, [])) for name, table in catalog.datasets.items()]
    lines += ["", "## Readers", "", "| reader | what it reads |", "|---|---|"]
    lines += [f"| `{name}` | {_first_line(name)} |" for name in corpora.names()]
    return "\n".join([*lines, ""])


def _corpus(name: str, table: DatasetTable, labels: list[str]) -> str:
    """Return a dataset's row."""
    hours = "" if table.hours is None else f"{table.hours:,.0f}" if table.hours >= 100 else f"{table.hours:g}"
    home = "" if table.home is None else f"[{table.home.partition('://')[2].strip('/')}]({table.home})"
    licence = f"`{table.licence}`" if table.licence else ""
    cells = (f"`{name}`", f"`{table.corpus}`", table.language or "", hours, licence, " ".join(labels), home)
    return f"| {' | '.join(cells)} |"


def labels_by_reader(fixtures: Path) -> dict[str, list[str]]:
    """Return the labels in the expected rows of each reader's fixtures, sorted."""
    by_reader: dict[str, set[str]] = {}
    for path in sorted(fixtures.glob("*.txt")):
        sections = _sections(path.read_text("utf-8"))
        reader = tomllib.loads(sections["catalog.toml"])["corpus"]
        for line in sections.get("expected.jsonl", "").splitlines():
            by_reader.setdefault(reader, set()).update(json.loads(line))
    return {reader: sorted(labels - {"id", "path", "split"}) for reader, labels in by_reader.items()}


def _sections(text: str) -> dict[str, str]:
    """Return the sections of a text fixture by name: each begins with a line `-- name --`."""
    parts = f"\n{text}".split("\n-- ")[1:]
    return {name: body for name, _, body in (part.partition(" --\n") for part in parts)}


def _first_line(reader: str) -> str:
    """Return the first sentence of a reader's docstring, without its name."""
    module = Path(corpora.__file__).parent / f"{reader}.py"
    words = (ast.get_docstring(ast.parse(module.read_text("utf-8"))) or "").partition("\n\n")[0]
    return " ".join(words.split()).replace("|", "\\|")
