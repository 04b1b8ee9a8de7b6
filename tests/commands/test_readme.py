"""The table under "Commands" in README.md: all that can be typed is in it, and all that is in it can be typed."""

import os
import re
import subprocess
import sys

import pytest
from support.collection import CHECKOUT
from support.documents import code_spans, section, table_rows

# doit's own, which work as its documentation says, or are refused in one line. `run` is what `doit TASK` does.
BUILT_IN = {"clean", "dumpdb", "help", "info", "reset-dep", "run", "strace", "tabcompletion"}
ROWS = table_rows(section((CHECKOUT / "README.md").read_text("utf-8"), "Commands"))
TYPED = [span for row in ROWS for span in code_spans(row[0])]
NAME = re.compile(r"[a-z][a-z-]*")


def doit(*words: str) -> str:
    """Return what doit prints on the shipped catalog."""
    environment = {name: value for name, value in os.environ.items() if name != "EARMARK_CATALOG"}
    run = subprocess.run(
        [sys.executable, "-m", "doit", *words],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


@pytest.fixture(scope="module")
def tasks() -> set[str]:
    """The names of all tasks, and their families."""
    names = {line.split()[0] for line in doit("list", "--all").splitlines() if NAME.match(line)}
    return names | {name.split(":")[0] for name in names}


@pytest.fixture(scope="module")
def commands() -> set[str]:
    """The commands that `doit help` lists first, each after the name that doit was started by."""
    listed = doit("help").partition("Commands\n")[2].partition("\n\n")[0]
    return {line.split()[1] for line in listed.splitlines()}


def heads() -> set[str]:
    """The first word after `doit` of everything in the table, without what follows a colon.

    Families that are like another row's may stand in the second column, as `scan: manifest:`.
    """
    first = {span.split()[1].split(":")[0] for span in TYPED if len(span.split()) > 1}
    alike = {
        word.rstrip(":") for row in ROWS for span in code_spans(row[1]) for word in span.split() if word[-1] == ":"
    }
    return first | alike


def test_the_table_is_there():
    assert len(ROWS) >= 10
    assert all(span.split()[0] == "doit" for span in TYPED)


def test_everything_that_can_be_typed_is_in_the_table(tasks, commands):
    families = {name for name in tasks if ":" not in name}
    assert commands >= BUILT_IN, "a built-in is listed here that doit does not have"
    assert not (commands | families) - BUILT_IN - heads()


def test_everything_in_the_table_can_be_typed(tasks, commands):
    assert not heads() - commands - tasks


@pytest.mark.parametrize("typed", TYPED)
def test_its_tasks_are_in_the_shipped_catalog_and_its_options_in_help(typed, tasks, commands):
    words = re.sub(r"[\[\]]", "", typed).split()[1:]
    options = [word for word in words if word.startswith("-")]
    for word in words:
        if ":" in word:  # a shard is known once its dataset is scanned
            assert word in tasks or word.rpartition(":")[0] in tasks
    if options:
        described = doit("help", words[0])
        assert not [option for option in options if option not in described]
