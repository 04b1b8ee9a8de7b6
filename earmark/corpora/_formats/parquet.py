"""Rows of Parquet files and Arrow IPC streams, without the bytes of their audio.

The tables are opened in a process beside this one: a single bit of an Arrow stream can lead pyarrow out of its memory,
and a crash must not take the run with it. What comes back are plain values.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from earmark.corpora._formats.lines import require_file
from earmark.disk.faults import require_content
from earmark.disk.inside import ARROW, COLUMN, FIELD, open_table
from earmark.errors import CorpusError, WorkerError
from earmark.workers.apart import call_apart, stream_apart

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

BATCH_ROWS = 1_000  # rows in memory
KEPT_OPEN = 4  # tables whose rows are read in turn

Cells = dict[str, object]  # of a row, by column; besides JSON's types also dates, decimals and bytes
_Columns = dict[str, list[object]]  # the values of some rows, by column


class AudioCell(TypedDict):
    """The column `audio` of a row: the path that it names, and whether the sound itself is in the table."""

    path: str | None
    has_bytes: bool


@dataclass(frozen=True)
class TableSchema:
    """A table's columns in order, those of bytes or with bytes inside, and what was written beside them."""

    names: tuple[str, ...]
    with_bytes: frozenset[str]
    metadata: Mapping[bytes, bytes]


def table_rows(path: Path, columns: Sequence[str]) -> Iterator[Cells]:
    """Yield each row's values of some columns; the column `audio` gives an AudioCell.

    Raises CorpusError for a file that is not a table, or lacks a column.
    """
    try:
        for values in stream_apart(_read_rows, (path, tuple(columns)), str(path)):
            rows = zip(*(values[name] for name in columns), strict=True)
            yield from (dict(zip(columns, row, strict=True)) for row in rows)
    except WorkerError as error:
        raise _crashed(path, error) from error


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


def schema_of(path: Path) -> TableSchema:
    """Return the schema of a table. Raises CorpusError for a file that is not a table."""
    try:
        return call_apart(_read_schema, path, str(path))
    except WorkerError as error:
        raise _crashed(path, error) from error


def _crashed(path: Path, error: WorkerError) -> Exception:
    """Return the error for a table that ended the process that read it; any other end is not the table's fault."""
    if not error.crashed:
        return error
    return CorpusError(
        f"{path}: expected a table, got one that crashes its reader ({error.crashed}): damaged. Download it again."
    )


# What follows runs in the process beside.


def _read_schema(path: Path) -> TableSchema:
    try:
        require_file(path)
        with open_table(path) as table:
            schema: pyarrow.Schema = table.schema if path.suffix == ARROW else table.schema_arrow
            with_bytes = frozenset(name for name in schema.names if _contains_bytes(schema.field(name).type))
            return TableSchema(tuple(schema.names), with_bytes, dict(schema.metadata or {}))
    except CorpusError:
        raise
    except Exception as error:  # of a damaged table pyarrow raises whatever its size or its depth leads to
        require_content(path, error)
        raise CorpusError(
            f"{path}: expected a Parquet file or an Arrow stream, got: {first_line(error)}. Download it again."
        ) from error


@dataclass
class _Reading:
    """The batches of a table that are still to come, and the number of the next."""

    batches: Iterator[_Columns]
    number: int = 0


@dataclass
class _Readings:
    """Tables that are being read in this process, by path and columns, the one last read at the end."""

    by_table: dict[tuple[Path, tuple[str, ...]], _Reading] = field(default_factory=dict)

    def find(self, table: tuple[Path, tuple[str, ...]], number: int) -> _Reading:
        """Return a reading that is about to give batch `number`; one that is further on begins anew."""
        reading = self.by_table.pop(table, None)
        if reading is None or reading.number > number:
            reading = _Reading(_batches(*table))
        for _ in range(reading.number, number):  # this process may be another than the one that began
            next(reading.batches, None)
        while len(self.by_table) >= KEPT_OPEN:
            del self.by_table[next(iter(self.by_table))]
        self.by_table[table] = reading
        reading.number = number + 1
        return reading


_READINGS = _Readings()


def _read_rows(call: tuple[tuple[Path, tuple[str, ...]], int]) -> _Columns | None:
    """Return the values of a batch of rows by column, None behind the last batch. Raises CorpusError."""
    table, number = call
    path, columns = table
    try:
        return next(_READINGS.find(table, number).batches, None)
    except CorpusError:
        raise
    except Exception as error:  # of a damaged table pyarrow raises whatever its size or its depth leads to
        require_content(path, error)
        raise CorpusError(
            f"{path}: expected a table with the columns {', '.join(columns)}, got: {first_line(error)}."
            " Download it again, or correct `folder` and `root` in the catalog."
        ) from error


def _batches(path: Path, columns: tuple[str, ...]) -> Iterator[_Columns]:
    require_file(path)
    with open_table(path) as table:
        yield from _stream_batches(table, columns) if path.suffix == ARROW else _parquet_batches(table, columns)


def _contains_bytes(kind: "pyarrow.DataType") -> bool:
    """Return whether values of a type are bytes, or contain some, as a second recording or a picture does."""
    import pyarrow

    types = pyarrow.types
    if any(test(kind) for test in (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)):
        return True
    return any(_contains_bytes(kind.field(index).type) for index in range(kind.num_fields))


def _require(schema: "pyarrow.Schema", columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in schema.names]
    if missing:
        raise ValueError(f"no column {', '.join(missing)} among {', '.join(schema.names)}")
    if COLUMN in columns:
        kind = schema.field(COLUMN).type
        if not {FIELD, "path"} <= {kind.field(index).name for index in range(kind.num_fields)}:
            raise ValueError(f"a column {COLUMN} that is {kind}, not struct<{FIELD}, path>")


def _parquet_batches(table: "pyarrow.parquet.ParquetFile", columns: Sequence[str]) -> Iterator[_Columns]:
    _require(table.schema_arrow, columns)
    wanted = [f"{name}.path" if name == COLUMN else name for name in columns]  # so that the bytes are never read
    for group in range(table.metadata.num_row_groups):
        has_bytes = _has_bytes(table, group) if COLUMN in columns else False
        first = 0
        for batch in table.iter_batches(BATCH_ROWS, row_groups=[group], columns=wanted):
            batch.validate(full=True)
            values = {name: batch.column(name).to_pylist() for name in columns}
            if COLUMN in columns:
                paths = [(cell or {}).get("path") for cell in values[COLUMN]]
                flags = [has_bytes] * len(paths) if isinstance(has_bytes, bool) else has_bytes[first:][: len(paths)]
                values[COLUMN] = _audio_cells(paths, flags)
            first += batch.num_rows
            yield values


def _audio_cells(paths: Sequence[str | None], has_bytes: Sequence[bool]) -> list[object]:
    return [AudioCell(path=path, has_bytes=one) for path, one in zip(paths, has_bytes, strict=True)]


def _has_bytes(table: "pyarrow.parquet.ParquetFile", group: int) -> bool | Sequence[bool]:
    """Return for each row of a group whether it has the bytes of its audio; one answer where all are alike.

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
                return bool(nulls == 0)
    column = table.read_row_group(group, columns=[f"{COLUMN}.{FIELD}"]).column(COLUMN)
    return [flag for chunk in column.chunks for flag in chunk.field(FIELD).is_valid().to_pylist()]


def _stream_batches(stream: "pyarrow.RecordBatchStreamReader", columns: Sequence[str]) -> Iterator[_Columns]:
    _require(stream.schema, columns)
    for whole in stream:
        whole.validate(full=True)  # its bytes are believed from here on: offsets that lead out of it would be followed
        for first in range(0, whole.num_rows, BATCH_ROWS):
            batch = whole.slice(first, BATCH_ROWS)
            values = {name: batch.column(name).to_pylist() for name in columns if name != COLUMN}
            if COLUMN in columns:
                audio = batch.column(COLUMN)
                values[COLUMN] = _audio_cells(
                    audio.field("path").to_pylist(), audio.field(FIELD).is_valid().to_pylist()
                )
            yield values
