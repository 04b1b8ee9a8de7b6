"""Names that fit: most file systems take 255 bytes of one, also of a source's name with what is added to it."""

import re
import unicodedata

from earmark.disk.hashing import hash_bytes

LONGEST = 255  # bytes
SHORTENED = re.compile(r"~[0-9a-f]{32}(\.[a-z0-9]+)?$")  # what a shortened name ends in


def fitting(name: str, ending: str = "", longest: int = LONGEST) -> str:
    """Return a name with an ending; one that is too long is cut, and ends in the hash of the whole name.

    Two names never become one: what looks like a shortened name already is shortened as well.
    """
    if size_of(name + ending) <= longest and not SHORTENED.search(name + ending):
        return name + ending
    ending = f"~{hash_bytes(name.encode('utf-8', 'surrogateescape'))}{ending}"
    while size_of(name + ending) > longest:
        name = name[:-1]
    return name + ending


def size_of(name: str) -> int:
    """Return the bytes of a name as it is, or as a Mac may store it, decomposed; the larger of the two."""
    forms = (name, unicodedata.normalize("NFD", name))
    return max(len(form.encode("utf-8", "surrogateescape")) for form in forms)
