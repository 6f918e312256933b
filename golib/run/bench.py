"""The loops of the bridge's bench.c: a function called so many times, and nothing else."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

from golib.case import calltree
from golib.case.calltree import Node
from golib.run.binding import Bridge
from golib.run.program import Program
from golib.run.structs import NodeStruct, Thunk


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
