"""A pool of spawned processes for decoding work.

A unit of work is an importable function and a plain picklable value. Each worker has a pipe of its own and a thread
here that waits on it, so that a worker that dies ends its own item at once, and nothing else. ProcessPoolExecutor was
tried and rejected: its workers share one pipe for results, and one that is killed while it writes to it makes the
parent wait for ever. Spawned, not forked: a fork copies locks that other threads have taken, and on macOS
many libraries do not survive one.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from pathlib import Path
from types import TracebackType
from typing import TypeVar, cast

from earmark.errors import EarmarkError, WorkerError
from earmark.workers import chatter

T = TypeVar("T")
R = TypeVar("R")

JOIN_S = 5.0  # how long a worker whose pipe has closed may take to be gone before it is killed
SILENCE_S = 60.0  # without a result, after which it is said what is waited for; then after twice as long each time
NOTES_TOLD = 10  # of what libraries print, in a pool's life
# By which a process ends at its own fault. SIGKILL is none: it comes from outside, mostly because memory ran out.
CRASHES = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS}
)
LABEL_CHARACTERS = 80  # of an item's repr in a message, which stays one line
# The pool already uses every core; a numeric library that starts threads of its own in each worker only slows it.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Worker:
    """One spawned process and this side's end of its pipe."""

    process: multiprocessing.process.BaseProcess
    pipe: connection.Connection


@dataclass
class Call:
    """One item under way: the worker that has it, and whether nobody waits for it any more."""

    message: bytes  # the pickled function and item
    name: str
    worker: Worker | None = None
    dropped: bool = False


class Pool:
    """Spawned worker processes of this machine, started when first needed and kept until `close` or `kill`.

    `workers` = 0 means one a core that this process may use. `notify` is given a line where nothing comes for long.
    """

    def __init__(self, workers: int = 0, notify: Callable[[str], None] | None = None) -> None:
        self._notify = notify
        self.workers = workers if workers > 0 else core_count()
        self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="earmark-pool")
        self._lock = threading.Lock()  # guards everything below, and starting and reaping processes
        self._idle: list[Worker] = []
        self._all: list[Worker] = []
        self._ended = False
        self._n_told = 0

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        *,
        lookahead: int | None = None,
        label: Callable[[T], str] | None = None,
        instead: Callable[[T, WorkerError], R] | None = None,
    ) -> Generator[R, None, None]:
        """Yield `function(item)` for each item, in order, computed by the workers.

        `lookahead` items are under way beyond the one that is waited for (default: twice the workers); more would only
        fill memory with results. `label` names an item in a message (default: its shortened repr).
        What the function raises is raised here at the item's turn; WorkerError if its worker died, and the next item
        gets a fresh one. With `instead`, what that returns for an item whose worker crashed is its result.
        When the iteration ends early, items not started are dropped and workers busy with the others are killed: no
        work goes on after its map.
        """
        assert not self._ended, "map() on a pool that was closed or killed"
        assert getattr(function, "__module__", "") != "__main__", "a worker cannot import a function of __main__"
        ahead = 2 * self.workers if lookahead is None else lookahead
        return self._results(function, items, ahead, label or _short_repr, instead)

    def _results(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        ahead: int,
        label: Callable[[T], str],
        instead: Callable[[T, WorkerError], R] | None,
    ) -> Generator[R, None, None]:
        pending: deque[tuple[T, Call, Future[object]]] = deque()

        def first() -> R:
            item, call, future = pending[0]
            try:
                return cast("R", self._wait(call, future))
            except WorkerError as error:
                if instead is None or not error.crashed:
                    raise
                return instead(item, error)

        try:
            for item in items:
                where = f"{function.__module__}.{getattr(function, '__qualname__', function)}"
                call = Call(pickle.dumps((function, item), pickle.HIGHEST_PROTOCOL), f"{where}({label(item)})")
                pending.append((item, call, self._threads.submit(self._run, call)))
                if len(pending) > ahead:
                    yield first()
                    pending.popleft()
            while pending:
                yield first()
                pending.popleft()
        finally:
            self._drop(call for _, call, future in pending if not future.cancel() and not future.done())

    def _wait(self, call: Call, future: Future[object]) -> object:
        """Wait for a call's result, and say what is waited for when nothing comes for long."""
        silence_s = SILENCE_S
        while not wait([future], silence_s).done:
            if self._notify is not None:
                self._notify(self._waiting_words(call, silence_s))
            silence_s *= 2
        return future.result()

    def _waiting_words(self, call: Call, silence_s: float) -> str:
        worker = call.worker
        if worker is None:
            return f"still waiting for a free worker process after {silence_s:.0f} s, for {call.name}"
        stopped = f" It is stopped: `kill -CONT {worker.process.pid}` lets it go on." if _is_stopped(worker) else ""
        return f"still waiting for worker process {worker.process.pid} after {silence_s:.0f} s: {call.name}.{stopped}"

    def _run(self, call: Call) -> object:
        """Do a call in a worker and return its result: what each of the threads here does."""
        worker = self._take(call)
        try:
            worker.pipe.send_bytes(call.message)
            answer = worker.pipe.recv_bytes()
        except (OSError, EOFError):
            raise self._death(call.name, worker) from None
        self._give_back(call, worker)
        good, value, notes = pickle.loads(answer)  # noqa: S301 - from our own worker
        self._tell(notes)
        if good:
            return value
        raise _rebuilt(*value) if isinstance(value, tuple) else value

    def _tell(self, notes: tuple[str, ...]) -> None:
        """Pass on what libraries printed in a worker: a few of a pool's lines, for a corpus may have any number."""
        for line in notes:
            with self._lock:
                self._n_told += 1
                n_told = self._n_told
            if self._notify is not None and n_told <= NOTES_TOLD:
                last = " Later ones are not told." if n_told == NOTES_TOLD else ""
                self._notify(f"a library printed: {line}.{last}")

    def _take(self, call: Call) -> Worker:
        with self._lock:
            if self._ended or call.dropped:
                raise WorkerError(f"{call.name}: not run: the pool was stopped. Run the same command again.")
            if not self._idle:
                self._idle.append(_start_worker())
                self._all.append(self._idle[-1])
            call.worker = self._idle.pop()
            return call.worker

    def _give_back(self, call: Call, worker: Worker) -> None:
        with self._lock:
            call.worker = None
            if call.dropped or self._ended:  # the worker has been sent a SIGKILL
                self._reap(worker)
            else:
                self._idle.append(worker)

    def _drop(self, calls: Iterable[Call]) -> None:
        with self._lock:
            for call in calls:
                call.dropped = True
                if call.worker is not None:
                    call.worker.process.kill()

    def _reap(self, worker: Worker) -> int | None:
        """Wait for a dying worker and return its exit code; call it under the lock. One that does not die is killed."""
        worker.pipe.close()
        worker.process.join(JOIN_S)
        if worker.process.exitcode is None:
            worker.process.kill()
            worker.process.join(JOIN_S)
        if worker in self._all:
            self._all.remove(worker)
        return worker.process.exitcode

    def _death(self, name: str, worker: Worker) -> WorkerError:
        with self._lock:
            code = self._reap(worker)
        crashed = signal.Signals(-code).name if code is not None and -code in CRASHES else ""
        if code == -signal.SIGKILL:
            cause = "killed by SIGKILL, probably because memory ran out"
        elif code is not None and code < 0:
            cause = f"ended by {signal.Signals(-code).name}, probably a fault in a decoding library"
        else:
            cause = f"ended with exit status {code}"
        return WorkerError(
            f"{name}: worker process died: {cause}. Run the same command again; if it happens again, set fewer"
            f" workers: [run] workers, now {self.workers}.",
            crashed,
        )

    def close(self) -> None:
        """Let running items finish, drop the others, and end the workers."""
        self._end(wait=True)

    def kill(self) -> None:
        """End the workers at once, whatever they are doing, and drop all work."""
        self._end(wait=False)

    def _end(self, *, wait: bool) -> None:
        if not wait:
            with self._lock:
                self._ended = True
                for worker in self._all:
                    worker.process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            self._ended = True
            for worker in self._all:
                worker.pipe.close()  # all first, so that they end side by side
            for worker in list(self._all):
                self._reap(worker)
            self._idle.clear()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None:
            self.close()
        else:
            self.kill()


def core_count() -> int:
    """Return how many cores this process may use."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if sys.platform == "darwin":
        return os.cpu_count() or 1
    return len(os.sched_getaffinity(0))


def _short_repr(item: object) -> str:
    text = repr(item)
    return text if len(text) <= LABEL_CHARACTERS else text[: LABEL_CHARACTERS - 1] + "…"


def _is_stopped(worker: Worker) -> bool:
    """Say whether a worker was stopped by a signal, where the system tells (Linux)."""
    with contextlib.suppress(OSError, IndexError):
        status = Path(f"/proc/{worker.process.pid}/stat").read_text("utf-8", "replace")
        return status.rpartition(")")[2].split()[0] in {"T", "t"}
    return False


def _start_worker() -> Worker:
    """Start a process that serves one pipe; call it under the lock."""
    context = multiprocessing.get_context("spawn")
    # The end of a terminal reaches the whole group, and the parent decides: the children are born with it blocked.
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    resource_tracker.ensure_running()  # or the first start would, and would unblock SIGINT while it does
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), name="earmark-worker", daemon=True)
    # A worker is born with SIGINT blocked: Ctrl-C in its first instants would print a traceback from the middle of an
    # import. The mask is this thread's own.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _main_set_aside():
            process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        theirs.close()  # the worker alone has its end, so its death closes the pipe
    return Worker(process, ours)


@contextlib.contextmanager
def _main_set_aside() -> Iterator[None]:
    """Keep spawn from importing the parent's main script in the worker, while the block runs.

    Under the `doit` script that would load all of doit in each worker, and under a script without
    `if __name__ == "__main__"` it would start the whole work again. Spawn looks at these two names alone.
    """
    main = vars(sys.modules["__main__"])
    kept: dict[str, object] = {name: main.pop(name) for name in ("__file__", "__spec__") if name in main}
    main["__spec__"] = None
    try:
        yield
    finally:
        main.pop("__spec__")
        main.update(kept)


def _serve(pipe: connection.Connection) -> None:
    """Answer calls until the other end of the pipe closes: what a worker process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal group; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # before any numeric library is loaded
    threading.Thread(target=_die_with_parent, daemon=True).start()
    with contextlib.suppress(OSError, EOFError):  # the parent closed the pipe, or is gone
        while True:
            pipe.send_bytes(_answer(pipe.recv_bytes()))


def _die_with_parent() -> None:
    """End this process as soon as its parent has: a run that was killed must leave nothing that goes on writing."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _answer(call: bytes) -> bytes:
    """Return a pickled (True, result, notes) or (False, exception, notes); see `earmark.workers.chatter`."""
    try:
        function, item = pickle.loads(call)  # noqa: S301 - from our own parent
        with chatter.told_of(getattr(function, "__qualname__", "a worker")):
            result = function(item)
        return pickle.dumps((True, result, chatter.take_notes()), pickle.HIGHEST_PROTOCOL)
    except BaseException as error:
        if not isinstance(error, EarmarkError):  # a bug keeps its traceback; an expected failure is one line
            error.add_note(f"In the worker process:\n{traceback.format_exc()}")
        return _pickled_error(error, chatter.take_notes())


def _pickled_error(error: BaseException, notes: tuple[str, ...]) -> bytes:
    """Pickle an exception so that it can be read back, also one whose __init__ does not take its own `args`."""
    for value in (error, (type(error), error.args, vars(error))):
        with contextlib.suppress(Exception):  # whatever pickling raises: the next form is simpler
            data = pickle.dumps((False, value, notes), pickle.HIGHEST_PROTOCOL)
            pickle.loads(data)  # noqa: S301 - our own
            return data
    last = RuntimeError("".join(traceback.format_exception(error)))
    return pickle.dumps((False, last, notes), pickle.HIGHEST_PROTOCOL)


def _rebuilt(kind: type[BaseException], args: tuple[object, ...], fields: dict[str, object]) -> BaseException:
    """Make an exception from its parts, without its __init__."""
    error = kind.__new__(kind, *args)
    vars(error).update(fields)
    return error
