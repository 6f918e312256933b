"""Accurate bounds are kept: the number of questions does not grow with the number of calls."""

from __future__ import annotations

import pytest

from golib import C, Case, Go, Python, Stack

CALLS = 10_000


def queries(outcome, node: int) -> int:
    """How often the thread had asked when that node was left."""
    return [event.queries for event in outcome.events if event.node == node][-1]


def test_ten_thousand_calls_ask_once(check, thread, on):
    outcome = check(*on(thread, C(Go(), times=CALLS)))
    assert queries(outcome, 0 if thread == "main" else 1) == 1


def test_ten_thousand_calls_below_a_go_frame_ask_no_more(check, thread, on):
    outcome = check(*on(thread, Go(C(Go(), times=CALLS))))
    assert queries(outcome, 1 if thread == "main" else 2) == 1


def test_calls_through_python_ask_once(check):
    outcome = check(C(Python(Go(Python(Go()))), times=500))
    assert queries(outcome, 0) == 1


def test_calls_of_all_depths_ask_once(check, depth, thread, on):
    check(*on(thread, C(Go(), C(Go(), stack=depth), Go(), times=50)))


@pytest.mark.parametrize("bounds", ["hidden", "absent"])
def test_an_estimate_is_never_kept(check, bounds, thread, on):
    outcome = check(*on(thread, C(Go(), times=100)), bounds=bounds)
    asked = queries(outcome, 0 if thread == "main" else 1)
    assert asked == (101 if bounds == "hidden" else 0)


def test_back_on_its_own_stack_a_thread_asks_no_more_than_once(check, thread, on):
    check(*on(thread, C(Go(), Stack(Go()), Go(), times=100)))


def test_the_main_thread_under_every_limit_asks_once(check, limit):
    outcome = check.case(Case(C(Go(), times=100), stack_limit=limit))
    assert queries(outcome, 0) == 1


@pytest.fixture(params=[256 * 1024, 1 << 20, 64 << 20, "unlimited"], ids=lambda limit: f"limit={limit}")
def limit(request):
    return request.param
