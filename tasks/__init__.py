"""The stages as verbs, one file each, and how doit sees them; only here and in dodo.py is doit imported."""

import sys
from types import TracebackType


def _in_one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print Ctrl-C as one line while modules are still being imported, too: nothing of ours could catch it there."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _in_one_line
