"""Corpus readers on the text fixtures of tests/corpora, and on trees that a test writes itself."""

from pathlib import Path

from earmark import corpora
from earmark.corpora import ReaderOptions

FIXTURES = sorted((Path(__file__).parents[1] / "corpora").glob("*.txt"))


def write(root, files):
    """Write {path: text or bytes} below a folder."""
    for name, content in files.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())


def items_of(fixture, folder):
    """Return what a fixture's reader yields, where the fixture was unpacked into a folder."""
    table = fixture.catalog
    options = ReaderOptions(language=table.get("language"), options=table.get("options", {}))
    return list(corpora.read(table["corpus"], folder / table.get("root", "."), options))


def as_row(recording):
    """Return a recording as a line of a fixture's expected.jsonl."""
    split = {"split": recording.split} if recording.split else {}
    return {"id": recording.id, "path": recording.path, **split, **recording.labels}


def as_dict(finding):
    """Return a finding as a line of a fixture's findings.jsonl."""
    return {"kind": finding.kind, "path": finding.path, "detail": finding.detail}


def texts_of(corpus, root, **options):
    """Return {id: text} of a tree in which all is well."""
    return {item.id: item.labels.get("text") for item in corpora.read(corpus, root, ReaderOptions(**options))}
