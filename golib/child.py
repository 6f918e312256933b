"""What a forked child does: loads the bridge, runs its cases, leaves.

Only a child loads a Go library, and one only.  What it finds goes into the trace; its exit status
says no more than that it came to its end.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from golib import binding
from golib.calltree import Case, leaves_interpreter
from golib.trace import HARNESS_STATUS


@dataclass(frozen=True)
class Request:
    """Cases of one world, to be run one after the other in one child.  Their nodes are numbered as if
    they were one case."""

    library: str
    fields: binding.Fields
    cases: tuple[Case, ...]
    timeout: float  # seconds for each of them
    trace: str = ""  # where the execution trace goes, if the world has one on; else nowhere


def main(
    request: Request, memory: int, header: object, regions: Mapping[int, tuple[int, int]], server: int
) -> NoReturn:
    """Never returns.  ``memory`` is the trace's address, ``server`` the process that forked us."""
    try:
        os.setsid()
        binding.die_with_parent()
        if os.getppid() != server:
            os._exit(HARNESS_STATUS)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _report_to(header)
        _run(request, memory, header, regions)
        os._exit(0)
    except BaseException as error:
        _fault(header, f"{type(error).__name__}: {error}")
        os._exit(HARNESS_STATUS)


def _run(request: Request, memory: int, header: object, regions: Mapping[int, tuple[int, int]]) -> None:
    # Go's os.Getenv reads what exec laid, C's getenv reads this.
    os.environ["GOLIB_WORLD"] = ",".join(request.cases[0].on)
    os.environ["GOLIB_TRACE"] = request.trace
    bridge = binding.Bridge(request.library)
    bridge.use(memory, request.fields)
    if request.cases[0].on:
        bridge.wait_ready()
    first = 0
    for number, case in enumerate(request.cases):
        header.running = number  # type: ignore[attr-defined]
        bridge.hide_bounds(case.bounds == "hidden")
        program = binding.Program(bridge, case, regions, first)
        bridge.run(program, case.signals, case.blocked, leaves_interpreter(case))
        first = program.end
    if request.trace:
        bridge.stop_trace()


def _fault(header: object, what: str) -> None:
    if not header.refused:  # type: ignore[attr-defined]
        header.refused = 1  # type: ignore[attr-defined]
        header.fault = what.encode()[:999]  # type: ignore[attr-defined]


def _report_to(header: object) -> None:
    """An exception in a ctypes callback is printed and swallowed: here it is our fault, on record."""

    def unraisable(seen: sys.UnraisableHookArgs) -> None:
        _fault(header, f"in a Python callback: {type(seen.exc_value).__name__}: {seen.exc_value}")
        sys.__unraisablehook__(seen)

    def in_thread(seen: threading.ExceptHookArgs) -> None:
        _fault(header, f"in a Python thread: {type(seen.exc_value).__name__}: {seen.exc_value}")
        threading.__excepthook__(seen)

    sys.unraisablehook = unraisable
    threading.excepthook = in_thread
