"""What a process asks of Linux: prctl for itself, ptrace for what the threads of a hung child are doing."""

from __future__ import annotations

import ctypes
import io
import itertools
import mmap
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


_JUMPS = {
    "x86_64": bytes.fromhex("ff2502000000") + b"\xcc\xcc",  # jmp *2(%rip)
    "aarch64": bytes.fromhex("5000005800021fd6"),  # ldr x16, .+8; br x16
}
"""Eight bytes of code that jump to the address behind them."""

_entries: dict[int, ctypes.c_char] = {}
"""Of each signal that ``handle`` was asked for the first byte of its jump."""


def entry(number: int) -> int:
    """Where the handler of that signal begins, or 0; 8 bytes behind it is the address to which it jumps."""
    return ctypes.addressof(_entries[number]) if number in _entries else 0


def handle(number: int, *, onstack: bool, mask: int) -> None:
    """Installs a handler for a signal before anything is loaded: a jump, which leads to a function of the C
    library that does nothing, and later to the bridge's.  Raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    nothing = ctypes.cast(library.abs, ctypes.c_void_p).value or 0
    code.write(_JUMPS[os.uname().machine] + struct.pack("<Q", nothing))
    _entries[number] = ctypes.c_char.from_buffer(code)
    action = _Action(handler=entry(number), flags=_SA_ONSTACK if onstack else 0)
    action.mask[0] = mask
    if library.sigaction(number, ctypes.byref(action), None) != 0:
        raise OSError(ctypes.get_errno(), f"no handler for signal {number}")


def send(pid: int, tid: int, number: int) -> None:
    """The signal to that thread of that process; to nobody, where it has ended."""
    ctypes.CDLL(None).tgkill(pid, tid, number)


def stacks(pid: int, wait: Callable[[int, int, int], object]) -> list[tuple[int, list[int]]]:
    """The program counters of each thread of a child, innermost first, the main thread first: by frame
    pointers, which Go keeps.

    ``wait`` is os.waitid, lent by who may wait.  With ptrace, because a thread that hangs in a signal
    handler takes no signal.  Raises OSError when the kernel does not let us look, or the child has died.
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
            try:
                request(_PTRACE_INTERRUPT, tid)
                wait(os.P_PID, tid, os.WSTOPPED | os.WEXITED | os.WNOWAIT | _WALL)
                request(_PTRACE_GETREGS, tid, ctypes.addressof(registers))
                seen.append((tid, _walk(memory, registers[_RIP], registers[_RBP])))
                request(_PTRACE_DETACH, tid)
            except OSError:
                # It dies.  The end of the child is told to nobody before its tracer has taken note of each
                # thread's; the main thread's is the child's, which is not ours to take.
                if tid != pid:
                    wait(os.P_PID, tid, os.WEXITED | _WALL)
                raise
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
