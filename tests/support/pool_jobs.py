"""Functions that the pool's tests run in spawned workers, which import them by this module's name."""

import multiprocessing.connection
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from earmark.audio.table import BadAudio
from earmark.errors import BadAudioError


class TwoPartError(Exception):
    def __init__(self, name, size):
        super().__init__(f"{name} {size}")
        self.size = size


def square(number):
    return number * number


def fail_on_three(number):
    if number == 3:
        raise ValueError("three is refused")
    return number


def fail_with_fields(number):
    raise TwoPartError("bell", number)


def bad_audio(path):
    raise BadAudioError("truncated", path, "none")


def die_on_three(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def crash(number):
    os.kill(os.getpid(), number)


def crash_on_three(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return number


def print_and_return(number):
    os.write(2, f"library {number}\n".encode())
    return number


def crash_here(_):
    os.kill(os.getpid(), signal.SIGSEGV)


def stop_on_three(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGSTOP)
    return number


def standardize_or_crash(batch):
    """Stand in for standardize_batch: a recording of this name ends its process as a faulty decoder does."""
    works, policy, _ = batch
    if any(work.path == "crash.wav" for work in works):
        os.kill(os.getpid(), signal.SIGSEGV)
    return [BadAudio(work.path, work.source_hash, "no samples", "", "", policy) for work in works]


def leave(status):
    os._exit(status)


def die_while_answering(number):
    """Send half of a large result, then die as an OOM killer would end it."""
    if number == 3:

        def half(self, data) -> NoReturn:
            os.write(self.fileno(), bytes(data)[:1000])
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError

        multiprocessing.connection.Connection._send = half
        return bytes(1 << 20)
    return number


def unpicklable(_):
    return lambda: None


def process_id(_):
    return os.getpid()


def large(size):
    return bytes(size)


def length(data):
    return len(data)


def surroundings(_):
    loaded = [name for name in ("numpy", "zarr", "doit", "pytest", "av") if name in sys.modules]
    return {
        "threads": os.environ["OMP_NUM_THREADS"],
        "sigint": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
        "sigterm": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        "loaded": loaded,
    }


def announce_and_stay(folder):
    """Leave a file named by this process's id and stay until killed."""
    Path(folder, str(os.getpid())).touch()
    while True:
        time.sleep(60)
