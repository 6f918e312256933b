"""Stacks that are no tree: a coroutine of C's waits in the middle, with callbacks under way or without,
while its thread goes on elsewhere, and is resumed.

Nothing is written about it; what is asked for is that the youngest callback ends first, on its own thread.
"""

import pytest

from golib import GC, C, Go, Python, Resume, Signal, Stack, Suspend, Thread, Traceback

REGIONS = (1, -1)

PLACES = {
    "main": lambda *body: C(*body),
    "second": lambda *body: C(Go(), *body, Go()),
    "thread": lambda *body: Thread(C(*body)),
    "below-go": lambda *body: Go(C(*body), GC()),
    "go-thread": lambda *body: Go(Thread(C(*body), kind="go")),
    "below-python": lambda *body: Go(Python(C(*body))),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("region", REGIONS)
def test_left_with_no_callback_under_way(check, place, region):
    waits = Stack(C(Go(), Suspend(), Go(GC())), region=region)
    check(PLACES[place](waits, Go(C(Go())), Resume(region=region)))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("region", REGIONS)
def test_left_inside_a_callback(check, place, region):
    waits = Stack(Go(C(Suspend(), Go(GC()))), region=region)
    check(PLACES[place](waits, Go(Traceback()), Resume(region=region), Go()))


@pytest.mark.parametrize("region", REGIONS)
def test_goes_on_in_another_callback(check, region):
    """Nothing of Go's waits on the foreign stack, so that it goes on wherever it is resumed."""
    check(C(Go(), Stack(C(Suspend(), Go()), region=region), Go(C(Resume(region=region))), Go()))
    check(C(Go(Stack(Suspend(), region=region)), Go(Go(C(Resume(region=region)))), Go()))
    check(C(Go(Stack(Suspend(), region=region)), C(Go(C(Resume(region=region))), stack=40_000), Go()))
    check(C(Go(Stack(Suspend(), region=region)), Resume(region=region), Go()))
    check(C(Go(Stack(C(Suspend(), Go()), region=region)), Go(C(Resume(region=region))), Go(GC())))


@pytest.mark.parametrize("place", PLACES)
def test_two_wait_and_the_younger_goes_on_first(check, place):
    first, second = (Stack(Go(C(Suspend(), Go())), region=region) for region in (2, -2))
    check(PLACES[place](first, Go(), second, Go(GC()), Resume(region=-2), Go(), Resume(region=2)))


def test_it_waits_again_and_again(check):
    waits = Stack(Go(C(Suspend(), Go(C(Suspend(), Go())), Suspend())))
    check(C(waits, Go(), Resume(), Go(C(Go())), Resume(), Go(GC()), Resume(), Go()))


def test_resumed_from_deeper_and_from_another_foreign_stack(check):
    waits = Stack(Go(C(Suspend(), Go())))
    check(C(waits, C(Resume(), Go(), stack=40_000)))
    check(C(waits, Stack(Resume(), Go(), region=3), Go()))


def test_its_own_stack_is_used_below_it(check):
    """What stands on the thread's stack runs while a callback from the foreign one is under way."""
    check(C(Go(), Stack(Go(C(Suspend()))), C(Go(C(Go())), stack=100_000), Resume(), Go()))


def test_signals_come_meanwhile(check):
    waits = Stack(Go(C(Suspend(), Signal(C()), Go())))
    check(C(waits, Signal(C()), Go(GC()), Resume(), Signal(C())))
    check(C(waits, Go(GC()), Resume()), signals="SIGURG")


@pytest.mark.parametrize("bounds", ["hidden", "absent"])
def test_where_bounds_are_guessed(check, bounds):
    check(C(Stack(Go(C(Suspend(), Go()))), Go(C(Go())), Resume(), Go()), bounds=bounds)
