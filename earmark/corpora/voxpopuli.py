"""VoxPopuli, transcribed: speeches in the European Parliament, 16 languages and accented English below one root.

    transcribed_data/<lang>/<year>/<session>-<id_>.ogg         as the publisher's script cuts them, or
    data/<lang>/.../<session>-<id_>.wav                        from the hub's archives, in any folder
    .../<lang>/asr_{train,dev,test}.tsv                        header, tabs; columns by name: id, raw_text,
                                                               normalized_text, speaker_id, split, gender, ...
    .../<lang>/asr_<lang>.tsv.gz (or unpacked)                 the annotation, read if those are missing: header, `|`
                                                               in spite of its name, quotes; session_id, id_, ...
    ... or Hugging Face tables (see _huggingface): audio_id and the columns of the TSV

`text` is the normalized text, `text_original` the raw text, which many rows lack. The text "None" in another column
means no value. `subset` is "en_accented" for accented English. Rows of other splits ("invalid") are no part of the
corpus; a clip of such a row is a finding. Sessions in raw_audios, unlabelled_data and speech-to-speech pairs
(<lang>/<lang>) are not looked at.
Source: facebookresearch/voxpopuli, README and get_asr_data.py; the hub's facebook/voxpopuli.
Keeps the clips' paths and all ids in memory (0.3 GB for all languages).
"""

import contextlib
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    BROKEN_LABEL,
    DUPLICATE,
    LABEL_WITHOUT_AUDIO,
    REPEATED_ID,
    WITHDRAWN,
    Finding,
    ReaderOptions,
    Recording,
)
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.lines import bad_header, bad_line, open_label_file, unreadable
from earmark.corpora._formats.tab_files import tab_rows
from earmark.corpora._huggingface import Copy, look
from earmark.corpora._labels import gender, once, present
from earmark.corpora._tree import audio_files, child, is_file, is_folder, layout_error, listing, stem
from earmark.errors import CorpusError
from earmark.rows import SPLITS, DraftLabels
from earmark.sounds import is_audio

if TYPE_CHECKING:
    from _csv import Reader  # what csv.reader returns, under no other name

VERSION = 2

LANGUAGES = frozenset({"cs", "de", "en", "es", "et", "fi", "fr", "hr", "hu", "it", "lt", "nl", "pl", "ro", "sk", "sl"})
ACCENTED, MIXED = "en_accented", "multilang"
CONFIGS = LANGUAGES | {ACCENTED}
BASES = ("transcribed_data", "data", "")  # folders that may contain the languages' folders
# Folders of whole sessions (6.4 TB in all) and of the hub's cache, not of clips.
OTHER_AUDIO = frozenset({"raw_audios", "unlabelled_data", "datasets", "hub", "downloads"})
PAIRS = re.compile(r"(?:^|/)[a-z]{2}/[a-z]{2}/")  # speech to speech: <source>/<target>/<year>/...
ANNOTATION = {"original_text": "raw_text", "normed_text": "normalized_text"}  # its column -> the tables' column
COLUMNS = ("raw_text", "normalized_text", "speaker_id", "gender", "is_gold_transcript", "accent")
REQUIRED = ("normalized_text", "speaker_id")
FLAGS = {"true": True, "false": False}

Columns = Mapping[str, object]  # column -> value, of a row
LabelRow = tuple[int, str, str, Columns]  # line number, id, split, columns


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings by language and split, in the order of the tables; `language` from the folder or row."""
    return once(_recordings(root), DUPLICATE)


def _recordings(root: Path) -> Iterator[Recording | Finding]:
    top, files = listing(root)
    folders = _languages(root)
    copy = look(root, "voxpopuli", CONFIGS, MIXED)
    if not folders and not copy.tables:
        expected = "a folder transcribed_data/<lang> or data/<lang> with asr_train.tsv, or tables of a cache"
        raise layout_error(root, expected)
    clips: dict[str, str] = {}
    for path in _clips(root, top, files) if folders else ():
        if clips.setdefault(stem(path), path) != path:
            yield Finding(DUPLICATE, path, f"{stem(path)}: read from {clips[stem(path)]}")
    taken: set[str] = set()
    for config, folder in folders:
        for table in _tables(root / folder, config):
            yield from _table(root, child(folder, table), config, clips, taken)
    for name, path in clips.items():
        if name not in taken:
            yield Finding(AUDIO_WITHOUT_LABEL, path, f"{name}: no row with this id")
    yield from copy.findings
    yield from _rows(root, copy)


def _languages(root: Path) -> list[tuple[str, str]]:
    """Return (language or en_accented, its folder) for each folder with tables, sorted."""
    folders: dict[str, str] = {}
    for base in BASES:
        for config in listing(root / base)[0] if is_folder(root / base) else ():
            folder = child(base, config)
            if config in CONFIGS and _tables(root / folder, config):
                folders.setdefault(config, folder)
    return sorted(folders.items())


def _tables(folder: Path, config: str) -> list[str]:
    """Return the tables of a language: those of the splits, else the annotation that they are made from."""
    splits = [name for split in SPLITS if is_file(folder / (name := f"asr_{split}.tsv"))]
    annotation = [name for name in (f"asr_{config}.tsv", f"asr_{config}.tsv.gz") if is_file(folder / name)]
    return splits or annotation[:1]


def _clips(root: Path, folders: list[str], files: list[str]) -> Iterator[str]:
    yield from (name for name in files if is_audio(name))
    for folder in folders:
        if folder not in OTHER_AUDIO:
            yield from (path for path in audio_files(root, folder) if not PAIRS.search(path))


def _table(
    root: Path, table: str, config: str, clips: dict[str, str], taken: set[str]
) -> Iterator[Recording | Finding]:
    """Yield a table's recordings; the ids of its rows that have a clip are added to `taken`."""
    path = root / table
    split = path.name.removeprefix("asr_").removesuffix(".tsv")
    for number, name, in_split, row in _generated(path, split) if split in SPLITS else _annotated(path):
        where = f"{table}:{number}"
        if name in taken:
            yield Finding(REPEATED_ID, where, f"{name}: a row with this id came before")
        elif in_split not in SPLITS:
            if name in clips:
                taken.add(name)
                yield Finding(WITHDRAWN, clips[name], f'{name}: split "{in_split}" at {where}')
        elif name not in clips:
            yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: no audio file with this id")
        else:
            taken.add(name)
            yield _recording(name, clips[name], in_split, config, row)


def _generated(path: Path, split: str) -> Iterator[LabelRow]:
    """Yield the rows of a split's table. Without quotes, a row with a tab in its text has too many fields."""
    for number, row in tab_rows(path, ("id", *REQUIRED)):
        yield number, row["id"], split, row


def _annotated(path: Path) -> Iterator[LabelRow]:
    """Yield the rows of an annotation, with the quoting that the publisher's script reads."""
    header: list[str] = []
    try:
        with _opened(path) as file:
            rows = csv.reader(file, delimiter="|")
            while (fields := _next_row(path, rows)) is not None:
                number = rows.line_num
                if not header and fields:
                    header = [ANNOTATION.get(name, name) for name in fields]
                    _require(path, number, header, ("session_id", "id_", "split", *REQUIRED), "|".join(fields))
                elif fields:
                    with one_row(path, number):
                        if len(fields) != len(header):
                            got = f"{len(fields)}: {'|'.join(fields)}"
                            raise bad_line(path, number, f"{len(header)} columns, as in the header", got)
                        row = dict(zip(header, fields, strict=True))
                        yield number, f"{row['session_id']}-{row['id_']}", row["split"], row
    except OSError as error:
        raise unreadable(path, error) from error
    except (EOFError, zlib.error) as error:
        raise CorpusError(
            f"{path}: label file cannot be read: expected text with | between fields, got: {error}. Download it again."
        ) from error


def _next_row(path: Path, rows: "Reader") -> list[str] | None:
    """Return the fields of the next row, none where it is broken; None at the end."""
    with one_row(path, rows.line_num + 1):
        try:
            return next(rows, None)
        except csv.Error as error:
            raise bad_line(path, rows.line_num, "quoted fields with | between", str(error)) from error
    return []


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """Open an annotation, packed or not; bytes that are not UTF-8 become U+FFFD, which is then a defect of the text."""
    with open_label_file(path) as file:
        plain = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
        with io.TextIOWrapper(plain, encoding="utf-8-sig", errors="replace", newline="") as text:
            yield text


def _require(path: Path, number: int, header: list[str], columns: tuple[str, ...], line: str) -> None:
    for name in columns:
        if name not in header:
            raise bad_header(path, number, f"a header with a column {name}", line)


def _rows(root: Path, copy: Copy) -> Iterator[Recording | Finding]:
    for row in copy.rows(("audio_id", "language", *COLUMNS)):
        name = str(row.values.get("audio_id") or stem(row.file.replace("\\", "/")))
        if not name:
            yield Finding(BROKEN_LABEL, row.path, "expected an id in audio_id or audio.path, got none")
            continue
        config = row.values.get("language") if row.table.config == MIXED else row.table.config
        if not isinstance(config, str) or config not in CONFIGS:
            raise CorpusError(
                f"{root / row.table.path}: no language: expected dataset_info.json in its folder with the names of"
                f" language, got {config!r}. Read the languages' own tables, or build the cache again."
            )
        if len(row.audio) == 1:
            yield _recording(name, row.audio[0], row.table.split, config, row.values)
        else:
            yield row.missing(name)


def _recording(name: str, path: str, split: str, config: str, row: Columns) -> Recording:
    texts = {column: str(value) for column in COLUMNS if (value := row.get(column)) is not None}
    known = {column: value for column, value in texts.items() if value != "None"}
    language = "en" if config == ACCENTED else config
    # 20131007-0900-PLENARY-19-en_20131007-21:26:04_3: the session comes before the language.
    session, mark, _ = name.partition(f"-{language}_")
    labels: DraftLabels = {
        "text": texts.get("normalized_text"),
        "text_original": texts.get("raw_text"),
        "speaker_id": known.get("speaker_id"),
        "session_id": session if mark else None,
        "gender": gender(known.get("gender", "")),
        "accent": known.get("accent"),
        "is_gold_transcript": FLAGS.get(str(row.get("is_gold_transcript")).lower()),
        "language": language,
        "subset": ACCENTED if config == ACCENTED else None,
    }
    return Recording(name, path, split, present(labels))
