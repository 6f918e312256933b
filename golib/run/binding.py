"""A loaded bridge: its functions, each with its prototype."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from golib.case.prototype import Prototype
from golib.run import trace
from golib.run.structs import Fields, NodeStruct, Thunk


class BindingError(Exception):
    """The library is not a bridge that this golib can drive."""


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
    "golib_scenario_begin": ctypes.CFUNCTYPE(None, ctypes.POINTER(NodeStruct)),
    "golib_scenario_end": ctypes.CFUNCTYPE(None, ctypes.POINTER(NodeStruct)),
    "golib_handle": ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_uint64),
    "golib_unhandle": ctypes.CFUNCTYPE(None, ctypes.c_int),
    "golib_signals_start": ctypes.CFUNCTYPE(None, ctypes.c_int),
    "golib_signals_stop": ctypes.CFUNCTYPE(None),
    "golib_watch": ctypes.CFUNCTYPE(None, ctypes.c_uint64, ctypes.c_uint64),
    "golib_wait_ready": ctypes.CFUNCTYPE(None),
    "golibStopTrace": ctypes.CFUNCTYPE(None),
    "golib_run": ctypes.CFUNCTYPE(None, ctypes.POINTER(NodeStruct), ctypes.c_int, ctypes.c_int),
    "GoF": ctypes.CFUNCTYPE(None, ctypes.c_int32),
    "callGoWithVariousStackAndGoFrame": ctypes.CFUNCTYPE(None, ctypes.c_int32),
    "GoEmpty": ctypes.CFUNCTYPE(None),
}
SIZES = (
    ctypes.sizeof(NodeStruct),
    ctypes.sizeof(trace.EventStruct),
    ctypes.sizeof(trace.HeaderStruct),
    trace.EventStruct.values.offset,
    NodeStruct.thread.offset,
    trace.VALUES,
)
"""What ``golib_sizes`` of a bridge must say."""


_QUESTION = "pthread_getattr_np"


def _mapped(path: str) -> tuple[int, int]:
    """Where a loaded library lies: lowest address, end."""
    with open("/proc/self/maps") as maps:  # noqa: PTH123 - a forked process wants no pathlib
        lines = [line for line in maps if line.rstrip().endswith(path)]
    return int(lines[0].partition("-")[0], 16), int(lines[-1].split()[0].partition("-")[2], 16)


def load_second(path: str) -> None:
    """Loads a copy of a bridge, with a Go runtime of its own, and returns when its init is through.  The
    world is not for this one: it switches nothing on."""
    copy = os.memfd_create("golib-second")
    source = os.open(path, os.O_RDONLY)
    size = os.fstat(source).st_size
    while size:
        size -= os.sendfile(copy, source, None, size)
    os.close(source)
    world = os.environ.pop("GOLIB_WORLD", None)
    second = ctypes.CDLL(f"/proc/self/fd/{copy}")
    os.close(copy)
    _PROTOTYPES["golib_wait_ready"](("golib_wait_ready", second))()
    if world is not None:
        os.environ["GOLIB_WORLD"] = world


class Bridge:
    """A loaded bridge.  Loading starts a Go runtime in this process, which then must not fork."""

    def __init__(self, path: str, driven: str = "") -> None:
        """``driven``: a library as shipped, where the bridge is the driver that has no Go
        (``golib.toolchains.outside``)."""
        # RTLD_LOCAL, as a Python user's ctypes.CDLL does.
        self._path, self._library = path, ctypes.CDLL(path)
        self._functions: dict[str, Any] = {}
        self.exports: Mapping[str, Prototype] = {}
        self._loaded: Any = None
        sizes = (ctypes.c_uint64 * len(SIZES))()
        self.function("golib_sizes")(sizes)
        if tuple(sizes) != SIZES:
            raise BindingError(f"{path} was built for another golib: its sizes are {[*sizes]}, not {SIZES}")
        self._driven = self._drive(path, driven) if driven else None

    def _drive(self, path: str, driven: str) -> ctypes.CDLL:
        """Loads the library and has its questions counted from now on."""
        everybodys = ctypes.c_char.in_dll(ctypes.CDLL(None), _QUESTION)
        if ctypes.addressof(everybodys) != self.address(_QUESTION):
            raise BindingError(f"LD_PRELOAD={path} had no effect: questions would not be counted")
        try:
            library = ctypes.CDLL(driven)
        except OSError as error:
            raise BindingError(f"{driven} cannot be loaded: {error}") from error
        self.function("golib_watch")(*_mapped(driven))
        return library

    def function(self, name: str, prototype: Any = None) -> Any:
        """One of the bridge's, to be called from Python; as CDLL's do, it releases the GIL meanwhile."""
        found = self._functions.get(name)
        if found is None:
            prototype = prototype or _PROTOTYPES[name]
            found = self._functions[name] = prototype((name, self._library))
        return found

    def export(self, name: str) -> Any:
        """One that Python calls with arguments, by ``exports``."""
        if self._loaded is None:
            from golib.run.exports import Loaded  # few cases need it

            self._loaded = Loaded(self._path, self.exports)
        return self._loaded[name]

    @contextmanager
    def crossings_of(self, struct: NodeStruct) -> Iterator[None]:
        """Callbacks of the user's own library leave their events at that node.  A library that golib did not
        build has no such events."""
        if self._driven:
            yield
            return
        self.function("golib_scenario_begin")(struct)
        try:
            yield
        finally:
            self.function("golib_scenario_end")(struct)

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
