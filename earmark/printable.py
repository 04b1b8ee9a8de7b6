"""Text from the world, made fit to be shown: a name may contain what moves a cursor, hides text or begins a line.

File names, members of archives, labels and catalogs come from others. Whatever shows one writes it as `printable` does.
"""

import re
import unicodedata

# Control characters, formats that cannot be seen (directions of writing, tags, a byte order mark), halves of pairs
# (bytes of a name that are not UTF-8), and what Unicode calls the end of a line or paragraph.
UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
JOINERS = "\u200c\u200d"  # formats too, but Persian, Indic languages and emoji are written with them
LONGEST = 1_500  # characters of a line that one can still read; the path of a link to itself has 4,000
_SUSPICIOUS = re.compile(r"[^ -~]")  # almost no character of almost every text


def printable(text: str) -> str:
    """Return text in one line, with each character that a terminal would act upon, or hide, written as an escape.

    A byte of a file name that is not UTF-8 is written as that byte, such as `\\xff`.
    """
    return text if text.isprintable() else _SUSPICIOUS.sub(_escaped, text)


def printable_lines(text: str) -> str:
    """Return text as `printable` does, but for the ends of its lines, which are the writer's own, and tabs."""
    if text.isprintable():
        return text
    return _SUSPICIOUS.sub(lambda match: match[0] if match[0] in "\n\t" else _escaped(match), text)


def printable_json(text: str) -> str:
    """Return JSON in which what `printable` would escape is escaped as JSON does it, so that it reads the same."""
    return _SUSPICIOUS.sub(lambda match: match[0] if match[0] == "\n" else _escaped_in_json(match[0]), text)


def shortened(text: str, longest: int = LONGEST) -> str:
    """Return text, or its beginning and end with the number of characters between them."""
    if len(text) <= longest:
        return text
    end = longest // 3
    left_out = len(text) - longest
    return f"{text[: longest - end]} [... {left_out:,} characters ...] {text[-end:]}"


def is_unprintable(character: str) -> bool:
    """Say whether a terminal would act upon a character, or hide it."""
    return unicodedata.category(character) in UNPRINTABLE and character not in JOINERS


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if not is_unprintable(character):
        return character
    if "\udc80" <= character <= "\udcff":  # how Python carries a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def _escaped_in_json(character: str) -> str:
    if not is_unprintable(character):
        return character
    code = ord(character)
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    return f"\\u{0xD800 + (code - 0x10000 >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
