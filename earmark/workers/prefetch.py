"""Work done some items ahead by threads, its results in order: decoding while the accelerator encodes."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def threaded_prefetch(
    function: Callable[[T], R], items: Iterable[T], workers: int, lookahead: int
) -> Generator[R, None, None]:
    """Yield `function(item)` for each item, in order, computed by threads up to `lookahead` items ahead.

    Threads suffice where the work is reading, hashing or decoding, which release the interpreter's lock. What the
    function raises is raised when the item's turn comes. Closing the generator drops what has not begun and waits for
    what has.
    """
    threads = ThreadPoolExecutor(workers, thread_name_prefix="earmark-prefetch")
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(threads.submit(function, item))
            if len(pending) > lookahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        threads.shutdown(wait=True, cancel_futures=True)
