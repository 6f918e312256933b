"""What a process asks of Linux: prctl for itself, ptrace for what the threads of a hung child are doing."""

from __future__ import annotations

import ctypes
import io
import itertools
import os
import signal
import struct
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

# int prctl(int, unsigned long, ...)
_prctl = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_ulong)(("prctl", ctypes.CDLL(None)))


ROOM = 64
"""Bytes that a server's environment leaves for a variable that a case sets."""


def lay(name: str, value: str) -> None:
    """Writes a variable over the room that exec left for it.

    Go in a shared library reads the environment that stands beside the original argv: what setenv adds later
    it does not see, and what is overwritten there before it is loaded it does.
    """
    environ = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
    for index in itertools.count():
        entry = environ[index]
        if entry is None:
            raise LookupError(f"exec left no room for {name}")
        if ctypes.string_at(entry, len(name) + 1) == f"{name}=".encode():
            text = ctypes.create_string_buffer(value.encode())
            ctypes.memmove(entry + len(name) + 1, text, min(len(text), ROOM))
            return


def adopt_orphans() -> None:
    """What this process's children leave running becomes its own children."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """The kernel kills this process when the one that forked it is gone."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# int sched_getcpu(void)
_sched_getcpu = ctypes.CFUNCTYPE(ctypes.c_int)(("sched_getcpu", ctypes.CDLL(None)))


def pin(processors: int) -> None:
    """This thread, and those that it starts, keep to so many processors, that on which it runs among them."""
    here, may = _sched_getcpu(), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {here, *sorted(may - {here})[: processors - 1]})


# What a hung process is doing.

_PTRACE_GETREGS, _PTRACE_DETACH, _PTRACE_SEIZE, _PTRACE_INTERRUPT = 12, 17, 0x4206, 0x4207
_WALL = 0x40000000
_RBP, _RIP, _REGISTERS = 4, 16, 27  # struct user_regs_struct of x86-64
_MOST_COUNTERS = 48


class _Action(ctypes.Structure):
    """struct sigaction of glibc on x86-64 (bits/sigaction.h)."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_uint64 * 16),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


_SA_ONSTACK = 0x08000000


def handle(number: int, *, onstack: bool) -> None:
    """Installs a handler for a signal that does nothing: before anything is loaded there is only the C
    library's code to be one.  Raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    nothing = ctypes.cast(library.abs, ctypes.c_void_p).value
    action = _Action(handler=nothing, flags=_SA_ONSTACK if onstack else 0)
    if library.sigaction(number, ctypes.byref(action), None) != 0:
        raise OSError(ctypes.get_errno(), f"no handler for signal {number}")


def send(pid: int, tid: int, number: int) -> None:
    """The signal to that thread of that process; to nobody, where it has ended."""
    ctypes.CDLL(None).tgkill(pid, tid, number)


def stacks(pid: int, wait: Callable[[int, int], object]) -> list[tuple[int, list[int]]]:
    """The program counters of each thread of a child, innermost first, the main thread first: by frame
    pointers, which Go keeps.

    ``wait`` is os.waitpid, lent by who may wait.  With ptrace, because a thread that hangs in a signal
    handler takes no signal.  Raises OSError when the kernel does not let us look.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # long ptrace(int, pid_t, void *, void *)
    libc.ptrace.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    libc.ptrace.restype = ctypes.c_long
    registers = (ctypes.c_ulonglong * _REGISTERS)()

    def request(what: int, tid: int, data: int = 0) -> None:
        if libc.ptrace(what, tid, 0, data) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    seen = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123
        for tid in sorted(int(name) for name in os.listdir(f"/proc/{pid}/task")):  # noqa: PTH208
            request(_PTRACE_SEIZE, tid)
            request(_PTRACE_INTERRUPT, tid)
            wait(tid, _WALL)
            request(_PTRACE_GETREGS, tid, ctypes.addressof(registers))
            seen.append((tid, _walk(memory, registers[_RIP], registers[_RBP])))
            request(_PTRACE_DETACH, tid)
    return seen


def _walk(memory: io.FileIO, pc: int, frame: int) -> list[int]:
    counters = [pc]
    frames = {0}
    while frame not in frames and len(counters) < _MOST_COUNTERS:
        frames.add(frame)
        try:
            memory.seek(frame)
            data = memory.read(16)
        except (OSError, OverflowError):  # C keeps no frame pointers: the register holds anything
            break
        if len(data) < 16:
            break
        frame, pc = struct.unpack("<QQ", data)
        counters.append(pc)
    return counters
