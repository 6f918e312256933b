"""The trace: memory that C, Go and Python lay out alike, and what of it counts."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from broken import Break, breaking, edited, overlay_of

import golib
from golib import C, Case, Go
from golib.build import BRIDGE, build
from golib.door import Subject, fields_of
from golib.outcome import Kind
from golib.toolchain import Toolchain
from golib.trace import (
    CAPACITY,
    FIELDS,
    HEADER,
    SIZE,
    VALUES,
    Base,
    EventStruct,
    HeaderStruct,
    Memory,
    Phase,
)


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


def test_phases_and_bases_are_those_of_the_bridge() -> None:
    header = (BRIDGE / "golib.h").read_text()
    for kind, name in ((Phase, "golib_phase"), (Base, "golib_base")):
        body = re.search(rf"enum {name} {{(.*?)}}", header, re.DOTALL)
        assert body
        constants = re.findall(r"GOLIB_(?:IN_)?(\w+)", re.sub(r"//.*", "", body[1]))
        count = ["BASES"] if kind is Base else []
        assert constants == [member.name for member in kind] + count
    assert f"#define GOLIB_VALUES {VALUES}\n" in header


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\tuint64_t sp, told_lo, told_hi;", "\tuint64_t sp, told_lo, told_hi, other;"),
        ("\tchar fault[1000];", "\tchar fault[2000];"),
        ("\tuint32_t pad;\n};", "\tuint32_t pad;\n\tuint64_t other;\n};"),
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
