"""What belongs to the host stays the host's: its handlers run, on the stack and with the mask that they were
promised, and may call Go; an alternate stack that it puts in place is kept; a run-time panic is recovered
whatever was called before; and what Go does not support ends by its words.

The source is os/signal's documentation, "Go programs that use cgo or SWIG" and "Non-Go programs that call Go
code".
"""

import pytest

from golib import (
    GC,
    AltStack,
    C,
    Fault,
    Go,
    Goexit,
    Panic,
    Python,
    Signal,
    Stack,
    Thread,
    Traceback,
    footprint,
)
from golib.case.calltree import FAULTS, HANDLED, HANDLERS

PLACES = {
    "main": lambda sent: C(sent),
    "second": lambda sent: C(Go(), sent, Go()),
    "native": lambda sent: Thread(C(Go(), sent, Go())),
    "python": lambda sent: Thread(C(Go(), sent), kind="python"),
    "memory": lambda sent: Thread(C(Go(), sent), kind="memory"),
    "below-go": lambda sent: Go(C(Go(), sent), GC()),
    "below-python": lambda sent: Go(Python(C(sent))),
    "foreign": lambda sent: C(Go(), Stack(C(sent), Go()), Go()),
    "first-of-thread": lambda sent: Thread(C(sent), C(Go())),
    "go-thread": lambda sent: Go(Thread(C(sent), kind="go")),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("handlers", HANDLERS, ids=lambda value: value.replace(" ", "-") or "onstack")
def test_the_hosts_handler_runs_where_it_is_to(check, place, handlers):
    check(PLACES[place](Signal(C(stack=8192))), handlers=handlers)


@pytest.mark.parametrize("place", PLACES)
def test_a_handler_on_the_threads_own_stack_calls_go(check, place):
    check(PLACES[place](Signal(Go(C(Go())), Go(GC()))), handlers="nostack")


def test_a_handler_calls_go_under_a_stream_of_signals(check):
    check(C(Go(), C(Signal(Go(Traceback())), times=50)), handlers="nostack", signals="SIGURG")


@pytest.mark.parametrize("name", HANDLED)
def test_each_signal_is_the_hosts(check, name):
    check(C(Go(), Signal(C(), name=name), Signal(Go(GC()), name=name)), handlers="nostack")


@pytest.mark.parametrize("name", HANDLED)
@pytest.mark.parametrize("handlers", ["early", "early nostack"], ids=["early", "early-nostack"])
def test_one_from_before_the_load_is_kept(check, name, handlers):
    """ "If there is an existing signal handler, the Go runtime will turn on the SA_ONSTACK flag and otherwise
    keep the signal handler." """
    check(C(Go(), Signal(C(), name=name)), handlers=handlers)


def test_a_handler_in_a_handler(check):
    check(C(Go(), Signal(Go(), C(Signal(Go(), name="SIGCHLD")), Go())), handlers="nostack")
    check(C(Go(), Signal(C(Signal(C(), name="SIGCHLD"))), Go()))


@pytest.mark.parametrize("size", [16384, 65536, 1 << 20])
@pytest.mark.parametrize(
    "tree",
    [
        lambda alt: C(alt, Go()),
        lambda alt: C(Go(), alt, Go()),
        lambda alt: Thread(C(alt, Go())),
        lambda alt: Go(C(alt), GC()),
        lambda alt: Stack(C(Go(), alt)),
    ],
    ids=["first", "later", "thread", "below-go", "foreign"],
)
def test_an_alternate_stack_of_the_hosts(check, tree, size):
    check(tree(AltStack(Go(GC()), Signal(C()), Go(C(Go())), size=size)))


def test_go_takes_its_signals_on_it(check):
    check(C(Go(), AltStack(Signal(name="SIGUSR1"), Go(GC()), C(Signal(name="SIGURG")))), on=("notify",))


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize(
    "tree",
    [
        lambda fault: Go(fault, recover=True),
        lambda fault: Go(C(Go()), fault, recover=True),
        lambda fault: Go(C(Go(fault)), recover=True),
        lambda fault: Thread(Go(C(Go()), fault, recover=True), Go()),
        lambda fault: Stack(Go(C(Go()), fault, recover=True)),
        lambda fault: C(Go(), AltStack(Go(fault, recover=True))),
    ],
    ids=["plain", "after-a-callback", "through-c", "thread", "foreign", "alternate"],
)
def test_a_run_time_panic_is_recovered(check, tree, kind):
    check(tree(Fault(kind=kind)))


@pytest.mark.parametrize(
    ("tree", "dies"),
    [
        (Go(Panic()), "panic: panic of node 1"),
        (Thread(Go(C(Go(Panic())))), "panic: panic of node 4"),
        (Go(Fault()), "panic: runtime error: invalid memory address or nil pointer dereference"),
        (
            C(Go(), AltStack(Go(GC(), Fault(), recover=True), size=0)),
            "fatal error: non-Go code disabled sigaltstack",
        ),
    ],
    ids=["panic", "panic-on-a-thread", "fault", "no-alternate-stack"],
)
def test_what_is_not_supported_ends_by_gos_words(check, tree, dies):
    check(tree, dies=dies)


def test_goexit_on_a_c_thread(check):
    """Fatal since Go 1.24 by its own words (go#68275)."""
    check(Go(Goexit()), dies="fatal error: ")


def test_loading_go_changes_what_it_may_and_nothing_else(golib_bridge):
    assert footprint.footprint(golib_bridge.subject().library).wrong() == []
