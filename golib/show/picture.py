"""A trace as data for a picture of the stacks: which stacks there are, and step by step where SP lies, which
bounds g0 has and which it should have.  ``golib/show/page.js`` draws it.

Addresses are in bytes, as they were in the process.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from golib.case.calltree import Case, Stack, Thread
from golib.case.script import Phase
from golib.judge import known, model
from golib.judge.known import Verdict
from golib.judge.model import Divergence, place, show
from golib.judge.outcome import Kind, Outcome
from golib.run.trace import Event
from golib.show import report

STEPS = 40
"""Events that a picture shows: those before the one where it went wrong, and some after it."""
AFTER = 8
"""Of these, events behind the one where it went wrong."""
WORDS_LINES = 25
"""Lines of Go's own words, from where they begin: the stack that died stands first."""
MOST_WRONG = 12
"""Differences of one event that are told."""

_DIED_AT = re.compile(r"stack \[(0x[0-9a-f]+),? (0x[0-9a-f]+)\], sp=(0x[0-9a-f]+)")
"""How Go says where a switch of stacks went wrong (runtime/proc.go, badmorestackg0)."""

_IN_CALLER = (Phase.BEFORE, Phase.AFTER, Phase.ENDED, Phase.CROSSING, Phase.CROSSED)
"""Phases whose event is taken in the frame above the node's own."""


def picture(outcome: Outcome, verdict: Verdict) -> dict[str, Any]:
    """``case``, ``headline``, ``signature``, ``issues`` (that explain it), ``ended``, ``words`` (Go's, cut),
    ``stacks`` (their names), ``before`` (how many events are left out), ``steps``, ``first`` (the step to
    begin with), and ``at`` (for an issue, the step at which something shows that it explains)."""
    decisive = outcome.divergences[verdict.decisive] if outcome.divergences else None
    wrong: dict[int, list[Divergence]] = defaultdict(list)
    for found in outcome.divergences:
        wrong[found.index].append(found)
    events = outcome.events
    died = outcome.kind is not Kind.DIVERGENCE
    centre = len(events) - 1 if died or decisive is None else decisive.index
    last = min(len(events), centre + 1 + AFTER)
    begin = max(0, last - STEPS)
    stacks = _Stacks(outcome.case, events)
    steps = [stacks.step(number, events[number], wrong[number]) for number in range(begin, last)]
    first = next((number for number, one in enumerate(steps) if one["index"] == centre), 0)
    issues = {issue.id: issue for issue in known.shipped()}
    at = {
        name: found.index - begin
        for name in verdict.issues
        if name in issues
        for found in reversed(outcome.divergences)
        if found.key in issues[name].divergences and begin <= found.index < last
    }
    if died:
        steps.append(_end(outcome, steps[-1] if steps else None))
        first = len(steps) - 1
    words = outcome.stderr.strip().splitlines()
    return {
        "case": repr(outcome.case),
        "headline": report.headline(outcome, verdict),
        "signature": signature(verdict),
        "issues": list(verdict.issues),
        "ended": outcome.ended,
        "words": "\n".join(words[:WORDS_LINES] + (["…"] if len(words) > WORDS_LINES else [])),
        "stacks": list(stacks.names),
        "before": begin,
        "steps": steps,
        "first": max(first, 0),
        "at": at,
    }


def signature(verdict: Verdict) -> str:
    """What two pictures of the same fault share, see ``Signature.same_fault``."""
    found = verdict.signature
    return f"{found.kind}: {found.headline}{''.join(f' in {one}' for one in found.frames[:1])}"


class _Stacks:
    """The stacks of a run, by the nodes that stand on them."""

    def __init__(self, case: Case, events: Sequence[Event]) -> None:
        self.names: dict[str, int] = {}
        self._labels: dict[int, str] = {}
        self._depths: dict[int, int] = {}
        self._parents: dict[int, int | None] = {}
        self._own: dict[int | None, str] = {None: "main thread's stack"}
        for placed in case.walk():
            self._labels[placed.number] = placed.node.label
            self._depths[placed.number] = placed.depth
            self._parents[placed.number] = placed.parent
            node = placed.node
            own = self._own[placed.parent]
            if isinstance(node, Stack):
                own = f"foreign stack {node.region}"
            elif isinstance(node, Thread):
                own = f"{node.kind} thread"
            self._own[placed.number] = own
        self._threads = {tid: n for n, tid in enumerate(dict.fromkeys(event.tid for event in events))}
        self._crossings = model.crossings(events)

    def step(self, index: int, event: Event, wrong: Iterable[Divergence]) -> dict[str, Any]:
        found = list(wrong)
        where = f"{event.phase.name.lower()} in {event.side}"
        if event.phase in (Phase.CROSSING, Phase.CROSSED):
            where = f"{event.phase.name.lower()} callback {self._crossings[event.did]}"
        # One thread of a kind may run more than once: each has a stack of its own.
        name = self._name(event)
        step: dict[str, Any] = {
            "index": index,
            "node": event.node,
            "label": self._labels.get(event.node, "?"),
            "parent": self._parents.get(event.node),
            "phase": event.phase.name.lower(),
            "where": where,
            "thread": self._threads[event.tid],
            "stack": self.names.setdefault(name, len(self.names)),
            "sp": event.sp,
        }
        if event.values:
            step["seen"] = list(event.bounds)
            expected = {one.field: one.expected for one in found if isinstance(one.expected, int)}
            if expected.keys() & {"lo", "hi"}:
                step["expected"] = [expected.get("lo", event.bounds[0]), expected.get("hi", event.bounds[1])]
            step["asked"] = event.queries
            accurate = event.values.get("accurate")
            if accurate is not None:
                step["accurate"] = bool(accurate)
        if found:
            step["wrong"] = _says(found[:MOST_WRONG])
        return step

    def _name(self, event: Event) -> str:
        if event.in_go:
            return f"goroutine {event.values.get('goid', '?')}'s stack"
        node = self._parents.get(event.node) if event.phase in _IN_CALLER else event.node
        name = self._own.get(node, self._own[None])
        return f"{name} {self._threads[event.tid] + 1}'s stack" if name.endswith(" thread") else name


def _says(found: Sequence[Divergence]) -> list[str]:
    """A sentence for each rule that was broken there."""
    by_rule: dict[tuple[model.Rule, str], list[str]] = defaultdict(list)
    for one in found:
        values = f"{one.field} is {show(one.field, one.seen)}, expected {show(one.field, one.expected)}"
        by_rule[one.rule, place(one)].append(values)
    return [f"{'; '.join(values)}: {rule.text} ({where})" for (rule, where), values in by_rule.items()]


def _end(outcome: Outcome, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """The step at which the process came to its bad end: where Go says that it was, or where it was last."""
    step: dict[str, Any] = {
        "index": len(outcome.events),
        "node": before["node"] if before else 0,
        "label": "the end",
        "parent": None,
        "phase": "end",
        "where": outcome.headline,
        "thread": before["thread"] if before else 0,
        "stack": before["stack"] if before else 0,
        "wrong": [f"{outcome.headline} ({outcome.ended})"],
    }
    said = _DIED_AT.search(outcome.stderr)
    if said:
        lo, hi, sp = (int(text, 16) for text in said.groups())
        step |= {"sp": sp, "seen": [lo, hi], "stack": None}
        if not lo <= sp < hi:
            step["wrong"].append(f"SP is {sp:x}, and g0's bounds, {lo:x} to {hi:x}, do not contain it")
    elif before and "seen" in before:
        step["seen"] = before["seen"]
    return step
