"""The same thread on another stack, at higher and at lower addresses, between calls and inside them:
bounds that do not contain SP are given up for an estimate, and come back with the stack."""

from __future__ import annotations

import pytest

from golib import GC, C, Go, Python, Stack
from golib.case.calltree import REGIONS
from golib.case.script import Phase


@pytest.fixture(params=[-2, -1, 1, 2], ids=lambda region: f"region={region}")
def region(request):
    return request.param


def test_first_call_of_a_thread(check, region, bounds, thread, on):
    check(*on(thread, Stack(Go(GC()), region=region), Go(GC())), bounds=bounds)


def test_between_calls(check, region, bounds, thread, on):
    check(*on(thread, Go(), Stack(Go(GC()), region=region), Go(GC())), bounds=bounds)


def test_inside_a_call(check, region, bounds, thread, on):
    outcome = check(*on(thread, Go(C(Go()), Stack(Go(GC()), region=region), C(Go(GC())))), bounds=bounds)
    entered = [e.values["sched_sp"] for e in outcome.events if e.phase is Phase.ENTERED and e.in_go]
    away, home = entered[2], entered[0]
    assert (away > home) == (region > 0), "the foreign stack lies on the wrong side"


def test_from_one_foreign_stack_to_another_and_back(check, bounds):
    first, second, third = 1, -1, 2
    inner = Stack(Go(GC()), region=third)
    check(Stack(Go(Stack(Go(inner), region=second), C(Go())), region=first), Go(), bounds=bounds)


def test_all_of_them_one_inside_the_other(check, bounds):
    tree = Go(GC())
    for number in REGIONS:
        tree = Go(Stack(tree, region=number), C(Go()))
    check(tree, bounds=bounds)


def test_all_of_them_one_after_the_other(check, bounds, thread, on):
    check(*on(thread, *(Stack(Go(), region=number) for number in REGIONS), Go()), bounds=bounds)


def test_the_same_one_again(check, region, bounds):
    check(C(Stack(Go(), region=region), Go(), times=20), bounds=bounds)


def test_deep_on_a_foreign_stack(check, region, bounds):
    check(Go(Stack(C(Go(C(Go(GC()), stack=40_000)), stack=40_000), region=region), GC()), bounds=bounds)


def test_python_on_a_foreign_stack(check, region, bounds):
    check(Go(Stack(Python(Go(GC())), region=region), Python(Go())), bounds=bounds)


def test_accurate_again_at_home(check, region, thread, on):
    outcome = check(*on(thread, Go(), Stack(Go(), region=region), Go()))
    flags = [e.values.get("accurate") for e in outcome.events if e.phase is Phase.ENTERED and e.in_go]
    assert flags == [1, 0, 1]
