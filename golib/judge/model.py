"""The reference model: what has to be true at every crossing of a legal case.

The trace is held against the script (``script``), thread by thread, to the end of both: an event that is
missing, one too many and one out of order need no rule of their own.  At each crossing the rules for its
kind of step compare what was seen with what a user may rely on.  Every difference is told: after one, what
was seen is taken, so that a known fault does not hide an unknown one behind it.

A rule comes from what is written for users: Go's documentation, an accepted issue, the message of the change
that this project grew from (golang/go 76a8409eb81e: "seed").  Where nothing is written, its source says
"silent", and it is the simplest thing that a user may rely on.  A runtime that does better than a rule asks
for is not to be called faulty: counts of questions are upper bounds, and with no callback further up the
bounds that are left behind may be the old ones, the callback's own, or those that the C library gives.

The way of one callback on today's runtime, as a help to read a trace:

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import zip_longest

from golib.case import calltree, prototype
from golib.case.calltree import Case, Node
from golib.case.script import Phase, Step, ThreadScript, script
from golib.run.trace import Event

DEFAULT_STACK_GUARD = 928
"""runtime.stackGuard in bytes, for a library whose DWARF does not have it (runtime/stack.go)."""
NEEDM_REACH = 512
"""Bytes: how far below g0.sched.sp the SP may lie that a thread's first callback guesses from (24 on 1.26;
generous, and far below a page)."""
LONG_RUN = 100
"""Rounds after which a count that drifts by one a round shows, whatever else the runtime does meanwhile."""


class Rule(Enum):
    """What must hold, with the source of the rule."""

    ORDER = (
        "events come in the order of the call tree, none is missing and none is too many",
        "Go's documentation of cgo: a callback runs where it is called and returns there",
    )
    DID = (
        "each node does what its name says, and that can be seen",
        "documentation of package runtime (GC, Gosched, Stack, LockOSThread), pthread_kill(3), setrlimit(2)",
    )
    VALUE = (
        "a value that passes through Go arrives whole: what an export gives is what the case says (a number"
        " itself, else a digest)",
        "documentation of cmd/cgo: Go functions can be exported for use by C code, with their parameters and"
        " results",
    )
    CONTAINS = (
        "in a callback on an extra M, g0's bounds contain SP: lo < sched.sp <= hi",
        "seed: each callback gets its own stack bounds based on the current SP",
    )
    CACHED = (
        "accurate bounds that contain SP are kept and nothing is asked",
        "seed: caching the stack bounds if they are accurate; go#68587",
    )
    ASKED = (
        "a callback asks once at most (a thread's first twice), and not at all on a stack whose bounds this"
        " thread's callbacks have been told",
        "seed: this avoids the repeated calls to pthread_getattr_np; go#68587",
    )
    ANSWER = (
        "bounds that pthread_getattr_np gives and that contain SP are taken, and are accurate",
        "seed: update the bounds, accurate where the pthread API can give them",
    )
    ESTIMATE = (
        "where nothing better is known, bounds are [sched.sp-32768, sched.sp+1024], and not accurate",
        "seed: if we cannot get the accurate bounds, we continue to update the stack bounds based on the SP",
    )
    GUARD = ("both guards of g0 are lo + stackGuard", "silent: a stack check compares SP with its own stack")
    RESTORED = (
        "after a callback everything is as it was before it",
        "seed: when it returns, the outer callback has its old stack bounds restored; silent for the rest",
    )
    NEEDM = (
        "after a thread's first callback its bounds are those that the C library gives, or a guess from where"
        " it was called",
        "seed: stack bounds are accurate or based on the SP",
    )
    RECOVERED = (
        "in a Go frame to which a panic or a Goexit has unwound everything is as when the frame was entered",
        "seed: each callback gets its own stack bounds; silent for the rest",
    )
    STEADY = (
        "nothing but a callback changes the bounds of a thread",
        "seed: bounds are updated and restored at cgocallback",
    )
    GO_MADE = (
        "a callback on a thread that Go made comes from the stack whose bounds Go knows, and leaves them",
        "silent; go#62130",
    )
    SIGNAL = (
        "a signal handler asks nothing and leaves everything as it was",
        "signal-safety(7): pthread_getattr_np is not async-signal-safe",
    )
    HANDLER = (
        "the host's handler runs, and on the alternate stack where it was installed with SA_ONSTACK, or"
        " before Go was loaded",
        'os/signal documentation, "Non-Go programs that call Go code": the Go runtime turns on the SA_ONSTACK'
        " flag of an existing handler and otherwise keeps it",
    )
    SUSPENDED = (
        "a foreign stack that was left and is resumed, the youngest callback first, goes on with"
        " everything as it was",
        "silent; seed: for the outer callback nothing has changed when the inner one has returned",
    )
    DROPPED = (
        "the M of a thread that has ended has no bounds and no flag",
        "seed: dropm",
    )
    BOUND = (
        "a C thread keeps its M from its first callback to its end",
        "Go 1.21 release notes, Runtime: calls on threads created in C no longer set up each time",
    )
    CROSSING = (
        "the runtime's accounts of a thread (in C or in Go, calls under way, bound to whom) are right",
        "silent; runtime/metrics, /sched/goroutines/not-in-go",
    )
    THREAD = (
        "a callback gives the thread its signal mask, its alternate stack and its floating-point control"
        " back, a thread ends with what it began with, and Go's own threads begin with nobody else's",
        'os/signal documentation, "Go programs that use cgo or SWIG"; silent for floating point',
    )
    COUNT = (
        "repeated calls ask no more often than the first of them lets expect",
        "seed: this avoids the repeated calls to pthread_getattr_np; go#68587",
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
class Range:
    """An expectation that more than one number meets."""

    least: int | None = None
    most: int | None = None

    def allows(self, seen: object) -> bool:
        return (
            isinstance(seen, int)
            and (self.least is None or seen >= self.least)
            and (self.most is None or seen <= self.most)
        )

    def text(self, number: Callable[[int], str]) -> str:
        """In words; ``number`` writes each end."""
        if self.least is None:
            return f"at most {number(self.most or 0)}"
        if self.most is None:
            return f"at least {number(self.least)}"
        return f"from {number(self.least)} to {number(self.most)}"

    def __str__(self) -> str:
        return self.text(str)


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
    callback: int = 0
    """Which callback of a scenario; 0 for a place in the tree."""

    @property
    def key(self) -> str:
        """What makes two of them the same fault: the rule, and the field."""
        return f"{self.rule.name.lower()} {self.field}"

    def __str__(self) -> str:
        return (
            f"node {self.node} ({self.label}), {place(self)} in {self.side}: "
            f"{self.field} is {show(self.field, self.seen)}, expected {show(self.field, self.expected)}: "
            f"{self.rule.text} ({self.rule.source})"
        )


_ADDRESSES = frozenset(("lo", "hi", "guard0", "guard1", "sched_sp", "sp", "m", "m_curg", "bounds"))


def place(found: Divergence) -> str:
    """Of its node: the phase, and which callback of a scenario."""
    return f"{found.phase.name.lower()}{f' callback {found.callback}' if found.callback else ''}"


def crossings(events: Sequence[Event]) -> dict[int, int]:
    """How many callbacks of its scenario had begun with each, by the number that its events carry."""
    begun: Counter[int] = Counter()
    numbers = {}
    for event in events:
        if event.phase is Phase.CROSSING:
            begun[event.node] += 1
            numbers[event.did] = begun[event.node]
    return numbers


def show(field: str, value: object) -> str:
    """A value of that field as people read it."""
    number: Callable[[int], str] = hex if field in _ADDRESSES else str
    if isinstance(value, Range):
        return value.text(number)
    return number(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)


BOUNDS = ("lo", "hi", "guard0", "guard1", "accurate")
"""What the seed saves and restores."""
MACHINE = (
    *("ncgo", "incgo", "isextra", "isExtraInC", "isExtraInSig", "lockedInt", "lockedExt", "locks"),
    *("mallocing", "throwing", "dying", "preemptoff", "procid", "m_curg", "m_lockedg", "goid"),
    *("throwsplit", "curg_lockedm", "cgoCtxt", "sched_sp", "paniconfault"),
)
"""What else of m and g a callback must give back."""
_NOT_THE_USERS = tuple(name for name in MACHINE if name not in ("lockedExt", "paniconfault"))
"""Those that no Go code can change, as runtime.LockOSThread and debug.SetPanicOnFault do."""
RELATIVE = ("syscallsp", "syscallbp", "curg_sched_sp")
"""Addresses in the goroutine's stack: given back relative to its upper end, since it may move."""
POINTERS = ("curg_panic", "curg_defer")
"""Given back as to whether there is one: they may lie in the goroutine's stack."""
_OF_A_SCENARIO = (Phase.CROSSING, Phase.CROSSED)
"""Events of no step: a scenario's library calls Go as often as it likes."""
UNBLOCKED = sum(1 << (number - 1) for number in (4, 5, 7, 8, 11, 16, 17, 27, 32, 33))
"""Signals that Go unblocks on a thread that calls it, for as long as it runs (os/signal, "Go programs that
use cgo or SWIG"): the synchronous ones, SIGILL, SIGTRAP, SIGSTKFLT, SIGCHLD, SIGPROF, SIGCANCEL and
SIGSETXID."""
ZERO = ("locks", "mallocing", "throwing", "dying", "preemptoff", "isExtraInSig")
"""Outside of the runtime's own work each of these is zero."""


def divergences(
    case: Case, events: Sequence[Event], *, complete: bool, stack_guard: int | None = None
) -> Iterator[Divergence]:
    """Every difference between the events and what the model predicts for the case.

    complete: the child came to its end, so that an event that is missing is a difference; else the
    trace is a prefix.  stack_guard: runtime.stackGuard in bytes.
    """
    yield from _Judge(case, events, complete, stack_guard or DEFAULT_STACK_GUARD).run()


def rules(case: Case, events: Sequence[Event]) -> Counter[Rule]:
    """How often each rule had something to say about these events."""
    judge = _Judge(case, events, True, DEFAULT_STACK_GUARD)
    judge.run()
    return judge.compared


@dataclass(slots=True)
class _Asked:
    """Callbacks at one place, as to what they ask each time that they are repeated."""

    sp: int
    asked: int
    rounds: int = 1
    away: bool = False
    """The callback around it is on another stack, and g0's bounds are those: each time it may ask."""


class _Known:
    """What the C library has told the callbacks of one thread, and how often they asked."""

    def __init__(self) -> None:
        self._bounds = (0, 0)
        """The last answer that contained a callback's SP: this stack is known from then on."""
        self._callbacks: list[_Asked] = []
        self._marks: dict[Step, int] = {}

    def may_ask(self, sp: int, callbacks: int, *, first: bool, told: tuple[int, int]) -> int:
        """Questions that so many callbacks from there may ask.  ``told``: the last answer after them."""
        if _contains(self._bounds, sp) and not first:  # an M that it had before has gone with what it knew
            return 0
        return 1 if _contains(told, sp) else callbacks + first

    def note(self, sp: int, asked: int, *, first: bool, told: tuple[int, int], away: bool = False) -> None:
        """Callbacks from there have asked so often."""
        self._callbacks.append(_Asked(sp, asked - first if asked else 0, away=away))
        if _contains(told, sp):
            self._bounds = told

    def begin(self, repeated: Step) -> None:
        """The first round of a repeated frame begins."""
        self._marks[repeated] = len(self._callbacks)

    def in_the_middle(self, repeated: Step, times: int) -> int:
        """Questions that the rounds between the first and the last may ask, the first having been seen."""
        callbacks = self._callbacks[self._marks.get(repeated, 0) :]
        asked = sum(
            one.asked * one.rounds for one in callbacks if one.away or not _contains(self._bounds, one.sp)
        )
        for one in callbacks:
            one.rounds *= times - 1
        return asked * (times - 2)


@dataclass(slots=True)
class At:
    """A step, and what was seen there."""

    step: Step
    event: Event
    before: Event | None
    """What the step is held against."""
    last: Event | None
    """This thread's last event."""
    known: _Known
    seen: Mapping[Step, Event]
    """Every step that was seen, on any thread."""
    case: Case
    stack_guard: int
    initial: int
    """The process's signal mask when Go's init ran."""
    handled: bool
    """Whether the host has signal handlers."""

    @property
    def values(self) -> Mapping[str, int]:
        return self.event.values

    @property
    def extra(self) -> bool:
        """The M is one for threads that C made."""
        return bool(self.values.get("isextra", 1))

    @property
    def inside(self) -> Event | None:
        """Of a callback's return: what was seen inside first."""
        return None if self.step.inside is None else self.seen.get(self.step.inside)


Difference = tuple[str, object, object, Rule]
"""Field, expected (a value or a Range), seen, rule; no difference where the seen is as expected."""
Compared = Iterator[Difference]


# At every step.


def _everywhere(at: At) -> Compared:
    """What holds at each event of a thread that has an M."""
    values, step, event = at.values, at.step, at.event
    if not values:
        return
    for name in ("guard0", "guard1"):
        if name in values:
            yield name, values["lo"] + at.stack_guard, values[name], Rule.GUARD
    in_c = not step.in_go
    expected = {
        "procid": event.tid,
        "incgo": int(in_c),
        "throwsplit": int(in_c),
        "ncgo": step.cgo,
        # An extra M is bound to its goroutine from the beginning (needm).
        "lockedInt": step.callbacks + at.extra,
        "isExtraInC": int(in_c and at.extra and step.cgo == 0),
    }
    for name, value in expected.items():
        if name in values:
            yield name, value, values[name], Rule.CROSSING
    for name in ZERO:
        if values.get(name):
            yield name, 0, values[name], Rule.CROSSING
    if in_c and at.extra and step.callbacks and step.handling == 0 and not at.handled:
        yield "sigmask, blocked", 0, event.sigmask & UNBLOCKED, Rule.THREAD
    if in_c and not at.extra and step.handling is not None:
        yield "sigmask", at.initial | step.handling, event.sigmask, Rule.THREAD


def _steady(at: At) -> Compared:
    """Bounds, M and questions are those of the thread's last event."""
    if at.last is None or at.step.free:
        return
    yield "m", at.last.m, at.event.m, Rule.BOUND if at.last.m else Rule.STEADY
    yield "queries", at.last.queries, at.event.queries, Rule.STEADY
    yield from _same(at.event, at.last, BOUNDS, Rule.STEADY)


def _unwound(at: At) -> Compared:
    """A panic or a Goexit has come to this Go frame."""
    if not at.step.unwound or at.before is None:
        return
    if at.last is not None and not at.step.unseen:
        yield "queries", at.last.queries, at.event.queries, Rule.RECOVERED
    yield "m", at.before.m, at.event.m, Rule.BOUND
    # What LockThread changes is seen while it does.
    own = {"lockedExt"} if isinstance(at.step.node, calltree.LockThread) else set()
    names = [name for name in (*BOUNDS, *MACHINE) if name not in own]
    yield from _same(at.event, at.before, names, Rule.RECOVERED)


def _unseen(at: At) -> Compared:
    """Callbacks that left no event have asked."""
    if at.step.unseen and at.last is not None:
        asks = 0
        if at.extra:
            first = not at.last.m
            asks = at.known.may_ask(at.last.sp, at.step.unseen, first=first, told=at.event.told)
            if _away(at.last, at.step.callbacks):
                asks = max(asks, at.step.unseen)
        yield "queries", Range(most=at.last.queries + asks), at.event.queries, Rule.COUNT


def _between_rounds(at: At) -> Compared:
    """The rounds in the middle left no events, but their questions were counted."""
    rounds = at.step.rounds
    if rounds is not None and at.last is not None:
        most = at.last.queries + at.known.in_the_middle(rounds.entered, rounds.times)
        yield "queries", Range(most=most), at.event.queries, Rule.COUNT


def _held(at: At) -> Compared:
    """A C frame holds its bytes: what it calls stands below them."""
    if at.step.holder is not None:
        node, holder = at.step.holder.node, at.seen[at.step.holder]
        assert isinstance(node, calltree.C)
        yield "sp", Range(most=holder.sp - node.stack), at.event.sp, Rule.DID


# At a callback.


def _called(at: At) -> Compared:
    """C is about to call Go: on an M that Go made it comes from the stack whose bounds Go knows."""
    if at.event.m and not at.extra:
        yield "contains SP", True, _contains(at.event.bounds, at.event.sp), Rule.GO_MADE


def _entered(at: At) -> Compared:
    """A callback has come into Go."""
    event, before = at.event, at.before
    assert before is not None
    sp, (lo, hi) = event.values["sched_sp"], event.bounds
    first = not before.m
    if not first:
        yield "m", before.m, event.m, Rule.BOUND
        yield from _same(event, before, ("lockedExt", "goid", "m_curg", "m_lockedg"), Rule.CROSSING)
    if not at.extra:
        yield "queries", before.queries, event.queries, Rule.GO_MADE
        yield from _same(event, before, BOUNDS, Rule.GO_MADE)
        return
    yield "contains SP", True, lo < sp <= hi, Rule.CONTAINS
    if not first and accurate(before) and _contains(before.bounds, sp):
        yield "queries", before.queries, event.queries, Rule.CACHED
        yield from _same(event, before, BOUNDS, Rule.CACHED)
        return
    asks = at.known.may_ask(sp, 1, first=first, told=event.told)
    asks = max(asks, _away(before, at.step.callbacks - 1))
    yield "queries", Range(most=before.queries + asks), event.queries, Rule.ASKED
    if _contains(event.told, sp):
        rule, bounds, exact = Rule.ANSWER, event.told, 1
    else:
        rule, bounds, exact = Rule.ESTIMATE, estimate(sp), 0
    yield "lo", bounds[0], lo, rule
    yield "hi", bounds[1], hi, rule
    if "accurate" in event.values:
        yield "accurate", exact, event.values["accurate"], rule


def _away(before: Event, around: int) -> bool:
    """The youngest of the callbacks under way ``around`` one stands on another stack, which its thread has
    left since: what is in place are its bounds."""
    return around > 0 and not _contains(before.bounds, before.sp)


def _frame_left(at: At) -> Compared:
    """The Go frame's own accounts at its end; its bounds were compared step by step."""
    assert at.before is not None
    yield from _same(at.event, at.before, MACHINE, Rule.CROSSING)
    for name in POINTERS:
        if name in at.values:
            yield name, bool(at.before.values[name]), bool(at.values[name]), Rule.CROSSING


def _returned(at: At) -> Compared:
    """A callback has returned to C."""
    event, before, inside = at.event, at.before, at.inside
    assert before is not None
    if not at.step.unseen and at.last is not None and inside is not None:
        asks = at.known.may_ask(before.sp, 1, first=False, told=event.told)
        asks = max(asks, _away(before, at.step.callbacks)) - (inside.queries - before.queries)
        yield "queries", Range(most=at.last.queries + max(0, asks)), event.queries, Rule.RESTORED
    if before.m:
        yield "m", before.m, event.m, Rule.BOUND
        yield from _given_back(at, before, Rule.RESTORED, outermost=at.step.callbacks == 0)
        return
    yield from _own_state(at, before)
    yield "has an M", True, bool(event.m), Rule.BOUND
    if not event.m:
        return
    sp = event.values["sched_sp"]
    if inside is not None:
        yield "sched_sp", inside.values["sched_sp"], sp, Rule.NEEDM
    lo, hi = event.bounds
    if answered(event):
        return
    if inside is not None and accurate(inside):
        expected: tuple[object, object] = inside.bounds  # the limit may have changed since
        exact = 1
    elif inside is None and _contains(event.told, sp):
        expected, exact = event.told, 1
    else:
        # A guess from an SP that lies a little below.
        below = sp - calltree.ESTIMATE_BELOW
        expected = Range(below - NEEDM_REACH, below), lo + calltree.ESTIMATE_BELOW + calltree.ESTIMATE_ABOVE
        exact = 0
    yield "lo", expected[0], lo, Rule.NEEDM
    yield "hi", expected[1], hi, Rule.NEEDM
    if "accurate" in event.values:
        yield "accurate", exact, event.values["accurate"], Rule.NEEDM


def _crossed(at: At) -> Compared:
    """A callback of the user's own library, in a scenario, has returned to C: what it does in Go, and how
    often it asks, is its own affair."""
    event, before = at.event, at.before
    assert before is not None
    if before.m:
        yield "m", before.m, event.m, Rule.BOUND
        # Who called C from Go is in a callback further up.
        outermost = not before.values.get("ncgo")
        yield from _given_back(at, before, Rule.RESTORED, outermost=outermost, machine=_NOT_THE_USERS)
        return
    yield from _own_state(at, before)
    yield "has an M", True, bool(event.m), Rule.BOUND
    for name in ("guard0", "guard1"):
        if name in event.values:
            yield name, event.values["lo"] + at.stack_guard, event.values[name], Rule.GUARD


# At what stands below a Go frame, and at other frames and leaves.


def _called_and_returned(at: At) -> Compared:
    """What Go called has come back."""
    assert at.before is not None
    yield from _given_back(at, at.before, Rule.RESTORED)


def _handling(at: At) -> Compared:
    """The host's handler has begun: ``did`` is 1 on the thread's own stack, 2 on the alternate one."""
    assert at.before is not None
    has_one = not at.before.altstack[2] & 2  # SS_DISABLE
    yield "did", 2 if has_one and at.case.handlers != "nostack" else 1, at.event.did, Rule.HANDLER
    if at.step.handling is not None:
        yield "sigmask", at.before.sigmask | at.step.handling, at.event.sigmask, Rule.HANDLER


def _handled(at: At) -> Compared:
    """The host's handler is about to end."""
    if at.before is not None and at.before.m:
        yield from _given_back(at, at.before, Rule.RESTORED, outermost=at.step.callbacks == 0)


def _replaced(at: At) -> Compared:
    """C has replaced the alternate stack: it lies where C has put it, and not before."""
    node = at.step.node
    assert isinstance(node, calltree.AltStack)
    _, size, flags = at.event.altstack
    yield "alternate stack", (node.size, not node.size), (size, bool(flags & 2)), Rule.DID


def _kept(at: At) -> Compared:
    """What C has put there is still there."""
    assert at.before is not None
    yield from _own_state(at, at.before)


def _signalled(at: At) -> Compared:
    assert at.before is not None
    if at.step.node.body:
        if at.before.m:
            yield from _given_back(at, at.before, Rule.RESTORED, outermost=at.step.callbacks == 0)
        else:
            yield from _own_state(at, at.before)
        return
    # "The Go handler removes itself", to raise the signal again: one that comes meanwhile to another thread
    # may be dropped (os/signal, "Go programs that use cgo or SWIG").
    begun = at.step.before
    if begun is not None and begun.ignored:
        yield "did", 0, at.event.did, Rule.HANDLER
    elif at.step.alone and not at.case.signals:
        yield "did", Range(least=1), at.event.did, Rule.DID
    yield from _given_back(at, at.before, Rule.SIGNAL)


def _went_on(at: At) -> Compared:
    """The foreign stack goes on where it was left: what it has of Go under way is as it was."""
    assert at.before is not None
    yield "did", 1, at.event.did, Rule.DID
    if not at.before.m:
        return
    yield "m", at.before.m, at.event.m, Rule.BOUND
    if at.step.elsewhere:
        return  # it was left in a callback that has returned, or goes on in one that has begun meanwhile
    if at.step.callbacks:
        yield from _given_back(at, at.before, Rule.SUSPENDED)
        return
    yield from _same(at.event, at.before, MACHINE, Rule.SUSPENDED)  # nobody further up needs the old bounds
    yield from _own_state(at, at.before)


def _came_back(at: At) -> Compared:
    """What was resumed has ended, or is suspended again: callbacks may have begun and ended on it."""
    assert at.before is not None
    if at.before.m:
        yield "m", at.before.m, at.event.m, Rule.BOUND
    yield from _own_state(at, at.before)


def _limited(at: At) -> Compared:
    assert at.before is not None
    assert isinstance(at.step.node, calltree.Setrlimit)
    if at.step.alone:  # another thread may set the process's limit meanwhile
        yield "did", at.step.node.stack, at.event.did, Rule.DID
    yield from _given_back(at, at.before, Rule.STEADY)


def _switched(at: At) -> Compared:
    """Foreign stacks are numbered in the order of their addresses; a thread's own lies at 0."""
    assert at.before is not None
    if at.step.handling != 0 and not at.step.before.region:  # type: ignore[union-attr]
        return  # from an alternate stack, which lies anywhere
    assert at.step.before is not None
    away = at.before.sp
    higher = at.step.region > at.step.before.region
    yield "sp", Range(least=away) if higher else Range(most=away), at.event.sp, Rule.DID


def _in_python(at: At) -> Compared:
    yield "did", 1, at.event.did, Rule.DID


def _scenario_left(at: At) -> Compared:
    """A scenario leaves its thread as it found it, whatever it called."""
    node, before = at.step.node, at.before
    assert isinstance(node, calltree.Python)
    if not node.call or before is None:
        return
    if before.m:
        yield "m", before.m, at.event.m, Rule.BOUND
        if at.step.callbacks:
            yield from _given_back(at, before, Rule.RESTORED)
            return
        yield from _same(at.event, before, MACHINE, Rule.RESTORED)  # nobody further up needs the old bounds
    yield from _own_state(at, before)


def _started(at: At) -> Compared:
    if at.step.together:
        yield "did", at.step.together, at.event.did, Rule.DID
    if at.step.in_go and "isextra" in at.values:
        yield "isextra", 0, at.values["isextra"], Rule.DID


def _ended(at: At) -> Compared:
    """Of a thread that has ended, seen by who joined it: its own state, and the M that it had."""
    assert at.step.thread is not None
    if begun := at.seen.get(at.step.thread.steps[0]):
        yield "sigmask", begun.sigmask, at.event.sigmask, Rule.THREAD
        yield "altstack", begun.altstack, at.event.altstack, Rule.THREAD
    # A signal on a thread without an M takes one from the same list.
    if at.step.alone and not at.case.signals:
        for name in (*BOUNDS, "isExtraInSig"):
            if name in at.values:
                yield name, 0, at.values[name], Rule.DROPPED


def _settled(at: At) -> Compared:
    """After a long run nobody is in Go, so nobody is counted as in a system call.  Too many and too few are
    two faults."""
    node, before = at.step.node, at.before
    assert isinstance(node, calltree.C)
    assert before is not None
    long = node.times >= LONG_RUN and at.step.alone
    if (
        long
        and not at.case.switched
        and not at.case.signals
        and before.values.get("isExtraInC")
        and "without_p" in at.values
    ):
        old, new = (_signed(one.values["without_p"]) for one in (before, at.event))
        yield "without_p, too many" if new > old else "without_p, too few", old, new, Rule.CROSSING


# What a leaf leaves.

COUNTERS = {"collections": 32, "stops": 8}
"""Fields that count, and their bits."""


def _seen(at: At) -> Compared:
    """The leaf has left what its class says."""
    for name, least in at.step.node.seen:
        wanted = Range(least=getattr(at.step.node, least) if isinstance(least, str) else least)
        if name == "did":
            yield name, wanted, at.event.did, Rule.DID
        elif at.last is not None and name in at.values and name in at.last.values:
            grown = (at.values[name] - at.last.values[name]) % (1 << COUNTERS[name])
            yield name, wanted, grown, Rule.DID


def _passed(at: At) -> Compared:
    """The number that a Go frame takes and gives is whole: ``did`` has the bits that were lost."""
    yield "did", 0, at.event.did, Rule.VALUE


def _value(at: At) -> Compared:
    """What an export gave is what the case says it gives."""
    node = at.step.node
    assert isinstance(node, calltree.Export)
    if node.returns is not None:
        yield "did", prototype.digest(node.returns), at.event.did, Rule.VALUE


def _did_in_c(at: At) -> Compared:
    """A leaf of C's has changed nothing that a callback may not change either."""
    assert at.before is not None
    yield from _given_back(at, at.before, Rule.STEADY)


def _locked(at: At) -> Compared:
    """The goroutine of a thread that Go made is locked to it already."""
    if "lockedExt" in at.values:
        yield "lockedExt", 1 + (not at.extra), at.values["lockedExt"], Rule.DID


_RuleFunction = Callable[[At], Compared]

EVERY_STEP: tuple[_RuleFunction, ...] = (_everywhere, _steady, _unwound, _unseen, _between_rounds, _held)

RULES: Mapping[tuple[type[Node], Phase], tuple[_RuleFunction, ...]] = {
    (calltree.Go, Phase.BEFORE): (_called,),
    (calltree.Go, Phase.ENTERED): (_entered,),
    (calltree.Go, Phase.LEAVING): (_frame_left,),
    (calltree.Go, Phase.AFTER): (_returned, _passed),
    (calltree.Export, Phase.BEFORE): (_called,),
    (calltree.Export, Phase.AFTER): (_returned, _value),
    (calltree.C, Phase.LEAVING): (_settled,),
    (calltree.Python, Phase.ENTERED): (_in_python,),
    (calltree.Python, Phase.LEAVING): (_scenario_left,),
    (calltree.Stack, Phase.ENTERED): (_switched,),
    (calltree.Thread, Phase.ENTERED): (_started,),
    (calltree.Thread, Phase.ENDED): (_ended,),
    (calltree.AltStack, Phase.ENTERED): (_replaced,),
    (calltree.AltStack, Phase.LEAVING): (_kept,),
    (calltree.AltStack, Phase.AFTER): (_kept,),
    (calltree.Signal, Phase.ENTERED): (_handling,),
    (calltree.Signal, Phase.LEAVING): (_handled,),
    (calltree.Signal, Phase.AFTER): (_signalled,),
    (calltree.Suspend, Phase.AFTER): (_went_on,),
    (calltree.Resume, Phase.AFTER): (_came_back,),
    (calltree.Setrlimit, Phase.AFTER): (_limited,),
    (calltree.LockThread, Phase.DID): (_locked,),
}
"""The rules of a step, by its node's kind and its phase: beside ``EVERY_STEP``."""


def rules_of(step: Step) -> tuple[_RuleFunction, ...]:
    """The rules that have something to say of a step."""
    kind: type = type(step.node)
    return _rules_of(kind, step.phase, step.in_go)


@cache
def _rules_of(kind: type, phase: Phase, in_go: bool) -> tuple[_RuleFunction, ...]:
    if phase is Phase.ENDED:
        return RULES[calltree.Thread, Phase.ENDED]
    if in_go and phase in (Phase.BEFORE, Phase.AFTER):
        # What stands below a Go frame, seen from that frame.
        return (*EVERY_STEP, _called_and_returned) if phase is Phase.AFTER else EVERY_STEP
    own = RULES.get((kind, phase), ())
    if issubclass(kind, calltree.CLeaf) and phase is Phase.AFTER:
        own = (_seen, *(own or (_did_in_c,)))
    if phase is Phase.DID:
        own = (_seen, *own)
    return EVERY_STEP + own


class _Judge:
    """Holds one trace against the script of its case."""

    def __init__(self, case: Case, events: Sequence[Event], complete: bool, stack_guard: int) -> None:
        self._case = case
        self._events = events
        self._complete = complete
        self._stack_guard = stack_guard
        self._found: list[Divergence] = []
        self.compared: Counter[Rule] = Counter()
        self._placed = {placed.number: placed for placed in case.walk()}
        blocked = calltree.SIGNALS.get(case.blocked, 0)
        initial = events[0].sigmask & ~(1 << blocked >> 1) if events else 0
        self._of_all = case, stack_guard, initial, bool(case.handled())

    def run(self) -> list[Divergence]:
        aligned = [self._align(thread, own) for thread, own in self._threads()]
        seen = {step: event for pairs in aligned for step, _, event in pairs}
        for pairs in aligned:
            self._judge(pairs, seen)
        self._judge_crossings(seen)
        self._found.sort(key=lambda found: (found.index < 0, found.index))
        return self._found

    def _threads(self) -> Iterator[tuple[ThreadScript | None, list[tuple[int, Event]]]]:
        """Each thread of the script with the events of the thread that it became; and those that nobody
        asked for."""
        main: list[tuple[int, Event]] = []
        running: dict[int, list[tuple[int, Event]]] = {self._events[0].tid: main} if self._events else {}
        begun: dict[int, list[list[tuple[int, Event]]]] = defaultdict(list)
        strays: list[list[tuple[int, Event]]] = []
        for index, event in enumerate(self._events):
            if event.phase in _OF_A_SCENARIO:
                continue
            placed = self._placed.get(event.node)
            if placed and isinstance(placed.node, calltree.Thread) and event.phase is Phase.ENTERED:
                running[event.tid] = []
                begun[event.node].append(running[event.tid])
            elif event.tid not in running:
                running[event.tid] = []
                strays.append(running[event.tid])
            running[event.tid].append((index, event))
        for thread in script(self._case):
            if thread.placed is None:
                yield thread, main
            else:
                own = begun[thread.placed.number]
                yield thread, own.pop(0) if own else []
        for stray in [*strays, *(one for left in begun.values() for one in left)]:
            yield None, stray

    def _align(
        self, thread: ThreadScript | None, own: Sequence[tuple[int, Event]]
    ) -> list[tuple[Step, int, Event]]:
        """Steps and events side by side, to the first of them that do not fit."""
        pairs = []
        index = -1
        for step, here in zip_longest(thread.steps if thread else (), own):
            self.compared[Rule.ORDER] += 1
            event = None
            if here is not None:
                index, event = here
            if step is None or event is None or not _fits(step, event):
                if event is not None or self._complete:
                    self._out_of_order(step, event, index)
                break
            pairs.append((step, index, event))
        return pairs

    def _out_of_order(self, step: Step | None, event: Event | None, index: int) -> None:
        wanted = _place(step.number, step.phase, step.in_go) if step else "none"
        seen = _place(event.node, event.phase, event.in_go) if event else "none"
        number, phase = (step.number, step.phase) if step else (event.node, event.phase) if event else (0, 0)
        side = "Go" if (step or event).in_go else "C"  # type: ignore[union-attr]
        placed = self._placed.get(number)
        label = placed.node.label if placed else "?"
        where = index if event is not None else -1
        self._found.append(
            Divergence(number, label, Phase(phase), side, "event", wanted, seen, Rule.ORDER, where)
        )

    def _judge(self, pairs: Sequence[tuple[Step, int, Event]], seen: Mapping[Step, Event]) -> None:
        known = _Known()
        last: Event | None = None
        for step, index, event in pairs:
            before = seen.get(step.before) if step.before else None
            at = At(step, event, before, last, known, seen, *self._of_all)
            for rule in rules_of(step):
                for name, expected, value, why in rule(at):
                    if expected == value:  # nearly always: a call would take as long as all else here
                        self.compared[why] += 1
                    else:
                        self._compare(step, index, name, expected, value, why)
            if step.phase is Phase.ENDED:
                continue  # it looks at another thread's M
            _note(at)
            last = event

    def _judge_crossings(self, seen: Mapping[Step, Event]) -> None:
        """Each callback of a scenario against its own beginning.  One that has no end was left behind by a
        panic, or is under way."""
        begun: dict[int, Event] = {}
        numbers = crossings(self._events)
        for index, event in enumerate(self._events):
            if event.phase is Phase.CROSSING:
                begun[event.did] = event
            elif event.phase is Phase.CROSSED:
                placed, before = self._placed.get(event.node), begun.pop(event.did, None)
                if placed is None or before is None or before.tid != event.tid:
                    self._out_of_order(None, event, index)
                    continue
                step = Step(placed, event.phase, False, 0, 0, 0, alone=False)
                known = _Known()
                at = At(step, event, before, None, known, seen, *self._of_all)
                for name, expected, value, why in _crossed(at):
                    self._compare(step, index, name, expected, value, why, numbers[event.did])

    def _compare(
        self, step: Step, index: int, name: str, expected: object, seen: object, rule: Rule, callback: int = 0
    ) -> None:
        self.compared[rule] += 1
        if expected.allows(seen) if isinstance(expected, Range) else expected == seen:
            return
        side = "Go" if step.in_go else "C"
        self._found.append(
            Divergence(
                step.number, step.node.label, step.phase, side, name, expected, seen, rule, index, callback
            )
        )


def _note(at: At) -> None:
    """What is known of the thread's stack after this step."""
    step, event = at.step, at.event
    if isinstance(step.node, calltree.C) and step.phase is Phase.ENTERED and not step.in_go:
        at.known.begin(step)
    if isinstance(step.node, calltree.Go) and step.phase is Phase.ENTERED and at.before is not None:
        asked = event.queries - at.before.queries
        if at.extra:
            first, away = not at.before.m, _away(at.before, step.callbacks - 1)
            at.known.note(event.values["sched_sp"], asked, first=first, told=event.told, away=away)
    elif step.unseen and at.last is not None and at.extra:
        asked = event.queries - at.last.queries
        at.known.note(at.last.sp, asked, first=not at.last.m, told=event.told)


def _fits(step: Step, event: Event) -> bool:
    return (step.number, step.phase, step.in_go) == (event.node, event.phase, event.in_go)


def _place(number: int, phase: Phase, in_go: bool) -> str:
    return f"node {number} {phase.name.lower()} in {'Go' if in_go else 'C'}"


def _same(event: Event, before: Event, names: Sequence[str], rule: Rule) -> Compared:
    """These fields are as they were; one that a release does not have is left out."""
    new, old = event.values, before.values
    if new and old:
        for name in names:
            if name in new and name in old:
                yield name, old[name], new[name], rule


def _given_back(
    at: At, before: Event, rule: Rule, *, outermost: bool = False, machine: Sequence[str] = MACHINE
) -> Compared:
    """Everything is as at an earlier event on the same side.  ``outermost``: no callback is under way further
    up that would need the old bounds."""
    event, inside = at.event, at.inside
    if at.step.phase is Phase.CROSSED:  # the callback's own bounds left no event
        left = _contains(event.bounds, before.sp)
    else:
        left = inside is not None and all(
            inside.values.get(name) == event.values.get(name) for name in BOUNDS
        )
    if not (outermost and (answered(event) or left)):
        yield from _same(event, before, BOUNDS, rule)
    yield from _same(event, before, machine, rule)
    new, old = event.values, before.values
    for name in RELATIVE:  # in Go they hold what an earlier call left
        if name in new and name in old and old[name] and not event.in_go:
            yield name, old["curg_hi"] - old[name], new["curg_hi"] - new[name], rule
    for name in POINTERS:
        if name in new and name in old:
            yield name, bool(old[name]), bool(new[name]), rule
    yield from _own_state(at, before)


def _own_state(at: At, before: Event) -> Compared:
    """The thread's own state, which only C sees."""
    event = at.event
    if event.in_go or before.in_go:
        return
    yield "sigmask", before.sigmask, event.sigmask, Rule.THREAD
    yield "fpu", before.fpu, event.fpu, Rule.THREAD
    # On its first call a thread without an alternate stack gets the M's, and keeps it.
    if before.m or not before.altstack[2] & 2:  # SS_DISABLE
        yield "altstack", before.altstack, event.altstack, Rule.THREAD


def _contains(bounds: tuple[int, int], sp: int) -> bool:
    return bool(bounds[0]) and bounds[0] < sp <= bounds[1]


def _signed(value: int) -> int:
    """An int32 that was read without its sign."""
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
    return answered(event)


def answered(event: Event) -> bool:
    """Whether g0's bounds are what pthread_getattr_np said last, and are taken for accurate."""
    return bool(event.told[0]) and event.bounds == event.told and event.values.get("accurate", 1) == 1
