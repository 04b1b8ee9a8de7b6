"""Every code block of README.md and docs/ does what it says, in the order in which a reader meets it.

A document's blocks run in a copy of the checkout: README's in a fresh one, as its reader has it; those of docs/ in one
where README's demo is finished.
"""

import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support import documents
from support.collection import BYTECODE, CHECKOUT, toml_value
from support.documents import Block

PAGES = list(documents.documents(CHECKOUT))
BLOCKS = [block for page in PAGES for block in documents.blocks(page.name, page.read_text("utf-8"))]
IN_ORDER = ("console", "sh", "python")  # what one block leaves, the next one finds
TIMEOUT_S = 300
RUN = [block for block in BLOCKS if block.kind in IN_ORDER and not block.no_run]
WITH_STEPS = [page for page in PAGES if any(block.document == page.name for block in RUN)]
LEFT_OUT_AT_MOST = 0.25  # of all blocks
DEMO = ("doit", "features:demo")

# What documents call the tools by, and what is called here: this very Python, and no network.
TOOLS = {
    "uv": 'test "$1" = run && shift && case "$1" in python|pytest|doit|ruff|mypy) exec "$@";; esac\n'
    'echo "uv $*: not to be had in a test: mark the block no-run" >&2; exit 1',
    "pip": 'test "$*" = "install uv"',
    "python": 'exec {python} "$@"',
    "doit": 'exec {python} -m doit "$@"',
    "pytest": 'exec {python} -m pytest "$@"',
}


def of_kind(*kinds: str):
    chosen = [block for block in BLOCKS if block.kind in kinds and not block.no_run]
    return pytest.mark.parametrize("block", chosen, ids=str)


def checkout_at(folder: Path) -> None:
    """Copy what git has or would have of this checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (CHECKOUT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, folder / name)


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which the tools of documents are those of TOOLS."""
    tools = folder.parent / "tools"
    tools.mkdir(exist_ok=True)
    for name, script in TOOLS.items():
        (tools / name).write_text(f"#!/bin/bash\n{script.format(python=sys.executable)}\n", "utf-8")
        (tools / name).chmod(stat.S_IRWXU)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EARMARK_", "PYTEST_", "PYTHON"))}
    ours = {"PATH": f"{tools}:{os.environ['PATH']}", "COLUMNS": "120", "HF_HUB_OFFLINE": "1"}
    return kept | ours | {"PYTHONPATH": str(folder), "PYTHONPYCACHEPREFIX": str(BYTECODE)}


def run(folder: Path, *command: str) -> tuple[int, str]:
    """Run a command in a copy of the checkout; return its exit code and all that it wrote."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.fixture(scope="session")
def finished_demo(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A copy of the checkout where the demo is finished, made once for all of pytest's workers. Copy it."""
    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "finished-demo"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "checkout").is_dir():
            checkout_at(shared / "unfinished")
            code, printed = run(shared / "unfinished", *DEMO)
            assert code == 0, printed
            (shared / "unfinished").rename(shared / "checkout")
    return shared / "checkout"


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The copy of the checkout in which a document's blocks run."""
    folder = tmp_path / "checkout"
    if request.node.callspec.params["page"].name == "README.md":
        checkout_at(folder)
    else:
        shutil.copytree(request.getfixturevalue("finished_demo"), folder)
        assert run(folder, *DEMO)[0] == 0  # copies have other inodes and ctimes: read again, and nothing made anew
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_STEPS, ids=lambda page: page.name)
def test_commands_and_scripts_run_in_the_order_of_the_page_and_print_what_it_shows(page, place):
    script: list[str] = []
    for block in (block for block in RUN if block.document == page.name):
        if block.kind == "console":
            for command in documents.commands(block):
                code, printed = run(place, "bash", "-euo", "pipefail", "-c", command.text)
                assert code == 0, f"{block}: {command.text} -> {code}\n{printed}"
                line = documents.missing(command.printed, printed)
                assert line is None, f"{block}: {command.text}: never printed, or not there: {line!r}\n{printed}"
        elif block.kind == "sh":
            code, printed = run(place, "bash", "-euo", "pipefail", "-c", block.text)
            assert code == 0, f"{block}: exit code {code}\n{printed}"
        else:
            script = [*script, block.text] if block.continued else [block.text]
            code, printed = run(place, "python", "-c", "\n".join(script))
            assert code == 0, f"{block}: exit code {code}\n{printed}"


def merged(below: dict, above: dict) -> dict:
    """Return a table with another's keys taken into it, tables key by key."""
    both = {key: merged(below[key], above[key]) for key in below.keys() & above.keys() if isinstance(above[key], dict)}
    return below | above | both


@of_kind("toml")
def test_tables_are_right_in_the_shipped_catalog_or_on_their_own(block: Block, tmp_path):
    from earmark.catalog.project import open_project

    table = tomllib.loads(block.text)
    if "extends" in table:
        text = block.text
    else:
        whole = merged(tomllib.loads((CHECKOUT / "datasets.toml").read_text("utf-8")), table)
        text = "".join(f"{key} = {toml_value(value)}\n" for key, value in whole.items())
    (tmp_path / "datasets.toml").write_text(text, "utf-8")
    catalog = open_project(tmp_path / "datasets.toml").catalog
    for kind in ("datasets", "jobs", "encoders", "manifests"):
        assert getattr(catalog, kind).keys() >= {name for name, value in table.get(kind, {}).items() if value}


@of_kind("json", "jsonl")
def test_json_is_json(block: Block):
    values = block.text.splitlines() if block.kind == "jsonl" else [block.text]
    assert values
    for text in values:
        value = json.loads(text)
        assert isinstance(value, dict) or block.kind == "json"


@of_kind("text")
def test_what_is_to_be_read_alone_has_no_command(block: Block):
    assert not [line for line in block.text.splitlines() if line.startswith(documents.PROMPT)]


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.no_run], ids=str)
def test_what_cannot_run_here_says_why(block: Block):
    """One skipped test a block, so that every report counts and shows them: `pytest -rs tests/house/test_documents.py`."""
    assert len(block.no_run.split()) >= 2, f"{block}: no-run: say why"
    pytest.skip(f"{block}: {block.no_run}")


def test_few_blocks_are_left_out():
    left_out = [str(block) for block in BLOCKS if block.no_run]
    print(f"{len(left_out)} of {len(BLOCKS)} code blocks cannot run here: {', '.join(left_out)}")
    assert len(left_out) <= LEFT_OUT_AT_MOST * len(BLOCKS)


# The harness itself: a test of documents that lets everything pass is worse than none.

EXAMPLE = """
1. A list
   ```toml
   [datasets.x]
   corpus = "tables"
   ```
```console
$ doit list \\
> --all
x:y  words 12 here
...
$ true
```
~~~sh no-run: needs the network
curl x
~~~
"""


def test_blocks_are_found_with_their_line_kind_and_mark():
    toml, console, sh = documents.blocks("a.md", EXAMPLE)
    assert (str(toml), toml.kind, toml.text) == ("a.md:3", "toml", '[datasets.x]\ncorpus = "tables"\n')
    first, second = documents.commands(console)
    assert (first.text, first.printed) == ("doit list \\\n--all", ("x:y  words 12 here", "..."))
    assert (second.text, second.printed) == ("true", ())
    assert (sh.kind, sh.no_run) == ("sh", "needs the network")


@pytest.mark.parametrize("fence", ["```", "```bash", "```sh no-run", "```sh no-run:", "```python again"])
def test_a_block_that_does_not_say_what_it_is_is_refused(fence):
    with pytest.raises(ValueError, match=r"a\.md:1: expected one of console, sh"):
        documents.blocks("a.md", f"{fence}\nx\n```\n")


def test_a_block_without_an_end_is_refused():
    with pytest.raises(ValueError, match=r"a\.md:2: a code block without an end"):
        documents.blocks("a.md", "\n```text\nx\n")


@pytest.mark.parametrize(
    ("expected", "printed", "absent"),
    [
        (("13 done in 22.6 s",), "x\n2 done  in 1 s\n", None),
        (("in small-0123abcd",), "in small-deadbeef", None),
        (("a", "...", "b"), "a\nx\nb", None),
        (("b", "a"), "a\nb", None),
        (("done in 22.6 s",), "done in 1 min 25 s", None),
        (("2 done", "3 failed"), "2 done", "3 failed"),
        (("as it begins ...",), "as it begins and goes on", None),
        (("as it begins",), "as it begins and goes on", "as it begins"),
        (("never",), "", "never"),
    ],
)
def test_printed_lines_are_compared_but_for_numbers_times_and_identities(expected, printed, absent):
    assert documents.missing(expected, printed) == absent


def test_a_section_ends_at_the_next_of_its_rank():
    text = "# A\n## Commands\n| a | b |\n|---|:-:|\n| `doit` | x \\| y |\n### more\n## Next\n| c | d |\n"
    assert documents.table_rows(documents.section(text, "Commands")) == [["`doit`", "x \\| y"]]
    with pytest.raises(ValueError, match="no section called None"):
        documents.section(text, "None")


def test_tools_that_would_need_the_network_fail_in_words(tmp_path):
    (tmp_path / "checkout").mkdir()
    code, printed = run(tmp_path / "checkout", "bash", "-c", "uv sync --extra f0")
    assert code == 1 and "mark the block no-run" in printed
    assert run(tmp_path / "checkout", "bash", "-c", "pip install torch")[0] != 0


def test_readme_shows_commands_and_a_script():
    assert {block.kind for block in RUN if block.document == "README.md"} >= {"console", "python"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in documents.links(page.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        assert not anchor or anchor in documents.anchors(there.read_text("utf-8")), target


def test_links_and_anchors_are_found():
    assert documents.links("[a](docs/a.md#b) `x` [b](https://x.org)\n```text\n[c](d)\n```\n") == ["docs/a.md#b"]
    assert documents.anchors("# It failed, what now\n## `doit audit`: what is there\n") == {
        "it-failed-what-now",
        "doit-audit-what-is-there",
    }
