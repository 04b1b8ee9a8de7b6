"""A new stage is its own module, its estimate and its name in the registry: doit, status, why, plan and verify know it."""

import os
import subprocess
import sys

import orjson
from support.collection import CHECKOUT, Collection

# What its two modules would be, and its line in the registry; run in a process of its own, as doit is.
STAGE = """
import sys, types
import msgspec
from earmark.amounts import exact
from earmark.audio.table import read_good
from earmark.disk.files import publish
from earmark.disk.receipts import SealedFile
from tasks.engine.estimates import Item
from tasks.engine.judge import broken, require_receipt, seal_file
from tasks.engine.stage import Built, Rule, Stage
from tasks.engine.units import Unit
from tasks.stages import registry, scan, standardize

class Measured(msgspec.Struct, frozen=True):
    lengths: SealedFile

def shard_inputs(run, unit):
    before = require_receipt(run.project, Unit("standardize", unit.dataset, unit.part), standardize.StandardizedShard)
    return {"audio": before.outputs.audio}

def whole_inputs(run, unit):
    shards = scan.shards_of(run.project, unit.dataset)
    receipts = {shard: require_receipt(run.project, Unit("measure", unit.dataset, shard), Measured) for shard in shards}
    return {"shards": {shard: receipt.outputs.lengths.xxh3 for shard, receipt in receipts.items()}}

def intact(run, unit, receipt):
    return broken(run.project, [receipt.outputs.lengths])

def build(run, unit):
    shards = [unit.part] if unit.part else list(scan.shards_of(run.project, unit.dataset))
    rows = [row for shard in shards for row in read_good(run.project.table(unit.dataset, shard))]
    target = run.project.cache / "lengths" / unit.dataset / f"{unit.part or 'all'}.txt"
    publish(target, "".join(f"{row.n_samples}\\n" for row in rows).encode(), run.project.scratch)
    return Built(Measured(seal_file(run.project, target)), {"rows": len(rows)}, target.stat().st_size)

SHARD = Rule("measure", 1, Measured, shard_inputs, intact, build)
WHOLE = Rule("measure", 1, Measured, whole_inputs, intact, build)
MEASURE = Stage("measure", "lengths of {}", WHOLE, follows=("standardize",), shard=SHARD, shard_follows="standardize")

estimates = types.ModuleType("tasks.stages.measure_estimate")
def estimate(expected, step):
    if step.state == "R":
        step.items.append(Item("lengths", expected.project.cache / "lengths", exact(6.0 * expected.files_listed), 1))
estimates.estimate = estimate
sys.modules["tasks.stages.measure_estimate"] = estimates
registry.STAGES = (*registry.STAGES, MEASURE)

from doit.__main__ import main
sys.exit(main())
"""


def doit(collection: Collection, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", STAGE, *args],
        cwd=CHECKOUT,
        env=os.environ | collection.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_stage_that_is_registered_is_run_shown_explained_planned_and_verified(two_shards: Collection):
    planned = orjson.loads(doit(two_shards, "plan", "--json", "measure:books").stdout)
    (step,) = [step for step in planned["steps"] if step["stage"] == "measure"]
    assert step["units"] == {"run": 2, "total": 2}
    assert step["bytes"]["likely"] == 6 * 8
    why = doit(two_shards, "why", "measure:books").stdout
    assert why.splitlines() == ["measure:books: would run:", "  measure:books: 2 of 2 shards: 2 x never built"]

    done = doit(two_shards, "measure:books")
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith(".")] == [
        ".  measure:books:0000", ".  measure:books:0001", ".  measure:books"
    ]  # fmt: skip
    lengths = (two_shards.home / "cache/lengths/books/all.txt").read_text().split()
    assert lengths == ["16000"] * 8

    assert "0 done" in doit(two_shards, "measure:books").stdout
    status = doit(two_shards, "list", "--status", "books").stdout.splitlines()
    assert [line.split()[:2] for line in status][-1] == ["U", "measure:books"]
    (two_shards.home / "cache/lengths/books/all.txt").write_text("1\n")
    verified = doit(two_shards, "verify", "books")
    assert verified.returncode == 1 and "cache/lengths/books/all.txt: 2 bytes instead of 48" in verified.stdout


def test_a_shard_that_is_gone_is_forgotten_by_every_stage(two_shards: Collection):
    doit(two_shards, "measure:books")
    receipts = two_shards.home / "cache/receipts/measure/books"
    assert sorted(path.name for path in receipts.iterdir()) == ["0000.json", "0001.json"]
    for path in two_shards.home.glob("data/books/LibriSpeech/dev-clean/**/*.*"):
        path.unlink()
    done = doit(two_shards, "measure:books")
    assert done.returncode == 0, done.stderr
    (left,) = (two_shards.home / "cache/shards/books").glob("*.jsonl")
    assert [path.stem for path in receipts.iterdir()] == [left.stem]
