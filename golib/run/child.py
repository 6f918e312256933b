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
from dataclasses import dataclass, field
from typing import NoReturn

from golib.case import calltree
from golib.case.calltree import Case
from golib.case.prototype import Prototype
from golib.case.script import ALL_SIGNALS
from golib.run import binding, process, structs
from golib.run.program import Program
from golib.run.trace import CALL_STATUS, HARNESS_STATUS


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
    exports: Mapping[str, Prototype] = field(default_factory=dict)  # those that the cases call from Python
    driver: str = ""  # of a library that is driven from outside: what drives it
    calls: bool = False  # whether a scenario runs in it
    scenario: str = ""  # the test that it is, as the host of scenarios knows it
    paths: tuple[str, ...] = ()  # where the modules of other scenarios are
    launcher: str = ""  # forks a child in which no Python runs (golib.run.launch); empty: Python always does
    pinned: bool = False  # whether the child keeps to one processor, with all its threads
    told: int = -1  # the server says: the descriptor where the host writes what became of the scenario


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


class CallError(Exception):
    """A scenario is not to be had: one sentence."""


class Host:
    """Who lends a child the functions of its scenarios.  This one knows "module:function"; golib.scenario
    runs tests."""

    def __init__(self) -> None:
        self.calls: dict[str, Callable[[], None]] = {}

    def check(self) -> None:
        """In the server, before a fork.  Raises RuntimeError where this process must not fork any more."""

    def prepare(self, request: Request) -> None:
        """In the server, before a fork: loads what its children need, if that is safe."""

    def around(self, request: Request, run: Callable[[], Sequence[Program]]) -> None:
        """In the child: calls ``run``, which runs the request's cases, once at most."""
        if not request.calls:
            run()
            return
        sys.path[:0] = [path for path in request.paths if path not in sys.path]
        for case in request.cases:  # imported on the main thread, before its place is entered
            self.calls |= {name: _function(name) for name in case.calls()}
        raised = [error for program in run() for error in program.raised]
        if raised:
            sys.excepthook(type(raised[0]), raised[0], raised[0].__traceback__)
            tell(request, f"{type(raised[0]).__name__}: {raised[0]}")


Compiled = Sequence[Program | Exception]
"""Of each case its program, or why it has none: raised when its turn comes, after those before it."""


def compiled(request: Request, regions: Mapping[int, tuple[int, int]], host: Host) -> Compiled:
    """In the server, before the fork."""
    programs: list[Program | Exception] = []
    first = 0
    for case in request.cases:
        try:
            program = Program(case, regions, first, host.calls)
        except Exception as error:
            return [*programs, error]
        programs.append(program)
        first = program.end
    return programs


def main(
    request: Request, programs: Compiled, memory: int, header: object, server: int, host: Host
) -> NoReturn:
    """Never returns.  ``memory`` is the trace's address, ``server`` the process that forked us."""
    try:
        os.setsid()
        process.die_with_parent()
        if os.getppid() != server:
            os._exit(HARNESS_STATUS)
        threads = any(isinstance(program, Program) and program.python_threads for program in programs)
        if threads and not request.calls:  # what its own threads raise is the scenario's affair
            _load_threading(header)
        if processors := request.cases[0].processors or int(request.pinned):
            process.pin(processors)
        lay(request)
        host.around(request, lambda: _run(request, programs, memory, header))
        os._exit(0)
    except CallError as error:
        _fault(header, str(error))
        os._exit(CALL_STATUS)
    except BaseException as error:
        _fault(header, f"{type(error).__name__}: {error}")
        os._exit(HARNESS_STATUS)


def lay(request: Request) -> None:
    """The world of the request's cases, before anything loads Go."""
    case = request.cases[0]
    world(case, request.trace)
    if "early" in case.handlers:
        mask = ALL_SIGNALS if "masked" in case.handlers else 0
        for name in {name for one in request.cases for name in one.handled()}:
            process.handle(calltree.HANDLED[name], onstack="nostack" not in case.handlers, mask=mask)


def world(case: Case, trace: str) -> None:
    """What the environment says of the case's world."""
    for name, value in calltree.variables(case).items():
        if value:
            process.lay(name, value)
    if case.on:
        # Go's os.Getenv reads what exec laid, C's getenv reads this.
        os.environ["GOLIB_WORLD"] = ",".join(case.on)
        os.environ["GOLIB_TRACE"] = trace


def _run(request: Request, programs: Compiled, memory: int, header: object) -> list[Program]:
    if request.cases[0].second == "before":
        binding.load_second(request.library)
    bridge = (
        binding.Bridge(request.driver, request.library) if request.driver else binding.Bridge(request.library)
    )
    if request.cases[0].second == "after":
        binding.load_second(request.library)
    bridge.use(memory, request.fields)
    bridge.exports = request.exports
    if request.cases[0].on:
        bridge.wait_ready()
    ran: list[Program] = []
    limits = resource.getrlimit(resource.RLIMIT_STACK)
    for number, program in enumerate(programs):
        header.running = number  # type: ignore[attr-defined]
        # An earlier case may have lowered it: a case's world must not depend on its place in the row.
        resource.setrlimit(resource.RLIMIT_STACK, limits)
        if isinstance(program, Exception):
            raise program
        bridge.hide_bounds(program.case.bounds == "hidden")
        program.link(bridge)
        program.run()
        ran.append(program)
    if request.trace:
        bridge.stop_trace()
    return ran


def tell(request: Request, raised: str, reports: str = "") -> None:
    """Leaves for the server what became of a scenario: the exception, of which one line is told, or nothing;
    and what the host has to report."""
    line = (raised.strip().splitlines() or [""])[0]
    os.pwrite(request.told, f"{line}\n{reports}".encode(errors="replace"), 0)


def _function(name: str) -> Callable[[], None]:
    """What "module:function" names.  Raises CallError."""
    from importlib import import_module  # of the user's modules, which no wall of ours knows

    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function)
    except Exception as error:
        raise CallError(
            f'call={name!r} cannot be had: {type(error).__name__}: {error}; it is "module:function", and'
            " the module lies where this Python looks for modules"
        ) from error
    if not callable(found):
        raise CallError(f"call={name!r} is {found!r}, which cannot be called")
    return found  # type: ignore[no-any-return]


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
