"""What happens on the stacks, as frozen data: nodes, cases, and which of them are legal.

A node's body is positional and runs in order; its properties are keywords.  ``repr`` gives an
expression that can be pasted into a test, ``to_json`` and ``from_json`` the same as data.
A frame below a Go frame is one cgocall; below C, Python, Stack or Thread it is a plain call.

Pure: no process, no clock, no Go.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

KIB = 1024

ESTIMATE_BELOW = 32 * KIB
"""Bytes below SP that the runtime claims when it must guess (runtime.callbackUpdateSystemStack)."""
ESTIMATE_ABOVE = 1 * KIB
"""Bytes above SP that it claims."""

RESERVE = 12 * KIB
"""Bytes that a Go frame may use on its thread's stack below its callback: the runtime's own work on
g0 (GC, stack growth, traceback), measured with stacks that shrink until the child dies, and doubled."""
GO_FRAME = 1 * KIB
"""Bytes of C stack that a callback and the cgocall below it take (amd64, traced; rounded up)."""
C_FRAME = 512
"""Bytes that a C frame takes beside those it is asked to hold, its share of the trace included."""
PYTHON_FRAME = 8 * KIB
"""Bytes that a ctypes callback takes: libffi, the interpreter, the call back down (2.5 KB on 3.11,
up to 6 KB on 3.13)."""
REGION = 256 * KIB
"""Bytes of each foreign stack."""
REGIONS = (-4, -3, -2, -1, 1, 2, 3, 4)
"""Foreign stacks: those below zero lie below every thread's stack, the others above the main thread's."""
SMALLEST_STACK = 16 * KIB
"""PTHREAD_STACK_MIN on Linux x86-64 (limits.h)."""
SMALLEST_PYTHON_STACK = 32 * KIB
"""The least that threading.stack_size takes (its documentation)."""
DEFAULT_STACK = 8 * 1024 * KIB
"""Bytes of a thread's stack where nothing else is said, and of the main thread's usual limit."""
SMALLEST_LIMIT = 256 * KIB
"""The least RLIMIT_STACK that CPython starts with (64 KiB does not work)."""

UNLIMITED = "unlimited"


class IllegalCase(ValueError):
    """The case says nothing about Go: a correct runtime need not survive it. Says which node, and why."""


class Basis(Enum):
    """Why a legal combination must hold; a case is as strong as its weakest one."""

    PROMISED = "promised"  # Go's documentation
    SEED = "seed"  # what the change this project grew from sets out to do
    SILENT = "silent"  # no document forbids it


@dataclass(frozen=True, init=False, repr=False)
class Node:
    """One thing on a stack: a frame that runs its body, or a leaf that does something."""

    body: tuple[Node, ...] = ()

    def __init__(self, *body: Node) -> None:
        self._set(body=body)

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def properties(self) -> dict[str, Any]:
        """The keywords that differ from their defaults."""
        return {
            field.name: value
            for field in dataclasses.fields(self)
            if field.name != "body" and (value := getattr(self, field.name)) != field.default
        }

    def children(self) -> tuple[Node, ...]:
        """The nodes directly below."""
        return self.body

    def __repr__(self) -> str:
        parts = [repr(child) for child in self.body]
        parts += [f"{name}={value!r}" for name, value in self.properties().items()]
        return f"{type(self).__name__}({', '.join(parts)})"

    @property
    def label(self) -> str:
        """The node without what is below it: ``C(stack=40000)``."""
        parts = [f"{name}={value!r}" for name, value in self.properties().items() if name != "deferred"]
        return f"{type(self).__name__}({', '.join(parts)})"

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"node": type(self).__name__}
        if self.body:
            data["body"] = [child.to_json() for child in self.body]
        for name, value in self.properties().items():
            data[name] = [child.to_json() for child in value] if name == "deferred" else value
        return data


@dataclass(frozen=True, init=False, repr=False)
class Go(Node):
    """A callback into Go. ``recover``: a deferred function recovers what panics below, then runs
    ``deferred`` (which runs without a panic too)."""

    recover: bool = False
    deferred: tuple[Node, ...] = ()

    def __init__(self, *body: Node, recover: bool = False, deferred: tuple[Node, ...] = ()) -> None:
        self._set(body=body, recover=recover, deferred=tuple(deferred))

    def children(self) -> tuple[Node, ...]:
        return self.body + self.deferred


@dataclass(frozen=True, init=False, repr=False)
class C(Node):
    """A C frame that holds ``stack`` bytes and runs its body ``times`` times (the trace keeps the
    first and the last round)."""

    stack: int = 0
    times: int = 1

    def __init__(self, *body: Node, stack: int = 0, times: int = 1) -> None:
        self._set(body=body, stack=stack, times=times)


@dataclass(frozen=True, init=False, repr=False)
class Python(Node):
    """A ctypes callback between native frames; what it calls, it calls through ctypes."""


@dataclass(frozen=True, init=False, repr=False)
class Stack(Node):
    """The same thread on foreign stack ``region`` (makecontext): see ``REGIONS``."""

    region: int = 1

    def __init__(self, *body: Node, region: int = 1) -> None:
        self._set(body=body, region=region)


ThreadKind = Literal["native", "python", "memory", "go"]


@dataclass(frozen=True, init=False, repr=False)
class Thread(Node):
    """A new thread, joined where it stands. ``kind``: native (pthread_create), python
    (threading.Thread), memory (native, on memory of the caller's), go (a goroutine locked to it).
    ``stack`` in bytes, 0 for the kind's default; a thread of Go's takes none, but its goroutine may
    ``recover`` and have ``deferred`` as a Go frame may."""

    kind: ThreadKind = "native"
    stack: int = 0
    recover: bool = False
    deferred: tuple[Node, ...] = ()

    def __init__(
        self,
        *body: Node,
        kind: ThreadKind = "native",
        stack: int = 0,
        recover: bool = False,
        deferred: tuple[Node, ...] = (),
    ) -> None:
        self._set(body=body, kind=kind, stack=stack, recover=recover, deferred=tuple(deferred))

    def children(self) -> tuple[Node, ...]:
        return self.body + self.deferred

    @property
    def bytes(self) -> int:
        """The stack it gets."""
        return self.stack or DEFAULT_STACK


@dataclass(frozen=True, init=False, repr=False)
class Together(Node):
    """Threads that run at once and are joined at the end."""


EXPORTS = ("GoF", "callGoWithVariousStackAndGoFrame", "GoEmpty")


@dataclass(frozen=True, init=False, repr=False)
class Export(Node):
    """One of the bridge's plain exports, called by its name: the seed's ``GoF(p)`` and
    ``callGoWithVariousStackAndGoFrame(p)``, and ``GoEmpty``. A body stands where the seed's C
    function ``callGoWithVariousStack`` stood."""

    name: str = ""
    p: int = 0

    def __init__(self, *body: Node, name: str = "", p: int = 0) -> None:
        self._set(body=body, name=name, p=p)


@dataclass(frozen=True, repr=False, init=False)
class GC(Node):
    """runtime.GC()."""


@dataclass(frozen=True, repr=False, init=False)
class Panic(Node):
    """panic(...)."""


@dataclass(frozen=True, repr=False, init=False)
class Yield(Node):
    """runtime.Gosched()."""


@dataclass(frozen=True, repr=False, init=False)
class Traceback(Node):
    """runtime.Stack of all goroutines."""


@dataclass(frozen=True, repr=False, init=False)
class LockThread(Node):
    """runtime.LockOSThread and UnlockOSThread, with a Gosched between."""


@dataclass(frozen=True, repr=False, init=False)
class Block(Node):
    """Waits for a channel that another goroutine closes: the thread is handed back and parked."""


@dataclass(frozen=True, repr=False, init=False)
class Wake(Node):
    """Unlocks a mutex that another goroutine waits for."""


@dataclass(frozen=True, repr=False, init=False)
class Goexit(Node):
    """runtime.Goexit(): ends the goroutine of a thread that Go made, C frames and all."""


@dataclass(frozen=True, repr=False, init=False)
class Grow(Node):
    """Uses ``stack`` bytes of goroutine stack, so that it must move."""

    stack: int = 64 * KIB

    def __init__(self, *, stack: int = 64 * KIB) -> None:
        self._set(body=(), stack=stack)


SIGNALS = {"SIGURG": 23, "SIGUSR1": 10, "SIGPROF": 27}
"""What may be sent, with its number on Linux: Go's own preemption signal, one that reaches Go's handler
through os/signal.Notify, and the profiler's."""
BLOCKABLE = ("SIGUSR1",)
"""Those of them that Go leaves blocked where C has blocked them; it unblocks the others on the thread's first
callback, until the thread's end (runtime/signal_unix.go, blockableSig)."""
NEEDS = {"SIGUSR1": "notify", "SIGPROF": "cpuprofile"}
"""Without this switch the signal has no handler, and ends the process."""


@dataclass(frozen=True, repr=False, init=False)
class Signal(Node):
    """A signal that C sends to its own thread; it is delivered before the call returns."""

    name: str = "SIGUSR1"

    def __init__(self, *, name: str = "SIGUSR1") -> None:
        self._set(body=(), name=name)


@dataclass(frozen=True, repr=False, init=False)
class Setrlimit(Node):
    """C sets the soft RLIMIT_STACK to ``stack`` bytes."""

    stack: int = DEFAULT_STACK

    def __init__(self, *, stack: int = DEFAULT_STACK) -> None:
        self._set(body=(), stack=stack)


FRAMES: tuple[type[Node], ...] = (Go, C, Python, Stack, Thread, Together, Export)
GO_LEAVES: tuple[type[Node], ...] = (
    *(GC, Panic, Yield, Traceback, Grow),
    *(LockThread, Block, Wake, Goexit),
)
C_LEAVES: tuple[type[Node], ...] = (Signal, Setrlimit)
NODES = {kind.__name__: kind for kind in FRAMES + GO_LEAVES + C_LEAVES}


def from_json(data: Mapping[str, Any]) -> Node:
    """The node that ``to_json`` made this of. Raises IllegalCase when the data is no node."""
    try:
        kind = NODES[data["node"]]
        keywords = {name: value for name, value in data.items() if name not in ("node", "body")}
        if "deferred" in keywords:
            keywords["deferred"] = tuple(from_json(child) for child in keywords["deferred"])
        return kind(*(from_json(child) for child in data.get("body", ())), **keywords)
    except (KeyError, TypeError) as error:
        raise IllegalCase(f"{data!r} is no node of a call tree: {error}") from None


def parse(text: str) -> Case:
    """The case that a printed expression stands for: ``Case(Go(C(Go(), stack=40000)))``.

    Only node names, numbers, strings and tuples are understood; nothing is evaluated.  Raises
    IllegalCase when the text is no such expression.
    """

    def value(tree: ast.expr) -> Any:
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
            kind = Case if tree.func.id == "Case" else NODES.get(tree.func.id)
            if kind is None:
                raise IllegalCase(f"{tree.func.id} is no node of a call tree: there are {', '.join(NODES)}")
            return kind(
                *(value(argument) for argument in tree.args),
                **{str(keyword.arg): value(keyword.value) for keyword in tree.keywords},
            )
        if isinstance(tree, ast.Tuple):
            return tuple(value(element) for element in tree.elts)
        return ast.literal_eval(tree)

    try:
        case = value(ast.parse(text.strip(), mode="eval").body)
    except IllegalCase:
        raise
    except (SyntaxError, ValueError, TypeError) as error:
        raise IllegalCase(f"{text!r} is no case: {error}") from None
    return case if isinstance(case, Case) else Case(case)


Bounds = Literal["real", "hidden", "absent"]


@dataclass(frozen=True, init=False, repr=False)
class Case:
    """Call trees, run from the main thread one after the other, and their world.

    bounds: ``real``; ``hidden`` (pthread_getattr_np gives nothing); ``absent`` (a build in which the
    runtime's own fallback for platforms without that call is compiled).
    stack_limit: the main thread's RLIMIT_STACK, in bytes or ``"unlimited"``; None leaves it.
    godebug: the value of GODEBUG when the process starts.
    on: what the process has turned on before the first call: see ``SWITCHES``.
    signals: one of ``SIGNALS``, which another thread sends to every thread of the tree all the time.
    blocked: one of ``BLOCKABLE``, which C has blocked on the main thread, after Go's init; the threads of
    the tree inherit it, those of Go must not.
    """

    trees: tuple[Node, ...]
    bounds: Bounds = "real"
    stack_limit: int | str | None = None
    godebug: str = ""
    on: tuple[str, ...] = ()
    signals: str = ""
    blocked: str = ""

    def __init__(
        self,
        *trees: Node,
        bounds: Bounds = "real",
        stack_limit: int | str | None = None,
        godebug: str = "",
        on: tuple[str, ...] = (),
        signals: str = "",
        blocked: str = "",
    ) -> None:
        for name, value in (
            ("trees", trees),
            ("bounds", bounds),
            ("stack_limit", stack_limit),
            ("godebug", godebug),
            ("on", tuple(on)),
            ("signals", signals),
            ("blocked", blocked),
        ):
            object.__setattr__(self, name, value)

    def world(self) -> dict[str, Any]:
        """The keywords that differ from their defaults."""
        return {
            field.name: value
            for field in dataclasses.fields(self)
            if field.name != "trees" and (value := getattr(self, field.name)) != field.default
        }

    def having(self, *trees: Node, **world: Any) -> Case:
        """The case with other trees, and its world changed where a keyword says so."""
        return Case(*trees, **{**self.world(), **world})

    def __repr__(self) -> str:
        parts = [repr(tree) for tree in self.trees]
        parts += [f"{name}={value!r}" for name, value in self.world().items()]
        return f"Case({', '.join(parts)})"

    def walk(self) -> Iterator[Placed]:
        """Every node with its number and place, parents first: the order of numbers."""
        counter = 0

        def visit(node: Node, parent: int | None, path: str, depth: int) -> Iterator[Placed]:
            nonlocal counter
            number, counter = counter, counter + 1
            yield Placed(node, number, parent, path, depth)
            for index, child in enumerate(node.children()):
                yield from visit(child, number, f"{path}.{index}", depth + 1)

        for index, tree in enumerate(self.trees):
            yield from visit(tree, None, str(index), 1)

    def size(self) -> int:
        """How many nodes."""
        return sum(1 for _ in self.walk())

    def to_json(self) -> dict[str, Any]:
        world = self.world()
        if "on" in world:
            world["on"] = list(world["on"])
        return {"trees": [tree.to_json() for tree in self.trees], **world}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Case:
        """The case that ``to_json`` made this of. Raises IllegalCase when the data is none."""
        try:
            world = {name: value for name, value in data.items() if name != "trees"}
            return cls(*(from_json(tree) for tree in data["trees"]), **world)
        except (KeyError, TypeError, AttributeError) as error:
            raise IllegalCase(f"this is no case: {error}") from None


@dataclass(frozen=True)
class Placed:
    """A node where it stands: its number in the trace, its parent's, and its path (``0.1.2``)."""

    node: Node
    number: int
    parent: int | None
    path: str
    depth: int


SWITCHES = {
    "notify": "os/signal.Notify for the signals that a Signal leaf sends",
    "trace": "the execution trace (runtime/trace)",
    "cpuprofile": "the CPU profile (runtime/pprof)",
    "blockprofile": "the block profile, every event",
    "mutexprofile": "the mutex profile, every event",
    "memprofile": "the memory profile, every allocation",
}
"""What a process may have turned on, and what each does."""

GODEBUGS = (
    *("", "gcstoptheworld=1", "clobberfree=1", "gccheckmark=1", "asyncpreemptoff=1"),
    *("tracebackancestors=8", "gcshrinkstackoff=1"),
)
"""Settings of GODEBUG (runtime/extern.go) that the fuzzer gives a process."""


class _End(Enum):
    """How a frame is left, other than by returning."""

    PANIC = "panic"
    EXIT = "Goexit"


def _end(node: Node) -> _End | None:
    """How running this node ends for the frame above it."""
    if isinstance(node, Panic):
        return _End.PANIC
    if isinstance(node, Goexit):
        return _End.EXIT
    if isinstance(node, Thread | Together):
        return None  # a thread keeps its own
    if isinstance(node, Export) and not node.body:
        return _End.PANIC if node.name == "GoF" and node.p else None
    end = _body_end(node.body)
    if isinstance(node, Go):
        return _body_end(node.deferred) or (None if end is _End.PANIC and node.recover else end)
    if isinstance(node, Export) and node.p and end is _End.PANIC:
        return None
    return end


def _body_end(body: tuple[Node, ...]) -> _End | None:
    """Of the first that does not return: what stands behind it never runs."""
    return next((end for child in body if (end := _end(child))), None)


def panics(node: Node) -> bool:
    """Whether running this node ends in a panic that leaves it.  Threads keep theirs (and a case in
    which one leaves its thread is illegal)."""
    return _end(node) is _End.PANIC


def exits(node: Node) -> bool:
    """Whether running this node ends in a Goexit that leaves it."""
    return _end(node) is _End.EXIT


def _body_panics(body: tuple[Node, ...]) -> bool:
    return _body_end(body) is _End.PANIC


def _lacks_switch(signal: str, on: tuple[str, ...]) -> str:
    """The switch that a process must have turned on for this signal, if it has not."""
    switch = NEEDS.get(signal, "")
    return "" if switch in on else switch


@dataclass(frozen=True)
class _Place:
    """What legality must know of the place where a node stands."""

    frame: str  # the kind of frame directly above: "go", "c" or "python"
    room: int  # bytes of stack left; foreign stacks and threads begin anew
    estimated: bool  # whether the runtime must guess this stack's bounds
    on: tuple[str, ...]  # what the process has turned on
    regions: frozenset[int]  # foreign stacks in use
    go_above: bool = False  # a Go frame stands above, on this thread
    go_made: bool = False  # Go made this thread


_NUMBERS = {
    "stack": (0, 1 << 47),
    "times": (1, 1 << 32),
    "region": (min(REGIONS), max(REGIONS)),
    "p": (0, 1),
}
"""What a number may be, by the property's name; a process has 1 << 47 addresses."""
_LEAST = {"Grow": 1, "Setrlimit": SMALLEST_LIMIT}
_MOST = {"Grow": 512 * KIB * KIB}
"""Of ``stack``, where it means something else: a goroutine's may have 1 GB (runtime/debug.SetMaxStack), and
growing doubles it; a main thread whose limit is lower than what it has used could not grow."""


def _check_values(node: object, path: str) -> None:
    """Each property is of its type, and within what makes sense."""
    if not isinstance(node, Node):
        raise IllegalCase(f"node {path}, {node!r}: this is no node of a call tree")
    kind = type(node).__name__
    for name, value in ((field.name, getattr(node, field.name)) for field in dataclasses.fields(node)):
        if name in ("body", "deferred"):
            continue
        if name == "recover":
            good, rule = isinstance(value, bool), "is True or False"
        elif name in _NUMBERS:
            low, high = _NUMBERS[name]
            if name == "stack":
                low, high = _LEAST.get(kind, low), _MOST.get(kind, high)
            # Not an IntEnum or a bool either: it must mean the same in another process.
            good, rule = type(value) is int and low <= value <= high, f"is a number from {low} to {high}"
        else:
            good, rule = isinstance(value, str), "is text"
        if not good:
            raise IllegalCase(f"node {path}, {kind}({name}={value!r}): {name} {rule}")
    for index, child in enumerate(node.children()):
        _check_values(child, f"{path}.{index}")


def check(case: Case) -> frozenset[Basis]:
    """Why each combination in the case must hold.

    Raises IllegalCase naming the node and the reason when a correct runtime need not survive it.
    """
    basis = {Basis.PROMISED}
    if not case.trees:
        raise IllegalCase("a case needs a call tree")
    for index, tree in enumerate(case.trees):
        _check_values(tree, str(index))
    if not isinstance(case.godebug, str):
        raise IllegalCase(f"godebug={case.godebug!r}: it is text")
    if case.bounds not in ("real", "hidden", "absent"):
        raise IllegalCase(f"bounds={case.bounds!r}: it is one of real, hidden, absent")
    for switch in case.on:
        if switch not in SWITCHES:
            raise IllegalCase(f"on={switch!r}: a process can have turned on {', '.join(SWITCHES)}")
    if case.signals and case.signals not in SIGNALS:
        raise IllegalCase(f"signals={case.signals!r}: it is one of {', '.join(SIGNALS)}")
    if lacking := _lacks_switch(case.signals, case.on):
        raise IllegalCase(f"{case.signals} ends a process that has not turned {lacking!r} on")
    if case.blocked and case.blocked not in BLOCKABLE:
        raise IllegalCase(f"blocked={case.blocked!r}: it is one of {', '.join(BLOCKABLE)}")
    if case.blocked and case.blocked in {case.signals, *(getattr(p.node, "name", "") for p in case.walk())}:
        raise IllegalCase(f"{case.blocked} is blocked and sent: it would never be delivered")
    limit = case.stack_limit
    possible = type(limit) is int and SMALLEST_LIMIT <= limit <= _NUMBERS["stack"][1]
    if limit is not None and limit != UNLIMITED and not possible:
        raise IllegalCase(
            f"stack_limit={limit!r}: bytes from {SMALLEST_LIMIT} (CPython needs them) to "
            f"{_NUMBERS['stack'][1]}, or {UNLIMITED!r}"
        )
    crossings = sum(1 for tree in case.trees for _ in _crossed(tree))
    if crossings:
        _check_crossing(case)
        basis.add(Basis.SILENT)
    if case.bounds != "real":
        basis.add(Basis.SEED)
    main = limit if isinstance(limit, int) else DEFAULT_STACK
    # 64 KiB: what the interpreter itself has used when a case begins (traced: 9 to 13 KiB on
    # Python 3.11 to 3.13, the environment and the arguments beside it).
    place = _Place("c", main - 64 * KIB, case.bounds != "real", case.on, frozenset())
    for index, tree in enumerate(case.trees):
        if panics(tree):
            raise IllegalCase(f"tree {index} panics with no recover above it, so Go must end the process")
        _check_node(tree, place, basis, str(index))
    return frozenset(basis)


def _check_node(node: Node, place: _Place, basis: set[Basis], path: str) -> None:
    def illegal(why: str) -> IllegalCase:
        return IllegalCase(f"node {path}, {node.label}: {why}")

    def needs(size: int, what: str) -> None:
        if place.room < size:
            raise illegal(f"{what} needs {size} bytes of stack, {max(0, place.room)} are left")

    below = place
    match node:
        case Go():
            claim = ESTIMATE_BELOW if place.estimated else 0
            needs(GO_FRAME + RESERVE + claim, "a Go frame")
            below = dataclasses.replace(place, frame="go", room=place.room - GO_FRAME, go_above=True)
        case C():
            if node.stack < 0 or node.times < 1:
                raise illegal("stack is a number of bytes from 0, times is from 1")
            needs(C_FRAME + node.stack, "a C frame")
            below = dataclasses.replace(place, frame="c", room=place.room - C_FRAME - node.stack)
        case Python():
            needs(PYTHON_FRAME, "a Python frame")
            below = dataclasses.replace(place, frame="python", room=place.room - PYTHON_FRAME)
        case Stack():
            if node.region not in REGIONS:
                raise illegal(f"region is one of {', '.join(map(str, REGIONS))}")
            if node.region in place.regions:
                raise illegal("this foreign stack is in use above it")
            needs(2 * KIB, "a switch of stacks")
            # The change lets C switch stacks between callbacks, and restores what it finds with a
            # Go frame above; Go's documentation has no word on it.
            basis.add(Basis.SILENT if place.go_above else Basis.SEED)
            below = dataclasses.replace(
                place,
                frame="c",
                room=REGION - C_FRAME,
                estimated=True,
                regions=place.regions | {node.region},
            )
        case Thread():
            below = _thread(node, place, illegal)
        case Together():
            for index, child in enumerate(node.body):
                if not isinstance(child, Thread):
                    raise illegal(f"only threads run together, {child.label} is none")
                used = _regions(child)
                if any(used & _regions(other) for other in node.body[:index]):
                    raise illegal("two of its threads would run on the same foreign stack")
        case Export():
            if node.name not in EXPORTS:
                raise illegal(f"name is one of {', '.join(EXPORTS)}")
            if node.body and node.name != "callGoWithVariousStackAndGoFrame":
                raise illegal("only callGoWithVariousStackAndGoFrame has a C side to be replaced")
            if node.p and node.body and not any(panics(child) for child in node.body):
                raise illegal("with p=1 it demands a panic below it, and none comes")
            if not node.p and any(panics(child) for child in node.body):
                raise illegal("with p=0 it does not recover, so Go must end the process")
            claim = ESTIMATE_BELOW if place.estimated else 0
            deep = 0 if node.name != "callGoWithVariousStackAndGoFrame" or node.body else 40_000 + GO_FRAME
            needs(GO_FRAME + deep + RESERVE + claim, "a Go frame")
            below = dataclasses.replace(place, frame="c", room=place.room - GO_FRAME, go_above=True)
        case Goexit():
            if place.frame != "go" or not place.go_made:
                raise illegal(
                    "only on a thread that Go made can a goroutine exit (since Go 1.24 it says so: go#68275)"
                )
            basis.add(Basis.SILENT)
        case GC() | Panic() | Yield() | Traceback() | Grow() | LockThread() | Block() | Wake():
            if place.frame != "go":
                raise illegal("only a Go frame can do this")
        case Signal():
            if place.frame != "c":
                raise illegal("only a C frame can do this")
            if node.name not in SIGNALS:
                raise illegal(f"name is one of {', '.join(SIGNALS)}")
            if needs_switch := _lacks_switch(node.name, place.on):
                raise illegal(f"it ends a process that has not turned {needs_switch!r} on")
            # Without an alternate stack the handler runs on this one.
            needs(4 * KIB + RESERVE + ESTIMATE_BELOW, "a signal handler")
        case Setrlimit():
            if place.frame != "c":
                raise illegal("only a C frame can do this")
            basis.add(Basis.SILENT)
        case _:
            raise illegal("this is no node of a call tree")
    if not isinstance(node, FRAMES) and node.children():
        raise illegal("a leaf has no body")
    if isinstance(node, Go | Thread):
        if any(exits(child) for child in node.deferred):
            raise illegal("a deferred function must not exit the goroutine that it is to clean up for")
        if _body_end(node.body) is _End.EXIT and _body_panics(node.deferred):
            raise illegal("a deferred function must not panic while the goroutine exits")
    for index, child in enumerate(node.children()):
        _check_node(child, below, basis, f"{path}.{index}")


def _thread(node: Thread, place: _Place, illegal: Any) -> _Place:
    smallest = SMALLEST_PYTHON_STACK if node.kind == "python" else SMALLEST_STACK
    if node.kind not in ("native", "python", "memory", "go"):
        raise illegal("kind is one of native, python, memory, go")
    if node.kind == "go":
        if place.frame != "go":
            raise illegal("only a Go frame makes a thread of Go's")
        if node.stack:
            raise illegal("Go chooses the stack of its own threads")
    elif node.recover or node.deferred:
        raise illegal("only a Go frame recovers and defers")
    elif node.bytes < smallest or node.bytes % 4096:
        raise illegal(f"a {node.kind} thread's stack is a multiple of 4096 bytes from {smallest}")
    if (_body_panics(node.body) and not node.recover) or _body_panics(node.deferred):
        raise illegal("a panic would leave this thread with no recover above it, so Go must end the process")
    return _Place(
        frame={"go": "go", "python": "python"}.get(node.kind, "c"),
        # 4 KiB: pthread's own block and, for Python, the thread's first interpreter frames.
        room=node.bytes - 4 * KIB - (PYTHON_FRAME if node.kind == "python" else 0),
        # Go knows its own threads' stacks.
        estimated=place.estimated and node.kind != "go",
        on=place.on,
        regions=place.regions,
        go_above=node.kind == "go",
        go_made=node.kind == "go",
    )


def _regions(node: Node) -> frozenset[int]:
    own = frozenset({node.region}) if isinstance(node, Stack) else frozenset()
    return own.union(*(_regions(child) for child in node.children()))


def _crossed(node: Node) -> Iterator[Node]:
    """Python frames that a panic crosses."""
    if isinstance(node, Python) and any(panics(child) or exits(child) for child in node.body):
        yield node
    for child in node.children():
        yield from _crossed(child)


def _check_crossing(case: Case) -> None:
    """A panic that crosses interpreter frames leaves a thread that may run Python no more: such a
    thread is a native one, the last of its case, and nothing follows it (measured:
    "unknown opcode" later, and crashes of the collector on CPython 3.12 and 3.13)."""
    last = case.trees[-1]
    if any(list(_crossed(tree)) for tree in case.trees[:-1]):
        raise IllegalCase("a panic crosses Python frames before the last tree: Python must not run after it")
    if not isinstance(last, Thread) or last.kind not in ("native", "memory"):
        raise IllegalCase(
            "a panic crosses Python frames: wrap the last tree in Thread(..., kind='native'), which runs no"
            " Python afterwards"
        )
    seen = False
    for placed in Case(last).walk():
        crossed = bool(list(_crossed(placed.node)))
        if isinstance(placed.node, Python) and seen and not crossed:
            raise IllegalCase(f"node {placed.path}: Python runs after a panic has crossed Python frames")
        seen = seen or (isinstance(placed.node, Python) and crossed)


def leaves_interpreter(case: Case) -> bool:
    """Whether a panic crosses Python frames, so that the process must end without running Python."""
    return any(True for tree in case.trees for _ in _crossed(tree))
