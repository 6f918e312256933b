"""Threads that are in Go at the same time, each on its own stack and bounds."""

from __future__ import annotations

import pytest

from golib import GC, C, Go, Grow, Panic, Python, Stack, Thread, Together

KIB = 1024


@pytest.mark.parametrize("kind", ["native", "memory", "python"])
@pytest.mark.parametrize("threads", [2, 8])
def test_calls_at_once(check, kind, threads, bounds):
    body = (Go(GC()), C(Go(Grow(stack=100_000)), stack=20_000), Go(C(Go())))
    check(Together(*(Thread(*body, kind=kind, stack=512 * KIB) for _ in range(threads))), bounds=bounds)


def test_every_kind_at_once(check, bounds):
    body = (Go(C(Go(), stack=4_000)), Go())
    kinds = ("native", "memory", "python")
    sizes = (128 * KIB, 1 << 20, 8 << 20)
    check(
        Together(*(Thread(*body, kind=kind, stack=size) for kind in kinds for size in sizes)),
        bounds=bounds,
    )


def test_each_on_a_foreign_stack(check, bounds):
    threads = (Thread(Go(), Stack(Go(GC(), C(Go())), region=region), Go()) for region in (-2, -1, 1, 2))
    check(Together(*threads), bounds=bounds)


def test_below_a_go_frame(check, bounds):
    check(Go(Together(*(Thread(Go(C(Go(GC())))) for _ in range(4))), C(Go())), bounds=bounds)


def test_panics_at_once(check, bounds):
    panicking = Go(C(Go(Panic()), stack=512), recover=True, deferred=(GC(),))
    check(Together(*(Thread(panicking, Go()) for _ in range(4))), bounds=bounds)


def test_python_callbacks_at_once(check):
    threads = (Thread(Go(Python(Go(GC(), Python(Go())))), kind="python") for _ in range(4))
    check(Together(*threads))
