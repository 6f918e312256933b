"""What users of other projects have reported of Go in their process, each as a case.  reports.md beside this
file says what was reported, and what it comes to.
"""

import pytest

from golib import GC, AltStack, C, Fault, Go, Notify, Pull, Signal, Stack, Suspend, Thread
from golib.case.calltree import Give, Next

KIB = 1024


@pytest.mark.parametrize("handlers", ["early", "early nostack"], ids=["early", "early-nostack"])
def test_go78883_a_handler_from_before_the_load_is_moved_to_gos_alternate_stack(check, handlers):
    """It has the 32 KiB of that, whatever its thread's own stack is."""
    check(
        Thread(C(Go(), Signal(C(stack=24 * KIB), name="SIGUSR2"), Go()), stack=1024 * KIB), handlers=handlers
    )


@pytest.mark.parametrize("handlers", ["early", "early nostack"], ids=["early", "early-nostack"])
def test_go78883_one_of_its_own_has_room(check, handlers):
    """What helps: the thread has a large alternate stack before it calls Go first, and keeps it."""
    deep = Signal(C(stack=200 * KIB), name="SIGUSR2")
    check(Thread(C(AltStack(Go(), deep, Go(GC()), size=256 * KIB))), handlers=handlers)


def test_brpc3118_the_host_has_a_handler_of_sigurg(check):
    check(C(Go(), Signal(C(), name="SIGURG")), handlers="early")


@pytest.mark.parametrize(
    "tree",
    [
        lambda alt: Thread(C(Go(), alt)),
        lambda alt: Thread(C(Go(C(Go())), alt)),
        lambda alt: Go(Thread(C(Go(), alt), kind="go")),
        lambda alt: C(Go(Notify(name="SIGTERM")), alt),
    ],
    ids=["thread", "nested", "go-thread", "notify"],
)
def test_adbc2802_and_frankenphp2137_c_takes_the_alternate_stack_away(check, tree):
    """As Rust's runtime does at a thread's end, and PHP's: Go says so by the next signal that finds it."""
    check(
        tree(AltStack(Go(Fault(), recover=True), size=0)),
        dies="fatal error: non-Go code disabled sigaltstack",
    )


@pytest.mark.parametrize(
    "tree",
    [
        lambda jump: C(Go(C(jump)), Go()),
        lambda jump: C(Go(C(jump, Go())), Go()),
        lambda jump: Thread(Go(C(jump))),
        lambda jump: C(Stack(Go(C(jump)), region=3)),
    ],
    ids=["out-of-two", "another-between", "thread", "foreign"],
)
def test_golua66_and_gomruby49_a_callback_is_left_behind(check, tree):
    """longjmp over Go, which is not supported (go#63829): the callback inside is under way for ever."""
    check(
        tree(Stack(Go(C(Suspend())), region=1)),
        dies="fatal error: exitsyscall: syscall frame is no longer valid",
    )


@pytest.mark.parametrize("size", [16 * KIB, 64 * KIB])
def test_go22930_and_go35814_signals_on_an_alternate_stack_of_cs(check, size):
    taken = Signal(name="SIGUSR1")
    check(Thread(C(AltStack(Go(), taken, Go(GC(), C(taken)), taken, size=size))), on=("notify",))
    check(Thread(C(AltStack(taken, Go(C(taken)), taken, size=size))), on=("notify",))


def test_go67499_an_iterator_across_callbacks(check):
    check(Go(Pull(Give(), Give(), name="i"), Next(name="i"), C(Go(Next(name="i")))))
