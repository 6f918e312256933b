"""The exports of a loaded library as Python functions, with the prototypes that the library gives itself.

    lib.MylibVisit(3, lib.visit_fn(seen.append))    # a typedef of a function pointer makes callbacks
    lib.MylibSum(lib.slice("int64", [1, 2]))        # an array that Go reads and may write
    quotient, rest = lib.MylibDivide(7, 2)          # several results: a named tuple

A call that does not fit is refused in one sentence before anything runs.  An exception in a callback cannot
pass through Go: it is kept, the callback gives 0, and it is raised when the export returns, the first of
them.  One whose thread is in no export of ours (Go's own) is raised by the next export that returns.
"""

from __future__ import annotations

import ctypes
import sys
from _thread import get_ident
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Any

from golib.case import prototype
from golib.case.prototype import Prototype, Type

_INTEGERS = {
    ("int", 1): ctypes.c_int8,
    ("int", 2): ctypes.c_int16,
    ("int", 4): ctypes.c_int32,
    ("int", 8): ctypes.c_int64,
    ("uint", 1): ctypes.c_uint8,
    ("uint", 2): ctypes.c_uint16,
    ("uint", 4): ctypes.c_uint32,
    ("uint", 8): ctypes.c_uint64,
    ("float", 4): ctypes.c_float,
    ("float", 8): ctypes.c_double,
}
_ELEMENTS: dict[str, Any] = {
    "float32": ctypes.c_float,
    "float64": ctypes.c_double,
} | {name: getattr(ctypes, f"c_{name}") for name in prototype.ELEMENTS if "int" in name}


class GoString(ctypes.Structure):
    """``_GoString_`` of cgo's header."""

    _fields_ = (("p", ctypes.c_void_p), ("n", ctypes.c_ssize_t))


class GoSlice(ctypes.Structure):
    """``GoSlice`` of cgo's header: lengths in elements."""

    _fields_ = (("data", ctypes.c_void_p), ("len", ctypes.c_int64), ("cap", ctypes.c_int64))


class GoInterface(ctypes.Structure):
    """``GoInterface`` of cgo's header."""

    _fields_ = (("t", ctypes.c_void_p), ("v", ctypes.c_void_p))


class Chars(bytes):
    """What a char* result points to, up to its NUL.  Passed back as a char* or void* it is the same pointer,
    so that the library can free it."""

    address: int


@cache
def _type(kind: Type) -> Any:
    """The type of ctypes.  A char* is an address: as c_char_p a result would lose where it points."""
    match kind.kind:
        case "int" | "uint" | "float":
            return _INTEGERS[kind.kind, kind.size]
        case "string":
            return GoString
        case "slice":
            return GoSlice
        case "interface":
            return GoInterface
        case "struct":
            fields = [(name, _type(of)) for name, _, of in kind.fields]
            made = type(kind.name.rpartition(" ")[2], (ctypes.Structure,), {"_fields_": fields})
            if [getattr(made, name).offset for name, _ in fields] != [offset for _, offset, _ in kind.fields]:
                raise TypeError(f"{kind} is laid out in a way that golib cannot pass")
            return made
        case "chars" | "pointer" | "function":
            return ctypes.c_void_p
    raise TypeError(f"{kind} is a type that golib cannot pass; wrap the export in one that it can")


@cache
def _named(kind: Type) -> Any:
    """The named tuple of a structure."""
    return namedtuple(
        kind.name.rpartition(" ")[2] or "result", [name for name, _, _ in kind.fields], rename=True
    )


def _address(data: bytes) -> int | None:
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value


def _is_native(kind: Type, value: object) -> bool:
    """Whether the value is an object of ctypes, or one of ours, that is passed as it is."""
    match kind.kind:
        case "pointer":
            return isinstance(
                value, ctypes.Array | ctypes.Structure | ctypes._SimpleCData | ctypes._Pointer | Chars
            )
        case "chars":
            return isinstance(value, ctypes.Array | Chars)
        case "slice":
            return isinstance(value, ctypes.Array | GoSlice)
        case "string":
            return isinstance(value, GoString)
        case "function":
            return isinstance(value, ctypes._CFuncPtr)  # type: ignore[attr-defined]
    return False


def _native(kind: Type, value: Any, keep: list[Any]) -> Any:
    """The value as ctypes passes it; ``keep``: what must live until the call returns."""
    match kind.kind:
        case "string" if not isinstance(value, GoString):
            data = prototype.text(value)
            keep.append(data)
            return GoString(_address(data), len(data))
        case "slice" if not isinstance(value, GoSlice):
            if isinstance(value, bytes):
                value = ("uint8", tuple(value))
            if isinstance(value, tuple):
                value = _array(*value)
            keep.append(value)
            return GoSlice(ctypes.addressof(value), len(value), len(value))
        case "interface":
            return GoInterface()
        case "struct":
            members = [_native(of, one, keep) for (_, _, of), one in zip(kind.fields, value, strict=True)]
            return _type(kind)(*members)
        case "chars" | "pointer" | "function":
            if isinstance(value, Chars):
                return value.address
            if isinstance(value, str | bytes):
                data = prototype.text(value)
                keep.append(data)
                return _address(data)
            if value is not None and not isinstance(value, int):
                keep.append(value)
                return (
                    ctypes.cast(value, ctypes.c_void_p).value if _points(value) else ctypes.addressof(value)
                )
    return value


def _points(value: object) -> bool:
    return isinstance(value, ctypes._Pointer | ctypes.Array | ctypes._CFuncPtr)  # type: ignore[attr-defined]


def _python(kind: Type, value: Any, keep: Any = None) -> Any:
    """What a call gave, as Python has it.  ``keep``: what it was given, into which a slice may point."""
    match kind.kind:
        case "slice":
            value.keep = keep
        case "string":
            return ctypes.string_at(value.p, value.n).decode(errors="surrogateescape") if value.n else ""
        case "chars" if value is not None:
            chars = Chars(ctypes.string_at(value))
            chars.address = value
            return chars
        case "struct":
            return _named(kind)(*(_python(of, getattr(value, name), keep) for name, _, of in kind.fields))
    return value


def _array(element: str, values: Iterable[Any]) -> Any:
    values = list(values)
    return (_ELEMENTS[element] * len(values))(*values)


def plain(given: Any, like: Any) -> Any:
    """What an export gave as the plain data of a case: a GoSlice has the elements that ``like`` names."""
    if isinstance(given, GoSlice):
        if isinstance(like, bytes):
            return ctypes.string_at(given.data, given.len) if given.len else b""
        return like[0], tuple(_elements(like[0], given))
    if isinstance(given, tuple):
        return tuple(plain(one, other) for one, other in zip(given, like, strict=True))
    return given


def _elements(element: str, given: GoSlice) -> list[Any]:
    return list((_ELEMENTS[element] * given.len).from_address(given.data)) if given.len else []


class Loaded:
    """The library under test, in this process.  A Go library runs from its loading on, so it is loaded when
    an export is first called.  An export whose name this class uses for something else is ``lib["slice"]``.
    Of a library that says nothing of its exports, each is what ctypes makes of it.
    """

    def __init__(self, path: str, exports: Mapping[str, Prototype]) -> None:
        self.__file__ = path
        self._exports = exports
        self._made: dict[str, Callable[..., Any]] = {}
        # Callbacks may be called as long as the library is there: what keeps one is for Go to know.
        self._callbacks: list[Any] = []
        # Of each thread in exports of ours what their callbacks raised, the innermost export last.
        self._inside: dict[int, list[list[BaseException]]] = {}
        self._astray: list[BaseException] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        found = self._make(name)
        setattr(self, name, found)
        return found

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return self._made.get(name) or self._make(name)

    def slice(self, element: str, values: Iterable[Any]) -> Any:
        """For a GoSlice: an array of that type of Go's (``"int64"``).  Go may write to it, and it is read as
        a list is."""
        if element not in _ELEMENTS:
            raise TypeError(f"slice: no elements of type {element!r}; the types are {', '.join(_ELEMENTS)}")
        values = tuple(values)
        wrong = prototype.unfit(Type("slice", ctypes.sizeof(GoSlice), "GoSlice"), (element, values))
        if wrong:
            raise type(wrong)(f"slice: the argument {wrong}")
        return _array(element, values)

    def values(self, element: str, given: GoSlice) -> list[Any]:
        """The elements of a GoSlice that an export gave, which are of that type of Go's."""
        if element not in _ELEMENTS:
            raise TypeError(f"values: no elements of type {element!r}; the types are {', '.join(_ELEMENTS)}")
        return _elements(element, given)

    def _left(self) -> BaseException | None:
        """What a callback on a thread of Go's raised and no export has raised yet."""
        return self._astray.pop(0) if self._astray else None

    def _make(self, name: str) -> Callable[..., Any]:
        if not self._exports:
            return getattr(ctypes.CDLL(self.__file__), name)  # type: ignore[no-any-return]
        if name in self._exports:
            found: Callable[..., Any] = self._export(name, self._exports[name])
        elif kind := _callbacks(self._exports).get(name):
            found = partial(self._callback, kind)
        else:
            there = ", ".join((*self._exports, *_callbacks(self._exports))) or "none"
            raise AttributeError(
                f"the library exports no {name}, and none of its exports takes a callback of that type;"
                f" it has: {there}"
            )
        self._made[name] = found
        return found

    def _export(self, name: str, of: Prototype) -> Callable[..., Any]:
        made: list[Any] = []

        def export(*args: Any) -> Any:
            if wrong := prototype.refuse_call(name, of, args, _is_native):
                raise wrong
            if not made:
                restype = _type(of.gives) if of.gives else None
                function = ctypes.CFUNCTYPE(restype, *map(_type, of.takes))
                made.append(function((name, ctypes.CDLL(self.__file__))))
            keep: list[Any] = []
            native = [_native(kind, one, keep) for kind, one in zip(of.takes, args, strict=True)]
            raised: list[BaseException] = []
            inside = self._inside.setdefault(get_ident(), [])
            inside.append(raised)
            try:
                given = made[0](*native)
            finally:
                inside.pop()
            if raised or self._astray:
                raise (raised or self._astray).pop(0)
            return given if of.gives is None else _python(of.gives, given, keep)

        export.__name__ = name
        export.__doc__ = str(of)
        return export

    def _callback(self, kind: Type, function: Callable[..., Any]) -> Any:
        if not callable(function):
            raise TypeError(f"{kind}: {function!r} cannot be called; give it a function")

        def callback(*args: Any) -> Any:
            try:
                given = function(*(_python(of, one) for of, one in zip(kind.takes, args, strict=True)))
                if kind.gives is None:
                    return None
                if wrong := prototype.unfit(kind.gives, given):
                    raise type(wrong)(f"{kind}: the callback's result {wrong}")
                return given
            except BaseException as error:
                # Go goes on with a zero, which it may die of before anybody can raise this.
                at = error.__traceback__ and error.__traceback__.tb_next
                where = f" at {at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at else ""
                print(f"golib: a callback has raised {error!r}{where}", file=sys.stderr)
                inside = self._inside.get(get_ident())
                (inside[-1] if inside else self._astray).append(error)
                return None if kind.gives is None else _type(kind.gives)().value or 0

        if kind.gives is not None and kind.gives.kind not in ("int", "uint", "float", "pointer"):
            raise TypeError(f"{kind}: Python cannot return {kind.gives} from a callback; golib takes numbers")
        made = ctypes.CFUNCTYPE(_type(kind.gives) if kind.gives else None, *map(_type, kind.takes))(callback)
        self._callbacks.append(made)
        return made


def _callbacks(exports: Mapping[str, Prototype]) -> dict[str, Type]:
    """The function pointers that exports take, by the names of their types."""
    found = {}
    for one in exports.values():
        for kind in one.takes:
            for of in (kind, *(field for _, _, field in kind.fields)):
                if of.kind == "function":
                    found[of.name] = of
    return found
