"""new-corpus: a reader that works, a fixture that passes and a catalog table, to be changed into the real ones."""

import keyword
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from string import Template

from doit import get_var
from doit.exceptions import TaskFailed

from earmark.catalog.project import Project
from earmark.catalog.read import read_catalog
from earmark.disk.files import clear_disk_errors, publishing, real
from earmark.errors import CatalogError, EarmarkError
from tasks.cli.doit_types import TaskDict
from tasks.engine.opened import OPENED

CHECKOUT = Path(__file__).parents[2]
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")  # it becomes the name of a module, a folder, a task and a file

READER = Template('''\
"""$name: what it is, in one line.

    labels.tsv           <id> TAB <text> [TAB <speaker> [TAB <train, dev or test>]]
    audio/<id>.wav

An example that works: put the corpus's own layout here, with its known defects and where it is documented.
Keeps all labels in memory.
"""

from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.lines import Entry, bad_line, lines
from earmark.corpora._labels import collect, join, present
from earmark.corpora._tree import audio_files, layout_error, listing
from earmark.rows import SPLITS

VERSION = 1

TABLE = "labels.tsv"

Row = tuple[str, str, str]  # text, speaker, split; the last two empty where they are not known


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings in the order of their paths."""
    return _recordings(root, options.language)


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    folders, files = listing(root)
    if "audio" not in folders or TABLE not in files:
        raise layout_error(root, f"a folder audio next to {TABLE}")
    rows, repeated = collect(_rows(root))
    yield from repeated
    for item in join(audio_files(root, "audio"), rows):
        if isinstance(item, Finding):
            yield item
            continue
        name, path, (text, speaker, split) = item
        labels = present({"text": text, "language": language})
        labels |= present({"speaker_id": speaker})
        yield Recording(name, path, split or None, labels)


def _rows(root: Path) -> Iterator[Entry[Row]]:
    """Yield the id, the line and the labels of each entry; a line of another form is a finding."""
    for number, line in lines(root / TABLE):
        with one_row(root / TABLE, number):
            name, text, speaker, split, *more = [*line.split("\\t"), "", ""]
            if not name or any(more) or split not in ("", *SPLITS):
                raise bad_line(root / TABLE, number, "<id>, text, speaker, split with tabs between", line)
            yield name, f"{TABLE}:{number}", (text, speaker, split)
''')

FIXTURE = Template("""\
$name, an example: put a small tree of the real layout here, each of its known defects in a line.
-- labels.tsv --
a1	First text	mary	train
a2	Its audio is missing	mary	train
a4	No speaker and no split
-- audio/a1.wav --
tone 0.1 s, 16000 Hz, 1 ch
-- audio/a3.wav --
tone 0.1 s, 16000 Hz, 1 ch
-- audio/a4.wav --
tone 0.1 s, 16000 Hz, 1 ch
-- catalog.toml --
corpus = "$name"
root = "."
language = "en"
# Where the labels are in names, or nothing else lists the recordings, none of them can be missed:
# labels = "in the audio's names or files"
-- expected.jsonl --
{"id": "a1", "path": "audio/a1.wav", "split": "train", "text": "First text", "language": "en", "speaker_id": "mary"}
{"id": "a4", "path": "audio/a4.wav", "text": "No speaker and no split", "language": "en"}
-- findings.jsonl --
{"kind": "audio without label", "path": "audio/a3.wav", "detail": "a3: no label line with this id"}
{"kind": "label without audio", "path": "labels.tsv:2", "detail": "a2: no audio file with this id"}
""")

TABLE = Template("""
# Archives, if any, are in the dataset's folder: archives = [{ file = "$name.tar.gz" }].
# docs/catalog.md lists the other keys.
[datasets.$name]
corpus   = "$name"
manifest = "$name"
priority = 100
""")


def new_corpus_tasks(project: Project) -> Iterator[TaskDict]:
    """Yield the one task; `name=x` on the command line says what to call the corpus."""
    yield {
        "basename": "new-corpus",
        "actions": [(_make, [project, get_var("name")])],
        "uptodate": [False],
        "doc": "write a reader, a fixture and a catalog table to start from: doit new-corpus name=my_books",
    }


def _make(project: Project, name: str | None) -> TaskFailed | None:
    try:
        for path in write(project, CHECKOUT, name or ""):
            OPENED.run.log.note(f"written: {project.relative(path)}")
    except EarmarkError as error:
        return TaskFailed(str(error))
    OPENED.run.log.note(
        "next: put the real layout into them;"
        f" `uv run pytest tests/readers/test_corpora.py -k {name}`; doit scan:{name}"
    )
    return None


def write(project: Project, checkout: Path, name: str) -> list[Path]:
    """Write a corpus's reader and fixture below `checkout` and append its table to the catalog: all three, or nothing.

    Raises CatalogError for a name that is wrong or taken, DiskFullError where a file cannot be written.
    """
    reader, fixture = checkout / "earmark" / "corpora" / f"{name}.py", checkout / "tests" / "corpora" / f"{name}.txt"
    _check(project, name, [reader, fixture])
    catalog = real(project.path)  # behind a link, which stays one
    written: list[Path] = []
    try:
        for path, template in ((reader, READER), (fixture, FIXTURE)):
            with clear_disk_errors(path), path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(template.substitute(name=name))
        text = catalog.read_bytes()
        text += (b"" if not text or text.endswith(b"\n") else b"\n") + TABLE.substitute(name=name).encode()
        try:
            read_catalog(project.path, text.decode("utf-8-sig"))
        except CatalogError as error:
            raise CatalogError(f"the catalog has no room for [datasets.{name}]: {error}") from error
        with publishing(catalog, project.scratch) as temporary:
            temporary.write_bytes(text)
            shutil.copymode(catalog, temporary)
    except BaseException:  # Ctrl-C too: half a corpus would break every command
        for path in written:
            path.unlink()
        raise
    return [*written, catalog]


def _check(project: Project, name: str, paths: list[Path]) -> None:
    """Refuse a name that is wrong or taken."""
    if not name:
        raise CatalogError("no name: expected one, as in `doit new-corpus name=my_books`.")
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise CatalogError(
            'wrong name: expected a lower-case letter, then up to 39 lower-case letters, digits or "_", no'
            f" keyword of Python, got {name!r}."
        )
    for path in paths:
        if not path.parent.is_dir():
            raise CatalogError(f"{path.parent}: no such folder: expected a checkout of earmark, with tests.")
    taken = [path.name for path in paths if path.exists()]
    taken += [f"{project.path.name}: [datasets.{known}]" for known in project.catalog.datasets if known.lower() == name]
    if taken:
        raise CatalogError(f"{name} is taken: expected a new name, got that of {taken[0]}.")
