"""earmark beside what a user would pick instead, on synthesised input: one command, one Markdown report.

    uv run --no-sync python benchmarks/side_by_side.py [extract standardize rerun added features job audit]

A peer that is not installed is named as skipped; `peers.py` says how they are installed.
"""

import argparse
import datetime
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import bulk
import graphs
import lists
from inputs import Collection
from peers import HERE, Peers, program_version
from rounds import BYTECODE, Comparison, Row

STAGES: dict[str, tuple[Callable[[Path, Peers, int, int], Comparison], int]] = {
    "extract": (bulk.extract, 3_000),  # files
    "standardize": (bulk.standardize, 40),  # files of each kind
    "rerun": (graphs.rerun, 2_000),  # recordings
    "added": (graphs.added, 2_000),  # recordings
    "features": (bulk.features, 24),  # utterances
    "job": (lists.job, 200_000),  # rows
    "audit": (lists.audit, 100_000),  # files
}
OURS = ("doit", "openvino", "mlx", "mlx-whisper", "soundfile", "soxr", "av", "zarr", "numpy")
LEVEL = 0.05  # closer than this, the machine's noise hides who is faster


def main() -> None:
    """Run the comparisons named, print the report and write it."""
    options = parse_options()
    peers = Peers(options.peers)
    started, load = time.monotonic(), os.getloadavg()
    parts = []
    with tempfile.TemporaryDirectory(prefix="earmark-benchmark-", dir=options.work) as folder:
        os.environ[BYTECODE] = str(Path(folder) / "bytecode")
        Collection(Path(folder) / "empty").warm()
        for name in options.stages or STAGES:
            compare, size = STAGES[name]
            print(f"{name} ...", flush=True)
            begun = time.monotonic()
            parts.append(section(compare(Path(folder), peers, options.rounds, getattr(options, name) or size)))
            print(f"   {time.monotonic() - begun:.0f} s in all\n\n{parts[-1]}", flush=True)
            report = [header(peers, options.rounds, load, time.monotonic() - started), *parts]
            options.out.write_text("\n".join(report), "utf-8")  # after every stage: a later one may fail


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", choices=[*STAGES, []], metavar="stage", help=", ".join(STAGES))
    for name, (_, size) in STAGES.items():
        parser.add_argument(f"--{name}", type=int, metavar="N", help=f"size of {name} ({size:,})")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every side (3)")
    parser.add_argument("--peers", type=Path, default=Path(tempfile.gettempdir()) / "earmark-peers")
    parser.add_argument("--work", type=Path, help="where the temporary folder is made")
    parser.add_argument("--out", type=Path, default=HERE / "results.md", help="the report (benchmarks/results.md)")
    return parser.parse_args()


def header(peers: Peers, rounds: int, load: tuple[float, float, float], took_s: float) -> str:
    """Say what was measured where, with which versions."""
    names = ("snakemake", "dvc", "lhotse", "torch", "datasets", "pandas", "polars")
    theirs = [f"{name} {version}" for name in names if (version := peers.version(name))]
    stock = peers.version("doit")
    theirs += [f"stock doit {stock}"] if stock else []
    theirs += [version for name in ("ffmpeg", "tar", "sha256sum", "find") if (version := program_version(name))]
    ours = [f"{name} {importlib.metadata.version(name)}" for name in OURS]
    return f"""# earmark beside what a user would pick instead

{datetime.date.today()}; {machine()}.
Load average when it began {load[0]:.1f}, when it ended {os.getloadavg()[0]:.1f}: the machine is shared.
All sides of a table ran in turn, in one go: trust the ratios more than the seconds.
Medians of {rounds} rounds unless a line says otherwise; {took_s:.0f} s in all.
Made by `benchmarks/side_by_side.py`; all input is synthesised. Python's bytecode was cached for every side.

Peers: {", ".join(theirs) or "none installed"}.
earmark's libraries: {", ".join(ours)}.

"Times earmark" above 1: the peer takes that many times as long as earmark (or, in table 5, does so much less a second);
below 1: earmark is the slower one.
"""


def machine() -> str:
    """Describe this machine."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = f"{platform.machine()}, {named[0]}" if named else model
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{os.cpu_count()} cores ({model}), {platform.system()} {platform.release().split('-')[0]}, Python {version}"


def section(comparison: Comparison) -> str:
    """Return a comparison as Markdown: its table, who lost, and its notes."""
    lines = [f"## {comparison.title}", "", f"{comparison.setting}.", ""]
    lines += ["| side | what it does | median | times earmark | rounds |", "|---|---|---:|---:|---|"]
    for row in comparison.rows:
        times = "" if row.times is None else f"{row.times:.2f}"
        what = row.what.replace("|", "\\|")
        lines.append(f"| {row.name} | {what} | {row.value:.2f} {row.unit} | {times} | {row.detail} |")
    lines += ["", verdict(comparison.rows), *comparison.notes]
    lines += [f"{line}." for line in comparison.skipped]
    return "\n".join(lines) + "\n"


def verdict(rows: list[Row]) -> str:
    """Say plainly where earmark is slower, and where no difference can be seen in the noise."""
    peers = [(row.name, row.times) for row in rows if row.times is not None and not row.name.startswith("earmark")]
    if not peers:
        return "No peer was there to compare with."
    lost = [f"{1 / times:.1f} times as long as {name}" for name, times in peers if times < 1 - LEVEL]
    level = [name for name, times in peers if abs(times - 1) <= LEVEL]
    said = f"**earmark loses here**: it takes {', '.join(lost)}." if lost else "earmark is not beaten here."
    return said + (f" Level with {', '.join(level)}." if level else "")


if __name__ == "__main__":
    if shutil.which("tar") is None:
        raise SystemExit("tar: not installed: every comparison of archives needs it.")
    main()
