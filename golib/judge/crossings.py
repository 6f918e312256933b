"""What a scenario was seen to do, in the words of a case: for a known issue's cause to be found in it.

Each callback of the user's library is a Go frame, nested as they came.  One that never came back, while one
around it did, was left behind by a panic that the one around it recovered.  A library as shipped leaves no
such events: of its scenario it is taken that it calls Go, and that Go calls back.

Pure: no process, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from golib.case.calltree import C, Case, Go, Node, Panic, Python, Thread
from golib.case.script import Phase
from golib.run.trace import Event

_UNSEEN = (Go(C(Go())),)


@dataclass
class _Open:
    """A callback under way."""

    number: int
    inside: dict[Node, None] = field(default_factory=dict)
    recovers: bool = False

    def node(self, *more: Node) -> Go:
        return Go(*self.inside, *more, recover=self.recovers)


def as_seen(case: Case, events: Sequence[Event]) -> Case:
    """The case with what its scenarios did in their places."""
    if not case.calls():
        return case
    numbers = iter(range(case.size()))
    seen = any(event.phase is Phase.CROSSING or event.m for event in events)

    def with_crossings(node: Node) -> Node:
        number = next(numbers)
        values = {name: getattr(node, name) for name in node.properties()}
        body = tuple(map(with_crossings, node.body))
        if "deferred" in values:
            values["deferred"] = tuple(map(with_crossings, values["deferred"]))
        if isinstance(node, Python) and node.call:
            return Python(*(_nodes(number, events) if seen else _UNSEEN))
        return type(node)(*body, **values)

    return case.having(*map(with_crossings, case.trees))


def _nodes(number: int, events: Sequence[Event]) -> Iterator[Node]:
    """Of the scenario with that number: what its own threads did, each thing once, and then Go's threads."""
    roots: dict[int, dict[Node, None]] = {}
    under_way: dict[int, list[_Open]] = {}
    own = {event.tid for event in events if event.node == number and event.phase is Phase.ENTERED}
    for event in events:
        if event.node != number or event.phase not in (Phase.CROSSING, Phase.CROSSED):
            continue
        root, stack = roots.setdefault(event.tid, {}), under_way.setdefault(event.tid, [])
        if event.phase is Phase.CROSSING:
            stack.append(_Open(event.did))
        elif any(one.number == event.did for one in stack):
            while stack[-1].number != event.did:
                left = stack.pop().node(Panic())
                stack[-1].inside[left], stack[-1].recovers = None, True
            done = stack.pop().node()
            (stack[-1].inside if stack else root)[done] = None
    for tid, stack in under_way.items():
        while stack:
            done = stack.pop().node()
            (stack[-1].inside if stack else roots[tid])[done] = None
    yield from dict.fromkeys(node for tid in roots if tid in own for node in roots[tid])
    for tid, root in roots.items():
        if tid not in own and root:
            yield Thread(*root)
