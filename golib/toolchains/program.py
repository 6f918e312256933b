"""A reproducer's files (``golib.show.reproducer``) on disk: built by a toolchain through its own run.sh, and
run by it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from golib.toolchains.build import BUILD_SECONDS, BuildError
from golib.toolchains.toolchain import Toolchain

AGAIN = 3
"""Exit status of a program that did not get the memory where it wants it."""
_TRIES = 5
_OUT_OF_TIME = (124, 128 + signal.SIGKILL)
"""Exit statuses of timeout(1)."""
_SLACK = 30
"""Seconds that a hung program may take for its stacks."""
_DROPPED = ("GOROOT", "GOWORK", "GODEBUG", "GOMAXPROCS", "GOGC", "GOMEMLIMIT", "GOTRACEBACK", "GOFLAGS")


@dataclass(frozen=True)
class Run:
    """How one run of a program ended."""

    status: int
    """A wait status."""
    stdout: str
    stderr: str
    timed_out: bool


def write(files: Mapping[str, str], folder: Path) -> None:
    """Writes them there.  Raises BuildError, one sentence, where that cannot be."""
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o755 if name.endswith(".sh") else 0o644)
    except OSError as error:
        raise BuildError(
            f"{folder}: the program cannot be written there: {error.strerror}; name another folder by --out"
        ) from error


def build(toolchain: Toolchain, folder: Path, mode: str = "c-archive", overlay: Path | None = None) -> None:
    """``run.sh build`` there; ``overlay`` is one that any go command takes.  Raises BuildError with the end
    of what it said."""
    try:
        done = _shell(toolchain, folder, mode, BUILD_SECONDS, "build", overlay=overlay)
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{folder}: run.sh build took more than {BUILD_SECONDS} s") from error
    if done.returncode:
        raise BuildError(f"{folder}: run.sh build failed: {(done.stderr or done.stdout).strip()[-2000:]}")


def run(folder: Path, seconds: int) -> Run:
    """Runs what was built there; ``seconds`` is what run.sh gives it."""
    for _ in range(_TRIES):
        done = _shell(None, folder, "", seconds + _SLACK, "run")
        if done.returncode != AGAIN:
            break
    code = done.returncode
    timed_out = code in _OUT_OF_TIME or -code == signal.SIGKILL
    if code < 0:
        code = -code
    elif code > 128:
        code -= 128
    else:
        code <<= 8
    return Run(code, done.stdout, done.stderr, timed_out)


def _shell(
    toolchain: Toolchain | None,
    folder: Path,
    mode: str,
    seconds: float,
    *arguments: str,
    overlay: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    environment |= {"GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}
    if overlay:
        environment["GOFLAGS"] += f" '-overlay={overlay}'"
        # A fetched toolchain lies below the user's, where an overlay may replace nothing.
        environment["GOMODCACHE"] = str(overlay.with_name("modules"))
    if toolchain:
        environment |= {"GO": str(toolchain.go), "MODE": mode}
    return subprocess.run(
        ["bash", str(folder / "run.sh"), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )


def clean(folder: Path) -> None:
    """Removes what was built there."""
    for name in ("lib.a", "lib.so", "lib/lib.h", "second.so", "second.h", "reproducer"):
        (folder / name).unlink(missing_ok=True)


def vet(toolchain: Toolchain, folder: Path) -> str:
    """What `go vet` says of its Go; nothing where all is well."""
    done = subprocess.run(
        [toolchain.go, "vet", "./lib"],
        env={**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": ""},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr if done.returncode else ""


def readable(text: str, folder: Path) -> str:
    """A program's words without the folders of this machine.  Beside its own files there are Go's only."""
    text = text.replace(f"{folder}/", "").replace(f"{folder}", ".")
    return re.sub(r"(?<=\t)/\S+?/src/(?=\S+\.(?:go|s):\d)", "$GOROOT/src/", text)


def bash() -> str | None:
    """The shell that run.sh is for, if there is one."""
    return shutil.which("bash")
