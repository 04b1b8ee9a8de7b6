"""Home-made datasets as Hugging Face's datasets writes them: tables with the sound inside, a row a recording.

    data/[<config>-]<split>-00000-of-00001[-<hash>].parquet    push_to_hub
    [<config>/]<split>/0000.parquet                            the hub's own conversion; any name, in any folder
    <split>/data-00000-of-00001.arrow, dataset_info.json       save_to_disk: Arrow IPC streams
    cache-<fingerprint>.arrow                                  a step of processing kept beside them: a finding

A table has a column `audio`: struct {bytes, path}. A column `split` tells the split of its row; else a keyword (see
`_splits`) in the table's name or in that of a folder above it. Other columns named as labels become labels, the rest
`extra` (see `_columns`); the numbers of class labels become their names, as the table's own features or the
dataset_info.json beside it tell. Columns that hold bytes (pictures, a second recording) give no label: a finding a
table. A row without bytes is a finding (its path is one of the machine that wrote it), so is a shard that is not there,
and a sound file beside the tables.

An id is the table's path without extension and the row's number, `data/train-00000-of-00001/17`: the only name that is
unique without holding all rows. A column `id` often begins anew in each table, and files in `audio.path` share names;
`id` stays in `extra`. `root` leads to one form of one dataset: Parquet and Arrow below it would be two copies.
Source: huggingface/datasets, arrow_writer, naming, features and data_files. Holds the tables' paths and the labels of
1,000 rows in memory, never their sound.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    BROKEN_LABEL,
    DUPLICATE,
    INCOMPLETE,
    LABEL_WITHOUT_AUDIO,
    Finding,
    ReaderOptions,
    Recording,
    check_options,
)
from earmark.corpora._columns import labels_and_split
from earmark.corpora._huggingface import class_named, class_names, info_names
from earmark.corpora._splits import split_of_name
from earmark.corpora._tables import holds_bytes, schema_of, table_rows
from earmark.corpora._tree import audio_files, layout_error, listing, walk
from earmark.disk.inside import ARROW, COLUMN
from earmark.errors import CorpusError

VERSION = 1

PARQUET = ".parquet"
PROCESSED = "cache-"  # begins the name of an Arrow file that a step of processing left
SHARD = re.compile(r"(.*-)(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?\.(?:parquet|arrow)")
FEATURES = b"huggingface"  # the key of a schema's metadata under which datasets writes its features


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the rows of each table in their order, the tables by path."""
    check_options("tables", options)
    return _recordings(root, options.language)


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    found = [f"{folder}/{name}" if folder else name for folder, names in walk(root) for name in names]
    found = sorted(path for path in found if path.endswith((PARQUET, ARROW)))
    processed = [path for path in found if PurePosixPath(path).name.startswith(PROCESSED) and path.endswith(ARROW)]
    tables = [path for path in found if path not in processed]
    if not tables:
        expected = f"a folder with tables, *{PARQUET} or *{ARROW}, that have a column {COLUMN}"
        raise layout_error(root, expected, [name for names in listing(root) for name in names])
    if len({PurePosixPath(path).suffix for path in tables}) > 1:
        raise CorpusError(
            f"{root}: tables in two forms: expected *{PARQUET} or *{ARROW}, got both, which would be two copies of the"
            " same rows. Keep one form, or let `root` in the catalog lead to one."
        )
    yield from (Finding(DUPLICATE, path, f"{path}: kept by a step of processing, not read") for path in processed)
    yield from _gaps(tables)
    for path in tables:
        yield from _table(root, path, _split(root, path), language)
    yield from (Finding(AUDIO_WITHOUT_LABEL, path, f"{path}: in no table") for path in audio_files(root))


def _gaps(tables: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding for each set of shards that is not whole."""
    shards: dict[tuple[str, str], set[int]] = {}
    for path in tables:
        if match := SHARD.fullmatch(path):
            shards.setdefault((match[1], match[3]), set()).add(int(match[2]))
    for (name, of), there in shards.items():
        if missing := sorted(set(range(int(of))) - there):
            detail = f"{len(missing)} of {int(of)} shards are not here, such as {missing[0]:05d}"
            yield Finding(INCOMPLETE, f"{name}*-of-{of}", detail)


def _split(root: Path, path: str) -> str | None:
    """Return the split that a table's name or one of its folders tells. Raises CorpusError where they tell several."""
    steps = PurePosixPath(path).with_suffix("").parts
    told = {split: step for step in steps if (split := split_of_name(step))}
    if len(told) > 1:
        names = " and ".join(f"{step} ({split})" for split, step in told.items())
        raise CorpusError(
            f"{root / path}: which split it belongs to cannot be told: expected one split in its path, got {names}."
            " Rename one of them, or let `root` in the catalog begin below the folder."
        )
    return next(iter(told), None)


def _table(root: Path, path: str, split: str | None, language: str | None) -> Iterator[Recording | Finding]:
    schema = schema_of(root / path)
    names = _class_names(root / path, schema)
    others = [name for name in schema.names if name != COLUMN]
    columns = [name for name in others if not holds_bytes(schema.field(name).type)]
    if left := [name for name in others if name not in columns]:
        yield Finding(BROKEN_LABEL, path, f"{', '.join(left)}: bytes, which are no label")
    stem = PurePosixPath(path).with_suffix("").as_posix()
    for number, row in enumerate(table_rows(root / path, [COLUMN, *columns])):
        where, name, audio = f"{path}/{number}.row", f"{stem}/{number}", row.pop(COLUMN)
        if not audio["has_bytes"]:
            said = f", only the path {audio['path']}" if audio["path"] else ""
            yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: the row has no bytes{said}")
            continue
        values = {column: class_named(value, names.get(column)) for column, value in row.items()}
        labels, said_split = labels_and_split(root / path, number, values)
        if language and not {"language", "language_name"} & labels.keys():
            labels["language"] = language
        yield Recording(name, where, said_split or split, labels)


def _class_names(path: Path, schema: Any) -> Mapping[str, Sequence[str]]:
    """Return {column: names} as the table's features say, else the dataset_info.json beside it. Raises CorpusError."""
    written = (schema.metadata or {}).get(FEATURES)
    if written is None:
        return info_names(path.parent)
    try:
        return class_names(orjson.loads(written)["info"]["features"] or {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(
            f'{path}: broken features: expected JSON with "info" and "features" in the metadata of its schema, got:'
            f" {error}. Write the table again."
        ) from error
