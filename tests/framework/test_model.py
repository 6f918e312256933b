"""The reference model on traces written by hand: right ones, and for each rule one that breaks it."""

from __future__ import annotations

import pytest

from golib import (
    GC,
    Block,
    C,
    Case,
    Export,
    Go,
    Goexit,
    Grow,
    LockThread,
    Panic,
    Python,
    Resume,
    Setrlimit,
    Signal,
    Stack,
    Suspend,
    Thread,
    Together,
    Traceback,
    Wake,
    Yield,
)
from golib.case import calltree, legality
from golib.case.script import Phase
from golib.judge import model
from golib.judge.model import Rule
from golib.run.trace import Event

GUARD = 928
TOLD = (0x7000_0000, 0x7080_0000)
FOREIGN = (0x1000_0000, 0x1004_0000)
M, OTHER_M = 0xC000, 0xD000

B, E, L, R, A, D, X, *_ = Phase  # before, entered, leaving, recovered, after, ended, did


class Trace:
    """Writes what a correct runtime leaves, one event at a time."""

    def __init__(self, told=TOLD):
        self.events: list[Event] = []
        self.told = (0, 0)
        self.answer = told
        self.queries = 0
        self.values: dict[str, int] = {}
        self.m = 0
        self.tid = 7

    def event(self, node, phase, in_go=False, **changes):
        values = dict(self.values)
        if values:
            values |= {"incgo": int(not in_go), "throwsplit": int(not in_go), "procid": self.tid}
            values["isExtraInC"] = int(not in_go and values["isextra"] == 1 and values["ncgo"] == 0)
        did = changes.pop("did", 0)
        sp = changes.pop("sp", values.get("sched_sp", TOLD[1] - 0x100))
        values |= changes
        self.events.append(
            Event(
                *(node, phase, in_go, self.tid, sp, self.queries, self.told, self.m, values),
                altstack=(1, 2, 0),
                did=did,
            )
        )
        return self

    def bounds(self, lo, hi, accurate):
        self.values |= {"lo": lo, "hi": hi, "guard0": lo + GUARD, "guard1": lo + GUARD, "accurate": accurate}

    def ask(self, sp, times=1):
        self.queries += times
        self.told = self.answer
        if self.told[0] < sp <= self.told[1]:
            self.bounds(*self.told, 1)
        else:
            self.bounds(*model.estimate(sp), 0)

    def first(self, node, sp, body=lambda: None, **changes):
        """A thread's first callback."""
        self.event(node, B)
        self.m = M
        self.values = {"sched_sp": sp, "isextra": 1, "ncgo": 0, "lockedInt": 2, "locks": 0, "isExtraInSig": 0}
        known = self.answer[0] < sp <= self.answer[1]
        self.ask(sp, 1 if known else 2)
        self.event(node, E, True, **changes)
        body()
        self.event(node, L, True)
        self.values["lockedInt"] = 1
        if not known:
            self.bounds(*model.estimate(sp - 24), 0)
        return self.event(node, A)

    def call(self, node, sp, body=lambda: None):
        """A later callback, or a nested one."""
        self.event(node, B)
        before = dict(self.values)
        self.values |= {"sched_sp": sp, "lockedInt": before["lockedInt"] + 1}
        if not (before["accurate"] and before["lo"] < sp <= before["hi"]):
            self.ask(sp)
        self.event(node, E, True)
        body()
        self.event(node, L, True)
        self.values = before
        return self.event(node, A)

    def cgo(self, node, body):
        """A C frame below a Go frame."""
        self.event(node, B, True)
        self.values["ncgo"] += 1
        self.event(node, E)
        body()
        self.event(node, L)
        self.values["ncgo"] -= 1
        return self.event(node, A, True)

    def changed(self, index, told=None, **changes):
        """The events, one of them changed."""
        events = list(self.events)
        event = events[index]
        own = {name: changes.pop(name) for name in list(changes) if hasattr(event, name)}
        if told:
            own["told"] = told
        events[index] = event._replace(values=event.values | changes, **own)
        return events


HIGH = TOLD[1] - 0x1000


def found(case, events, complete=True):
    return list(model.divergences(case, events, complete=complete))


def nested():
    trace = Trace()
    return Case(Go(C(Go()))), trace.first(0, HIGH, lambda: trace.cgo(1, lambda: trace.call(2, HIGH - 0x400)))


def hidden():
    trace = Trace((0, 0))
    body = lambda: trace.cgo(1, lambda: trace.call(2, HIGH - 40_000))  # noqa: E731
    return Case(Go(C(Go())), bounds="hidden"), trace.first(0, HIGH, body)


def foreign():
    trace = Trace()
    trace.first(0, HIGH)
    trace.event(1, B).event(1, E, sp=FOREIGN[1] - 0x80)
    trace.call(2, FOREIGN[1] - 0x100)
    trace.event(1, L).event(1, A)
    return Case(Go(), Stack(Go(), region=-1)), trace


def twice():
    trace = Trace()
    trace.first(0, HIGH)
    return Case(Go(), Go()), trace.call(1, HIGH - 64)


def recovering():
    trace = Trace((0, 0))
    trace.event(0, B)
    trace.m = M
    trace.values = {"sched_sp": HIGH, "isextra": 1, "ncgo": 0, "lockedInt": 2}
    trace.ask(HIGH, 2)
    trace.event(0, E, True)
    own = dict(trace.values)
    trace.event(1, B, True)
    trace.values["ncgo"] = 1
    trace.event(1, E).event(2, B)
    trace.values |= {"sched_sp": HIGH - 40_000, "lockedInt": 3}
    trace.ask(HIGH - 40_000)
    trace.event(2, E, True)
    trace.values = own
    trace.event(0, R, True).event(0, L, True)
    trace.values["lockedInt"] = 1
    trace.bounds(*model.estimate(HIGH - 24), 0)
    trace.event(0, A)
    return Case(Go(C(Go(Panic())), recover=True), bounds="hidden"), trace


def signalled():
    trace = Trace()
    trace.first(0, HIGH)
    return Case(Go(), Signal(name="SIGURG")), trace.event(1, B).event(1, A, did=1)


def handled():
    """A signal whose handler is the host's, on the alternate stack."""
    trace = Trace()
    trace.first(0, HIGH)
    trace.event(1, B).event(1, E, did=2)
    blocked = {"sigmask": 1 << calltree.HANDLED["SIGUSR2"] - 1}
    trace.events[-1] = trace.events[-1]._replace(**blocked)
    trace.event(2, E).event(2, L).event(1, L)
    trace.events[-1] = trace.events[-1]._replace(**blocked)
    return Case(Go(), Signal(C())), trace.event(1, A)


def suspended():
    """A foreign stack is left and resumed, with no callback under way on it."""
    trace = Trace()
    trace.event(0, E)
    trace.first(1, HIGH)
    trace.event(2, B).event(2, E, sp=FOREIGN[1] - 0x80)
    trace.event(3, B).event(2, A)
    trace.call(4, HIGH - 64)
    trace.event(5, B).event(3, A, did=1).event(2, L).event(5, A)
    return Case(C(Go(), Stack(Suspend(), region=-1), Go(), Resume(region=-1))), trace.event(0, L)


def ended():
    trace = Trace()
    trace.tid = 1
    trace.event(0, B)
    trace.tid = 7
    trace.event(0, E)
    trace.first(1, HIGH)
    trace.event(0, L)
    values, m = trace.values, trace.m
    trace.tid, trace.queries, trace.told = 1, 0, (0, 0)
    trace.values = dict.fromkeys(values, 0)
    trace.event(0, D)
    trace.events[-1] = trace.events[-1]._replace(values=dict.fromkeys(values, 0), m=m)
    trace.values, trace.m = {}, 0
    return Case(Thread(Go())), trace.event(0, A)


def go_made():
    trace = Trace()
    trace.first(0, HIGH, lambda: None)
    trace.events[2:2] = []
    head, tail = trace.events[:2], trace.events[2:]
    inside = Trace()
    inside.tid, inside.m = 9, OTHER_M
    inside.values = {"sched_sp": 0x500, "isextra": 0, "ncgo": 0, "lockedInt": 0, "lockedExt": 1}
    inside.bounds(0x100, 0x1000, 0)
    inside.event(1, E, True)
    inside.event(2, B, True)
    inside.values["ncgo"] = 1
    inside.event(2, B)
    outer = dict(inside.values)
    inside.values |= {"sched_sp": 0x400, "lockedInt": 1}
    inside.event(2, E, True).event(2, L, True)
    inside.values = outer
    inside.event(2, A)
    inside.values["ncgo"] = 0
    inside.event(2, A, True).event(1, L, True)
    around = [head[1]._replace(node=1, phase=phase) for phase in (B, A)]
    trace.events = [*head, around[0], *inside.events, around[1], *tail]
    return Case(Go(Thread(Go(), kind="go"))), trace


def repeated():
    trace = Trace()
    trace.event(0, E)
    trace.first(1, HIGH)
    trace.call(1, HIGH)
    return Case(C(Go(), times=100)), trace.event(0, L)


def leaving_marks():
    """Each leaf of Go's, and what is seen of it."""
    trace = Trace()

    def body():
        trace.values |= {"collections": 4, "stops": 7}
        trace.event(1, X, True)
        trace.values |= {"stops": 255}
        trace.event(2, X, True)
        trace.event(3, X, True, did=70_000)
        trace.event(4, X, True, did=900)
        trace.values |= {"stops": 0}  # it is counted in one byte
        trace.event(5, X, True, lockedExt=1)
        trace.values |= {"stops": 1}
        trace.event(6, X, True, did=1)
        trace.event(7, X, True, did=1)

    trace.first(0, HIGH, body, collections=3, stops=7, lockedExt=0)
    for event in trace.events[2:]:
        event.values.setdefault("lockedExt", 0)
    leaves = (GC(), Yield(), Grow(stack=65536), Traceback(), LockThread(), Block(), Wake())
    return Case(Go(*leaves)), trace


def passing():
    """A panic passes a Go frame, whose deferred function calls C, on its way to the frame that recovers."""
    trace = Trace((0, 0))
    trace.event(0, B)
    trace.m = M
    trace.values = {"sched_sp": HIGH, "isextra": 1, "ncgo": 0, "lockedInt": 2}
    trace.ask(HIGH, 2)
    trace.event(0, E, True)
    outer = dict(trace.values)

    def deeper(node, sp, ncgo):
        trace.event(node, B, True)
        trace.values["ncgo"] = ncgo
        trace.event(node, B)
        trace.values |= {"sched_sp": sp, "lockedInt": ncgo + 2}
        trace.ask(sp)
        trace.event(node, E, True)

    deeper(1, HIGH - 40_000, 1)
    middle = dict(trace.values)
    deeper(2, HIGH - 80_000, 2)
    trace.values = middle
    trace.event(4, B, True)
    trace.values = middle | {"ncgo": 2}
    trace.event(4, E).event(4, L)
    trace.values = middle
    trace.event(4, A, True)
    trace.values = outer
    trace.event(0, R, True).event(0, L, True)
    trace.values["lockedInt"] = 1
    trace.bounds(*model.estimate(HIGH - 24), 0)
    trace.event(0, A)
    return Case(Go(Go(Go(Panic()), deferred=(C(),)), recover=True), bounds="hidden"), trace


RIGHT = [
    leaving_marks,
    passing,
    nested,
    hidden,
    foreign,
    twice,
    recovering,
    signalled,
    suspended,
    ended,
    go_made,
    repeated,
]


@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.__name__)
def test_what_a_correct_runtime_leaves_differs_in_nothing(right):
    case, trace = right()
    legality.check(case)
    assert found(case, trace.events) == []


# For each rule: a right trace, the event that is changed, how, and the field that differs.
WRONG = {
    Rule.ORDER: (nested, 5, {"node": 1}, "event"),
    Rule.CONTAINS: (nested, 1, {"sched_sp": 1}, "contains SP"),
    Rule.CACHED: (twice, 5, {"queries": 2}, "queries"),
    Rule.ASKED: (nested, 1, {"queries": 2}, "queries"),
    Rule.ANSWER: (nested, 1, {"accurate": 0}, "accurate"),
    Rule.ESTIMATE: (hidden, 1, {"hi": HIGH + 4096}, "hi"),
    Rule.GUARD: (nested, 1, {"guard1": 0}, "guard1"),
    Rule.RESTORED: (hidden, 7, {"lo": 1, "guard0": 1 + GUARD, "guard1": 1 + GUARD}, "lo"),
    Rule.NEEDM: (hidden, -1, {"hi": HIGH}, "hi"),
    Rule.RECOVERED: (recovering, 6, {"hi": HIGH - 40_000 + 1024}, "hi"),
    Rule.STEADY: (nested, 3, {"accurate": 0}, "accurate"),
    Rule.GO_MADE: (go_made, 6, {"queries": 1}, "queries"),
    Rule.SIGNAL: (signalled, -1, {"lockedInt": 5}, "lockedInt"),
    Rule.HANDLER: (handled, 5, {"did": 1}, "did"),
    Rule.SUSPENDED: (suspended, 14, {"lockedInt": 5}, "lockedInt"),
    Rule.DROPPED: (ended, -2, {"accurate": 1}, "accurate"),
    Rule.BOUND: (twice, 5, {"m": OTHER_M}, "m"),
    Rule.CROSSING: (nested, 1, {"isExtraInC": 1}, "isExtraInC"),
    Rule.THREAD: (twice, -1, {"sigmask": 1}, "sigmask"),
    Rule.COUNT: (repeated, 5, {"queries": 99}, "queries"),
    Rule.DID: (leaving_marks, 4, {"did": 65535}, "did"),
    Rule.VALUE: (hidden, -1, {"did": 1 << 40}, "did"),
}


def test_each_rule_has_a_trace_that_breaks_it():
    assert set(WRONG) == set(Rule)


@pytest.mark.parametrize("rule", list(Rule), ids=lambda rule: rule.name)
def test_a_broken_rule_is_named_with_node_field_and_values(rule):
    right, index, changes, field = WRONG[rule]
    case, trace = right()
    seen = [one for one in found(case, trace.changed(index, **changes)) if one.rule is rule]
    assert field in [one.field for one in seen]
    one = next(one for one in seen if one.field == field)
    assert one.expected != one.seen
    assert case.size() > one.node >= 0
    assert rule.text in str(one)
    assert rule.source in str(one)


@pytest.mark.parametrize(
    ("right", "index", "changes", "field"),
    [
        (ended, -2, {"sigmask": 1}, "sigmask"),
        (ended, -2, {"altstack": (1, 2, 2)}, "altstack"),
        (go_made, 5, {"sigmask": 1}, "sigmask"),
    ],
)
def test_a_thread_ends_as_it_began_and_gos_own_begin_with_nobodys_state(right, index, changes, field):
    case, trace = right()
    events = trace.changed(index, **changes)
    assert not events[index].in_go
    assert next((one.rule, one.field) for one in found(case, events)) == (Rule.THREAD, field)


@pytest.mark.parametrize(
    ("after", "field"),
    [(3, None), (4, "without_p, too many"), (2, "without_p, too few"), (2**32 - 1, "without_p, too few")],
)
def test_in_the_long_run_nobody_stays_counted_in_a_system_call(after, field):
    trace = Trace()
    trace.first(0, HIGH)
    trace.event(1, E, without_p=3)
    for node in (2, 2):
        trace.call(node, HIGH)
    trace.event(1, L, without_p=after)
    seen = found(Case(Go(), C(Go(), times=100)), trace.events)
    assert [(one.rule, one.field) for one in seen] == ([(Rule.CROSSING, field)] if field else [])


def test_what_the_main_thread_has_blocked_gos_own_threads_have_not():
    case, trace = go_made()
    blocked = case.having(*case.trees, blocked="SIGUSR1")
    assert legality.check(blocked)
    own = {event.tid for event in trace.events if event.values.get("isextra") == 0}
    masked = [
        event if event.tid in own or event.in_go else event._replace(sigmask=1 << 9) for event in trace.events
    ]
    assert found(blocked, masked) == []


def test_a_known_difference_does_not_hide_a_later_one():
    case, trace = hidden()
    events = trace.changed(1, guard1=0)
    trace.events = events
    events = trace.changed(-1, hi=HIGH)
    assert {one.rule for one in found(case, events)} >= {Rule.GUARD, Rule.NEEDM}


def test_the_prefix_of_a_case_that_died_is_no_difference():
    case, trace = nested()
    for length in range(len(trace.events)):
        assert found(case, trace.events[:length], complete=False) == []
    assert [one.rule for one in found(case, trace.events[:-1])] == [Rule.ORDER]


def test_a_field_that_a_release_lacks_is_left_out():
    case, trace = nested()
    events = [
        event._replace(values={k: v for k, v in event.values.items() if k != "accurate"})
        for event in trace.events
    ]
    assert found(case, events) == []
    # The flag is then what pthread was last told: a second question is one too many.
    events[5] = events[5]._replace(queries=2)
    assert Rule.CACHED in {one.rule for one in found(case, events)}


def test_threads_are_told_apart():
    case, trace = ended()
    by_other = []
    for event in trace.events:
        tid = event.tid + 100
        values = event.values | ({"procid": tid} if "procid" in event.values else {})
        by_other.append(event._replace(tid=tid, values=values))
    assert [one for one in found(case, by_other) if one.rule is not Rule.DROPPED] == []


def test_exports_are_counted_without_events_inside():
    trace = Trace()
    trace.event(0, E, did=1).event(1, B)
    trace.m = M
    trace.values = {"sched_sp": HIGH, "isextra": 1, "ncgo": 0, "lockedInt": 1}
    trace.ask(HIGH)
    trace.event(1, A).event(0, L)
    case = Case(Python(Export(name="GoF")))
    assert found(case, trace.events) == []
    assert next(one.rule for one in found(case, trace.changed(2, queries=4))) is Rule.COUNT


def test_an_exit_leaves_no_event_of_the_frames_it_leaves():
    case = Case(Go(Thread(C(Go(Goexit())), kind="go")))
    legality.check(case)
    trace = Trace()
    inside = Trace()
    inside.tid, inside.m = 9, OTHER_M
    inside.values = {"sched_sp": 0x500, "isextra": 0, "ncgo": 0, "lockedInt": 0}
    inside.bounds(0x100, 0x1000, 0)
    inside.event(1, E, True).event(2, B, True)
    inside.values["ncgo"] = 1
    inside.event(2, E).event(3, B)
    inside.values |= {"sched_sp": 0x400, "lockedInt": 1}
    inside.event(3, E, True)

    def thread():
        trace.event(1, B, True)
        trace.events += inside.events
        trace.event(1, A, True)

    trace.first(0, HIGH, thread)
    assert found(case, trace.events) == []


# What is missing, and what is too much, on any thread.


def order(case, events):
    return [(one.expected, one.seen) for one in found(case, events) if one.rule is Rule.ORDER]


@pytest.mark.parametrize("right", [ended, go_made])
def test_three_events_too_many_on_another_thread(right):
    case, trace = right()
    own = [n for n, event in enumerate(trace.events) if event.tid != trace.events[0].tid]
    last = own[-1]
    more = [trace.events[last]] * 3
    assert order(case, [*trace.events[: last + 1], *more, *trace.events[last + 1 :]])[0][0] == "none"


def test_a_thread_that_nobody_asked_for():
    case, trace = nested()
    stray = trace.events[0]._replace(tid=99, node=1, phase=E)
    assert order(case, [*trace.events, stray]) == [("none", "node 1 entered in C")]


def test_a_thread_that_did_not_come():
    case, trace = ended()
    main = [event for event in trace.events if event.tid == trace.events[0].tid]
    assert ("node 0 entered in C", "none") in order(case, main)


def test_a_thread_of_a_repeated_frame_that_ran_once_too_often():
    case, trace = ended()
    again = [event for event in trace.events if event.tid != trace.events[0].tid]
    events = [*trace.events, *(event._replace(tid=98) for event in again)]
    assert order(case, events) == [("none", "node 0 entered in C")]


# Expectations of their own, where an earlier event could not tell.


@pytest.mark.parametrize(("field", "value"), [("ncgo", 1), ("lockedInt", 3)])
def test_a_first_callbacks_accounts(field, value):
    case, trace = nested()
    seen = found(case, trace.changed(1, **{field: value}))
    assert (Rule.CROSSING, field) in [(one.rule, one.field) for one in seen]


@pytest.mark.parametrize("away", [1, -1, 4096, -4096])
def test_what_needm_leaves_is_a_guess_from_where_it_was_called(away):
    # Both ends moved together, so that neither gives the other away.
    case, trace = hidden()
    lo, hi = model.estimate(HIGH)
    moved = {"lo": lo + away, "hi": hi + away, "guard0": lo + away + GUARD, "guard1": lo + away + GUARD}
    seen = {(one.rule, one.field) for one in found(case, trace.changed(-1, **moved))}
    assert ((Rule.NEEDM, "lo") in seen) == (away not in (-1,))


def test_a_deferred_function_on_the_way_of_a_panic_has_its_own_frames_bounds():
    case, trace = passing()
    first = next(n for n, event in enumerate(trace.events) if event.node == 4)
    inner = next(event for event in trace.events if event.node == 2 and event.phase is E).values
    abandoned = {name: inner[name] for name in model.BOUNDS}
    seen = found(case, trace.changed(first, **abandoned))
    assert {(one.node, one.rule, one.field) for one in seen} >= {(4, Rule.RECOVERED, "lo")}


@pytest.mark.parametrize(
    ("index", "changes", "field"),
    [
        (2, {"collections": 3}, "collections"),
        (3, {"stops": 7}, "stops"),
        (5, {"did": 0}, "did"),
        (6, {"lockedExt": 0}, "lockedExt"),
        (7, {"did": 0}, "did"),
        (8, {"did": 0}, "did"),
    ],
)
def test_a_leaf_that_leaves_no_mark(index, changes, field):
    case, trace = leaving_marks()
    assert (Rule.DID, field) in [
        (one.rule, one.field) for one in found(case, trace.changed(index, **changes))
    ]


def limiting(together):
    trace = Trace()
    trace.tid = 1
    trace.event(0, B)
    first = 1 if together else 0
    trace.tid = 7
    trace.event(first, E, did=int(together))
    trace.event(first + 1, B).event(first + 1, A, did=1 << 20)
    trace.event(first, L)
    trace.tid = 1
    trace.event(first, D).event(0, A)
    thread = Thread(Setrlimit(stack=1 << 20))
    return Case(Together(thread) if together else thread), trace


@pytest.mark.parametrize("together", [False, True])
def test_the_limit_of_the_process_may_be_another_threads(together):
    case, trace = limiting(together)
    assert found(case, trace.events) == []
    seen = [one.key for one in found(case, trace.changed(3, did=1 << 23))]
    assert seen == ([] if together else ["did did"])


# A runtime that does better than today's is no fault.


def remembered():
    """Its first callback came from a foreign stack; one from its own finds the bounds, and they stay."""
    trace = Trace()
    trace.event(0, B).event(0, E, sp=FOREIGN[1] - 0x80)
    trace.first(1, FOREIGN[1] - 0x100)
    trace.event(0, L).event(0, A)
    trace.event(2, E)
    for _ in range(2):
        trace.event(3, B)
        before = trace.values["lockedInt"]
        trace.values |= {"sched_sp": HIGH, "lockedInt": before + 1}
        if trace.values["accurate"] == 0:
            trace.ask(HIGH)
        trace.event(3, E, True).event(3, L, True)
        trace.values |= {"lockedInt": before, "sched_sp": FOREIGN[1] - 0x100}
        trace.event(3, A)
    trace.event(2, L)
    return Case(Stack(Go(), region=-1), C(Go(), times=100)), trace


def test_bounds_that_are_found_out_may_stay_where_no_callback_is_under_way():
    case, trace = remembered()
    assert found(case, trace.events) == []


def test_a_question_at_every_call_of_a_stack_that_is_known_is_one_too_many():
    case, trace = remembered()
    last = next(n for n, event in enumerate(trace.events) if event.node == 3 and n > 12)
    asked = [
        event._replace(queries=event.queries + 98) if n >= last else event
        for n, event in enumerate(trace.events)
    ]
    assert [one.key for one in found(case, asked)] == ["count queries"]


def test_a_runtime_that_asks_less_is_none():
    case, trace = hidden()
    fewer = [event._replace(queries=0) for event in trace.events]
    assert found(case, fewer) == []
