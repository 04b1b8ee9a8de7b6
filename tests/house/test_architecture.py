import ast
import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.heavy import HEAVY

CHECKOUT = Path(__file__).parents[2]
PACKAGES_THAT_ARE_REGISTRIES = ("earmark/encoders/", "earmark/corpora/")
MODULES = sorted([*CHECKOUT.glob("earmark/**/*.py"), *CHECKOUT.glob("tasks/**/*.py"), CHECKOUT / "dodo.py"])


@functools.cache
def imports(path: Path) -> list[tuple[str, int]]:
    """Return (module, line) of every import in a file, those inside functions too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append((node.module, node.lineno))
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def layer(path: Path) -> str:
    first = path.relative_to(CHECKOUT).parts[0]
    return {"earmark": "earmark", "tasks": "tasks"}.get(first, "dodo")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_imports_point_one_way(path):
    forbidden = {"earmark": {"tasks", "dodo", "doit"}, "tasks": {"dodo"}, "dodo": set()}[layer(path)]
    turned = [f"{path}:{line}: {name}" for name, line in imports(path) if name.split(".")[0] in forbidden]
    assert not turned


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_engines_are_imported_in_the_encoders_alone(path):
    if "encoders" not in path.parts:
        found = [f"{path}:{line}" for name, line in imports(path) if name.split(".")[0] in {"mlx", "openvino"}]
        assert not found


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__")


def room(path: Path) -> str:
    """Return the folder that a module is in; a module that is in no folder of its package is one by itself.

    A registry knows its parts by name and they know it: with the folders in it, it is one room.
    """
    relative = path.relative_to(CHECKOUT)
    registry = [name for name in PACKAGES_THAT_ARE_REGISTRIES if relative.as_posix().startswith(name)]
    if registry:
        return registry[0]
    return relative.parent.as_posix() if len(relative.parts) > 2 else relative.as_posix()


def lines_that_turn_back(nodes: dict[str, str]) -> list[str]:
    """Return "file:line: module" of each import on a way that leads back to where it began.

    `nodes`: module -> what must not import itself by way of others, such as the module or its folder.
    """
    edges: dict[tuple[str, str], list[str]] = {}
    for path in MODULES:
        here = nodes.get(module_name(path))
        for target, line in imports(path) if here else ():
            there = nodes.get(target)
            if there not in {None, here}:
                where = f"{path.relative_to(CHECKOUT)}:{line}: {target}"
                edges.setdefault((here, there), []).append(where)
    after: dict[str, set[str]] = {}
    for here, there in edges:
        after.setdefault(here, set()).add(there)
    back = [pair for pair in edges if pair[0] in reached(after, pair[1])]
    return sorted(line for pair in back for line in edges[pair])


def reached(after: dict[str, set[str]], start: str) -> set[str]:
    """Return what a way along the arrows leads to."""
    found, pending = set(), [start]
    while pending:
        new = after.get(pending.pop(), set()) - found
        found |= new
        pending += new
    return found


def test_modules_do_not_import_each_other_in_circles():
    names = {module_name(path): module_name(path) for path in MODULES}
    # A package's own parts may name it; what they may not do is meet in a circle with another package.
    assert not [line for line in lines_that_turn_back(names) if not line.startswith(PACKAGES_THAT_ARE_REGISTRIES)]


@pytest.mark.parametrize("package", ["earmark", "tasks"])
def test_folders_do_not_import_each_other_in_circles(package):
    # not the package's own __init__: whoever imports a part of it imports that as well
    rooms = {
        module_name(path): room(path) for path in MODULES if layer(path) == package and module_name(path) != package
    }
    assert not lines_that_turn_back(rooms)


def test_an_import_that_turns_back_is_named_with_its_line():
    """Two folders made up for the test: `a` imports `b` in one place, and `b` would import `a` in another."""
    watch = CHECKOUT / "earmark" / "disk" / "watch.py"
    line = next(number for name, number in imports(watch) if name == "earmark.disk.junk")
    one_way = {"earmark.disk.watch": "a", "earmark.disk.junk": "b", "earmark.corpora._tree": "b"}
    assert lines_that_turn_back(one_way) == []
    back = lines_that_turn_back(one_way | {"earmark.rows": "a"})  # which _tree imports
    assert f"earmark/disk/watch.py:{line}: earmark.disk.junk" in back
    assert any(each.startswith("earmark/corpora/_tree.py:") for each in back)


@pytest.mark.parametrize(
    "command",
    [["list"], ["list", "--status", "--all"], ["why", "features:books"], ["features:books"], ["features"]],
    ids=" ".join,
)
def test_looking_and_a_run_with_nothing_to_do_import_nothing_heavy(command, two_shards):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "doit", *command],
        cwd=CHECKOUT,
        env=two_shards.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = (line for line in done.stderr.splitlines() if "import time:" in line)
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in lines}
    assert "doit" in loaded
    assert not loaded & HEAVY


@pytest.mark.slow
def test_looking_writes_nothing(tmp_path):
    (tmp_path / "datasets.toml").write_text((CHECKOUT / "datasets.toml").read_text("utf-8"), "utf-8")
    for command in (["list"], ["list", "--status", "--all"], ["why", "features:demo"], []):
        subprocess.run(
            [sys.executable, "-m", "doit", *command],
            cwd=CHECKOUT,
            env=os.environ | {"EARMARK_CATALOG": str(tmp_path / "datasets.toml")},
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["datasets.toml"]


def test_the_table_of_contents_stays_short():
    assert len((CHECKOUT / "dodo.py").read_text("utf-8").splitlines()) <= 60
