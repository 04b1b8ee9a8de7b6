"""`doit why`: what differs for a task, in words with counts. Runs nothing."""

from collections import Counter
from collections.abc import Iterator

from earmark.audio.table import read_good, read_table
from earmark.catalog.project import Project
from earmark.disk.shards import read_rows
from earmark.errors import CatalogError, EarmarkError, near
from tasks.cli.list import Surveys
from tasks.engine.judge import receipt_of
from tasks.engine.rollup import Line, Query
from tasks.engine.units import Unit
from tasks.stages import encoder_packs, features, presence, scan
from tasks.stages.combined import CombinedTask, combined_tasks, judge_combined

HEADINGS = {
    "U": "current: nothing to do.",
    "R": "would run:",
    "E": "cannot run:",
    "A": "left alone, its volume is absent:",
    "I": "ignored (doit forget brings it back).",
}


def why(query: Query, name: str) -> Iterator[str]:
    """Yield what differs for a task and the stages before it, in words.

    Raises CatalogError for a name that is no task.
    """
    combined = combined_tasks(query.run.project)
    if name in combined:
        yield from _why_combined(query, combined[name])
        return
    unit = parse(query, name)
    lines = Surveys(query).of(unit.dataset)
    if unit.part:
        yield from _why_shard(query, unit, lines)
        return
    last = lines[unit.stage].verdict
    yield f"{unit}: {HEADINGS[last.state]}"
    if last.state != "U":
        yield from _explain_up_to(query, lines, unit.stage)


def parse(query: Query, name: str) -> Unit:
    """Return the unit that a task's name means.

    Raises CatalogError with the nearest name.
    """
    project, unit = query.run.project, Unit.parse(name)
    stages = [stage.name for stage in query.run.stages]
    if unit.stage not in stages or not unit.dataset:
        known = [f"{stage}:{dataset}" for stage in stages for dataset in project.catalog.datasets]
        known += combined_tasks(project)
        raise CatalogError(f'no task "{name}"{near(name, known)}: expected <stage>:<dataset>[:<shard>].')
    project.dataset(unit.dataset)
    return unit


def _explain_up_to(query: Query, lines: dict[str, Line], last: str) -> Iterator[str]:
    """Yield the reasons of every stage that is not current, up to one."""
    for stage, line in lines.items():
        if line.verdict.state != "U":
            yield f"  {_explain(query, line)}"
        if stage == last:
            return


def _why_combined(query: Query, task: CombinedTask) -> Iterator[str]:
    """Yield what differs for a job or a joint manifest, and for what it waits for."""
    surveys = Surveys(query)
    verdict, late = judge_combined(query, task, surveys.verdict)
    yield f"{task.unit}: {HEADINGS[verdict.state]}"
    if verdict.state == "U":
        return
    yield f"  {task.unit}: {'; '.join(verdict.reasons)}"
    for dataset in dict.fromkeys(unit.dataset for unit in late):
        yield from _explain_up_to(query, surveys.of(dataset), task.needs[-1])
    if absent := presence.here_and_absent(query.run.project, task.datasets)[1]:
        yield f"  not on this disk, skipped: {', '.join(absent)}"


def _why_shard(query: Query, unit: Unit, lines: dict[str, Line]) -> Iterator[str]:
    verdicts = dict(lines[unit.stage].shards)
    if unit not in verdicts:
        yield f"{unit}: no such shard yet ({len(verdicts)} are listed); `doit scan:{unit.dataset}` lists them."
        return
    verdict = verdicts[unit]
    yield f"{unit}: {HEADINGS[verdict.state]}"
    if verdict.state == "U":
        return
    for stage, line in lines.items():
        if not line.shards and stage in ("extract", "scan") and line.verdict.state != "U":
            yield f"  {_explain(query, line)}"
    yield f"  {_explain(query, Line(unit, verdict, ((unit, verdict),)))}"


def _explain(query: Query, line: Line) -> str:
    """Return a stage's reasons with counts."""
    late = [shard for shard, verdict in line.shards if verdict.state != "U"]
    if not late or line.verdict.state in "EAI":
        return f"{line.unit}: {'; '.join(line.verdict.reasons)}"
    reasons = Counter(
        reason
        for _, verdict in line.shards
        if verdict.state != "U"
        for reason in verdict.reasons
        if not reason.startswith("audio changed (")  # counted in recordings instead, by _recordings
    )
    words = [f"{count:,} x {reason}" if count > 1 else reason for reason, count in reasons.most_common(6)]
    if line.unit.stage == features.NAME and _same_encoders(query.run.project, line.unit.dataset):
        words.append("weights and settings unchanged")
    details = "; ".join([*_recordings(query.run.project, late), *words]) or "; ".join(line.verdict.reasons)
    return f"{line.unit}: {len(late):,} of {len(line.shards):,} shards: {details}"


def _same_encoders(project: Project, dataset: str) -> bool:
    """Say whether the identities of the encoders are those of all finished shards: then only the audio differs."""
    try:
        known = encoder_packs.identities(project, dataset)
        shards = scan.shards_of(project, dataset)
    except EarmarkError:
        return False
    units = [Unit(features.NAME, dataset, shard) for shard in shards]
    receipts = [receipt_of(project, unit, features.EncodedShard) for unit in units]
    made_by = [receipt.made_from(encoder_packs.MadeBy).encoders for receipt in receipts if receipt]
    return bool(made_by) and all(identities == known for identities in made_by)


def _recordings(project: Project, late: list[Unit]) -> list[str]:
    """Count the recordings that are new, changed or gone in shards that would run."""
    counts: Counter[str] = Counter()
    for shard in late:
        if shard.stage == "standardize":
            counts.update(_differing(project, shard))
        else:
            counts["to encode"] += _to_encode(project, shard)
    return [", ".join(f"{count:,} recordings {what}" for what, count in counts.items() if count)] if +counts else []


def _differing(project: Project, shard: Unit) -> Counter[str]:
    """Compare a shard's list with its table."""
    path = project.table(shard.dataset, shard.part)
    hashes = {row.path: row.source_hash for row in read_table(path)} if path.exists() else {}
    counts: Counter[str] = Counter()
    for row in read_rows(project.shard_list(shard.dataset, shard.part)):
        before = hashes.pop(row.path, None)
        if before != row.source_hash:
            counts["new" if before is None else "changed"] += 1
    counts["gone"] = len(hashes)
    return counts


def _to_encode(project: Project, shard: Unit) -> int:
    """Count the audio hashes of a shard that are in no pack."""
    path = project.table(shard.dataset, shard.part)
    if not path.exists():
        return 0
    hashes = {row.audio_hash for row in read_good(path)}
    missing = 0
    try:
        for name in project.catalog.encoders_of(shard.dataset):
            missing += len(hashes - encoder_packs.stored(project, name, hashes))
    except EarmarkError:  # no model yet, so nothing can be stored
        return len(hashes)
    return missing
