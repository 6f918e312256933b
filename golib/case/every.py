"""Every case of up to so many nodes, and which of them say no more than a simpler one.

The grammar is read to its end: each kind that may stand at a place, words that need others
(``phrases.WORDS``) among them, each of its forms, and of a property that
is a number one or two values (``VALUES``), edges and not averages.  How deep a case may go and how many nodes
a body may have is bounded by its size alone here.

``rewrite`` is the one owner of what is left out: it gives the reason, and what says the same in fewer words.

Pure: no process, no clock, no Go.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from golib.case import calltree, grammar
from golib.case.calltree import (
    KIB,
    C,
    Case,
    Export,
    Frame,
    Go,
    Next,
    Node,
    Pull,
    Signal,
    Stack,
    Thread,
    Together,
)
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
ALIKE = ("SIGPIPE", "SIGALRM", "SIGTERM", "SIGCHLD", "SIGWINCH", "SIGRTMIN+6")
"""Signals of the host's for which SIGUSR2, SIGSEGV and SIGURG stand: so many are taken, as of numbers."""
RELAYED = "SIGUSR2"
"""What ``Notify`` and ``Ignore`` are about."""
OTHER_HALF = {
    "Give": ("Pull",),
    "Next": ("Pull",),
    "Resume": ("Suspend",),
    "Stop": ("Notify",),
    "Suspend": ("Resume",),
    "Take": ("Notify",),
    "TurnOff": ("TurnOn",),
    "a relayed Signal": ("Notify", "Ignore"),
}
"""Words of which each is legal only where one of these stands in the case, too."""

HANDLER = "handler"
"""In place of a kind of frame: the node stands directly in a handler of the host's."""

NO_CROSSING = "nothing calls Go"
EMPTY = "a frame that does nothing"
DEAD = "what never runs"
NO_PANIC = "a recover with no panic below"
NO_UNWINDING = "what is deferred where nothing unwinds"
SAME = "an export that does what a Go frame does"
TWIN = "threads together in another order"
REASONS = (NO_CROSSING, EMPTY, DEAD, NO_PANIC, NO_UNWINDING, SAME, TWIN)
"""Why a case is left out."""


def rewrite(node: Node, frame: str) -> tuple[str, tuple[Node, ...]] | None:
    """What says the same as this node below such a frame, and why, where there is something simpler.  What is
    below the node is not looked at."""
    for name in ("body", "deferred"):
        nodes: tuple[Node, ...] = getattr(node, name, ())
        for index, child in enumerate(nodes[:-1]):
            if end(child):
                return DEAD, (node.but(**{name: nodes[: index + 1]}),)
    if isinstance(node, Go | Thread) and node.recover and body_end(node.body) is not End.PANIC:
        return NO_PANIC, (node.but(recover=False),)
    if isinstance(node, Go | Thread) and node.deferred and not body_end(node.body):
        return NO_UNWINDING, (node.but(body=node.body + node.deferred, deferred=()),)
    if isinstance(node, Together):
        # Where one of them is on a foreign stack, its number depends on the order.
        ordered = tuple(sorted(node.body, key=repr))
        if ordered != node.body and not any(isinstance(one, Stack) for one in _all(node)):
            return TWIN, (Together(*ordered),)
    if node == C() and frame == HANDLER:
        return None  # a handler that does nothing, which is what makes the signal the host's
    if _is_idle(node):
        if frame not in ("go", HANDLER):
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


def _frame_below(node: Node, above: str) -> str:
    """The kind of frame that what is below the node finds directly above."""
    match node:
        case Go() | Pull():
            return "go"
        case Thread(kind=kind):
            return {"go": "go", "python": "python"}.get(kind, "c")
        case calltree.Python():
            return "python"
        case Together():
            return "c" if above == HANDLER else above
        case Signal():
            return HANDLER
    return "c"


def representative(case: Case) -> Case | None:
    """The case that is run in its place: itself, where it is not left out; None where nothing calls Go."""
    simplest = _simplest(_begun(case.trees), "c")
    return case.having(*simplest) if _calls_go(simplest) else None


def _begun(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """The trees without what stands in coroutines, where none ever begins."""
    if any(isinstance(one, Next) for node in nodes for one in _all(node)):
        return nodes
    made = []
    for node in nodes:
        for index, child in enumerate(node.children()):
            [begun] = _begun((child,))
            if begun is not child:
                node = node.having(index, begun)
        made.append(node.but(body=()) if isinstance(node, Pull) and node.body else node)
    return tuple(made)


def _simplest(nodes: tuple[Node, ...], frame: str) -> tuple[Node, ...]:
    made: list[Node] = []
    for node in nodes:
        below = _frame_below(node, frame)
        changed = {
            name: _simplest(old, below) for name in ("body", "deferred") if (old := getattr(node, name, ()))
        }
        if any(getattr(node, name) != new for name, new in changed.items()):
            node = node.but(**changed)
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
    return [*made, *({"handlers": how} for how in calltree.HANDLERS if how)]


def top(world: Mapping[str, Any]) -> Place:
    """Where the trees of a case in that world stand."""
    place = grammar.top({"handlers": "", **world})
    return _plain(place.but(signals=(*place.signals, RELAYED)))


def may_be(nodes: Sequence[Node], world: Mapping[str, Any]) -> bool:
    """Whether these trees can be legal in that world: no word stands in them without its other half."""
    there = [one for node in nodes for one in _all(node)]
    kinds = {type(one).__name__ for one in there}
    if any(isinstance(one, Signal) and one.name == RELAYED and not one.body for one in there):
        kinds.add("a relayed Signal")
    if "trace" in world.get("on", ()):
        kinds.add("TurnOn")
    return all(kinds.intersection(OTHER_HALF[kind]) for kind in kinds & OTHER_HALF.keys())


class Found(NamedTuple):
    """What was made of nodes in one place, with so many in all: what is kept, and how many are left out."""

    kept: tuple[tuple[Any, ...], ...]
    left_out: Counter[str]
    """By the reason.  What is made of one that is left out is left out with it, and only counted."""

    @property
    def total(self) -> int:
        return len(self.kept) + self.left_out.total()

    def beside(self, other: Found) -> Found:
        """Each of these with each of the others behind it."""
        left_out = Counter({why: count * other.total for why, count in self.left_out.items()})
        left_out.update({why: count * len(self.kept) for why, count in other.left_out.items()})
        return Found(tuple((*one, *two) for one in self.kept for two in other.kept), left_out)

    @classmethod
    def all(cls, parts: Iterable[Found]) -> Found:
        kept: list[tuple[Any, ...]] = []
        left_out: Counter[str] = Counter()
        for part in parts:
            kept += part.kept
            left_out.update(part.left_out)
        return cls(tuple(kept), left_out)


_NOTHING = Found(((),), Counter())
"""The one way to have no node."""


@lru_cache(None)
def trees(nodes: int, place: Place, whole: bool = False) -> Found:
    """The trees of every case of exactly so many nodes that stand there (``top``).  A size in one, or a word
    without another, may be illegal.  ``whole``: none is left out, to show that what is left out says no
    more."""
    found = _sequences(Slot(place, grammar.TREES), nodes, whole)
    if whole:
        return found
    begun = [one for one in found.kept if _begun(one) == one]
    kept = tuple(one for one in begun if _calls_go(one))
    more = {DEAD: len(found.kept) - len(begun), NO_CROSSING: len(begun) - len(kept)}
    return Found(kept, found.left_out + Counter(more))


def _calls_go(nodes: Sequence[Node]) -> bool:
    return any(isinstance(one, Go | Export) for node in nodes for one in _all(node))


def _plain(place: Place) -> Place:
    """The place, with its depth forgotten: the size of the case is bound enough."""
    return dataclasses.replace(place, depth=1, threads=0)


@lru_cache(None)
def _sequences(slot: Slot, size: int, whole: bool) -> Found:
    """What may stand there, side by side."""
    most = max(slot.counts) if slot.only else size
    counts = range(min(slot.counts), min(most, size) + 1)
    return Found.all(_side_by_side(slot.place, slot.only, count, size, whole) for count in counts)


@lru_cache(None)
def _side_by_side(place: Place, only: str, count: int, size: int, whole: bool) -> Found:
    if not count:
        return _NOTHING if not size else Found.all(())
    return Found.all(
        _nodes(place, only, first, whole).beside(_side_by_side(place, only, count - 1, size - first, whole))
        for first in ([size] if count == 1 else range(1, size - count + 2))
    )


@lru_cache(None)
def _nodes(place: Place, only: str, size: int, whole: bool) -> Found:
    """The single nodes that may stand there, with what is below them."""
    kept: list[tuple[Node]] = []
    left_out: Counter[str] = Counter()
    for kind in [only] if only else (*dict.fromkeys(grammar.kinds(place)), *grammar.words(place)):
        forms = dict.fromkeys(grammar.forms(kind, place))
        # A frame that defers nothing is one that may defer something, too.
        narrower = {dataclasses.replace(form, deferred=()) for form in forms if form.deferred}
        for form in forms:
            if form in narrower:
                continue
            made, inside = _formed(form, size, whole)
            left_out.update(inside)
            for node in made:
                if not whole and (found := rewrite(node, HANDLER if place.handler else place.frame)):
                    left_out[found[0]] += 1
                else:
                    kept.append((node,))
    return Found(tuple(kept), left_out)


def _formed(form: Form, size: int, whole: bool) -> tuple[list[Node], Counter[str]]:
    names = [name for name, _ in form.values]
    made: list[Node] = []
    left_out: Counter[str] = Counter()
    for values in itertools.product(*(_few(form.kind, *one) for one in form.values)):
        keywords = dict(zip(names, values, strict=True))
        body = [slot.without(keywords["region"]) for slot in form.body] if form.takes else form.body
        slots = [dataclasses.replace(slot, place=_plain(slot.place)) for slot in (*body, *form.deferred)]
        filled = _filled(tuple(slots), size - 1, whole)
        left_out.update(filled.left_out)
        for parts in filled.kept:
            inside = itertools.chain.from_iterable(parts[: len(body)])
            if form.deferred:
                keywords["deferred"] = tuple(itertools.chain.from_iterable(parts[len(body) :]))
            made.append(calltree.NODES[form.kind](*inside, **keywords))
    return made, left_out


@lru_cache(None)
def _filled(slots: tuple[Slot, ...], size: int, whole: bool) -> Found:
    """Each of the slots filled, with so many nodes in all: the body of each."""
    if not slots:
        return _NOTHING if not size else Found.all(())
    parts = []
    for first in [size] if len(slots) == 1 else range(size + 1):
        here = _sequences(slots[0], first, whole)
        bodies = Found(tuple((body,) for body in here.kept), here.left_out)
        parts.append(bodies.beside(_filled(slots[1:], size - first, whole)))
    return Found.all(parts)


def _few(kind: str, name: str, values: Sequence[Any]) -> Sequence[Any]:
    """Those that are taken of a property's values: all, of what is no number."""
    if name == "region":  # the nearest on either side
        below, above = [one for one in values if one < 0], [one for one in values if one > 0]
        return [*([max(below)] if below else []), *([min(above)] if above else [])]
    if (kind, name) == ("Signal", "name"):
        return [one for one in values if one not in ALIKE]
    each = tuple(dict.fromkeys(values))
    if not all(type(value) is int for value in each):
        return each
    return [value for value in VALUES.get((kind, name), ()) if value in each] or each[:2]
