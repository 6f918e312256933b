"""The reference model: what has to be true at every crossing of a legal case.

The model walks the call tree as a correct runtime would, takes the events of each thread in order,
and compares each with what the rules let it expect.  It yields every difference: after one it takes
what was seen and goes on, so that a known fault does not hide an unknown one behind it.

The way of one callback, which the rules follow (runtime/cgocall.go, runtime/proc.go):

    C, before    the thread's g0 has the bounds of whoever came before, or the thread has no M
    needm        only then: takes an extra M, guesses the bounds from SP, asks pthread for better ones
    cgocallback  g0.sched.sp = SP here, the old one pushed
    cgocallbackg saves bounds and flag, then updates them if they can't be trusted
    Go, entered  the Go function; what it calls, it calls by cgocall, and C sees the same bounds
    Go, leaving  (or a panic goes through: unwindm puts g0.sched.sp back, the recovering frame goes on)
    C, after     bounds, guards, flag and g0.sched.sp as they were before

Pure: no process, no clock, no Go.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from golib import calltree
from golib.calltree import Case, Node, Placed
from golib.trace import Event, Phase

DEFAULT_STACK_GUARD = 928
"""runtime.stackGuard in bytes, for a library whose DWARF does not have it (runtime/stack.go)."""
NEEDM_REACH = 512
"""Bytes: how far below g0.sched.sp the SP may lie that needm guesses from (needAndBindM's frame: 24 on
1.26; generous, and far below a page)."""


class Rule(Enum):
    """What must hold, with the source of the rule."""

    ORDER = (
        "events come in the order of the call tree",
        "Go's documentation of cgo: a callback runs where it is called and returns there",
    )
    CONTAINS = (
        "in a callback on an extra M, g0's bounds contain SP: lo < sched.sp <= hi",
        "seed: callbackUpdateSystemStack",
    )
    CACHED = (
        "accurate bounds that contain SP are kept and nothing is asked",
        "seed: callbackUpdateSystemStack, go#68587",
    )
    ASKED = (
        "bounds that are a guess or do not contain SP are asked for anew, once",
        "seed: callbackUpdateSystemStack",
    )
    ANSWER = (
        "bounds that pthread_getattr_np gives and that contain SP are taken, and are accurate",
        "seed: callbackUpdateSystemStack",
    )
    ESTIMATE = (
        "where nothing better is known, bounds are [sched.sp-32768, sched.sp+1024], and not accurate",
        "seed: callbackUpdateSystemStack",
    )
    GUARD = ("both guards of g0 are lo + stackGuard", "seed: callbackUpdateSystemStack, cgocallbackg")
    RESTORED = (
        "after a callback everything is as it was before it",
        "seed: cgocallbackg restores what it saved",
    )
    NEEDM = (
        "after a thread's first callback everything is as needm left it",
        "seed: cgocallbackg saves what needm set",
    )
    RECOVERED = (
        "after a recover everything is as when the recovering frame was entered",
        "seed: each callback has its own bounds; runtime/cgocall.go: both stacks unwind in lock step",
    )
    STEADY = (
        "nothing but a callback changes the bounds of a thread",
        "seed: bounds are updated and restored at cgocallback",
    )
    GO_MADE = (
        "the bounds of an M that Go made are never touched",
        "seed: callbackUpdateSystemStack, isextra",
    )
    SIGNAL = (
        "a signal handler asks nothing and leaves everything as it was",
        "seed: callbackUpdateSystemStack, !signal",
    )
    DROPPED = (
        "the M of a thread that has ended has no bounds and no flag",
        "seed: dropm",
    )
    BOUND = (
        "a C thread keeps its M from its first callback to its end",
        "runtime/cgocall.go, cgoBindM: since Go 1.21",
    )
    CROSSING = (
        "the runtime's accounts of cgo calls match the frames on the stack",
        "runtime/cgocall.go: cgocallbackg, unwindm; runtime/proc.go: reentersyscall, exitsyscall, needm,"
        " dropm; runtime/metrics, /sched/goroutines/not-in-go",
    )
    THREAD = (
        "a callback gives the thread its signal mask, its alternate stack and its floating-point control"
        " back, a thread ends with what it began with, and Go's own threads begin with nobody else's",
        'os/signal documentation, "Go programs that use cgo or SWIG"; silent for floating point',
    )
    COUNT = (
        "a callback asks as often as the cache lets it",
        "seed: callbackUpdateSystemStack, go#68587",
    )

    # Counted at each comparison: Enum's own hash runs in Python.
    __hash__ = object.__hash__

    @property
    def text(self) -> str:
        return self.value[0]

    @property
    def source(self) -> str:
        return self.value[1]


@dataclass(frozen=True)
class Divergence:
    """One difference between what was expected and what was seen."""

    node: int
    label: str
    phase: Phase
    side: str
    field: str
    expected: object
    seen: object
    rule: Rule
    index: int
    """Of the event in the trace; -1 for one that did not come."""

    @property
    def key(self) -> str:
        """What makes two of them the same fault: the rule, and the field."""
        return f"{self.rule.name.lower()} {self.field}"

    def __str__(self) -> str:
        return (
            f"node {self.node} ({self.label}), {self.phase.name.lower()} in {self.side}: "
            f"{self.field} is {show(self.field, self.seen)}, expected {show(self.field, self.expected)}: "
            f"{self.rule.text} ({self.rule.source})"
        )


_ADDRESSES = frozenset(("lo", "hi", "guard0", "guard1", "sched_sp", "m", "m_curg", "bounds"))


def show(field: str, value: object) -> str:
    """A value of that field as people read it."""
    return f"{value:#x}" if field in _ADDRESSES and isinstance(value, int) else str(value)


BOUNDS = ("lo", "hi", "guard0", "guard1", "accurate")
"""What the seed saves and restores."""
MACHINE = (
    *("ncgo", "incgo", "isextra", "isExtraInC", "isExtraInSig", "lockedInt", "lockedExt", "locks"),
    *("mallocing", "throwing", "dying", "preemptoff", "procid", "m_curg", "m_lockedg", "goid"),
    *("throwsplit", "curg_lockedm", "cgoCtxt", "sched_sp", "paniconfault"),
)
"""What else of m and g a callback must give back."""
RELATIVE = ("syscallsp", "syscallbp", "curg_sched_sp")
"""Addresses in the goroutine's stack: given back relative to its upper end, since it may move."""
LONG_RUN = 100
"""Rounds after which a count that drifts by one a round shows, whatever else the runtime does meanwhile."""
POINTERS = ("curg_panic", "curg_defer")
"""Given back as to whether there is one: they may lie in the goroutine's stack."""


class _Panicking(Exception):
    """The walk of the tree is unwinding, as the goroutine is."""


class _Exiting(Exception):
    """The goroutine is exiting: its deferred functions run, nothing recovers it."""


class _NoMore(Exception):
    """The thread has no further event: the process has ended, or the order is broken."""


class _Thread:
    """One thread's events, taken in order."""

    def __init__(self, events: Sequence[tuple[int, Event]], start: int = 0) -> None:
        self._events = events
        self._next = start
        self.index = -1
        self.last: Event | None = None
        self.steady = True
        """Whether the next event must show the bounds of the last one."""

    def peek(self) -> Event | None:
        return self._events[self._next][1] if self._next < len(self._events) else None

    def take(self) -> Event:
        self.index, event = self._events[self._next]
        self._next += 1
        return event


def divergences(
    case: Case, events: Sequence[Event], *, complete: bool, stack_guard: int | None = None
) -> Iterator[Divergence]:
    """Every difference between the events and what the model predicts for the case.

    complete: the child came to its end, so that an event that is missing is a difference; else the
    trace is a prefix.  stack_guard: runtime.stackGuard in bytes.
    """
    yield from _Walk(case, events, complete, stack_guard or DEFAULT_STACK_GUARD).run()


def rules(case: Case, events: Sequence[Event]) -> Counter[Rule]:
    """How often each rule had something to say about these events."""
    walk = _Walk(case, events, True, DEFAULT_STACK_GUARD)
    walk.run()
    return walk.compared


class _Walk:
    def __init__(self, case: Case, events: Sequence[Event], complete: bool, stack_guard: int) -> None:
        self._case = case
        self._complete = complete
        self._guard = stack_guard
        self._found: list[Divergence] = []
        self.compared: Counter[Rule] = Counter()
        self._placed: dict[int, Placed] = {}
        self._numbers: dict[int, list[int]] = defaultdict(list)
        children: dict[int, list[int]] = defaultdict(list)
        self._roots = []
        for placed in case.walk():
            self._placed[placed.number] = placed
            if placed.parent is None:
                self._roots.append(placed.number)
            else:
                children[placed.parent].append(placed.number)
        self._children = children
        self._by_tid: dict[int, list[tuple[int, Event]]] = defaultdict(list)
        self._entries: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for index, event in enumerate(events):
            own = self._by_tid[event.tid]
            node = self._placed.get(event.node)
            if node and isinstance(node.node, calltree.Thread) and event.phase is Phase.ENTERED:
                self._entries[event.node].append((event.tid, len(own)))
            own.append((index, event))
        self._main = events[0].tid if events else 0
        blocked = calltree.SIGNALS.get(case.blocked, 0)
        self._initial = events[0].sigmask & ~(1 << blocked >> 1) if events else 0
        """The process's signal mask when Go's init ran."""
        self._begun: dict[int, Event] = {}
        """Each thread's first event, by its node: how the thread was before it called."""
        self._alone = True

    def run(self) -> list[Divergence]:
        thread = _Thread(self._by_tid[self._main])
        try:
            for number in self._roots:
                self._node(thread, number, in_go=False)
        except _NoMore:
            pass
        except _Panicking:  # pragma: no cover - calltree.check refuses such a case
            raise AssertionError("a panic left the case") from None
        else:
            self._nothing_left(thread)
        self._found.sort(key=lambda found: (found.index < 0, found.index))
        return self._found

    # Taking events.

    def _differs(
        self,
        thread: _Thread,
        number: int,
        event: Event,
        field: str,
        expected: object,
        seen: object,
        rule: Rule,
    ) -> None:
        self.compared[rule] += 1
        if expected != seen:
            label = self._placed[number].node.label
            self._found.append(
                Divergence(number, label, event.phase, event.side, field, expected, seen, rule, thread.index)
            )

    def _take(self, thread: _Thread, number: int, phase: Phase, in_go: bool) -> Event:
        """The thread's next event, which must be this one."""
        self.compared[Rule.ORDER] += 1
        event = thread.peek()
        side = "Go" if in_go else "C"
        if event is None or (event.node, event.phase, event.in_go) != (number, phase, in_go):
            if event is not None or self._complete:
                seen = f"node {event.node} {event.phase.name.lower()} in {event.side}" if event else "none"
                wanted = f"node {number} {phase.name.lower()} in {side}"
                label = self._placed[number].node.label
                index = thread.index + 1 if event is None else thread.index
                self._found.append(
                    Divergence(number, label, phase, side, "event", wanted, seen, Rule.ORDER, index)
                )
            raise _NoMore
        event = thread.take()
        self._everywhere(thread, number, event)
        if thread.steady and thread.last is not None:
            self._unchanged(thread, number, event, thread.last, Rule.STEADY)
        thread.steady = True
        thread.last = event
        return event

    def _nothing_left(self, thread: _Thread) -> None:
        event = thread.peek()
        if event is not None and self._complete:
            number = event.node if event.node in self._placed else self._roots[-1]
            thread.take()
            self._differs(thread, number, event, "event", "none", event.phase.name.lower(), Rule.ORDER)

    # Rules.

    def _everywhere(self, thread: _Thread, number: int, event: Event) -> None:
        """What holds at each event of a thread that has an M."""
        values = event.values
        if not values or event.phase is Phase.ENDED:
            return
        for name in ("guard0", "guard1"):
            if name in values:
                self._differs(
                    thread, number, event, name, values["lo"] + self._guard, values[name], Rule.GUARD
                )
        if "procid" in values:
            self._differs(thread, number, event, "procid", event.tid, values["procid"], Rule.CROSSING)
        for name, here in (("incgo", not event.in_go), ("throwsplit", not event.in_go)):
            if name in values:
                self._differs(thread, number, event, name, int(here), values[name], Rule.CROSSING)
        if not event.in_go and values.get("isextra") == 0:
            self._differs(thread, number, event, "sigmask", self._initial, event.sigmask, Rule.THREAD)
        for name in ("locks", "mallocing", "throwing", "dying", "preemptoff", "isExtraInSig"):
            if values.get(name):
                self._differs(thread, number, event, name, 0, values[name], Rule.CROSSING)
        if "isExtraInC" in values and "ncgo" in values:
            in_c = int(not event.in_go and values["isextra"] == 1 and values["ncgo"] == 0)
            self._differs(thread, number, event, "isExtraInC", in_c, values["isExtraInC"], Rule.CROSSING)

    def _unchanged(self, thread: _Thread, number: int, event: Event, before: Event, rule: Rule) -> None:
        """Bounds, M and queries are those of an earlier event of this thread."""
        self._differs(thread, number, event, "m", before.m, event.m, Rule.BOUND if before.m else rule)
        self._differs(thread, number, event, "queries", before.queries, event.queries, rule)
        self._same(thread, number, event, before, BOUNDS, rule)

    def _same(
        self, thread: _Thread, number: int, event: Event, before: Event, names: Iterable[str], rule: Rule
    ) -> None:
        new, old = event.values, before.values
        if new and old:
            self.compared[rule] += 1
            for name in names:
                if name in new and name in old and new[name] != old[name]:
                    self._differs(thread, number, event, name, old[name], new[name], rule)

    def _given_back(self, thread: _Thread, number: int, event: Event, before: Event, rule: Rule) -> None:
        """Everything is as at an earlier event on the same side."""
        self._same(thread, number, event, before, BOUNDS, rule)
        self._same(thread, number, event, before, MACHINE, rule)
        new, old = event.values, before.values
        for name in RELATIVE:  # in Go they hold what an earlier call left
            if name in new and name in old and old[name] and not event.in_go:
                expected, seen = old["curg_hi"] - old[name], new["curg_hi"] - new[name]
                self._differs(thread, number, event, name, expected, seen, rule)
        for name in POINTERS:
            if name in new and name in old:
                self._differs(thread, number, event, name, bool(old[name]), bool(new[name]), rule)
        self._own_state(thread, number, event, before)

    def _own_state(self, thread: _Thread, number: int, event: Event, before: Event) -> None:
        """The thread's own state, which only C sees."""
        if event.in_go or before.in_go:
            return
        self._differs(thread, number, event, "sigmask", before.sigmask, event.sigmask, Rule.THREAD)
        self._differs(thread, number, event, "fpu", before.fpu, event.fpu, Rule.THREAD)
        # On its first call a thread without an alternate stack gets the M's, and keeps it.
        if before.m or not before.altstack[2] & 2:  # SS_DISABLE
            self._differs(thread, number, event, "altstack", before.altstack, event.altstack, Rule.THREAD)

    def _on_its_stack(self, thread: _Thread, number: int, before: Event) -> None:
        """A callback on an M that Go made comes from the stack whose bounds Go knows."""
        if before.m and not before.values.get("isextra", 1):
            inside = before.bounds[0] < before.sp <= before.bounds[1]
            self._differs(thread, number, before, "contains SP", True, inside, Rule.GO_MADE)

    def _entered(self, thread: _Thread, number: int, event: Event, before: Event) -> None:
        """A callback has come into Go: the update of callbackUpdateSystemStack."""
        sp, (lo, hi) = event.values["sched_sp"], event.bounds
        first = not before.m
        if not first:
            self._differs(thread, number, event, "m", before.m, event.m, Rule.BOUND)
        if not event.values.get("isextra", 1):
            self._differs(thread, number, event, "queries", before.queries, event.queries, Rule.GO_MADE)
            self._same(thread, number, event, before, BOUNDS, Rule.GO_MADE)
            return
        self._differs(thread, number, event, "contains SP", True, lo < sp <= hi, Rule.CONTAINS)
        if not first and accurate(before) and before.bounds[0] < sp <= before.bounds[1]:
            self._differs(thread, number, event, "queries", before.queries, event.queries, Rule.CACHED)
            self._same(thread, number, event, before, BOUNDS, Rule.CACHED)
            return
        told = event.told
        if told[0] and told[0] < sp <= told[1]:
            rule, bounds, exact, asks = Rule.ANSWER, told, 1, 1
        else:
            # needm asks too, and is told no better.
            rule, bounds, exact, asks = Rule.ESTIMATE, estimate(sp), 0, 2 if first else 1
        if self._case.bounds == "absent":
            asks = 0  # the fallback has nobody to ask
        self._differs(thread, number, event, "queries", before.queries + asks, event.queries, Rule.ASKED)
        self._differs(thread, number, event, "lo", bounds[0], lo, rule)
        self._differs(thread, number, event, "hi", bounds[1], hi, rule)
        if "accurate" in event.values:
            self._differs(thread, number, event, "accurate", exact, event.values["accurate"], rule)

    def _accounts(self, thread: _Thread, number: int, event: Event, before: Event) -> None:
        """A callback has come into Go: the accounts that it changes."""
        new, old = event.values, before.values
        if not old:
            return
        for name, change in (("ncgo", 0), ("lockedInt", 1), ("lockedExt", 0)):
            if name in new and name in old:
                self._differs(thread, number, event, name, old[name] + change, new[name], Rule.CROSSING)
        self._same(thread, number, event, before, ("goid", "m_curg", "m_lockedg"), Rule.CROSSING)

    def _returned(
        self, thread: _Thread, number: int, event: Event, before: Event, inside: Event | None
    ) -> None:
        """A callback has returned to C.  ``inside``: the state in its Go frame, where it was seen."""
        if before.m:
            self._differs(thread, number, event, "m", before.m, event.m, Rule.BOUND)
            self._given_back(thread, number, event, before, Rule.RESTORED)
            return
        self._own_state(thread, number, event, before)
        self._differs(thread, number, event, "has an M", True, bool(event.m), Rule.BOUND)
        if not event.m:
            return
        lo, hi = event.bounds
        sp = event.values["sched_sp"]
        if inside is not None:
            self._differs(thread, number, event, "sched_sp", inside.values["sched_sp"], sp, Rule.NEEDM)
        told = event.told
        if inside is not None and accurate(inside):
            exact, expected = 1, inside.bounds  # what it was told then: the limit may have changed since
        elif inside is None and told[0] and told[0] < sp <= told[1]:
            exact, expected = 1, told
        else:
            # needm's SP lies a little below: its estimate shows where.
            reach = sp - (lo + calltree.ESTIMATE_BELOW)
            near = reach if 0 <= reach <= NEEDM_REACH else 0
            exact, expected = 0, estimate(sp - near)
        self._differs(thread, number, event, "lo", expected[0], lo, Rule.NEEDM)
        self._differs(thread, number, event, "hi", expected[1], hi, Rule.NEEDM)
        if "accurate" in event.values:
            self._differs(thread, number, event, "accurate", exact, event.values["accurate"], Rule.NEEDM)

    # Walking the tree.

    def _node(self, thread: _Thread, number: int, in_go: bool) -> None:
        node = self._placed[number].node
        if isinstance(node, calltree.Panic):
            raise _Panicking
        if isinstance(node, calltree.Goexit):
            raise _Exiting
        if isinstance(node, calltree.GO_LEAVES):
            return
        around = None
        if in_go:
            around = self._take(thread, number, Phase.BEFORE, True)
        match node:
            case calltree.Go():
                self._go(thread, number, node)
            case calltree.C():
                self._c(thread, number, node)
            case calltree.Python():
                self._plain(thread, number, node)
            case calltree.Stack():
                self._take(thread, number, Phase.BEFORE, False)
                self._plain(thread, number, node)
                self._take(thread, number, Phase.AFTER, False)
            case calltree.Thread():
                self._thread(thread, number, node, in_go)
            case calltree.Together():
                self._together(thread, number, node, in_go)
            case calltree.Export():
                self._export(thread, number, node)
            case calltree.Signal() | calltree.Setrlimit():
                before = self._take(thread, number, Phase.BEFORE, False)
                after = self._take(thread, number, Phase.AFTER, False)
                rule = Rule.SIGNAL if isinstance(node, calltree.Signal) else Rule.STEADY
                self._given_back(thread, number, after, before, rule)
        if around is not None:
            after = self._take(thread, number, Phase.AFTER, True)
            self._given_back(thread, number, after, around, Rule.RESTORED)

    def _body(self, thread: _Thread, number: int, in_go: bool) -> None:
        for child in self._children[number][: len(self._placed[number].node.body)]:
            self._node(thread, child, in_go)

    def _plain(self, thread: _Thread, number: int, node: Node) -> None:
        self._take(thread, number, Phase.ENTERED, False)
        self._body(thread, number, in_go=False)
        self._take(thread, number, Phase.LEAVING, False)

    def _c(self, thread: _Thread, number: int, node: calltree.C) -> None:
        before = self._take(thread, number, Phase.ENTERED, False)
        self._body(thread, number, in_go=False)
        if node.times > 1:
            first = thread.last
            self._between_rounds(thread, number, node, before, first)
            self._body(thread, number, in_go=False)
        leaving = self._take(thread, number, Phase.LEAVING, False)
        quiet = self._alone and not self._case.on and not self._case.signals
        if node.times >= LONG_RUN and quiet and before.values.get("isExtraInC"):
            self._settled(thread, number, leaving, before)

    def _settled(self, thread: _Thread, number: int, event: Event, before: Event) -> None:
        """Nobody is in Go, so nobody is counted as in a system call.  Too many and too few are two faults."""
        if "without_p" in event.values:
            self.compared[Rule.CROSSING] += 1
            old, new = (_signed(one.values["without_p"]) for one in (before, event))
            if new != old:
                field = "without_p, too many" if new > old else "without_p, too few"
                self._differs(thread, number, event, field, old, new, Rule.CROSSING)

    def _between_rounds(
        self, thread: _Thread, number: int, node: calltree.C, before: Event, first: Event | None
    ) -> None:
        """The rounds in the middle left no events, but their questions were counted."""
        event = thread.peek()
        if event is None or first is None:
            return
        asked = first.queries - before.queries
        fresh = not before.m and bool(first.m)
        rounds = node.times - 2
        # What the first round asked, every round asks, but for the one more of a thread's first call:
        # for good where it was answered, in needm where it was not.
        expected = rounds * (asked - 1 if fresh and asked else asked)
        thread.index += 1
        self._differs(thread, number, event, "queries", first.queries + expected, event.queries, Rule.COUNT)
        thread.index -= 1
        thread.steady = False

    def _go(self, thread: _Thread, number: int, node: calltree.Go) -> None:
        before = self._take(thread, number, Phase.BEFORE, False)
        self._on_its_stack(thread, number, before)
        thread.steady = False
        entered = self._take(thread, number, Phase.ENTERED, True)
        self._entered(thread, number, entered, before)
        self._accounts(thread, number, entered, before)
        self._guarded(thread, number, node, entered)
        leaving = self._take(thread, number, Phase.LEAVING, True)
        self._given_back_but_bounds(thread, number, leaving, entered)
        thread.steady = False
        after = self._take(thread, number, Phase.AFTER, False)
        self._differs(thread, number, after, "queries", leaving.queries, after.queries, Rule.RESTORED)
        self._returned(thread, number, after, before, entered)

    def _guarded(
        self, thread: _Thread, number: int, node: calltree.Go | calltree.Thread, entered: Event
    ) -> None:
        """A body, and what its frame recovers and defers.  Only Go frames do (a thread that Go made is
        one); ``entered`` is the frame's own event."""
        in_go = isinstance(node, calltree.Go) or node.kind == "go"
        panicking, exiting = False, False
        try:
            self._body(thread, number, in_go)
        except _Panicking:
            panicking = True
        except _Exiting:
            exiting = True
            thread.steady = False
            thread.last = None
        if node.recover and panicking:
            thread.steady = False
            last = thread.last
            recovered = self._take(thread, number, Phase.RECOVERED, True)
            if last is not None:
                self._differs(
                    thread, number, recovered, "queries", last.queries, recovered.queries, Rule.RECOVERED
                )
            self._same(thread, number, recovered, entered, (*BOUNDS, *MACHINE), Rule.RECOVERED)
        for child in self._children[number][len(node.body) :]:
            self._node(thread, child, in_go=True)
        if exiting:
            raise _Exiting
        if panicking and not node.recover:
            raise _Panicking

    def _given_back_but_bounds(self, thread: _Thread, number: int, event: Event, before: Event) -> None:
        """The Go frame's own accounts at its end; its bounds were compared step by step."""
        self._same(thread, number, event, before, MACHINE, Rule.CROSSING)
        for name in POINTERS:
            if name in event.values:
                expected, seen = bool(before.values[name]), bool(event.values[name])
                self._differs(thread, number, event, name, expected, seen, Rule.CROSSING)

    def _thread(self, thread: _Thread, number: int, node: calltree.Thread, in_go: bool) -> None:
        # From a Go frame the bridge starts it directly: in_go's own two events stand around it.
        if not in_go:
            self._take(thread, number, Phase.BEFORE, False)
        self._run_thread(number, node)
        if node.kind in ("native", "memory"):
            self._ended(thread, number)
        if not in_go:
            self._take(thread, number, Phase.AFTER, False)

    def _ended(self, thread: _Thread, number: int) -> None:
        event = thread.peek()
        if event is None or event.phase is not Phase.ENDED or event.node != number:
            self._take(thread, number, Phase.ENDED, False)
            return
        thread.take()
        if begun := self._begun.get(number):
            self._differs(thread, number, event, "sigmask", begun.sigmask, event.sigmask, Rule.THREAD)
            self._differs(thread, number, event, "altstack", begun.altstack, event.altstack, Rule.THREAD)
        # A signal on a thread without an M takes one from the same list.
        if self._alone and not self._case.signals:
            for name in (*BOUNDS, "isExtraInSig"):
                if name in event.values:
                    self._differs(thread, number, event, name, 0, event.values[name], Rule.DROPPED)

    def _run_thread(self, number: int, node: calltree.Thread) -> None:
        if not self._entries[number]:
            if self._complete:
                self._found.append(
                    Divergence(
                        *(number, node.label, Phase.ENTERED, "C", "event", "a thread", "none", Rule.ORDER, -1)
                    )
                )
                raise _NoMore
            return
        tid, start = self._entries[number].pop(0)
        own = _Thread(self._by_tid[tid], start)
        go = node.kind == "go"
        try:
            entered = self._take(own, number, Phase.ENTERED, go)
            self._begun[number] = entered
            self._guarded(own, number, node, entered)
            self._take(own, number, Phase.LEAVING, go)
        except (_NoMore, _Exiting):
            pass

    def _together(self, thread: _Thread, number: int, node: calltree.Together, in_go: bool) -> None:
        if not in_go:
            self._take(thread, number, Phase.BEFORE, False)
        alone, self._alone = self._alone, False
        for child, member in zip(self._children[number], node.body, strict=True):
            assert isinstance(member, calltree.Thread)
            self._run_thread(child, member)
        for child, member in zip(self._children[number], node.body, strict=True):
            if isinstance(member, calltree.Thread) and member.kind in ("native", "memory"):
                self._ended(thread, child)
        self._alone = alone
        if not in_go:
            self._take(thread, number, Phase.AFTER, False)

    def _export(self, thread: _Thread, number: int, node: calltree.Export) -> None:
        before = self._take(thread, number, Phase.BEFORE, False)
        thread.steady = False
        self._on_its_stack(thread, number, before)
        inside = thread.peek() if node.body else None  # what its Go frame called first sees its bounds
        if node.body:
            try:
                self._body(thread, number, in_go=False)
            except _Panicking:
                if not node.p:
                    raise
        elif node.name == "GoF" and node.p:
            thread.last = None  # what it asked on its way was not seen
            raise _Panicking
        thread.steady = False
        after = self._take(thread, number, Phase.AFTER, False)
        self._returned(thread, number, after, before, inside)
        if not node.body:
            self._export_count(thread, number, node, after, before)

    def _export_count(
        self, thread: _Thread, number: int, node: calltree.Export, after: Event, before: Event
    ) -> None:
        """How often an export asks that leaves no events inside: never where the bounds were known, once
        where it is told them, else at each of its callbacks (and in needm)."""
        callbacks = 1 if node.name != "callGoWithVariousStackAndGoFrame" else 3 if node.p else 4
        told = after.told
        if (
            not after.values.get("isextra", 1)
            or self._case.bounds == "absent"
            or (before.m and accurate(before) and before.bounds[0] < before.sp <= before.bounds[1])
        ):
            expected = 0
        elif told[0] < before.sp <= told[1]:
            expected = 1
        else:
            expected = callbacks + (not before.m)
        self._differs(thread, number, after, "queries", before.queries + expected, after.queries, Rule.COUNT)


def _signed(value: int) -> int:
    """Of an int32."""
    return value - (1 << 32) if value >> 31 else value


def estimate(sp: int) -> tuple[int, int]:
    """The bounds that the runtime assumes around SP when it knows no better."""
    return sp - calltree.ESTIMATE_BELOW, sp + calltree.ESTIMATE_ABOVE


def accurate(event: Event) -> bool:
    """Whether the runtime knows g0's bounds.  A release without the flag knows them when they are what
    pthread_getattr_np said last."""
    values: Mapping[str, int] = event.values
    if "accurate" in values:
        return bool(values["accurate"])
    return bool(event.told[0]) and event.bounds == event.told
