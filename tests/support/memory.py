"""How much memory a process itself takes, for tests that run their code in a process of its own.

`ru_maxrss` does not answer that on Linux: it survives exec, so a child begins with the peak of the process that started
it. A small child of a large pytest was called large, and growth below the parent's peak was not seen at all. `VmHWM` in
/proc/self/status belongs to the address space, which exec makes anew, and writing 5 to /proc/self/clear_refs sets it
back to what is resident now. Source: proc_pid_status(5), proc_pid_clear_refs(5); getrusage(2), "ru_maxrss".

macOS has neither; there `ru_maxrss` is of the process itself, and growth counts from its peak so far rather than from
what is resident, so what stays below that peak is not seen: call `reset_peak` right after the imports.
"""

import contextlib
import resource
import sys
from pathlib import Path


def reset_peak() -> int:
    """Forget this process's peak and return it as it is then, bytes: what is resident now (macOS: the peak so far)."""
    if sys.platform == "linux":
        with contextlib.suppress(PermissionError):  # sandboxes that mount /proc read-only: then the peak so far
            Path("/proc/self/clear_refs").write_text("5", "ascii")
    return peak_bytes()


def peak_bytes() -> int:
    """Return the largest resident size of this process since `reset_peak`, bytes."""
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
