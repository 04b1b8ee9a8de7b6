"""Texts that cannot be what was published: control characters, replaced characters, one encoding read as another.

Every text of every reader goes through here once, on its way out. What is suspicious is a defect of the recording with
the field's name; where the text can be restored with certainty, and the catalog asks for it, it is restored instead:

    C1 control          U+0080 to U+009F: cp1252 read as Latin-1, where they are quotes, dashes and the euro sign
    UTF-8 read as cp1252     "Ã©" for "é", "â€™" for an apostrophe, also more than once

Never restored, since nothing tells what it was: U+FFFD, unpaired surrogates (which JSON cannot carry and which become
U+FFFD), other control characters, and a byte order mark inside a text.
"""

import re
import unicodedata
from collections.abc import Mapping

from earmark import corpora
from earmark.rows import Label, Labels

C1, REPLACED, SURROGATE = "C1 control", "U+FFFD", "unpaired surrogate"
NUL, CONTROL, MARK, MISREAD = "NUL", "control character", "byte order mark", "UTF-8 read as cp1252"

# Byte -> character; the five bytes that cp1252 leaves undefined stay C1 controls.
UNDEFINED = (0x81, 0x8D, 0x8F, 0x90, 0x9D)
CP1252 = {byte: bytes([byte]).decode("cp1252") for byte in range(0x80, 0xA0) if byte not in UNDEFINED}
TO_BYTE = {ord(character): byte for byte, character in CP1252.items()} | {code: code for code in range(0x80, 0x100)}
BELOW_A0 = "\x80-\x9f" + "".join(CP1252.values())  # what the bytes 80 to 9F of UTF-8 look like
FOLLOWING = BELOW_A0 + "\xa0-\xbf"
PUNCTUATION = "‚„…‹‘’“”•–—›"  # of these, texts have their own behind a capital such as Ã or É: "IRMÃ…"

# Tab, line feed and carriage return are white space, as texts of several lines have it.
SUSPICIOUS = re.compile(rf"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffd]|[\xc2-\xf4][{FOLLOWING}]")
SUSPICIOUS_ASCII = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_odd, _odd_ascii = SUSPICIOUS.search, SUSPICIOUS_ASCII.search
MARKS = {
    NUL: re.compile(r"\x00"),
    CONTROL: re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]"),
    C1: re.compile(r"[\x80-\x9f]"),
    SURROGATE: re.compile(r"[\ud800-\udfff]"),
    MARK: re.compile("\ufeff"),
    REPLACED: re.compile("\ufffd"),
}
# Sequences of UTF-8 in which no language's own letters and marks meet: Latin letters with accents, Greek and Cyrillic,
# and typographic marks.
CLEAR = re.compile(
    rf"\xc3\xa0|[\xc2-\xc5\xce-\xd1][\xa1-\xbf]|[\xc3-\xc5\xd0\xd1](?![{PUNCTUATION}])[{BELOW_A0}]"
    rf"|\xe2[€\x80‚\x82„\x84][{FOLLOWING}]"
)
NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
UNUSED = ("Cn", "Co", "Cs")  # characters that no text has: what decodes to them was no UTF-8
MANY = 3  # sequences that are UTF-8, one by one doubtful, and no accident together
OFTEN = 3  # times that a text may have been misread


def looked_at(labels: Labels, repair: bool) -> tuple[Labels, list[str], list[str]]:
    """Return labels, their defects, and what was repaired: "<what> in <field>", each once.

    Without anything to find, which is nearly always, the labels are returned as they came.
    """
    defects: dict[str, None] = {}
    repaired: dict[str, None] = {}
    changed: Labels = {}
    for name, value in labels.items():
        if isinstance(value, str):  # the usual case first
            if not (_odd_ascii if value.isascii() else _odd)(value):
                continue
        elif isinstance(value, int | float):
            continue
        new = _value(name, value, repair, defects, repaired)
        if new is not value:
            changed[name] = new
    return (labels | changed if changed else labels), list(defects), list(repaired)


def _value(name: str, value: Label | None, repair: bool, defects: dict[str, None], repaired: dict[str, None]) -> Label:
    """Return a value with its texts looked at; the same object where nothing was changed."""
    if isinstance(value, str):
        if not (_odd_ascii if value.isascii() else _odd)(value):
            return value
        text, found, mended = look(value, repair)
        defects.update(dict.fromkeys(f"{corpora.SUSPICIOUS_TEXT}: {what} in {name}" for what in found))
        repaired.update(dict.fromkeys(f"{what} in {name}" for what in mended))
        return text if text != value else value
    if isinstance(value, Mapping):
        items = {key: _value(f"{name}.{key}", item, repair, defects, repaired) for key, item in value.items()}
        return items if any(items[key] is not value[key] for key in items) else value
    if isinstance(value, list | tuple):
        listed = [_value(name, item, repair, defects, repaired) for item in value]
        return listed if any(new is not old for new, old in zip(listed, value, strict=True)) else value
    return value  # type: ignore[return-value]  # None within a list


def look(text: str, repair: bool) -> tuple[str, list[str], list[str]]:
    """Return a text, repaired if asked; what is suspicious in it; and what was repaired."""
    repaired = []
    if repair and (plain := _read_right(text)) != text:
        repaired.append(MISREAD)
        text = plain
    if repair and MARKS[C1].search(text) and (plain := text.translate(CP1252)) != text:
        repaired.append(C1)
        text = plain
    found = [what for what, mark in MARKS.items() if mark.search(text)]
    if _read_right(text) != text or any(_read_right(run) != run for run in NOT_ASCII.findall(text)):
        found = [MISREAD, *(what for what in found if what != C1)]  # the C1 controls are bytes of its UTF-8
    return MARKS[SURROGATE].sub("\ufffd", text), found, repaired


def _read_right(text: str) -> str:
    """Return what a text was before its UTF-8 was read as cp1252; the text itself where that is not certain.

    Certain where all that is not ASCII is whole sequences of UTF-8, and they are not the accident of a capital before
    a closing quote.
    """
    for _ in range(OFTEN):
        try:
            raw = bytes(TO_BYTE[code] if code > 0x7F else code for code in map(ord, text))
            plain = raw.decode()
        except (KeyError, UnicodeDecodeError):
            return text
        if not CLEAR.search(text) and sum(character > "\x7f" for character in plain) < MANY:
            return text
        if any(unicodedata.category(character) in UNUSED for character in plain):
            return text
        text = plain
    return text
