"""What scan makes of a reader's labels: broken rows within bounds, suspicious texts told, a changed reader noticed."""

import subprocess
import sys
import zipfile
from pathlib import Path

import orjson
import pytest
from support.readers import write
from support.shipped import READERS

from earmark import corpora
from earmark.catalog.project import open_project
from earmark.corpora import Recording, _code
from tasks.engine.judge import judge, perform
from tasks.engine.stage import Run
from tasks.engine.units import Unit
from tasks.stages import extract, scan
from tasks.stages.registry import STAGES

UNIT = Unit("scan", "mine")


class Scan:
    """A dataset of the reader audiofolder, scanned in this process."""

    def __init__(self, home):
        self.home, self.notes, self.project = home, [], None

    def dataset(self, table, files, **more):
        lines = [f"{name} = {orjson.dumps(value).decode()}" for name, value in more.items()]
        catalog = '[datasets.mine]\ncorpus = "audiofolder"\n' + "\n".join(lines)
        write(self.home, {"datasets.toml": catalog, "data/mine/metadata.csv": table})
        write(self.home, {f"data/mine/{name}.wav": name for name in files})
        return self

    def run(self, judged=False):
        if self.project:
            self.project.memo.close()
        self.project = open_project(self.home / "datasets.toml")
        run = Run(self.project, STAGES)
        run.log.note = self.notes.append
        assert perform(run, extract.STAGE.whole, Unit("extract", "mine")) is None
        return judge(run, scan.RULE, UNIT) if judged else perform(run, scan.RULE, UNIT)

    def findings(self):
        return [orjson.loads(line) for line in self.project.findings("mine").read_bytes().splitlines()]


@pytest.fixture
def mine(tmp_path):
    made = Scan(tmp_path)
    yield made
    if made.project:
        made.project.memo.close()


def table_of(n_rows, broken=()):
    rows = [f"a{n}.wav,text,{'loud' if n in broken else 60}" for n in range(n_rows)]
    return "\n".join(["file_name,text,pitch", *rows, ""])


def test_a_broken_row_is_a_finding_with_its_line_and_the_others_are_scanned(mine):
    failed = mine.dataset(table_of(10, {3}), [f"a{n}" for n in range(10)], max_missing=0.1).run()
    assert failed is None
    assert mine.project.receipt("scan", "mine").exists()
    [broken, lost] = mine.findings()
    assert (broken["kind"], broken["path"]) == ("broken label", "metadata.csv:5")
    assert "a whole number from 0 to 127 in column pitch, got 'loud'" in broken["detail"]
    assert lost["kind"] == "audio without label"
    assert "1 x broken label (such as metadata.csv:5" in "".join(mine.notes)


def test_more_broken_rows_than_max_missing_allows_are_an_error_that_shows_one(mine):
    failed = mine.dataset(table_of(10, {3, 4}), [f"a{n}" for n in range(10)], max_missing=0.1).run()
    said = failed.get_msg()
    assert "2 of 10 do not fit, max_missing allows 10.00%" in said
    assert "2 x broken label: metadata.csv:5: expected a whole number from 0 to 127" in said
    assert not mine.project.receipt("scan", "mine").exists()


def test_a_table_without_one_good_row_says_what_is_wrong_with_them(mine):
    failed = mine.dataset(table_of(2, {0, 1}), ["a0", "a1"], max_missing=1.0).run()
    assert "no recordings" in failed.get_msg()
    assert "such as metadata.csv:2: expected a whole number" in failed.get_msg()


def test_suspicious_texts_are_counted_and_restored_where_the_catalog_says_so(mine):
    table = "file_name,text\na.wav,it\x92s\nb.wav,fine\nc.wav,cafÃ©\n"
    assert mine.dataset(table, "abc").run() is None
    told = "\n".join(mine.notes)
    assert "1 x suspicious text: C1 control in text (such as a.wav): a defect" in told
    assert 'repair = "certain" in [datasets.mine]' in told
    mine.notes.clear()
    assert mine.dataset(table, "abc", repair="certain").run() is None
    assert "1 x repaired: UTF-8 read as cp1252 in text (such as c.wav)" in "\n".join(mine.notes)
    rows = [orjson.loads(line) for line in mine.project.shard_list("mine", "0000").read_bytes().splitlines()]
    assert [row["labels"]["text"] for row in rows] == ["it’s", "fine", "café"]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"text": ["a"]}, 'label text: expected text, got ["a"]'),
        ({"emotion": "joy"}, "label emotion: expected one of neutral, calm,"),
        ({"fold": "3"}, 'label fold: expected a whole number, got "3"'),
        ({"level": 1}, "label level: expected a field that manifest.schema.json lists, got 1"),
        ({"segments": [{"begin": 0}]}, "label segments[0].begin: expected a field that manifest.schema.json lists"),
        ({"extra": {"x": float("inf")}}, "label extra.x: expected a finite number, got inf"),
        ({"extra": {"x": [{}] * 2 + [{1: 2}]}}, "label extra.x[2]: expected names that are text, got 1"),
    ],
    ids=str,
)
def test_a_readers_wrong_label_stops_the_scan_with_reader_file_line_and_field(mine, labels, told, monkeypatch):
    from earmark.corpora import audiofolder
    from earmark.corpora._labels import collect

    def read(root, options):
        rows, _ = collect([("a0", "metadata.csv:2", None)])
        yield from (Recording(name, f"{name}.wav", None, labels) for name in rows)

    monkeypatch.setattr(audiofolder, "read", read)
    said = mine.dataset(table_of(1), ["a0"]).run().get_msg().strip()
    assert said.startswith("reader audiofolder: a0.wav (labelled at metadata.csv:2): ")
    assert told in said
    assert "\n" not in said


def test_an_edited_reader_is_noticed_and_called_that(mine, monkeypatch):
    mine.dataset(table_of(2), ["a0", "a1"]).run()
    assert mine.run(judged=True).state == "U"
    monkeypatch.setattr(corpora, "code", lambda corpus: "0" * 32)
    verdict = mine.run(judged=True)
    assert verdict.state == "R"
    assert verdict.reasons[0].startswith("the reader's code changed (")


@pytest.fixture
def sources(monkeypatch):
    """The modules of the readers as a dict that a test may edit."""
    real, edited = _code._source, {}

    def source(name):
        return edited.get(name, real(name))

    for cached in (_code._source, _code._imported):
        cached.cache_clear()
    monkeypatch.setattr(_code, "_source", source)
    yield edited
    for cached in (real, _code._imported):
        cached.cache_clear()


@pytest.mark.parametrize("module", ["esc50", "_labels", "_formats.csv_files", "_formats.lines", "_tree", "", "_texts"])
def test_an_edit_to_a_reader_or_to_what_it_imports_changes_its_code(module, sources):
    before = _code.code_of("esc50")
    sources[module] = _code._source(module) + b"\n# edited\n"
    assert _code.code_of("esc50") != before


@pytest.mark.parametrize("module", ["meld", "_formats.nxt", "_huggingface", "_lfs", "_columns"])
def test_an_edit_to_what_a_reader_does_not_import_leaves_its_code(module, sources):
    before = _code.code_of("esc50")
    sources[module] = _code._source(module) + b"\n# edited\n"
    assert _code.code_of("esc50") == before


LOADED = """
import sys
for corpus in sys.argv[1:]:
    __import__(f"earmark.corpora.{corpus}")
    names = [name for name in sys.modules if name.startswith("earmark.corpora")]
    print(corpus, *(name.removeprefix("earmark.corpora").removeprefix(".") for name in names))
    for name in names:
        del sys.modules[name]
"""


def test_the_code_is_that_of_all_the_modules_that_python_loads_for_a_reader():
    """So that no form of an import is missed; in a process of its own, where modules may be loaded again and again."""
    done = subprocess.run([sys.executable, "-c", LOADED, *READERS], capture_output=True, text=True, check=True)
    lines = [line.split(" ") for line in done.stdout.splitlines()]
    assert [corpus for corpus, *_ in lines] == READERS
    for corpus, *loaded in lines:
        assert set(loaded) <= _code._reached(corpus)


def test_several_forms_of_imports_are_followed(sources):
    sources["esc50"] = b"from earmark.corpora import (\n    Finding,\n    _lfs as x,\n)\nimport earmark.corpora.meld\n"
    assert {"_lfs", "meld", "", "_emotions"} <= _code._reached("esc50")


def test_code_in_a_zip_is_hashed_as_the_same_code_in_a_folder(tmp_path):
    package = Path(corpora.__file__).parents[1]
    with zipfile.ZipFile(tmp_path / "earmark.zip", "w") as file:
        for path in package.rglob("*"):
            if path.suffix in (".py", ".json"):
                file.write(path, path.relative_to(package.parent))
    ask = "from earmark import corpora; print(corpora.__file__); print(corpora.code('meld'))"
    done = subprocess.run(
        [sys.executable, "-c", ask], env={"PYTHONPATH": str(tmp_path / "earmark.zip")}, cwd=tmp_path,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    where, code = done.stdout.split()
    assert ".zip/" in where
    assert code == corpora.code("meld")
