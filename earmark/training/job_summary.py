"""What a job took and what it left out: summary.json, and the short table that people read."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Required, TypedDict

from earmark.rates import HOUR_S
from earmark.rows import RESERVED, SPLITS
from earmark.training.manifest_row import SPEAKER, ManifestRow
from earmark.training.selection import JobDataset, values_of

ADDED = RESERVED | {"features", "start", "end"}  # fields of a row that are no label of its recording
LANGUAGES_SHOWN = 6  # in a line of the table


class SharedValues(TypedDict, total=False):
    """What splits share of one kind: values by pair of splits; the rows dropped for it, or kept and why."""

    shared: Required[dict[str, int]]
    rows_dropped: int
    rows_kept: int
    accepted: str | None


@dataclass
class Totals:
    """One split, or one dataset, of a job."""

    rows: int = 0
    seconds: float = 0.0
    speakers: set[int] = field(default_factory=set)  # 64-bit hashes: one a speaker, however many rows
    languages: Counter[str] = field(default_factory=Counter)

    def add(self, row: ManifestRow, speakers: set[int]) -> None:
        """Count one row in."""
        self.rows += 1
        self.seconds += row["duration"]
        self.speakers |= speakers
        if "language" in row:
            self.languages[row["language"]] += 1

    def as_json(self) -> dict[str, object]:
        """Return it as JSON; languages by rows."""
        return {
            "rows": self.rows,
            "hours": round(self.seconds / HOUR_S, 3),
            "speakers": len(self.speakers),
            "languages": dict(sorted(self.languages.items())),
        }

    def line(self, name: str) -> str:
        """Return its line of the table."""
        most = sorted(language for language, _ in self.languages.most_common(LANGUAGES_SHOWN))
        languages = " ".join([*most, "…"] if len(self.languages) > LANGUAGES_SHOWN else most)
        hours = f"{self.seconds / HOUR_S:,.2f}"
        return f"{name:<24} {self.rows:>12,} {hours:>12} {len(self.speakers):>9,}  {languages}".rstrip()


@dataclass
class Summary:
    """Counts of one job. Speakers are counted once among the datasets whose ids are the same people's."""

    name: str
    rows: int = 0
    splits: dict[str, Totals] = field(default_factory=lambda: {split: Totals() for split in SPLITS})
    datasets: dict[str, Totals] = field(default_factory=lambda: defaultdict(Totals))
    # by dataset: how many rows have just these fields. A corpus has few such sets, and one count a row is cheaper than
    # one a label.
    fields: dict[str, Counter[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(Counter))
    left_out: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # by dataset: by reason
    leakage: dict[str, SharedValues] = field(default_factory=dict)  # by kind
    leaking_rows: Counter[str] = field(default_factory=Counter)  # by kind: rows dropped, or kept as accepted
    skipped: tuple[str, ...] = ()  # datasets that are not on this disk
    encoders: dict[str, str] = field(default_factory=dict)  # by name: the folder of its packs

    def add(self, dataset: JobDataset, row: ManifestRow, split: str) -> None:
        """Count a row that was written."""
        self.rows += 1
        speakers = {dataset.mark(SPEAKER, speaker) for speaker in values_of(row, SPEAKER)}
        self.splits[split].add(row, speakers)
        self.datasets[dataset.name].add(row, speakers)
        self.fields[dataset.name][tuple(row)] += 1

    def leave_out(self, dataset: JobDataset, reason: str) -> None:
        """Count a row that was left out."""
        self.left_out[dataset.name][reason] += 1

    def why_left_out(self) -> str:
        """Say in one line what was left out: rows by reason and dataset."""
        counts = [(dataset, reason, n) for dataset, reasons in self.left_out.items() for reason, n in reasons.items()]
        return ", ".join(f"{n:,} {reason} ({dataset})" for dataset, reason, n in sorted(counts))

    def labels(self) -> dict[str, dict[str, int]]:
        """Count by dataset the rows that have each label, sorted by label."""
        counts: dict[str, Counter[str]] = {name: Counter() for name in self.fields}
        for name, rows in self.fields.items():
            for fields, n_rows in rows.items():
                counts[name].update(dict.fromkeys(set(fields) - ADDED, n_rows))
        return {name: dict(sorted(by_label.items())) for name, by_label in counts.items()}

    def as_json(self) -> dict[str, object]:
        """Return summary.json; keys in a fixed order."""
        return {
            "job": self.name,
            "rows": self.rows,
            "splits": {split: totals.as_json() for split, totals in self.splits.items()},
            "datasets": {name: totals.as_json() for name, totals in self.datasets.items()},
            "labels": self.labels(),
            "left_out": {name: dict(sorted(reasons.items())) for name, reasons in self.left_out.items()},
            "skipped": list(self.skipped),
            "leakage": self.leakage,
            "encoders": self.encoders,
        }

    def table(self) -> list[str]:
        """Return the lines that people read."""
        lines = [f"{'job ' + self.name:<24} {'rows':>12} {'hours':>12} {'speakers':>9}  languages"]
        lines += [totals.line(name) for name, totals in (*self.splits.items(), *self.datasets.items())]
        if self.left_out:
            lines.append(f"left out: {self.why_left_out()}")
        lines += [_leakage_line(kind, shared) for kind, shared in self.leakage.items()]
        lines += [f"features of {name}: {folder}" for name, folder in self.encoders.items()]
        if self.skipped:
            lines.append(f"not on this disk, skipped: {', '.join(self.skipped)}")
        return lines


def _leakage_line(kind: str, shared: SharedValues) -> str:
    pairs = ", ".join(f"{count:,} in {pair}" for pair, count in shared["shared"].items())
    dropped = f"{shared['rows_dropped']:,} rows left out" if "rows_dropped" in shared else ""
    accepted = f"{shared.get('rows_kept', 0):,} rows kept, accepted: {shared.get('accepted')}"
    return f"leakage of {kind}: {pairs}: {dropped or accepted}"
