"""The only place with ctypes prototypes: loads a bridge, and compiles call trees to its thunks.

Every node becomes ``struct thunk { fn, arg }``.  A C, Stack or Go node's fn is C code of the bridge,
a Python node's is a CFUNCTYPE, so native frames call native frames with no interpreter between and
Python stands exactly where the tree says.  A fork server compiles, its child loads and runs: nothing
here may import more than a forked process needs.
"""

from __future__ import annotations

import ctypes
import io
import mmap
import os
import signal
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from golib import calltree, legality, trace
from golib.calltree import Node

Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
Callable32 = ctypes.CFUNCTYPE(None, ctypes.c_int32)


class BindingError(Exception):
    """The library is not a bridge that this golib can drive."""


class FieldStruct(ctypes.Structure):
    """``struct field`` of golib.h."""

    _fields_ = (("base", ctypes.c_uint32), ("size", ctypes.c_uint32), ("offset", ctypes.c_uint64))


class RootsStruct(ctypes.Structure):
    """``struct roots`` of golib.h: where the runtime's structures are, and what Go leaves read of g."""

    _fields_ = (
        # Offsets in g and m.
        ("g_m", ctypes.c_uint64),
        ("m_g0", ctypes.c_uint64),
        ("m_curg", ctypes.c_uint64),
        ("g_hi", ctypes.c_uint64),
        ("g_stops", ctypes.c_uint64),  # 0: the release has no such field
        # Offsets in the library.
        ("sched", ctypes.c_uint64),
        ("memstats", ctypes.c_uint64),
    )


class Thunk(ctypes.Structure):
    """``struct thunk`` of golib.h."""

    _fields_ = (("fn", ctypes.c_void_p), ("arg", ctypes.c_void_p))


class NodeStruct(ctypes.Structure):
    """``struct node`` of golib.h."""

    _fields_ = (
        ("body", ctypes.POINTER(Thunk)),
        ("deferred", ctypes.POINTER(Thunk)),
        ("nbody", ctypes.c_int32),
        ("ndeferred", ctypes.c_int32),
        ("id", ctypes.c_int32),
        ("kind", ctypes.c_int32),
        ("recover", ctypes.c_int32),
        ("argument", ctypes.c_int32),
        ("stack", ctypes.c_uint64),
        ("times", ctypes.c_uint64),
        ("region_lo", ctypes.c_uint64),
        ("region_hi", ctypes.c_uint64),
        ("export", ctypes.c_void_p),
        ("start", ctypes.c_void_p),
        ("join", ctypes.c_void_p),
        ("thread", ctypes.c_void_p),
        ("gate", ctypes.c_void_p),
        ("handle", ctypes.c_uint64),
        ("m", ctypes.c_void_p),
        ("end_sigmask", ctypes.c_uint64),
        ("end_alt_sp", ctypes.c_uint64),
        ("end_alt_size", ctypes.c_uint64),
        ("end_alt_flags", ctypes.c_uint64),
        ("mute", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
    )


@dataclass(frozen=True)
class Fields:
    """Where the runtime's fields are in one library, as the bridge reads it."""

    roots: bytes  # struct roots of golib.h
    table: bytes  # its struct field, as often as trace.VALUES
    present: tuple[bool, ...]  # in the order of trace.FIELDS

    @classmethod
    def of(cls, roots: RootsStruct, table: Sequence[tuple[int, int, int]]) -> Fields:
        """roots: offsets in bytes.  table: (base, size, offset from the structure that the base names) in
        the order of trace.FIELDS, bytes; a field that the release lacks has size 0."""
        whole = (FieldStruct * trace.VALUES)(*(FieldStruct(*entry) for entry in table))
        return cls(bytes(roots), bytes(whole), tuple(size > 0 for _, size, _ in table))


# enum golib_kind of golib.h, in its order.
_KINDS = (
    *("Go", "C", "Python", "Stack", "Thread", "Together", "Export"),
    *("GC", "Panic", "Grow", "Yield", "Traceback", "Goexit", "LockThread", "Block", "Wake"),
    *("Signal", "Setrlimit"),
)
_KIND = {name: number for number, name in enumerate(_KINDS)}

_FRAMES = {
    calltree.Go: "golib_frame_go",
    calltree.C: "golib_frame_c",
    calltree.Stack: "golib_frame_stack",
    calltree.Thread: "golib_frame_thread",
    calltree.Together: "golib_frame_together",
    calltree.Export: "golib_frame_export",
    calltree.Signal: "golib_leaf_signal",
    calltree.Setrlimit: "golib_leaf_setrlimit",
}


# What golib.h declares, and the plain exports, which cgo declares with GoInt32 parameters.  Made once,
# before the fork: a forked child pays for each page that it is the first to write.
_PROTOTYPES = {
    "golib_sizes": ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_uint64)),
    "golib_use": ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p),
    "golib_call": ctypes.CFUNCTYPE(None, ctypes.POINTER(Thunk)),
    "golib_record_did": ctypes.CFUNCTYPE(None, ctypes.POINTER(NodeStruct), ctypes.c_int, ctypes.c_uint64),
    "golib_begin_thread": ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.POINTER(NodeStruct)),
    "golib_export_begin": ctypes.CFUNCTYPE(None, ctypes.POINTER(NodeStruct)),
    "golib_export_end": ctypes.CFUNCTYPE(None, ctypes.POINTER(NodeStruct)),
    "golib_signals_start": ctypes.CFUNCTYPE(None, ctypes.c_int),
    "golib_signals_stop": ctypes.CFUNCTYPE(None),
    "golib_wait_ready": ctypes.CFUNCTYPE(None),
    "golibStopTrace": ctypes.CFUNCTYPE(None),
    "golib_run": ctypes.CFUNCTYPE(None, ctypes.POINTER(NodeStruct), ctypes.c_int, ctypes.c_int),
    "GoF": ctypes.CFUNCTYPE(None, ctypes.c_int32),
    "callGoWithVariousStackAndGoFrame": ctypes.CFUNCTYPE(None, ctypes.c_int32),
    "GoEmpty": ctypes.CFUNCTYPE(None),
}
_Sizes = ctypes.c_uint64 * 6
_OURS = (
    ctypes.sizeof(NodeStruct),
    ctypes.sizeof(trace.EventStruct),
    ctypes.sizeof(trace.HeaderStruct),
    trace.EventStruct.values.offset,
    NodeStruct.thread.offset,
    trace.VALUES,
)
_THUNKS = tuple(Thunk * count for count in range(4))
"""Arrays for what most nodes have: ctypes makes a new type for each length that it has not seen."""


class Bridge:
    """A loaded bridge.  Loading starts a Go runtime in this process, which then must not fork."""

    def __init__(self, path: str) -> None:
        # RTLD_LOCAL, as a Python user's ctypes.CDLL does.
        self._library = ctypes.CDLL(path)
        self._functions: dict[str, Any] = {}
        sizes = _Sizes()
        self.function("golib_sizes")(sizes)
        if tuple(sizes) != _OURS:
            raise BindingError(f"{path} was built for another golib: its sizes are {[*sizes]}, not {_OURS}")

    def function(self, name: str, prototype: Any = None) -> Any:
        """One of the bridge's, to be called from Python; as CDLL's do, it releases the GIL meanwhile."""
        found = self._functions.get(name)
        if found is None:
            prototype = prototype or _PROTOTYPES[name]
            found = self._functions[name] = prototype((name, self._library))
        return found

    def address(self, name: str) -> int:
        """Of a function of the bridge."""
        return ctypes.addressof(ctypes.c_char.in_dll(self._library, name))

    def use(self, memory: int, fields: Fields) -> None:
        """Attaches the trace at that address."""
        self.function("golib_use")(memory, fields.table, fields.roots)

    def hide_bounds(self, hidden: bool) -> None:
        """pthread_getattr_np gives nothing from now on."""
        ctypes.c_int.in_dll(self._library, "golib_hidden").value = hidden

    def wait_ready(self) -> None:
        """Returns when Go's init has turned on what the world asks for."""
        self.function("golib_wait_ready")()

    def stop_trace(self) -> None:
        """Ends the execution trace: its file is complete."""
        self.function("golibStopTrace")()

    def run(self, program: Program) -> None:
        """Runs a linked program on this thread, while its case's signals arrive on all the threads."""
        case = program.case
        if case.signals:
            self.function("golib_signals_start")(calltree.SIGNALS[case.signals])
        self.function("golib_run")(program.root, calltree.SIGNALS.get(case.blocked, 0), program.leave)
        if case.signals:
            self.function("golib_signals_stop")()


class Program:
    """A case, compiled: owns every structure and callback that the native side sees.

    Compiled before the fork and linked after it, when the child has loaded a bridge: a forked process
    pays for each page that it is the first to touch, most when Go is starting on another processor.
    """

    python_threads = False
    """Whether some of its threads are Python's."""
    _bridge: Bridge

    def __init__(self, case: calltree.Case, regions: Mapping[int, tuple[int, int]], first: int = 0) -> None:
        """``first``: the number of its first node; more than 0 for a case that follows others.

        Raises BindingError when the memory that it needs cannot be had.
        """
        self.case = case
        self._regions = regions
        self._keep: list[Any] = []
        self._number = first
        self._addresses: list[tuple[ctypes.Structure, str, str]] = []
        self.leave = legality.leaves_interpreter(case)
        self.root = NodeStruct(id=-1)
        self._fill(self.root, "body", case.trees)

    def link(self, bridge: Bridge) -> None:
        """Gives its nodes the functions of this bridge."""
        self._bridge = bridge
        for where, field, name in self._addresses:
            setattr(where, field, bridge.address(name))

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
        self._number += 1
        self._keep.append(struct)
        thunk.arg = ctypes.addressof(struct)
        # Numbered as Case.walk does: the body, then what is deferred.
        body = self._fill(struct, "body", node.body)
        if name := _FRAMES.get(type(node)):
            self._addresses.append((thunk, "fn", name))
        match node:
            case calltree.Go():
                struct.recover = node.recover
                self._fill(struct, "deferred", node.deferred)
            case calltree.C():
                struct.stack, struct.times = node.stack, node.times
            case calltree.Python():
                calls = self._from_python(node, body)
                thunk.fn = self._callback(lambda _: self._python_frame(struct, calls, did=1))
            case calltree.Stack():
                struct.region_lo, struct.region_hi = self._regions[node.region]
            case calltree.Export():
                self._addresses.append((struct, "export", node.name))
                struct.argument = node.p
            case calltree.Signal():
                struct.argument = calltree.SIGNALS[node.name]
            case calltree.Grow() | calltree.Setrlimit():
                struct.stack = node.stack
            case calltree.Thread():
                struct.recover = node.recover
                self._fill(struct, "deferred", node.deferred)
                self._thread(node, struct, body)

    def _from_python(self, node: Node, body: Sequence[Thunk]) -> list[Callable[[], None]]:
        """How Python runs what a node has in it: an export by its name, all else through golib_call."""

        def call(thunk: Thunk) -> None:
            self._bridge.function("golib_call")(thunk)

        def call_export(name: str, arguments: Sequence[int], struct: NodeStruct) -> None:
            self._bridge.function("golib_export_begin")(struct)
            self._bridge.function(name)(*arguments)
            self._bridge.function("golib_export_end")(struct)

        calls: list[Callable[[], None]] = []
        for below, thunk in zip(node.body, body, strict=True):
            if isinstance(below, calltree.Export):
                arguments = () if below.name == "GoEmpty" else (below.p,)
                struct = NodeStruct.from_address(thunk.arg)
                calls.append(partial(call_export, below.name, arguments, struct))
            else:
                calls.append(partial(call, thunk))
        return calls

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
        callback = Callback(function)
        self._keep.append(callback)
        return ctypes.cast(callback, ctypes.c_void_p).value

    def _python_frame(self, struct: NodeStruct, calls: Sequence[Callable[[], None]], did: int) -> None:
        record = self._bridge.function("golib_record_did")
        record(struct, trace.Phase.ENTERED, did)
        for call in calls:
            call()
        record(struct, trace.Phase.LEAVING, 0)


# The C library, for the processes in which cases run.

MAP_FIXED_NOREPLACE = 0x100000
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_LOWEST = 0x1000_0000_0000
"""Where the lower foreign stacks begin: below every mapping of a process on Linux x86-64 but above
the Go heap's first arenas (0xc000000000, runtime/malloc.go)."""
_HIGHEST = 0x7FFF_FFFF_F000
"""End of the user's addresses on x86-64 with four levels of page tables."""
_SPACING = 16 * calltree.KIB * calltree.KIB


def reserve_regions() -> dict[int, tuple[int, int]]:
    """Maps the foreign stacks of ``calltree.REGIONS``: those below zero under every thread's stack,
    the others above the main thread's.  Returns (lowest address, end) of each.

    Raises BindingError where the kernel has put the main thread's stack so high that nothing fits
    above it (one start in some hundred).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # void *mmap(void *, size_t, int, int, int, off_t)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (
        *(ctypes.c_void_p, ctypes.c_size_t),
        *(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long),
    )
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED_NOREPLACE

    def place(address: int) -> bool:
        got = libc.mmap(address, calltree.REGION, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
        return bool(got == address)

    with open("/proc/self/maps") as maps:  # noqa: PTH123 - a forked process wants no pathlib
        stack = next(line for line in maps if line.rstrip().endswith("[stack]"))
    top = int(stack.split()[0].split("-")[1], 16)
    regions: dict[int, tuple[int, int]] = {}
    for wanted, address, end in (
        ([number for number in calltree.REGIONS if number < 0], _LOWEST, top),
        ([number for number in calltree.REGIONS if number > 0], top + _SPACING, _HIGHEST),
    ):
        for number in wanted:
            while not place(address):
                address += _SPACING
                if address + calltree.REGION > end:
                    raise BindingError("no room for foreign stacks above the main thread's stack")
            regions[number] = (address, address + calltree.REGION)
            address += _SPACING
    return regions


# int prctl(int, unsigned long, ...)
_prctl = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_ulong)(("prctl", ctypes.CDLL(None)))


def adopt_orphans() -> None:
    """What this process's children leave running becomes its own children."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """The kernel kills this process when the one that forked it is gone."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# What a hung process is doing.

_PTRACE_GETREGS, _PTRACE_DETACH, _PTRACE_SEIZE, _PTRACE_INTERRUPT = 12, 17, 0x4206, 0x4207
_WALL = 0x40000000
_RBP, _RIP, _REGISTERS = 4, 16, 27  # struct user_regs_struct of x86-64
_MOST_COUNTERS = 48


def stacks(pid: int, wait: Callable[[int, int], object]) -> list[tuple[int, list[int]]]:
    """The program counters of each thread of a child, innermost first, the main thread first: by frame
    pointers, which Go keeps.

    ``wait`` is os.waitpid, lent by who may wait.  With ptrace, because a thread that hangs in a signal
    handler takes no signal.  Raises OSError when the kernel does not let us look.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # long ptrace(int, pid_t, void *, void *)
    libc.ptrace.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    libc.ptrace.restype = ctypes.c_long
    registers = (ctypes.c_ulonglong * _REGISTERS)()

    def request(what: int, tid: int, data: int = 0) -> None:
        if libc.ptrace(what, tid, 0, data) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    seen = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123
        for tid in sorted(int(name) for name in os.listdir(f"/proc/{pid}/task")):  # noqa: PTH208
            request(_PTRACE_SEIZE, tid)
            request(_PTRACE_INTERRUPT, tid)
            wait(tid, _WALL)
            request(_PTRACE_GETREGS, tid, ctypes.addressof(registers))
            seen.append((tid, _walk(memory, registers[_RIP], registers[_RBP])))
            request(_PTRACE_DETACH, tid)
    return seen


def _walk(memory: io.FileIO, pc: int, frame: int) -> list[int]:
    counters = [pc]
    frames = {0}
    while frame not in frames and len(counters) < _MOST_COUNTERS:
        frames.add(frame)
        try:
            memory.seek(frame)
            data = memory.read(16)
        except (OSError, OverflowError):  # C keeps no frame pointers: the register holds anything
            break
        if len(data) < 16:
            break
        frame, pc = struct.unpack("<QQ", data)
        counters.append(pc)
    return counters


# Benchmarks.


class BenchStruct(ctypes.Structure):
    """``struct golib_bench`` of bench.h."""

    _fields_ = (
        ("call", ctypes.c_void_p),
        ("calls", ctypes.c_uint64),
        ("goal_ns", ctypes.c_uint64),
        ("ns", ctypes.c_uint64),
        ("queries", ctypes.c_uint64),
    )


class _Loops(Program):
    """A case in which each C frame is the loop of the bridge's bench.c."""

    def _compile(self, node: Node, thunk: Thunk) -> None:
        super()._compile(node, thunk)
        if isinstance(node, calltree.C):
            self._addresses.append((thunk, "fn", "golib_leaf_bench"))


class Bench:
    """The loops of a bridge's bench.c: a function called so many times, and nothing else."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        run = ctypes.CFUNCTYPE(None, ctypes.POINTER(BenchStruct), ctypes.POINTER(NodeStruct))
        self._run = bridge.function("golib_bench_run", run)
        self.nothing = bridge.function("golib_bench_nothing", ctypes.CFUNCTYPE(None))
        self.queries = bridge.function("golib_bench_queries", ctypes.CFUNCTYPE(ctypes.c_uint32))

    def run(
        self,
        case: calltree.Case,
        calls: int,
        goal: int,
        regions: Mapping[int, tuple[int, int]],
        *,
        through_python: bool = False,
    ) -> tuple[int, int, int]:
        """Calls GoEmpty, or a Python function that calls it, in a C loop that stands where the case has its
        C frame.  ``calls`` 0: as many as take ``goal`` ns.

        Returns the calls, the nanoseconds of all of them together, and how often the thread asked
        pthread_getattr_np meanwhile.
        """
        go = self._bridge.function("GoEmpty")
        call = ctypes.CFUNCTYPE(None)(lambda: go()) if through_python else go
        bench = BenchStruct(ctypes.cast(call, ctypes.c_void_p), calls, goal)
        self._bridge.hide_bounds(case.bounds == "hidden")
        loops = _Loops(case, regions)
        loops.link(self._bridge)
        self._run(bench, loops.root)
        return bench.calls, bench.ns, bench.queries
