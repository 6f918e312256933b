"""The main thread, whose bounds follow RLIMIT_STACK: small, usual, large, unlimited."""

from __future__ import annotations

import pytest

from golib import GC, C, Go, Panic, Python, Setrlimit, Stack

KIB = 1024


@pytest.fixture(params=[256 * KIB, 512 * KIB, 8192 * KIB, 1 << 30, "unlimited"], ids=lambda n: f"limit={n}")
def limit(request):
    return request.param


def test_calls(check, limit, bounds):
    outcome = check(Go(GC()), C(Go(GC()), stack=40_000), Go(C(Go())), stack_limit=limit, bounds=bounds)
    lo, hi = outcome.events[-1].told
    if bounds == "real" and limit != "unlimited":
        assert limit - 256 * KIB < hi - lo <= limit
    if bounds == "real" and limit == "unlimited":
        assert hi - lo > 1 << 30


def test_python_between(check, limit):
    check(Go(Python(Go(GC()))), stack_limit=limit)


def test_foreign_stacks(check, limit, bounds):
    below = Stack(Go(GC()), region=-1)
    check(Go(), below, Go(below, Stack(Go(GC()), region=1), C(Go())), stack_limit=limit, bounds=bounds)


def test_a_panic(check, limit):
    check(Go(C(Go(Panic()), stack=40_000), recover=True), Go(), stack_limit=limit)


@pytest.mark.parametrize("first", [1 << 20, 64 << 20], ids=lambda size: f"to={size}")
def test_the_limit_changes_between_calls(check, first, bounds):
    # What was accurate stays: nothing is asked while SP is inside.
    check(C(Setrlimit(stack=first)), Go(), C(Setrlimit(stack=8 << 20)), Go(C(Go())), Go(), bounds=bounds)
