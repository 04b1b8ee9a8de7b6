"""`doit new-corpus name=x`, run in a copy of the checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.collection import CHECKOUT

from earmark.catalog.project import open_project
from earmark.errors import CatalogError
from tasks.cli.new_corpus import write

CATALOG = '[datasets.Bells]\ncorpus = "mls"\nmanifest = "chimes"'  # without a line end


@pytest.fixture
def copy(tmp_path):
    """What new-corpus and the corpus tests need of a checkout; no fixture of another corpus."""
    for folder in ("earmark", "tasks"):
        shutil.copytree(CHECKOUT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests" / "corpora").mkdir(parents=True)
    for folder in ("support", "readers"):
        shutil.copytree(CHECKOUT / "tests" / folder, tmp_path / "tests" / folder)
    for path in (CHECKOUT / "dodo.py", CHECKOUT / "pyproject.toml", *CHECKOUT.glob("tests/*.py")):
        shutil.copy(path, tmp_path / path.relative_to(CHECKOUT))
    (tmp_path / "datasets.toml").write_text(CATALOG, "utf-8")
    return tmp_path


def run(copy, *command):
    environment = {name: value for name, value in os.environ.items() if name != "EARMARK_CATALOG"}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=copy,
        env=environment | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def files(folder):
    ignored = ("__pycache__", "cache", ".pytest_cache", ".ruff_cache")
    paths = (path.relative_to(folder) for path in folder.rglob("*"))
    return {path: (folder / path).read_bytes() for path in paths if path.suffix and not set(ignored) & set(path.parts)}


def test_a_new_corpus_passes_the_corpus_tests_at_once(copy):
    before = files(copy)
    done = run(copy, "doit", "new-corpus", "name=birdsong")
    assert done.returncode == 0, done.stdout + done.stderr
    after = files(copy)
    new = {Path("earmark/corpora/birdsong.py"), Path("tests/corpora/birdsong.txt")}
    assert after.keys() - before.keys() == new
    assert {path for path in before if before[path] != after[path]} == {Path("datasets.toml")}
    assert (copy / "datasets.toml").read_text("utf-8").startswith(f"{CATALOG}\n\n")
    assert all(str(path) in done.stdout for path in new)
    tests = run(copy, "pytest", "-q", "-n0", "tests/readers/test_corpora.py", "-k", "birdsong")
    assert tests.returncode == 0, tests.stdout
    for check in (["ruff", "check"], ["ruff", "format", "--check"]):
        assert run(copy, *check, "earmark/corpora/birdsong.py").returncode == 0
    assert "scan:birdsong" in run(copy, "doit", "list", "--all").stdout
    again = run(copy, "doit", "new-corpus", "name=birdsong")
    assert again.returncode != 0
    assert "birdsong is taken: expected a new name, got that of" in again.stdout
    assert files(copy) == after


@pytest.mark.parametrize("why", ["a stem", "no fixtures"])
def test_a_new_corpus_that_cannot_be_whole_leaves_nothing(copy, why):
    if why == "no fixtures":
        (copy / "tests" / "corpora").rmdir()
    before = files(copy)
    done = run(copy, "doit", "new-corpus", "name=chimes" if why == "a stem" else "name=birdsong")
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    expected = {
        "a stem": 'datasets.toml: [datasets.chimes]: manifest: "chimes" is',
        "no fixtures": "corpora: no such folder",
    }
    assert expected[why] in done.stdout
    assert files(copy) == before


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "no name: expected one, as in `doit new-corpus name="),
        ("Birds", "wrong name: expected a lower-case letter"),
        ("2birds", "got '2birds'"),
        ("../birds", "wrong name"),
        ("bird-song", "wrong name"),
        ("_birds", "wrong name"),
        ("class", "no keyword of Python"),
        ("b" * 41, "up to 39"),
        ("mls", r"mls is taken: expected a new name, got that of mls\.py"),
        ("bells", r"got that of datasets\.toml: \[datasets\.Bells\]"),
    ],
)
def test_a_wrong_or_taken_name_is_refused_in_one_line(tmp_path, name, expected):
    (tmp_path / "earmark" / "corpora").mkdir(parents=True)
    (tmp_path / "tests" / "corpora").mkdir(parents=True)
    for folder in ("support", "readers"):
        shutil.copytree(CHECKOUT / "tests" / folder, tmp_path / "tests" / folder)
    (tmp_path / "earmark" / "corpora" / "mls.py").write_text("", "utf-8")
    (tmp_path / "datasets.toml").write_text(CATALOG, "utf-8")
    before = files(tmp_path)
    with pytest.raises(CatalogError, match=expected) as error:
        write(open_project(tmp_path / "datasets.toml"), tmp_path, name)
    assert "\n" not in str(error.value)
    assert files(tmp_path) == before
