"""Python code in a process of its own, which may import what tests share."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def child(code: str, *args: object) -> tuple[str, str]:
    """Run code in a fresh interpreter, `args` as its sys.argv[1:]; return what it wrote to stdout and to stderr."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, args)],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT / "tests")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr
