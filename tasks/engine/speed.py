"""How fast this machine is at a stage: from the receipts of finished units, else a stated assumption."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from earmark.amounts import Amount, about
from earmark.catalog.project import Project
from earmark.catalog.tables import DatasetTable
from earmark.disk.receipts import Outputs, Receipt, read_receipt
from tasks.engine.rollup import Query
from tasks.report import human

MEASURED = 20  # receipts of a stage from which its speed is taken
ENOUGH_S = 2.0  # seconds of work from which a speed may be taken: less is mostly start-up
MANY = 100  # a speed of more is given without decimals

Timed = tuple[float, float]  # units done, and the seconds that they took


@dataclass(frozen=True)
class Speed:
    """How a stage's speed is measured: in which `unit` a second, and what is `assumed` while no receipt gives it.

    `timed` yields units and seconds of each finished piece of a dataset. "bytes" a second are printed with SI units.
    """

    unit: str
    assumed: float
    timed: Callable[[Project, str], Iterator[Timed]]

    def seconds_per_unit(self, query: Query, dataset: str) -> tuple[Amount, str]:
        """Return seconds a unit, and in words the speed and where it is from: this dataset, else another one."""
        project = query.run.project
        others = [name for name, table in project.catalog.datasets.items() if not _is_generated(table)]
        for where in dict.fromkeys((dataset, *others)):
            timed = [(amount, seconds) for amount, seconds in self.timed(project, where) if amount > 0 and seconds > 0]
            if sum(seconds for _, seconds in timed) >= ENOUGH_S:
                speed = sum(amount for amount, _ in timed) / sum(seconds for _, seconds in timed)
                many = f"{len(timed):,} units" if len(timed) > 1 else "1 unit"
                # the factor of doubt: a measured speed may change with the files, an assumed one with the machine too
                return about(1 / speed, 1.3), f"{self._words(speed)}, measured on {many} of {where}"
        return about(1 / self.assumed, 3.0), f"{self._words(self.assumed)}: not measured yet, assumed"

    def _words(self, speed: float) -> str:
        if self.unit.startswith("bytes"):
            return f"{human(speed)}{self.unit.removeprefix('bytes')}"
        return f"{speed:,.0f} {self.unit}" if speed >= MANY else f"{speed:.2g} {self.unit}"


def finished(paths: list[Path], outputs: type[Outputs], version: int) -> Iterator[Receipt[Outputs]]:
    """Yield the last few receipts, of this version alone: one of another version may count other things."""
    for path in paths[-MEASURED:]:
        receipt = read_receipt(path, outputs)
        if receipt is not None and receipt.version == version:
            yield receipt


def part_receipts(project: Project, stage: str, dataset: str) -> list[Path]:
    """Return the receipts of a dataset's parts, archives or shards."""
    return sorted(project.receipt(stage, dataset).with_suffix("").glob("*.json"))


def _is_generated(table: DatasetTable) -> bool:
    """Say whether a dataset is synthesised here: its few short files say little about the speed on others."""
    return any(archive.generator for archive in table.archives)
