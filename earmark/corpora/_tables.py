"""Rows of Parquet files and Arrow IPC streams, their labels only: the bytes of the audio are not read."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from earmark.disk.inside import ARROW, COLUMN, FIELD, open_table
from earmark.errors import CorpusError

BATCH_ROWS = 1_000  # rows held in memory


def table_rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield each row's values of some columns; `audio` gives {"path": str or None, "has_bytes": bool}.

    Raises CorpusError for a file that is no table, or lacks a column.
    """
    try:
        with open_table(path) as table:
            yield from _stream_rows(table, columns) if path.suffix == ARROW else _parquet_rows(table, columns)
    except (OSError, ValueError, KeyError) as error:
        raise CorpusError(
            f"{path}: expected a table with the columns {', '.join(columns)}, got: {str(error).splitlines()[0]}."
            " Download it again, or correct `folder` and `root` in the catalog."
        ) from error


def columns_of(path: Path) -> list[str]:
    """Return the names of a table's columns. Raises CorpusError for a file that is no table."""
    return list(schema_of(path).names)


def schema_of(path: Path) -> Any:
    """Return the pyarrow schema of a table. Raises CorpusError for a file that is no table."""
    try:
        with open_table(path) as table:
            return table.schema if path.suffix == ARROW else table.schema_arrow
    except (OSError, ValueError, KeyError) as error:
        raise CorpusError(
            f"{path}: expected a Parquet file or an Arrow stream, got: {str(error).splitlines()[0]}. Download it again."
        ) from error


def holds_bytes(kind: Any) -> bool:
    """Say whether values of a pyarrow type are bytes, or hold some: a second recording, a picture."""
    import pyarrow

    types = pyarrow.types
    if any(test(kind) for test in (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)):
        return True
    return any(holds_bytes(kind.field(index).type) for index in range(kind.num_fields))


def _require(schema: Any, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in schema.names]
    if missing:
        raise ValueError(f"no column {', '.join(missing)} among {', '.join(schema.names)}")
    if COLUMN in columns:
        kind = schema.field(COLUMN).type
        if not {FIELD, "path"} <= {kind.field(index).name for index in range(kind.num_fields)}:
            raise ValueError(f"a column {COLUMN} that is {kind}, not struct<{FIELD}, path>")


def _parquet_rows(table: Any, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    _require(table.schema_arrow, columns)
    wanted = [f"{name}.path" if name == COLUMN else name for name in columns]
    for group in range(table.metadata.num_row_groups):
        held = _held(table, group) if COLUMN in columns else None
        first = 0
        for batch in table.iter_batches(BATCH_ROWS, row_groups=[group], columns=wanted):
            for number, row in enumerate(batch.to_pylist(), first):
                if held is not None:
                    row[COLUMN] = {"path": (row[COLUMN] or {}).get("path"), "has_bytes": held[number]}
                yield {name: row[name] for name in columns}
            first += batch.num_rows


def _held(table: Any, group: int) -> Sequence[bool]:
    """Say of each row of a group whether it holds bytes: by the statistics where they tell, else by reading."""
    metadata = table.metadata.row_group(group)
    for index in range(metadata.num_columns):
        chunk = metadata.column(index)
        told = chunk.statistics
        if chunk.path_in_schema == f"{COLUMN}.{FIELD}" and told and told.null_count in (0, metadata.num_rows):
            return [told.null_count == 0] * int(metadata.num_rows)
    column = table.read_row_group(group, columns=[f"{COLUMN}.{FIELD}"]).column(COLUMN)
    return [flag for chunk in column.chunks for flag in chunk.field(FIELD).is_valid().to_pylist()]


def _stream_rows(stream: Any, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    _require(stream.schema, columns)
    for batch in stream:
        values = {name: batch.column(name).to_pylist() for name in columns if name != COLUMN}
        if COLUMN in columns:
            audio = batch.column(COLUMN)
            held, paths = audio.field(FIELD).is_valid().to_pylist(), audio.field("path").to_pylist()
            values[COLUMN] = [{"path": path, "has_bytes": flag} for path, flag in zip(paths, held, strict=True)]
        for number in range(batch.num_rows):
            yield {name: values[name][number] for name in columns}
