"""Recordings inside a larger file, named as if the file were a folder.

    song.stem.mp4/1.stream     audio stream 1 of a media file, counted from 0 among its audio streams
    eval/00.parquet/17.row     row 17, from 0, of a Parquet file or an Arrow IPC stream with a column
                               `audio`: struct {bytes, path}, as Hugging Face datasets write it
    call.wav/1.channel         channel 1, from 0, of a file, a stream or a row: one side of a telephone call

A path is such a name only where its folder is a file, so that no other file can have it. Nothing is unpacked: a corpus
of a million rows would be a million small files, and a copy of bytes that the tables have.
"""

import bisect
import contextlib
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from earmark.disk.faults import is_machine_fault
from earmark.errors import BadAudioError

if TYPE_CHECKING:
    from pyarrow import ChunkedArray, RecordBatchStreamReader
    from pyarrow.parquet import ParquetFile

NAME = re.compile(r"(\d+)\.(stream|row)")
CHANNEL = re.compile(r"(\d+)\.channel")
ARROW, PARQUET = ".arrow", ".parquet"  # the suffix of an Arrow IPC stream; every other table is read as Parquet
TABLE_SUFFIXES = {ARROW, PARQUET}
COLUMN, FIELD = "audio", "bytes"  # where Hugging Face datasets keep a recording's own bytes
READER = "pyarrow"


@dataclass(frozen=True, slots=True)
class Place:
    """A file to open, and the part of it that is meant: all (""), an audio stream, or a table's row.

    `channel` is the one that is meant of several; with None it is for others to say what becomes of them.
    """

    file: Path
    part: Literal["", "stream", "row"] = ""
    number: int = 0
    channel: int | None = None


def locate(path: Path) -> Place:
    """Return the file that a path leads into. Only a path that ends like a part's name is looked up on the disk."""
    if match := CHANNEL.fullmatch(path.name):
        place = locate(path.parent)
        # A folder with a file called 1.channel in it is no recording of two channels.
        return replace(place, channel=int(match[1])) if place.part or path.parent.is_file() else Place(path)
    match = NAME.fullmatch(path.name)
    if match is None or not path.parent.is_file():
        return Place(path)
    return Place(path.parent, "stream" if match[2] == "stream" else "row", int(match[1]))


def channel_of(path: str, channel: int) -> str:
    """Return the path of one channel, from 0, of a recording at a path."""
    return f"{path}/{channel}.channel"


def without_channel(path: str) -> str:
    """Return the path of the recording whose channel a path names; any other path as it is. By the name alone."""
    folder, _, name = path.rpartition("/")
    return folder if folder and CHANNEL.fullmatch(name) else path


def file_of(path: str) -> str:
    """Return the path of the file that a recording's path leads into, by its name alone."""
    path = without_channel(path)
    folder, _, name = path.rpartition("/")
    return folder if folder and NAME.fullmatch(name) else path


def read_row(file: Path, number: int) -> bytes:
    """Return the bytes of the recording in a table's row. Raises BadAudioError: unreadable, no such row, or no bytes.

    The group of rows around it stays in memory for the next call: Parquet decompresses by groups, and recordings are
    asked for in order.
    """
    try:
        status = file.stat()
        group, first = _group_of(file, number, status.st_mtime_ns)
        values = _group(file, group, status.st_mtime_ns)
        if not 0 <= number - first < len(values):
            raise BadAudioError("unreadable", f"expected a row {number:,}, got {len(values):,} rows", READER)
        data = values[number - first].as_py()
    except BadAudioError:
        raise
    except Exception as error:  # of a damaged table pyarrow raises whatever its size or its depth leads to
        if is_machine_fault(error):
            raise
        raise BadAudioError("unreadable", f"expected a table with audio, got: {error}", READER) from error
    if not data:
        raise BadAudioError("empty", f"expected a recording in row {number:,}, got no bytes", READER)
    return bytes(data)


@contextlib.contextmanager
def open_table(file: Path) -> "Iterator[ParquetFile | RecordBatchStreamReader]":
    """Open a table: a pyarrow ParquetFile, or the reader of an Arrow IPC stream. Raises OSError or ValueError."""
    import pyarrow
    import pyarrow.parquet

    if file.suffix != ARROW:
        with pyarrow.parquet.ParquetFile(file, memory_map=True) as table:
            yield table
        return
    with pyarrow.memory_map(str(file)) as mapped, pyarrow.ipc.open_stream(mapped) as stream:
        yield stream


@functools.lru_cache(maxsize=8)  # a worker goes through one table after the other
def _bounds(file: Path, _mtime_ns: int) -> list[int]:
    """Return the first row of each group of a Parquet file, and the row after the last."""
    bounds = [0]
    with open_table(file) as table:
        for group in range(table.metadata.num_row_groups):
            bounds.append(bounds[-1] + table.metadata.row_group(group).num_rows)
    return bounds


def _group_of(file: Path, number: int, mtime_ns: int) -> tuple[int, int]:
    """Return the group that holds a row, and the group's first row; an Arrow stream is one group, mapped."""
    if file.suffix == ARROW:
        return 0, 0
    bounds = _bounds(file, mtime_ns)
    if number >= bounds[-1]:
        raise BadAudioError("unreadable", f"expected a row {number:,}, got {bounds[-1]:,} rows", READER)
    group = bisect.bisect_right(bounds, number) - 1
    return group, bounds[group]


@functools.lru_cache(maxsize=1)  # a group may be hundreds of megabytes
def _group(file: Path, group: int, _mtime_ns: int) -> "ChunkedArray":
    """Return the bytes of the recordings in a group of rows; the time makes a changed file another key of the cache."""
    import pyarrow

    with open_table(file) as table:
        if file.suffix == ARROW:  # mapped: only the pages that are read are in memory
            column = table.read_all().column(COLUMN)
        else:
            column = table.read_row_group(group, columns=[f"{COLUMN}.{FIELD}"]).column(COLUMN)
    column.validate(full=True)  # else an offset that leads out of its memory would be followed
    return pyarrow.chunked_array([chunk.field(FIELD) for chunk in column.chunks], type=column.type.field(FIELD).type)
