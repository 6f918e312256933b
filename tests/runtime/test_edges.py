"""Callbacks at the edges of the bounds that are in force: one slot inside, on the edge, one outside.

Frames are 16-byte aligned, so a C frame can put the next callback's SP on any slot: the size is
measured first, on this release and compiler, then the case asserts from its trace where it stood.
"""

from __future__ import annotations

import pytest

from golib import GC, C, Go, Setrlimit, Stack
from golib.case.calltree import ESTIMATE_ABOVE, ESTIMATE_BELOW, KIB
from golib.case.script import Phase

SLOT = 16


def callbacks(outcome) -> list[int]:
    """SP of each callback into Go, in order (runtime: g0.sched.sp)."""
    return [e.values["sched_sp"] for e in outcome.events if e.phase is Phase.ENTERED and e.in_go]


def nested(depth: int) -> Go:
    return Go(C(Go(GC()), stack=depth), C(Go()))


@pytest.fixture
def frame(check):
    """Bytes between an outer callback's SP and the inner one's, beside what the C frame holds."""
    probe = 4096
    outer, inner, *_ = callbacks(check(nested(probe)))
    return outer - inner - probe


@pytest.mark.parametrize("slots", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("edge", ["estimate", "guard"])
@pytest.mark.parametrize("bounds", ["hidden", "absent"])
def test_below_an_outer_estimate(check, frame, edge, slots, bounds):
    guard = 928 if edge == "guard" else 0
    distance = ESTIMATE_BELOW - guard + slots * SLOT
    outcome = check(nested((distance - frame) // SLOT * SLOT), bounds=bounds)
    outer, inner, *_ = callbacks(outcome)
    assert abs(outer - inner - distance) < SLOT, "not at the edge"


@pytest.mark.parametrize("slots", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("bounds", ["hidden", "absent"])
def test_above_an_earlier_estimate(check, slots, bounds):
    # A call, then one from so much less deep that SP passes the first one's upper bound.
    step = ESTIMATE_ABOVE + slots * SLOT
    outcome = check(C(Go(GC()), stack=8192 + step), C(Go(GC()), stack=8192), bounds=bounds)
    first, second = callbacks(outcome)
    assert second - first == step


@pytest.mark.parametrize("slots", [0, 1, 2, 64])
def test_at_the_upper_edge_of_a_foreign_stack(check, slots, bounds):
    # makecontext starts at the very end: the estimate's upper bound reaches over it.
    outcome = check(Go(), Stack(C(Go(GC()), stack=slots * SLOT), region=1), Go(), bounds=bounds)
    assert len(callbacks(outcome)) == 3


@pytest.mark.parametrize("slots", [0, 1, 64])
def test_at_and_below_the_lower_edge_of_known_bounds(check, slots):
    # The main thread learns its bounds under a low limit, then goes deeper than they reach.
    def calls(depth: int) -> tuple[object, ...]:
        return Setrlimit(stack=256 * KIB), Go(), Setrlimit(stack=8 << 20), C(Go(GC()), stack=depth)

    probe = check(*calls(200 * KIB))
    _, inside = callbacks(probe)
    known = next(e.bounds[0] for e in probe.events if e.phase is Phase.ENTERED and e.in_go)
    outcome = check(*calls(200 * KIB + inside - known + slots * SLOT))
    assert callbacks(outcome)[1] == known - slots * SLOT


@pytest.mark.parametrize("slots", [0, 1, 64])
def test_at_and_below_the_lower_edge_of_what_is_answered(check, slots):
    # The stack is there; the limit, and so the answer, is lowered afterwards.
    def calls(depth: int) -> tuple[object, ...]:
        return C(stack=600 * KIB), Setrlimit(stack=256 * KIB), C(Go(GC()), stack=depth)

    probe = check(*calls(300 * KIB))
    (outside,) = callbacks(probe)
    answered = probe.events[-1].told[0]
    outcome = check(*calls(300 * KIB + outside - answered + slots * SLOT))
    assert callbacks(outcome) == [answered - slots * SLOT]
