"""What happens on the stacks, as frozen data: nodes and cases.

A node's body is positional and runs in order; its properties are keywords.  ``repr`` gives an
expression that can be pasted into a test, ``to_json`` and ``from_json`` the same as data.
A frame below a Go frame is one cgocall; below C, Python, Stack or Thread it is a plain call.

A node's class says all that there is to say of its kind, in one place: where it may stand, what its
properties may be, its function in the bridge, how often it is drawn, and by what it is seen that it did
its work.  Legality, script, thunks, grammar and model are loops over these.  A new Go leaf is its class
here and its function in bridge/leaves.go, a new C leaf its class and a function ``golib_leaf_NAME``; a new
keyword of the world is a field of ``Case``.

Pure: no process, no clock, no Go.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, ClassVar, Literal, NamedTuple, Self

__all__ = [
    "GC",
    "AltStack",
    "AtEnd",
    "Block",
    "C",
    "Case",
    "Delay",
    "Do",
    "Export",
    "Fault",
    "Gate",
    "Give",
    "Go",
    "Goexit",
    "Grow",
    "Ignore",
    "IllegalCase",
    "LockThread",
    "Next",
    "NoCallback",
    "Node",
    "Notify",
    "Panic",
    "Pull",
    "Python",
    "Random",
    "Reset",
    "Resume",
    "SchedYield",
    "Setrlimit",
    "Signal",
    "Spin",
    "Stack",
    "Stop",
    "Suspend",
    "Take",
    "Thread",
    "Together",
    "Traceback",
    "TurnOff",
    "TurnOn",
    "Wake",
    "Yield",
    "parse",
]
"""The package's public names (golib/__init__.py)."""

KIB = 1024

ESTIMATE_BELOW = 32 * KIB
"""Bytes below SP that the runtime claims when it must guess (golang/go 76a8409eb81e)."""
ESTIMATE_ABOVE = 1 * KIB
"""Bytes above SP that it claims."""

REGION = 256 * KIB
"""Bytes of each foreign stack."""
REGIONS = (-4, -3, -2, -1, 1, 2, 3, 4)
"""Foreign stacks: those below zero lie below every thread's stack, the others above the main thread's."""
DEFAULT_STACK = 8 * 1024 * KIB
"""Bytes of a thread's stack where nothing else is said, and of the main thread's limit."""
MAIN_ROOM = 128 * 1024 * KIB
"""Bytes below the upper end of the main thread's stack that are kept free for it: what it may use of a limit
that is higher, or that is raised while it runs."""

UNLIMITED = "unlimited"

LEAST_TRACEBACK = 64
"""Bytes: a traceback of one goroutine has a headline and a frame at least."""
SMALLEST_LIMIT = 256 * KIB
"""The least RLIMIT_STACK that CPython starts with (64 KiB does not work)."""


class IllegalCase(ValueError):
    """The case says nothing about Go: a correct runtime need not survive it. Says which node, and why."""


def number(default: int, least: int, most: int, drawn: tuple[int, ...] = ()) -> Any:
    """A property that is a whole number from ``least`` to ``most``.  ``drawn``: what a generator takes."""
    return dataclasses.field(default=default, metadata={"range": (least, most), "drawn": drawn})


MOST_BYTES = 1 << 47
"""A process has so many addresses."""


NODES: dict[str, type[Node]] = {}
"""Every kind of node by its name, in the order of their definition."""


class Seen(NamedTuple):
    """By what it is seen that a leaf did its work."""

    field: str
    """``did``, the number that its own event carries; or a field of the trace that counts, and must have gone
    on since the thread's last event."""
    least: int | str = 1
    """By so much, or to so much: a number, or the name of the property that says it."""


@dataclass(frozen=True, init=False, repr=False)
class Node:
    """One thing on a stack: a frame that runs its body, or a leaf that does something."""

    stands: ClassVar[tuple[str, ...]] = ("go", "c", "python")
    """The kinds of frame that it may stand directly below."""
    weight: ClassVar[int] = 1
    """How often it is drawn where it may stand."""
    symbol: ClassVar[str] = ""
    """Its function in the bridge, where that is C."""
    seen: ClassVar[tuple[Seen, ...]] = ()
    since: ClassVar[str] = ""
    """The first Go release that has what it needs, if that is not the first that golib supports."""

    body: tuple[Node, ...] = ()

    def __init_subclass__(cls, *, abstract: bool = False) -> None:
        if not abstract:
            NODES[cls.__name__] = cls

    def __init__(self, *body: Node) -> None:
        self._set(body=body)

    def _set(self, **values: object) -> None:
        vars(self).update(values)  # frozen: it takes no assignment

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: not what ``script.end`` has found out."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    @classmethod
    @cache
    def fields(cls) -> tuple[dataclasses.Field[Any], ...]:
        """As ``dataclasses.fields``, which looks for them anew each time."""
        return dataclasses.fields(cls)

    def properties(self) -> dict[str, Any]:
        """The keywords that differ from their defaults."""
        return {
            field.name: value
            for field in self.fields()
            if field.name != "body" and (value := getattr(self, field.name)) != field.default
        }

    def children(self) -> tuple[Node, ...]:
        """The nodes directly below."""
        return self.body

    def having(self, index: int, child: Node) -> Self:
        """The node with that one of its children replaced."""
        children = list(self.children())
        children[index] = child
        below = {"body": tuple(children[: len(self.body)])}
        if len(children) > len(self.body):
            below["deferred"] = tuple(children[len(self.body) :])
        return self.but(**below)

    def but(self, **changes: Any) -> Self:
        """The node with these changed, ``body`` among them."""
        values = {field.name: getattr(self, field.name) for field in self.fields()} | changes
        return type(self)(*values.pop("body"), **values)

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
            data[name] = [child.to_json() for child in value] if name == "deferred" else _written(value)
        return data


class Frame(Node, abstract=True):
    """A node that runs its body."""


class GoLeaf(Node, abstract=True):
    """What a Go frame can do; it leaves an event of its own, in Go."""

    stands = ("go",)


class CLeaf(Node, abstract=True):
    """What a C frame can do; it leaves an event before and one after, in C."""

    stands = ("c",)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.symbol = f"golib_leaf_{cls.__name__.lower()}"


@dataclass(frozen=True, init=False, repr=False)
class Go(Frame):
    """A callback into Go. ``recover``: a deferred function recovers what panics below, then runs
    ``deferred`` (which runs without a panic too)."""

    weight = 4
    symbol = "golib_frame_go"

    recover: bool = False
    deferred: tuple[Node, ...] = ()

    def __init__(self, *body: Node, recover: bool = False, deferred: tuple[Node, ...] = ()) -> None:
        self._set(body=body, recover=recover, deferred=tuple(deferred))

    def children(self) -> tuple[Node, ...]:
        return self.body + self.deferred


@dataclass(frozen=True, init=False, repr=False)
class C(Frame):
    """A C frame that holds ``stack`` bytes and runs its body ``times`` times (the trace keeps the
    first and the last round)."""

    weight = 2
    symbol = "golib_frame_c"

    stack: int = number(0, 0, MOST_BYTES)
    times: int = number(1, 1, 1 << 32)

    def __init__(self, *body: Node, stack: int = 0, times: int = 1) -> None:
        self._set(body=body, stack=stack, times=times)


@dataclass(frozen=True, init=False, repr=False)
class Python(Frame):
    """A ctypes callback between native frames; what it calls, it calls through ctypes.

    ``call``: instead of a body, the Python function that runs there, a *scenario*: the node id of a test that
    was collected (``golib.everywhere``), or ``"module:function"``.  What it does on the stacks is its own
    affair: the model claims nothing inside, and everything at its edges."""

    call: str = ""

    def __init__(self, *body: Node, call: str = "") -> None:
        self._set(body=body, call=call)


@dataclass(frozen=True, init=False, repr=False)
class Stack(Frame):
    """The same thread on foreign stack ``region`` (makecontext): see ``REGIONS``."""

    weight = 2
    symbol = "golib_frame_stack"

    region: int = number(1, min(REGIONS), max(REGIONS))

    def __init__(self, *body: Node, region: int = 1) -> None:
        self._set(body=body, region=region)


ThreadKind = Literal["native", "python", "memory", "go"]


@dataclass(frozen=True, init=False, repr=False)
class Thread(Frame):
    """A new thread, joined where it stands. ``kind``: native (pthread_create), python
    (threading.Thread), memory (native, on memory of the caller's), go (a goroutine locked to it).
    ``stack`` in bytes, 0 for the kind's default; a thread of Go's takes none, but its goroutine may
    ``recover`` and have ``deferred`` as a Go frame may."""

    symbol = "golib_frame_thread"

    kind: ThreadKind = "native"
    stack: int = number(0, 0, MOST_BYTES)
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
class Together(Frame):
    """Threads that run at once and are joined at the end.

    ``policy``: ``idle`` for SCHED_IDLE (sched(7)): each of them runs only where no other thread wants to, and
    is taken off its processor in the midst of things."""

    symbol = "golib_frame_together"

    policy: str = ""

    def __init__(self, *body: Node, policy: str = "") -> None:
        self._set(body=body, policy=policy)


EXPORTS = ("GoF", "callGoWithVariousStackAndGoFrame", "GoEmpty")


@dataclass(frozen=True, init=False, repr=False)
class Export(Frame):
    """An export of the library, called by its name.

    The seed's ``GoF(p)``, ``callGoWithVariousStackAndGoFrame(p)`` and ``GoEmpty`` are C calling Go; a body
    stands where the seed's C function ``callGoWithVariousStack`` stood.  Any other one is called by a Python
    frame with ``args`` (int, float, bool, str, bytes, None, and tuples of them), and what comes back is held
    against ``returns`` where that is given.  A slice is ``("int64", (1, 2))``, or bytes."""

    symbol = "golib_frame_export"

    name: str = ""
    p: int = number(0, 0, 1)
    args: tuple[Any, ...] = ()
    returns: Any = None

    def __init__(
        self, *body: Node, name: str = "", p: int = 0, args: tuple[Any, ...] = (), returns: Any = None
    ) -> None:
        self._set(body=body, name=name, p=p, args=args, returns=returns)

    @property
    def seeds(self) -> bool:
        """Whether C calls it with ``p``, and not Python with ``args``."""
        return self.name in EXPORTS


@dataclass(frozen=True, repr=False, init=False)
class AltStack(Frame):
    """C gives its thread an alternate signal stack of ``size`` bytes for the time of its body, and then gives
    back what was there (sigaltstack(2)).  0: there is none for that time."""

    stands = ("c",)
    symbol = "golib_frame_altstack"

    size: int = number(64 * KIB, 0, 1024 * KIB)

    def __init__(self, *body: Node, size: int = 64 * KIB) -> None:
        self._set(body=body, size=size)


class GC(GoLeaf):
    """runtime.GC()."""

    seen = (Seen("collections"),)


class Panic(GoLeaf):
    """panic(...)."""

    weight = 4


FAULTS = ("nil", "divide", "bounds", "map")
"""Run-time panics that Go makes of a bad access, which the processor reports (nil, divide), or of a check of
its own (bounds, map)."""


@dataclass(frozen=True, repr=False, init=False)
class Fault(Panic):
    """A run-time panic: Go follows a nil pointer, divides by zero, leaves an array's bounds, or writes to a
    nil map.  It is recovered as any other (Go's specification, "Run-time panics")."""

    weight = 0

    kind: str = "nil"

    def __init__(self, *, kind: str = "nil") -> None:
        self._set(body=(), kind=kind)


class Yield(GoLeaf):
    """runtime.Gosched()."""

    seen = (Seen("stops"),)


class Traceback(GoLeaf):
    """runtime.Stack of all goroutines."""

    seen = (Seen("did", LEAST_TRACEBACK),)


class LockThread(GoLeaf):
    """runtime.LockOSThread and UnlockOSThread, with a Gosched between."""

    seen = (Seen("stops"),)


class Block(GoLeaf):
    """Waits for a channel that another goroutine closes: the thread is handed back and parked."""

    seen = (Seen("did"), Seen("stops"))


class Wake(GoLeaf):
    """Unlocks a mutex that another goroutine waits for."""

    seen = (Seen("did"),)


class Random(GoLeaf):
    """Reads 64 bytes from crypto/rand: a system call, or the vDSO's getrandom on the goroutine's thread."""

    seen = (Seen("did", 64),)


class Spin(GoLeaf):
    """A loop that calls nothing, until another goroutine has collected: it has to be preempted ("loops
    without function calls no longer potentially deadlock the scheduler or significantly delay garbage
    collection", Go 1.14's release notes)."""

    weight = 0  # what holds it up waits for the deadline: it is for cases that are about it
    seen = (Seen("collections"),)


@dataclass(frozen=True, repr=False, init=False)
class Do(GoLeaf):
    """A Go function of the library's own, by the name under which it is registered there:
    ``golib.Leaf("read", func() { … })``, in a file of its own (``//go:build golib``).  Whatever it does, it
    leaves its thread as it found it."""

    weight = 0  # no library has to have one
    seen = (Seen("did"),)

    name: str = ""

    def __init__(self, name: str = "") -> None:
        self._set(name=name)


@dataclass(frozen=True, repr=False, init=False)
class _OfASignal(GoLeaf, abstract=True):
    """What Go asks of package os/signal, for one of ``RELAYED``."""

    weight = 0  # which of them may follow which is not in the grammar

    name: str = "SIGUSR2"

    def __init__(self, *, name: str = "SIGUSR2") -> None:
        self._set(body=(), name=name)


class Notify(_OfASignal):
    """signal.Notify: from now on the signal is relayed to a channel, and the host's handler runs no more."""


class Take(_OfASignal):
    """Waits until the channel has the signal, which was sent before, and takes it."""

    seen = (Seen("did"),)


class Stop(_OfASignal):
    """signal.Stop for the channel: what was there before Notify is there again."""


class Ignore(_OfASignal):
    """signal.Ignore: the signal does nothing."""


class Reset(_OfASignal):
    """signal.Reset: the handler that the host had is there again."""


@dataclass(frozen=True, repr=False, init=False)
class TurnOn(GoLeaf):
    """One of ``SWITCHES`` but notify: from now on it is on."""

    weight = 0

    name: str = "trace"

    def __init__(self, *, name: str = "trace") -> None:
        self._set(body=(), name=name)


@dataclass(frozen=True, repr=False, init=False)
class TurnOff(GoLeaf):
    """One of ``SWITCHES`` but notify: it is off again."""

    weight = 0

    name: str = "trace"

    def __init__(self, *, name: str = "trace") -> None:
        self._set(body=(), name=name)


@dataclass(frozen=True, repr=False, init=False)
class Pull(GoLeaf):
    """iter.Pull of a sequence whose body is the node's: it runs in a coroutine of Go's, a part of it at each
    ``Next``.  ``name`` tells one from another."""

    weight = 0
    since = "1.23"

    name: str = "a"

    def __init__(self, *body: Node, name: str = "a") -> None:
        self._set(body=body, name=name)


@dataclass(frozen=True, repr=False, init=False)
class Next(GoLeaf):
    """Calls next of that ``Pull``, which runs its body until it gives a value, or to its end.  From where,
    the documentation of iter leaves open, but for calls at the same time."""

    weight = 0
    since = "1.23"
    seen = (Seen("did"),)

    name: str = "a"

    def __init__(self, *, name: str = "a") -> None:
        self._set(body=(), name=name)


class Give(GoLeaf):
    """Gives a value to whoever called ``Next``, and goes on at the next call."""

    weight = 0
    since = "1.23"
    seen = (Seen("did"),)


class NoCallback(Panic):
    """Go calls a C function that it has marked with ``#cgo nocallback``, and the function calls Go: "the
    program will panic" (documentation of cmd/cgo), and the panic is recovered as any other."""

    weight = 0
    since = "1.24"


class Goexit(GoLeaf):
    """runtime.Goexit(): ends the goroutine of a thread that Go made, C frames and all."""

    weight = 4


@dataclass(frozen=True, repr=False, init=False)
class Grow(GoLeaf):
    """Uses ``stack`` bytes of goroutine stack, so that it must move."""

    seen = (Seen("did", "stack"),)

    # A goroutine's stack may have 1 GB (runtime/debug.SetMaxStack), and growing doubles it.
    stack: int = number(64 * KIB, 1, 512 * KIB * KIB, drawn=(4 * KIB, 64 * KIB, 300 * KIB))

    def __init__(self, *, stack: int = 64 * KIB) -> None:
        self._set(body=(), stack=stack)


SIGNALS = {"SIGURG": 23, "SIGUSR1": 10, "SIGPROF": 27}
"""What may be sent, with its number on Linux: Go's own preemption signal, one that reaches Go's handler
through os/signal.Notify, and the profiler's."""
BLOCKABLE = tuple(SIGNALS)
"""What C may have blocked: as it pleases, Go gives the mask back on return (os/signal, "Go programs that use
cgo or SWIG")."""
NEEDS = {"SIGUSR1": "notify", "SIGPROF": "cpuprofile"}
"""Without this switch the signal has no handler, and ends the process."""


HANDLED = {
    "SIGUSR2": 12,
    "SIGSEGV": 11,
    "SIGPIPE": 13,
    "SIGALRM": 14,
    "SIGTERM": 15,
    "SIGCHLD": 17,
    "SIGURG": 23,
    "SIGWINCH": 28,
    "SIGRTMIN+6": 40,
}
"""What the host may handle itself, with its number on Linux with glibc."""
SYNCHRONOUS = ("SIGSEGV", "SIGPIPE")
"""Those for which Go installs a handler when it is loaded, and calls the one that was there where C runs; for
the others it installs none unless os/signal asks for it (os/signal, "Non-Go programs that call Go code").
C follows a pointer to memory that it may not read, which its handler lets it read; and writes into a pipe
that nobody reads."""
RELAYED = tuple(name for name in HANDLED if name not in (*SYNCHRONOUS, "SIGURG"))
"""What os/signal may be asked for: the host's asynchronous signals, without Go's own."""
HANDLERS = ("", "nostack", "masked", "early", "early nostack", "early masked")
"""When the host installs its handlers, after the load or before it (early); without SA_ONSTACK; and with a
mask of all signals, where it is otherwise empty."""
WAYS = ("", "kill", "child")
"""How a signal comes: from pthread_kill(3) to the own thread; from kill(2) to the process; from a child that
ends (SIGCHLD)."""


@dataclass(frozen=True, repr=False, init=False)
class Signal(CLeaf):
    """A signal that C sends to its own thread; it is delivered before the call returns.  With a body it is
    one of ``HANDLED``, and the body is what the host's handler does.  Without one it is one of ``SIGNALS``,
    which Go handles, or one that os/signal was asked for.  ``by``: one of ``WAYS``."""

    name: str = "SIGUSR1"
    by: str = ""

    def __init__(self, *body: Node, name: str = "", by: str = "") -> None:
        self._set(body=body, name=name or ("SIGUSR2" if body else "SIGUSR1"), by=by)


@dataclass(frozen=True, repr=False, init=False)
class AtEnd(CLeaf):
    """C registers a destructor for its thread, which runs the body when the thread ends, in that ``round`` of
    the destructors of pthread keys (pthread_key_create(3): there are four on Linux, as long as a destructor
    sets a key again; after the last nothing of Go's would run any more)."""

    weight = 0

    round: int = number(1, 1, 3, drawn=(1, 2, 3))

    def __init__(self, *body: Node, round: int = 1) -> None:
        self._set(body=body, round=round)


class Suspend(CLeaf):
    """C leaves the foreign stack that it stands on, as a coroutine does that waits: whoever has entered it,
    or resumed it, goes on."""

    weight = 0
    seen = (Seen("did"),)


@dataclass(frozen=True, repr=False, init=False)
class Resume(CLeaf):
    """C goes on on foreign stack ``region``, where it was suspended."""

    weight = 0

    region: int = number(1, min(REGIONS), max(REGIONS))

    def __init__(self, *, region: int = 1) -> None:
        self._set(body=(), region=region)


class SchedYield(CLeaf):
    """sched_yield(2): C gives the processor to another thread."""

    seen = (Seen("did"),)


@dataclass(frozen=True, repr=False, init=False)
class Gate(CLeaf):
    """Waits, giving the processor away, until each thread of its Together in which a gate of that name stands
    has come to it; as often as they come."""

    weight = 0  # it is legal in several threads at once only
    seen = (Seen("did", 2),)

    name: str = "gate"

    def __init__(self, name: str = "gate") -> None:
        self._set(body=(), name=name)


@dataclass(frozen=True, repr=False, init=False)
class Delay(CLeaf):
    """C computes for ``ns`` nanoseconds.  With ``steps`` the delay is swept: it takes one step's share the
    first time, two the second, and after the last it begins anew."""

    weight = 0  # it changes when things happen, and is for those who look at that
    seen = (Seen("did"),)

    ns: int = number(1000, 1, 1_000_000_000)
    steps: int = number(1, 1, 1_000_000)

    def __init__(self, *, ns: int = 1000, steps: int = 1) -> None:
        self._set(body=(), ns=ns, steps=steps)


@dataclass(frozen=True, repr=False, init=False)
class Setrlimit(CLeaf):
    """C sets the soft RLIMIT_STACK to ``stack`` bytes."""

    # A main thread whose limit is lower than what it has used could not grow.
    stack: int = number(
        DEFAULT_STACK, SMALLEST_LIMIT, MOST_BYTES, drawn=(8192 * KIB, 64 * 1024 * KIB, 1024 * KIB)
    )

    def __init__(self, *, stack: int = DEFAULT_STACK) -> None:
        self._set(body=(), stack=stack)


def _written(value: Any) -> Any:
    """Plain data as JSON has it: a tuple as a list, bytes as an object with their Latin-1 text."""
    if isinstance(value, tuple):
        return [_written(one) for one in value]
    return {"bytes": value.decode("latin-1")} if isinstance(value, bytes) else value


def _read(value: Any) -> Any:
    """The plain data that ``_written`` wrote."""
    if isinstance(value, list):
        return tuple(_read(one) for one in value)
    return value["bytes"].encode("latin-1") if isinstance(value, dict) else value


def from_json(data: Mapping[str, Any]) -> Node:
    """The node that ``to_json`` made this of. Raises IllegalCase when the data is no node."""
    try:
        kind = NODES[data["node"]]
        keywords = {name: value for name, value in data.items() if name not in ("node", "body")}
        if "deferred" in keywords:
            keywords["deferred"] = tuple(from_json(child) for child in keywords["deferred"])
        for name in keywords.keys() & {"args", "returns"}:
            keywords[name] = _read(keywords[name])
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
"""Settings of GODEBUG (documentation of package runtime, "Environment Variables") that the fuzzer gives a
process."""

Bounds = Literal["real", "hidden", "absent"]


def keyword(
    default: Any, rule: str, allows: Callable[[Any], bool], drawn: tuple[Any, ...] = (), env: str = ""
) -> Any:
    """A keyword of the world.  ``rule``: what it is, for who gave another; ``drawn``: what a generator takes,
    the usual first; ``env``: the variable by which a Go process is told, before it loads Go.  Cases of
    different worlds share no row."""
    return dataclasses.field(
        default=default, metadata={"rule": rule, "allows": allows, "drawn": drawn, "env": env}
    )


@dataclass(frozen=True, init=False, repr=False)
class Case:
    """Call trees, run from the main thread one after the other, and their world.

    bounds: ``real``; ``hidden`` (pthread_getattr_np gives nothing); ``absent`` (a build in which the
    runtime's own fallback for platforms without that call is compiled).
    stack_limit: the main thread's RLIMIT_STACK, in bytes or ``"unlimited"``; None is ``DEFAULT_STACK``,
    whatever the user's shell has.
    godebug: the value of GODEBUG when the process starts.
    gomaxprocs: how many P's the runtime has (GOMAXPROCS); 0 for as many as there are processors.
    processors: on how many processors the process runs; 0 for as many as there are.
    on: what the process has turned on before the first call: see ``SWITCHES``.
    signals: one of ``SIGNALS``, which another thread sends to every thread of the tree all the time.
    handlers: one of ``HANDLERS``: how the host has installed what a ``Signal`` with a body runs.
    second: another Go library in the process, a copy of the same one, which is loaded ``before`` it or
    ``after`` it, and has come through its init.
    dies: what Go's last words must contain, of a case that does what Go says it does not support: the process
    must end by them, and not silently, by hanging, or not at all.  By release: ``{"1.21.0 - 1.23.12": "…",
    "1.24.0 and later": "…"}``; on one that is not named the case survives.
    blocked: one of ``BLOCKABLE``, which C has blocked on the main thread, after Go's init; the threads of
    the tree inherit it, those of Go must not.
    """

    trees: tuple[Node, ...]
    bounds: Bounds = keyword(
        "real", "it is one of real, hidden, absent", lambda value: value in ("real", "hidden", "absent")
    )
    stack_limit: int | str | None = keyword(
        None,
        f"bytes from {SMALLEST_LIMIT} (CPython needs them) to {MOST_BYTES}, or {UNLIMITED!r}",
        lambda value: (
            value in (None, UNLIMITED) or (type(value) is int and SMALLEST_LIMIT <= value <= MOST_BYTES)
        ),
        drawn=(None, None, None, 1024 * KIB, SMALLEST_LIMIT, UNLIMITED),
    )
    godebug: str = keyword(
        "",
        "it is text of at most 64 bytes",
        lambda value: isinstance(value, str) and len(value.encode()) <= 64,
        drawn=GODEBUGS,
        env="GODEBUG",
    )
    gomaxprocs: int = keyword(
        0,
        "it is a number from 1 to 1024, or 0 for as many as there are processors",
        lambda value: type(value) is int and 0 <= value <= 1024,
        drawn=(0, 0, 1, 3),
        env="GOMAXPROCS",
    )
    processors: int = keyword(
        0,
        "it is a number from 1 to 1024, or 0 for as many as there are",
        lambda value: type(value) is int and 0 <= value <= 1024,
    )
    second: str = keyword(
        "",
        "it is one of 'before', 'after', or '' for none",
        lambda value: value in ("", "before", "after"),
        drawn=("", "", "", "", "", "before"),  # after it each Spin waits for the deadline: golib-21
    )
    on: tuple[str, ...] = keyword(
        (),
        f"a process can have turned on {', '.join(SWITCHES)}",
        lambda value: all(switch in SWITCHES for switch in value),
    )
    dies: str | tuple[tuple[str, str], ...] = keyword(
        "",
        "it is a part of the headline of the process's end, of 200 bytes at most, or has one for each"
        " range of"
        " releases, as {'1.24.0 and later': '…'}",
        lambda value: all(
            isinstance(text, str) and len(text.encode()) <= 200
            for one in ([("", value)] if isinstance(value, str) else value)
            for text in one
        ),
    )
    signals: str = keyword("", f"it is one of {', '.join(SIGNALS)}", lambda value: value in ("", *SIGNALS))
    handlers: str = keyword(
        "",
        f"it is one of {', '.join(map(repr, HANDLERS))}",
        lambda value: value in HANDLERS,
    )
    blocked: str = keyword(
        "",
        f"it is one of {', '.join(BLOCKABLE)}",
        lambda value: value in ("", *BLOCKABLE),
        drawn=("",) * 4 * len(BLOCKABLE) + BLOCKABLE,  # each such case takes a child of its own
    )

    def __init__(
        self,
        *trees: Node,
        bounds: Bounds = "real",
        stack_limit: int | str | None = None,
        godebug: str = "",
        gomaxprocs: int = 0,
        processors: int = 0,
        second: str = "",
        on: tuple[str, ...] = (),
        signals: str = "",
        handlers: str = "",
        blocked: str = "",
        dies: str | Mapping[str, str] | tuple[tuple[str, str], ...] = "",
    ) -> None:
        for name, value in (
            ("trees", trees),
            ("bounds", bounds),
            ("stack_limit", stack_limit),
            ("godebug", godebug),
            ("gomaxprocs", gomaxprocs),
            ("processors", processors),
            ("second", second),
            ("on", tuple(on)),
            ("signals", signals),
            ("handlers", handlers),
            ("blocked", blocked),
            ("dies", tuple(dies.items()) if isinstance(dies, Mapping) else dies),
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
        """The case with other trees, where some are given, and its world changed where a keyword says so."""
        return Case(*(trees or self.trees), **{**self.world(), **world})

    def __repr__(self) -> str:
        parts = [repr(tree) for tree in self.trees]
        world = self.world()
        if not isinstance(self.dies, str):
            world["dies"] = dict(self.dies)
        parts += [f"{name}={value!r}" for name, value in world.items()]
        return f"Case({', '.join(parts)})"

    def walk(self) -> Iterator[Placed]:
        """Every node with its number and place, parents first: the order of numbers."""
        return iter(self._placed)

    @cached_property
    def _placed(self) -> tuple[Placed, ...]:
        placed: list[Placed] = []
        # The next one stands last.
        left: list[tuple[Node, int | None, str, int]] = []
        left += [(tree, None, str(index), 1) for index, tree in enumerate(self.trees)][::-1]
        while left:
            node, parent, path, depth = left.pop()
            number = len(placed)
            placed.append(Placed(node, number, parent, path, depth))
            below = [(child, number, f"{path}.{at}", depth + 1) for at, child in enumerate(node.children())]
            left += below[::-1]
        return tuple(placed)

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs, which finds out the rest by itself."""
        return {name: value for name, value in vars(self).items() if name != "_placed"}

    def size(self) -> int:
        """How many nodes."""
        return len(self._placed)

    def handled(self) -> tuple[str, ...]:
        """The signals for which the host has handlers, each once."""
        nodes = (placed.node for placed in self.walk())
        return tuple(dict.fromkeys(node.name for node in nodes if isinstance(node, Signal) and node.body))

    @property
    def switched(self) -> bool:
        """Whether anything of ``SWITCHES`` is on at some time."""
        return bool(self.on) or any(isinstance(placed.node, TurnOn) for placed in self.walk())

    def calls(self) -> tuple[str, ...]:
        """The scenarios that it runs, each once."""
        nodes = (placed.node for placed in self.walk())
        return tuple(dict.fromkeys(node.call for node in nodes if isinstance(node, Python) and node.call))

    def to_json(self) -> dict[str, Any]:
        world = self.world()
        if "on" in world:
            world["on"] = list(world["on"])
        if not isinstance(self.dies, str):
            world["dies"] = dict(self.dies)
        return {"trees": [tree.to_json() for tree in self.trees], **world}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Case:
        """The case that ``to_json`` made this of. Raises IllegalCase when the data is none."""
        try:
            world = {name: value for name, value in data.items() if name != "trees"}
            return cls(*(from_json(tree) for tree in data["trees"]), **world)
        except (KeyError, TypeError, AttributeError) as error:
            raise IllegalCase(f"this is no case: {error}") from None


def variables(case: Case | None = None) -> dict[str, str]:
    """What the world says by the environment: each variable, and its value in that case if it has one."""
    return {
        field.metadata["env"]: str(getattr(case, field.name) or "") if case else ""
        for field in dataclasses.fields(Case)
        if field.metadata.get("env")
    }


class Placed(NamedTuple):
    """A node where it stands: its number in the trace, its parent's, and its path (``0.1.2``)."""

    node: Node
    number: int
    parent: int | None
    path: str
    depth: int
