"""Coroutines as C has them: a function on a stack of its own."""

import ctypes
import mmap
from collections.abc import Callable

_LIBC = ctypes.CDLL(None)
for _name in ("getcontext", "makecontext", "swapcontext"):
    getattr(_LIBC, _name).restype = ctypes.c_int
_CONTEXT = 1024  # bytes; ucontext_t of x86-64 has 968
_LINK, _STACK, _SIZE = 8, 16, 32  # where uc_link, uc_stack.ss_sp and uc_stack.ss_size are
_ROOM = 1 << 20


def on_another_stack(function: Callable[[], object]) -> None:
    """makecontext(3) and swapcontext(3) on memory of our own."""
    here, there = (ctypes.create_string_buffer(_CONTEXT) for _ in range(2))
    room = mmap.mmap(-1, _ROOM, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    entry = ctypes.CFUNCTYPE(None)(lambda: function() and None)
    _LIBC.getcontext(there)
    stack = ctypes.addressof(ctypes.c_char.from_buffer(room))
    for offset, value in ((_LINK, ctypes.addressof(here)), (_STACK, stack), (_SIZE, _ROOM)):
        ctypes.c_uint64.from_buffer(there, offset).value = value
    _LIBC.makecontext(there, entry, 0)
    _LIBC.swapcontext(here, there)
