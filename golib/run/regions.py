"""The foreign stacks: memory below every thread's stack and above the main thread's.  And the memory into
which the main thread's stack may grow."""

from __future__ import annotations

import ctypes
import mmap

from golib.case import calltree
from golib.run.binding import BindingError

MAP_FIXED_NOREPLACE = 0x100000
_LOWEST = 0x1000_0000_0000
"""Where the lower foreign stacks begin: below every mapping of a process on Linux x86-64 but above
the Go heap's first arenas (0xc000000000, runtime/malloc.go)."""
_HIGHEST = 0x7FFF_FFFF_F000
"""End of the user's addresses on x86-64 with four levels of page tables."""
_SPACING = 16 * calltree.KIB * calltree.KIB
_GUARD = 1024 * calltree.KIB
"""What the kernel keeps free below a stack that grows (stack_guard_gap)."""


def reserve_regions() -> dict[int, tuple[int, int]]:
    """Maps the foreign stacks of ``calltree.REGIONS``: those below zero under every thread's stack,
    the others above the main thread's.  Returns (lowest address, end) of each.

    Raises BindingError where the kernel has put the main thread's stack so high that nothing fits
    above it (one start in some hundred), or something else so near below it that it has no room
    (``calltree.MAIN_ROOM``: a limit of 8 MiB does not make the kernel leave so much, but chance does).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # void *mmap(void *, size_t, int, int, int, off_t)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (
        *(ctypes.c_void_p, ctypes.c_size_t),
        *(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long),
    )
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED_NOREPLACE

    def place(address: int) -> bool:
        got = libc.mmap(address, calltree.REGION, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
        return bool(got == address)

    below, top = _main_stack()
    if top - below < calltree.MAIN_ROOM + _GUARD:
        raise BindingError("no room below the main thread's stack to grow into")
    regions: dict[int, tuple[int, int]] = {}
    for wanted, address, end in (
        ([number for number in calltree.REGIONS if number < 0], _LOWEST, top),
        ([number for number in calltree.REGIONS if number > 0], top + _SPACING, _HIGHEST),
    ):
        for number in wanted:
            while not place(address):
                address += _SPACING
                if address + calltree.REGION > end:
                    raise BindingError("no room for foreign stacks above the main thread's stack")
            regions[number] = (address, address + calltree.REGION)
            address += _SPACING
    return regions


def _main_stack() -> tuple[int, int]:
    """Where what lies below the main thread's stack ends, and where the stack does."""
    below = 0
    with open("/proc/self/maps") as maps:  # noqa: PTH123 - a forked process wants no pathlib
        for line in maps:
            end = int(line.split()[0].partition("-")[2], 16)
            if line.rstrip().endswith("[stack]"):
                return below, end
            below = end
    raise BindingError("/proc/self/maps names no main stack")
