"""NXT annotations of a meeting corpus: who takes part, and each one's words and segments, an XML file each.

    <meeting observation="ES2002a"><speaker nxt_agent="A" channel="0" global_name="FEE005"/></meeting>
    <w nite:id="ES2002a.A.words0" starttime="77.44" endtime="77.74" [punc="true"]>Hi</w>
    <segment nite:id transcriber_start="77.4" transcriber_end="79.1">
        <nite:child href="ES2002a.A.words.xml#id(ES2002a.A.words0)..id(ES2002a.A.words7)"/></segment>

The XML declaration names the encoding (ISO-8859-1), so files are opened as bytes. External entities are not read.
Times in seconds. Source: the NITE XML Toolkit's data format as AMI's manual annotations 1.6.2 use it.
"""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from earmark.corpora._formats.broken import BrokenLabelError, one_row
from earmark.corpora._formats.lines import open_label_file, unreadable

ID = "{http://nite.sourceforge.net/}id"
HREF = re.compile(r"[^#]+#id\(([^)]+)\)(?:\.\.id\(([^)]+)\))?")


@dataclass(frozen=True, slots=True)
class Speaker:
    """A participant of one meeting: the agent's letter there, and the `name` that is the same in all meetings."""

    agent: str
    name: str
    channel: str


@dataclass(frozen=True, slots=True)
class Token:
    """A word, sound or gap of one agent; `text` is None unless it is a word, a time is None where none is given."""

    id: str
    text: str | None
    start: float | None
    end: float | None
    punctuation: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of one agent's speech; `text` is empty where it has no word."""

    start: float
    end: float
    text: str


def read_speakers(path: Path) -> dict[str, list[Speaker]]:
    """Return the speakers of each meeting. Raises CorpusError."""
    meetings: dict[str, list[Speaker]] = {}
    for meeting in _elements(path, "meeting"):
        with one_row(path):
            speakers = [
                Speaker(
                    _attribute(path, part, "nxt_agent"), _attribute(path, part, "global_name"), part.get("channel", "")
                )
                for part in meeting
                if _name(part) == "speaker"
            ]
            meetings[_attribute(path, meeting, "observation")] = speakers
    return meetings


def read_tokens(path: Path) -> list[Token]:
    """Return the tokens of a words file in its order. Raises CorpusError."""
    tokens = []
    for part in _root(path):
        text = part.text if _name(part) == "w" else None
        start, end = (None if part.get(name) is None else _time(path, part, name) for name in ("starttime", "endtime"))
        tokens.append(Token(_attribute(path, part, ID), text, start, end, part.get("punc") == "true"))
    return tokens


def read_segments(path: Path, tokens: list[Token]) -> Iterator[Segment]:
    """Yield the segments of one agent, their texts from the agent's tokens. Raises CorpusError."""
    places = {token.id: index for index, token in enumerate(tokens)}
    for part in _elements(path, "segment"):
        spoken: list[Token] = []
        for child in part:
            match = HREF.fullmatch(child.get("href", ""))
            first, last = (match[1], match[2] or match[1]) if match else ("", "")
            if first not in places or last not in places:
                raise _broken(path, f"segment {part.get(ID)}", "a range of ids of the words file", child.get("href"))
            spoken += tokens[places[first] : places[last] + 1]
        start, end = (_time(path, part, name) for name in ("transcriber_start", "transcriber_end"))
        yield Segment(start, end, _text(spoken))


def _text(tokens: list[Token]) -> str:
    """Return the words with blanks between them, but none before a punctuation mark."""
    words = [token for token in tokens if token.text]
    return "".join(f"{'' if token.punctuation else ' '}{token.text}" for token in words).lstrip(" ")


def _root(path: Path) -> ET.Element:
    try:
        with open_label_file(path) as file:
            return ET.parse(file).getroot()  # noqa: S314 - expat bounds entities and reads no external one
    except ET.ParseError as error:
        raise BrokenLabelError(
            path, error.position[0], f"expected XML, got: {error}", "Extract the archive again."
        ) from error
    except (LookupError, ValueError) as error:  # an encoding that there is not, or that is not read
        raise BrokenLabelError(path, 1, f"expected XML, got: {error}", "Extract the archive again.") from error
    except OSError as error:
        raise unreadable(path, error) from error


def _elements(path: Path, name: str) -> Iterator[ET.Element]:
    return (part for part in _root(path).iter() if _name(part) == name)


def _name(part: ET.Element) -> str:
    return part.tag.rpartition("}")[2]


def _attribute(path: Path, part: ET.Element, name: str) -> str:
    value = part.get(name)
    if not value:
        raise _broken(path, f"{_name(part)} {part.get(ID, '')}", f"an attribute {name.rpartition('}')[2]}", value)
    return value


def _time(path: Path, part: ET.Element, name: str) -> float:
    try:
        seconds = float(part.get(name, ""))
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise _broken(path, f"{_name(part)} {part.get(ID, '')}", f"seconds in {name}", part.get(name))
    return seconds


def _broken(path: Path, what: str, expected: str, got: str | None) -> BrokenLabelError:
    detail = f"{what.strip()}: expected {expected}, got {got!r}"
    return BrokenLabelError(path, None, detail, "Extract the archive again.")
