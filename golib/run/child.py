"""What a forked child does: loads the bridge, runs its cases, leaves.  And what its server does for it
before the fork.

Only a child loads a Go library, and one only.  What it finds goes into the trace; its exit status
says no more than that it came to its end.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from golib.case import calltree
from golib.case.calltree import Case
from golib.run import binding, process, structs
from golib.run.program import Program
from golib.run.trace import HARNESS_STATUS


@dataclass(frozen=True)
class Request:
    """Cases of one world, to be run one after the other in one child.  Their nodes are numbered as if
    they were one case."""

    library: str
    fields: structs.Fields
    cases: tuple[Case, ...]
    timeout: float  # seconds for each of them
    trace: str = ""  # where the execution trace goes, if the world has one on; else nowhere
    load: int = 0  # busy processes that the server keeps beside the child
    driver: str = ""  # of a library that is driven from outside: what drives it
    paths: tuple[str, ...] = ()  # where the modules of its scenarios are, before Python's own


def prepare(header: object) -> None:
    """What children inherit, done once by the server that forks them: no core files, SIGINT as in any
    program, and an exception in a ctypes callback, which would be printed and swallowed, is our fault, on
    record."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    def unraisable(seen: sys.UnraisableHookArgs) -> None:
        _fault(header, f"in a Python callback: {type(seen.exc_value).__name__}: {seen.exc_value}")
        sys.__unraisablehook__(seen)

    sys.unraisablehook = unraisable


Compiled = Sequence[Program | Exception]
"""Of each case its program, or why it has none: raised when its turn comes, after those before it."""


def compiled(request: Request, regions: Mapping[int, tuple[int, int]]) -> Compiled:
    """In the server, before the fork."""
    programs: list[Program | Exception] = []
    first = 0
    calls: dict[str, Callable[[], None]] = {}
    for case in request.cases:
        try:
            program = Program(case, regions, first, calls)
        except Exception as error:
            return [*programs, error]
        programs.append(program)
        first = program.end
    return programs


def main(request: Request, programs: Compiled, memory: int, header: object, server: int) -> NoReturn:
    """Never returns.  ``memory`` is the trace's address, ``server`` the process that forked us."""
    try:
        os.setsid()
        process.die_with_parent()
        if os.getppid() != server:
            os._exit(HARNESS_STATUS)
        if any(isinstance(program, Program) and program.python_threads for program in programs):
            _load_threading(header)
        _run(request, programs, memory, header)
        os._exit(0)
    except BaseException as error:
        _fault(header, f"{type(error).__name__}: {error}")
        os._exit(HARNESS_STATUS)


def _run(request: Request, programs: Compiled, memory: int, header: object) -> None:
    case = request.cases[0]
    for name, value in calltree.variables(case).items():
        if value:
            process.lay(name, value)
    on = case.on
    if on:
        # Go's os.Getenv reads what exec laid, C's getenv reads this.
        os.environ["GOLIB_WORLD"] = ",".join(on)
        os.environ["GOLIB_TRACE"] = request.trace
    if request.driver:
        bridge = binding.Bridge(request.driver, request.library)
    else:
        bridge = binding.Bridge(request.library)
    bridge.use(memory, request.fields)
    if on:
        bridge.wait_ready()
    limits = resource.getrlimit(resource.RLIMIT_STACK)
    for number, program in enumerate(programs):
        header.running = number  # type: ignore[attr-defined]
        # An earlier case may have lowered it: a case's world must not depend on its place in the row.
        resource.setrlimit(resource.RLIMIT_STACK, limits)
        if isinstance(program, Exception):
            raise program
        bridge.hide_bounds(program.case.bounds == "hidden")
        program.link(bridge)
        for name in program.scenarios:
            # Imported on the main thread, before its place is entered.
            program.calls[name] = _function(name, request.paths)
        program.run()
    if request.trace:
        bridge.stop_trace()


def _function(name: str, paths: tuple[str, ...]) -> Callable[[], None]:
    """What "module:function" names.  Raises ImportError and AttributeError."""
    from importlib import import_module  # of the user's modules, which no wall of ours knows

    sys.path[:0] = [path for path in paths if path not in sys.path]
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)  # type: ignore[no-any-return]


def _load_threading(header: object) -> None:
    """Only where it is needed, and only in the child: once loaded, it has work to do after each fork
    that touches a hundred pages.  An exception in a Python thread is our fault, as one in a callback."""
    import threading

    def in_thread(seen: threading.ExceptHookArgs) -> None:
        _fault(header, f"in a Python thread: {type(seen.exc_value).__name__}: {seen.exc_value}")
        threading.__excepthook__(seen)

    threading.excepthook = in_thread


def _fault(header: object, what: str) -> None:
    if not header.refused:  # type: ignore[attr-defined]
        header.refused = 1  # type: ignore[attr-defined]
        header.fault = what.encode()[:999]  # type: ignore[attr-defined]
