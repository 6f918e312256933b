"""The structures of golib.h that describe a case to the bridge: a compiled node, and where the runtime's
fields are.  Those of the trace are in ``trace``; tests/framework/test_binding.py compares all of them with
golib.h."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

from golib.run import trace


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
        ("older", ctypes.c_void_p),
        ("mute", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
        ("result", ctypes.c_uint64),
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
