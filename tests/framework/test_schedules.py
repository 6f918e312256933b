"""Cases about time and about edges: what their words do, and what is drawn of them."""

from __future__ import annotations

import itertools

import pytest

from golib import GC, C, Case, Delay, Gate, Go, Panic, Python, Setrlimit, Thread, Together, edges, fuzz, hunt
from golib.case import legality, script
from golib.case.calltree import KIB, IllegalCase
from golib.door import Subject, flavour
from golib.edges import Edge
from golib.judge.outcome import Kind
from golib.run.trace import Event


def of(events: tuple[Event, ...], node: int, phase: script.Phase) -> list[Event]:
    return [event for event in events if event.node == node and event.phase is phase]


def test_threads_meet_at_a_gate_and_a_delay_takes_its_time(subject: Subject) -> None:
    first = Thread(Gate("a"), Go())
    second = Thread(Go(), Gate("a"), Delay(ns=2_000_000), kind="memory")
    outcome = subject.run(Case(C(Together(first, second), times=3)))
    assert outcome.kind is Kind.PASSED, outcome.headline
    numbers = {type(p.node).__name__: p.number for p in outcome.case.walk()}
    gates = [p.number for p in outcome.case.walk() if isinstance(p.node, Gate)]
    for gate in gates:
        assert {event.did for event in of(outcome.events, gate, script.Phase.AFTER)} == {2}
    assert all(event.did >= 2_000_000 for event in of(outcome.events, numbers["Delay"], script.Phase.AFTER))


def test_a_swept_delay_takes_a_step_more_each_time(subject: Subject) -> None:
    firsts = []
    for _ in range(10):  # a busy machine may take its time
        outcome = subject.run(Case(Go(), C(Delay(ns=3_000_000, steps=3), times=3)))
        first, last = of(outcome.events, 2, script.Phase.AFTER)
        assert last.did >= 3_000_000
        firsts.append(first.did)
    assert 1_000_000 <= min(firsts) < 3_000_000


@pytest.mark.parametrize("processors", [0, 1])
def test_threads_are_idle_and_a_process_has_one_processor_where_the_case_says_so(
    subject: Subject, processors: int
) -> None:
    def threads(call: str) -> tuple[Thread, Thread]:
        return Thread(Python(call=f"here:{call}")), Thread(Go())

    calls = Case(
        Together(*threads("is_idle"), policy="idle"),
        Together(*threads("is_as_usual")),
        Go(),
        processors=processors,
    )
    assert subject.run(calls).kind is Kind.PASSED
    pinned = subject.run(Case(Python(call="here:has_one_processor"), processors=processors))
    assert pinned.kind is (Kind.PASSED if processors else Kind.RAISED)


A, B = Gate("a"), Gate("b")


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (Case(A), "it stands in a thread of a Together"),
        (Case(Together(Thread(A), Thread(B))), "nobody else comes to it"),
        (Case(Together(Thread(A, A), Thread(Go()))), "in threads of one Together, one in each"),
        (
            Case(Together(Thread(A), Thread(Go())), Together(Thread(A))),
            "in threads of one Together, one in each",
        ),
        (Case(Together(Thread(A), Thread(C(A, times=2)))), "this thread comes to it 2 times, another one 1"),
        (Case(Together(Thread(A), Thread(A, Go(Panic(), recover=True)))), "another could wait for ever"),
        (Case(Together(Thread(Gate("")), Thread(Gate("")))), "it needs a name"),
        (Case(Together(Thread(Go()), policy="lazy")), "policy is one of '', 'idle'"),
        (Case(Go(Together(Thread(Go(), kind="go"), policy="idle"))), "one of them is Go's"),
        (Case(Together(Thread(Delay(ns=0)))), "ns is a number from 1 to"),
        (Case(Go(), processors=-1), "processors=-1: it is a number from 1 to 1024, or 0"),
    ],
)
def test_what_would_wait_for_ever_or_makes_no_sense_is_refused(case: Case, why: str) -> None:
    with pytest.raises(IllegalCase) as caught:
        legality.check(case)
    assert why in str(caught.value)


def test_gates_may_be_deep_in_their_threads_and_come_to_again_and_again() -> None:
    legality.check(Case(C(Together(Thread(C(Go(C(A)), times=5)), Thread(C(C(A, times=5)))), times=7)))


# What is drawn.


def test_each_schedule_is_legal_and_every_way_is_drawn() -> None:
    cases = list(itertools.islice(hunt.drawn("ways"), 600))
    assert len(set(cases)) == len(cases)
    for case in cases:
        legality.check(case)
    nodes = [placed.node for case in cases for placed in case.walk()]
    assert {type(node).__name__ for node in nodes} >= {
        "Gate",
        "Delay",
        "Together",
        "Traceback",
        "GC",
        "Block",
    }
    assert {node.policy for node in nodes if isinstance(node, Together)} == {"", "idle"}
    assert {case.processors for case in cases} == {0, 1} == {case.gomaxprocs for case in cases}
    assert {case.signals for case in cases} == {"", "SIGURG", "SIGUSR1", "SIGPROF"}
    assert {"trace" in case.on for case in cases} == {False, True}


def test_a_seed_draws_the_same_schedules_and_edges() -> None:
    def drawn(seed: str) -> tuple[str, str]:
        return fuzz.digest(itertools.islice(hunt.drawn(seed), 50)), fuzz.digest(
            fuzz.generate_edges(400, seed)
        )

    assert drawn("x") == drawn("x")
    assert all(one != other for one, other in zip(drawn("x"), drawn("y"), strict=True))


def test_a_long_hunt_is_parted_and_says_how_often_each_issue_shows() -> None:
    assert hunt.slices(150.0) == [60.0, 60.0, 30.0]
    assert hunt.slices(0) == []
    parts = [
        {"ran": 100, "seconds": 60.0, "known": {"golib-5": 6}},
        {"ran": 50, "seconds": 20.0, "known": {"golib-5": 2, "golib-8": 4}},
    ]
    assert hunt.sentence("go1.27.4", parts) == (
        "hunt go1.27.4: 150 cases about time ran for 80 s: golib-5 8 times (0.10 a second), golib-8 4 times"
        " (0.05 a second)"
    )


@pytest.mark.parametrize("offset", [0, -16, 4096])
def test_a_fitted_callback_stands_where_it_was_to_stand(subject: Subject, offset: int) -> None:
    frame = C(Go(GC()), stack=200 * KIB)
    case = Case(Setrlimit(stack=256 * KIB), Go(), Setrlimit(stack=8192 * KIB), frame)
    edge = Edge(case, 3, "known lo", offset)
    fitted = edge.fitted(subject.run(case))
    assert fitted is not None
    outcome = subject.run(fitted)
    [before] = of(outcome.events, 4, script.Phase.BEFORE)
    entered = next(event for event in of(outcome.events, 4, script.Phase.ENTERED) if event.in_go)
    # The stack of another process lies up to 8 KiB elsewhere, and its bounds with it.
    assert entered.values["sched_sp"] - before.values["lo"] == offset


def test_an_edge_that_is_not_there_is_left_out(subject: Subject) -> None:
    case = Case(Go(), C(Go(), stack=64 * KIB), bounds="hidden")
    outcome = subject.run(case)
    assert Edge(case, 1, "answer lo", 0).fitted(outcome) is None  # nothing is answered
    case = Case(C(Go(), stack=64 * KIB))
    assert Edge(case, 0, "known hi", 0).fitted(subject.run(case)) is None  # that is above the case


def test_edges_are_legal_and_of_every_kind() -> None:
    drawn = fuzz.generate_edges(8 * 200, "kinds")
    assert len(set(drawn)) == 200
    for edge in drawn:
        legality.check(edge.case)
    scenes = {where for _, ends in edges.SCENES for where in ends}
    assert {edge.where for edge in drawn} == {*edges.WHERE, *scenes}
    assert {edge.offset for edge in drawn} == set(edges.OFFSETS)


def test_most_edges_can_be_come_to(subject: Subject) -> None:
    """All those of a main thread whose limit has changed, and some of each kind of the others."""
    drawn = [edge for edge in fuzz.generate_edges(8 * 200, "reached") if flavour(edge.case) == "real"]
    begins = tuple(before for before, _ in edges.SCENES)
    scenes = [edge for edge in drawn if any(edge.case.trees[: len(one)] == one for one in begins)]
    reached = [edge for edge in drawn if edge.fitted(subject.run(edge.case))]
    assert set(scenes) <= set(reached)
    others = [edge for edge in drawn if edge not in scenes]
    assert {edge.where for edge in reached if edge in others} == set(edges.WHERE)
