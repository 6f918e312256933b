"""The bounds of an M that Go made are left alone: callbacks below a goroutine locked to its thread."""

from __future__ import annotations

import pytest

from golib import GC, C, Go, Panic, Python, Stack, Thread, Together
from golib.case.script import Phase


def test_callbacks_below_a_goroutine(check, depth, bounds):
    outcome = check(Go(Thread(C(Go(GC()), C(Go(GC()), stack=depth)), kind="go")), bounds=bounds)
    inside = [e for e in outcome.events if e.phase is Phase.ENTERED and e.in_go and not e.values["isextra"]]
    assert inside, "no callback came in on an M that Go made"
    # A thread on which Go's init has run asked once then.
    assert len({event.queries for event in inside}) == 1


@pytest.mark.parametrize("region", [-1, 1], ids=["lower", "higher"])
def test_a_foreign_stack_between_callbacks(check, region, bounds):
    # SP is outside bounds that must not change: the runtime survives where no stack check comes.
    check(Go(Thread(C(Go()), C(Stack(C(), region=region)), C(Go()), kind="go")), bounds=bounds)


def test_python_below_a_goroutine(check, bounds):
    check(Go(Thread(Python(Go(GC(), Python(Go()))), kind="go")), bounds=bounds)


def test_a_panic_below_a_goroutine(check, bounds):
    check(Go(Thread(C(Go(C(Go(Panic()), stack=40_000), recover=True)), C(Go()), kind="go")), bounds=bounds)


def test_many_goroutines_at_once(check, bounds):
    threads = [Thread(C(Go(GC())), C(Go(), stack=8_000), kind="go") for _ in range(8)]
    check(Go(Together(*threads), C(Go())), bounds=bounds)


def test_a_native_thread_below_a_goroutine(check, bounds):
    check(Go(Thread(Thread(Go(C(Go()))), C(Go()), kind="go")), bounds=bounds)
