"""How an audit is shown: a table with totals, or one JSON object."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from tasks.audit.inventory import ArchiveAudit, CorpusAudit, Report, Unclaimed
from tasks.report import human
from tasks.terminal import add_row, say, show_table, width

if TYPE_CHECKING:
    from rich.table import Table

PLAIN_WIDTH = 180  # columns of the table where there is no terminal
NARROW = 120  # columns below which notes are printed after the table, as a column of them would be a few letters wide
NARROWEST = 72  # columns of the table at the least; a narrower terminal breaks its lines
UNREADABLE_NAMED = 5


class _Line(NamedTuple):
    """The cells of one line of the table."""

    name: str
    size: str
    state: str
    files: str = ""
    frees_now: str = ""
    frees_after_extract: str = ""
    notes: str = ""


def as_json(report: Report) -> dict[str, object]:
    """Return a report as one JSON object."""
    return dataclasses.asdict(report)


def show(report: Report, named: list[str]) -> None:
    """Print a report as a table; datasets that are not on this disk are listed after it, unless they were `named`."""
    columns = width(PLAIN_WIDTH, NARROWEST)
    shown = [row for row in report.corpora if row.state != "nothing there" or row.dataset in named]
    lines = [*(line for row in shown for line in _corpus_lines(row)), *_unclaimed_lines(report)]
    if lines:
        show_table(_table(lines, notes=columns >= NARROW), columns)
        say("")
    for line in lines if columns < NARROW else ():
        if line.notes:
            say(f"{line.name.strip()}: {line.notes}")
    _print_totals(report, [row.dataset for row in report.corpora if row not in shown])


def _table(lines: list[_Line], *, notes: bool) -> "Table":
    """Return the table, with or without the column of notes."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("corpus, archive", overflow="fold")
    table.add_column("on disk", justify="right", no_wrap=True)
    table.add_column("state", min_width=len("unverified"))
    for name in ("files", "frees\nnow", "after\nextract"):
        table.add_column(name, justify="right", no_wrap=True)
    if notes:
        table.add_column("missing, notes", ratio=1)
    for line in lines:
        add_row(table, *(line if notes else line[:-1]))
    return table


def _corpus_lines(row: CorpusAudit) -> Iterator[_Line]:
    """Yield the line of a dataset, and of each of its archives."""
    notes = "; ".join(filter(None, [*row.missing, row.note]))
    yield _Line(row.dataset, _size(row.size), row.state, f"{row.n_files:,}" if row.n_files else "", notes=notes)
    yield from map(_archive_line, row.archives)


def _archive_line(entry: ArchiveAudit) -> _Line:
    frees = _size(entry.frees_now), _size(entry.frees_after_extract)
    return _Line(f"  {entry.file}", _size(entry.size), entry.state, "", *frees, entry.note)


def _unclaimed_lines(report: Report) -> Iterator[_Line]:
    def line(entry: Unclaimed, state: str, n_files: str) -> _Line:
        return _Line(entry.path, _size(entry.size), state, n_files, notes=entry.guess)

    for archive in report.unclaimed_archives:
        yield line(archive, "archive, unclaimed", f"{archive.n_files:,}" if archive.n_files > 1 else "")
    for folder in report.unclaimed_folders:
        yield line(folder, "folder, unclaimed", f"{folder.n_files:,}")


def _size(size_bytes: int) -> str:
    return human(size_bytes) if size_bytes else ""


def _print_totals(report: Report, away: list[str]) -> None:
    totals = {name: human(value) for name, value in report.totals.items()}
    if away:
        say(f"nothing there ({len(away)}): {', '.join(away)}", whole=True)
    if report.unreadable:
        some = ", ".join(report.unreadable[:UNREADABLE_NAMED])
        say(f"cannot be read ({len(report.unreadable)}): {some}; sizes are without them")
    say(f"raw audio {totals['raw_audio']}, archives {totals['archives']}, unclaimed {totals['unclaimed']}")
    say(
        f"could be freed: {totals['frees_now']} now (`doit cleanup:<dataset>`), {totals['frees_after_extract']} more"
        " after `doit extract:<dataset>`"
    )
    if report.orphans:
        size = human(sum(kind["bytes"] for kind in report.orphans.values()))
        kinds = ", ".join(f"{kind} {human(count['bytes'])}" for kind, count in report.orphans.items())
        say(f"nothing names {size} any more (`doit gc` lists it): {kinds}")
    walked = sum(row.walked for row in report.corpora)
    say(f"{len(report.corpora)} corpora under {report.data}, {walked} of them walked, in {report.seconds:.1f} s")
