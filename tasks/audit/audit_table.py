"""How an audit is shown: a table with totals, or one JSON object."""

import dataclasses

import orjson

from tasks.audit.inventory import Report
from tasks.report import human

PLAIN_WIDTH = 180  # columns of the table where there is no terminal
NARROW, NARROWEST = 120, 72  # below NARROW, notes stand below the table; below NARROWEST the terminal breaks its lines


def as_json(report: Report) -> str:
    """Return a report as one JSON object."""
    return orjson.dumps(dataclasses.asdict(report), option=orjson.OPT_INDENT_2).decode()


def show(report: Report, named: list[str]) -> None:
    """Print a report as a table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    width = max(NARROWEST, console.width) if console.is_terminal else PLAIN_WIDTH
    console, below = Console(width=width), width < NARROW
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("corpus, archive", overflow="fold")
    table.add_column("on disk", justify="right", no_wrap=True)
    table.add_column("state", min_width=len("unverified"))
    for name in ("files", "frees\nnow", "after\nextract"):
        table.add_column(name, justify="right", no_wrap=True)
    if not below:
        table.add_column("missing, notes", ratio=1)
    notes_below = []

    def add(*cells: str) -> None:
        table.add_row(*map(Text, cells[:-1] if below else cells))
        if below and cells[-1]:
            notes_below.append(f"{cells[0].strip()}: {cells[-1]}")

    def size(size_bytes: int) -> str:
        return human(size_bytes) if size_bytes else ""

    away = []
    for row in report.corpora:
        if row.state == "nothing there" and row.dataset not in named:
            away.append(row.dataset)
            continue
        notes = "; ".join(filter(None, [*row.missing, row.note]))
        add(row.dataset, size(row.size), row.state, f"{row.n_files:,}" if row.n_files else "", "", "", notes)
        for found in row.archives:
            frees = size(found.frees_now), size(found.frees_after_extract)
            add(f"  {found.file}", size(found.size), found.state, "", *frees, found.note)
    for found_ in report.unclaimed_archives:
        n_files = f"{found_.n_files:,}" if found_.n_files > 1 else ""
        add(found_.path, size(found_.size), "archive, unclaimed", n_files, "", "", found_.guess)
    for found_ in report.unclaimed_folders:
        add(found_.path, size(found_.size), "folder, unclaimed", f"{found_.n_files:,}", "", "", found_.guess)
    if table.row_count:
        console.print(table)
        print()
    for note in notes_below:
        print(note)
    _say_totals(report, away)


def _say_totals(report: Report, away: list[str]) -> None:
    totals = {name: human(value) for name, value in report.totals.items()}
    if away:
        print(f"nothing there ({len(away)}): {', '.join(away)}")
    if report.unreadable:
        print(f"cannot be read ({len(report.unreadable)}): {', '.join(report.unreadable[:5])}; sizes are without them")
    print(f"raw audio {totals['raw_audio']}, archives {totals['archives']}, unclaimed {totals['unclaimed']}")
    print(
        f"could be freed: {totals['frees_now']} now (`doit cleanup:<dataset>`), {totals['frees_after_extract']} more"
        " after `doit extract:<dataset>`"
    )
    walked = sum(row.walked for row in report.corpora)
    print(f"{len(report.corpora)} corpora under {report.data}, {walked} of them walked, in {report.seconds:.1f} s")
