"""golib's own C without Go: sources -> a shared library, by the C compiler of cgo.

Each is compiled once, into a folder of the cache under a key of all that it is made of:

    NAME/<key>/lock                  held while compiling
    NAME/<key>/libgolib-NAME.so      moved there when it is whole
"""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import filelock

from golib.toolchains import build, package
from golib.toolchains.build import BRIDGE, BuildError
from golib.toolchains.toolchain import c_compiler

_FLAGS = ("-shared", "-fPIC", "-O2", "-g", f"-I{BRIDGE}")
COMPILE_SECONDS = 120
"""For a few small files: half a second, and many times that on a loaded machine."""

LAUNCH = BRIDGE.parent / "launch"


@cache
def launcher() -> Path:
    """What forks a child in which no Python runs (golib.run.launch).  Raises BuildError."""
    return compiled("launch", (LAUNCH / "launch.c",))


def compiled(name: str, sources: Sequence[Path], flags: Sequence[str] = ()) -> Path:
    """The library of these sources, from the cache where it is there.

    Raises BuildError when it cannot be compiled, with the compiler's own words, or not be kept.
    """
    compiler = shlex.split(c_compiler())
    key = hashlib.sha256(repr((compiler, _FLAGS, flags)).encode())
    folders = dict.fromkeys([BRIDGE, *(source.parent for source in sources)])
    headers = [header for folder in folders for header in sorted(folder.glob("*.h"))]
    for source in (*sources, *headers):
        key.update(source.read_bytes())
    entry = build.cache_folder() / name / key.hexdigest()[:16]
    product = entry / f"libgolib-{name}.so"
    try:
        entry.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(entry / "lock", timeout=2 * COMPILE_SECONDS):
            if not product.exists():
                with tempfile.TemporaryDirectory(dir=entry) as folder:
                    draft = Path(folder) / product.name
                    _compile([*compiler, *_FLAGS, *flags, "-o", str(draft), *map(str, sources)])
                    draft.replace(product)
    except filelock.Timeout as error:
        raise BuildError(f"another process has held {entry / 'lock'} for too long; end it") from error
    except OSError as error:
        raise BuildError(
            f"the cache {entry} cannot be used: {error}; set GOLIB_CACHE to another folder"
        ) from error
    return product


def _compile(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command,
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
            f"the C compiler {command[0]!r} is not on PATH, and golib needs one for its own C; install it or"
            " set CC"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{command[0]} was not done within {COMPILE_SECONDS} s") from error
    if done.returncode != 0:
        raise BuildError(f"{command[0]} cannot compile golib's own C:\n{package.bounded(done.stdout)}")
