"""How a plan is shown: as a table, or as one JSON object.

`doit plan --json` prints one object; bytes and seconds are {"low", "likely", "high"}, "fits" is "yes", "maybe" or "no",
"state" as in `doit list --status`:

    version    1
    tasks      [the names given, or all that was planned without any]
    steps      [{task, stage, dataset, state, why [], units {run, total}, writes [{what, folder, bytes, files, replaced,
               passing}], bytes, seconds, from [], held, unknown, shards? [{task, state, why []}]}]
    seconds    of all steps
    volumes    [{folders [], free, total, peak, final, fits}]: peak and final are bytes beyond what is there now
    budget     {bytes, used, final, fits}, or null where the catalog sets none
    fits       the worst of volumes and budget
    hints      [{saves, text}], the largest first
"""

from dataclasses import asdict
from typing import TYPE_CHECKING

from earmark.amounts import total
from tasks.engine.estimates import Step
from tasks.plan.forecast import Forecast, range_words
from tasks.plan.space import fit_of
from tasks.report import human
from tasks.terminal import add_row, say, show_table, width

if TYPE_CHECKING:
    from rich.table import Table

VERSION = 1  # of the JSON: raised when a key changes its meaning or goes
PLAIN_WIDTH, NARROWEST = 200, 80  # columns where there is no terminal, and at least; the terminal breaks longer lines


def as_json(forecast: Forecast, *, shards: bool) -> dict[str, object]:
    """Return a plan as the JSON that this module's head describes."""
    return {
        "version": VERSION,
        "tasks": forecast.tasks,
        "steps": [_step_json(step, shards=shards) for step in forecast.steps],
        "seconds": asdict(total(step.seconds for step in forecast.steps)),
        "volumes": [
            {
                "folders": volume.folders,
                "free": volume.free,
                "total": volume.total,
                "peak": asdict(volume.peak),
                "final": asdict(volume.final),
                "fits": volume.fits,
            }
            for volume in forecast.volumes
        ],
        "budget": forecast.budget
        and {
            "bytes": forecast.budget.limit,
            "used": asdict(forecast.budget.used),
            "final": asdict(forecast.budget.final),
            "fits": forecast.budget.fits,
        },
        "fits": forecast.fits,
        "hints": [asdict(saving) for saving in forecast.savings],
    }


def _step_json(step: Step, *, shards: bool) -> dict[str, object]:
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
    fields: dict[str, object] = {
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
        "held": step.stored,
        "unknown": step.unknown,
    }
    if shards:
        fields["shards"] = [
            {"task": str(unit), "state": verdict.state, "why": list(verdict.reasons)} for unit, verdict in step.shards
        ]
    return fields


def show(forecast: Forecast, *, shards: bool) -> None:
    """Print a plan as a table, the volumes, and what would make it fit."""
    table = _table(forecast, shards=shards)
    if table.row_count:
        show_table(table, width(PLAIN_WIDTH, NARROWEST))
    current = sum(step.state == "U" for step in forecast.steps)
    if current:
        say(f"{current} of {len(forecast.steps)} stages are current: nothing to do there.")
    if not forecast.steps:
        say("nothing on this disk to plan. `doit plan DATASET` plans one that is still to be downloaded.")
    if any(step.items for step in forecast.steps):
        _show_sums(forecast)


def _table(forecast: Forecast, *, shards: bool) -> "Table":
    """Return a row for each step that is not current, and with `shards` for each of its shards."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("task", overflow="fold", min_width=len("standardize:"))
    for name in ("units", "writes", "time"):
        table.add_column(name, justify="right", no_wrap=name == "time")
    table.add_column("why, and what the numbers are made from", overflow="fold", min_width=20)
    for step in forecast.steps:
        if step.state == "U":
            continue
        run = f"{step.run:,} of {step.total:,}" if step.total > 1 else ""
        words = "; ".join(
            filter(None, ["; ".join(why.rstrip(".") for why in step.why), *dict.fromkeys(step.inputs), step.stored])
        )
        add_row(table, step.state, str(step.unit), run, range_words(step.size), _clock(step.seconds.likely), words)
        for unit, verdict in step.shards if shards else ():
            add_row(table, verdict.state, f"  {unit}", "", "", "", "; ".join(verdict.reasons))
    return table


def _show_sums(forecast: Forecast) -> None:
    seconds = total(step.seconds for step in forecast.steps)
    say(f"time: about {_clock(seconds.likely)} ({_clock(seconds.low)} to {_clock(seconds.high)})")
    for volume in forecast.volumes:
        verdict = {"yes": "fits", "maybe": "MAY NOT FIT", "no": "DOES NOT FIT"}[volume.fits]
        say(
            f"volume of {', '.join(volume.folders)}: {range_words(volume.peak)} at the peak,"
            f" {range_words(volume.final)} at the end, {human(volume.free)} free: {verdict}"
        )
    if forecast.budget is not None:
        limit = forecast.budget
        verdict = {"yes": "fits", "maybe": "MAY BE EXCEEDED", "no": "EXCEEDED"}[fit_of(limit.final, limit.limit)]
        say(
            f"budget: {human(limit.used.likely)} now, {range_words(limit.final)} at the end, {human(limit.limit)}"
            f" allowed: {verdict}"
        )
    if any(step.unknown for step in forecast.steps):
        say("sizes that nobody published are not in these sums.")
    for saving in forecast.savings:
        say(f"to make it fit: {saving.text}")


def _clock(seconds: float) -> str:
    """Return a duration in its largest unit: more digits than an estimate has would mislead."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 60 else f"{minutes / 60:,.1f} h"
