"""Expected failures, each one line for its user: thing: what is wrong: expected, got. What to do."""

import difflib
from collections.abc import Iterable

from earmark.printable import printable


class EarmarkError(Exception):
    """An expected failure; its text is the one line that the user reads, without a traceback, or several lines.

    What is unprintable is escaped, a newline in a name with it: only its own lines end lines.
    """

    def __str__(self) -> str:
        """Return its lines."""
        return "\n".join(printable(str(line)) for line in self.args)


class CatalogError(EarmarkError):
    """The catalog is missing, broken, or names something that does not exist."""


class ArchiveError(EarmarkError):
    """An archive is missing, damaged, hostile, or does not match the tree on disk."""


class CorpusError(EarmarkError):
    """A corpus on disk does not have the layout or the labels that its reader expects."""


class BadAudioError(EarmarkError):
    """One recording that cannot be used; it goes to quarantine and the rest of the shard goes on."""

    def __init__(self, kind: str, detail: str, decoder: str) -> None:
        super().__init__(f"{kind}: {detail} ({decoder})")
        self.kind = kind
        self.detail = detail
        self.decoder = decoder

    def __reduce__(self) -> tuple[type["BadAudioError"], tuple[str, str, str]]:
        """Travel between processes with its fields."""
        return (type(self), (self.kind, self.detail, self.decoder))


class JobError(EarmarkError):
    """A job that has no rows, or whose splits leak into one another."""


class ModelError(EarmarkError):
    """An encoder's folder, weights, configuration or engine cannot be used."""


class ModelAbsentError(ModelError):
    """An encoder's model is not on this disk yet; `prepare` fetches it."""


class DiskFullError(EarmarkError):
    """A write did not fit on the disk."""


class AbsentError(EarmarkError):
    """A folder that work was in is not there: probably a volume that is not mounted."""


class ForeignError(EarmarkError):
    """A file or folder that earmark did not make stands where it would write, or is given to it as its own."""


class WorkerError(EarmarkError):
    """A worker process died under a unit of work; `crashed` is the signal by which it ended itself, "" if another."""

    def __init__(self, text: str, crashed: str = "") -> None:
        super().__init__(text)
        self.crashed = crashed


def near(name: str, known: Iterable[str]) -> str:
    """Return ' (did you mean "x"?)' for the nearest known name, or an empty string."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f' (did you mean "{match[0]}"?)' if match else ""
