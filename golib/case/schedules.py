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

ACTS: tuple[tuple[Node, int], ...] = (
    *((Go(), 5),) * 3,
    (Go(GC()), 250),
    (Go(Block()), 20),
    (Go(Traceback()), 60),
    (Go(C(Go())), 10),
    (Go(Grow(stack=64 * calltree.KIB)), 30),
    (Go(calltree.Yield()), 10),
    (Go(calltree.LockThread()), 15),
)
"""What a thread does once, and how many microseconds that takes, roughly: what shows in some runs only wants
many short ones."""
STOPS: tuple[tuple[Node, int], ...] = (
    (Go(GC()), 250),
    (Go(Traceback()), 60),
    (Go(Traceback(), Traceback(), Traceback()), 180),
)
"""What stops the world."""
START = 80
"""Microseconds for the threads of one Together to start and to be joined."""
BUDGET = 100_000
"""Microseconds of a case."""


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
    """Threads that do the same over and over, and how often."""
    threads, cost = [], START
    for _ in range(choose((2, 3, 4, 5))):
        act, microseconds = choose(ACTS)
        times = min(choose((20, 50, 200, 300)), BUDGET // 5 // microseconds)
        threads.append(Thread(C(act, times=times)))
        cost += times * microseconds
    return threads, min(choose((1, 5, 30)), max(1, BUDGET // cost))


def _meeting(choose: Choose) -> tuple[list[Thread], int]:
    """One stops the world when others are about to call Go or to end."""
    stop, cost = choose(STOPS)
    delay = Delay(ns=choose((5_000, 20_000, 100_000)), steps=choose((50, 100)))
    others = [
        Thread(*([Go()] if choose((True, True, False)) else []), Gate("a"), delay, *choose(((), (Go(),))))
        for _ in range(choose((1, 1, 2)))
    ]
    cost += START + delay.ns // 2000
    return [Thread(Gate("a"), stop), *others], min(600, BUDGET // cost)
