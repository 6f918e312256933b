"""The callbacks of the user's own library, seen in a scenario (golib/bridge/crossings.c).

A small library has an export that calls back into C, which calls Go again.  A C frame that holds a
certain number of bytes is the scenario: it opens one, calls the export, and closes it again.
"""

from __future__ import annotations

from enum import IntEnum

import pytest
from broken import edited, overlay_of

import golib
from golib import C, Case, Go, Thread
from golib.case.script import Phase
from golib.door import Subject
from golib.judge import model
from golib.judge.model import Rule
from golib.judge.outcome import Kind
from golib.toolchains.build import BRIDGE, build
from golib.toolchains.toolchain import Toolchain

USERS = """\
package main

// void visit_from_c(int depth);
import "C"

import "runtime"

//export Visit
func Visit(depth C.int) {
	defer func() { recover() }()
	if depth < 0 {
		panic("left behind")
	}
	if depth > 0 {
		runtime.GC()
		C.visit_from_c(depth - 1)
	}
}

// Leaves has no recover: what it leaves is a callback that never returns.
//
//export Leaves
func Leaves() { panic("left behind") }

//export Recovers
func Recovers() {
	defer func() { recover() }()
	C.visit_from_c(-1)
}

func main() {}
"""

USERS_C = """\
#include <signal.h>

void Visit(int);
void Leaves(void);

_Thread_local int changes_mask;

void visit_from_c(int depth)
{
	sigset_t set;

	if (depth < 0) {
		Leaves();
		return;
	}
	Visit(depth);
	if (depth == 0 && changes_mask) {
		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		pthread_sigmask(SIG_BLOCK, &set, 0);
	}
}
"""


class Scenario(IntEnum):
    """What the bridge does instead of holding so many bytes."""

    TWICE = 7_100_001  # one callback, and in it another one
    MASK = 7_100_002  # the C between them leaves the signal mask changed
    PANIC = 7_100_003  # the inner one never returns
    ELSEWHERE = 7_100_004  # on a thread that golib does not know
    CLOSED = 7_100_005  # no scenario is open any more
    BODY = 7_100_006  # the first round of the frame's body


_C = """\
#include "golib.h"

#include <pthread.h>

void Visit(int);
void Recovers(void);
extern _Thread_local int changes_mask;

static void *elsewhere(void *arg)
{
	Visit(1);
	return 0;
}

static void scenario(struct node *n)
{
	pthread_t thread;

	golib_scenario_begin(n);
	switch (n->stack) {
	case TWICE: Visit(1); break;
	case MASK:
		changes_mask = 1;
		Visit(1);
		changes_mask = 0;
		break;
	case PANIC: Recovers(); break;
	case BODY:
		golib_run_body(n);
		n->times--;
		break;
	case ELSEWHERE:
		pthread_create(&thread, 0, elsewhere, 0);
		pthread_join(thread, 0);
		break;
	}
	golib_scenario_end(n);
	if (n->stack == CLOSED)
		Visit(1);
	n->stack = 0;
}
"""


@pytest.fixture(scope="module")
def users(go_on_path: Toolchain, testrun_uid: str, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("users")
    (folder / "go.mod").write_text("module example/users\n\ngo 1.21\n")
    (folder / "users.go").write_text(USERS)
    (folder / "users.c").write_text(USERS_C)
    names = "".join(f"#define {one.name} {one.value}\n" for one in Scenario)
    honest = "\tgolib_record(n, GOLIB_ENTERED);\n\tfor (round"
    is_one = f"\tif (n->stack > {min(Scenario) - 1} && n->stack <= {max(Scenario)})\n\t\tscenario(n);\n"
    name = edited(BRIDGE / "frames.c", honest, honest.replace("\tfor", f"{is_one}\tfor"), folder)
    text = (folder / name).read_text()
    (folder / name).unlink()
    sources = folder / "bridge"
    sources.mkdir()
    (sources / name).write_text(text.replace("void golib_frame_c(", f"{names}{_C}\nvoid golib_frame_c(", 1))
    overlay = overlay_of(sources, {str(BRIDGE.resolve() / name): name})
    return golib.open(build(go_on_path, package=folder, overlay=overlay, session=testrun_uid))


def scenario(which: Scenario) -> C:
    return C(stack=int(which))


CROSSINGS = (Phase.CROSSING, Phase.CROSSED)


def test_nested_callbacks_are_seen_and_belong_together(users: Subject) -> None:
    outcome = users.run(Case(Go(scenario(Scenario.TWICE))))
    assert outcome.kind is Kind.PASSED, outcome
    seen = [event for event in outcome.events if event.phase in CROSSINGS]
    assert [event.phase for event in seen] == [Phase.CROSSING] * 2 + [Phase.CROSSED] * 2
    assert {event.node for event in seen} == {1}
    first, second, second_back, first_back = (event.did for event in seen)
    assert (first, second) == (first_back, second_back)
    assert first != second
    assert not any(event.in_go for event in seen)


def test_a_callback_that_a_panic_left_behind_is_no_fault(users: Subject) -> None:
    outcome = users.run(Case(Go(scenario(Scenario.PANIC))))
    assert outcome.kind is Kind.PASSED, outcome
    phases = [event.phase for event in outcome.events if event.phase in CROSSINGS]
    assert phases == [Phase.CROSSING, Phase.CROSSING, Phase.CROSSED]


def test_a_mask_left_changed_is_a_fault_of_that_callback(users: Subject) -> None:
    outcome = users.run(Case(Go(scenario(Scenario.MASK))))
    assert outcome.kind is Kind.DIVERGENCE
    crossed, *further = outcome.divergences
    assert (crossed.phase, crossed.node, crossed.field) == (Phase.CROSSED, 1, "sigmask")
    assert crossed.rule is Rule.THREAD
    outer = next(event for event in outcome.events if event.phase is Phase.CROSSING)
    assert outcome.events[crossed.index].did == outer.did
    assert {(one.field, one.phase) for one in further} <= {("sigmask", Phase.AFTER)}


def test_a_thread_that_golib_does_not_know_belongs_to_the_open_scenario(users: Subject) -> None:
    outcome = users.run(Case(Go(scenario(Scenario.ELSEWHERE))))
    assert outcome.kind is Kind.PASSED, outcome
    seen = [event for event in outcome.events if event.phase in CROSSINGS]
    assert [event.node for event in seen] == [1] * 4
    assert {event.tid for event in seen}.isdisjoint({outcome.events[0].tid})


def test_without_an_open_scenario_nothing_is_recorded(users: Subject) -> None:
    # Nor is a callback of golib's own, on another thread meanwhile.
    outcome = users.run(Case(Go(scenario(Scenario.CLOSED)), Go(Thread(Go(), kind="native"))))
    assert outcome.kind is Kind.PASSED, outcome
    assert not [event for event in outcome.events if event.phase in CROSSINGS]


def test_a_thread_of_the_tree_does_not_belong_to_anothers_scenario(users: Subject) -> None:
    body = Thread(Go(), kind="native")
    outcome = users.run(Case(Go(C(body, stack=int(Scenario.BODY), times=2))))
    # Both rounds have run.  That the frame does not hold its bytes is no matter here.
    assert [event.node for event in outcome.events if event.phase is Phase.ENTERED].count(3) == 2
    assert not [event for event in outcome.events if event.phase in CROSSINGS]


@pytest.mark.parametrize(
    "field", ["lo", "hi", "guard0", "guard1", "sched_sp", "ncgo", "lockedInt", "goid", "m_curg", "isextra"]
)
def test_what_a_callback_does_not_give_back_is_found(users: Subject, field: str) -> None:
    outcome = users.run(Case(Go(scenario(Scenario.TWICE))))
    events = list(outcome.events)
    index = next(i for i, event in enumerate(events) if event.phase is Phase.CROSSED)
    values = dict(events[index].values)
    if field not in values:
        pytest.skip(f"this release has no {field}")
    values[field] += 16
    events[index] = events[index]._replace(values=values)
    found = list(model.divergences(outcome.case, events, complete=True))
    assert [(one.index, one.phase, one.field) for one in found] == [(index, Phase.CROSSED, field)]


@pytest.mark.parametrize(
    "changed",
    [{"sigmask": 1}, {"fpu": (1, 2)}, {"altstack": (1, 2, 3)}, {"m": 1}],
    ids=lambda one: next(iter(one)),
)
def test_the_threads_own_state_is_held_against_it(users: Subject, changed: dict[str, object]) -> None:
    outcome = users.run(Case(Go(scenario(Scenario.TWICE))))
    events = list(outcome.events)
    index = next(i for i, event in enumerate(events) if event.phase is Phase.CROSSED)
    events[index] = events[index]._replace(**changed)  # type: ignore[arg-type]
    found = list(model.divergences(outcome.case, events, complete=True))
    assert [(one.index, one.field) for one in found] == [(index, next(iter(changed)))]
