"""Another Go library in the process: each has its own runtime, on threads that they share, and its own
collections and preemption.  Of os/signal's documentation: "If there is an existing signal handler, the Go
runtime will turn on the SA_ONSTACK flag and otherwise keep the signal handler."
"""

import pytest

from golib import (
    GC,
    AltStack,
    AtEnd,
    C,
    Fault,
    Go,
    Grow,
    Notify,
    Panic,
    Python,
    Signal,
    Spin,
    Stack,
    Stop,
    Take,
    Thread,
    Together,
    Traceback,
)

ORDERS = pytest.mark.parametrize("second", ["before", "after"])

TREES = {
    "nested": Go(C(Go(C(Go(GC()), stack=40000)), Go(GC()))),
    "python": Go(Python(Go(C(Go())))),
    "threads": C(Go(), Together(*[Thread(C(Go(GC()), times=20)) for _ in range(3)])),
    "foreign": C(Go(), Stack(Go(C(Go())))),
    "go-thread": Go(Thread(C(Go()), GC(), kind="go"), Traceback()),
    "panic": Go(C(Go(Panic())), Grow(stack=300000), recover=True),
    "fault": C(Go(), Go(Fault(), recover=True), Thread(Go(Fault(kind="divide"), recover=True))),
    "alternate": Thread(C(AltStack(Go(GC()), Go(C(Go()))))),
    "at-end": Thread(C(Go(), AtEnd(Go()))),
}


@ORDERS
@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_calls_are_as_with_one(check, tree, second):
    check(tree, second=second)


@ORDERS
@pytest.mark.parametrize("name", ["SIGUSR2", "SIGCHLD", "SIGSEGV", "SIGPIPE"])
def test_the_hosts_handler_is_called_through_both(check, name, second):
    check(C(Go(), Signal(C(), name=name), Go()), handlers="early", second=second)


@ORDERS
def test_what_go_asks_for_it_gets(check, second):
    usr2 = Signal(name="SIGUSR2")
    check(
        C(Go(Notify(name="SIGUSR2")), usr2, Go(Take(name="SIGUSR2")), usr2, Go(Stop(name="SIGUSR2"))),
        second=second,
    )


@pytest.mark.parametrize("place", ["main", "thread", "nested", "go-thread", "foreign"])
def test_a_loop_is_preempted(check, place):
    """The second one's, and where there is none: that the first one's is not, is golib-21."""
    places = {
        "main": Go(Spin()),
        "thread": Thread(C(Go(), Go(Spin()))),
        "nested": Go(C(Go(Spin())), Spin()),
        "go-thread": Go(Thread(Spin(), kind="go")),
        "foreign": C(Go(), Stack(Go(Spin()))),
    }
    check(places[place])
    check(places[place], second="before")
