"""Real wheels, driven as shipped in the places that their users have.  What is asserted of a fault is a fact
of that version, whatever Go is under test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from golib import C, Case, Node, Python, Setrlimit, Stack, Thread, Together
from golib.door import FromOutside
from golib.judge.footprint import Footprint, footprints, ratio
from golib.judge.outcome import Kind, Outcome

Get = Callable[[str], FromOutside]

MODULES = {
    "starlark-go": "starlark_scenarios",
    "gojsonnet": "jsonnet_scenarios",
    "pyyescrypt": "yescrypt_scenarios",
    "tls-client": "tls_scenarios",
}
BUILT_WITH = {
    "starlark-go": "go1.22.5",
    "gojsonnet": "go1.24.8",
    "pyyescrypt": "go1.27.3",
    "tls-client": "go1.24.1",
}
KIB = 1024

PLACES: dict[str, Callable[[Node], Case]] = {
    "main": lambda call: Case(call, call),
    "python-64k": lambda call: Case(Thread(call, kind="python", stack=64 * KIB)),
    "python-64m": lambda call: Case(Thread(call, kind="python", stack=64 * KIB * KIB)),
    "native-64k": lambda call: Case(Thread(call, stack=64 * KIB)),
    "native": lambda call: Case(Thread(call, call)),
    "memory": lambda call: Case(Thread(call, kind="memory", stack=256 * KIB)),
    "below-64k": lambda call: Case(C(call, C(call, stack=64 * KIB), call)),
    "below-1m": lambda call: Case(C(call, C(call, stack=KIB * KIB), call)),
    "stack-below": lambda call: Case(C(call, Stack(call, region=-1), call)),
    "stack-above": lambda call: Case(C(call, Stack(call, region=1), call)),
    "hidden": lambda call: Case(C(call, Stack(call), Thread(call)), bounds="hidden"),
    "signals": lambda call: Case(C(call, times=20), signals="SIGURG"),
    "limit": lambda call: Case(C(call, Setrlimit(stack=1024 * KIB), call)),
    "short-threads": lambda call: Case(C(Thread(call), times=20)),
}
POLLER = 3
"""Descriptors that the runtime makes once, when it first waits for something (runtime/netpoll_epoll.go)."""
LONGEST = 60.0
"""Seconds: yescrypt hashes slowly on purpose."""


def scenario(name: str, function: str = "call") -> Python:
    return Python(call=f"{MODULES[name]}:{function}")


def text(outcome: Outcome) -> str:
    return f"{outcome.headline}\n{outcome.stderr}"


def test_it_says_which_go_built_it(get_wheel: Get, name: str) -> None:
    assert get_wheel(name).shipped.version == BUILT_WITH[name]


@pytest.mark.parametrize("place", PLACES)
def test_it_works_in_each_place(get_wheel: Get, name: str, place: str) -> None:
    outcome = get_wheel(name).run(PLACES[place](scenario(name)), LONGEST)
    assert outcome.kind is Kind.PASSED, text(outcome)


def test_it_works_in_eight_threads_at_once(get_wheel: Get, name: str) -> None:
    """starlark-go with an interpreter for each thread: one that they share dies, in CPython's words."""
    threads = (Thread(C(scenario(name, "own"), times=3)) for _ in range(8))
    outcome = get_wheel(name).run(Case(Together(*threads)), LONGEST)
    assert outcome.kind is Kind.PASSED, text(outcome)


def test_two_thousand_short_threads_leave_little_behind(get_wheel: Get, name: str) -> None:
    times = 50 if name == "pyyescrypt" else 2000
    outcome = get_wheel(name).run(Case(C(Thread(scenario(name)), times=times)), LONGEST)
    assert outcome.kind is Kind.PASSED, text(outcome)
    (left,) = footprints(outcome)
    assert left.calls == times
    assert left.descriptors <= POLLER
    assert left.threads <= 10


def cost(wheel: FromOutside, name: str, times: int) -> tuple[Footprint, Footprint]:
    """On the main thread, and on another."""
    found = []
    for tree in (C(scenario(name), times=times), Thread(C(scenario(name), times=times))):
        outcome = wheel.run(Case(tree), LONGEST)
        assert outcome.kind is Kind.PASSED, text(outcome)
        found += footprints(outcome)
    print(*found, sep="\n")
    return found[0], found[1]


def test_it_asks_for_bounds_no_more_often_than_it_must(get_wheel: Get, name: str) -> None:
    """starlark-go is by a Go that asks at every call (go#68587), which on the main thread reads
    /proc/self/maps; and nothing is left behind by any of them."""
    times = 11 if name == "pyyescrypt" else 101
    main, other = cost(get_wheel(name), name, times)
    expected = times - 1 if name == "starlark-go" else 0
    assert (main.questions, other.questions) == (expected, expected)
    assert main.asking == other.asking == times - 1
    for one in (main, other):
        # Go makes its poller when it first needs one, and threads as it needs them: not at each call.
        assert one.descriptors <= POLLER
        assert one.threads <= 5
    print(f"a call on the main thread takes {ratio(main, other):.1f} times as long as on another")


def test_starlarks_print_function_may_evaluate(get_wheel: Get) -> None:
    outcome = get_wheel("starlark-go").run(Case(scenario("starlark-go", "print_evaluates")))
    assert outcome.kind is Kind.PASSED, text(outcome)


@pytest.mark.parametrize("place", ["main", "native", "memory", "stack-below", "hidden"])
def test_starlarks_print_function_dies_when_it_evaluates_on_another_stack(get_wheel: Get, place: str) -> None:
    """go#68285: the inner callback's bounds are those of the outer one."""
    call = scenario("starlark-go", "print_evaluates_elsewhere")
    outcome = get_wheel("starlark-go").run(PLACES[place](call))
    assert (outcome.kind, outcome.headline) == (
        Kind.FATAL,
        "fatal error: runtime: stack split at bad time",
    ), text(outcome)
    assert "runtime.callbackUpdateSystemStack" in outcome.signature.frames
