"""The seed's own functions, by their names: GoF and callGoWithVariousStackAndGoFrame, plain and
panicking, from C and through ctypes, with the seed's C side and with another in its place."""

from __future__ import annotations

import pytest

from golib import C, Export, Go, Panic, Python, Thread

VARIOUS = "callGoWithVariousStackAndGoFrame"


@pytest.mark.parametrize("caller", [C, Python], ids=["from C", "through ctypes"])
@pytest.mark.parametrize("p", [0, 1], ids=["plain", "panicking"])
def test_various_stack_with_the_c_callee(check, caller, p, bounds, thread, on):
    check(*on(thread, caller(Export(name=VARIOUS, p=p))), bounds=bounds)


@pytest.mark.parametrize("name", ["GoF", "GoEmpty"])
@pytest.mark.parametrize("caller", [C, Python], ids=["from C", "through ctypes"])
def test_plain_export(check, caller, name, bounds, thread, on):
    check(*on(thread, caller(Export(name=name), Export(name=name))), bounds=bounds)


@pytest.mark.parametrize("caller", [C, Python], ids=["from C", "through ctypes"])
def test_various_stack_with_a_python_callee(check, caller, depth, bounds):
    callee = Python(Export(name="GoF"), C(Export(name="GoF"), stack=depth), Export(name="GoF"))
    check(caller(Export(callee, name=VARIOUS)), bounds=bounds)


def test_various_stack_panicking_across_a_python_callee(check, bounds):
    # A panic crosses Python frames only on a native thread that runs no Python afterwards.
    callee = Python(Export(name="GoF"), C(Export(name="GoF", p=1), stack=40_000), Export(name="GoF"))
    check(Thread(Export(callee, name=VARIOUS, p=1)), bounds=bounds)


def test_various_stack_with_callbacks_that_are_seen(check, depth, bounds):
    check(Export(C(Go(), C(Go(), stack=depth), Go()), name=VARIOUS), bounds=bounds)


def test_various_stack_panicking_below_callbacks_that_are_seen(check, depth, bounds):
    check(Export(C(Go(), C(Go(Panic()), stack=depth)), name=VARIOUS, p=1), bounds=bounds)


def test_gof_panics_below_a_go_frame_that_recovers(check, depth, bounds):
    check(Go(C(Export(name="GoF", p=1), stack=depth), recover=True), bounds=bounds)
