"""Many doit commands in one process, each with its output in a file of its own: 30 ms a command in place of 600.

python one_process.py COMMANDS RESULTS      JSON: a list of lists of arguments; a list of [exit code, output]
"""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

HERE = Path(__file__)


def doit_all(collection, *commands: list[str], env: dict[str, str] | None = None) -> list[tuple[int, bytes]]:
    """Run commands one after the other on a collection's catalog; return exit code and output of each."""
    with tempfile.TemporaryDirectory() as folder:
        given, results = Path(folder) / "commands", Path(folder) / "results"
        given.write_text(json.dumps(commands))
        subprocess.run(
            [sys.executable, HERE, given, results],
            cwd=HERE.parents[2],
            env=collection.environment() | (env or {}),
            timeout=120,
            check=True,
        )
        return [(code, bytes.fromhex(output)) for code, output in json.loads(results.read_text())]


def run(arguments: list[str], output: str) -> int:
    """Run one command, what it prints going to a file, and return its exit code."""
    from doit.doit_cmd import DoitMain

    sys.argv = ["doit", *arguments]
    sys.modules.pop("dodo", None)  # it opens the catalog when it is imported
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    try:
        return DoitMain().run(arguments) or 0
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def main(commands: str, results: str) -> None:
    found = []
    for arguments in json.loads(Path(commands).read_text()):
        code = run(arguments, f"{results}.output")
        found.append((code, Path(f"{results}.output").read_bytes().hex()))
    Path(results).write_text(json.dumps(found))


if __name__ == "__main__":
    sys.path[0] = str(HERE.parents[2])
    main(*sys.argv[1:])
