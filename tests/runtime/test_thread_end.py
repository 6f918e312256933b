"""When a thread ends its M is dropped clean, and whoever takes it next finds out anew."""

from __future__ import annotations

import pytest

from golib import GC, C, Go, Stack, Thread, Together
from golib.case.calltree import KIB
from golib.case.script import Phase
from golib.judge.model import LONG_RUN


def test_the_m_of_a_finished_thread_has_no_bounds(check, bounds):
    outcome = check(Thread(Go(C(Go()))), bounds=bounds)
    ended = [event for event in outcome.events if event.phase is Phase.ENDED]
    assert [bool(event.m) for event in ended] == [True]


@pytest.mark.parametrize("second", [32 * KIB, 64 * KIB, 1024 * KIB], ids=lambda size: f"second={size}")
@pytest.mark.parametrize("first", [128 * KIB, 16 * 1024 * KIB], ids=lambda size: f"first={size}")
def test_another_stack_takes_over_the_m(check, first, second):
    outcome = check(Thread(Go(GC()), stack=first), Thread(Go(GC()), stack=second))
    machines = [e.m for e in outcome.events if e.phase is Phase.ENTERED and e.in_go]
    assert machines[0] == machines[1], "the second thread took another M"


def test_taken_over_from_a_foreign_stack(check, bounds):
    check(Thread(Stack(Go())), Thread(Go()), Thread(Stack(Go(), region=-1)), Thread(Go()), bounds=bounds)


@pytest.mark.parametrize("kind", ["native", "memory", "python"])
def test_two_thousand_short_threads(check, kind, bounds):
    outcome = check(Go(), C(Thread(Go(), kind=kind, stack=128 * KIB), times=2_000), bounds=bounds)
    first, last = (e for e in outcome.events if e.phase is Phase.ENTERED and e.in_go and e.node == 3)
    assert first.tid != last.tid


def test_a_thread_is_one_goroutine_from_its_first_callback_to_its_end(check):
    # By the last one Go's main goroutine, which ends after its init, is long gone.
    outcome = check(Go(), C(Thread(Go(), Go()), times=LONG_RUN - 1), Go())
    counts = [e.goroutines for e in outcome.events if e.in_go and e.phase is Phase.ENTERED]
    *_, first, second, after = counts
    assert (first, second) == (after + 1, after + 1)
    assert after <= counts[0], "threads have ended, their goroutines have not"


def test_a_finished_thread_is_in_no_system_call(check):
    # runtime/metrics, /sched/goroutines/not-in-go (since 1.26): above, nobody is in Go.
    check(Go(), C(Thread(Go(), Go()), times=LONG_RUN))


def test_threads_that_end_together(check, bounds):
    threads = [Thread(Go(), C(Go(), stack=4_000), stack=256 * KIB) for _ in range(16)]
    check(Together(*threads), Together(*threads), Go(), bounds=bounds)


def test_a_thread_that_never_called_go_ends(check):
    check(Thread(C()), Thread(Go()))
