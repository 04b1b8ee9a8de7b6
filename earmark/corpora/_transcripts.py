"""Texts in files of their own, beside the sound: `x.txt` is what is said in `x.wav`.

UTF-8, with or without a byte order mark; blanks and line ends at both ends of the file are no part of the text.
"""

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from earmark.corpora import BROKEN_LABEL, LABEL_WITHOUT_AUDIO, Finding, ReaderOptions, Recording
from earmark.corpora._options import wrong_option
from earmark.disk.inside import file_of
from earmark.sounds import is_audio

OPTION = "transcripts"
LARGEST_BYTES = 1 << 20  # of a text: that is 18 hours of speech
TIMES = re.compile(r"\d+(?:\.\d+)?[\t ]+\d+(?:\.\d+)?(?:[\t ]|$)")  # begins a line of a label track, as of Audacity
NO_TRANSCRIPT = re.compile(r"(?:read\s*me|licen[cs]e|copying|changes|changelog|notes?|about|index|files?)\b.*", re.I)


def transcript_ending(options: ReaderOptions) -> str:
    """Return the ending of transcripts' names, "" where none are to be read. Raises CatalogError."""
    value = options.options.get(OPTION, ".txt")
    if value is False:
        return ""
    if not isinstance(value, str) or not re.fullmatch(r"(\.[^./\\]+)+", value) or is_audio(value):
        raise wrong_option(options, OPTION, 'the ending of their names, such as ".txt", or false', repr(value))
    return value


def are_transcribed(sounds: Iterable[str], files: Iterable[str], ending: str) -> bool:
    """Return whether any sound has a text beside it."""
    texts = {path for path in files if ending and path.endswith(ending)}
    return any(_text_of(path, ending) in texts for path in sounds)


def with_transcripts(
    root: Path, items: Iterable[Recording | Finding], files: Sequence[str], ending: str
) -> Iterator[Recording | Finding]:
    """Pass items on; a recording without a text gets that of the file beside it. Texts without sound are findings."""
    texts = {path for path in files if ending and path.endswith(ending)}
    used: set[str] = set()
    for item in items:
        beside = _text_of(file_of(item.path), ending)
        if beside in texts:
            used.add(beside)
            if isinstance(item, Recording) and item.path == file_of(item.path) and not _has_text(item):
                text = _text(root / beside, beside)
                if isinstance(text, Finding):
                    yield text
                elif text:
                    item = Recording(item.id, item.path, item.split, {**item.labels, "text": text})
        yield item
    folders = {path.rpartition("/")[0] for path in used}
    stems = {PurePosixPath(path).with_suffix("").as_posix() for path in files if is_audio(path)}
    for path in sorted(texts - used):
        folder, _, name = path.rpartition("/")
        if folder in folders and path.removesuffix(ending) not in stems and not NO_TRANSCRIPT.fullmatch(name):
            yield Finding(LABEL_WITHOUT_AUDIO, path, f"{path.removesuffix(ending)}: a text without a sound file")


def _text_of(path: str, ending: str) -> str:
    """Return the path of the text beside a sound file."""
    return f"{path.removesuffix(PurePosixPath(path).suffix)}{ending}"


def _has_text(item: Recording) -> bool:
    return "text" in item.labels or "segments" in item.labels


def _text(path: Path, name: str) -> str | Finding:
    """Return the text of a file, or why it is none."""
    if not path.is_file():  # opening a pipe would wait for ever
        return Finding(BROKEN_LABEL, name, f"{name}: expected a text, got no file")
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        return Finding(BROKEN_LABEL, name, f"{name}: expected a text of at most {LARGEST_BYTES:,} bytes, got {size:,}")
    try:
        text = path.read_bytes().removeprefix(codecs.BOM_UTF8).decode().strip()
        if text and all(TIMES.match(line) for line in text.splitlines()):
            return Finding(BROKEN_LABEL, name, f"{name}: expected a text, got a table of times")
        return text
    except UnicodeDecodeError as error:
        return Finding(BROKEN_LABEL, name, f"{name}: expected UTF-8, got byte 0x{error.object[error.start]:02x}")
