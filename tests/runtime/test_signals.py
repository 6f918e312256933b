"""A signal handler asks for no bounds, on a thread that never called Go and on one that did, on its own
stack and on a foreign one.  What a thread has blocked stays blocked."""

from __future__ import annotations

import pytest

from golib import C, Go, Panic, Signal, Stack, Thread, Together
from golib.case.calltree import SIGNALS


@pytest.fixture(params=sorted(SIGNALS))
def signal(request):
    return Signal(name=request.param)


ON = ("notify", "cpuprofile")


def test_on_a_thread_that_never_called_go(check, signal, thread, on, bounds):
    outcome = check(*on(thread, C(signal, signal)), on=ON, bounds=bounds)
    assert all(event.queries == 0 for event in outcome.events)


def test_before_between_and_after_calls(check, signal, thread, on, bounds):
    check(*on(thread, C(signal, Go(), signal, Go(), signal)), on=ON, bounds=bounds)


@pytest.mark.parametrize("region", [-1, 1])
def test_on_a_foreign_stack_of_a_thread_that_never_called_go(check, signal, region):
    outcome = check(Thread(Stack(signal, region=region), signal), on=ON)
    assert all(event.queries == 0 for event in outcome.events)


@pytest.mark.parametrize("region", [-1, 1])
def test_on_a_foreign_stack_of_a_thread_that_did(check, signal, region, thread, on):
    check(*on(thread, C(Go(), Stack(signal, Go(), signal, region=region), signal, Go())), on=ON)


def test_below_a_go_frame(check, signal, bounds, thread, on):
    check(*on(thread, Go(C(signal, Go(C(signal, stack=40_000)), signal))), on=ON, bounds=bounds)


def test_below_a_go_frame_on_a_foreign_stack(check, signal, bounds):
    check(Go(Stack(signal, Go(C(signal)), signal)), on=ON, bounds=bounds)


BLOCKED = "SIGUSR1"


def test_what_is_blocked_stays_blocked(check, bounds, thread, on):
    tree = C(Go(C(Go(), Stack(Go()))), Go(C(Go(Panic())), recover=True), Go())
    check(*on(thread, tree), blocked=BLOCKED, bounds=bounds)


def test_what_is_blocked_stays_blocked_to_the_end_of_a_thread(check):
    check(Thread(C()), Thread(Go()), Together(Thread(Go()), Thread(C(Go()))), Thread(Go()), blocked=BLOCKED)


def test_threads_that_go_makes_inherit_nothing(check):
    made = Go(Thread(C(Go(C())), kind="go"))
    check(made, Thread(made), blocked=BLOCKED)
