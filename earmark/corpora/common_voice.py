"""Common Voice: scripted speech, a table for each split, clips in one folder; or spontaneous speech, in one table.

    {train,dev,test,validated,other,invalidated}.tsv     header, tabs; quotes as the table shows (`_formats.tab_files`)
    clips/<path>                                         MP3; the first releases leave `.mp3` off the path
    ss-corpus-<locale>.tsv                               spontaneous: the same form, other columns, `split` among them
    audios/<audio_file>                                  spontaneous: MP3
    ss-reported-audios-<locale>.tsv                      spontaneous: audio that was reported, and is in no other table

Columns are found by name, since releases differ; all of scripted speech has `client_id`, `path` and `sentence`, all of
spontaneous speech `client_id`, `audio_file` and `transcription`. Ages ("fourties") and accents stay as
published. A client_id is known to be the same speaker within one release only.
Option `splits`: the tables of scripted speech to read (default train, dev, test). `validated` contains the clips of
those three, and here gives only its other ones; rows of `validated`, `other` and `invalidated` have no split, but the
label `bucket`. Clips in no chosen table are not looked at. Spontaneous speech is read completely; a split of another
name ("unassigned") becomes the `bucket`.
Source: common-voice/cv-dataset, README and CHANGELOG of scripted speech, releases 1 to 25, and of spontaneous speech.
Keeps the ids of the chosen tables in memory (0.2 GB for all of English), but never the names in the clips folder, of
which there may be millions; of spontaneous speech the names of all audio.
"""

from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    LABEL_WITHOUT_AUDIO,
    REPEATED_ID,
    WITHDRAWN,
    Finding,
    ReaderOptions,
    Recording,
)
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.lines import bad_line, lines
from earmark.corpora._formats.tab_files import tab_rows
from earmark.corpora._labels import present
from earmark.corpora._options import one_of, wrong_option
from earmark.corpora._tree import audio_files, is_file, layout_error, listing, stem
from earmark.errors import CorpusError
from earmark.languages import is_language
from earmark.rows import SPLITS

VERSION = 2
OPTIONS = ("splits",)

TABLES = (*SPLITS, "validated", "other", "invalidated")  # read in this order
SPONTANEOUS, REPORTED = "ss-corpus-", "ss-reported-audios-"
LABELS = {  # column -> label; `accents` replaced `accent` in the course of the releases
    "sentence": "text",
    "transcription": "text",
    "client_id": "speaker_id",
    "locale": "language",
    "language": "language",
    "language_name": "language_name",
    "accent": "accent",
    "accents": "accent",
    "age": "age",
    "gender": "gender",
    "variant": "variant",
    "segment": "subset",
}


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings table by table, in the tables' own order; `language` from the row where it has one."""
    splits = options.options.get("splits", SPLITS)
    if not isinstance(splits, list | tuple) or not splits:
        raise wrong_option(options, "splits", f"a list of {', '.join(TABLES)}", repr(splits))
    chosen = {one_of(options, "splits", TABLES, name) for name in splits}
    return _recordings(root, options.language, [name for name in TABLES if name in chosen])


def _recordings(root: Path, language: str | None, tables: list[str]) -> Iterator[Recording | Finding]:
    folders, files = listing(root)
    spontaneous = [name for name in files if name.startswith(SPONTANEOUS) and name.endswith(".tsv")]
    if spontaneous and "audios" in folders:
        yield from _spontaneous(root, spontaneous, [name for name in files if name.startswith(REPORTED)], language)
        return
    if "clips" not in folders:
        raise layout_error(root, "a folder clips next to the tables")
    missing = [f"{name}.tsv" for name in tables if f"{name}.tsv" not in files]
    if missing:
        got = ", ".join(name for name in files if name.endswith(".tsv")) or "no table"
        raise CorpusError(
            f"{root}: no {missing[0]}: expected {', '.join(f'{name}.tsv' for name in tables)}, got {got}. A delta"
            ' release has no train, dev and test: name others in the catalog: options = { splits = ["validated"] }.'
        )
    earlier: set[str] = set()
    for table in tables:
        here: set[str] = set()
        for number, row in _rows(root / f"{table}.tsv"):
            clip = row.pop("path")
            name = clip.removesuffix(".mp3")  # some paths of releases 1 to 4 lack it
            where = f"{table}.tsv:{number}"
            if name in here or (name in earlier and table != "validated"):
                yield Finding(REPEATED_ID, where, f"{name}: a row with this clip came before")
            elif name not in earlier:
                here.add(name)
                path = f"clips/{name}.mp3"
                # A stat for each row: clips/ has those of every other table too, 1.1 million of other.tsv in Spanish.
                if is_file(root / path):
                    yield _recording(name, path, table, row, language)
                else:
                    yield Finding(LABEL_WITHOUT_AUDIO, where, f"{name}: no audio file {path}")
        earlier |= here


def _spontaneous(
    root: Path, tables: list[str], reports: list[str], language: str | None
) -> Iterator[Recording | Finding]:
    audio = {path.rpartition("/")[2]: path for path in audio_files(root, "audios")}
    seen: set[str] = set()
    for table in tables:
        locale = table.removeprefix(SPONTANEOUS).removesuffix(".tsv")
        for number, row in _rows(root / table, "audio_file", "transcription"):
            file, where = row["audio_file"], f"{table}:{number}"
            if file in seen:
                yield Finding(REPEATED_ID, where, f"{stem(file)}: a row with this audio came before")
            elif file in audio:
                split = row.pop("split", "")
                yield _recording(stem(file), audio[file], split, row | _language(row, locale), language)
            else:
                yield Finding(LABEL_WITHOUT_AUDIO, where, f"{stem(file)}: no audio file audios/{file}")
            seen.add(file)
    reported = {field: name for name in reports for _, line in lines(root / name) for field in line.split("\t")}
    for file, path in audio.items():
        if file not in seen and file in reported:
            yield Finding(WITHDRAWN, path, f"{stem(file)}: listed in {reported[file]}")
        elif file not in seen:
            yield Finding(AUDIO_WITHOUT_LABEL, path, f"{stem(file)}: in no row of {', '.join(tables)}")


def _language(row: dict[str, str], locale: str) -> dict[str, str]:
    """Return the columns that name the language of spontaneous speech: by its name in the row, its tag in the file's.

    The first releases have the tag in the row, too.
    """
    published = row.get("language", "")
    if is_language(published) or not is_language(locale):
        return {}
    return {"language": locale, "language_name": published}


def _recording(name: str, path: str, table: str, row: dict[str, str], language: str | None) -> Recording:
    """Return a recording; `table` is its split or, if that is not the name of one, its bucket."""
    labels = present({LABELS[column]: value for column, value in row.items() if column in LABELS})
    if language:
        labels.setdefault("language", language)
    if table in SPLITS:
        return Recording(name, path, table, labels)
    return Recording(name, path, None, labels | present({"bucket": table}))


def _rows(path: Path, file: str = "path", text: str = "sentence") -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, {column: value}); `file` and `text` are the columns of the file's name and of the text."""
    for number, row in tab_rows(path, ("client_id", file, text)):
        with one_row(path, number):
            if not row[file] or "/" in row[file] or "\\" in row[file]:
                raise bad_line(path, number, f"a file name in column {file}", row[file])
            yield number, row
