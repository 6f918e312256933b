"""What a case's threads do, step by step, as a correct runtime would run it.

``script(case)`` has for each thread the crossings that it makes, in order.  It is the one owner of what a
panic or a Goexit leaves undone: legality asks it (``end``), and the model holds the trace against it.

A step is held against an earlier one of its thread (``before``): a callback's return against its call, the
end of a frame against its beginning, and the first thing that a Go frame sees after a panic has unwound to it
against its beginning, too.

Pure: no process, no clock, no Go.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import lru_cache
from typing import cast

from golib.case.calltree import (
    HANDLED,
    SYNCHRONOUS,
    AltStack,
    AtEnd,
    C,
    Case,
    CLeaf,
    Do,
    Export,
    Give,
    Go,
    Goexit,
    GoLeaf,
    Ignore,
    IllegalCase,
    Next,
    Node,
    Notify,
    Panic,
    Placed,
    Pull,
    Python,
    Reset,
    Resume,
    Signal,
    Stack,
    Stop,
    Suspend,
    Thread,
    Together,
)


class Phase(IntEnum):
    """Where in a crossing an event was taken."""

    BEFORE = 0  # the caller, about to cross
    ENTERED = 1  # the callee, first thing
    LEAVING = 2  # the callee, last thing
    RECOVERED = 3  # a Go frame's deferred function, after its recover
    AFTER = 4  # the caller, again
    ENDED = 5  # who joined a native thread looks at the M it had
    DID = 6  # a Go leaf, when its work is done
    # In a scenario, of no step: the user's own library calls Go, as often as it likes.
    CROSSING = 7  # about to
    CROSSED = 8  # and has come back


class End(Enum):
    """How a frame is left, other than by returning."""

    PANIC = "panic"
    EXIT = "Goexit"


def end(node: Node) -> End | None:
    """How running this node ends for the frame above it.  A node keeps the answer: each of those above it
    asks, and it never changes."""
    kept = vars(node)
    if _END not in kept:
        kept[_END] = _end(node)
    ended: End | None = kept[_END]
    return ended


_END = "_end"


def _end(node: Node) -> End | None:
    if isinstance(node, Panic):
        return End.PANIC
    if isinstance(node, Goexit):
        return End.EXIT
    if isinstance(node, Thread | Together):
        return None  # a thread keeps its own
    if isinstance(node, Export) and not node.body:
        return End.PANIC if node.name == "GoF" and node.p else None
    inside = body_end(node.body)
    if isinstance(node, Go):
        return body_end(node.deferred) or (None if inside is End.PANIC and node.recover else inside)
    if isinstance(node, Export) and node.p and inside is End.PANIC:
        return None
    return inside


def body_end(body: tuple[Node, ...]) -> End | None:
    """How a body ends: as the first of it that does not return; what stands behind that never runs."""
    for child in body:
        if ended := end(child):
            return ended
    return None


@dataclass(frozen=True, slots=True)
class Rounds:
    """Of a repeated frame: what lies between the first round, which has steps, and the last, which has."""

    entered: Step
    times: int
    """Rounds in all; ``times - 2`` of them leave no event."""


@dataclass(eq=False, slots=True)
class Step:
    """One crossing that a correct runtime makes."""

    placed: Placed
    phase: Phase
    in_go: bool
    cgo: int
    """Calls from Go to C under way on this thread."""
    callbacks: int
    """Calls from C to Go under way on this thread."""
    region: int
    """The foreign stack that it stands on; 0: its thread's own."""
    alone: bool
    """No other thread of the tree runs meanwhile."""
    before: Step | None = None
    """What it is held against: always an earlier step of this thread."""
    inside: Step | None = None
    """Of a callback's return: the first step inside."""
    free: bool = False
    """A callback begins or ends between this step and the last one: g0's bounds may differ."""
    unwound: bool = False
    """A panic or Goexit has come to the Go frame whose first step ``before`` is."""
    unseen: int = 0
    """Callbacks since the last step that leave no event."""
    rounds: Rounds | None = None
    """Since the last step, rounds of this repeated frame have passed that leave no event."""
    holder: Step | None = None
    """The C frame whose bytes lie between: its first step."""
    thread: ThreadScript | None = None
    """Of the end of a thread, seen by who joins it: that thread."""
    handling: int | None = 0
    """What the host's handlers that are under way on this thread have blocked, as a mask; None where that is
    Go's affair, whose handler has called them."""
    ignored: bool = False
    """Of a Signal: Go was asked to ignore it."""
    elsewhere: bool = False
    """Of a Suspend's return: not in the callback in which the stack was left."""
    together: int = 0
    """Of a thread's first step: how many start at once; 0 for one alone."""

    @property
    def node(self) -> Node:
        return self.placed.node

    @property
    def number(self) -> int:
        return self.placed.number


@dataclass(eq=False)
class ThreadScript:
    """The steps of one thread."""

    placed: Placed | None
    """Its Thread node; None for the main thread."""
    steps: tuple[Step, ...] = ()


@lru_cache(maxsize=8)  # a case is often run, and so judged, several times in a row
def script(case: Case) -> tuple[ThreadScript, ...]:
    """The main thread's steps and those of each thread that it and others start, in the order of their
    starts.  A thread in a repeated frame is there twice, in the first and in the last round."""
    placed = {one.number: one for one in case.walk()}
    children: dict[int | None, list[Placed]] = defaultdict(list)
    for one in placed.values():
        children[one.parent].append(one)
    threads: list[ThreadScript] = []
    main = ThreadScript(None)
    threads.append(main)
    world = _World("masked" in case.handlers, bool(case.dies), set(), {}, {}, set())
    main.steps = tuple(_Walker(children, threads, world).main(children[None]))
    return tuple(threads)


def check_order(case: Case) -> None:
    """Raises IllegalCase: a foreign stack is resumed that is not suspended, or is left suspended, or where
    a callback would return before a younger one of its thread has."""
    script(case)


ALL_SIGNALS = ((1 << 64) - 1) & ~sum(1 << (number - 1) for number in (9, 19, 32, 33))
"""sigfillset(3) as the kernel takes it: without SIGKILL, SIGSTOP and the C library's own two."""

_SUSPENDED = cast(Step, "suspended")
"""In the steps of a foreign stack: here it is left, to be resumed."""
_GIVEN = cast(Step, "given")
"""In the steps of a coroutine of Go's: here it gives a value."""


@dataclass
class _World:
    """What all threads share."""

    masked: bool
    """The host's handlers have all signals blocked."""
    dies: bool
    """The case says what it dies of, which may be what is refused else."""
    ignored: set[str]
    """Signals that os/signal was asked to ignore."""
    pulled: dict[str, Placed]
    """Coroutines of Go's that have not begun."""
    waiting: dict[str, tuple[_Walker, Iterator[Step]]]
    """Those that wait: on which thread they run, and what is left of them."""
    suspended: set[int]
    """Foreign stacks that were left in the middle, by any thread."""


class _Walker:
    """Walks one thread's part of the tree, and has what changes on the way."""

    def __init__(
        self,
        children: dict[int | None, list[Placed]],
        threads: list[ThreadScript],
        world: _World,
        alone: bool = True,
    ) -> None:
        self._children = children
        self._threads = threads
        self._world = world
        self._alone = alone
        self._cgo = self._callbacks = self._region = 0
        self._handling: int | None = 0
        self._open: list[Placed] = []
        """Callbacks under way, the youngest last."""
        self._suspended: dict[int, Iterator[Step]] = {}
        """What is left to do on foreign stacks that were left in the middle."""
        self._went_on: set[int] = set()
        """Foreign stacks that were resumed."""
        self._at_end: list[Placed] = []
        # What the next step is told.
        self._free = False
        self._unwound_to: Step | None = None
        self._unseen = 0
        self._rounds: Rounds | None = None
        self._holder: Step | None = None

    def _step(
        self,
        placed: Placed,
        phase: Phase,
        in_go: bool = False,
        before: Step | None = None,
        inside: Step | None = None,
    ) -> Step:
        to, rounds = self._unwound_to, self._rounds
        # In the order of its fields: there are a hundred for each case, and keywords take twice as long.
        made = Step(
            placed,
            phase,
            in_go,
            self._cgo,
            self._callbacks,
            self._region,
            self._alone,
            to or before,
            inside,
            self._free or to is not None or rounds is not None,
            to is not None,
            self._unseen,
            rounds,
            self._holder,
        )
        made.handling = self._handling
        self._free, self._unwound_to, self._unseen = False, None, 0
        self._rounds = self._holder = None
        return made

    def main(self, trees: Sequence[Placed]) -> Iterator[Step]:
        yield from self.body(trees, in_go=False)
        self._check_end()

    def _check_end(self) -> None:
        for region in self._suspended if not self._world.dies else ():
            raise IllegalCase(f"foreign stack {region} is suspended where its thread ends: Resume it before")

    def _begin_callback(self, placed: Placed) -> None:
        self._callbacks += 1
        self._open.append(placed)
        self._free = True

    def _end_callback(self, placed: Placed) -> None:
        youngest = self._open[-1]
        self._open.remove(placed)
        # What a longjmp does: it leaves younger callbacks behind, for ever.
        left_behind = self._world.dies and self._region not in self._went_on
        if youngest is not placed and not left_behind:
            raise IllegalCase(
                f"node {placed.path}, {placed.node.label} would return to C while a younger callback of its"
                f" thread, node {youngest.path}, is under way: callbacks end in the order of a stack"
            )
        self._callbacks -= 1
        self._free = True

    def body(self, nodes: Sequence[Placed], in_go: bool) -> Iterator[Step]:
        for placed in nodes:
            yield from self._node(placed, in_go)
            if end(placed.node):
                return

    def _body(self, placed: Placed, in_go: bool) -> Iterator[Step]:
        return self.body(self._children[placed.number][: len(placed.node.body)], in_go)

    def _node(self, placed: Placed, in_go: bool) -> Iterator[Step]:
        node = placed.node
        if isinstance(node, Panic | Goexit):
            return
        if isinstance(node, Give):
            yield _GIVEN
        elif isinstance(node, Next):
            yield from self._next(placed, node.name)
        if isinstance(node, GoLeaf):
            yield self._step(placed, Phase.DID, in_go=True)
            self._free = self._free or isinstance(node, Do)  # it may call whatever it likes
            if isinstance(node, Pull):
                self._world.pulled[node.name] = placed
            elif isinstance(node, Ignore):
                self._world.ignored.add(node.name)
            elif isinstance(node, Notify | Reset | Stop):
                self._world.ignored.discard(node.name)
            return
        if not in_go:
            yield from self._native(placed)
            return
        before = self._step(placed, Phase.BEFORE, in_go=True)
        yield before
        # Go starts threads by itself; each other frame is one cgocall.
        calls = not isinstance(node, Thread | Together)
        self._cgo += calls
        yield from self._native(placed, below_go=True)
        self._cgo -= calls
        if end(node) is None:
            yield self._step(placed, Phase.AFTER, in_go=True, before=before)

    def _next(self, placed: Placed, name: str) -> Iterator[Step]:
        """What a coroutine of Go's does until it gives a value, or ends."""
        where = f"node {placed.path}, {placed.node.label}"
        if made := self._world.pulled.pop(name, None):
            self._world.waiting[name] = self, self.body(self._children[made.number], in_go=True)
        if name not in self._world.waiting:
            raise IllegalCase(f"{where}: no Pull of that name has more to give")
        walker, rest = self._world.waiting.pop(name)
        if walker is not self:
            raise IllegalCase(f"{where}: its body has begun on another thread, whose accounts it would take")
        for step in rest:
            if step is _GIVEN:
                self._world.waiting[name] = self, rest
                return
            yield step

    def _native(self, placed: Placed, below_go: bool = False) -> Iterator[Step]:
        match placed.node:
            case Go():
                yield from self._go(placed, placed.node)
            case C():
                yield from self._c(placed, placed.node)
            case Python(call=call) if call:
                yield from self._scenario(placed)
            case Python():
                yield from self._plain(placed)
            case AltStack():
                before = self._step(placed, Phase.BEFORE)
                yield before
                yield from self._plain(placed, before)
                if body_end(placed.node.body) is None:
                    yield self._step(placed, Phase.AFTER, before=before)
            case Stack():
                yield from self._stack(placed, placed.node)
            case Export():
                yield from self._export(placed, placed.node)
            case Signal() if placed.node.body:
                yield from self._handler(placed)
            case CLeaf():
                before = self._step(placed, Phase.BEFORE)
                before.ignored = isinstance(placed.node, Signal) and placed.node.name in self._world.ignored
                within = self._open[-1:]
                yield before
                if isinstance(placed.node, Suspend):
                    yield _SUSPENDED
                elif isinstance(placed.node, Resume):
                    yield from self._resumed(placed, placed.node.region)
                elif isinstance(placed.node, AtEnd):
                    self._at_end.append(placed)
                after = self._step(placed, Phase.AFTER, before=before)
                after.elsewhere = self._open[-1:] != within
                yield after
            case Thread() | Together():
                yield from self._threads_of(placed, below_go)

    def _plain(self, placed: Placed, before: Step | None = None) -> Iterator[Step]:
        entered = self._step(placed, Phase.ENTERED, before=before)
        yield entered
        yield from self._body(placed, in_go=False)
        if body_end(placed.node.body) is None:
            yield self._step(placed, Phase.LEAVING, before=entered)

    def _scenario(self, placed: Placed) -> Iterator[Step]:
        """How often it calls Go, nobody but its author knows: its crossings belong to no step."""
        entered = self._step(placed, Phase.ENTERED)
        yield entered
        self._free = True
        yield self._step(placed, Phase.LEAVING, before=entered)

    def _stack(self, placed: Placed, node: Stack) -> Iterator[Step]:
        before = self._step(placed, Phase.BEFORE)
        yield before
        if node.region in self._world.suspended:
            raise IllegalCase(f"node {placed.path}, {node.label}: this foreign stack is suspended")
        yield from self._on(node.region, self._plain(placed, before))
        if end(node) is None:
            yield self._step(placed, Phase.AFTER, before=before)

    def _on(self, region: int, rest: Iterator[Step]) -> Iterator[Step]:
        """What is left to do on that foreign stack, until it is left."""
        outer, self._region = self._region, region
        for step in rest:
            if step is _SUSPENDED:
                self._suspended[region] = rest
                self._world.suspended.add(region)
                break
            yield step
        self._region = outer

    def _resumed(self, placed: Placed, region: int) -> Iterator[Step]:
        if region not in self._suspended:
            raise IllegalCase(
                f"node {placed.path}, {placed.node.label}: on this thread no foreign stack {region} is"
                " suspended"
            )
        self._world.suspended.discard(region)
        self._went_on.add(region)
        yield from self._on(region, self._suspended.pop(region))

    def _handler(self, placed: Placed) -> Iterator[Step]:
        """A signal, and what the host's handler does."""
        before = self._step(placed, Phase.BEFORE)
        yield before
        handling = self._handling
        name = placed.node.name  # type: ignore[attr-defined]
        if name in SYNCHRONOUS or handling is None:
            self._handling = None
        else:
            own = 1 << (HANDLED[name] - 1)
            self._handling = handling | own | (ALL_SIGNALS if self._world.masked else 0)
        yield from self._plain(placed, before)
        self._handling = handling
        yield self._step(placed, Phase.AFTER, before=before)

    def _c(self, placed: Placed, node: C) -> Iterator[Step]:
        entered = self._step(placed, Phase.ENTERED)
        yield entered
        self._holder = entered if node.stack else None
        yield from self._body(placed, in_go=False)
        if body_end(node.body) is None:
            if node.times > 1:
                if Case(node).calls():
                    self._free = True  # what a scenario asks in the rounds that nobody saw is not known
                else:
                    self._rounds = Rounds(entered, node.times)
                self._holder = entered if node.stack else None
                yield from self._body(placed, in_go=False)
            self._holder = None
            yield self._step(placed, Phase.LEAVING, before=entered)

    def _go(self, placed: Placed, node: Go) -> Iterator[Step]:
        before = self._step(placed, Phase.BEFORE)
        yield before
        self._begin_callback(placed)
        entered = self._step(placed, Phase.ENTERED, in_go=True, before=before)
        yield entered
        yield from self._guarded(placed, node, entered, in_go=True)
        returns = end(node) is None
        if returns:
            yield self._step(placed, Phase.LEAVING, in_go=True, before=entered)
        self._end_callback(placed)
        if returns:
            yield self._step(placed, Phase.AFTER, before=before, inside=entered)

    def _guarded(self, placed: Placed, node: Go | Thread, entered: Step, in_go: bool) -> Iterator[Step]:
        """A body, and what its frame recovers and defers."""
        yield from self._body(placed, in_go)
        ended = body_end(node.body)
        if ended and in_go:
            self._unwound_to = entered
        if ended is End.PANIC and node.recover:
            yield self._step(placed, Phase.RECOVERED, in_go=True)
        yield from self.body(self._children[placed.number][len(node.body) :], in_go=True)

    def _export(self, placed: Placed, node: Export) -> Iterator[Step]:
        """An export records nothing in its Go frames; what stands in its C side's place does."""
        before = self._step(placed, Phase.BEFORE)
        yield before
        first = None
        self._free = True
        if node.body:
            self._begin_callback(placed)
            self._cgo += 1
            self._unseen = 1
            for inner in self._body(placed, in_go=False):
                first = first or inner
                yield inner  # the first is a step: nothing is suspended before it has begun
            self._end_callback(placed)
            self._cgo -= 1
            self._unwound_to = None  # the frame that recovers leaves no event
        else:
            self._unseen = callbacks(node)
        self._free = True
        if end(node) is None:
            yield self._step(placed, Phase.AFTER, before=before, inside=first)

    def _threads_of(self, placed: Placed, below_go: bool) -> Iterator[Step]:
        """A thread, or several at once.  From a Go frame its two steps in Go stand around them."""
        before = None
        if not below_go:
            before = self._step(placed, Phase.BEFORE)
            yield before
        together = isinstance(placed.node, Together)
        started = self._children[placed.number] if together else [placed]
        scripts = [self._thread(one, len(started) if together else 0) for one in started]
        for one, thread in zip(started, scripts, strict=True):
            assert isinstance(one.node, Thread)
            if one.node.kind in ("native", "memory"):
                ended = self._step(one, Phase.ENDED)
                ended.thread = thread
                ended.alone = self._alone and not together
                yield ended
        if not below_go:
            yield self._step(placed, Phase.AFTER, before=before)

    def _thread(self, placed: Placed, together: int) -> ThreadScript:
        node = placed.node
        assert isinstance(node, Thread)
        made = ThreadScript(placed)
        self._threads.append(made)
        walker = _Walker(self._children, self._threads, self._world, self._alone and not together)
        made.steps = tuple(walker._thread_steps(placed, node, together))
        return made

    def _thread_steps(self, placed: Placed, node: Thread, together: int) -> Iterator[Step]:
        in_go = node.kind == "go"
        entered = self._step(placed, Phase.ENTERED, in_go)
        entered.together = together
        yield entered
        yield from self._guarded(placed, node, entered, in_go)
        if body_end(node.body) is not End.EXIT:
            yield self._step(placed, Phase.LEAVING, in_go, before=entered)
        self._check_end()
        # Go's own destructor has run by then, so that the thread has no M; what calls Go gives it another.
        for one in sorted(self._at_end, key=lambda one: one.node.round):  # type: ignore[attr-defined]
            self._free = True
            yield from self._plain(one)
        self._check_end()


def callbacks(node: Export) -> int:
    """Callbacks of an export with the seed's own C side: its own, and those of its C functions."""
    if node.name != "callGoWithVariousStackAndGoFrame":
        return 1
    return 3 if node.p else 4
