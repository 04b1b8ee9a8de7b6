"""The programs that earmark is held against: where they are, which version, and the files that tell them the work.

Python programs live in virtual environments of their own, one folder a peer, which are never mixed with earmark's:

    for peer in snakemake dvc doit torch lhotse datasets pandas polars; do python -m venv /tmp/earmark-peers/$peer; done
    /tmp/earmark-peers/snakemake/bin/pip install snakemake       (and so on; torch also needs numpy and soundfile,
    /tmp/earmark-peers/lhotse/bin/pip install lhotse torch soundfile scipy urllib3)
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
VERSION_LINES = {"tar": "--version", "ffmpeg": "-version", "sha256sum": "--version", "find": "--version"}

SNAKEFILE = """\
PATHS, = glob_wildcards("mls/train/audio/{path}.flac")

rule all:
    input: "manifest.jsonl"

rule decode:
    input: "mls/train/audio/{path}.flac"
    output: "standard/{path}.flac"
    shell: "ffmpeg -nostdin -v error -y -i {input} -ar 16000 -ac 1 -sample_fmt s16 {output}"

rule manifest:
    input: expand("standard/{path}.flac", path=PATHS)
    output: "manifest.jsonl"
    shell: "find standard -name '*.flac' | sort > {output}"
"""

DVC_STAGE = """\
stages:
  decode:
    cmd: rm -rf standard && cp -r mls/train/audio standard
    deps:
      - mls
    outs:
      - standard
"""

DODO = """\
import shutil
from pathlib import Path

DOIT_CONFIG = {"check_file_uptodate": "md5", "verbosity": 0, "reporter": "zero"}


def task_decode():
    for path in sorted(Path("mls/train/audio").rglob("*.flac")):
        target = Path("standard") / path.relative_to("mls/train/audio")
        target.parent.mkdir(parents=True, exist_ok=True)
        yield {
            "name": path.stem,
            "file_dep": [str(path)],
            "targets": [str(target)],
            "actions": [(shutil.copyfile, [str(path), str(target)])],
        }
"""


@dataclass(frozen=True)
class Peers:
    """The folder of the peers' environments."""

    folder: Path

    def python(self, name: str) -> Path | None:
        """Return the interpreter of a peer's environment in which the peer can be imported, or None."""
        python = self.folder / name / "bin" / "python"
        return python if python.exists() and self.version(name) else None

    def script(self, name: str) -> Path | None:
        """Return a peer's command, or None."""
        path = self.folder / name / "bin" / name
        return path if path.exists() else None

    def version(self, name: str, distribution: str = "") -> str:
        """Return the version of a distribution in a peer's environment, or the empty string."""
        ask = f"import importlib.metadata as m; print(m.version({distribution or name!r}))"
        python = self.folder / name / "bin" / "python"
        if not python.exists():
            return ""
        done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
        return done.stdout.strip()


def program_version(name: str) -> str:
    """Return the first line in which a program tells its version, or the empty string where it is not installed."""
    if shutil.which(name) is None:
        return ""
    done = subprocess.run([name, VERSION_LINES[name]], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[0].split(" Copyright")[0]


def missing(name: str, why: str = "not installed") -> str:
    """Return the line that says that a peer was left out."""
    return f"{name}: skipped ({why})"
