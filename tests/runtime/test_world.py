"""What production turns on: the execution trace, profiles, settings of GODEBUG, signals that arrive all the
time.  The bounds are the same with it."""

from __future__ import annotations

import pytest

from golib import (
    GC,
    Block,
    C,
    Go,
    Goexit,
    Grow,
    LockThread,
    Panic,
    Python,
    Stack,
    Thread,
    Together,
    Wake,
    Yield,
)
from golib.case.calltree import GODEBUGS, SWITCHES

NESTED = Go(GC(), C(Go(Block(), Wake(), C(Go(Grow(stack=100_000)), stack=40_000)), stack=8_000), Yield())


@pytest.fixture(params=sorted(SWITCHES))
def switch(request):
    return request.param


def test_nested_callbacks(check, switch, bounds, thread, on):
    check(*on(thread, NESTED, C(Go(LockThread()), stack=40_000)), on=(switch,), bounds=bounds)


def test_foreign_stacks(check, switch, bounds):
    check(
        Go(),
        Stack(Go(GC(), Block())),
        Go(Stack(Go(Block()), region=-1), C(Go())),
        on=(switch,),
        bounds=bounds,
    )


def test_threads_that_come_and_go(check, switch, bounds):
    threads = (Thread(NESTED, Go(Wake())) for _ in range(4))
    check(Together(*threads), C(Thread(Go(Block())), times=50), on=(switch,), bounds=bounds)


def test_a_panic(check, switch):
    recovering = Go(C(Go(Panic()), stack=40_000), recover=True, deferred=(Block(), Wake(), GC()))
    check(recovering, Go(Thread(C(recovering), kind="go")), on=(switch,))


@pytest.mark.parametrize("leave", [Panic, Goexit])
def test_a_mutex_that_is_waited_for_is_unlocked_while_a_callback_is_left(check, leave):
    """The profile of mutexes takes the stack of who unlocks one (golib-4)."""
    check(Go(Thread(Go(leave()), kind="go", recover=True, deferred=(Wake(),) * 30)), on=("mutexprofile",))


def test_everything_at_once(check, bounds):
    check(NESTED, Go(Python(NESTED)), Thread(NESTED), on=tuple(sorted(SWITCHES)), bounds=bounds)


@pytest.mark.parametrize("godebug", [setting for setting in GODEBUGS if setting])
def test_settings_of_godebug(check, godebug, bounds):
    check(NESTED, Stack(Go(GC())), Thread(NESTED), godebug=godebug, bounds=bounds)


@pytest.mark.parametrize(
    ("signals", "needs"), [("SIGURG", ()), ("SIGUSR1", ("notify",)), ("SIGPROF", ("cpuprofile",))]
)
def test_signals_all_the_time(check, signals, needs, bounds):
    body = (NESTED, C(Go(), Stack(Go()), times=100), Go(C(Go(Block()), times=100)))
    check(*body, Thread(*body), on=needs, signals=signals, bounds=bounds)


def test_deferred_functions_block_and_wake_while_a_panic_crosses_c(check, thread, on):
    work = (Block(), Wake(), LockThread(), C(Go(Block())))
    inner = Go(C(Go(Panic()), stack=512), deferred=work)
    check(*on(thread, Go(C(inner), recover=True, deferred=work)))
