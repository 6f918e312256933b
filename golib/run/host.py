"""What a process has that belongs to its host, before Go is there and after: ``observe`` looks at the process
that calls it.

    python -m golib.run.host LIBRARY      loads it as a user would, and prints what was seen, as JSON
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

SIGNALS = 64
MOMENTS = ("before", "loaded", "called", "threads", "more threads")
"""Before the load; when Go's init has run; after the main thread's first call; after ``THREADS`` threads, one
after the other, have called and ended; and after as many again."""
THREADS = 50

_SYS_RT_SIGACTION = 13
_FLAGS = {0x08000000: "SA_ONSTACK", 0x10000000: "SA_RESTART", 0x40000000: "SA_NODEFER", 0x4: "SA_SIGINFO"}
"""SA_RESTORER is always there (arch/x86/include/uapi/asm/signal.h), and says nothing."""
_TIMERS = 3
_LIMITS = tuple(sorted(name for name in dir(resource) if name.startswith("RLIMIT_")))
_STATUS = ("SigBlk", "SigIgn", "CapEff", "Seccomp", "NoNewPrivs")


class _KernelAction(ctypes.Structure):
    """struct kernel_sigaction of x86-64: the C library refuses signals 32 and 33, and the kernel does not."""

    _fields_ = (
        ("handler", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
        ("restorer", ctypes.c_uint64),
        ("mask", ctypes.c_uint64),
    )


class _Stack(ctypes.Structure):
    """stack_t."""

    _fields_ = (("sp", ctypes.c_uint64), ("flags", ctypes.c_int), ("size", ctypes.c_uint64))


def handler_of(number: int) -> str:
    """The property's name."""
    try:
        return f"handler of {signal.Signals(number).name}"
    except ValueError:
        return f"handler of signal {number}"


def observe(library: str = "") -> dict[str, Any]:
    """Plain data: each property of this process and of the calling thread, by its name.  ``library``: the one
    whose handlers are to be called so."""
    libc = ctypes.CDLL(None, use_errno=True)
    seen: dict[str, Any] = {}
    maps = _maps()
    for number in range(1, SIGNALS + 1):
        action = _KernelAction()
        if libc.syscall(_SYS_RT_SIGACTION, number, None, ctypes.byref(action), 8) == 0:
            seen[handler_of(number)] = _disposition(action, maps, library)
    mask, stack = ctypes.c_uint64(), _Stack()
    libc.pthread_sigmask(0, None, ctypes.byref(mask))
    libc.sigaltstack(None, ctypes.byref(stack))
    seen["signal mask"] = f"{mask.value:#x}"
    seen["alternate stack"] = "none" if stack.flags & 2 else f"{stack.size} bytes"
    for name in _LIMITS:
        seen[name] = list(resource.getrlimit(getattr(resource, name)))
    umask = os.umask(0)
    os.umask(umask)
    seen["umask"] = oct(umask)
    seen["working directory"] = os.getcwd()  # noqa: PTH109
    seen["affinity"] = sorted(os.sched_getaffinity(0))
    seen["scheduling"] = [os.sched_getscheduler(0), os.nice(0)]
    for which in range(_TIMERS):
        value = (ctypes.c_long * 4)()
        libc.getitimer(which, value)
        seen[f"interval timer {which}"] = list(value)
    with open("/proc/self/status") as status:  # noqa: PTH123
        fields = dict(line.split(":", 1) for line in status)
    seen |= {name: fields[name].strip() for name in _STATUS if name in fields}
    seen["threads"] = int(fields["Threads"])
    seen["descriptors"] = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    seen["address space, MB"] = int(fields["VmSize"].split()[0]) // 1024
    seen["mappings"] = len(maps)
    return seen


def _maps() -> list[tuple[int, int, str]]:
    found = []
    with open("/proc/self/maps") as maps:  # noqa: PTH123
        for line in maps:
            parts = line.split(maxsplit=5)
            low, _, high = parts[0].partition("-")
            found.append((int(low, 16), int(high, 16), parts[5].strip() if len(parts) > 5 else ""))
    return found


def _disposition(action: _KernelAction, maps: list[tuple[int, int, str]], library: str) -> str:
    if action.handler < 2:
        return ("default", "ignored")[action.handler]
    where = next((path for low, high, path in maps if low <= action.handler < high), "")
    name = "the library" if where and where == library else os.path.basename(where) or "?"  # noqa: PTH119
    flags = " ".join(name for bit, name in _FLAGS.items() if action.flags & bit)
    return f"{name}, {flags or 'no flags'}, mask {action.mask:#x}"


def _moments(path: str) -> list[dict[str, Any]]:
    import threading

    found = [observe(path)]
    library = ctypes.CDLL(path)
    library.golib_wait_ready()
    found.append(observe(path))
    library.GoEmpty()
    found.append(observe(path))
    for _ in range(2):
        _one_after_the_other(THREADS, library.GoEmpty, threading.Thread)
        found.append(observe(path))
    return found


def _one_after_the_other(count: int, function: Callable[[], object], kind: Any) -> None:
    for _ in range(count):
        thread = kind(target=function)
        thread.start()
        thread.join()


if __name__ == "__main__":
    print(json.dumps(_moments(sys.argv[1])))
