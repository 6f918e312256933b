"""Every case of up to so many nodes, and which of them say no more than a simpler one.

The grammar is read to its end: each kind that may stand at a place, each of its forms, and of a property that
is a number one or two values (``VALUES``), edges and not averages.  How deep a case may go and how many nodes
a body may have is bounded by its size alone here.

``rewrite`` is the one owner of what is left out: it gives the reason, and what says the same in fewer words.

Pure: no process, no clock, no Go.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from golib.case import calltree, grammar
from golib.case.calltree import KIB, C, Case, Export, Frame, Go, Node, Stack, Thread, Together
from golib.case.grammar import Form, Place, Slot
from golib.case.script import End, body_end, end

VALUES: dict[tuple[str, str], tuple[int, ...]] = {
    ("C", "stack"): (0, 40_000),  # on the bounds that the outer callback found, and below an estimate's
    ("C", "times"): (1, 3),  # of three rounds the middle one leaves no event
    ("Thread", "stack"): (0, 64 * KIB),
    ("Grow", "stack"): (4 * KIB, 300 * KIB),
    ("Setrlimit", "stack"): (1024 * KIB, 64 * 1024 * KIB),  # on either side of what the process has
}
"""Of a property that is a number: the values that are taken.  Of others of that kind, the first two."""

NO_CROSSING = "nothing calls Go"
EMPTY = "a frame that does nothing"
DEAD = "what never runs"
NO_PANIC = "a recover with no panic below"
NO_UNWINDING = "what is deferred where nothing unwinds"
SAME = "an export that does what a Go frame does"
TWIN = "threads together in another order"
REASONS = (NO_CROSSING, EMPTY, DEAD, NO_PANIC, NO_UNWINDING, SAME, TWIN)
"""Why a case is left out."""

Worded = tuple[Node, str]
"""A node, and why it is left out; empty where it is not."""


def rewrite(node: Node, frame: str) -> tuple[str, tuple[Node, ...]] | None:
    """What says the same as this node below such a frame, and why, where there is something simpler.  What is
    below the node is not looked at."""
    for name in ("body", "deferred"):
        nodes: tuple[Node, ...] = getattr(node, name, ())
        for index, child in enumerate(nodes[:-1]):
            if end(child):
                return DEAD, (_with(node, **{name: nodes[: index + 1]}),)
    if isinstance(node, Go | Thread) and node.recover and body_end(node.body) is not End.PANIC:
        return NO_PANIC, (_with(node, recover=False),)
    if isinstance(node, Go | Thread) and node.deferred and not body_end(node.body):
        return NO_UNWINDING, (_with(node, body=node.body + node.deferred, deferred=()),)
    if isinstance(node, Together):
        # Where one of them is on a foreign stack, its number depends on the order.
        ordered = tuple(sorted(node.body, key=repr))
        if ordered != node.body and not any(isinstance(one, Stack) for one in _all(node)):
            return TWIN, (Together(*ordered),)
    if _is_idle(node):
        if frame != "go":
            return EMPTY, ()
        # Below Go, it is a call to C that does nothing; but for a thread of Go's.
        if node != C() and not any(isinstance(one, Thread) and one.kind == "go" for one in _all(node)):
            return EMPTY, (C(),)
    if node == Export(name="GoEmpty"):
        return SAME, (Go(),)
    if isinstance(node, C) and not node.stack and node.times == 1:
        # Below Go, a C frame makes one call to C of what it holds.
        alone = len(node.body) == 1 and isinstance(node.body[0], Frame)
        if frame != "go" or alone:
            return EMPTY, node.body
    return None


def _is_idle(node: Node) -> bool:
    """Whether nothing is done in it."""
    return all(isinstance(one, Frame) and not isinstance(one, Go | Export) for one in _all(node))


def _all(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children():
        yield from _all(child)


def _with(node: Node, **changes: Any) -> Node:
    values = {field.name: getattr(node, field.name) for field in dataclasses.fields(node)} | changes
    return type(node)(*values.pop("body"), **values)


def _frame_below(node: Node, above: str) -> str:
    """The kind of frame that what is below the node finds directly above."""
    match node:
        case Go():
            return "go"
        case Thread(kind=kind):
            return {"go": "go", "python": "python"}.get(kind, "c")
        case calltree.Python():
            return "python"
        case Together():
            return above
    return "c"


def representative(case: Case) -> Case | None:
    """The case that is run in its place: itself, where it is not left out; None where nothing calls Go."""
    simplest = _simplest(case.trees, "c")
    return case.having(*simplest) if _calls_go(simplest) else None


def _simplest(nodes: tuple[Node, ...], frame: str) -> tuple[Node, ...]:
    made: list[Node] = []
    for node in nodes:
        below = _frame_below(node, frame)
        changed = {
            name: _simplest(old, below) for name in ("body", "deferred") if (old := getattr(node, name, ()))
        }
        if any(getattr(node, name) != new for name, new in changed.items()):
            node = _with(node, **changed)
        found = rewrite(node, frame)
        made += _simplest(found[1], frame) if found else (node,)
    return tuple(made)


def worlds() -> list[dict[str, Any]]:
    """Each single switch of the world, beside the bounds: the keywords of a case that differ."""
    made: list[dict[str, Any]] = [{"on": (switch,)} for switch in calltree.SWITCHES]
    for signal in calltree.SIGNALS:
        needed = calltree.NEEDS.get(signal)
        made.append({"signals": signal} | ({"on": (needed,)} if needed else {}))
    for field in dataclasses.fields(Case):
        values = dict.fromkeys(field.metadata.get("drawn", ()))
        made += [{field.name: value} for value in values if value != field.default]
    return made


def trees(nodes: int, world: Mapping[str, Any]) -> Iterator[tuple[tuple[Node, ...], str]]:
    """The trees of every case of exactly so many nodes in that world, and why it is left out; a size in it
    may be illegal."""
    signals = grammar.deliverable(world.get("on", ()), world.get("blocked", ""))
    top = Slot(_plain(Place("c", signals=signals)), grammar.TREES)
    for made, reason in _sequence(top, nodes):
        yield made, reason if _calls_go(made) else NO_CROSSING


def _calls_go(nodes: Sequence[Node]) -> bool:
    return any(isinstance(one, Go | Export) for node in nodes for one in _all(node))


def _plain(place: Place) -> Place:
    """The place, with its depth forgotten: the size of the case is bound enough."""
    return dataclasses.replace(place, depth=1, threads=0)


_KEPT = 2
"""Nodes up to which sequences are kept; of larger ones there are too many."""


@lru_cache(None)
def _kept(slot: Slot, size: int) -> tuple[tuple[tuple[Node, ...], str], ...]:
    return tuple(_made(slot, size))


def _sequence(slot: Slot, size: int) -> Iterator[tuple[tuple[Node, ...], str]]:
    """The bodies of so many nodes in all, and why each is left out."""
    return iter(_kept(slot, size)) if size <= _KEPT else _made(slot, size)


def _made(slot: Slot, size: int) -> Iterator[tuple[tuple[Node, ...], str]]:
    most = max(slot.counts) if slot.only else size
    for count in range(min(slot.counts), min(most, size) + 1):
        yield from _of(slot.place, slot.only, count, size)


def _of(place: Place, only: str, count: int, size: int) -> Iterator[tuple[tuple[Node, ...], str]]:
    """Sequences of so many nodes side by side, ``size`` with what is below them."""
    if not count:
        if not size:
            yield (), ""
        return
    for first in range(1, size - count + 2):
        for node, why in _nodes(place, only, first):
            for rest, other in _of(place, only, count - 1, size - first):
                yield (node, *rest), why or other


def _nodes(place: Place, only: str, size: int) -> Iterator[Worded]:
    return iter(_kept_nodes(place, only, size)) if size <= _KEPT else _made_nodes(place, only, size)


@lru_cache(None)
def _kept_nodes(place: Place, only: str, size: int) -> tuple[Worded, ...]:
    return tuple(_made_nodes(place, only, size))


def _made_nodes(place: Place, only: str, size: int) -> Iterator[Worded]:
    for kind in [only] if only else dict.fromkeys(grammar.kinds(place)):
        made: dict[Node, str] = {}  # two forms may meet in one node: a Go frame that defers nothing
        for form in dict.fromkeys(grammar.forms(kind, place)):
            for node, why in _formed(form, size):
                if node not in made:
                    found = rewrite(node, place.frame)
                    made[node] = why or (found[0] if found else "")
        yield from made.items()


def _formed(form: Form, size: int) -> Iterator[Worded]:
    names = [name for name, _ in form.values]
    for values in itertools.product(*(_few(form.kind, *one) for one in form.values)):
        keywords = dict(zip(names, values, strict=True))
        body = [slot.without(keywords["region"]) for slot in form.body] if form.takes else form.body
        slots = [dataclasses.replace(slot, place=_plain(slot.place)) for slot in (*body, *form.deferred)]
        for filled, why in _filled(slots, size - 1):
            inside = itertools.chain.from_iterable(filled[: len(body)])
            if form.deferred:
                keywords["deferred"] = tuple(itertools.chain.from_iterable(filled[len(body) :]))
            yield calltree.NODES[form.kind](*inside, **keywords), why


def _filled(slots: Sequence[Slot], size: int) -> Iterator[tuple[tuple[tuple[Node, ...], ...], str]]:
    """Each of the slots filled, with so many nodes in all."""
    if not slots:
        if not size:
            yield (), ""
        return
    for first in [size] if len(slots) == 1 else range(size + 1):
        for nodes, why in _sequence(slots[0], first):
            for rest, other in _filled(slots[1:], size - first):
                yield (nodes, *rest), why or other


def _few(kind: str, name: str, values: Sequence[Any]) -> Sequence[Any]:
    """Those that are taken of a property's values: all, of what is no number."""
    if name == "region":  # the nearest on either side
        below, above = [one for one in values if one < 0], [one for one in values if one > 0]
        return [*([max(below)] if below else []), *([min(above)] if above else [])]
    each = tuple(dict.fromkeys(values))
    if not all(type(value) is int for value in each):
        return each
    return [value for value in VALUES.get((kind, name), ()) if value in each] or each[:2]
