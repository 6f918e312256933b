"""A child in which no Python runs does what one does in which Python runs."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from golib import (
    GC,
    AtEnd,
    C,
    Case,
    Do,
    Export,
    Gate,
    Go,
    Goexit,
    Notify,
    Panic,
    Python,
    Reset,
    Setrlimit,
    Signal,
    Stack,
    Take,
    Thread,
    Together,
)
from golib.door import Subject
from golib.judge import outcome
from golib.run import launch
from golib.run.child import Host, Request, compiled
from golib.run.forkserver import ForkServer, ServerError, World
from golib.run.trace import HARNESS_STATUS, Ended

ROW = (
    Case(Go()),
    Case(C(Go(), C(Go(GC()), stack=40_000), times=3)),
    Case(Go(C(Go(Panic())), recover=True, deferred=(GC(), C(Go())))),
    Case(Stack(Go(Stack(Go(), region=-2)), region=1)),
    Case(Thread(Go(), stack=65536), Thread(C(Go()), kind="memory"), Go(Thread(Go(), Goexit(), kind="go"))),
    Case(Together(Thread(C(Go(), Gate(name="a"))), Thread(C(Gate(name="a"), Go())))),
    Case(Export(name="GoF"), Export(Go(), name="callGoWithVariousStackAndGoFrame"), Export(name="GoEmpty")),
    Case(Thread(C(AtEnd(Go()), Go()))),
    Case(
        C(Go(Notify(name="SIGUSR2")), Signal(name="SIGUSR2"), Go(Take(name="SIGUSR2"), Reset(name="SIGUSR2")))
    ),
    Case(C(Signal(C(), name="SIGUSR2"), Go())),
    # The next one must find the limit as it was.
    Case(Setrlimit(stack=1 << 20), Go()),
    Case(C(Go(), stack=3 << 20)),
)
ALONE = (
    Case(Go(C(Go(), stack=40_000)), bounds="hidden"),
    Case(Go(), Thread(Go()), on=("trace", "blockprofile")),
    Case(C(Go(), times=50), on=("notify",), signals="SIGUSR1"),
    Case(Go(GC()), godebug="asyncpreemptoff=1"),
    Case(Go(), gomaxprocs=1, processors=1),
    Case(Go(), blocked="SIGPROF"),
    Case(C(Signal(Go(), name="SIGUSR2")), handlers="nostack"),
    Case(C(Go(), Signal(C(), name="SIGUSR2")), handlers="masked"),
)


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    server = ForkServer(World())
    yield server
    server.close()


def request_of(subject: Subject, cases: Sequence[Case]) -> Request:
    return subject._request(tuple(cases), 20.0, "", 0)


def by_python(request: Request) -> Request:
    return dataclasses.replace(request, launcher="")


def fits(request: Request) -> bool:
    return launch.fits(request, compiled(request, nowhere(), Host()))


def nowhere() -> dict[int, tuple[int, int]]:
    """Addresses of which nothing here is used."""
    return dict.fromkeys(range(-4, 5), (0, 0))


def shown(subject: Subject, cases: Sequence[Case], ended: Ended) -> list[object]:
    """What must not depend on who forked the child."""
    outcomes = outcome.judge_row(cases, ended, subject._stack_guard)
    events = [event for one in outcomes for event in one.events]
    # Each thread has its order; between two of them there is none.
    # A thread of Go's may be one that has asked already, or a new one.
    told = [one.tid == events[0].tid and bool(one.told[1]) for one in events]
    crossings = sorted(
        (one.node, one.phase, one.in_go, bool(one.did), one.sigmask, asked)
        for one, asked in zip(events, told, strict=True)
    )
    return [[(one.kind, sorted({found.key for found in one.divergences})) for one in outcomes], crossings]


@pytest.mark.parametrize("cases", [ROW, *((case,) for case in ALONE)], ids=lambda cases: repr(cases[-1])[:60])
def test_it_does_what_python_would(subject: Subject, server: ForkServer, cases: tuple[Case, ...]) -> None:
    request = request_of(subject, cases)
    assert fits(request)
    c, python = server.run(request), server.run(by_python(request))
    assert (c.status, c.record.fault, c.record.finished) == (0, "", len(cases))
    assert shown(subject, cases, c) == shown(subject, cases, python)


def test_in_it_no_interpreter_is_touched(subject: Subject) -> None:
    """Half of the pages that a child is the first to write are the interpreter's."""
    pages = []
    for how in (lambda request: request, by_python):
        server = ForkServer(World())
        try:
            request = how(request_of(subject, [Case(Go())]))
            server.run(request)
            before = faults_of_children(server.pid)
            for _ in range(10):
                server.run(request)
            pages.append((faults_of_children(server.pid) - before) / 10)
        finally:
            server.close()
    c, python = pages
    assert c < python * 0.75, pages


def faults_of_children(pid: int) -> int:
    """cminflt of proc_pid_stat(5): minor faults of the children that it has waited for."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[8])


@pytest.mark.parametrize(
    "case",
    [
        Case(Python(Go())),
        Case(Thread(Go(), kind="python")),
        Case(C(Go(), Signal(C(), name="SIGPIPE")), handlers="early"),
        Case(Go(), second="before"),
    ],
    ids=repr,
)
def test_what_needs_python_gets_it(subject: Subject, case: Case) -> None:
    assert not fits(request_of(subject, [case]))
    assert not fits(request_of(subject, [Case(Go(), **case.world()), case]))
    assert subject.run(case).kind is outcome.Kind.PASSED


def test_what_is_laid_for_a_child_is_taken_back(subject: Subject, server: ForkServer) -> None:
    def environment() -> bytes:
        return Path(f"/proc/{server.pid}/environ").read_bytes()

    before = environment()
    case = Case(Go(), godebug="inittrace=1", on=("notify",))
    asking = request_of(subject, [case])
    assert fits(asking)
    assert "init runtime @" in server.run(asking).stderr
    assert environment() == before
    # The next child, which asks for nothing, is told nothing, by C or by Python: nobody takes this signal.
    nothing = request_of(subject, [Case(C(Go(), Signal(name="SIGUSR1")))])
    for request in (nothing, by_python(nothing)):
        ended = server.run(request)
        assert ended.stderr == ""
        assert os.waitstatus_to_exitcode(ended.status) == -signal.SIGUSR1


def test_signals_arrive_meanwhile(subject: Subject, server: ForkServer) -> None:
    """One that nobody has asked for ends the process."""
    request = request_of(subject, [Case(C(Go(), times=5_000_000), signals="SIGUSR1")])
    assert fits(request)
    for one in (request, by_python(request)):
        assert os.waitstatus_to_exitcode(server.run(one).status) == -signal.SIGUSR1


def test_a_library_that_is_not_there_is_our_fault(
    subject: Subject, server: ForkServer, tmp_path: Path
) -> None:
    request = dataclasses.replace(request_of(subject, [Case(Go())]), library=str(tmp_path / "none.so"))
    ended = server.run(request)
    assert os.waitstatus_to_exitcode(ended.status) == HARNESS_STATUS
    assert ended.record.fault.startswith(f"OSError: {tmp_path / 'none.so'}: cannot open shared object file")


def test_a_launcher_that_is_gone_is_no_failed_fork(subject: Subject, tmp_path: Path) -> None:
    server = ForkServer(World())
    try:
        request = dataclasses.replace(request_of(subject, [Case(Go())]), launcher=str(tmp_path / "none.so"))
        with pytest.raises(ServerError, match=r"BindingError: .*none\.so cannot be loaded"):
            server.run(request)
        assert server.run(request_of(subject, [Case(Go())])).status == 0
    finally:
        server.close()


def test_a_library_that_is_no_bridge_is_our_fault(subject: Subject, server: ForkServer) -> None:
    request = dataclasses.replace(request_of(subject, [Case(Go())]), library="libm.so.6")
    ended = server.run(request)
    assert os.waitstatus_to_exitcode(ended.status) == HARNESS_STATUS
    assert "BindingError: " in ended.record.fault
    assert "undefined symbol: golib_sizes" in ended.record.fault


def test_a_leaf_that_the_library_lacks_is_said(subject: Subject, server: ForkServer) -> None:
    request = request_of(subject, [Case(Go(Do(name="nothing of that name")))])
    for one in (request, by_python(request)):
        ended = server.run(one)
        assert "the library registers no leaf of that name" in ended.record.fault
