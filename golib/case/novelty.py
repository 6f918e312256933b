"""What a case would show that no case before it has shown, by its script alone.

A pair is two steps of one thread, one after the other or one held against the other, with the state of the
second: which side it is on, how deep in callbacks and in calls, on whose stack, whether other threads run.
Where a panic or a Goexit goes, the frames that it leaves are steps of such pairs, too.

By the script, and not by what a runtime does: a seed draws the same everywhere.

Pure: no process, no clock, no Go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from golib.case.calltree import Case
from golib.case.script import Step, script

Pair = tuple[Any, ...]

MOST = 3
"""Callbacks, and calls, below each other that are told apart."""


def pairs(case: Case) -> frozenset[Pair]:
    """Those that the case would show."""
    return frozenset(_pairs(case))


def _pairs(case: Case) -> Iterator[Pair]:
    for thread in script(case):
        last: Step | None = None
        for step in thread.steps:
            here, state = _what(step), _state(step)
            if last is not None:
                yield "next", _what(last), here
                yield "next", case.bounds, _what(last), here, state
                yield "next", case.bounds, _state(last), state
            if step.before is not None:
                yield "held", _what(step.before), step.before.callbacks, here, state
            last = step


def _what(step: Step) -> Pair:
    return type(step.node).__name__, step.phase


def _state(step: Step) -> Pair:
    side = (step.region > 0) - (step.region < 0)
    return step.in_go, min(step.callbacks, MOST), min(step.cgo, MOST), side, step.alone
