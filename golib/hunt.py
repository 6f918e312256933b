"""Hunting: cases about time, each alone in a child, for as long as one likes.

``tests/runtime/test_hunt.py`` is the glue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from golib import fuzz
from golib.case import legality, schedules
from golib.case.calltree import Case
from golib.door import Subject, flavour
from golib.judge.outcome import Kind

SLICE = 60.0
"""Seconds of one test: a longer hunt has more of them."""
PATIENCE = 2.5
"""Seconds after which a case hangs: each takes some tenths of one."""


@dataclass
class Hunt:
    """What a hunt came to."""

    search: fuzz.Search = field(default_factory=fuzz.Search)
    busy: float = 0.0
    """Seconds in which a case ran."""


def drawn(seed: str) -> Iterator[Case]:
    """Cases about time without end, no two of them equal."""
    choose, seen = fuzz.chooser(seed), set()
    while True:
        case = schedules.case(choose)
        if case not in seen:
            seen.add(case)
            legality.check(case)
            yield case


def hunt(
    fuzzer: fuzz.Fuzzer, subject: Callable[[str], Subject], seed: str, seconds: float, timeout: float
) -> Hunt:
    """For so many seconds.  What is new is looked into after its case has had ``timeout`` seconds, and does
    not count."""
    made = Hunt()
    for case in drawn(seed):
        if made.busy >= seconds:
            return made
        begun = time.monotonic()
        outcome = subject(flavour(case)).run(case, min(PATIENCE, timeout))
        made.busy += time.monotonic() - begun
        if outcome.kind is Kind.HANG and not fuzzer.explains(outcome):
            # Idle threads come to nothing where others are busy: that is no hang.
            outcome = subject(flavour(case)).run(case, timeout)
        fuzzer.look_at(outcome, made.search)
    raise AssertionError


def slices(seconds: float) -> list[float]:
    """The seconds of each test of a hunt."""
    whole, rest = divmod(seconds, SLICE)
    return [SLICE] * int(whole) + ([rest] if rest else [])


def sentence(toolchain: str, ran: int, busy: float, seen: Mapping[str, int]) -> str:
    """What can be quoted: how often each issue showed, and per second."""
    shown = [f"{name} {count} times ({count / busy:.2f} a second)" for name, count in sorted(seen.items())]
    return f"hunt {toolchain}: {ran} cases about time in {busy:.0f} s: {', '.join(shown) or 'no known issue'}"
