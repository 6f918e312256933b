"""starlark-go: an interpreter whose print function may be Python's."""

import ctypes
import mmap

import starlark_go

interpreter = starlark_go.Starlark()


def call() -> None:
    assert interpreter.eval("[n * n for n in range(4)]") == [0, 1, 4, 9]


def own() -> None:
    """With an interpreter of its own, as threads need one."""
    assert starlark_go.Starlark().eval("6 * 7") == 42


def print_evaluates() -> None:
    """The print function evaluates on the same stack."""
    printed = []
    starlark_go.Starlark(print=lambda text: printed.append(interpreter.eval(text))).exec('print("6 * 7")')
    assert printed == [42]


def print_evaluates_elsewhere() -> None:
    """The print function evaluates on another stack, as a coroutine of C would."""
    printed = []
    function = starlark_go.Starlark(
        print=lambda text: on_another_stack(lambda: printed.append(interpreter.eval(text)))
    )
    function.exec('print("6 * 7")')
    assert printed == [42]


_LIBC = ctypes.CDLL(None)
for _name in ("getcontext", "makecontext", "swapcontext"):
    getattr(_LIBC, _name).restype = ctypes.c_int
_CONTEXT = 1024  # bytes; ucontext_t of x86-64 has 968
_LINK, _STACK, _SIZE = 8, 16, 32  # where uc_link, uc_stack.ss_sp and uc_stack.ss_size are
_ROOM = 1 << 20


def on_another_stack(function) -> None:
    """makecontext(3) and swapcontext(3) on memory of our own."""
    here, there = (ctypes.create_string_buffer(_CONTEXT) for _ in range(2))
    room = mmap.mmap(-1, _ROOM, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    entry = ctypes.CFUNCTYPE(None)(function)
    _LIBC.getcontext(there)
    stack = ctypes.addressof(ctypes.c_char.from_buffer(room))
    for offset, value in ((_LINK, ctypes.addressof(here)), (_STACK, stack), (_SIZE, _ROOM)):
        ctypes.c_uint64.from_buffer(there, offset).value = value
    _LIBC.makecontext(there, entry, 0)
    _LIBC.swapcontext(here, there)
