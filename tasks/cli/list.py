"""`doit list --status`: a line for each stage and dataset, job and joint manifest. Runs nothing."""

from collections.abc import Iterator

from earmark.catalog.project import Project
from tasks.engine.rollup import PREVENTING, Line, Query, survey
from tasks.engine.stage import Verdict
from tasks.engine.units import Unit
from tasks.stages import presence
from tasks.stages.combined import judge_combined, split_names


class Surveys:
    """Surveys of datasets, each made once: several jobs name the same datasets."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._known: dict[str, dict[str, Line]] = {}

    def of(self, dataset: str) -> dict[str, Line]:
        """Return a dataset's lines by stage."""
        if dataset not in self._known:
            self._known[dataset] = {line.unit.stage: line for line in survey(self._query, dataset)}
        return self._known[dataset]

    def verdict(self, unit: Unit) -> Verdict:
        """Return the state of one stage of a dataset."""
        return self.of(unit.dataset)[unit.stage].verdict


def status_lines(query: Query, names: list[str], *, all_shards: bool) -> Iterator[str]:
    """Yield the lines of `doit list --status`, of some names or of everything on this disk.

    Raises CatalogError for a name that is no dataset, stage or task.
    """
    project = query.run.project
    combined, rest = split_names(query, names)
    datasets, stages = _named(query, rest) if rest or not names else ([], {})
    surveys = Surveys(query)
    away = []
    for dataset in datasets:
        if not names and not presence.here_and_absent(project, [dataset])[0]:
            away.append(dataset)
            continue
        for line in surveys.of(dataset).values():
            if line.unit.stage in stages.get(dataset, (line.unit.stage,)):
                yield from _stage_lines(line, all_shards=all_shards)
    without = []
    for task in combined:
        if not names and not presence.here_and_absent(project, task.datasets)[0]:
            without.append(str(task.unit))
            continue
        verdict, _ = judge_combined(query, task, surveys.verdict)
        yield _line(verdict, task.unit, "", "; ".join(verdict.reasons[:1]))
    if without:
        yield f"none of their datasets is on this disk ({len(without)}): {', '.join(without)}."
    if away:
        yield (
            f"not on this disk ({len(away)}): {', '.join(away)}. `doit why extract:<dataset>` says where archives"
            " belong."
        )


def _stage_lines(line: Line, *, all_shards: bool) -> Iterator[str]:
    count = f"{line.current:,} of {len(line.shards):,} shards" if line.shards else ""
    yield _line(line.verdict, line.unit, count, _reason(line))
    for shard, verdict in line.shards if all_shards else ():
        yield f"  {verdict.state} {shard!s:<32} {'; '.join(verdict.reasons)}".rstrip()


def _line(verdict: Verdict, unit: Unit, count: str, reason: str) -> str:
    return f"{verdict.state} {unit!s:<34} {count:<20} {reason}".rstrip()


def _named(query: Query, names: list[str]) -> tuple[list[str], dict[str, set[str]]]:
    """Return the datasets that are named, and of each the stages: by dataset, stage or task name."""
    project: Project = query.run.project
    if not names:
        return project.catalog.by_priority(), {}
    known = [stage.name for stage in query.run.stages]
    stages: dict[str, set[str]] = {}
    for name in names:
        unit = Unit.parse(name)
        if name in known:
            for dataset in project.catalog.by_priority():
                stages.setdefault(dataset, set()).add(name)
            continue
        dataset = unit.dataset if unit.stage in known and unit.dataset else name
        project.dataset(dataset)
        stages.setdefault(dataset, set()).update({unit.stage} if unit.stage in known else known)
    return [dataset for dataset in project.catalog.by_priority() if dataset in stages], stages


def _reason(line: Line) -> str:
    """Return the one short reason of a line."""
    if line.verdict.state == "U":
        return ""
    reasons = line.reasons
    if line.verdict.state in PREVENTING or len(reasons) < 2:
        first = line.verdict.reasons[0] if line.verdict.reasons else ""
        return first if len(line.verdict.reasons) < 2 else f"{first}; …"
    return f"{reasons.most_common(1)[0][0]}; and {len(reasons) - 1} other reasons"
