"""Where on the stacks a scenario runs: a line each, with what breaks there.

Python frames need 64 KiB of stack; on smaller ones only C frames fit.

Pure: no process, no clock, no Go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from golib.case.calltree import KIB, C, Case, Go, Panic, Python, Stack, Thread, Together
from golib.case.legality import SMALLEST_PYTHON_STACK

MANY = 2000
"""Short threads, one after the other: more than Go keeps or a process may leak unseen."""
AT_ONCE = 8


@dataclass(frozen=True)
class Place:
    """A place, and the case that has the scenario there."""

    name: str
    breaks: str
    """What breaks there, one line."""
    report: str
    """A public report of it."""
    around: Callable[[Python], Case]
    elsewhere: bool = False
    """The library is loaded on a thread that is not the main one, which never calls Go."""
    greenlet: bool = False
    """The scenario runs in a greenlet, whose frames lie on the same stack and are copied away from it."""

    def case(self, call: str) -> Case:
        """With the scenario of that name."""
        return self.around(Python(call=call))


def _thread(kind: str, size: int) -> Callable[[Python], Case]:
    return lambda scenario: Case(Thread(scenario, kind=kind, stack=size))  # type: ignore[arg-type]


def _with(**world: object) -> Callable[[Python], Case]:
    return lambda scenario: Case(scenario, **world)  # type: ignore[arg-type]


PLACES = {
    place.name: place
    for place in (
        Place("main", "what breaks everywhere", "golang/go#68587", Case),
        Place(
            "python-least",
            "what uses more C stack than a service's small worker threads have",
            "golang/go#68285",
            _thread("python", SMALLEST_PYTHON_STACK),
        ),
        Place("python-64k", "the same, with room for Python", "golang/go#68285", _thread("python", 64 * KIB)),
        Place("python-1m", "bounds guessed too wide", "golang/go#68285", _thread("python", 1024 * KIB)),
        Place("python-64m", "bounds guessed too narrow", "golang/go#68285", _thread("python", 65536 * KIB)),
        Place("native", "threads that Python has not made", "golang/go#51676", _thread("native", 8192 * KIB)),
        Place("native-64k", "the same, on a small stack", "golang/go#51676", _thread("native", 64 * KIB)),
        Place(
            "memory",
            "stacks that the C library has not allocated",
            "golang/go#62440",
            _thread("memory", 1024 * KIB),
        ),
        Place("deep-64k", "C frames above the call", "golang/go#68285", lambda s: Case(C(s, stack=64 * KIB))),
        Place("deep-1m", "more of them", "golang/go#68285", lambda s: Case(C(s, stack=1024 * KIB))),
        Place(
            "foreign-below",
            "fibers: a stack that the thread's bounds do not contain",
            "golang/go#62440",
            lambda s: Case(Stack(s, region=-1)),
        ),
        Place(
            "foreign-above",
            "fibers that lie above the thread's stack",
            "golang/go#62440",
            lambda s: Case(Stack(s, region=1)),
        ),
        Place(
            "below-go",
            "the library called by what it called itself: Go, C, Python, the library",
            "golang/go#72870",
            lambda s: Case(Go(s)),
        ),
        Place(
            "panicking",
            "the library called by a deferred function while a panic passes",
            "golang/go#72870",
            lambda s: Case(Go(Go(Panic(), deferred=(s,)), recover=True)),
        ),
        Place("trace", "the execution trace is on", "golang/go#59830", _with(on=("trace",))),
        Place("cpuprofile", "the CPU profile is on", "golang/go#12238", _with(on=("cpuprofile",))),
        Place("blockprofile", "the block profile is on", "golang/go#12238", _with(on=("blockprofile",))),
        Place("mutexprofile", "the mutex profile is on", "golang/go#12238", _with(on=("mutexprofile",))),
        Place(
            "signals",
            "a stream of SIGUSR1, which os/signal takes",
            "golang/go#78883",
            _with(on=("notify",), signals="SIGUSR1"),
        ),
        Place(
            "hidden",
            "the C library does not tell the bounds, as on musl's main thread",
            "golang/go#68285",
            _with(bounds="hidden"),
        ),
        Place(
            "together",
            f"{AT_ONCE} threads at once: locks, and state that is not a thread's own",
            "golang/go#24608",
            lambda s: Case(Together(*[Thread(s, kind="native")] * AT_ONCE)),
        ),
        Place(
            "short-threads",
            f"{MANY} short threads one after the other: what a thread leaves behind",
            "golang/go#51676",
            lambda s: Case(C(Thread(s, kind="native", stack=1024 * KIB), times=MANY)),
        ),
        Place(
            "loaded-elsewhere",
            "imported on a thread that is not the main one, and used there",
            "golang/go#15943",
            Case,
            elsewhere=True,
        ),
        Place("greenlet", "greenlets, where greenlet is installed", "golang/go#62440", Case, greenlet=True),
    )
}
"""Every place by its name."""


def lines() -> list[str]:
    """A line for each place, for people."""
    width = max(map(len, PLACES))
    return [f"{place.name:<{width}}  {place.breaks} ({place.report})" for place in PLACES.values()]
