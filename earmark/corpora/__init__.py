"""Corpora: readers that list the recordings of a dataset on disk with their labels, one module for each layout.

A reader is a module of this folder with

    VERSION                 a whole number that rises when the same files would give other recordings or labels
    OPTIONS                 the names of its options in the catalog; absent where it has none
    read(root, options)     see `Reader`

The folder's listing is the registry, so a new layout is a new file and no other edit. Names that start with `_` are
shared code: `_formats` parses label files, the others find files, match them with labels, and bring values into one
form. A reader is imported when it is first used.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Protocol

from earmark.errors import CatalogError, CorpusError, near
from earmark.rows import RESERVED, SPLITS, Label

LABEL_WITHOUT_AUDIO = "label without audio"
AUDIO_WITHOUT_LABEL = "audio without label"
REPEATED_ID = "repeated id"
CONTRADICTION = "contradictory labels"
WITHDRAWN = "withdrawn by the publisher"
BROKEN_LABEL = "broken label"  # a row that gives no recording or lacks a label for it
DOUBTFUL_LABEL = "doubtful label"  # known of the corpus as published: no recording is lost by it
DUPLICATE = "duplicate copy"
INCOMPLETE = "incomplete download"
SUSPICIOUS_TEXT = "suspicious text"  # no finding but the kind of a recording's defect, see `_texts`
REFUSED = "refused"  # something that earmark never does, such as running a command in a label file
PASSED_OVER = "passed over"  # files of one suffix that are in no recording; scan's own, no reader's
KINDS = frozenset({LABEL_WITHOUT_AUDIO, AUDIO_WITHOUT_LABEL, REPEATED_ID, CONTRADICTION, WITHDRAWN}) | {
    BROKEN_LABEL,
    DOUBTFUL_LABEL,
    DUPLICATE,
    INCOMPLETE,
    PASSED_OVER,
    REFUSED,
}


@dataclass(frozen=True, slots=True)
class Recording:
    """One audio file, or one part of a larger file, with its labels.

    `id` is unique in the dataset; `path` is POSIX and relative to the reader's root, and may lead into a file
    (see `earmark.disk.inside`); `split` is one of SPLITS or None.
    `labels` are manifest fields by name; a field without a value is absent, never None and never empty.
    """

    id: str
    path: str
    split: str | None = None
    labels: Mapping[str, Label] = field(default_factory=dict)
    repaired: tuple[str, ...] = ()  # what `read` restored in its texts, such as "C1 control in text"; no reader's


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit, yielded among the recordings: each audio file is either a recording or a finding.

    `kind` is one of KINDS; `path` is POSIX and relative to the reader's root, with `:line` for a line of a label file.
    """

    kind: str
    path: str
    detail: str


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """The part of a dataset's catalog table that a reader sees: `language` (BCP 47), and `options`, not yet checked."""

    language: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    corpus: str = ""  # whose options these are, for errors; `read` fills it in


class Reader(Protocol):
    """A function that lists a corpus: deterministic in order and content, without decoding, logging or writing.

    It checks the values of its options when it is called (see `_options`) and touches the disk when it is iterated.
    Raises CatalogError for a wrong value, CorpusError for a layout or label line that it cannot read.
    """

    def __call__(self, root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
        """Yield every recording below `root`, and every finding."""


def names() -> list[str]:
    """Return the names of all readers, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def read(corpus: str, root: Path, options: ReaderOptions, *, repair: bool = False) -> Iterator[Recording | Finding]:
    """Return the recordings and findings of a corpus below `root`, their labels as the manifest's schema has them.

    A broken row is a finding. A suspicious text (see `_texts`) is a defect of its recording; with `repair` what can be
    restored with certainty is. Raises CatalogError at the call for an unknown corpus or option, CorpusError while
    iterating: for another layout, and for labels of another form, which are a mistake of the reader.
    """
    from earmark.corpora._reading import looked_over  # here: who asks for names alone needs none of it

    module = _module(corpus)
    _check_names(corpus, options, getattr(module, "OPTIONS", ()))
    reader: Reader = module.read
    return looked_over(corpus, root, iter(reader(root, replace(options, corpus=corpus))), repair)


def code(corpus: str) -> str:
    """Return a hash of a reader's code: its module, and all that it imports of this folder.

    The code is read, not imported. Raises CatalogError for an unknown corpus.
    """
    _require(corpus)
    from earmark.corpora._code import code_of

    return code_of(corpus)


def version(corpus: str) -> int:
    """Return the version of a reader.

    Raises CatalogError for an unknown corpus, and for a reader without one.
    """
    number = getattr(_module(corpus), "VERSION", None)
    if type(number) is not int:  # not bool, which is an int too
        raise CatalogError(
            f'corpus "{corpus}": no VERSION: expected a whole number in earmark/corpora/{corpus}.py, got {number!r}.'
            " Write VERSION = 1 there."
        )
    return number


def _check_names(corpus: str, options: ReaderOptions, known: tuple[str, ...]) -> None:
    """Raise CatalogError for an option that the reader does not have."""
    for name in options.options:
        if name not in known:
            expected = ", ".join(known) or "none"
            raise CatalogError(
                f'corpus "{corpus}": unknown option "{name}"{near(name, known)}: expected {expected}, got {name}.'
                " Correct the dataset's options in the catalog."
            )


def _module(corpus: str) -> ModuleType:
    _require(corpus)
    return importlib.import_module(f"{__name__}.{corpus}")


def _require(corpus: str) -> None:
    """Raise CatalogError for an unknown corpus."""
    known = names()
    if corpus not in known:
        raise CatalogError(
            f'corpus "{corpus}": no such reader{near(corpus, known)}: expected one of {", ".join(known)}, got {corpus}.'
            " Correct `corpus` in the catalog."
        )


def _is_unicode(text: str) -> bool:
    """Return whether a text can be written: not with unpaired surrogates."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def check_item(corpus: str, item: Recording | Finding) -> None:
    """Raise CorpusError where an item breaks a promise of `Recording` or `Finding`.

    A mistake of a reader must not become a wrong manifest row, or lead to a file outside the dataset's folder.
    """
    if isinstance(item, Finding):
        if item.kind not in KINDS:
            raise CorpusError(
                f"reader {corpus}: {item.path}: unknown kind of finding: expected one of KINDS, got {item.kind!r}."
            )
        return
    check_place(corpus, item)
    where = f"reader {corpus}: {item.path}"
    for name, value in item.labels.items():
        if name in RESERVED:
            raise CorpusError(f"{where}: label {name}: expected a field of the corpus, got one that earmark fills.")
        if value is None or value == "" or value != value:  # a NaN is not equal to itself
            raise CorpusError(f"{where}: label {name}: expected a value or no such label, got {value!r}.")


def check_place(corpus: str, item: Recording) -> None:
    """Raise CorpusError where a recording's id, path or split breaks a promise; its labels are left to the schema."""
    where = f"reader {corpus}: {item.path}"
    if not isinstance(item.id, str) or not item.id or not _is_unicode(item.id):
        raise CorpusError(f"{where}: id: expected text, got {item.id!r}.")
    path = item.path
    if not isinstance(path, str) or path.startswith("/") or (".." in path and ".." in path.split("/")):
        raise CorpusError(f"{where}: path: expected one below the root, got {item.path!r}.")
    if item.split is not None and item.split not in SPLITS:
        raise CorpusError(f"{where}: split: expected one of {', '.join(SPLITS)} or None, got {item.split!r}.")
