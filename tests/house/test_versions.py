"""Every file compiles without a warning on every Python that earmark runs on."""

import ast
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
FOLDERS = ("earmark", "tasks", "tests", "benchmarks")
FILES = sorted([CHECKOUT / "dodo.py", *(path for folder in FOLDERS for path in CHECKOUT.glob(f"{folder}/**/*.py"))])
OLDEST = (3, 11)  # requires-python
VERSIONS = [(3, minor) for minor in range(11, 15)]
COMPILE = """
import sys
for path in sys.stdin.read().splitlines():
    with open(path, "rb") as file:
        compile(file.read(), path, "exec")
print(len(sys.argv), sys.version_info[:2])
"""


def compiled(text: str, name: str) -> ast.Module:
    """Compile as the oldest Python reads it, every warning an error; return the parsed text."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = ast.parse(text, name, feature_version=OLDEST)
        compile(tree, name, "exec")
    return tree


def jumps_in_finally(tree: ast.Module) -> list[int]:
    """Return the lines of return, break and continue that leave a finally block: a SyntaxWarning from 3.14 on.

    Source: PEP 765. A jump inside a function or, for break and continue, a loop within the block leaves nothing.
    """

    def leaving(node: ast.AST, kinds: tuple[type[ast.AST], ...]):
        if isinstance(node, kinds):
            yield node.lineno
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            return
        if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            kinds = (ast.Return,)
        for child in ast.iter_child_nodes(node):
            yield from leaving(child, kinds)

    tries = (node for node in ast.walk(tree) if isinstance(node, (ast.Try, ast.TryStar)))
    last = (statement for one in tries for statement in one.finalbody)
    return [line for statement in last for line in leaving(statement, (ast.Return, ast.Break, ast.Continue))]


@pytest.mark.slow
def test_every_file_compiles_as_the_oldest_python_reads_it_and_warns_of_nothing():
    assert len(FILES) > 200
    for path in FILES:
        assert not jumps_in_finally(compiled(path.read_text("utf-8"), str(path))), path


@pytest.mark.parametrize(
    "text", ['x = "\\d"', "x = 1 is 1", "assert (1, 'always true')", "type X = int", "def f[T](x: T): pass"]
)
def test_what_another_python_would_refuse_or_warn_of_is_refused_here(text):
    with pytest.raises(SyntaxError):
        compiled(text, "example")


@pytest.mark.parametrize(
    ("block", "leaves"),
    [
        ("return 1", True),
        ("for x in y: return x", True),
        ("if x: continue", True),
        ("for x in y: break", False),
        ("def g(): return 1", False),
    ],
)
def test_a_jump_out_of_finally_is_found(block, leaves):
    text = f"def f():\n    while True:\n        try:\n            pass\n        finally:\n            {block}\n"
    assert bool(jumps_in_finally(ast.parse(text))) == leaves


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: f"{version[0]}.{version[1]}")
def test_the_interpreters_that_are_here_compile_every_file(version):
    here = sys.version_info[:2] == version
    python = sys.executable if here else shutil.which(f"python{version[0]}.{version[1]}")
    run = python and subprocess.run(
        [python, "-I", "-W", "error", "-c", COMPILE],
        input="".join(f"{path}\n" for path in FILES),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if not run or "command not found" in run.stderr:  # a version manager leaves names of what it could start
        pytest.skip(f"no Python {version[0]}.{version[1]} on this machine")
    assert (run.returncode, run.stdout) == (0, f"1 {version}\n"), run.stderr
