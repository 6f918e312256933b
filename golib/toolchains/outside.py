"""A library that cannot be rebuilt, and what drives it: C sources -> the driver, by the C compiler of cgo.

The driver has the C frames, threads, stacks and signals of golib's bridge and no Go.  A process has it by
LD_PRELOAD, for it also takes the library's questions to pthread_getattr_np.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from golib.toolchains import native
from golib.toolchains.build import BRIDGE, BuildError

SOURCES = (
    *(BRIDGE / f"{name}.c" for name in ("frames", "record", "signals", "stacks", "threads")),
    BRIDGE.parent / "outside" / "outside.c",
)
"""The bridge's C that knows no Go, and what stands for the rest of it."""
_FLAGS = ("-pthread", "-Wl,-z,defs")
_SEPARATORS = " :"
"""Where the loader parts LD_PRELOAD; there is no way to quote them (ld.so(8))."""

NOT_SEEN = (
    "driven from outside, without golib's probe: g0's bounds and guards, what a callback restores in g and m,"
    " and callbacks into Go are not seen, and so not judged; judged are how the process ends, the order of"
    " events, and each thread's signal mask, alternate stack and floating-point control; questions to"
    " pthread_getattr_np, threads and descriptors left behind and the time of a call are reported only"
)
"""What is not said of a library as shipped."""


@dataclass(frozen=True)
class Outside:
    """A Go library as it was shipped, to be driven from outside: ``golib.open(Outside(path))``."""

    path: Path
    """The file that the process loads."""
    paths: tuple[str, ...] = ()
    """Folders in which a scenario's module is looked for, before Python's own: that of the distribution."""


@cache
def driver() -> Path:
    """The compiled driver, from the cache where it is there.

    Raises BuildError when it cannot be compiled, with the compiler's own words, or not be used.
    """
    product = native.compiled("outside", SOURCES, _FLAGS)
    if any(separator in str(product) for separator in _SEPARATORS):
        raise BuildError(
            f"{product} cannot be preloaded, because LD_PRELOAD takes no path with a space or a colon in it;"
            " set GOLIB_CACHE to another folder"
        )
    return product


def variables() -> tuple[tuple[str, str], ...]:
    """What the environment of its process must have at exec.  Raises BuildError."""
    return (("LD_PRELOAD", str(driver())),)
