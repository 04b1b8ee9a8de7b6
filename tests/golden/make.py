"""Write a golden collection: what a version of earmark leaves of a small finished collection.

    PYTHONPATH=tests uv run python -m golden.make CHECKOUT [--force]

CHECKOUT is a checkout of the version, in which `uv run doit` works; its version names the file. Nothing else writes
golden files: a missing one fails the test. One that is there is replaced with --force only, since it stands for what is
on users' disks; a new version gets a file of its own beside it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from support.golden import GOLDEN, dump, kept, write_sources

COMMANDS = (["features"], ["manifest:both"], ["job:words"])


def main() -> str | None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("checkout", type=Path)
    arguments.add_argument("--force", action="store_true", help="replace a golden file that is there")
    given = arguments.parse_args()
    version = tomllib.loads((given.checkout / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    target = GOLDEN / f"collection-{version}.txt"
    if target.exists() and not given.force:
        return f"{target}: there already, and stands for what {version} left on users' disks. --force replaces it."
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "collection"
        write_sources(home, extracted=False)
        environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
        environment |= {"EARMARK_CATALOG": str(home / "datasets.toml"), "HF_HUB_OFFLINE": "1"}
        for command in COMMANDS:
            subprocess.run(["uv", "run", "doit", *command], cwd=given.checkout, env=environment, check=True)
        files = kept(home)
    absolute = [path for path, data in files.items() if folder.encode() in data]
    if absolute:
        return f"{absolute[0]}: an absolute path is recorded: what is left elsewhere could not be current"
    target.write_text(dump(files), "utf-8")
    print(f"{target}: {target.stat().st_size:,} bytes")
    return None


if __name__ == "__main__":
    sys.exit(main())
