"""The trace: memory that C, Go and Python lay out alike, and what of it counts."""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from broken import Break, breaking, edited, overlay_of

import golib
from golib import (
    GC,
    Block,
    C,
    Case,
    Go,
    Goexit,
    Grow,
    LockThread,
    Node,
    Panic,
    Python,
    Setrlimit,
    Signal,
    Stack,
    Thread,
    Together,
    Traceback,
    Wake,
    Yield,
)
from golib.case.script import Phase
from golib.door import Subject, fields_of
from golib.judge.outcome import Kind
from golib.run.trace import (
    CAPACITY,
    FIELDS,
    HEADER,
    SIZE,
    VALUES,
    Event,
    EventStruct,
    HeaderStruct,
    Memory,
)
from golib.toolchains.build import BRIDGE, build
from golib.toolchains.toolchain import Toolchain


@pytest.fixture
def memory() -> Iterator[Memory]:
    fd = os.memfd_create("test")
    os.ftruncate(fd, SIZE)
    memory = Memory(fd)
    os.close(fd)
    yield memory
    memory.close()


PRESENT = [True] * len(FIELDS)


def put(memory: Memory, slot: int, *, committed: bool = True, claim: bool = True, **values: int) -> None:
    """An event as the bridge writes one: the generation last."""
    event = EventStruct.from_buffer(memory.map, HEADER + slot * ctypes.sizeof(EventStruct))
    if claim:
        memory.header.next = slot + 1
    for name, value in values.items():
        setattr(event, name, value)
    if committed:
        event.committed = memory.header.generation


# What counts.


def test_what_an_earlier_run_left_is_not_read(memory: Memory) -> None:
    memory.begin()
    for slot in range(3):
        put(memory, slot, node=slot, m=1)
    assert [event.node for event in memory.read(PRESENT).events] == [0, 1, 2]
    memory.begin()
    assert memory.read(PRESENT).events == ()
    # This run claims three slots and dies in the middle of the second: there the old event still lies.
    put(memory, 0, node=10)
    put(memory, 1, node=11, committed=False)
    put(memory, 2, node=12)
    assert [event.node for event in memory.read(PRESENT).events] == [10, 12]


def test_a_run_begins_with_a_clean_header(memory: Memory) -> None:
    memory.begin()
    first = memory.header.generation
    memory.header.finished, memory.header.running = 7, 7
    memory.header.refused, memory.header.fault = 1, b"ours"
    assert memory.read(PRESENT).fault == "ours"
    memory.begin()
    assert memory.header.generation == first + 1
    record = memory.read(PRESENT)
    assert (record.events, record.finished, record.fault) == ((), 0, "")
    assert (memory.header.refused, memory.header.next, memory.header.capacity) == (0, 0, CAPACITY)


def test_more_claims_than_slots_read_no_further_than_the_memory_goes(memory: Memory) -> None:
    memory.begin()
    put(memory, CAPACITY - 1, node=5)
    memory.header.next = CAPACITY + 1000
    assert [event.node for event in memory.read(PRESENT).events] == [5]


def test_a_field_that_the_release_lacks_is_absent(memory: Memory) -> None:
    memory.begin()
    put(memory, 0, m=1)
    without = [name != "accurate" for name, _, _ in FIELDS]
    [event] = memory.read(without).events
    assert set(event.values) == {name for name, _, _ in FIELDS} - {"accurate"}


def test_a_thread_that_never_called_go_has_no_values(memory: Memory) -> None:
    memory.begin()
    put(memory, 0, m=0)
    [event] = memory.read(PRESENT).events
    assert event.values == {}
    assert event.bounds == (0, 0)


def test_a_fault_that_is_no_text_can_be_read(memory: Memory) -> None:
    memory.begin()
    memory.header.fault = b"\xff broke"
    assert memory.read(PRESENT).fault == "\ufffd broke"


# One layout.


def test_the_fields_fit_and_have_one_name_each() -> None:
    names = [name for name, _, _ in FIELDS]
    assert len(names) == len(set(names)) <= VALUES
    assert ctypes.sizeof(HeaderStruct) <= HEADER


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\tuint64_t sp, told_lo, told_hi;", "\tuint64_t sp, told_lo, told_hi, other;"),
        ("\tchar fault[1000];", "\tchar fault[2000];"),
        ("\tuint32_t pad;\n", "\tuint32_t pad;\n\tuint64_t other;\n"),
    ],
    ids=["event", "header", "node"],
)
def test_a_library_laid_out_otherwise_is_refused(
    go_on_path: Toolchain, tmp_path: Path, testrun_uid: str, old: str, new: str
) -> None:
    # It would write where Python reads something else, and Go would be blamed.
    name = edited(BRIDGE / "golib.h", old, new, tmp_path)
    overlay = overlay_of(tmp_path, {str(BRIDGE.resolve() / "golib.h"): name})
    outcome = golib.open(build(go_on_path, overlay=overlay, session=testrun_uid)).run(Case(Go()))
    assert outcome.kind is Kind.HARNESS
    assert re.match(r"BindingError: .*\.so was built for another golib: its sizes are ", outcome.headline)


# Real events.


def test_an_event_of_go_says_what_c_says_of_the_same_moment(subject: Subject) -> None:
    """Both write the trace, each in its own language: what cannot have changed between must agree."""
    outcome = subject.run(Case(Go(C())))
    before, entered, calling, inside = outcome.events[:4]
    assert [event.in_go for event in (before, entered, calling, inside)] == [False, True, True, False]
    assert len({event.tid for event in outcome.events}) == 1
    assert calling.m == inside.m != 0
    same = ("lo", "hi", "guard0", "guard1", "sched_sp", "accurate", "isextra", "ncgo", "procid", "m_curg")
    assert {name: calling.values[name] for name in same[:7]} == {
        name: inside.values[name] for name in same[:7]
    }
    assert inside.values["procid"] == inside.tid
    lo, hi = inside.bounds
    assert lo < inside.sp < hi
    # A callback's SP is on the goroutine's stack.
    assert entered.values["curg_lo"] < entered.sp < entered.values["curg_hi"]
    assert before.values == {}


def test_a_field_with_a_wrong_place_is_seen(subject: Subject) -> None:
    """What the trace shows is read at the offsets that it is given, not made up."""
    fields = fields_of(subject.library)
    table = fields.table[16:32] + fields.table[:16] + fields.table[32:]  # lo and hi, 16 bytes each
    other = Subject(subject.library)
    other._fields = dataclasses.replace(fields, table=table)
    event = next(event for event in other.run(Case(Go())).events if event.values)
    assert event.values["lo"] > event.values["hi"]


def test_a_crash_loses_nothing_that_was_written(broken: Subject) -> None:
    honest = broken.run(Case(Go(C(Go(), C(Go())))))
    died = broken.run(Case(Go(C(Go(), breaking(Break.KILLED)))))
    shared = len(died.events)
    assert shared >= 8
    shape = [(event.node, event.phase, event.in_go) for event in honest.events[:shared]]
    assert [(event.node, event.phase, event.in_go) for event in died.events] == shape


def test_of_a_repeated_frame_the_first_and_the_last_round_are_recorded(subject: Subject) -> None:
    two = subject.run(Case(C(Go(), times=2)))
    many = subject.run(Case(C(Go(), times=5_000)))
    assert many.kind is two.kind is Kind.PASSED
    shapes = [[(event.node, event.phase) for event in outcome.events] for outcome in (two, many)]
    assert shapes[0] == shapes[1]
    assert len(shapes[0]) == 2 + 2 * 4


# What leaves leave.


@pytest.fixture(scope="session")
def idle(go_on_path: Toolchain, testrun_uid: str, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A bridge whose leaves and whose gate return at once."""
    folder = tmp_path_factory.mktemp("idle")
    sources: dict[str, list[tuple[str, str]]] = {
        "bridge.go": [
            ("\t\tdid := leaf(n)\n", "\t\tdid := uint64(0)\n"),
            ("\t\truntime.LockOSThread()\n\t\truntime.Gosched()\n\t\t//", "\t\t//"),
            ("\t\trecord(n, C.GOLIB_DID)\n\t\truntime.UnlockOSThread()\n", "\t\trecord(n, C.GOLIB_DID)\n"),
        ],
        "signals.c": [("pthread_kill(pthread_self(), n->argument);", "pthread_kill(pthread_self(), 0);")],
        "stacks.c": [("\tlimit.rlim_cur = n->stack;\n", "")],
        "threads.c": [("\tif (!gate)\n", "\tif (1)\n")],
    }
    for name, edits in sources.items():
        (folder / name).write_text((BRIDGE / name).read_text())
        for old, new in edits:
            edited(folder / name, old, new, folder)
    overlay = overlay_of(folder, {str(BRIDGE.resolve() / name): name for name in sources})
    return golib.open(build(go_on_path, overlay=overlay, session=testrun_uid))


Mark = Callable[[Event, Event], bool]
"""Whether a leaf has left its mark between the event before it and its own."""


def did_at_least(least: int, most: int) -> Mark:
    return lambda _, event: least <= event.did <= most


def raised(field: str) -> Mark:
    return lambda before, event: event.values[field] == before.values[field] + 1


def stopped(before: Event, event: Event) -> bool:
    return event.values["stops"] != before.values["stops"]


GROW = 8 * 1024
"""Bytes that a goroutine uses beside those of its Grow."""

MARKS: list[tuple[Node, Mark]] = [
    (GC(), raised("collections")),
    (Yield(), stopped),
    (Traceback(), did_at_least(100, 1 << 16)),
    (LockThread(), raised("lockedExt")),
    (Block(), did_at_least(1, 1)),
    (Block(), stopped),
    (Wake(), did_at_least(1, 1)),
    *(
        (Grow(stack=stack), did_at_least(stack, stack + stack // 16 + GROW))
        for stack in (1, 1024, 64 * 1024, 1024 * 1024)
    ),
]


def leaf(subject: Subject, case: Case, number: int = 1) -> tuple[Event, Event]:
    """A leaf's own event, and the one before it on its thread."""
    events = subject.run(case).events
    [index] = [
        index for index, event in enumerate(events) if (event.node, event.phase) == (number, Phase.DID)
    ]
    before = [event for event in events[:index] if event.tid == events[index].tid][-1]
    assert events[index].in_go
    return before, events[index]


@pytest.mark.parametrize(("node", "mark"), MARKS, ids=[repr(node) for node, _ in MARKS])
def test_a_go_leaf_leaves_its_mark(subject: Subject, idle: Subject, node: Node, mark: Mark) -> None:
    assert mark(*leaf(subject, Case(Go(node))))
    assert mark(*leaf(subject, Case(Go(node), on=("trace",))))
    assert not mark(*leaf(idle, Case(Go(node))))


def test_each_wait_parks_the_goroutine(subject: Subject) -> None:
    """The other goroutine is the faster about once in 2,000 times, and then nobody has waited."""
    for _ in range(8):
        events = subject.run(Case(Go(*[Block()] * 2000))).events
        in_go = [event for event in events if event.in_go][:-1]
        assert len(in_go) == 2001
        assert all(stopped(before, event) for before, event in itertools.pairwise(in_go))


def test_a_thread_is_locked_no_longer_than_its_leaf(subject: Subject) -> None:
    events = subject.run(Case(Go(LockThread()))).events
    assert [event.values["lockedExt"] for event in events if event.in_go] == [0, 1, 0]


def test_a_leaf_that_does_not_return_leaves_no_event(subject: Subject) -> None:
    for case in (Case(Go(Panic(), recover=True)), Case(Go(Thread(Goexit(), kind="go")))):
        events = subject.run(case).events
        assert events
        assert Phase.DID not in {event.phase for event in events}


def test_a_leaf_in_a_middle_round_leaves_no_event(subject: Subject) -> None:
    events = subject.run(Case(C(Go(Wake()), times=10))).events
    assert [event.node for event in events if event.phase is Phase.DID] == [2, 2]


SIGNAL = Signal(name="SIGURG")  # the one that Go handles whatever the case has turned on

SIGNALLED = {
    "no M": Case(SIGNAL),
    "no M, a thread": Case(Thread(SIGNAL)),
    "no M, a foreign stack": Case(Stack(SIGNAL)),
    "below Go": Case(Go(C(SIGNAL))),
    "after Go": Case(C(Go(), SIGNAL)),
    "below Go, a foreign stack": Case(Go(Stack(SIGNAL, region=-1))),
    "after Go, a foreign stack": Case(Thread(Stack(Go(), SIGNAL))),
    "a thread of Go's": Case(Go(Thread(C(SIGNAL), kind="go"))),
    "with others": Case(C(SIGNAL, Go(), SIGNAL), Thread(SIGNAL), signals="SIGURG"),
}


def signalled(subject: Subject, case: Case) -> list[int]:
    numbers = [placed.number for placed in case.walk() if placed.node == SIGNAL]
    events = [event for event in subject.run(case).events if event.node in numbers]
    after = [event for event in events if event.phase is Phase.AFTER and not event.in_go]
    assert [event.node for event in after] == numbers
    return [event.did for event in after]


@pytest.mark.parametrize("case", SIGNALLED.values(), ids=SIGNALLED)
def test_a_signal_is_seen_by_its_frame(subject: Subject, idle: Subject, case: Case) -> None:
    assert set(signalled(subject, case)) == {1}
    if not case.signals:  # else one of the others may have come
        assert set(signalled(idle, case)) == {0}


def test_a_limit_is_seen_as_it_is_afterwards(subject: Subject, idle: Subject) -> None:
    case = Case(Setrlimit(stack=1024 * 1024), Setrlimit(stack=4096 * 1024))

    def limits(subject: Subject) -> list[int]:
        return [event.did for event in subject.run(case).events if event.phase is Phase.AFTER]

    assert limits(subject) == [1024 * 1024, 4096 * 1024]
    first, second = limits(idle)
    assert first == second  # what it was


def entered(subject: Subject, case: Case) -> dict[int, int]:
    return {event.node: event.did for event in subject.run(case).events if event.phase is Phase.ENTERED}


def test_threads_that_begin_together_say_how_many(subject: Subject, idle: Subject) -> None:
    threads = Case(Together(Thread(), Thread(kind="python"), Thread(kind="memory")), Thread())
    assert entered(subject, threads) == {1: 3, 2: 3, 3: 3, 4: 0}
    assert entered(idle, threads) == {1: 0, 2: 0, 3: 0, 4: 0}
    below = Case(Go(Together(Thread(kind="go"), Thread()), Thread(kind="go")))
    assert entered(subject, below) == {0: 0, 2: 2, 3: 2, 4: 0}
    assert entered(idle, below) == {0: 0, 2: 0, 3: 0, 4: 0}


def test_a_python_frame_is_told_from_a_c_frame(subject: Subject) -> None:
    assert entered(subject, Case(Python(C()), C(Python()))) == {0: 1, 1: 0, 2: 0, 3: 1}
