"""What a job took and what it left out: summary.json, and the short table that people read."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from earmark.rates import HOUR_S
from earmark.rows import RESERVED, SPLITS
from earmark.training.selection import SPEAKER, Row, Source, values

ADDED = RESERVED | {"features", "start", "end"}  # what a row holds that is no label of its recording
SHOWN = 6  # languages named in the table


@dataclass
class Part:
    """One split, or one dataset, of a job."""

    rows: int = 0
    seconds: float = 0.0
    speakers: set[int] = field(default_factory=set)  # 64-bit hashes: one a speaker, however many rows
    languages: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row, speakers: set[int]) -> None:
        """Count one row in."""
        self.rows += 1
        self.seconds += row["duration"]
        self.speakers |= speakers
        if "language" in row:
            self.languages[row["language"]] += 1

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON; languages by rows."""
        found = {"rows": self.rows, "hours": round(self.seconds / HOUR_S, 3), "speakers": len(self.speakers)}
        return found | {"languages": dict(sorted(self.languages.items()))}


@dataclass
class Summary:
    """Counts of one job. Speakers are counted once among the datasets whose ids are the same people's."""

    name: str
    rows: int = 0
    splits: dict[str, Part] = field(default_factory=lambda: {split: Part() for split in SPLITS})
    datasets: dict[str, Part] = field(default_factory=lambda: defaultdict(Part))
    fields: dict[str, Counter[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(Counter))  # by dataset
    left_out: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # by dataset: by reason
    leakage: dict[str, dict[str, Any]] = field(default_factory=dict)
    leaking_rows: Counter[str] = field(default_factory=Counter)  # by kind: rows dropped, or kept as accepted
    skipped: tuple[str, ...] = ()  # datasets that are not on this disk
    encoders: dict[str, str] = field(default_factory=dict)  # by name: the folder that holds its packs

    def add(self, source: Source, row: Row, split: str) -> None:
        """Count a row that was written."""
        self.rows += 1
        speakers = {source.mark(SPEAKER, one) for one in values(row, SPEAKER)}
        self.splits[split].add(row, speakers)
        self.datasets[source.name].add(row, speakers)
        self.fields[source.name][tuple(row)] += 1  # few distinct ones: labels are told apart at the end

    def leave_out(self, source: Source, reason: str) -> None:
        """Count a row that was left out."""
        self.left_out[source.name][reason] += 1

    def why_left_out(self) -> str:
        """Say in one line what was left out: rows by reason and dataset."""
        counts = [(dataset, reason, n) for dataset, found in self.left_out.items() for reason, n in found.items()]
        return ", ".join(f"{n:,} {reason} ({dataset})" for dataset, reason, n in sorted(counts))

    def labels(self) -> dict[str, dict[str, int]]:
        """Count by dataset the rows that have each label, sorted by label."""
        found: dict[str, Counter[str]] = {name: Counter() for name in self.fields}
        for name, rows in self.fields.items():
            for fields, n_rows in rows.items():
                found[name].update(dict.fromkeys(set(fields) - ADDED, n_rows))
        return {name: dict(sorted(counts.items())) for name, counts in found.items()}

    def as_json(self) -> dict[str, Any]:
        """Return summary.json; keys in a fixed order."""
        return {
            "job": self.name,
            "rows": self.rows,
            "splits": {split: part.as_json() for split, part in self.splits.items()},
            "datasets": {name: part.as_json() for name, part in self.datasets.items()},
            "labels": self.labels(),
            "left_out": {name: dict(sorted(found.items())) for name, found in self.left_out.items()},
            "skipped": list(self.skipped),
            "leakage": self.leakage,
            "encoders": self.encoders,
        }

    def table(self) -> list[str]:
        """Return the lines that people read."""
        lines = [f"{'job ' + self.name:<24} {'rows':>12} {'hours':>12} {'speakers':>9}  languages"]
        for name, part in (*self.splits.items(), *self.datasets.items()):
            most = sorted(language for language, _ in part.languages.most_common(SHOWN))
            languages = " ".join([*most, "…"] if len(part.languages) > SHOWN else most)
            hours = f"{part.seconds / HOUR_S:,.2f}"
            lines.append(f"{name:<24} {part.rows:>12,} {hours:>12} {len(part.speakers):>9,}  {languages}".rstrip())
        if self.left_out:
            lines.append(f"left out: {self.why_left_out()}")
        for kind, found in self.leakage.items():
            shared = ", ".join(f"{count:,} in {pair}" for pair, count in found["shared"].items())
            done = f"{found['rows_dropped']:,} rows left out" if "rows_dropped" in found else ""
            accepted = f"{found.get('rows_kept', 0):,} rows kept, accepted: {found.get('accepted')}"
            lines.append(f"leakage of {kind}: {shared}: {done or accepted}")
        lines += [f"features of {name}: {folder}" for name, folder in self.encoders.items()]
        if self.skipped:
            lines.append(f"not on this disk, skipped: {', '.join(self.skipped)}")
        return lines
