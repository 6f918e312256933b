"""What a scenario costs, and what the library left behind: for a report, nothing of it is judged.

It is counted from after the first call, for that makes what the others find: Go's runtime, its threads.

Pure: no process, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from golib.case import calltree
from golib.case.calltree import Case, Placed
from golib.case.script import Phase
from golib.judge.outcome import Outcome
from golib.run.trace import Event, Left


@dataclass(frozen=True)
class Footprint:
    """Of a scenario that has run at one node of a case, with a library that is driven from outside."""

    node: int
    call: str
    calls: int
    questions: int
    """To pthread_getattr_np by ``asking`` of its calls, on their thread."""
    asking: int
    """All calls but the first where they were on one thread, else the last alone, on a thread of its own."""
    threads: int
    """More (or less) of them after the last call than after the first."""
    descriptors: int
    microseconds: float | None
    """That a call took, on average without the first; None where there was one call only."""

    def __str__(self) -> str:
        time = "" if self.microseconds is None else f", {self.microseconds:.0f} µs a call"
        return (
            f"{self.call}: {self.calls} calls{time}, {self.questions} questions to pthread_getattr_np in"
            f" {self.asking} calls, {self.threads:+} threads and {self.descriptors:+} descriptors since the"
            " first call"
        )


def footprints(outcome: Outcome) -> list[Footprint]:
    """Of each scenario of the case that came to its end, in the order of their nodes."""
    found = []
    for placed in outcome.case.walk():
        node = placed.node
        own = [event for event in outcome.events if event.node == placed.number]
        if isinstance(node, calltree.Python) and node.call and own and own[-1].phase is Phase.LEAVING:
            found.append(_of(placed, node.call, _times(outcome.case, placed), own))
    return found


def ratio(one: Footprint, other: Footprint) -> float | None:
    """How much longer a call of the first takes."""
    if not one.microseconds or not other.microseconds:
        return None
    return one.microseconds / other.microseconds


def _of(placed: Placed, call: str, calls: int, own: list[Event]) -> Footprint:
    left = [Left.unpacked(event.did) for event in own if event.phase is Phase.LEAVING]
    last = own[-1]
    on_one_thread = calls > 1 and own[0].tid == last.tid
    begun = own[1] if on_one_thread else own[-2]
    return Footprint(
        node=placed.number,
        call=call,
        calls=calls,
        questions=last.queries - begun.queries,
        asking=calls - 1 if on_one_thread else 1,
        threads=left[-1].threads - left[0].threads,
        descriptors=left[-1].descriptors - left[0].descriptors,
        microseconds=left[-1].microseconds / (calls - 1) if calls > 1 else None,
    )


def _times(case: Case, placed: Placed) -> int:
    """How often the repeated frames above a node run it."""
    nodes = {one.number: one for one in case.walk()}
    times, above = 1, placed.parent
    while above is not None:
        times *= getattr(nodes[above].node, "times", 1)
        above = nodes[above].parent
    return times
