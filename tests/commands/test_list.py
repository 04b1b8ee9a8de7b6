"""`doit list`: what is on this disk, and the commands."""

import re
import tomllib

import pytest
from support.collection import CHECKOUT, Collection, write_chapter

from tasks.cli.overview import COMMANDS


@pytest.fixture
def shelf(collection: Collection):
    """Three datasets, of which one is on this disk."""
    write_chapter(collection.add_dataset("books"), "1-10", {0: 0})
    for name in ("away", "afar"):
        collection.add_dataset(name)
    collection.jobs = {"here": {"datasets": ["books", "away"]}, "there": {"datasets": ["afar"]}}
    collection.manifests = {"joint": {"datasets": ["books", "afar", "away"]}}
    collection.write_catalog()
    return collection


def test_only_what_is_on_this_disk_is_listed_with_the_commands(shelf):
    shown = shelf.doit("list").stdout
    assert "on this disk (1 of the 3 datasets in datasets.toml):\n  books " in shown
    assert re.search(r"(?m)^  job:here +1 of 2 datasets are here$", shown)
    assert re.search(r"(?m)^  manifest:joint +1 of 3 datasets are here$", shown)
    assert "job:there" not in shown
    assert not re.search(r"(?m)^ *\w+:(books|away|afar)\b", shown)
    assert "not on this disk: afar, away." in shown
    assert all(f"  {command}" in shown for command in COMMANDS)


def test_every_task_is_listed_with_all_and_names_as_they_are_asked_for(shelf):
    everything = {line.split()[0] for line in shelf.doit("list", "--all").stdout.splitlines()}
    assert {
        f"{stage}:{name}" for stage in ("extract", "features", "cleanup") for name in ("books", "away")
    } <= everything
    assert {"job:there", "manifest:joint", "new-catalog", "docs", "check"} <= everything
    assert shelf.doit("list", "extract:away").stdout.split()[0] == "extract:away"
    assert "extract:away" in shelf.doit("list", "-q").stdout.split()


def test_a_disk_without_any_dataset_says_so(collection):
    collection.add_dataset("away")
    shown = collection.doit("list").stdout
    assert shown.startswith("on this disk (0 of the 1 datasets in datasets.toml):\ncommands:\n")


def test_every_command_is_in_the_list():
    """Those of doit's own that work here are in `doit help`."""
    entry_points = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    refused = {"strace", "dumpdb", "reset-dep"}
    of_doit = {"run", "clean", "forget", "help", "ignore", "info", "tabcompletion"}
    words = {command.split()[1].partition(":")[0] for command in COMMANDS}
    assert entry_points["doit.COMMAND"].keys() - refused - of_doit <= words
    assert {"cleanup", "job", "features", "new-corpus", "new-catalog", "check", "docs"} <= words
