"""Corpora: what a dataset on disk holds, as recordings with their labels, one reader module a layout.

A reader is a module of this folder with `VERSION` and `read(root, options)`; the folder's listing is the registry, so
adding a layout adds one file. Names that start with `_` are shared code. Readers are imported when they are first used.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, Protocol

from earmark.errors import CatalogError, CorpusError, near

SPLITS = ("train", "dev", "test")

LABEL_WITHOUT_AUDIO = "label without audio"
AUDIO_WITHOUT_LABEL = "audio without label"
REPEATED_ID = "repeated id"
CONTRADICTION = "contradictory labels"
WITHDRAWN = "withdrawn by the publisher"
BROKEN_LABEL = "broken label"  # known to be broken in the corpus as published; the rest of it goes on
DUPLICATE = "duplicate copy"
INCOMPLETE = "incomplete download"
REFUSED = "refused"  # what earmark never does, such as to run a command that a label file holds
KINDS = frozenset({LABEL_WITHOUT_AUDIO, AUDIO_WITHOUT_LABEL, REPEATED_ID, CONTRADICTION, WITHDRAWN}) | {
    BROKEN_LABEL,
    DUPLICATE,
    INCOMPLETE,
    REFUSED,
}
RESERVED = frozenset({"id", "audio_path", "audio_hash", "duration", "sample_rate", "dataset", "split"})


@dataclass(frozen=True, slots=True)
class Recording:
    """One audio file, or one part of a larger file, and what the corpus says of it.

    `id` is unique in the dataset; `path` is POSIX and relative to the reader's root, and may lead into a file
    (see `earmark.inside`); `split` is one of SPLITS or None.
    `labels` are manifest fields by name; a field without a value is absent, never None and never empty.
    """

    id: str
    path: str
    split: str | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """What does not fit, yielded among the recordings: an audio file is either a recording or a finding.

    `kind` is one of KINDS; `path` is POSIX and relative to the reader's root, with `:line` for a line of a label file.
    """

    kind: str
    path: str
    detail: str


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """What the catalog tells a reader: the dataset's `language` (BCP 47) and its own `options` table."""

    language: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class Reader(Protocol):
    """A function that lists a corpus: deterministic in order and content, without decoding, logging or writing.

    It checks the options when it is called and touches the disk when it is iterated.
    Raises CatalogError for an option that it does not know, CorpusError for a layout or label line that it cannot read.
    """

    def __call__(self, root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
        """Yield every recording below `root`, and every finding."""


def names() -> list[str]:
    """Return the names of all readers, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def read(corpus: str, root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Return the recordings and findings of a corpus below `root`.

    Raises CatalogError at the call for an unknown corpus or option, CorpusError while iterating.
    """
    reader: Reader = _module(corpus).read
    return reader(root, options)


def version(corpus: str) -> int:
    """Return the version of a reader: it rises when the same files would give other recordings or labels.

    Raises CatalogError for an unknown corpus.
    """
    return int(_module(corpus).VERSION)


def check_options(corpus: str, options: ReaderOptions, known: tuple[str, ...] = ()) -> None:
    """Refuse options that a reader does not have. Raises CatalogError."""
    for name in options.options:
        if name not in known:
            expected = ", ".join(known) or "none"
            raise CatalogError(
                f'corpus "{corpus}": unknown option "{name}"{near(name, known)}: expected {expected}, got {name}.'
                " Correct the dataset's options in the catalog."
            )


def _module(corpus: str) -> ModuleType:
    known = names()
    if corpus not in known:
        raise CatalogError(
            f'corpus "{corpus}": no such reader{near(corpus, known)}: expected one of {", ".join(known)}, got {corpus}.'
            " Correct `corpus` in the catalog."
        )
    return importlib.import_module(f"{__name__}.{corpus}")


def check_item(corpus: str, item: Recording | Finding) -> None:
    """Hold what a reader yields to what `Recording` and `Finding` promise.

    Raises CorpusError: a reader's mistake must not become a wrong row, or a file outside its folder.
    """
    if isinstance(item, Finding):
        if item.kind not in KINDS:
            raise CorpusError(
                f"reader {corpus}: {item.path}: unknown kind of finding: expected one of KINDS, got {item.kind!r}."
            )
        return
    where = f"reader {corpus}: {item.path}"
    if not isinstance(item.id, str) or not item.id:
        raise CorpusError(f"{where}: id: expected text, got {item.id!r}.")
    if (
        not isinstance(item.path, str)
        or PurePosixPath(item.path).is_absolute()
        or ".." in PurePosixPath(item.path).parts
    ):
        raise CorpusError(f"{where}: path: expected one below the root, got {item.path!r}.")
    if item.split is not None and item.split not in SPLITS:
        raise CorpusError(f"{where}: split: expected one of {', '.join(SPLITS)} or None, got {item.split!r}.")
    for name, value in item.labels.items():
        if name in RESERVED:
            raise CorpusError(f"{where}: label {name}: that is not for a reader to say.")
        if value is None or value == "" or value != value:  # a NaN is not equal to itself
            raise CorpusError(f"{where}: label {name}: expected a value or no such label, got {value!r}.")
