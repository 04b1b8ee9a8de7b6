"""Licences of data: which names there are, what they mean in a line, and whether a job's list allows one.

A licence is an SPDX licence expression (ISO/IEC 5962, annex D: names joined by AND, OR and WITH) or a name of
`LICENCES`. SPDX leaves names that begin with `LicenseRef-` to whoever needs one, so any of them is taken.
"""

import functools
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from earmark.errors import near

if TYPE_CHECKING:
    from boolean import Expression
    from license_expression import Licensing

# The names of the shipped catalog and of the labels of its corpora, so that the library is loaded for others alone.
LICENCES = {
    "CC0-1.0": "no rights reserved: any use",
    "CC-BY-3.0": "any use that names the authors",
    "CC-BY-4.0": "any use that names the authors",
    "CC-BY-SA-3.0": "any use that names the authors; what is derived is under the same licence",
    "CC-BY-SA-4.0": "any use that names the authors; what is derived is under the same licence",
    "CC-BY-NC-3.0": "use that is not commercial and names the authors",
    "CC-BY-NC-4.0": "use that is not commercial and names the authors",
    "CC-BY-NC-SA-3.0": "use that is not commercial and names the authors; what is derived is under the same licence",
    "CC-BY-NC-SA-4.0": "use that is not commercial and names the authors; what is derived is under the same licence",
    "ODbL-1.0": "any use that names the source; a database derived from it is under the same licence",
    "ODC-By-1.0": "any use that names the source",
    "LicenseRef-LDC": "the agreement of the Linguistic Data Consortium: for who has a licence, never passed on",
    "LicenseRef-VoxCeleb": "for research only: the videos' owners keep their rights; the metadata is CC-BY-4.0",
    "LicenseRef-academic-use": "academic use only",
}
FORMER = frozenset({"academic use only"})  # texts of the catalog of 0.1.0: a copy of it stays readable
OWN = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")  # SPDX's form of a name that SPDX does not define
RULE = 2  # how a job's list is compared, in the receipts of jobs that have one; 1 compared text with shell patterns
ANY_VERSION = "-*"
VERSION = re.compile(r"\d[\d.]*(-.+)?")  # "4.0", and what may follow: "3.0-IGO" (a port), "2.0-only"
FREE_TEXT = re.compile(r"[^A-Za-z0-9.+*-]")  # in no SPDX name: a row's own words, such as "public domain" or an address
REMEMBERED = 4096  # licences times lists; a corpus has a handful


def expected_licence(text: str) -> str:
    """Return what a licence in the catalog was expected to be; an empty string where it is right."""
    if _is_plain(text) or text in FORMER:
        return ""
    unknown = _unknown(text)
    if unknown is None:
        return 'an SPDX expression such as "CC-BY-4.0" or "CC0-1.0 OR MIT"'
    if not unknown:
        return ""
    if hint := near(unknown[0], _names()):
        return f'an SPDX expression such as "CC-BY-4.0"{hint}'
    own = "LicenseRef-" + (re.sub(r"[^A-Za-z0-9.]+", "-", unknown[0]).strip("-") or "mine")
    return f'an SPDX expression such as "CC-BY-4.0", or a name of your own such as "{own}"'


def expected_pattern(text: str) -> str:
    """Return what an entry of a job's `licences` was expected to be; an empty string where it is right."""
    if _is_plain(text):
        return ""
    expected = 'one licence such as "CC-BY-4.0", or any version of one, such as "CC-BY-*"'
    if "*" in text:
        stem = text.removesuffix(ANY_VERSION)
        # LICENCES first, so that a list such as ["CC0-*", "CC-BY-*"] needs no library
        known = any(_is_version(name, stem) for name in LICENCES) or any(_is_version(name, stem) for name in _names())
        return "" if known else expected
    unknown, symbols = _unknown(text), _symbols(text)
    if not text.strip() or (len(symbols) > 1 and not unknown):
        return expected
    if FREE_TEXT.search(text) or (symbols and not unknown):
        return ""
    return f"{expected}{near(text, _names())}"


def _is_plain(text: str) -> bool:
    """Say whether a licence is right at a glance, as nearly all are."""
    return text in LICENCES or bool(OWN.fullmatch(text))


# Remembered, since a job asks for every row.
@functools.lru_cache(REMEMBERED)
def allows(patterns: tuple[str, ...], licence: str) -> bool:
    """Say whether a job's list allows a licence: of "A AND B" both, of "A OR B" one must be in the list.

    An entry allows the licence that it names, in any of SPDX's spellings; "CC-BY-*" any version of CC-BY, and no
    CC-BY-NC-4.0, which is another licence. Text that is no SPDX expression is compared word for word.
    """
    if licence in patterns:
        return True
    if licence in LICENCES:
        return _named(patterns, licence)
    parsed = _parse(licence)
    return parsed is not None and _is_allowed(patterns, parsed)


def _is_allowed(patterns: tuple[str, ...], part: "Expression") -> bool:
    """Say whether a part of a parsed expression is allowed."""
    if not part.args:
        return _named(patterns, _key(part))
    each = (_is_allowed(patterns, one) for one in part.args)
    return any(each) if part.operator.strip() == "OR" else all(each)


def _key(symbol: "Expression") -> str:
    """Return the name of a licence in an expression; an exception after WITH only permits more, so it is left out."""
    return str(getattr(symbol, "license_symbol", symbol).key)


def _named(patterns: Iterable[str], name: str) -> bool:
    """Say whether one of the entries is a licence's name, or its name with any version."""
    return any(
        _is_version(name, pattern.removesuffix(ANY_VERSION))
        if pattern.endswith(ANY_VERSION)
        else _canonical(pattern) == name
        for pattern in patterns
    )


def _is_version(name: str, stem: str) -> bool:
    """Say whether a licence is a version of another: "CC-BY-4.0" of "CC-BY", and not "CC-BY-NC-4.0"."""
    start, version = name[: len(stem) + 1], name[len(stem) + 1 :]
    return start.casefold() == f"{stem}-".casefold() and bool(VERSION.fullmatch(version))


@functools.lru_cache(REMEMBERED)
def _canonical(name: str) -> str:
    """Return SPDX's spelling of a licence's name: "GPL-3.0-only" of "gpl-3.0"; other text as it is."""
    if _is_plain(name):
        return name
    symbols = _symbols(name)
    return _key(symbols[0]) if len(symbols) == 1 else name


@functools.lru_cache(REMEMBERED)
def _parse(text: str) -> "Expression | None":
    """Return the tree of an expression; None where it is none."""
    from license_expression import ExpressionError, ExpressionParseError  # 80 ms: LICENCES does without it

    try:
        return _spdx().parse(text) if text.strip() else None
    except (ExpressionError, ExpressionParseError):
        return None


def _symbols(text: str) -> "list[Expression]":
    """Return the names in an expression; none where it is no expression."""
    parsed = _parse(text)
    return [] if parsed is None else list(parsed.symbols)


def _unknown(text: str) -> list[str] | None:
    """Return the names in an expression that nobody knows; None where it is no expression."""
    parsed = _parse(text)
    if parsed is None:
        return None
    names = _spdx().unknown_license_keys(parsed)  # LicenseRef- names among them, which SPDX leaves to others
    return [name for name in names if name not in LICENCES and not OWN.fullmatch(name)]


@functools.cache
def _spdx() -> "Licensing":
    """Return the parser that knows SPDX's list of licences."""
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


def _names() -> list[str]:
    """Return every name of a licence that is known."""
    return [*LICENCES, *_spdx().known_symbols]
