"""A plan in words, and as JSON.

`doit plan --json` prints one object; bytes and seconds are {"low", "likely", "high"}, "fits" is "yes", "maybe" or "no",
"state" as in `doit list --status`:

    version    1
    tasks      [what was asked for]
    steps      [{task, stage, dataset, state, why [], units {run, total}, writes [{what, folder, bytes, files, replaced,
               passing}], bytes, seconds, from [], held, unknown, shards? [{task, state, why []}]}]
    seconds    of all steps
    volumes    [{folders [], free, total, peak, final, fits}]: bytes beyond what lies there now
    budget     {bytes, used, final, fits}, or null where the catalog sets none
    fits       the worst of volumes and budget
    hints      [{saves, text}], the largest first
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from earmark.amounts import total
from tasks.engine.estimates import Step
from tasks.plan.fit import Forecast, fits_in, said_range
from tasks.report import human

VERSION = 1
PLAIN_WIDTH, NARROWEST = 200, 80  # columns where there is no terminal, and at least; the terminal breaks longer lines


def as_json(seen: Forecast, *, shards: bool) -> dict[str, Any]:
    """Return a plan as the JSON that this module's head describes."""
    return {
        "version": VERSION,
        "tasks": seen.tasks,
        "steps": [_step_json(step, shards=shards) for step in seen.steps],
        "seconds": asdict(total(step.seconds for step in seen.steps)),
        "volumes": [
            {
                "folders": volume.folders,
                "free": volume.free,
                "total": volume.total,
                "peak": asdict(volume.peak),
                "final": asdict(volume.final),
                "fits": volume.fits,
            }
            for volume in seen.volumes
        ],
        "budget": seen.budget
        and {
            "bytes": seen.budget.limit,
            "used": asdict(seen.budget.used),
            "final": asdict(seen.budget.final),
            "fits": seen.budget.fits,
        },
        "fits": seen.fits,
        "hints": [asdict(saving) for saving in seen.savings],
    }


def _step_json(step: Step, *, shards: bool) -> dict[str, Any]:
    writes = [
        {
            "what": item.what,
            "folder": str(item.folder),
            "bytes": asdict(item.size),
            "files": item.files,
            "replaced": item.replaced,
            "passing": item.passing,
        }
        for item in step.items
    ]
    found = {
        "task": str(step.unit),
        "stage": step.unit.stage,
        "dataset": step.unit.dataset,
        "state": step.state,
        "why": step.why,
        "units": {"run": step.run, "total": step.total},
        "writes": writes,
        "bytes": asdict(step.size),
        "seconds": asdict(step.seconds),
        "from": step.inputs,
        "held": step.held,
        "unknown": step.unknown,
    }
    if shards:
        found["shards"] = [
            {"task": str(unit), "state": verdict.state, "why": list(verdict.reasons)} for unit, verdict in step.shards
        ]
    return found


def show(seen: Forecast, *, shards: bool) -> None:
    """Print a plan as a table, the volumes, and what would make it fit."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False)
    width = max(NARROWEST, console.width) if console.is_terminal else PLAIN_WIDTH
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("task", overflow="fold", min_width=len("standardize:"))
    for name in ("units", "writes", "time"):
        table.add_column(name, justify="right", no_wrap=name == "time")
    table.add_column("why, and what the numbers are made from", overflow="fold", min_width=20)
    for step in seen.steps:
        if step.state == "U":
            continue
        run = f"{step.run:,} of {step.total:,}" if step.total > 1 else ""
        words = "; ".join(
            filter(None, ["; ".join(why.rstrip(".") for why in step.why), *dict.fromkeys(step.inputs), step.held])
        )
        table.add_row(step.state, str(step.unit), run, said_range(step.size), _clock(step.seconds.likely), words)
        for unit, verdict in step.shards if shards else ():
            table.add_row(verdict.state, f"  {unit}", "", "", "", "; ".join(verdict.reasons))
    if table.row_count:
        console.print(table)
    current = sum(step.state == "U" for step in seen.steps)
    if current:
        console.print(f"{current} of {len(seen.steps)} stages are current: nothing to do there.")
    if not seen.steps:
        console.print("nothing on this disk to plan. `doit plan DATASET` plans one that is to be downloaded.")
    if any(step.items for step in seen.steps):
        _show_sums(seen, console.print)


def _show_sums(seen: Forecast, say: Callable[[str], None]) -> None:
    seconds = total(step.seconds for step in seen.steps)
    say(f"time: about {_clock(seconds.likely)} ({_clock(seconds.low)} to {_clock(seconds.high)})")
    for volume in seen.volumes:
        said = {"yes": "fits", "maybe": "MAY NOT FIT", "no": "DOES NOT FIT"}[volume.fits]
        say(
            f"volume of {', '.join(volume.folders)}: {said_range(volume.peak)} at the peak, {said_range(volume.final)}"
            f" at the end, {human(volume.free)} free: {said}"
        )
    if seen.budget is not None:
        limit = seen.budget
        said = {"yes": "fits", "maybe": "MAY BE EXCEEDED", "no": "EXCEEDED"}[fits_in(limit.final, limit.limit)]
        say(
            f"budget: {human(limit.used.likely)} now, {said_range(limit.final)} at the end, {human(limit.limit)}"
            f" allowed: {said}"
        )
    if any(step.unknown for step in seen.steps):
        say("sizes that nobody published are not in these sums.")
    for saving in seen.savings:
        say(f"to make it fit: {saving.text}")


def _clock(seconds: float) -> str:
    """Return a duration as people say it."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 60 else f"{minutes / 60:,.1f} h"
