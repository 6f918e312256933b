"""Bounds are saved, updated and restored at every callback: C -> Go -> C -> Go, two to six deep."""

from __future__ import annotations

import pytest

from golib import GC, C, Go, Grow, Node, Panic, Python, Traceback, Yield

SHAPES = {
    "flat": (0, 0, 0, 0, 0),
    "deep": (40_000, 40_000, 40_000, 40_000, 40_000),
    "alternating": (40_000, 0, 40_000, 0, 40_000),
    "small": (700, 700, 700, 700, 700),
}


def nest(levels: int, depths: tuple[int, ...], python: bool, innermost: Node) -> Node:
    """Go frames, ``levels`` of them, each below a C frame (or a Python frame below a C frame), each
    calling once before and once after."""
    tree: Node = Go(innermost)
    for level in range(levels - 1):
        between = (Python(tree),) if python else (tree,)
        tree = Go(C(Go(), C(*between, stack=depths[level % len(depths)]), Go()))
    return tree


@pytest.mark.parametrize("python", [False, True], ids=["C", "Python"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("levels", [2, 3, 4, 5, 6])
def test_every_level_gets_its_own_bounds_and_its_old_ones_back(check, levels, shape, python, bounds):
    outcome = check(nest(levels, SHAPES[shape], python, GC()), bounds=bounds)
    assert max(event.values.get("ncgo", 0) for event in outcome.events) >= levels - 1


def test_shallow_deep_shallow(check, depth, bounds, thread, on):
    check(*on(thread, Go(C(Go(GC()), C(Go(GC()), stack=depth), Go(GC())))), bounds=bounds)


def test_deep_shallow_deep(check, depth, bounds):
    check(C(Go(C(Go(), stack=depth)), stack=depth), Go(C(Go())), C(Go(), stack=depth), bounds=bounds)


@pytest.mark.parametrize("work", [GC(), Grow(stack=200_000), Traceback(), Yield()], ids=repr)
def test_the_runtime_works_within_the_bounds_of_each_level(check, work, bounds):
    check(Go(work, C(Go(work, C(Go(work), stack=40_000), work)), work), bounds=bounds)


def test_a_goroutine_stack_that_moves_in_an_inner_callback(check, bounds):
    check(Go(C(Go(Grow(stack=300_000), C(Go(Grow(stack=900_000), GC())), GC())), GC()), bounds=bounds)


def test_a_callback_straight_below_a_go_frame(check, bounds, thread, on):
    check(*on(thread, Go(Go(Go(GC())), Go())), bounds=bounds)


def test_a_panic_that_stays_below_leaves_the_levels_above_alone(check):
    check(Go(C(Go(C(Go(Panic()), stack=40_000), recover=True), Go()), GC()))
