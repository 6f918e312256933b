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
    """Flat, of strings and numbers only: Python's collector passes over such tuples, and of these there are
    two hundred for each case."""
    bounds = case.bounds
    for thread in script(case):
        last: tuple[str, int] | None = None
        for step in thread.steps:
            here, state = _what(step), _state(step)
            if last is not None:
                yield last[0], here
                yield bounds, last[0], here, state
                yield bounds, last[1], state
            if step.before is not None:
                yield _what(step.before), step.before.callbacks, here, state
            last = here, state


def _what(step: Step) -> str:
    return f"{type(step.node).__name__} {step.phase:d}"


def _state(step: Step) -> int:
    side = (step.region > 0) - (step.region < 0)
    depths = min(step.callbacks, MOST) * (MOST + 1) + min(step.cgo, MOST)
    return ((depths * 3 + side + 1) * 2 + step.in_go) * 2 + step.alone
