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
    AtEnd,
    C,
    Fault,
    Go,
    Goexit,
    Ignore,
    NoCallback,
    Notify,
    Panic,
    Python,
    Reset,
    Signal,
    Stack,
    Stop,
    Take,
    Thread,
    Traceback,
    footprint,
)
from golib.case.calltree import FAULTS, HANDLED, HANDLERS, RELAYED, SYNCHRONOUS

ASYNCHRONOUS = [name for name in HANDLED if name not in SYNCHRONOUS]

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


def test_a_nil_dereference_after_a_handler_called_go(check):
    check(C(Go(), Signal(Go()), Go(Fault(), recover=True)), handlers="nostack")
    check(Thread(C(Signal(Go()), Go(Fault(), recover=True))), handlers="nostack")


def test_a_handler_calls_go_under_a_stream_of_signals(check):
    check(C(Go(), C(Signal(Go(Traceback())), times=50)), handlers="nostack", signals="SIGURG")


@pytest.mark.parametrize("name", ASYNCHRONOUS)
def test_each_signal_is_the_hosts(check, name):
    check(C(Go(), Signal(C(), name=name)))
    if name != "SIGURG":  # which Go sends to its own threads
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
        lambda alt: C(Go(), alt, Go()),
        lambda alt: Thread(C(alt)),
        lambda alt: Thread(C(Go(), alt, Go())),
        lambda alt: Go(C(alt), GC()),
        lambda alt: C(Go(), Stack(C(Go(), alt))),
    ],
    ids=["later", "first-of-a-thread", "thread", "below-go", "foreign"],
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
    """Fatal in plain words since Go 1.24 (go#68275)."""
    check(
        Go(Goexit()),
        dies={
            "1.21.0 - 1.22.12": "fatal error: internal lockOSThread error",
            "1.23.0 - 1.23.12": "fatal error: exited a goroutine internally locked to the OS thread",
            "1.24.0 and later": "runtime.Goexit called in a thread that was not created by the Go runtime",
        },
    )


ON_C_THREADS = {name: place for name, place in PLACES.items() if name != "go-thread"}


@pytest.mark.parametrize("place", ON_C_THREADS)
@pytest.mark.parametrize(
    "handlers", ["early", "early nostack", "early masked"], ids=lambda it: it.replace(" ", "-")
)
@pytest.mark.parametrize("name", SYNCHRONOUS)
def test_a_fault_and_a_broken_pipe_in_c_are_the_hosts(check, place, handlers, name):
    """ "If a synchronous signal arrives while executing non-Go code, the Go runtime will invoke the existing
    signal handler instead of the Go signal handler." And of SIGPIPE: "received on a non-Go thread the signal
    will be forwarded to the non-Go handler, if any"."""
    check(ON_C_THREADS[place](Signal(C(stack=4096), name=name)), handlers=handlers)


@pytest.mark.parametrize("handlers", ["early", "early nostack", "early masked"])
@pytest.mark.parametrize("before", [(), (Go(),), (Go(C(Go())),)], ids=["first", "later", "nested"])
def test_a_fault_in_c_on_a_thread_of_gos_is_the_hosts(check, handlers, before):
    """What Go runs in C, on whatever thread, is non-Go code."""
    fault = Signal(C(stack=4096), name="SIGSEGV")
    check(Go(Thread(C(*before, fault, Go(C(fault)), fault), kind="go")), handlers=handlers)


@pytest.mark.parametrize("place", ["second", "native", "below-go", "go-thread"])
def test_a_child_that_ends(check, place):
    check(PLACES[place](Signal(C(), name="SIGCHLD", by="child")))
    check(PLACES[place](Signal(Go(), name="SIGCHLD", by="child")), handlers="nostack")


@pytest.mark.parametrize("name", ASYNCHRONOUS)
def test_sent_to_the_process(check, name):
    check(C(Go(), Signal(C(), name=name, by="kill")))


@pytest.mark.parametrize("handlers", HANDLERS, ids=lambda value: value.replace(" ", "-") or "onstack")
@pytest.mark.parametrize("name", RELAYED)
def test_what_go_asks_for_it_gets_and_gives_back(check, name, handlers):
    """ "If Notify is called for an asynchronous signal, a Go signal handler will be installed for that
    signal. If, later, Reset is called for that signal, the original handling for that signal will be
    reinstalled, restoring the non-Go signal handler if any." """
    sent, own = Signal(name=name), Signal(C(), name=name)
    check(C(own, Go(Notify(name=name)), sent, Go(Take(name=name), Reset(name=name)), own), handlers=handlers)


@pytest.mark.parametrize("undo", [Stop, Reset])
@pytest.mark.parametrize("place", ["native", "python", "memory", "go-thread"])
def test_a_thread_takes_a_signal_for_go(check, place, undo):
    sent = PLACES[place](Signal(name="SIGUSR2"))
    check(C(Go(Notify()), sent, Go(Take(), undo())))


@pytest.mark.parametrize("name", ["SIGUSR2", "SIGCHLD", "SIGRTMIN+6"])
def test_reset_of_what_nobody_asked_for_does_nothing(check, name):
    """ "Reset undoes the effect of any prior calls to Notify": without one there is nothing to undo."""
    check(C(Go(Reset(name=name)), Signal(C(), name=name)))


def test_an_ignored_signal_does_nothing(check):
    sent = Signal(name="SIGUSR2")
    check(C(Go(Ignore()), sent, Go(Notify()), sent, Go(Take(), Ignore()), sent, Go(Reset())))
    check(C(Go(Notify(), Ignore()), Thread(C(sent)), Go(Reset())))


def test_what_comes_beside_an_ignored_signal_is_not_taken_for_it(check):
    check(Go(Ignore()), C(*[Signal(name="SIGUSR2")] * 500), signals="SIGPROF", on=("cpuprofile",))


@pytest.mark.parametrize("round", [1, 2, 3])
@pytest.mark.parametrize("before", [(), (Go(),), (Go(C(Go())), GC)], ids=["first", "later", "nested"])
@pytest.mark.parametrize("kind", ["native", "memory"])
def test_a_destructor_calls_go(check, kind, before, round):
    """Of a pthread key made after Go's: Go's own has given the thread's M back by then."""
    before = tuple(Go(node()) if isinstance(node, type) else node for node in before)
    check(Thread(C(*before, AtEnd(Go(GC()), C(Go()), round=round)), kind=kind), Thread(Go()))


def test_several_destructors(check):
    ends = (AtEnd(Go(C(Go())), round=2), AtEnd(Stack(Go())), AtEnd(C(Go(), stack=40_000), round=3))
    check(Thread(C(*ends, Go())), Thread(C(*ends)))


NOT_PROMISED = {
    "recovered": Go(NoCallback(), recover=True),
    "further-up": Go(C(Go(NoCallback())), Go(), recover=True),
    "then-another": C(Go(NoCallback(), recover=True), Go(C(Go()))),
    "thread": Thread(Go(NoCallback(), recover=True)),
}


@pytest.mark.parametrize("tree", NOT_PROMISED.values(), ids=NOT_PROMISED)
def test_a_callback_where_none_was_promised(check, tree):
    """cmd/cgo: "If the nocallback directive is used and the C function does call back into Go code, the
    program will panic." A panic is recovered as any other."""
    check(tree)


def test_a_callback_where_none_was_promised_ends_the_process(check):
    check(Go(NoCallback()), dies="panic: runtime: function marked with #cgo nocallback called back into Go")


def test_loading_go_changes_what_it_may_and_nothing_else(golib_bridge):
    assert footprint.footprint(golib_bridge.subject().library).wrong() == []
