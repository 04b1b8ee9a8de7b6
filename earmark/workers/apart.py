"""One process beside this one, for libraries that a damaged file may crash: then it dies, and this one says so.

It is started when first needed and kept, since a start costs more than most tables do.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from earmark.workers.pool import Pool  # it loads multiprocessing, which most commands can do without

T = TypeVar("T")
R = TypeVar("R")


class _Apart:
    """The process, if it was started."""

    pool: "Pool | None" = None


def call_apart(function: Callable[[T], R], item: T, what: str) -> R:
    """Return `function(item)` as the process beside computes it; `what` names the item.

    Raises what the function raises, and WorkerError where the process died of it.
    """
    (result,) = _pool().map(function, [item], label=lambda _: what)
    return result


def stream_apart(function: Callable[[tuple[T, int]], R | None], item: T, what: str) -> Iterator[R]:
    """Yield `function((item, 0))`, `function((item, 1))`, ... up to the first None, each computed one ahead.

    Raises as `call_apart`.
    """
    is_whole = False
    # What is asked for one ahead of the end is waited for: dropping it would end the process, and a start is dear.
    numbers = itertools.takewhile(lambda _: not is_whole, ((item, number) for number in itertools.count()))
    with contextlib.closing(_pool().map(function, numbers, lookahead=1, label=lambda _: what)) as results:
        for result in results:
            if result is None:
                is_whole = True
            else:
                yield result


def stop() -> None:
    """End the process at once, if there is one; the next call starts another."""
    pool, _Apart.pool = _Apart.pool, None
    if pool is not None:
        pool.kill()


def _pool() -> "Pool":
    if _Apart.pool is None:
        from earmark.workers.pool import Pool

        _Apart.pool = Pool(1)
    return _Apart.pool
