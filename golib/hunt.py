"""Hunting: cases about time, each alone in a child, for as long as one likes.

``tests/runtime/test_hunt.py`` is the glue.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from golib import fuzz
from golib.case import legality, schedules
from golib.case.calltree import Case, Together
from golib.door import Subject, flavour
from golib.judge.outcome import Kind

SLICE = 60.0
"""Seconds of one test: a longer hunt has more of them."""
PATIENCE = 2.5
"""Seconds after which a case hangs: each takes a tenth of one, and some more on a busy machine."""
PATIENCE_IDLE = 6.0
"""The same where its threads are idle ones: they come to little while others are busy."""


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
    made: Hunt,
    fuzzer: fuzz.Fuzzer,
    subject: Callable[[str], Subject],
    seed: str,
    seconds: float,
    timeout: float,
) -> None:
    """For so many seconds, in which cases run, or until something is new: looking into that takes its own
    time."""
    for case in drawn(seed):
        if made.busy >= seconds or made.search.findings:
            return
        idle = any(isinstance(one.node, Together) and one.node.policy for one in case.walk())
        begun = time.monotonic()
        outcome = subject(flavour(case)).run(case, min(PATIENCE_IDLE if idle else PATIENCE, timeout))
        if outcome.kind is Kind.HANG and not fuzzer.explains(outcome):
            # Other processes may have had the processors.
            outcome = subject(flavour(case)).run(case, min(fuzz.DEADLINE, timeout))
        made.busy += time.monotonic() - begun
        fuzzer.look_at(outcome, made.search)


def slices(seconds: float) -> list[float]:
    """The seconds of each test of a hunt."""
    whole, rest = divmod(seconds, SLICE)
    return [SLICE] * int(whole) + ([rest] if rest else [])


def sentence(toolchain: str, parts: Sequence[Mapping[str, Any]]) -> str:
    """What can be quoted: how often each issue showed, and per second."""
    ran, busy = (sum(part[name] for part in parts) for name in ("ran", "seconds"))
    seen: Counter[str] = Counter()
    for part in parts:
        seen.update(part["known"])
    shown = [f"{name} {count} times ({count / busy:.2f} a second)" for name, count in sorted(seen.items())]
    what = ", ".join(shown) or "no known issue"
    return f"hunt {toolchain}: {ran:,} cases about time ran for {busy:.0f} s: {what}"
