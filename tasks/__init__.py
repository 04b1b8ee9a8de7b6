"""The stages as verbs, one file each, and how doit sees them; the only place besides dodo.py that imports doit."""

import sys
from types import TracebackType


def _in_one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say Ctrl-C in one line also while modules are still being imported, where nothing else can."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _in_one_line
