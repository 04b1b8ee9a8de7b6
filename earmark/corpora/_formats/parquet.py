"""Rows of Parquet files and Arrow IPC streams, without the bytes of their audio."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from earmark.corpora._formats.lines import require_file, unreadable
from earmark.disk.inside import ARROW, COLUMN, FIELD, open_table
from earmark.disk.plainly import gives_no_bytes
from earmark.errors import CorpusError

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

BATCH_ROWS = 1_000  # rows in memory
# What pyarrow raises of a table that is damaged, or of a kind that it does not know.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, NotImplementedError, IndexError)

Cells = dict[str, object]  # of a row, by column; besides JSON's types also dates, decimals and bytes


class AudioCell(TypedDict):
    """The column `audio` of a row: the path that it names, and whether the sound itself is in the table."""

    path: str | None
    has_bytes: bool


def table_rows(path: Path, columns: Sequence[str]) -> Iterator[Cells]:
    """Yield each row's values of some columns; the column `audio` gives an AudioCell.

    Raises CorpusError for a file that is not a table, or lacks a column.
    """
    try:
        require_file(path)
        with open_table(path) as table:
            yield from _stream_rows(table, columns) if path.suffix == ARROW else _parquet_rows(table, columns)
    except UNREADABLE as error:
        if isinstance(error, OSError) and gives_no_bytes(error):  # pyarrow's own have no number
            raise unreadable(path, error) from error
        raise CorpusError(
            f"{path}: expected a table with the columns {', '.join(columns)}, got: {first_line(error)}."
            " Download it again, or correct `folder` and `root` in the catalog."
        ) from error


def first_line(error: Exception) -> str:
    """Return what an error says, without the trace that pyarrow appends."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def audio_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[AudioCell, Cells]]:
    """Yield (audio, values of the other columns) of each row of a table with a column `audio`. Raises CorpusError."""
    for row in table_rows(path, [COLUMN, *columns]):
        yield cast("AudioCell", row.pop(COLUMN)), row


def columns_of(path: Path) -> list[str]:
    """Return the names of a table's columns. Raises CorpusError for a file that is not a table."""
    return list(schema_of(path).names)


def schema_of(path: Path) -> "pyarrow.Schema":
    """Return the schema of a table. Raises CorpusError for a file that is not a table."""
    try:
        require_file(path)
        with open_table(path) as table:
            return table.schema if path.suffix == ARROW else table.schema_arrow
    except UNREADABLE as error:
        if isinstance(error, OSError) and gives_no_bytes(error):
            raise unreadable(path, error) from error
        raise CorpusError(
            f"{path}: expected a Parquet file or an Arrow stream, got: {first_line(error)}. Download it again."
        ) from error


def contains_bytes(kind: "pyarrow.DataType") -> bool:
    """Return whether values of a type are bytes, or contain some, as a second recording or a picture does."""
    import pyarrow

    types = pyarrow.types
    if any(test(kind) for test in (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)):
        return True
    return any(contains_bytes(kind.field(index).type) for index in range(kind.num_fields))


def _require(schema: "pyarrow.Schema", columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in schema.names]
    if missing:
        raise ValueError(f"no column {', '.join(missing)} among {', '.join(schema.names)}")
    if COLUMN in columns:
        kind = schema.field(COLUMN).type
        if not {FIELD, "path"} <= {kind.field(index).name for index in range(kind.num_fields)}:
            raise ValueError(f"a column {COLUMN} that is {kind}, not struct<{FIELD}, path>")


def _parquet_rows(table: "pyarrow.parquet.ParquetFile", columns: Sequence[str]) -> Iterator[Cells]:
    _require(table.schema_arrow, columns)
    wanted = [f"{name}.path" if name == COLUMN else name for name in columns]  # so that the bytes are never read
    for group in range(table.metadata.num_row_groups):
        has_bytes = _has_bytes(table, group) if COLUMN in columns else None
        first = 0
        for batch in table.iter_batches(BATCH_ROWS, row_groups=[group], columns=wanted):
            for number, row in enumerate(batch.to_pylist(), first):
                if has_bytes is not None:
                    row[COLUMN] = {"path": (row[COLUMN] or {}).get("path"), "has_bytes": has_bytes[number]}
                yield {name: row[name] for name in columns}
            first += batch.num_rows


def _has_bytes(table: "pyarrow.parquet.ParquetFile", group: int) -> Sequence[bool]:
    """Return for each row of a group whether it has the bytes of its audio.

    The null count of the group's statistics answers for all rows at once where all or none have bytes; only a mixed
    group, or a file without statistics, has its column read.
    """
    metadata = table.metadata.row_group(group)
    for index in range(metadata.num_columns):
        chunk = metadata.column(index)
        statistics = chunk.statistics
        if chunk.path_in_schema == f"{COLUMN}.{FIELD}" and statistics:
            nulls, rows = statistics.null_count, int(metadata.num_rows)
            if nulls in (0, rows):
                return [nulls == 0] * rows
    column = table.read_row_group(group, columns=[f"{COLUMN}.{FIELD}"]).column(COLUMN)
    return [flag for chunk in column.chunks for flag in chunk.field(FIELD).is_valid().to_pylist()]


def _stream_rows(stream: "pyarrow.RecordBatchStreamReader", columns: Sequence[str]) -> Iterator[Cells]:
    _require(stream.schema, columns)
    for batch in stream:
        values = {name: batch.column(name).to_pylist() for name in columns if name != COLUMN}
        if COLUMN in columns:
            audio = batch.column(COLUMN)
            cells = zip(audio.field("path").to_pylist(), audio.field(FIELD).is_valid().to_pylist(), strict=True)
            values[COLUMN] = [{"path": path, "has_bytes": has_bytes} for path, has_bytes in cells]
        for number in range(batch.num_rows):
            yield {name: values[name][number] for name in columns}
