"""The trace: events in memory shared with the parent, and the one layout that C and Python agree on.

``bridge/golib.h`` declares the same structures; ``binding`` compares their sizes when it loads a
bridge.  A slot is claimed with one atomic add and committed by writing the run's generation last, so
a crash in the middle loses one event at most, and what an earlier run left is never taken for new.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from golib.case.script import Phase

CAPACITY = 1 << 17
"""Events a run can leave.  The memory is sparse: only what is written takes pages."""
HEADER = 4096
"""Bytes before the first event."""
VALUES = 64
"""Runtime fields an event can carry."""


class Base(IntEnum):
    """The structure of the runtime in which a field lies."""

    G0 = 0
    M = 1
    CURG = 2
    SCHED = 3
    MEMSTATS = 4


FIELDS: tuple[tuple[str, Base, str], ...] = (
    # name in the trace, structure, name in the layout: what cgocallback, cgocallbackg, unwindm,
    # needm and dropm read or write (runtime/cgocall.go, runtime/proc.go).
    ("lo", Base.G0, "g.stack.lo"),
    ("hi", Base.G0, "g.stack.hi"),
    ("guard0", Base.G0, "g.stackguard0"),
    ("guard1", Base.G0, "g.stackguard1"),
    ("sched_sp", Base.G0, "g.sched.sp"),
    ("accurate", Base.M, "m.g0StackAccurate"),
    ("isextra", Base.M, "m.isextra"),
    ("isExtraInC", Base.M, "m.isExtraInC"),
    ("isExtraInSig", Base.M, "m.isExtraInSig"),
    ("ncgo", Base.M, "m.ncgo"),
    ("incgo", Base.M, "m.incgo"),
    ("lockedInt", Base.M, "m.lockedInt"),
    ("lockedExt", Base.M, "m.lockedExt"),
    ("locks", Base.M, "m.locks"),
    ("mallocing", Base.M, "m.mallocing"),
    ("throwing", Base.M, "m.throwing"),
    ("dying", Base.M, "m.dying"),
    ("preemptoff", Base.M, "m.preemptoff.len"),
    ("procid", Base.M, "m.procid"),
    ("m_curg", Base.M, "m.curg"),
    ("m_lockedg", Base.M, "m.lockedg"),
    ("goid", Base.CURG, "g.goid"),
    ("curg_lo", Base.CURG, "g.stack.lo"),
    ("curg_hi", Base.CURG, "g.stack.hi"),
    ("syscallsp", Base.CURG, "g.syscallsp"),
    ("syscallbp", Base.CURG, "g.syscallbp"),
    ("curg_sched_sp", Base.CURG, "g.sched.sp"),
    ("throwsplit", Base.CURG, "g.throwsplit"),
    ("curg_panic", Base.CURG, "g._panic"),
    ("curg_defer", Base.CURG, "g._defer"),
    ("curg_lockedm", Base.CURG, "g.lockedm"),
    ("cgoCtxt", Base.CURG, "g.cgoCtxt.len"),
    ("paniconfault", Base.CURG, "g.paniconfault"),
    ("without_p", Base.SCHED, "sched.nGsyscallNoP.value"),
    # What Go leaves leave behind: how often the goroutine has stopped running (modulo 256), and how often
    # the collector has run.
    ("stops", Base.CURG, "g.trackingSeq"),
    ("collections", Base.MEMSTATS, "memstats.numgc"),
)


class EventStruct(ctypes.Structure):
    """``struct event`` of golib.h."""

    _fields_ = (
        ("committed", ctypes.c_uint32),
        ("node", ctypes.c_int32),
        ("phase", ctypes.c_uint8),
        ("in_go", ctypes.c_uint8),
        ("goroutines", ctypes.c_uint16),
        ("tid", ctypes.c_uint32),
        ("queries", ctypes.c_uint32),
        ("mxcsr", ctypes.c_uint32),
        ("fpu_control", ctypes.c_uint32),
        ("alt_flags", ctypes.c_uint32),
        ("sp", ctypes.c_uint64),
        ("told_lo", ctypes.c_uint64),
        ("told_hi", ctypes.c_uint64),
        ("m", ctypes.c_uint64),
        ("sigmask", ctypes.c_uint64),
        ("alt_sp", ctypes.c_uint64),
        ("alt_size", ctypes.c_uint64),
        ("did", ctypes.c_uint64),
        ("values", ctypes.c_uint64 * VALUES),
    )


class HeaderStruct(ctypes.Structure):
    """``struct header`` of golib.h."""

    _fields_ = (
        ("generation", ctypes.c_uint32),
        ("capacity", ctypes.c_uint32),
        ("next", ctypes.c_uint32),
        ("running", ctypes.c_uint32),
        ("finished", ctypes.c_uint32),
        ("refused", ctypes.c_uint32),
        ("fault", ctypes.c_char * 1000),
    )


SIZE = HEADER + CAPACITY * ctypes.sizeof(EventStruct)
"""Bytes of the shared memory."""


class Event(NamedTuple):
    """One crossing, as it was seen.  Addresses and sizes in bytes.

    ``values`` holds the runtime's fields that this release has; it is empty on a thread that has
    never called Go.  The thread's own state (``sigmask`` to ``fpu_control``) is seen from C only.
    """

    node: int
    phase: Phase
    in_go: bool
    tid: int
    sp: int
    queries: int
    told: tuple[int, int]
    m: int
    values: Mapping[str, int]
    sigmask: int = 0
    altstack: tuple[int, int, int] = (0, 0, 0)
    fpu: tuple[int, int] = (0, 0)
    goroutines: int = 0
    """runtime.NumGoroutine(), seen from Go only."""
    did: int = 0
    """By what it is seen that the node did its work; 0 where nothing is said here.

    DID of Grow: bytes of goroutine stack in use at its deepest.  Of Traceback: bytes that it wrote.  Of
    Block: how many of its waits parked the goroutine.  Of Wake: how many goroutines waited for the mutex
    when it was unlocked.  GC, Yield and LockThread are seen by ``collections``, ``stops`` and ``lockedExt``.

    AFTER, in C, of Setrlimit: the soft limit afterwards in bytes, 2**64-1 for none.  Of Signal: 1 if the
    kernel wrote a frame of a signal on this thread, on which all others are blocked meanwhile.

    CROSSING and CROSSED: the number of that callback, the same in both, and no other's in this trace.

    LEAVING of a scenario: ``Left``, packed.

    ENTERED of a Python frame: 1.  Of a thread in a Together: how many threads had come when all began.
    """

    def to_json(self) -> dict[str, Any]:
        """The event as data; ``from_json`` reads it."""
        return {name: getattr(self, name) for name in self._fields} | {"values": dict(self.values)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Event:
        tuples = {name: tuple(data[name]) for name in ("told", "altstack", "fpu")}
        return cls(**{**data, **tuples, "phase": Phase(data["phase"])})

    @property
    def bounds(self) -> tuple[int, int]:
        """g0's: lo, hi."""
        return self.values.get("lo", 0), self.values.get("hi", 0)

    @property
    def side(self) -> str:
        return "Go" if self.in_go else "C"


class Left(NamedTuple):
    """What the process has when a scenario returns."""

    threads: int
    descriptors: int
    microseconds: int
    """That all its calls at this node have taken, but for the first."""

    def packed(self) -> int:
        """As one number of 64 bits; what is too much for its place becomes the most that it can be."""
        parts = zip(self, _LEFT, strict=True)
        return sum(min(value, (1 << bits) - 1) << shift for value, (bits, shift) in parts)

    @classmethod
    def unpacked(cls, number: int) -> Left:
        return cls(*(number >> shift & (1 << bits) - 1 for bits, shift in _LEFT))


_LEFT = ((16, 0), (16, 16), (32, 32))
"""Bits of each part, and where they begin."""


@dataclass(frozen=True)
class Record:
    """What a run left in the shared memory."""

    events: tuple[Event, ...]
    finished: int
    fault: str


CALL_STATUS = 4
"""The exit status of a child whose case calls what is not to be had: a scenario, or a leaf."""
HARNESS_STATUS = 3
"""Exit status of a child in which something of ours failed."""


OUT_OF_TIME = "[golib: its time is up]\n"
"""Where in a child's output its time ran out: what stands behind it, it says of its end."""


@dataclass(frozen=True)
class Ended:
    """How a child ended: its wait status, what it wrote to stdout and stderr (the middle is left out
    where it is long), whether its time had run out, and what it left in the shared memory."""

    status: int
    stderr: str
    timed_out: bool
    record: Record
    samples: tuple[tuple[tuple[int, tuple[int, ...]], ...], ...] = ()
    """Of a child whose time had run out, as often as it was looked at before its end: each thread's id and
    program counters, innermost first, relative to where the library is loaded."""
    raised: str = ""
    """Of a child that ran a scenario: the exception by which its test failed, one line."""
    reports: str = ""
    """And pytest's reports of that test: JSON, as ``golib.scenario`` writes it."""

    def to_json(self) -> dict[str, Any]:
        """The end as data, without the samples, which stand in stderr by then; ``from_json`` reads it."""
        return {
            "status": self.status,
            "stderr": self.stderr,
            "timed_out": self.timed_out,
            "finished": self.record.finished,
            "fault": self.record.fault,
            **({"raised": self.raised} if self.raised else {}),
            "events": [event.to_json() for event in self.record.events],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Ended:
        events = tuple(map(Event.from_json, data["events"]))
        record = Record(events, data["finished"], data["fault"])
        return cls(data["status"], data["stderr"], data["timed_out"], record, raised=data.get("raised", ""))


class Memory:
    """The shared memory of one fork server, used by one run after the other."""

    def __init__(self, fd: int) -> None:
        self.map = mmap.mmap(fd, SIZE)
        self.header = HeaderStruct.from_buffer(self.map)
        self._used = 0

    def begin(self) -> None:
        """Makes room for a run: whatever is still there belongs to an earlier generation."""
        self.header.generation += 1
        self.header.capacity = CAPACITY
        self.header.next = 0
        self.header.running = 0
        self.header.finished = 0
        self.header.refused = 0
        self.header.fault = b""

    def read(self, present: Sequence[bool]) -> Record:
        """The run's events, oldest first.  ``present[i]``: this release has ``FIELDS[i]``."""
        header = self.header
        # A plain struct: a ctypes structure makes an object of every field that is looked at.
        names = tuple(FIELDS[index][0] for index, has in enumerate(present) if has)
        layout = struct.Struct(_HEAD + "".join("Q" if has else "8x" for has in present))
        events = []
        size = ctypes.sizeof(EventStruct)
        for start in range(HEADER, HEADER + size * min(header.next, CAPACITY), size):
            raw = layout.unpack_from(self.map, start)
            if raw[0] == header.generation:
                events.append(_event(raw, names))
        return Record(tuple(events), header.finished, header.fault.decode(errors="replace"))

    def close(self) -> None:
        del self.header
        self.map.close()


_HEAD = "@" + "".join(vars(kind)["_type_"] for _, kind in EventStruct._fields_[:-1])
"""``struct event`` up to its values, as the struct module says it: with C's own sizes and alignment."""
_PHASES = tuple(Phase)


def _event(raw: tuple[int, ...], names: tuple[str, ...]) -> Event:
    _, node, phase, in_go, goroutines, tid, queries, mxcsr, control, alt_flags, *rest = raw
    sp, told_lo, told_hi, m, sigmask, alt_sp, alt_size, did, *values = rest
    return Event(
        node=node,
        phase=_PHASES[phase],
        in_go=bool(in_go),
        tid=tid,
        sp=sp,
        queries=queries,
        told=(told_lo, told_hi),
        m=m,
        values=dict(zip(names, values, strict=True)) if m else {},
        sigmask=sigmask,
        altstack=(alt_sp, alt_size, alt_flags),
        fpu=(mxcsr, control),
        goroutines=goroutines,
        did=did,
    )
