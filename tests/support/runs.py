"""Runs and queries of a catalog on disk, for tests that call the engine in their own process."""

from pathlib import Path
from typing import Any

from earmark.catalog.project import open_project
from tasks.engine.rollup import Query
from tasks.engine.stage import Run
from tasks.stages.registry import STAGES


def open_run(catalog: Path, **asked: Any) -> Run:
    """Return a run of a catalog; `asked` is what a user may ask for: `force`, `named`, `thorough`."""
    return Run(open_project(catalog), STAGES, **asked)


def open_query(catalog: Path) -> Query:
    """Return a query of a catalog in which nothing is ignored."""
    return Query(open_run(catalog))
