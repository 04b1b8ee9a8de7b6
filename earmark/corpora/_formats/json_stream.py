"""A JSON object that is too large for memory, member by member, read through a window of about a million characters.

NSynth's examples.json has 200 MB. The standard library's decoder returns where a value ends, and so the line that an
error names can be counted; a streaming parser such as ijson would lose it.
"""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from earmark.corpora._formats.lines import bad_line, open_label_file, unreadable
from earmark.errors import CorpusError
from earmark.rows import JSON

WINDOW = 1 << 20  # characters read at a time
LONGEST = 1 << 18  # characters that a member may take
BLANK = re.compile(r"[ \t\r\n]*")
SHOWN = 80  # characters of what is wrong


def json_members(path: Path) -> Iterator[tuple[int, str, JSON]]:
    """Yield (line number, name, value) of each member of a file's one JSON object; repeated names are all yielded.

    Raises CorpusError when the file cannot be read, is not UTF-8, is cut short, or contains anything else.
    """
    try:
        with open_label_file(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
            yield from _members(path, file)
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}: not UTF-8: expected UTF-8 text, got byte 0x{error.object[error.start]:02x}."
            " Extract the archive again, or convert the file."
        ) from error


def _members(path: Path, file: TextIO) -> Iterator[tuple[int, str, JSON]]:
    decode = json.JSONDecoder(parse_constant=_refuse).raw_decode
    text, at, line = file.read(WINDOW), 0, 1
    before = "{"  # the character before a member: "{" before the first, then a comma
    while True:
        if len(text) - at < LONGEST:  # after this, the window has the next member whole, or the end
            text, at = text[at:] + file.read(WINDOW), 0
        start = _skip(text, at)
        try:
            if text[start : start + 1] == "}" and before == ",":
                break
            if text[start : start + 1] != before:
                raise ValueError
            name_at = _skip(text, start + 1)
            if text[name_at : name_at + 1] == "}" and before == "{":
                start = name_at
                break
            name, colon = decode(text, name_at)
            colon = _skip(text, colon)
            if not isinstance(name, str) or text[colon : colon + 1] != ":":
                raise ValueError
            value, end = decode(text, _skip(text, colon + 1))
        except (ValueError, RecursionError):
            line += text.count("\n", at, start)
            raise bad_line(path, line, 'one JSON object, {"name": ..., ...}', text[start : start + SHOWN]) from None
        yield line + text.count("\n", at, name_at), name, value
        line += text.count("\n", at, end)
        at, before = end, ","
    if _skip(text, start + 1) != len(text):
        line += text.count("\n", at, start)
        raise bad_line(path, line, "the end of the file after the object", text[start : start + SHOWN])


def _refuse(constant: str) -> JSON:
    """Refuse NaN and the infinities, which the library reads although JSON has none of them."""
    raise ValueError(constant)


def _skip(text: str, at: int) -> int:
    """Return the position of the next character that is not a blank."""
    match = BLANK.match(text, at)
    assert match
    return match.end()
