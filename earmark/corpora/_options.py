"""Options of a reader: values that the catalog gives, each checked with one line of what was expected."""

from collections.abc import Sequence

from earmark.corpora import ReaderOptions
from earmark.errors import CatalogError, near


def choice(options: ReaderOptions, key: str, known: Sequence[str]) -> str:
    """Return the value of an option that is one of `known`, by default the first. Raises CatalogError."""
    value = options.options.get(key, known[0])
    return one_of(options, key, known, value)


def one_of(options: ReaderOptions, key: str, known: Sequence[str], value: object) -> str:
    """Return a value, given or of a list that was given, that is one of `known`. Raises CatalogError."""
    if not isinstance(value, str) or value not in known:
        expected = " or ".join(known) if len(known) == 2 else f"one of {', '.join(known)}"
        raise wrong_option(options, key, expected, f"{value!r}{near(str(value), known)}")
    return value


def folder(options: ReaderOptions, key: str) -> str | None:
    """Return the folder that an option names, relative to the root; None without the option. Raises CatalogError."""
    value = options.options.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise wrong_option(options, key, f'a folder below the root, {key} = "<folder>"', repr(value))
    return value


def flag(options: ReaderOptions, key: str, default: bool) -> bool:
    """Return the value of an option that is true or false. Raises CatalogError."""
    value = options.options.get(key, default)
    if not isinstance(value, bool):
        raise wrong_option(options, key, "true or false", repr(value))
    return value


def wrong_option(options: ReaderOptions, key: str, expected: str, got: str) -> CatalogError:
    """Return the error for an option's value that its reader does not take."""
    return CatalogError(
        f'corpus "{options.corpus}": wrong option {key}: expected {expected}, got {got}.'
        " Correct the dataset's options in the catalog."
    )
