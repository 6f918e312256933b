"""A child in which no Python runs: ``golib/launch/launch.c`` forks it.

An interpreter writes to each object that it looks at, and a forked process pays for each page that it is the
first to write.  Here, in the server, everything is laid out that the child needs; it finds the library's
functions by their names.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import starmap

from golib.case import calltree
from golib.case.calltree import Case
from golib.run import binding, process
from golib.run.child import Compiled, Request, world
from golib.run.program import Program
from golib.run.structs import NodeStruct


class NameStruct(ctypes.Structure):
    """``struct golib_name`` of launch.h."""

    _fields_ = (("name", ctypes.c_char_p), ("address", ctypes.c_void_p))


class LinkStruct(ctypes.Structure):
    """``struct golib_link`` of launch.h."""

    _fields_ = (("where", ctypes.c_void_p), ("name", ctypes.c_uint64))


class ProgramStruct(ctypes.Structure):
    """``struct golib_program`` of launch.h."""

    _fields_ = (
        ("root", ctypes.POINTER(NodeStruct)),
        ("links", ctypes.POINTER(LinkStruct)),
        ("handled", ctypes.POINTER(ctypes.c_int32)),
        ("nlinks", ctypes.c_int32),
        ("nhandled", ctypes.c_int32),
        ("hidden", ctypes.c_int32),
        ("onstack", ctypes.c_int32),
        ("masked", ctypes.c_int32),
        ("signals", ctypes.c_int32),
        ("blocked", ctypes.c_int32),
        ("pad", ctypes.c_int32),
    )


class LaunchStruct(ctypes.Structure):
    """``struct golib_launch`` of launch.h."""

    _fields_ = (
        ("library", ctypes.c_char_p),
        ("trace", ctypes.c_void_p),
        ("fields", ctypes.c_char_p),
        ("roots", ctypes.c_char_p),
        ("names", ctypes.POINTER(NameStruct)),
        ("programs", ctypes.POINTER(ProgramStruct)),
        ("nprograms", ctypes.c_int32),
        ("server", ctypes.c_int32),
        ("out", ctypes.c_int32),
        ("closed", ctypes.c_int32 * 2),
        ("processors", ctypes.c_int32),
        ("world", ctypes.c_int32),
        ("traced", ctypes.c_int32),
        ("sizes", ctypes.c_uint64 * len(binding.SIZES)),
    )


# uint64_t golib_launch_size(void); pid_t golib_launch(const struct golib_launch *)
_SIZE = ctypes.CFUNCTYPE(ctypes.c_uint64)
_LAUNCH = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(LaunchStruct), use_errno=True)


def fits(request: Request, programs: Compiled) -> bool:
    """Whether a child runs these without Python."""
    case = request.cases[0]
    early = "early" in case.handlers  # installed before the load, by Python
    return bool(request.launcher) and not (
        early
        or case.second
        or request.calls
        or request.driver
        or any(not isinstance(program, Program) or program.python for program in programs)
    )


def fork(request: Request, programs: Compiled, trace: int, out: int, closed: tuple[int, int]) -> int:
    """Forks the child that runs these: its pid.  ``trace``: the address of the shared memory; ``out``: the
    descriptor to which the child writes; ``closed``: those that it must not keep.

    Raises OSError where there can be no process, and BindingError where the launcher cannot be had, or is
    another golib's."""
    launch = _laid_out(request, [one for one in programs if isinstance(one, Program)])
    launch.trace, launch.out, launch.closed = trace, out, closed
    with _environment(request.cases[0], request.trace):
        pid: int = _launcher(request.launcher)(launch)
    if pid < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return pid


@cache
def _launcher(path: str) -> ctypes._FuncPointer:
    try:
        library = ctypes.CDLL(path)
    except OSError as error:  # not that of a fork
        raise binding.BindingError(f"{path} cannot be loaded: {error}") from error
    size = _SIZE(("golib_launch_size", library))()
    ours = ctypes.sizeof(LaunchStruct) + ctypes.sizeof(ProgramStruct)
    if size != ours:
        raise binding.BindingError(f"{path} was built for another golib: its size is {size}, not {ours}")
    return _LAUNCH(("golib_launch", library))


@contextmanager
def _environment(case: Case, trace: str) -> Iterator[None]:
    """What the child is to find: laid before the fork, and taken back after it."""
    try:
        world(case, trace)
        yield
    finally:
        for name, value in calltree.variables(case).items():
            if value:
                process.lay(name, " " * process.ROOM)
        for name in ("GOLIB_WORLD", "GOLIB_TRACE"):
            os.environ.pop(name, None)


def _laid_out(request: Request, programs: Sequence[Program]) -> LaunchStruct:
    """The structure, which keeps what it points to."""
    case = request.cases[0]
    places: dict[str, int] = {}
    laid = (ProgramStruct * len(programs))()
    for struct, program in zip(laid, programs, strict=True):
        links = [(where, places.setdefault(name, len(places))) for where, name in program.links()]
        handled = [calltree.HANDLED[name] for name in program.case.handled()]
        struct.root = ctypes.pointer(program.root)
        struct.links, struct.nlinks = (LinkStruct * len(links))(*starmap(LinkStruct, links)), len(links)
        struct.handled, struct.nhandled = (ctypes.c_int32 * len(handled))(*handled), len(handled)
        struct.hidden = program.case.bounds == "hidden"
        struct.onstack = "nostack" not in program.case.handlers
        struct.masked = "masked" in program.case.handlers
        struct.signals = calltree.SIGNALS.get(program.case.signals, 0)
        struct.blocked = calltree.SIGNALS.get(program.case.blocked, 0)
    names = (NameStruct * len(places))(*(NameStruct(name.encode()) for name in places))
    return LaunchStruct(
        library=request.library.encode(),
        fields=request.fields.table,
        roots=request.fields.roots,
        names=names,
        programs=laid,
        nprograms=len(programs),
        server=os.getpid(),
        processors=case.processors or int(request.pinned),
        world=bool(case.on),
        traced=bool(request.trace),
        sizes=binding.SIZES,
    )
