"""Threads with stacks of any size, from the smallest that works to 64 MiB."""

from __future__ import annotations

import pytest

from golib import GC, C, Go, Grow, Python, Traceback
from golib.case.calltree import ESTIMATE_BELOW, KIB
from golib.case.legality import GO_FRAME, PYTHON_FRAME, RESERVE, SMALLEST_PYTHON_STACK
from golib.case.script import Phase

SIZES = [48 * KIB, 64 * KIB, 72 * KIB, 128 * KIB, 256 * KIB, 1 << 20, 8 << 20, 64 << 20]


@pytest.fixture(params=SIZES, ids=lambda size: f"size={size}")
def size(request):
    """Or the least that this Python takes for a thread of its own."""
    python = "kind" in request.fixturenames and request.getfixturevalue("kind") == "python"
    return max(request.param, SMALLEST_PYTHON_STACK) if python else request.param


@pytest.fixture(params=["native", "memory", "python"])
def kind(request):
    return request.param


def room(size: int, kind: str, bounds: str) -> int:
    """Bytes that a C frame can hold there with a Go frame below it that works."""
    used = 4 * KIB + (PYTHON_FRAME if kind == "python" else 0) + 3 * GO_FRAME + RESERVE
    return size - used - (ESTIMATE_BELOW if bounds != "real" else 0)


def test_work_at_the_end_of_the_stack(check, size, kind, bounds, on):
    """As deep as the stack lets a callback be."""
    left = room(size, kind, bounds)
    if left < 0:
        bounds, left = "real", room(size, kind, "real")
    work = (GC(), Grow(stack=100_000), Traceback())
    outcome = check(*on(kind, C(Go(*work), stack=left), Go(), stack=size), bounds=bounds)
    told = outcome.events[-1].told if bounds == "real" else (0, 0)
    inside = next(e for e in outcome.events if e.phase is Phase.ENTERED and e.in_go)
    if bounds == "real":
        assert inside.told[1] - inside.told[0] <= size
        assert inside.values["sched_sp"] - inside.told[0] < 32 * KIB, "not at the end of the stack"
    assert told is not None


def test_calls_on_it(check, size, kind, on):
    check(*on(kind, Go(GC()), C(Go(GC()), stack=1_000), Go(C(Go(GC()))), stack=size))


@pytest.mark.parametrize("size", [64 * KIB, 128 * KIB, 1 << 20, 64 << 20])
def test_python_between_on_it(check, size, kind, on):
    check(*on(kind, Go(Python(Go(GC()))), stack=size))


def test_the_smallest_python_thread(check, on):
    check(*on("python", Go(GC()), stack=SMALLEST_PYTHON_STACK))


@pytest.mark.parametrize("kind", ["native", "memory"])
def test_the_smallest_native_thread(check, kind, on):
    check(*on(kind, Go(GC()), stack=24 * KIB))
