"""Call trees as thunks.

Every node becomes ``struct thunk { fn, arg }``.  A C, Stack or Go node's fn is C code of the bridge,
a Python node's is a CFUNCTYPE, so native frames call native frames with no interpreter between and
Python stands exactly where the tree says.  A fork server compiles, its child loads and runs: nothing
here may import more than a forked process needs.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from golib.case import calltree, legality, prototype
from golib.case.calltree import Node
from golib.case.script import Phase
from golib.run import process
from golib.run.binding import BindingError, Bridge
from golib.run.structs import NodeStruct, Thunk
from golib.run.trace import Left

Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def kind(name: str) -> int:
    """The number of a kind of node, which the bridge makes of its name too (``kind`` in leaves.go): FNV-1a,
    31 bits.  Neither side keeps a list of them."""
    number = 0x811C9DC5
    for byte in name.encode():
        number = (number ^ byte) * 0x01000193 & 0xFFFFFFFF
    return number & 0x7FFFFFFF


_KIND = {name: kind(name) for name in calltree.NODES}
_PROPERTIES = {
    of: [name for name in of.__dataclass_fields__ if name in ("recover", "stack", "times")]
    for of in calltree.NODES.values()
}
"""What a compiled node has under the same name."""
_THUNKS = tuple(Thunk * count for count in range(4))
"""Arrays for what most nodes have: ctypes makes a new type for each length that it has not seen."""


class Program:
    """A case, compiled: owns every structure and callback that the native side sees.

    Compiled before the fork and linked after it, when the child has loaded a bridge: a forked process
    pays for each page that it is the first to touch, most when Go is starting on another processor.
    """

    python = False
    """Whether Python runs in it."""
    python_threads = False
    """Whether some of its threads are Python's."""
    _bridge: Bridge

    def __init__(
        self,
        case: calltree.Case,
        regions: Mapping[int, tuple[int, int]],
        first: int = 0,
        calls: Mapping[str, Callable[[], None]] = MappingProxyType({}),
    ) -> None:
        """``first``: the number of its first node; more than 0 for a case that follows others.  ``calls``:
        the functions of its scenarios, there at the latest when the program runs.

        Raises BindingError when the memory that it needs cannot be had.
        """
        self.case = case
        self._regions = regions
        self._calls = calls
        self.scenarios: list[str] = []
        """Names of what ``calls`` must have."""
        self.raised: list[BaseException] = []
        """What its scenarios raised, in that order."""
        self._keep: list[Any] = []
        self._meetings: dict[str, ctypes.Array[ctypes.c_uint32]] = {}
        self._number = first
        self._inside = 0  # the foreign stack on which the next node stands
        self._addresses: list[tuple[ctypes.Structure, str, str]] = []
        self.leave = legality.leaves_interpreter(case)
        self.root = NodeStruct(id=-1)
        self._fill(self.root, "body", case.trees)

    def link(self, bridge: Bridge) -> None:
        """Gives its nodes the functions of this bridge."""
        self._bridge = bridge
        for where, field, name in self._addresses:
            setattr(where, field, bridge.address(name))

    def links(self) -> list[tuple[int, str]]:
        """For whoever links it without Python: where the address of which function belongs."""
        return [
            (ctypes.addressof(where) + getattr(type(where), field).offset, name)
            for where, field, name in self._addresses
        ]

    def run(self) -> None:
        """Runs on this thread, once linked, while its case's signals arrive on all the threads."""
        case, function = self.case, self._bridge.function
        handled = [calltree.HANDLED[name] for name in case.handled()]
        onstack, masked = "nostack" not in case.handlers, "masked" in case.handlers
        for number in handled:
            function("golib_handle")(number, onstack, masked, process.entry(number))
        if case.signals:
            function("golib_signals_start")(calltree.SIGNALS[case.signals])
        function("golib_run")(self.root, calltree.SIGNALS.get(case.blocked, 0), self.leave)
        if case.signals:
            function("golib_signals_stop")()
        for number in handled:
            function("golib_unhandle")(number)

    @property
    def end(self) -> int:
        """One more than the number of its last node."""
        return self._number

    def _fill(self, struct: NodeStruct, which: str, nodes: Sequence[Node]) -> list[Thunk]:
        count = len(nodes)
        thunks = (_THUNKS[count] if count < len(_THUNKS) else Thunk * count)()
        self._keep.append(thunks)
        for index, node in enumerate(nodes):
            self._compile(node, thunks[index])
        setattr(struct, which, thunks)
        setattr(struct, f"n{which}", count)
        return list(thunks)

    def _compile(self, node: Node, thunk: Thunk) -> None:
        struct = NodeStruct(id=self._number, kind=_KIND[type(node).__name__])
        if isinstance(node, calltree.Do):
            struct.kind = kind(f"Do {node.name}")
        self._number += 1
        self._keep.append(struct)
        thunk.arg = ctypes.addressof(struct)
        # Numbered as Case.walk does: the body, then what is deferred.
        outer = self._inside
        if isinstance(node, calltree.Stack | calltree.Thread):
            self._inside = getattr(node, "region", 0)
        body = self._fill(struct, "body", node.body)
        self._inside = outer
        if node.symbol:
            self._addresses.append((thunk, "fn", node.symbol))
        for name in _PROPERTIES[type(node)]:
            setattr(struct, name, getattr(node, name))
        match node:
            case calltree.Go():
                self._fill(struct, "deferred", node.deferred)
            case calltree.Python(call=name) if name:
                self.scenarios.append(name)
                thunk.fn = self._callback(self._scenario(struct, name))
            case calltree.Python():
                calls = self._from_python(node, body)
                thunk.fn = self._callback(lambda _: self._python_frame(struct, calls, did=1))
            case calltree.Stack() | calltree.Resume():
                struct.region_lo, struct.region_hi = self._regions[node.region]
            case calltree.Suspend():
                struct.region_lo, struct.region_hi = self._regions[self._inside]
            case calltree.AtEnd():
                struct.argument = node.round
            case calltree.Notify() | calltree.Take() | calltree.Stop() | calltree.Ignore() | calltree.Reset():
                struct.argument = calltree.HANDLED[node.name]
            case calltree.TurnOn() | calltree.TurnOff():
                struct.argument = list(calltree.SWITCHES).index(node.name)
            case calltree.Pull() | calltree.Next():
                struct.argument = kind(node.name)
            case calltree.Export():
                if node.seeds:
                    self._addresses.append((struct, "export", node.name))
                    struct.argument = node.p
                else:
                    struct.export = self._callback(lambda _: self._export(node, struct))
            case calltree.AltStack():
                struct.stack = node.size
            case calltree.Together(policy="idle"):
                for thread in body:
                    NodeStruct.from_address(thread.arg).argument = 1
            case calltree.Gate():
                struct.handle = self._meeting(node.name)
            case calltree.Delay():
                struct.stack, struct.times = node.ns, node.steps
            case calltree.Fault():
                struct.argument = calltree.FAULTS.index(node.kind)
            case calltree.Signal():
                struct.argument = {**calltree.HANDLED, **calltree.SIGNALS}[node.name]
                struct.times = calltree.WAYS.index(node.by)
            case calltree.Thread():
                self._fill(struct, "deferred", node.deferred)
                self._thread(node, struct, body)

    def _meeting(self, name: str) -> int:
        """Where the gates of that name meet: struct golib_meeting of threads.c."""
        if name not in self._meetings:
            threads = sum(
                isinstance(one.node, calltree.Gate) and one.node.name == name for one in self.case.walk()
            )
            self._meetings[name] = (ctypes.c_uint32 * 4)(0, 0, threads)
        return ctypes.addressof(self._meetings[name])

    def _from_python(self, node: Node, body: Sequence[Thunk]) -> list[Callable[[], None]]:
        """How Python runs what a node has in it: an export by its name, all else through golib_call."""

        def call(thunk: Thunk) -> None:
            self._bridge.function("golib_call")(thunk)

        def call_export(name: str, arguments: Sequence[int], struct: NodeStruct) -> None:
            self._bridge.function("golib_export_begin")(struct)
            self._bridge.function(name)(*arguments)
            self._bridge.function("golib_export_end")(struct)

        def call_with_values(export: calltree.Export, struct: NodeStruct) -> None:
            self._bridge.function("golib_export_begin")(struct)
            self._export(export, struct)
            self._bridge.function("golib_export_end")(struct)

        calls: list[Callable[[], None]] = []
        for below, thunk in zip(node.body, body, strict=True):
            if isinstance(below, calltree.Export):
                arguments = () if below.name == "GoEmpty" else (below.p,)
                struct = NodeStruct.from_address(thunk.arg)
                if below.seeds:
                    calls.append(partial(call_export, below.name, arguments, struct))
                else:
                    calls.append(partial(call_with_values, below, struct))
            else:
                calls.append(partial(call, thunk))
        return calls

    def _export(self, node: calltree.Export, struct: NodeStruct) -> None:
        """Calls an export with its arguments, and leaves what came back for the event after it."""
        from golib.run import exports  # few cases need it

        given = self._bridge.export(node.name)(*node.args)
        if node.returns is not None:
            struct.result = prototype.digest(exports.plain(given, node.returns))

    def _thread(self, node: calltree.Thread, struct: NodeStruct, body: Sequence[Thunk]) -> None:
        struct.stack = node.bytes
        if node.kind == "python":
            self.python_threads = True
            threads: list[Any] = []
            calls = self._from_python(node, body)

            def run() -> None:
                come = self._bridge.function("golib_begin_thread")(struct)
                self._python_frame(struct, calls, did=come)

            def start(_: int) -> None:
                import threading  # child.main has loaded it

                threading.stack_size(node.bytes)
                try:
                    threads.append(threading.Thread(target=run, daemon=True))
                    threads[-1].start()
                finally:
                    threading.stack_size(0)

            struct.start = self._callback(start)
            struct.join = self._callback(lambda _: threads.pop().join())
        elif node.kind != "go":
            self._addresses.append((struct, "start", "golib_native_start"))
            self._addresses.append((struct, "join", "golib_native_join"))
        if node.kind == "memory":
            # Not a ctypes buffer: that would be zeroed, byte by byte, at each run.
            try:
                room = mmap.mmap(-1, node.bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            except OSError as error:
                why = f"no memory for a thread's stack of {node.bytes} bytes: {error.strerror}"
                raise BindingError(why) from error
            self._keep.append(room)
            struct.region_lo = ctypes.addressof(ctypes.c_char.from_buffer(room))
            struct.region_hi = struct.region_lo + node.bytes

    def _callback(self, function: Any) -> int | None:
        self.python = True
        callback = Callback(function)
        self._keep.append(callback)
        return ctypes.cast(callback, ctypes.c_void_p).value

    def _python_frame(self, struct: NodeStruct, calls: Sequence[Callable[[], None]], did: int) -> None:
        record = self._bridge.function("golib_record_did")
        record(struct, Phase.ENTERED, did)
        for call in calls:
            call()
        record(struct, Phase.LEAVING, 0)

    def _scenario(self, struct: NodeStruct, call: str) -> Callable[[object], None]:
        """A user's function in its frame, which may run many times.

        An exception must not pass through the C frames above, which know nothing of it: it is kept for
        whoever runs the program."""
        runs = nanoseconds = 0

        def run(_: object) -> None:
            nonlocal runs, nanoseconds
            record = self._bridge.function("golib_record_did")
            record(struct, Phase.ENTERED, 1)
            begun = time.perf_counter_ns()
            try:
                with self._bridge.crossings_of(struct):
                    self._calls[call]()
            except BaseException as error:
                self.raised.append(error)
            took = time.perf_counter_ns() - begun
            nanoseconds += took if runs else 0  # the first call makes what the others find
            runs += 1
            threads, descriptors = (len(os.listdir(f"/proc/self/{what}")) for what in ("task", "fd"))  # noqa: PTH208
            record(struct, Phase.LEAVING, Left(threads, descriptors, nanoseconds // 1000).packed())

        return run
