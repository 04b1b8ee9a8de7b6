"""The stages as verbs, one file each, and how doit sees them; only here and in dodo.py is doit imported."""

import os
import sys
from types import TracebackType

from tasks.terminal import OutputLostError, complain, discard


def _in_one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print Ctrl-C as one line while modules are still being imported, too: nothing of ours could catch it there."""
    if issubclass(kind, KeyboardInterrupt):
        complain("interrupted")
    elif isinstance(error, OutputLostError):  # of a command that only looks: it ends as a program does by SIGPIPE
        discard(error)
        os._exit(error.code)  # Python would end with 1, as if a task had failed
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _in_one_line
