"""check: lint, types and tests in one command, for whoever works on earmark itself."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from doit.exceptions import TaskFailed

from tasks.cli.doit_types import TaskDict

CHECKS = {
    "format": ["ruff", "format", "--check", "."],
    "lint": ["ruff", "check", "."],
    "types": ["mypy"],
    "tests": ["pytest"],
}


def check_tasks() -> Iterator[TaskDict]:
    """Yield one task a check, and `check` over them all."""
    for name, command in CHECKS.items():
        yield {"basename": f"check:{name}", "actions": [(_run, [command])], "doc": " ".join(command)}
    names = [f"check:{name}" for name in CHECKS]
    doc = "lint, types and tests: what must pass before a commit"
    yield {"basename": "check", "actions": None, "task_dep": names, "doc": doc}


def _run(command: list[str]) -> TaskFailed | None:
    """Run a tool of the development group, from the environment of this Python."""
    # never one from PATH: another version of ruff or mypy would find other faults
    tool = Path(sys.executable).parent / command[0]
    if not tool.exists():
        return TaskFailed(f"{command[0]} is not installed: run it as `uv run doit check`")
    code = subprocess.run([str(tool), *command[1:]], check=False, cwd=Path(__file__).parents[2]).returncode
    return TaskFailed(f"`{' '.join(command)}` found faults (exit code {code})") if code else None
