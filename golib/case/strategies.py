"""Hypothesis strategies: legal cases over every node, every kind of thread, and the world.

The generator builds what is legal by construction (a panic only below a recover, a foreign stack only
where it is free, and so on) and knows nothing of what must be true of a case: that is the model's.
What depends on sizes is left to ``legality.check``, as a filter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from golib.case import calltree, legality
from golib.case.calltree import KIB, Case, Frame, Node, ThreadKind

MAX_DEPTH = 7
"""Nodes from the top of a tree to its deepest leaf; six frames deep, and a leaf."""
MAX_THREADS = 2
"""Threads inside threads."""

MAX_NODES = 24
"""In a case: the runtime's state depends on the stack's last few frames, and small cases are quick."""

# Simple first: Hypothesis shrinks towards the beginning.
DEPTHS = (0, 16, 512, 1 * KIB, 8 * KIB, 31 * KIB, 32 * KIB, 33 * KIB, 40_000, 100_000)
TIMES = (1, 1, 1, 1, 2, 3, 20)
STACKS = (0, 1024 * KIB, 256 * KIB, 128 * KIB, 64 * KIB, 16 * 1024 * KIB)
BODY = (1, 1, 1, 2, 2, 0, 3)


def _weighted(frame: str) -> tuple[str, ...]:
    """Kinds that may stand below such a frame, each as often as it is to be drawn: frames first, but an
    export, which has no body as a rule, among the leaves."""
    kinds = [kind for kind in calltree.NODES.values() if frame in kind.stands]
    kinds.sort(key=lambda kind: not issubclass(kind, Frame) or kind is calltree.Export)
    return tuple(kind.__name__ for kind in kinds for _ in range(kind.weight))


_KINDS = {frame: _weighted(frame) for frame in ("go", "c", "python")}


@dataclass(frozen=True)
class _Here:
    """Where a node is to stand."""

    frame: str  # "go", "c" or "python"
    depth: int = 1
    recovers: bool = False  # a panic here is recovered, with no Python frame between
    exits: bool = False  # a Goexit here is legal: a thread that Go made, no Python frame between
    regions: tuple[int, ...] = calltree.REGIONS  # foreign stacks that are free
    threads: int = 0
    signals: tuple[str, ...] = ()  # what a Signal leaf may send
    repeated: bool = False  # below a frame that repeats its body: one such is enough

    def below(self, frame: str, **changes: object) -> _Here:
        changes = {"depth": self.depth + 1, **changes}
        return dataclasses.replace(self, frame=frame, **changes)  # type: ignore[arg-type]

    @property
    def kinds(self) -> tuple[str, ...]:
        """What may be drawn here."""
        without = set()
        if not self.recovers:
            without.add("Panic")
        if not self.exits:
            without.add("Goexit")
        if self.repeated:
            without.add("GC")
        if not self.signals:
            without.add("Signal")
        if not self.regions:
            without.add("Stack")
        if self.threads >= MAX_THREADS or self.depth + 1 >= MAX_DEPTH:
            without |= {"Thread", "Together"}
        if self.depth >= MAX_DEPTH:
            without |= _BODIES
        return tuple(kind for kind in _KINDS[self.frame] if kind not in without)


_BODIES = {name for name, kind in calltree.NODES.items() if issubclass(kind, Frame)} - {"Export"}


def cases(
    *, bounds: Sequence[calltree.Bounds] = ("real", "hidden", "absent"), worlds: bool = True
) -> SearchStrategy[Case]:
    """Legal cases.  ``worlds=False``: only the bounds vary."""
    return _cases(tuple(bounds), worlds)


@st.composite
def _cases(draw: DrawFn, bounds: tuple[calltree.Bounds, ...], worlds: bool) -> Case:
    world: dict[str, Any] = {"bounds": draw(_one_of(bounds))}
    on: tuple[str, ...] = ()
    blocked = ""
    if worlds and draw(_one_of((False, False, False, True))):
        world["on"] = on = tuple(switch for switch in calltree.SWITCHES if draw(st.booleans()))
        for field in dataclasses.fields(Case):
            if values := field.metadata.get("drawn"):
                world[field.name] = draw(_one_of(values))
        blocked = world["blocked"]
        world["signals"] = draw(_one_of(("", "", *_deliverable(on, blocked))))
    here = _Here("c", signals=_deliverable(on, blocked))
    case = Case(*_Grower(draw).body(here, (1, 1, 2, 3)), **world)
    try:
        legality.check(case)
    except calltree.IllegalCase:
        assume(False)
    return case


@cache
def _one_of(values: tuple[Any, ...]) -> SearchStrategy[Any]:
    return st.sampled_from(values)


def _deliverable(on: tuple[str, ...], blocked: str) -> tuple[str, ...]:
    possible = (name for name in calltree.SIGNALS if name != blocked)
    return tuple(name for name in possible if calltree.NEEDS.get(name, "") in ("", *on))


class _Grower:
    """Draws nodes until the case has as many as it may have."""

    def __init__(self, draw: DrawFn) -> None:
        self._draw = draw
        self._left = MAX_NODES

    def _pick(self, values: tuple[Any, ...]) -> Any:
        return self._draw(_one_of(values))

    def body(self, here: _Here, sizes: tuple[int, ...] = BODY) -> list[Node]:
        count = self._pick(sizes)
        # What is in the first of them may leave nothing for the next.
        return [self.node(here) for _ in range(count) if self._left > 0]

    def node(self, here: _Here) -> Node:
        self._left -= 1
        kinds = here.kinds
        if self._left < 2:
            kinds = tuple(kind for kind in kinds if kind != "Together")
        kind = self._pick(kinds)
        match kind:
            case "Go":
                return self._go(here)
            case "C":
                stack, times = self._pick(DEPTHS), 1 if here.repeated else self._pick(TIMES)
                body = self.body(here.below("c", repeated=here.repeated or times > 1))
                return calltree.C(*body, stack=stack, times=times)
            case "Python":
                # Panics and exits that cross Python are for a thread that does nothing else afterwards.
                return calltree.Python(*self.body(here.below("python", recovers=False, exits=False)))
            case "Stack":
                region = self._pick(tuple(sorted(here.regions, key=abs)))
                rest = tuple(number for number in here.regions if number != region)
                return calltree.Stack(*self.body(here.below("c", regions=rest)), region=region)
            case "Thread":
                return self._thread(here)
            case "Together":
                return self._together(here)
            case "Export":
                return self._export(here)
            case "Signal":
                return calltree.Signal(name=self._pick(here.signals))
        of = calltree.NODES[kind]
        drawn = {field.name: field.metadata.get("drawn") for field in dataclasses.fields(of)}
        return of(**{name: self._pick(values) for name, values in drawn.items() if values})

    def _go(self, here: _Here) -> Node:
        made = self._guarded(here, exits=here.exits)
        return calltree.Go(*made.pop("body"), **made)

    def _guarded(self, here: _Here, exits: bool) -> dict[str, Any]:
        """What a Go frame is made of."""
        recover = self._pick((False, True))
        body = self.body(here.below("go", recovers=here.recovers or recover, exits=exits))
        deferred: list[Node] = []
        if recover or self._pick((False,) * 7 + (True,)):
            # What is deferred may panic again where a frame above recovers it, and must not exit.
            below = here.below("go", exits=False, depth=min(here.depth + 3, MAX_DEPTH))
            deferred = self.body(below, (0, 1, 1, 2))
        return {"body": body, "recover": recover, "deferred": tuple(deferred)}

    def _thread(self, here: _Here) -> Node:
        kinds: tuple[ThreadKind, ...] = ("native", "python", "memory")
        if here.frame == "go":
            kinds += ("go", "go")
        kind = self._pick(kinds)
        inside = dataclasses.replace(here, recovers=False, exits=False, threads=here.threads + 1)
        if kind == "go":
            # A known issue there (go#62130) is known by an event that a middle round does not leave.
            inside = dataclasses.replace(inside, regions=() if here.repeated else here.regions)
            made = self._guarded(inside, exits=True)
            return calltree.Thread(*made.pop("body"), kind=kind, **made)
        below = inside.below("python" if kind == "python" else "c")
        return calltree.Thread(*self.body(below), kind=kind, stack=self._pick(STACKS))

    def _together(self, here: _Here) -> Node:
        count = min(self._pick((2, 3)), self._left)
        self._left -= count
        free = sorted(here.regions, key=abs)
        threads = []
        for number in range(count):
            # No two of them on the same foreign stack.
            own = here.below(here.frame, regions=tuple(free[number::count]))
            threads.append(self._thread(own))
        return calltree.Together(*threads)

    def _export(self, here: _Here) -> Node:
        names: tuple[tuple[str, int], ...] = (("GoEmpty", 0),)
        if not here.repeated:  # each of these collects garbage, which takes half a millisecond
            names += (("GoF", 0), *_VARIOUS)
        if here.recovers:
            names += (("GoF", 1),)
        name, p = self._pick(names)
        if (name, p) == _VARIOUS[0] and here.depth < MAX_DEPTH and self._pick((False, True)):
            below = here.below("c", recovers=False, exits=False)
            return calltree.Export(*self.body(below, (1, 2)), name=name)
        return calltree.Export(name=name, p=p)


_VARIOUS = (("callGoWithVariousStackAndGoFrame", 0), ("callGoWithVariousStackAndGoFrame", 1))
