"""Home-made datasets as Hugging Face's datasets writes them: tables with the sound inside, a row for each recording.

    data/[<config>-]<split>-00000-of-00001[-<hash>].parquet    push_to_hub
    [<config>/]<split>/0000.parquet                            the hub's own conversion; any name, in any folder
    <split>/data-00000-of-00001.arrow, dataset_info.json       save_to_disk: Arrow IPC streams
    cache-<fingerprint>.arrow                                  kept by a step of processing: a finding

A table has a column `audio`: struct {bytes, path}. The split comes from a column `split`, or else from a keyword (see
`_splits`) in the name of the table or of a folder above it. Other columns named as labels become labels, the rest
`extra` (see `_columns`). Numbers of class labels become their names, which the table's own features contain, or the
dataset_info.json in its folder. A column `channel` of A and B, left and right, or (with the option `first_channel`, 0
or 1) numbers makes one side of a stereo row the recording. Columns of bytes (pictures, a second recording) give no
label; they are one finding for each table. A row without bytes is a finding, since its path is one of the machine that
wrote it; so are a missing shard and a sound file that is in no table.

An id is the table's path without extension and the row's number, `data/train-00000-of-00001/17`: only this is known to
be unique without keeping all ids in memory. A column `id` often starts again in each table, and files in `audio.path`
share names; `id` stays in `extra`. `root` has to lead to one form of one dataset, since Parquet and Arrow below it
would be two copies.
Source: huggingface/datasets, arrow_writer.py, naming.py, features.py and data_files.py. Keeps the tables' paths and the
labels of 1,000 rows in memory, never their sound.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import orjson

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    DOUBTFUL_LABEL,
    DUPLICATE,
    INCOMPLETE,
    LABEL_WITHOUT_AUDIO,
    Finding,
    ReaderOptions,
    Recording,
)
from earmark.corpora._channels import first_channel, on_its_side
from earmark.corpora._columns import labels_and_split, with_language
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.parquet import TableSchema, audio_rows, schema_of
from earmark.corpora._huggingface import class_named, class_names, info_names
from earmark.corpora._splits import split_folders_of, split_of_shard
from earmark.corpora._tree import audio_files, every_file, layout_error
from earmark.disk.inside import ARROW, COLUMN
from earmark.errors import CorpusError

VERSION = 2
OPTIONS = ("first_channel",)

PARQUET = ".parquet"
PROCESSED = "cache-"  # begins the name of an Arrow file that a step of processing left
SHARD = re.compile(r"(.*-)(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?\.(?:parquet|arrow)")
FEATURES = b"huggingface"  # the key of a schema's metadata under which datasets writes its features


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the rows of each table in their order, the tables by path."""
    first = first_channel(options)
    return (
        on_its_side(root, item, item.path, first) if isinstance(item, Recording) else item
        for item in _recordings(root, options.language)
    )


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    paths = sorted(path for path in every_file(root) if path.endswith((PARQUET, ARROW)))
    processed = {path for path in paths if PurePosixPath(path).name.startswith(PROCESSED) and path.endswith(ARROW)}
    tables = [path for path in paths if path not in processed]
    if not tables:
        expected = f"a folder with tables, *{PARQUET} or *{ARROW}, that have a column {COLUMN}"
        raise layout_error(root, expected)
    if len({PurePosixPath(path).suffix for path in tables}) > 1:
        raise CorpusError(
            f"{root}: tables in two forms: expected *{PARQUET} or *{ARROW}, got both, which would be two copies of the"
            " same rows. Keep one form, or let `root` in the catalog lead to one."
        )
    for path in sorted(processed):
        yield Finding(DUPLICATE, path, f"{path}: kept by a step of processing, not read")
    yield from _gaps(tables)
    # a table is to its rows what a folder is to its files
    named = split_folders_of(f"{PurePosixPath(path).with_suffix('')}/row" for path in tables)
    for path in tables:
        yield from _table(root, path, _split(root, path, named), language)
    yield from (Finding(AUDIO_WITHOUT_LABEL, path, f"{path}: in no table") for path in audio_files(root))


def _gaps(tables: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding for each set of shards that is not complete."""
    shards: dict[tuple[str, str], set[int]] = {}
    for path in tables:
        if match := SHARD.fullmatch(path):
            shards.setdefault((match[1], match[3]), set()).add(int(match[2]))
    for (name, count), numbers in shards.items():
        if missing := sorted(set(range(int(count))) - numbers):
            detail = f"{len(missing)} of {int(count)} shards are not here, such as {missing[0]:05d}"
            yield Finding(INCOMPLETE, f"{name}*-of-{count}", detail)


def _split(root: Path, path: str, named: Mapping[str, str]) -> str | None:
    """Return the split in the name of a table or one of its folders. Raises CorpusError for several.

    `named` are the tables and folders that are called as splits.
    """
    whole = PurePosixPath(path).with_suffix("")
    splits = {
        named[step.as_posix()]: step.name for step in (*reversed(whole.parents), whole) if step.as_posix() in named
    }
    if split := split_of_shard(path.rpartition("/")[2]):
        splits[split] = whole.name
    if len(splits) > 1:
        names = " and ".join(f"{step} ({split})" for split, step in splits.items())
        raise CorpusError(
            f"{root / path}: which split it belongs to cannot be told: expected one split in its path, got {names}."
            " Rename one of them, or let `root` in the catalog begin below the folder."
        )
    return next(iter(splits), None)


def _table(root: Path, path: str, split: str | None, language: str | None) -> Iterator[Recording | Finding]:
    schema = schema_of(root / path)
    names = _class_names(root / path, schema)
    others = [name for name in schema.names if name != COLUMN]
    columns = [name for name in others if name not in schema.with_bytes]
    if left := [name for name in others if name not in columns]:
        yield Finding(DOUBTFUL_LABEL, path, f"{', '.join(left)}: bytes, which are no label")
    stem = PurePosixPath(path).with_suffix("").as_posix()
    for number, (audio, row) in enumerate(audio_rows(root / path, columns)):
        with one_row(root / path, number):
            where, name = f"{path}/{number}.row", f"{stem}/{number}"
            if not audio["has_bytes"]:
                other = f", only the path {audio['path']}" if audio["path"] else ""
                yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: the row has no bytes{other}")
                continue
            values = {column: class_named(value, names.get(column)) for column, value in row.items()}
            labels, split_of_row = labels_and_split(root / path, number, values)
            yield Recording(name, where, split_of_row or split, with_language(labels, language))


def _class_names(path: Path, schema: TableSchema) -> Mapping[str, Sequence[str]]:
    """Return {column: names} by the table's features, or by the dataset_info.json in its folder. Raises CorpusError."""
    written = schema.metadata.get(FEATURES)
    if written is None:
        return info_names(path.parent)
    try:
        return class_names(orjson.loads(written)["info"]["features"] or {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(
            f'{path}: broken features: expected JSON with "info" and "features" in the metadata of its schema, got:'
            f" {error}. Write the table again."
        ) from error
