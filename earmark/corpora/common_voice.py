"""Common Voice, scripted speech: one table a split, clips in one folder.

    {train,dev,test,validated,other,invalidated}.tsv     header, tabs, no quoting
    clips/<path>                                         MP3; the first releases leave `.mp3` off the path

Columns by name, since releases differ; `client_id`, `path` and `sentence` are in all. Ages ("fourties"), genders and
accents stay as published. Speakers are the same within one release only.
Option `splits`: the tables to read (default train, dev, test). `validated` contains the clips of those three and gives
each clip once; rows of `validated`, `other` and `invalidated` have no split but the label `bucket`.
Clips in no chosen table are not looked at. Source: common-voice/cv-dataset, scripted speech, releases 1 to 25.
Holds the ids of the chosen tables in memory (0.2 GB for all of English), never the clips folder's listing.
"""

from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import (
    LABEL_WITHOUT_AUDIO,
    REPEATED_ID,
    SPLITS,
    Finding,
    ReaderOptions,
    Recording,
    check_options,
)
from earmark.corpora._labels import bad_line, lines, present
from earmark.corpora._tree import layout_error, listing
from earmark.errors import CatalogError, CorpusError, near

VERSION = 1

TABLES = (*SPLITS, "validated", "other", "invalidated")  # read in this order
LABELS = {
    "sentence": "text",
    "client_id": "speaker_id",
    "locale": "language",
    "accent": "accent",
    "accents": "accent",
    "age": "age",
    "gender": "gender",
    "variant": "variant",
    "segment": "subset",
}


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings table by table, in the tables' own order; `language` from the row where it has one."""
    check_options("common_voice", options, ("splits",))
    splits = options.options.get("splits", SPLITS)
    if not isinstance(splits, list | tuple) or not splits:
        raise _wrong(f"expected a list of {', '.join(TABLES)}, got {splits!r}")
    for name in splits:
        if name not in TABLES:
            raise _wrong(f"expected {', '.join(TABLES)}, got {name!r}{near(str(name), TABLES)}")
    return _recordings(root, options.language, [name for name in TABLES if name in splits])


def _wrong(what: str) -> CatalogError:
    return CatalogError(
        f'corpus "common_voice": wrong option splits: {what}. Correct the dataset\'s options in the catalog.'
    )


def _recordings(root: Path, language: str | None, tables: list[str]) -> Iterator[Recording | Finding]:
    folders, files = listing(root)
    if "clips" not in folders:
        raise layout_error(root, "a folder clips beside the tables", [*folders, *files])
    missing = [f"{name}.tsv" for name in tables if f"{name}.tsv" not in files]
    if missing:
        there = ", ".join(name for name in files if name.endswith(".tsv")) or "no table"
        raise CorpusError(
            f"{root}: no {missing[0]}: expected {', '.join(f'{name}.tsv' for name in tables)}, got {there}. A delta"
            ' release has no train, dev and test: name others in the catalog: options = { splits = ["validated"] }.'
        )
    earlier: set[str] = set()
    for table in tables:
        here: set[str] = set()
        for number, row in _rows(root / f"{table}.tsv"):
            clip = row.pop("path")
            name = clip.removesuffix(".mp3")
            where = f"{table}.tsv:{number}"
            if name in here or (name in earlier and table != "validated"):
                yield Finding(REPEATED_ID, where, f"{name}: a row with this clip came before")
            elif name not in earlier:
                here.add(name)
                path = f"clips/{name}.mp3"
                if (root / path).is_file():
                    yield _recording(name, path, table, row, language)
                else:
                    yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: no audio file {path}")
        earlier |= here


def _recording(name: str, path: str, table: str, row: dict[str, str], language: str | None) -> Recording:
    labels = present({LABELS[column]: value for column, value in row.items() if column in LABELS})
    if language:
        labels.setdefault("language", language)
    if table in SPLITS:
        return Recording(name, path, table, labels)
    return Recording(name, path, None, {**labels, "bucket": table})


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, {column: value}); a row is split before anything is cut, its last columns may be empty."""
    columns: list[str] | None = None
    for number, line in lines(path):
        fields = line.split("\t")
        if columns is None:
            columns = fields
            for name in ("client_id", "path", "sentence"):
                if name not in columns:
                    raise bad_line(path, number, f"a header with a column {name}", line)
            continue
        if len(fields) != len(columns):
            raise bad_line(path, number, f"{len(columns)} columns, as in the header", f"{len(fields)}: {line}")
        row = dict(zip(columns, fields, strict=True))
        if not row["path"] or "/" in row["path"] or "\\" in row["path"]:
            raise bad_line(path, number, "a file name in column path", row["path"])
        yield number, row
    if columns is None:
        raise CorpusError(f"{path}: empty table: expected a header line, got none. Extract the archive again.")
