"""Which cases are legal: well formed, and such that a correct runtime must survive them; and why it must.

Pure: no process, no clock, no Go.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from _thread import stack_size
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from golib.case.calltree import (
    DEFAULT_STACK,
    ESTIMATE_BELOW,
    EXPORTS,
    FAULTS,
    HANDLED,
    HANDLERS,
    KIB,
    MAIN_ROOM,
    NEEDS,
    REGION,
    REGIONS,
    RELAYED,
    SIGNALS,
    SWITCHES,
    SYNCHRONOUS,
    WAYS,
    AltStack,
    AtEnd,
    C,
    Case,
    Do,
    Export,
    Fault,
    Frame,
    Gate,
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
    Setrlimit,
    Signal,
    Spin,
    Stack,
    Stop,
    Suspend,
    Take,
    Thread,
    Together,
    TurnOff,
    TurnOn,
)
from golib.case.script import End, body_end, check_order, end

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
STARTING = {"native": 2 * KIB, "memory": 4 * KIB, "python": PYTHON_FRAME, "go": 0}
"""Bytes that the start of a thread takes of the stack of who starts it (measured above a page that nothing
may touch: 0.8, 3.3 and 5.4 KB); Go starts its own on a stack of its own."""
SCENARIO = 6 * KIB
"""Bytes that a scenario takes at least, its callback and the call back down.  What else it does with its
stack is its author's affair."""
HANDLER = 32 * KIB
"""Bytes that a handler of the host's may have: the alternate stack that Go gives to a thread without one
(traced), and as much of the thread's own where there is none."""
SMALLEST_ALTERNATE = 16 * KIB
"""Bytes of an alternate stack on which Go's handlers run (measured: 4 KiB does not do on a processor with
AVX-512, 8 KiB does)."""
SMALLEST_STACK = 16 * KIB
"""PTHREAD_STACK_MIN on Linux x86-64 (limits.h)."""
INTERPRETER = 64 * KIB
"""Bytes of the main thread's stack that the interpreter has used when a case begins (traced: 9 to 13 KiB on
Python 3.11 to 3.13, the environment and the arguments beside it)."""


def _smallest_python_stack() -> int:
    """The least that this Python takes for a thread, as ``threading.stack_size`` says: it tries.  Not from
    threading itself, which a fork server does without."""
    before = stack_size()
    for size in itertools.count(4 * KIB, 4 * KIB):
        try:
            stack_size(size)
        except ValueError:
            continue
        stack_size(before)
        return size
    raise AssertionError


SMALLEST_PYTHON_STACK = _smallest_python_stack()
"""Bytes; read once, when this module is loaded (32 KiB up to Python 3.13, 52 KiB since)."""


POLICIES = ("", "idle")
"""How the kernel schedules the threads of a Together: as it always does, or SCHED_IDLE."""


class Basis(Enum):
    """Why a legal combination must hold; a case is as strong as its weakest one."""

    PROMISED = "promised"  # Go's documentation
    SEED = "seed"  # what the change this project grew from sets out to do
    SILENT = "silent"  # no document forbids it


def _lacks_switch(signal: str, on: tuple[str, ...]) -> str:
    """The switch that a process must have turned on for this signal, if it has not."""
    switch = NEEDS.get(signal, "")
    return "" if switch in on else switch


class _MainStack:
    """The main thread's stack, as the case goes on."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """Bytes to which the soft RLIMIT_STACK lets it grow."""
        self.grown = 0
        """Bytes of it that are surely there, whatever the limit becomes."""

    @property
    def size(self) -> int:
        """Bytes that may be used of it."""
        return max(self.grown, min(self.limit, MAIN_ROOM))


class _OtherStack:
    """A thread's or a foreign stack, whose size is what it is made with."""

    grown = 0

    def __init__(self, size: int) -> None:
        self.size = size


@dataclass
class _Calls:
    """Callbacks of one thread, so far."""

    any: bool = False
    borrowed: bool = False
    """The first of them came inside an AltStack, which has ended."""


@dataclass(frozen=True)
class _Place:
    """What legality must know of the place where a node stands."""

    frame: str  # the kind of frame directly above: "go", "c" or "python"
    stack: _MainStack | _OtherStack
    used: int  # bytes of it, at most
    held: int  # bytes of it, at least
    main: _MainStack  # the main thread's, whose limit any thread may set
    estimated: bool  # whether the runtime must guess this stack's bounds
    on: tuple[str, ...]  # what the process has turned on
    regions: frozenset[int]  # foreign stacks in use
    go_above: bool = False  # a Go frame stands above, on this thread
    go_made: bool = False  # Go made this thread
    alternate: bool = False  # in a handler of the host's, on the alternate stack
    handler: int = HANDLER  # bytes that the alternate stack has
    handlers: str = ""  # how the host has installed its handlers
    dies: bool = False  # the case says what it dies of
    thread: str = "main"  # the kind of thread
    calls: _Calls = dataclasses.field(default_factory=lambda: _Calls())
    handled: tuple[str, ...] = ()  # the signals for which the host has handlers
    inside: int | None = 0  # the region of the innermost foreign stack on this thread
    relayed: dict[str, str] = dataclasses.field(default_factory=dict)
    """What os/signal was asked for, so far: the newest of each signal.  One for all the places of a case."""
    unpreempted: str = ""  # the keyword by which the host forbids that Go preempts what runs
    once: bool = True  # runs once, and before all that stands after it
    destructor: bool = False  # runs at its thread's end
    pulled: dict[str, Pull] = dataclasses.field(default_factory=dict)
    """Coroutines of Go's by their names, so far."""
    gives: bool = False  # in the body of one
    repeats: bool = False  # in a frame that repeats
    own: _OtherStack | None = None  # this thread's own stack, where it is not the main thread's
    waiting: frozenset[str] = frozenset()  # signals that wait until a handler of the host's returns

    def but(self, **changes: Any) -> _Place:
        """The place with these changed: as ``dataclasses.replace``, which takes six times as long, and there
        are ten for each drawn case."""
        made = object.__new__(_Place)
        made.__dict__.update(self.__dict__, **changes)
        return made


def _is_plain(value: object) -> bool:
    """Whether it means the same in JSON, in its repr and in another process."""
    if type(value) is tuple:
        return all(map(_is_plain, value))
    return (
        value is None
        or type(value) in (bool, int, str, bytes)
        or (type(value) is float and math.isfinite(value))
    )


def _check_values(node: object, path: str) -> None:
    """Each property is of its type, and within what makes sense."""
    if not isinstance(node, Node):
        raise IllegalCase(f"node {path}, {node!r}: this is no node of a call tree")
    kind = type(node).__name__
    for field in node.fields():
        name, value = field.name, getattr(node, field.name)
        if name in ("body", "deferred"):
            continue
        if name in ("args", "returns"):
            good = (name == "returns" or type(value) is tuple) and _is_plain(value)
            data = "int, finite float, bool, str, bytes, None and tuples of them"
            rule = f"is {'a tuple' if name == 'args' else 'one'} of {data}"
        elif name == "recover":
            good, rule = isinstance(value, bool), "is True or False"
        elif "range" in field.metadata:
            low, high = field.metadata["range"]
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
    for field in dataclasses.fields(case):
        value = getattr(case, field.name)
        if "rule" in field.metadata and not field.metadata["allows"](value):
            raise IllegalCase(f"{field.name}={value!r}: {field.metadata['rule']}")
    if lacking := _lacks_switch(case.signals, case.on):
        raise IllegalCase(f"{case.signals} ends a process that has not turned {lacking!r} on")
    if case.blocked and case.blocked in {case.signals, *(getattr(p.node, "name", "") for p in case.walk())}:
        raise IllegalCase(f"{case.blocked} is blocked and sent: it would never be delivered")
    has = {type(placed.node) for placed in case.walk()}
    if Python in has and leaves_interpreter(case):
        _check_crossing(case)
        basis.add(Basis.SILENT)
    if Gate in has:
        _check_gates(case)
    if case.bounds != "real":
        basis.add(Basis.SEED)
    limit = DEFAULT_STACK if case.stack_limit is None else case.stack_limit
    main = _MainStack(MAIN_ROOM if isinstance(limit, str) else limit)
    place = _Place(
        *("c", main, INTERPRETER, 0, main, case.bounds != "real", case.on, frozenset()),
        handlers=case.handlers,
        handled=case.handled(),
        dies=bool(case.dies),
        unpreempted=next(
            (
                f"{name}={value!r}"
                for name, value, text in (
                    ("blocked", case.blocked, "SIGURG"),
                    ("godebug", case.godebug, "asyncpreemptoff=1"),
                    ("godebug", case.godebug, "gccheckmark=1"),  # turns it off (runtime1.go)
                )
                if text in value
            ),
            "",
        ),
    )
    for index, tree in enumerate(case.trees):
        if end(tree) is End.PANIC and not case.dies:
            raise IllegalCase(f"tree {index} panics with no recover above it, so Go must end the process")
        _check_node(tree, place, basis, str(index))
    if TurnOff in has:
        nodes = [placed.node for placed in case.walk()]
        off = any(isinstance(node, TurnOff) and node.name == "cpuprofile" for node in nodes)
        sent = any(isinstance(node, Signal) and node.name == "SIGPROF" for node in nodes)
        if off and (sent or case.signals == "SIGPROF"):
            raise IllegalCase("SIGPROF ends a process that has turned its CPU profile off")
    if Next in has:
        check_order(case)
    if has & {Suspend, Resume}:
        basis.add(Basis.SILENT)
        _check_suspended(case)
    return frozenset(basis)


def check_from_outside(case: Case) -> frozenset[Basis]:
    """As ``check``, for a library that cannot be rebuilt: it has no bridge, and so no Go frame of golib's.

    Raises IllegalCase."""
    basis = check(case)
    for placed in case.walk():
        node = placed.node
        if isinstance(node, Go | Export | GoLeaf) or (isinstance(node, Thread) and node.kind == "go"):
            raise IllegalCase(
                f"node {placed.path}, {node.label}: only a library that golib builds has golib's Go frames,"
                " and this one is driven as shipped; call its own exports with Python(call=...)"
            )
    for name, value in (
        ("on", case.on),
        ("second", case.second),
        ("bounds", case.bounds if case.bounds == "absent" else ""),
    ):
        if value:
            raise IllegalCase(
                f"{name}={value!r}: only a library that golib builds can have that, and this one is driven as"
                " shipped; leave it out"
            )
    return basis


def _check_node(node: Node, place: _Place, basis: set[Basis], path: str) -> None:
    def illegal(why: str) -> IllegalCase:
        return IllegalCase(f"node {path}, {node.label}: {why}")

    def needs(size: int, what: str) -> None:
        left = place.stack.size - place.used
        if left < size:
            raise illegal(f"{what} needs {size} bytes of stack, {max(0, left)} are left")

    def using(size: int, frame: str, **changed: Any) -> _Place:
        return place.but(frame=frame, used=place.used + size, **changed)

    if place.frame not in node.stands:
        raise illegal(f"only a {node.stands[0].capitalize()} frame can do this")
    if place.alternate and isinstance(node, AltStack):
        raise illegal("on the alternate stack the kernel does not let it be replaced (sigaltstack(2), EPERM)")
    leaves = isinstance(node, Go | Export | Stack) or (isinstance(node, Python) and node.call)
    if place.alternate and leaves:
        raise illegal(
            "in a handler on the alternate stack Go cannot be called, and no stack entered: while the thread"
            " is on another one, the next signal begins at the top of the alternate one, over the handler's"
            " frames (3 of 15 died by SIGSEGV, without a word); handlers='nostack' runs it on the thread's"
            " own stack"
        )
    below = place
    match node:
        case Go():
            claim = ESTIMATE_BELOW if place.estimated else 0
            needs(GO_FRAME + RESERVE + claim, "a Go frame")
            below = using(GO_FRAME, "go", go_above=True)
        case C():
            needs(C_FRAME + node.stack, "a C frame")
            held = place.held + node.stack
            place.stack.grown = max(place.stack.grown, held)  # it touches both ends of what it holds
            below = using(C_FRAME + node.stack, "c", held=held)
        case Python(call=call) if call:
            if node.body:
                raise illegal("a scenario has no body: what runs there is the function that call names")
            claim = ESTIMATE_BELOW if place.estimated else 0
            needs(SCENARIO + GO_FRAME + RESERVE + claim, "a scenario and the Go that it calls")
        case Python():
            needs(PYTHON_FRAME, "a Python frame")
            if node.call and node.body:
                raise illegal("a scenario has no body: its function says what it does")
            below = using(PYTHON_FRAME, "python")
        case Stack():
            if node.region not in REGIONS:
                raise illegal(f"region is one of {', '.join(map(str, REGIONS))}")
            if node.region in place.regions:
                raise illegal("this foreign stack is in use above it")
            needs(2 * KIB, "a switch of stacks")
            # The change lets C switch stacks between callbacks, and restores what it finds with a
            # Go frame above; Go's documentation has no word on it.
            basis.add(Basis.SILENT if place.go_above else Basis.SEED)
            below = place.but(
                frame="c",
                stack=_OtherStack(REGION),
                used=C_FRAME,
                held=0,
                estimated=True,
                regions=place.regions | {node.region},
                inside=node.region,
            )
        case Thread():
            below = _thread(node, place, illegal)
            needs(STARTING[node.kind], "the start of a thread")
        case Together():
            if node.policy not in POLICIES:
                raise illegal(f"policy is one of {', '.join(map(repr, POLICIES))}")
            if node.policy and any(isinstance(one, Thread) and one.kind == "go" for one in node.body):
                raise illegal("a policy is for threads that C or Python makes; one of them is Go's")
            for index, child in enumerate(node.body):
                if not isinstance(child, Thread):
                    raise illegal(f"only threads run together, {child.label} is none")
                used = _regions(child)
                if any(used & _regions(other) for other in node.body[:index]):
                    raise illegal("two of its threads would run on the same foreign stack")
        case Export():
            if not isinstance(node.name, str) or not node.name.isidentifier():
                raise illegal(f"name is that of an export of the library, such as {', '.join(EXPORTS)}")
            if node.seeds and (node.args or node.returns is not None):
                raise illegal(f"{node.name} takes p= and gives nothing; leave out args= and returns=")
            if not node.seeds and node.p:
                raise illegal("p= belongs to the seed's exports; write args=")
            if not node.seeds:
                needs(PYTHON_FRAME, "the Python frame that calls an export with arguments")
            if node.body and node.name != "callGoWithVariousStackAndGoFrame":
                raise illegal("only callGoWithVariousStackAndGoFrame has a C side to be replaced")
            if node.p and node.body and not any(end(child) is End.PANIC for child in node.body):
                raise illegal("with p=1 it demands a panic below it, and none comes")
            if not node.p and any(end(child) is End.PANIC for child in node.body):
                raise illegal("with p=0 it does not recover, so Go must end the process")
            claim = ESTIMATE_BELOW if place.estimated else 0
            deep = 0 if node.name != "callGoWithVariousStackAndGoFrame" or node.body else 40_000 + GO_FRAME
            needs(GO_FRAME + deep + RESERVE + claim, "a Go frame")
            below = using(GO_FRAME, "c", go_above=True)
        case Goexit():
            if not place.go_made and not place.dies:
                raise illegal(
                    "only on a thread that Go made can a goroutine exit (since Go 1.24 it says so: go#68275)"
                )
            basis.add(Basis.SILENT)
        case Spin():
            if place.unpreempted:
                raise illegal(f"with {place.unpreempted} no loop is preempted, and it would never end")
        case Fault():
            if node.kind not in FAULTS:
                raise illegal(f"kind is one of {', '.join(FAULTS)}")
        case AltStack():
            # os/signal asks for an alternate stack that is large enough, and does not say how large that is.
            if node.size < SMALLEST_ALTERNATE and not place.dies:
                raise illegal(
                    f"Go's signal handlers need {SMALLEST_ALTERNATE} bytes; say what it dies of with dies="
                )
            if body_end(node.body):
                raise illegal("a panic or a Goexit would leave it in place, for whoever comes later")
            basis.add(Basis.SILENT)
            needs(C_FRAME, "a C frame")
            below = using(C_FRAME, "c", handler=node.size or HANDLER)
        case Signal() if node.body:
            if node.name not in HANDLED:
                raise illegal(f"name of a signal that the host handles is one of {', '.join(HANDLED)}")
            if body_end(node.body):
                raise illegal("a panic or a Goexit would leave the host's handler, which nothing lets it do")
            # That a handler may call Go, os/signal neither says nor denies.
            basis.add(Basis.SILENT)
            if node.name in SYNCHRONOUS and "early" not in place.handlers:
                early = ", ".join(repr(one) for one in HANDLERS if "early" in one)
                raise illegal(
                    f"Go has a handler of its own for {node.name}: only one that was there before is"
                    f" called by it; say handlers= one of {early}"
                )
            if node.name == "SIGURG" and place.handlers == "nostack":
                raise illegal(
                    "Go sends it to its own threads, and a handler that may find Go running needs SA_ONSTACK"
                    " (os/signal)"
                )
            if place.relayed.get(node.name, "host") != "host":
                raise illegal(f"the host's handler does not run after {place.relayed[node.name]}")
            _check_way(node, place, illegal)
            # Go's own handler calls the host's of these two, with all signals blocked.
            all_wait = "masked" in place.handlers or node.name in SYNCHRONOUS
            names = (*HANDLED, *SIGNALS) if all_wait else (node.name,)
            waiting = place.waiting.union(names)
            if place.alternate or place.handlers == "nostack":
                needs(4 * KIB + RESERVE, "the host's signal handler")
                below = using(4 * KIB, "c", once=False, waiting=waiting)
            else:
                needs(HANDLER, "the host's signal handler")
                below = place.but(
                    frame="c",
                    stack=_OtherStack(place.handler),
                    used=4 * KIB,
                    held=0,
                    waiting=waiting,
                    alternate=True,
                    once=False,
                )
        case Signal():
            if place.relayed.get(node.name, "host") == "host":
                if node.name not in SIGNALS:
                    raise illegal(
                        f"without a body name is one of {', '.join(SIGNALS)}, or of a signal after Notify"
                    )
                if node.name in place.handled:
                    raise illegal("the host handles it in this case; give it a body")
                if needs_switch := _lacks_switch(node.name, place.on):
                    raise illegal(f"it ends a process that has not turned {needs_switch!r} on")
            elif place.destructor:
                raise illegal(
                    "os/signal has been asked for it, and in a destructor it comes later than it stands"
                )
            elif place.relayed[node.name] in ("Notify", "Take"):
                place.relayed[node.name] = "Signal"
            _check_way(node, place, illegal)
            # Without an alternate stack the handler runs on this one.
            needs(4 * KIB + RESERVE + ESTIMATE_BELOW, "a signal handler")
        case Notify() | Take() | Stop() | Ignore() | Reset():
            _check_relay(node, place, illegal)
        case TurnOn() | TurnOff():
            _check_switch(node, place, illegal)
        case Pull():
            if not place.once:
                raise illegal(_ONCE)
            if body_end(node.body):
                raise illegal("a panic in its body comes out of Next, which golib does not follow")
            basis.add(Basis.SILENT)
            place.pulled[node.name] = node
        case Next():
            if node.name not in place.pulled:
                raise illegal("there was no Pull of that name, or it stands in the body of that one")
            if not place.once:
                raise illegal(_ONCE)
            basis.add(Basis.SILENT)
            # In its own body nobody may call it: its next function is being called already.
            pulled = place.pulled.pop(node.name)
            _check_children(pulled, using(0, "go", gives=True), basis, path)
            place.pulled.setdefault(node.name, pulled)
        case Give():
            if not place.gives:
                raise illegal("it stands in the body of a Pull")
        case AtEnd():
            if place.thread not in ("native", "memory"):
                raise illegal("it is for native threads and those on memory of the caller's")
            if body_end(node.body):
                raise illegal("a panic or a Goexit would leave the destructor, which nothing lets it do")
            if not place.once:
                raise illegal("it stands in no frame that repeats, in no handler and in no other destructor")
            # pthread_key_create(3) gives destructors four rounds; that Go may be called in one is not
            # written.
            basis.add(Basis.SILENT)
            assert place.own is not None
            below = place.but(
                frame="c", stack=place.own, used=4 * KIB, held=0, inside=0, once=False, destructor=True
            )
        case Suspend():
            if place.waiting:
                raise illegal("in a handler of the host's nothing is suspended")
            if not place.inside:
                raise illegal("it leaves a foreign stack, and stands on none; put it into a Stack")
            if place.repeats:
                raise illegal("in a frame that repeats its body nothing is suspended")
        case Resume():
            if place.waiting:
                raise illegal("in a handler of the host's no foreign stack is resumed")
            if node.region not in REGIONS:
                raise illegal(f"region is one of {', '.join(map(str, REGIONS))}")
        case Gate():
            if not node.name:
                raise illegal("it needs a name, by which those that meet there know each other")
        case Setrlimit():
            basis.add(Basis.SILENT)
            place.main.limit = node.stack
        case Do():
            if not node.name:
                raise illegal("it names no function; register one with Leaf in a Go file of the library")
            basis.add(Basis.SILENT)
    if isinstance(node, Go | Export) or (isinstance(node, Python) and node.call):
        if place.calls.borrowed and not place.dies:
            raise illegal(
                "the thread's first callback came inside an AltStack that is there no more: Go has taken it"
                " for its signals, and says so when it finds it gone (non-Go code disabled sigaltstack)"
            )
        place.calls.any = True
    if isinstance(node, C) and node.times > 1:
        below = below.but(once=False, repeats=True)
    if isinstance(node, Together):
        below = below.but(once=False)
    if isinstance(node, Pull):
        return  # its body runs where Next stands
    if not isinstance(node, Frame | Signal | AtEnd) and node.children():
        raise illegal("a leaf has no body")
    if isinstance(node, Go | Thread):
        if any(end(child) is End.EXIT for child in node.deferred):
            raise illegal("a deferred function must not exit the goroutine that it is to clean up for")
        if body_end(node.body) is End.EXIT and body_end(node.deferred) is End.PANIC:
            raise illegal("a deferred function must not panic while the goroutine exits")
    limit, called = place.main.limit, place.calls.any
    _check_children(node, below, basis, path)
    if isinstance(node, AltStack) and place.calls.any and not called:
        if place.thread == "main" and not place.dies:
            raise illegal("the main thread's first callback does not come inside it: others follow in a row")
        place.calls.borrowed = True
    if isinstance(node, C) and node.times > 1 and place.main.limit != limit:
        _check_children(node, below, basis, path)  # what the first round sets, the second finds


def _check_children(node: Node, below: _Place, basis: set[Basis], path: str) -> None:
    main, limits = below.main, []
    for index, child in enumerate(node.children()):
        before = main.limit, main.grown
        earlier = node.body[:index] if index < len(node.body) else node.children()[len(node.body) : index]
        comes = not body_end(earlier)
        place = below if comes or not below.once else below.but(once=False)
        _check_node(child, place, basis, f"{path}.{index}")
        if before != (main.limit, main.grown) and not comes:
            main.limit, main.grown = before  # it never runs
        limits.append(main.limit)
    if isinstance(node, Together) and limits:
        main.limit = min(limits)  # which of its threads sets it last is not known


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
    panics = (body_end(node.body) is End.PANIC and not node.recover) or body_end(node.deferred) is End.PANIC
    if panics and not place.dies:
        raise illegal("a panic would leave this thread with no recover above it, so Go must end the process")
    own = _OtherStack(node.bytes)
    return _Place(
        frame={"go": "go", "python": "python"}.get(node.kind, "c"),
        stack=own,
        own=own,
        # 4 KiB: pthread's own block and, for Python, the thread's first interpreter frames.
        used=4 * KIB + (PYTHON_FRAME if node.kind == "python" else 0),
        held=0,
        main=place.main,
        # Go knows its own threads' stacks.
        estimated=place.estimated and node.kind != "go",
        on=place.on,
        regions=place.regions,
        go_above=node.kind == "go",
        go_made=node.kind == "go",
        handlers=place.handlers,
        handled=place.handled,
        dies=place.dies,
        unpreempted=place.unpreempted,
        thread=node.kind,
        relayed=place.relayed,
        # A thread has the mask of the one that makes it; Go gives its own the mask that it began with.
        waiting=frozenset() if node.kind == "go" else place.waiting,
        pulled=place.pulled,
        once=place.once,
        repeats=place.repeats,
    )


def _check_suspended(case: Case) -> None:
    for placed in case.walk():
        if end(placed.node):
            raise IllegalCase(
                f"node {placed.path}, {placed.node.label}: in a case that suspends a foreign stack nothing"
                " panics or exits: frames that wait there would be lost"
            )
        if isinstance(placed.node, Notify | Ignore | TurnOn | TurnOff | Pull):
            raise IllegalCase(
                f"node {placed.path}, {placed.node.label}: not in a case that suspends a foreign stack,"
                " where what"
                " comes first is not what stands first"
            )
    check_order(case)


def _check_way(node: Signal, place: _Place, illegal: Any) -> None:
    """How the signal comes is one that brings it to this thread, before the call returns."""
    if node.name in place.waiting:
        raise illegal(
            f"in a handler of the host's {node.name} is blocked: it comes when that has returned, or kills"
            " (sigaction(2))"
        )
    if node.by not in WAYS:
        raise illegal(f"by is one of {', '.join(map(repr, WAYS))}")
    if node.by and node.name in SYNCHRONOUS:
        raise illegal(f"{node.name} comes of what C does; leave out by=")
    if node.by == "kill" and place.thread != "main":
        raise illegal("the kernel gives a signal for the process to the main thread")
    if node.by == "child" and node.name != "SIGCHLD":
        raise illegal("a child that ends sends SIGCHLD")
    if node.name == "SIGPIPE" and place.thread == "go":
        raise illegal(
            "os/signal promises the host's handler where a thread of C's receives it, and not on one of Go's;"
            " put it on the former"
        )


_ONCE = (
    "it holds for the process: it stands in no frame that repeats, in no handler or destructor, in no thread"
    " that runs beside others, and after no panic"
)


def _check_switch(node: TurnOn | TurnOff, place: _Place, illegal: Any) -> None:
    possible = [switch for switch in SWITCHES if switch != "notify"]
    if node.name not in possible:
        raise illegal(f"name is one of {', '.join(possible)}")
    if not place.once:
        raise illegal(_ONCE)
    on = place.relayed.get(node.name, "on" if node.name in place.on else "off")
    if (on == "on") is isinstance(node, TurnOn):
        raise illegal(f"{node.name} is {on} already")
    place.relayed[node.name] = "on" if isinstance(node, TurnOn) else "off"


def _check_relay(node: Any, place: _Place, illegal: Any) -> None:
    """The order in which os/signal is asked."""
    kind = type(node).__name__
    now = place.relayed.get(node.name, "host")
    if node.name not in RELAYED:
        raise illegal(f"name is one of {', '.join(RELAYED)}")
    if not place.once:
        raise illegal(_ONCE)
    if kind == "Take" and now != "Signal":
        raise illegal(
            "it would wait for ever: there is no Signal of that name after Notify, and not taken yet"
        )
    if kind == "Stop" and now not in ("Notify", "Signal", "Take"):
        raise illegal("there was no Notify")
    place.relayed[node.name] = "host" if kind in ("Stop", "Reset") else kind


def _check_gates(case: Case) -> None:
    """Gates of one name stand in threads of one Together, one in each, and are come to equally often: else
    somebody would wait for ever."""
    placed = list(case.walk())
    met: dict[str, list[tuple[Placed, int | None, int, int]]] = {}
    for one in placed:
        if not isinstance(one.node, Gate):
            continue
        thread, times, above = one.number, 1, one.parent
        while above is not None and not isinstance(placed[above].node, Together):
            node = placed[above].node
            if isinstance(node, C):
                times *= node.times
            thread, above = above, placed[above].parent
        met.setdefault(one.node.name, []).append((one, above, thread, times))
        for tree in () if above is None else (placed[above].node,):
            if any(isinstance(other.node, Panic | Goexit) for other in Case(tree).walk()):
                raise _illegal_gate(one, "where a thread panics or exits, another could wait for ever")
    for gates in met.values():
        for index, (one, above, thread, times) in enumerate(gates):
            if above is None:
                raise _illegal_gate(one, "it stands in a thread of a Together, which meets others there")
            if len(gates) < 2:
                raise _illegal_gate(one, "nobody else comes to it; put one of that name in another thread")
            if above != gates[0][1] or any(thread == other[2] for other in gates[:index]):
                raise _illegal_gate(one, "gates of one name stand in threads of one Together, one in each")
            if times != gates[0][3]:
                raise _illegal_gate(
                    one, f"this thread comes to it {times} times, another one {gates[0][3]} times"
                )


def _illegal_gate(placed: Placed, why: str) -> IllegalCase:
    return IllegalCase(f"node {placed.path}, {placed.node.label}: {why}")


def _regions(node: Node) -> frozenset[int]:
    own = frozenset({node.region}) if isinstance(node, Stack) else frozenset()
    return own.union(*(_regions(child) for child in node.children()))


def _crossed(node: Node) -> Iterator[Node]:
    """Python frames that a panic crosses."""
    if isinstance(node, Python) and any(end(child) for child in node.body):
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


_MARKS = (TurnOn, TurnOff, Notify, Take, Stop, Ignore, Reset)


def _below(node: Node) -> Iterator[Node]:
    for child in node.children():
        yield child
        yield from _below(child)


def leaves_its_mark(case: Case) -> bool:
    """Whether the process may be another one after this legal case: a switch is not as it was, or os/signal
    has been asked for something that was not taken back.  What was taken back is still another thing where
    the host's handlers are there before the load, as they are installed once; and what stands in a coroutine
    may never come."""
    last: dict[str, Node] = {}
    for placed in case.walk():
        if isinstance(placed.node, _MARKS):
            if "early" in case.handlers and not isinstance(placed.node, TurnOn | TurnOff):
                return True
            last[placed.node.name] = placed.node
        if isinstance(placed.node, Pull) and any(isinstance(one, _MARKS) for one in _below(placed.node)):
            return True
    return any(
        (node.name in case.on) is isinstance(node, TurnOff)
        if isinstance(node, TurnOn | TurnOff)
        else not isinstance(node, Stop | Reset)
        for node in last.values()
    )


def leaves_interpreter(case: Case) -> bool:
    """Whether a panic crosses Python frames, so that the process must end without running Python."""
    return any(True for tree in case.trees for _ in _crossed(tree))
