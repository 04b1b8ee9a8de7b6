import ast
import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.heavy import HEAVY

CHECKOUT = Path(__file__).parents[2]
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


def test_modules_do_not_import_each_other_in_circles():
    graph = {}
    for path in MODULES:
        relative = path.relative_to(CHECKOUT).with_suffix("")
        name = ".".join(relative.parts).removesuffix(".__init__")
        graph[name] = {target for target, _ in imports(path)}
    graph = {
        name: {target for target in targets if target in graph and target != name} for name, targets in graph.items()
    }

    def reach(name, seen):
        for target in graph[name]:
            if target not in seen:
                seen.add(target)
                reach(target, seen)
        return seen

    # A package's own parts may name it; what they may not do is meet in a circle with another package.
    circles = {name for name in graph if name in reach(name, set())}
    assert not {name for name in circles if not name.startswith(("earmark.encoders", "earmark.corpora"))}


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
