"""A library that cannot be rebuilt, and what drives it: C sources -> the driver, by the C compiler of cgo.

The driver has the C frames, threads, stacks and signals of golib's bridge and no Go.  It is compiled once,
into the folder ``outside`` of the cache, under a key of all that it is made of:

    outside/<key>/lock                     held while compiling
    outside/<key>/libgolib-outside.so      moved there when it is whole

A process has it by LD_PRELOAD, for it also takes the library's questions to pthread_getattr_np.
"""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import filelock

from golib.toolchains import build, package
from golib.toolchains.build import BRIDGE, BuildError
from golib.toolchains.toolchain import c_compiler

SOURCES = (
    *(BRIDGE / f"{name}.c" for name in ("frames", "record", "signals", "stacks", "threads")),
    BRIDGE.parent / "outside" / "outside.c",
)
"""The bridge's C that knows no Go, and what stands for the rest of it."""
_FLAGS = ("-shared", "-fPIC", "-O2", "-g", "-pthread", "-Wl,-z,defs", f"-I{BRIDGE}")
COMPILE_SECONDS = 120
"""For six small files: half a second, and many times that on a loaded machine."""
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
    compiler = shlex.split(c_compiler())
    headers = sorted(BRIDGE.glob("*.h"))
    key = hashlib.sha256(repr((compiler, _FLAGS)).encode())
    for source in (*SOURCES, *headers):
        key.update(source.read_bytes())
    entry = build.cache_folder() / "outside" / key.hexdigest()[:16]
    product = entry / "libgolib-outside.so"
    if any(separator in str(product) for separator in _SEPARATORS):
        raise BuildError(
            f"{product} cannot be preloaded, because LD_PRELOAD takes no path with a space or a colon in it;"
            " set GOLIB_CACHE to another folder"
        )
    try:
        entry.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(entry / "lock", timeout=2 * COMPILE_SECONDS):
            if not product.exists():
                with tempfile.TemporaryDirectory(dir=entry) as folder:
                    _compile(compiler, Path(folder) / product.name).replace(product)
    except filelock.Timeout as error:
        raise BuildError(f"another process has held {entry / 'lock'} for too long; end it") from error
    except OSError as error:
        raise BuildError(
            f"the cache {entry} cannot be used: {error}; set GOLIB_CACHE to another folder"
        ) from error
    return product


def _compile(compiler: list[str], draft: Path) -> Path:
    try:
        done = subprocess.run(
            [*compiler, *_FLAGS, "-o", str(draft), *map(str, SOURCES)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=COMPILE_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise BuildError(
            f"the C compiler {shlex.join(compiler)!r} is not on PATH, and golib needs one to drive a library"
            " from outside; install it or set CC"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{shlex.join(compiler)} was not done within {COMPILE_SECONDS} s") from error
    if done.returncode != 0:
        raise BuildError(
            f"{shlex.join(compiler)} cannot compile golib's driver:\n{package.bounded(done.stdout)}"
        )
    return draft


def variables() -> tuple[tuple[str, str], ...]:
    """What the environment of its process must have at exec.  Raises BuildError."""
    return (("LD_PRELOAD", str(driver())),)
