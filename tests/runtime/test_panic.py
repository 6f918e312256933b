"""A panic crosses C frames and stacks; the frame that recovers has its own state back."""

from __future__ import annotations

import pytest

from golib import GC, C, Go, Grow, Panic, Python, Stack, Thread


def test_the_seeds_panicking_run(check, depth, bounds, thread, on):
    check(*on(thread, Go(C(Go(), C(Go(Panic()), stack=depth), Go()), recover=True)), bounds=bounds)


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_through_callbacks_that_do_not_recover(check, levels, bounds):
    tree = Go(Panic())
    for _ in range(levels):
        tree = Go(C(tree, stack=8_000))
    check(Go(C(tree), recover=True), bounds=bounds)


def test_the_recovering_frame_goes_on(check, depth, bounds):
    work = (GC(), Grow(stack=100_000), C(Go(GC())), GC())
    check(Go(C(Go(Panic()), stack=depth), recover=True, deferred=work), Go(), bounds=bounds)


def test_each_level_recovers_its_own(check, bounds):
    inner = Go(C(Go(Panic()), stack=40_000), recover=True, deferred=(C(Go()),))
    check(Go(C(inner, Go(Panic()), stack=40_000), recover=True), bounds=bounds)


def test_a_panic_raised_while_recovering_is_recovered_above(check):
    check(Go(C(Go(C(Go(Panic())), recover=True, deferred=(Panic(),))), recover=True))


def test_deferred_functions_that_do_not_recover_run_on_the_way(check, bounds):
    passing = Go(C(Go(Panic()), stack=4_000), deferred=(GC(), C(Go())))
    check(Go(C(passing, stack=4_000), recover=True), bounds=bounds)


@pytest.mark.parametrize("region", [-1, 1], ids=["lower", "higher"])
def test_from_a_foreign_stack(check, region, bounds, thread, on):
    check(*on(thread, Go(Stack(Go(Panic()), region=region), recover=True)), bounds=bounds)


@pytest.mark.parametrize("region", [-1, 1], ids=["lower", "higher"])
def test_within_a_foreign_stack(check, region):
    check(Stack(Go(C(Go(Panic()), stack=512), recover=True), region=region), Go())


def test_across_python_frames_on_a_native_thread(check, bounds):
    check(Go(), Thread(Go(Python(Go(Panic())), recover=True)), bounds=bounds)


def test_calls_after_a_recover(check, bounds, thread, on):
    recovering = Go(C(Go(Panic()), stack=40_000), recover=True)
    check(*on(thread, recovering, Go(GC()), recovering, C(Go(), stack=40_000)), bounds=bounds)
