"""Cases about time: threads that meet, run again and again, and are taken off their processors.

What is drawn here is how often each of them does what, where they wait for each other, a delay that is swept,
on how many processors, and under which policy; what each does is little.  A fault of this kind shows in some
runs only, and what makes one more likely hides another, so that all is drawn.

Pure: no process, no clock, no Go.
"""

from __future__ import annotations

from typing import Any

from golib.case import calltree
from golib.case.calltree import GC, Block, C, Case, Delay, Gate, Go, Grow, Node, Thread, Together, Traceback
from golib.case.grammar import Choose

ACTS: tuple[Node, ...] = (
    *(Go(), Go(), Go()),
    Go(GC()),
    Go(Block()),
    Go(Traceback()),
    Go(C(Go())),
    Go(Grow(stack=64 * calltree.KIB)),
    Go(calltree.Yield()),
    Go(calltree.LockThread()),
)
"""What a thread does once."""
STOPS: tuple[Node, ...] = (Go(GC()), Go(Traceback()), Go(Traceback(), Traceback(), Traceback()))
"""What stops the world."""


def case(choose: Choose) -> Case:
    """The case that these choices make; it is legal."""
    world: dict[str, Any] = {}
    signal = choose(("", *calltree.SIGNALS, "SIGUSR1"))
    on = [calltree.NEEDS[signal]] if signal in calltree.NEEDS else []
    on += ["trace"] if choose((False, True)) and "trace" not in on else []
    for name, value in (
        ("signals", signal),
        ("on", tuple(on)),
        ("gomaxprocs", choose((0, 0, 0, 1))),
        ("processors", choose((0, 0, 1))),
    ):
        if value:
            world[name] = value
    policy = choose(("", "idle"))
    made = choose((_load, _load, _meeting))(choose)
    return Case(C(Together(*made[0], policy=policy), times=made[1]), **world)


def _load(choose: Choose) -> tuple[list[Thread], int]:
    """Threads that do the same over and over."""
    threads = [Thread(C(choose(ACTS), times=choose((20, 50, 200, 300)))) for _ in range(choose((2, 3, 4, 5)))]
    return threads, choose((1, 5, 30))


def _meeting(choose: Choose) -> tuple[list[Thread], int]:
    """One stops the world when others are about to call Go or to end."""
    delay = Delay(ns=choose((5_000, 20_000, 100_000)), steps=choose((50, 100)))
    others = [
        Thread(*([Go()] if choose((True, True, False)) else []), Gate("a"), delay, *choose(((), (Go(),))))
        for _ in range(choose((1, 1, 2)))
    ]
    threads = [Thread(Gate("a"), choose(STOPS)), *others]
    return threads, choose((200, 600))
