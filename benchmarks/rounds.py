"""Timing of commands side by side: every side once a round, in turn, so that a noisy machine disturbs all alike."""

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BYTECODE = "EARMARK_BENCHMARK_BYTECODE"  # names the folder in which this run's Python programs keep their bytecode


def _nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Side:
    """One way to do the work: `prepare` is not timed, `run` is; `what` says precisely what is timed."""

    name: str
    what: str
    run: Callable[[], None]
    prepare: Callable[[], None] = _nothing
    rounds: int | None = None  # fewer than the others, where one takes very long


@dataclass
class Timing:
    """What was measured of one side: seconds a round, on the wall and on the processors."""

    side: Side
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    @property
    def median_s(self) -> float:
        """Median wall time."""
        return statistics.median(self.wall_s)


@dataclass(frozen=True)
class Row:
    """One line of a table; `value` is what `unit` says, `times` is that of the first row set against this one's."""

    name: str
    what: str
    value: float
    unit: str
    detail: str
    times: float | None


@dataclass
class Comparison:
    """One table of the report: rows, of which the first is earmark's, and what the reader must know."""

    title: str
    setting: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def measure(sides: Sequence[Side], rounds: int) -> list[Timing]:
    """Run all sides alternately, the order turned round every other time; return their timings in the order given."""
    timings = [Timing(side) for side in sides]
    for number in range(rounds):
        for timing in timings if number % 2 == 0 else reversed(timings):
            if timing.side.rounds is not None and number >= timing.side.rounds:
                continue
            timing.side.prepare()
            os.sync()  # what others left unwritten is not this side's to write
            before, started = _cpu_s(), time.perf_counter()
            timing.side.run()
            timing.wall_s.append(time.perf_counter() - started)
            timing.cpu_s.append(_cpu_s() - before)
            print(f"   round {number + 1} {timing.side.name}: {timing.wall_s[-1]:.2f} s", flush=True)
    return timings


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rows_of(timings: Sequence[Timing]) -> list[Row]:
    """Return a row a side; `times` is how much longer the side takes than the first one."""
    first = timings[0].median_s
    rows = []
    for at, timing in enumerate(timings):
        spread = " ".join(f"{seconds:.2f}" for seconds in timing.wall_s)
        detail = f"{spread}; CPU {statistics.median(timing.cpu_s):.1f}"
        times = timing.median_s / first if at else None
        rows.append(Row(timing.side.name, timing.side.what, timing.median_s, "s", detail, times))
    return rows


def call(command: Sequence[str | Path], cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and return its standard output; a failure shows all that it said.

    Python keeps its bytecode for every side alike, in one folder of this run, as it does on a user's machine.
    """
    keep = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": os.environ[BYTECODE]}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | keep | dict(env or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))[:300]} -> {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def shell(command: str, cwd: Path) -> None:
    """Run a line of shell as its user would type it."""
    call(["bash", "-euo", "pipefail", "-c", command], cwd)
