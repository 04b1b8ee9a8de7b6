"""What is current and what is not, rolled up from the shards: `doit list --status`, `doit why`. Runs nothing."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from earmark.catalog.project import Project
from earmark.disk.shards import read_rows
from earmark.errors import EarmarkError
from tasks.cli.doit_tasks import stage_of
from tasks.engine.stage import STAGES, Unit, UpstreamError, Verdict, judge, receipt_of
from tasks.stages import extract, features, joint, scan
from tasks.stages.joined import chosen, joined, judge_joined
from tasks.stages.standardize import read_table

ORDER = "EARIU"  # the worst state of a group names it
SHARDED = ("standardize", "features")
LATE = ("standardize:", "manifest:")  # what blocks the gathering of a stage's shards, not the shards themselves


@dataclass(frozen=True)
class Line:
    """One stage of one dataset: its state, how many units are current, the reasons of those that are not."""

    unit: Unit
    verdict: Verdict
    current: int
    total: int
    shards: tuple[tuple[Unit, Verdict], ...] = ()


def survey(project: Project, dataset: str, is_ignored: Callable[[str], bool]) -> Iterator[Line]:
    """Yield a line a stage, in order; what stands after something that would run is not current either."""
    blocked: Verdict | None = None
    stale: dict[str, Verdict] = {}  # shards whose standard audio is not current
    for stage in STAGES:
        unit = Unit(stage, dataset)
        own = judge(project, stage_of(unit), unit)
        shards = tuple(_shards(project, unit, blocked, stale if stage == "features" else {}, is_ignored))
        if stage == "standardize":
            stale = {shard.part: verdict for shard, verdict in shards if verdict.state != "U"}
        verdict = _rolled_up(own, [verdict for _, verdict in shards])
        if is_ignored(str(unit)):
            verdict = Verdict("I", ("doit ignore",))
        elif blocked is not None and (verdict.state == "U" or blocked.state == "E"):
            verdict = blocked
        yield Line(unit, verdict, sum(each.state == "U" for _, each in shards), len(shards), shards)
        if blocked is None and verdict.state != "U":
            words = {"A": "its volume is absent", "I": f"{unit} is ignored"}.get(
                verdict.state, f"{unit} would run first"
            )
            words = f"{unit} cannot run" if verdict.state == "E" else words
            blocked = Verdict("R" if verdict.state == "R" else verdict.state, (words,))


def _rolled_up(own: Verdict, shards: list[Verdict]) -> Verdict:
    """Return the state of a stage: its worst shard's, or its own when they are all current."""
    if own.state in "EA":
        return own
    worst = min(shards, key=lambda verdict: ORDER.index(verdict.state), default=own)
    return own if worst.state == "U" else worst


def _shards(
    project: Project,
    unit: Unit,
    blocked: Verdict | None,
    stale: dict[str, Verdict],
    is_ignored: Callable[[str], bool],
) -> Iterator[tuple[Unit, Verdict]]:
    """Yield the shards of a stage with their states."""
    if unit.stage not in SHARDED:
        return
    try:
        names = scan.shards_of(project, unit.dataset)
    except UpstreamError:
        return
    for name in names:
        shard = Unit(unit.stage, unit.dataset, name)
        verdict = judge(project, stage_of(shard), shard)
        if is_ignored(str(shard)):
            verdict = Verdict("I", ("doit ignore",))
        elif verdict.state == "U" and name in stale:
            before = stale[name]
            first = Verdict("R", (f"standardize:{unit.dataset}:{name} would run first",))
            verdict = before if before.state in "AI" else first
        elif verdict.state == "U" and blocked is not None and not blocked.reasons[0].startswith(LATE):
            verdict = blocked
        yield shard, verdict


def table(project: Project, is_ignored: Callable[[str], bool], wanted: list[str], *, all_shards: bool) -> Iterator[str]:
    """Yield the lines of `doit list --status`."""
    several, rest = chosen(project, wanted)
    datasets, stages = _wanted(project, rest) if rest or not wanted else ([], {})
    surveys = _Surveys(project, is_ignored)
    away = []
    for dataset in datasets:
        made_here = any(archive.generator for archive in project.dataset(dataset).archives)
        if not wanted and not made_here and not extract.on_disk(project, dataset):
            away.append(dataset)
            continue
        for line in surveys.of(dataset).values():
            if stages.get(dataset) and line.unit.stage not in stages[dataset]:
                continue
            count = f"{line.current:,} of {line.total:,} shards" if line.shards else ""
            yield f"{line.verdict.state} {line.unit!s:<34} {count:<20} {_reason(line)}".rstrip()
            for shard, verdict in line.shards if all_shards else ():
                yield f"  {verdict.state} {shard!s:<32} {'; '.join(verdict.reasons)}".rstrip()
    without = []
    for one in several:
        if not wanted and not joint.present(project, one.datasets)[0]:
            without.append(str(one.unit))
            continue
        verdict, _ = judge_joined(project, one, surveys.verdict, is_ignored)
        yield f"{verdict.state} {one.unit!s:<34} {'':<20} {'; '.join(verdict.reasons[:1])}".rstrip()
    if without:
        yield f"none of their datasets is on this disk ({len(without)}): {', '.join(without)}."
    if away:
        names = ", ".join(away)
        yield f"not on this disk ({len(away)}): {names}. `doit why extract:<dataset>` says where archives belong."


class _Surveys:
    """Surveys of datasets, each made once: several jobs read the same ones."""

    def __init__(self, project: Project, is_ignored: Callable[[str], bool]) -> None:
        self._project, self._is_ignored = project, is_ignored
        self._known: dict[str, dict[str, Line]] = {}

    def of(self, dataset: str) -> dict[str, Line]:
        """Return a dataset's lines by stage."""
        if dataset not in self._known:
            lines = survey(self._project, dataset, self._is_ignored)
            self._known[dataset] = {line.unit.stage: line for line in lines}
        return self._known[dataset]

    def verdict(self, unit: Unit) -> Verdict:
        """Return the state of one stage of a dataset."""
        return self.of(unit.dataset)[unit.stage].verdict


def _wanted(project: Project, names: list[str]) -> tuple[list[str], dict[str, set[str]]]:
    """Return the datasets that are named, and of each the stages: by dataset, stage or task name."""
    if not names:
        return project.catalog.by_priority(), {}
    stages: dict[str, set[str]] = {}
    for name in names:
        stage, _, rest = name.partition(":")
        if name in STAGES:
            for dataset in project.catalog.by_priority():
                stages.setdefault(dataset, set()).add(name)
            continue
        dataset = rest.split(":")[0] if stage in STAGES and rest else name
        project.dataset(dataset)
        stages.setdefault(dataset, set()).update({stage} if stage in STAGES else STAGES)
    return [dataset for dataset in project.catalog.by_priority() if dataset in stages], stages


def _reason(line: Line) -> str:
    """Return the one short reason of a line."""
    if line.verdict.state == "U":
        return ""
    reasons = Counter(verdict.reasons[0] for _, verdict in line.shards if verdict.state != "U" and verdict.reasons)
    if line.verdict.state in "EA" or len(reasons) < 2:
        first = line.verdict.reasons[0] if line.verdict.reasons else ""
        return first if len(line.verdict.reasons) < 2 else f"{first}; …"
    return f"{reasons.most_common(1)[0][0]}; and {len(reasons) - 1} other reasons"


def why(project: Project, name: str, is_ignored: Callable[[str], bool]) -> Iterator[str]:
    """Yield what differs for a task and the stages before it, in words.

    Raises CatalogError for a name that is no task.
    """
    if name in joined(project):
        yield from _why_joined(project, name, is_ignored)
        return
    unit = parse(project, name)
    lines = {line.unit.stage: line for line in survey(project, unit.dataset, is_ignored)}
    if unit.part:
        yield from _why_shard(project, unit, lines)
        return
    last = lines[unit.stage].verdict
    yield f"{unit}: {_says(last.state)}"
    if last.state == "U":
        return
    for stage in STAGES[: STAGES.index(unit.stage) + 1]:
        line = lines[stage]
        if line.verdict.state != "U":
            yield from (f"  {words}" for words in _explain(project, line))


def _why_joined(project: Project, name: str, is_ignored: Callable[[str], bool]) -> Iterator[str]:
    """Yield what differs for a job or a joint manifest, and for what it waits for."""
    one, surveys = joined(project)[name], _Surveys(project, is_ignored)
    verdict, late = judge_joined(project, one, surveys.verdict, is_ignored)
    yield f"{name}: {_says(verdict.state)}"
    if verdict.state == "U":
        return
    yield f"  {name}: {'; '.join(verdict.reasons)}"
    for dataset in dict.fromkeys(unit.dataset for unit in late):
        for stage in STAGES[: STAGES.index(one.needs[-1]) + 1]:
            line = surveys.of(dataset)[stage]
            if line.verdict.state != "U":
                yield from (f"  {words}" for words in _explain(project, line))
    if absent := joint.present(project, one.datasets)[1]:
        yield f"  not on this disk, skipped: {', '.join(absent)}"


def _says(state: str) -> str:
    return {
        "U": "current: nothing to do.",
        "R": "would run:",
        "E": "cannot run:",
        "A": "left alone, its volume is absent:",
        "I": "ignored (doit forget brings it back).",
    }[state]


def _explain(project: Project, line: Line) -> Iterator[str]:
    """Yield a stage's reasons with counts."""
    late = [shard for shard, verdict in line.shards if verdict.state != "U"]
    if not late or line.verdict.state in "EAI":
        yield f"{line.unit}: {'; '.join(line.verdict.reasons)}"
        return
    reasons = Counter(
        reason
        for shard, verdict in line.shards
        if shard in late
        for reason in verdict.reasons
        if not reason.startswith("audio changed (")  # said in recordings instead
    )
    words = [f"{count:,} x {reason}" if count > 1 else reason for reason, count in reasons.most_common(6)]
    if line.unit.stage == "features" and _same_encoders(project, late):
        words.append("weights and settings unchanged")
    said = "; ".join([*_recordings(project, late), *words]) or "; ".join(line.verdict.reasons)
    yield f"{line.unit}: {len(late):,} of {len(line.shards):,} shards: {said}"


def _same_encoders(project: Project, late: list[Unit]) -> bool:
    """Say whether the encoders of shards that would run are those that made them before, or made the others."""
    try:
        known = {name: features.identity(project, name) for name in project.catalog.encoders_of(late[0].dataset)}
    except EarmarkError:
        return False
    shards = scan.shards_of(project, late[0].dataset)
    receipts = [receipt_of(project, Unit("features", late[0].dataset, shard)) for shard in shards]
    return any(receipts) and all(receipt.inputs["encoders"] == known for receipt in receipts if receipt)


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
    """Compare a shard's list with what was made of it."""
    path = project.table(shard.dataset, shard.part)
    made = {row["path"]: row["source_hash"] for row in read_table(path)} if path.exists() else {}
    counts: Counter[str] = Counter()
    for row in read_rows(project.shard_list(shard.dataset, shard.part)):
        before = made.pop(row.path, None)
        if before != row.source_hash:
            counts["new" if before is None else "changed"] += 1
    counts["gone"] = len(made)
    return counts


def _to_encode(project: Project, shard: Unit) -> int:
    """Count the audio hashes of a shard that no pack holds."""
    path = project.table(shard.dataset, shard.part)
    if not path.exists():
        return 0
    hashes = {row["audio_hash"] for row in read_table(path) if "bad" not in row}
    missing = 0
    try:
        for name in project.catalog.encoders_of(shard.dataset):
            missing += len(hashes - features.held(project, name, hashes))
    except EarmarkError:  # no model yet: nothing can be held
        return len(hashes)
    return missing


def _why_shard(project: Project, unit: Unit, lines: dict[str, Line]) -> Iterator[str]:
    found = dict(lines[unit.stage].shards)
    if unit not in found:
        yield f"{unit}: no such shard yet ({len(found)} are listed); `doit scan:{unit.dataset}` lists them."
        return
    verdict = found[unit]
    yield f"{unit}: {_says(verdict.state)}"
    for stage in ("extract", "scan") if verdict.state != "U" else ():
        if lines[stage].verdict.state != "U":
            yield from (f"  {words}" for words in _explain(project, lines[stage]))
    if verdict.state != "U":
        yield from (f"  {words}" for words in _explain(project, Line(unit, verdict, 0, 1, ((unit, verdict),))))


def parse(project: Project, name: str) -> Unit:
    """Return the unit that a task name means.

    Raises CatalogError with the nearest name.
    """
    stage, _, rest = name.partition(":")
    if stage not in STAGES or not rest:
        from earmark.errors import CatalogError, near

        known = [f"{one}:{dataset}" for one in STAGES for dataset in project.catalog.datasets] + list(joined(project))
        raise CatalogError(f'no task "{name}"{near(name, known)}: expected <stage>:<dataset>[:<shard>].')
    dataset, _, part = rest.partition(":")
    project.dataset(dataset)
    return Unit(stage, dataset, part)
