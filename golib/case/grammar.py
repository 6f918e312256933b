"""The grammar of cases, as data: which kinds of node may stand at a place, their properties and the values
that these take, and the places below.

``kinds`` and ``forms`` are the data.  ``case`` reads them with a function that chooses one of several values,
which is a seeded generator in the fuzzer (``golib.fuzz``) and Hypothesis in ``golib.case.strategies``.

What stands here is legal by construction (a panic only below a recover, a foreign stack only where it is
free, and so on) and knows nothing of what must be true of a case: that is the model's.  What depends on sizes
is left to ``legality.check``, as a filter.

Pure: no process, no clock, no Go.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from golib.case import calltree, phrases
from golib.case.calltree import KIB, Case, Frame, Node

Choose = Callable[[Sequence[Any]], Any]
"""Chooses one of the values.  A value that stands there twice is chosen twice as often; the simplest stands
first."""

MAX_DEPTH = 7
"""Nodes from the top of a tree to its deepest leaf; six frames deep, and a leaf."""
MAX_THREADS = 2
"""Threads inside threads."""
MAX_NODES = 24
"""In a case: the runtime's state depends on the stack's last few frames, and small cases are quick."""

DEPTHS = (0, 16, 512, 1 * KIB, 8 * KIB, 31 * KIB, 32 * KIB, 33 * KIB, 40_000, 100_000)
OFTEN = (2, 3, 20)
"""Rounds of a C frame that runs its body more than once, as three of seven do."""
STACKS = (0, 1024 * KIB, 256 * KIB, 128 * KIB, 64 * KIB, 16 * 1024 * KIB)
TREES = (1, 1, 2, 3)
BODY = (1, 1, 1, 2, 2, 0, 3)
DEFERRED = (0, 1, 1, 2)

_VARIOUS = "callGoWithVariousStackAndGoFrame"
_KEPT = 1 << 14
"""Places whose kinds and forms are kept."""


@dataclass(frozen=True)
class Place:
    """Where a node is to stand."""

    frame: str  # "go", "c" or "python"
    depth: int = 1
    recovers: bool = False  # a panic here is recovered, with no Python frame between
    exits: bool = False  # a Goexit here is legal: a thread that Go made, no Python frame between
    regions: tuple[int, ...] = calltree.REGIONS  # foreign stacks that are free
    threads: int = 0
    signals: tuple[str, ...] = ()  # what a Signal leaf may send
    repeated: bool = False  # below a frame that repeats its body: one such is enough
    handled: tuple[str, ...] = ()  # signals of which the host may have handlers
    onstack: bool = False  # they run on the alternate stack
    goless: bool = False  # in one that does, where Go cannot be called
    handler: bool = False  # directly in one

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Each choice asks for it, and there are few places."""
        return hash(tuple(vars(self).values()))

    def below(self, frame: str, **changes: Any) -> Place:
        """The place in a frame of that kind which stands here."""
        return self.but(**{"depth": self.depth + 1, "frame": frame, "handler": False, **changes})

    def but(self, **changes: Any) -> Place:
        """The place with these changed: as ``dataclasses.replace``, in a sixth of the time."""
        made = object.__new__(Place)
        vars(made).update(vars(self), **changes)
        vars(made).pop("_hash", None)
        return made


@dataclass(frozen=True)
class Slot:
    """Nodes that stand below one."""

    place: Place
    counts: tuple[int, ...] = BODY
    """How many they may be."""
    only: str = ""
    """The kind that each must be, where only one will do."""

    @lru_cache(_KEPT)  # noqa: B019  (as many as there are places)
    def without(self, region: int) -> Slot:
        """The same where that foreign stack is in use."""
        free = tuple(number for number in self.place.regions if number != region)
        return dataclasses.replace(self, place=self.place.but(regions=free))


@dataclass(frozen=True)
class Form:
    """One way in which a kind of node may stand at a place."""

    kind: str
    values: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    """The properties, and what each may be."""
    body: tuple[Slot, ...] = ()
    deferred: tuple[Slot, ...] = ()
    takes: bool = False
    """Whether its ``region`` is no longer free in its body."""
    least: int = 1
    """Nodes that it has at least, with itself."""


def _weighted(frame: str) -> tuple[str, ...]:
    """Kinds that may stand below such a frame, each as often as it is to be drawn: frames first, but an
    export, which has no body as a rule, among the leaves."""
    kinds = [kind for kind in calltree.NODES.values() if frame in kind.stands]
    kinds.sort(key=lambda kind: not issubclass(kind, Frame) or kind is calltree.Export)
    return tuple(kind.__name__ for kind in kinds for _ in range(kind.weight))


_KINDS = {frame: _weighted(frame) for frame in ("go", "c", "python")}
_BODIES = {name for name, kind in calltree.NODES.items() if issubclass(kind, Frame)} - {"Export"}


@lru_cache(_KEPT)
def kinds(place: Place) -> tuple[str, ...]:
    """The kinds of node that may stand there, each as often as it is to be drawn."""
    without = set()
    if not place.recovers:
        without.add("Panic")
    if not place.exits:
        without.add("Goexit")
    if place.repeated:
        without.add("GC")
    if not place.signals and (not place.handled or place.depth >= MAX_DEPTH):
        without.add("Signal")
    if place.goless:
        without |= {"Go", "Export", "Stack", "AltStack"}
    if not place.regions:
        without.add("Stack")
    if place.threads >= MAX_THREADS or place.depth + 1 >= MAX_DEPTH:
        without |= {"Thread", "Together"}
    if place.depth >= MAX_DEPTH:
        without |= _BODIES
    more = ("Signal",) * 4 if place.handled and place.frame == "c" else ()
    return tuple(kind for kind in (*_KINDS[place.frame], *more) if kind not in without)


def words(place: Place) -> tuple[str, ...]:
    """The kinds beside these (``phrases.WORDS``) that are legal only together with others of them, elsewhere
    in the case.  The exhaustive search adds them, and asks ``legality``."""
    return tuple(
        name
        for name, kind in calltree.NODES.items()
        if kind in phrases.WORDS and place.frame in kind.stands and (place.recovers or name != "Fault")
    )


@lru_cache(4 * _KEPT)
def forms(kind: str, place: Place) -> tuple[Form, ...]:
    """The ways in which a kind may stand there, each as often as it is to be drawn."""
    match kind:
        case "Go":
            return _guarded("Go", (), place, place.exits)
        case "C":
            once = Form("C", (("stack", DEPTHS), ("times", (1,))), (Slot(place.below("c")),))
            if place.repeated:
                return (once,)
            often = Form("C", (("stack", DEPTHS), ("times", OFTEN)), (Slot(place.below("c", repeated=True)),))
            return (once,) * 4 + (often,) * 3
        case "Python":
            # Panics and exits that cross Python are for a thread that does nothing else afterwards.
            return (Form("Python", body=(Slot(place.below("python", recovers=False, exits=False)),)),)
        case "Stack":
            regions = tuple(sorted(place.regions, key=abs))
            return (Form("Stack", (("region", regions),), (Slot(place.below("c")),), takes=True),)
        case "Thread":
            return _threads(place)
        case "Together":
            return tuple(_together(place, count) for count in (2, 3))
        case "Export":
            return _exports(place)
        case "Signal":
            return _signals(place)
        case "AltStack":
            # Given back at the end, which nothing may jump over.
            below = place.below("c", recovers=False, exits=False)
            return (Form("AltStack", (("size", (64 * KIB, 16 * KIB)),), (Slot(below),)),)
        case "AtEnd":
            below = place.below("c", recovers=False, exits=False, repeated=True)
            return (Form("AtEnd", (("round", (1, 2, 3)),), (Slot(below),)),)
        case "Pull":
            return (Form("Pull", body=(Slot(place.below("go", recovers=False, exits=False)),)),)
        case "Resume":
            return (Form("Resume", (("region", calltree.REGIONS),)),)
        case "Fault":
            return (Form("Fault", (("kind", calltree.FAULTS),)),)
    fields = dataclasses.fields(calltree.NODES[kind])
    return (Form(kind, tuple((f.name, drawn) for f in fields if (drawn := f.metadata.get("drawn")))),)


def _signals(place: Place) -> tuple[Form, ...]:
    """One that Go handles, or the host with a body."""
    made = [Form("Signal", (("name", place.signals),))] if place.signals else []
    if place.handled and place.depth < MAX_DEPTH:
        # The handler's mask has its own signal blocked.
        below = place.below(
            "c", recovers=False, exits=False, signals=(), handled=(), repeated=True,
            goless=place.onstack, handler=True,
        )  # fmt: skip
        made += [Form("Signal", (("name", place.handled),), (Slot(below, (1, 1, 2)),))] * 2
    return tuple(made)


def _guarded(
    kind: str, values: tuple[tuple[str, tuple[Any, ...]], ...], place: Place, exits: bool
) -> tuple[Form, ...]:
    """What a Go frame may be: it defers nothing, seldom something, or it recovers."""
    # What is deferred may panic again where a frame above recovers it, and must not exit.
    below = place.below("go", exits=False, depth=min(place.depth + 3, MAX_DEPTH))
    deferred = (Slot(below, DEFERRED),)

    bare = (Slot(place.below("go", exits=exits)),)
    recovering = (Slot(place.below("go", recovers=True, exits=exits)),)
    plain = Form(kind, (*values, ("recover", (False,))), bare)
    defers = dataclasses.replace(plain, deferred=deferred)
    recovers = Form(kind, (*values, ("recover", (True,))), recovering, deferred)
    return (*[plain] * 7, defers, *[recovers] * 8)


def _threads(place: Place) -> tuple[Form, ...]:
    inside = place.but(recovers=False, exits=False, threads=place.threads + 1)
    made = [
        Form(
            *("Thread", (("kind", (kind,)), ("stack", STACKS))),
            body=(Slot(inside.below("python" if kind == "python" else "c")),),
        )
        for kind in ("native", "python", "memory")
    ]
    if place.frame != "go":
        return tuple(made)
    # A known issue there (go#62130) is known by an event that a middle round does not leave.
    goes = inside.but(regions=() if place.repeated else place.regions)
    guarded = _guarded("Thread", (("kind", ("go",)),), goes, True)
    # Two of five are Go's.
    return (*(form for form in made for _ in range(len(guarded) // 2)), *guarded)


def _together(place: Place, count: int) -> Form:
    """Threads no two of which run on the same foreign stack."""
    free = sorted(place.regions, key=abs)
    slots = tuple(
        Slot(place.below(place.frame, regions=tuple(free[number::count])), (1,), "Thread")
        for number in range(count)
    )
    return Form("Together", body=slots, least=1 + count)


def _exports(place: Place) -> tuple[Form, ...]:
    def leaf(name: str, p: int) -> Form:
        return Form("Export", (("name", (name,)), ("p", (p,))))

    # As often as those together that collect garbage, which takes half a millisecond.
    made = [leaf("GoEmpty", 0)] * 4
    if not place.repeated:
        made += [leaf("GoF", 0), leaf(_VARIOUS, 0), leaf(_VARIOUS, 1)]
        if place.depth < MAX_DEPTH:
            below = place.below("c", recovers=False, exits=False)
            made.append(Form("Export", (("name", (_VARIOUS,)),), (Slot(below, (1, 2)),), least=2))
    if place.recovers:
        made.append(leaf("GoF", 1))
    return tuple(made)


def case(choose: Choose, bounds: Sequence[calltree.Bounds], worlds: bool = True) -> Case:
    """The case that these choices make; a size in it may still be illegal.  ``worlds=False``: only the bounds
    vary."""
    if not worlds:
        return _grown(choose, {"bounds": choose(bounds)})
    return case_in(choose, world(choose, bounds))


def world(choose: Choose, bounds: Sequence[calltree.Bounds]) -> dict[str, Any]:
    """A world, as keywords of a case: as a rule only the bounds differ from a plain one."""
    made: dict[str, Any] = {"bounds": choose(bounds)}
    if choose((False, False, False, True)):
        made["on"] = on = tuple(switch for switch in calltree.SWITCHES if choose((False, True)))
        for field in dataclasses.fields(Case):
            if values := field.metadata.get("drawn"):
                made[field.name] = choose(values)
        made["signals"] = choose(("", "", *deliverable(on, made["blocked"])))
    if choose((False, False, False, False, True)):
        made["handlers"] = choose(calltree.HANDLERS)
    return made


def case_in(choose: Choose, world: Mapping[str, Any]) -> Case:
    """The case that these choices make in that world; a size in it may still be illegal."""
    made = _grown(choose, world)
    return phrases.into(made, choose, MAX_NODES) if made.handlers or choose((False, True)) else made


def _grown(choose: Choose, world: Mapping[str, Any]) -> Case:
    return Case(*_Grower(choose).slot(Slot(top(world), TREES)), **world)


def top(world: Mapping[str, Any]) -> Place:
    """Where the trees of a case stand whose world differs from a plain one in these keywords."""
    handlers, blocked = world.get("handlers"), world.get("blocked", "")
    handled: tuple[str, ...] = ()
    if handlers is not None:
        without = {blocked, world.get("signals")}
        if handlers == "nostack":
            without.add("SIGURG")
        if "early" not in handlers:
            without |= set(calltree.SYNCHRONOUS)
        handled = tuple(name for name in calltree.HANDLED if name not in without)
    signals = deliverable(world.get("on", ()), blocked)
    return Place("c", signals=signals, handled=handled, onstack=handlers != "nostack")


def deliverable(on: tuple[str, ...], blocked: str) -> tuple[str, ...]:
    """The signals that a leaf may send in such a world."""
    possible = (name for name in calltree.SIGNALS if name != blocked)
    return tuple(name for name in possible if calltree.NEEDS.get(name, "") in ("", *on))


class _Grower:
    """Grows nodes until the case has as many as it may have."""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._left = MAX_NODES

    def slot(self, slot: Slot) -> list[Node]:
        count = self._choose(slot.counts)
        if slot.only:
            return [self._node(slot.only, slot.place) for _ in range(count)]
        nodes = []
        for _ in range(count):
            # What is in the first of them may leave nothing for the next.
            if self._left > 0 and kinds(slot.place):
                self._left -= 1
                nodes.append(self._node(self._choose(self._kinds(slot.place)), slot.place))
        return nodes

    def _kinds(self, place: Place) -> tuple[str, ...]:
        if self._left < 2:
            return tuple(kind for kind in kinds(place) if kind != "Together")
        return kinds(place)

    def _node(self, kind: str, place: Place) -> Node:
        """A node that has been counted already."""
        possible = forms(kind, place)
        if self._left < 3 and any(form.least - 1 > self._left for form in possible):
            possible = tuple(form for form in possible if form.least - 1 <= self._left)
        form = self._choose(possible)
        keywords = {name: self._choose(values) for name, values in form.values}
        # The nodes that it must have: those of a slot of one kind are there before what is below the first.
        self._left -= sum(slot.counts[0] for slot in form.body if slot.only)
        slots = [slot.without(keywords["region"]) for slot in form.body] if form.takes else form.body
        body = [node for slot in slots for node in self.slot(slot)]
        if form.deferred:
            keywords["deferred"] = tuple(node for slot in form.deferred for node in self.slot(slot))
        return calltree.NODES[kind](*body, **keywords)
