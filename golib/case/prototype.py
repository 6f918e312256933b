"""What an export takes and gives, as plain data, and which Python values fit.

The types are those of C, as cgo's header names them.  Two things C cannot say: a bool looks like any
``GoUint8`` and is written by whoever calls, and a ``GoSlice`` does not know its elements, which the caller
names: ``("int64", (1, 2))``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

ELEMENTS = {
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "uint8": "B",
    "uint16": "H",
    "uint32": "I",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}
"""What a slice's elements may be, by Go's names, and how ``struct`` writes one."""

_SINGLE = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class Type:
    """A type of C's."""

    kind: str
    """int, uint, float, chars (char*), pointer, string (GoString), slice, interface, struct, function (a
    pointer to one), or other, which golib cannot pass (complex numbers, arrays in a structure)."""
    size: int
    """Bytes."""
    name: str = ""
    """As C calls it, where it has a name: ``GoInt32``, ``visit_fn``."""
    fields: tuple[tuple[str, int, Type], ...] = ()
    """struct: name, offset in bytes, type."""
    takes: tuple[Type, ...] = ()
    """function: its parameters."""
    gives: Type | None = None
    """function: its result."""

    def __str__(self) -> str:
        return self.name or self.kind

    def to_json(self) -> list[Any]:
        return [
            self.kind,
            self.size,
            self.name,
            [[name, offset, kind.to_json()] for name, offset, kind in self.fields],
            [one.to_json() for one in self.takes],
            self.gives and self.gives.to_json(),
        ]

    @classmethod
    def from_json(cls, data: list[Any]) -> Type:
        kind, size, name, fields, takes, gives = data
        return cls(
            kind,
            size,
            name,
            tuple((field, offset, cls.from_json(of)) for field, offset, of in fields),
            tuple(cls.from_json(one) for one in takes),
            gives and cls.from_json(gives),
        )


@dataclass(frozen=True)
class Prototype:
    """An exported function."""

    names: tuple[str, ...]
    """Of its parameters."""
    takes: tuple[Type, ...]
    gives: Type | None

    def __str__(self) -> str:
        of = ", ".join(f"{kind} {name}" for kind, name in zip(self.takes, self.names, strict=True))
        return f"{self.gives or 'void'} ({of or 'void'})"

    def to_json(self) -> list[Any]:
        return [
            list(self.names),
            [one.to_json() for one in self.takes],
            self.gives and self.gives.to_json(),
        ]

    @classmethod
    def from_json(cls, data: list[Any]) -> Prototype:
        names, takes, gives = data
        return cls(tuple(names), tuple(Type.from_json(one) for one in takes), gives and Type.from_json(gives))


def to_json(exports: Mapping[str, Prototype]) -> dict[str, Any]:
    return {name: prototype.to_json() for name, prototype in exports.items()}


def from_json(data: Mapping[str, Any]) -> dict[str, Prototype]:
    return {name: Prototype.from_json(one) for name, one in data.items()}


def unfit(kind: Type, value: object) -> Exception | None:
    """Why a value cannot be passed as this type: a TypeError, OverflowError or ValueError with the end of a
    sentence that begins with whose value it is.  None: it can."""
    match kind.kind:
        case "int" | "uint":
            return _unfit_integer(kind, value)
        case "float":
            if isinstance(value, bool) or not isinstance(value, int | float):
                return _not(value, kind, "a float")
            try:
                struct.pack("<f" if kind.size == _SINGLE else "<d", value)
            except OverflowError:
                return OverflowError(f"is {value!r}, which {kind} cannot hold")
        case "chars" | "string":
            if value is None and kind.kind == "chars":
                return None
            if not isinstance(value, str | bytes):
                return _not(value, kind, "str or bytes")
            if kind.kind == "chars" and 0 in text(value):
                return ValueError(f"is {value!r}, which {kind} would end at its NUL; leave it out")
        case "slice":
            return _unfit_slice(kind, value)
        case "struct":
            if not isinstance(value, tuple) or len(value) != len(kind.fields):
                return _not(value, kind, f"a tuple of {len(kind.fields)}")
            for (name, _, of), one in zip(kind.fields, value, strict=True):
                if wrong := unfit(of, one):
                    return type(wrong)(f"has a field {name} that {wrong}")
        case "pointer" | "function":
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                wanted = "None or an address" if kind.kind == "pointer" else f"lib.{kind}(function) or None"
                return _not(value, kind, wanted)
            if value is not None and not 0 <= value < 1 << 64:
                return OverflowError(f"is {value!r}, which is no address")
        case "interface":
            if value is not None:
                return _not(value, kind, "None, for C cannot make any other")
        case _:
            return TypeError(
                f"is of type {kind}, which golib cannot pass; wrap the export in one that it can"
            )
    return None


def _not(value: object, kind: Type, wanted: str) -> TypeError:
    return TypeError(f"is {value!r}, and {kind} takes {wanted}")


def _unfit_integer(kind: Type, value: object) -> Exception | None:
    if isinstance(value, bool):
        if (kind.kind, kind.size) == ("uint", 1):
            return None
        return _not(value, kind, "an int; a bool is one byte")
    if not isinstance(value, int):
        return _not(value, kind, "an int")
    bits = 8 * kind.size
    least, most = (-1 << bits - 1, (1 << bits - 1) - 1) if kind.kind == "int" else (0, (1 << bits) - 1)
    if not least <= value <= most:
        return OverflowError(f"is {value}, and {kind} holds {least} to {most}")
    return None


def _unfit_slice(kind: Type, value: object) -> Exception | None:
    if isinstance(value, bytes):
        return None
    match value:
        case (str(element), tuple(values)) if element in ELEMENTS:
            for one in values:
                try:
                    struct.pack(f"<{ELEMENTS[element]}", one)
                except (struct.error, OverflowError) as error:
                    return OverflowError(f"has the element {one!r}, which is no {element}: {error}")
            return None
    known = ", ".join(ELEMENTS)
    return _not(value, kind, f'bytes, or its elements\' type and they, ("int64", (1, 2)); types: {known}')


def text(value: str | bytes) -> bytes:
    """As Go gets it: UTF-8, and what was no UTF-8 when Python read it as it was."""
    return value.encode(errors="surrogateescape") if isinstance(value, str) else value


def _never(kind: Type, value: object) -> bool:
    return False


def refuse_call(
    name: str,
    prototype: Prototype,
    args: tuple[object, ...],
    as_it_is: Callable[[Type, object], bool] = _never,
) -> Exception | None:
    """Why this call cannot be made, in one sentence, or None.  ``as_it_is``: whether a value is passed
    without a conversion, and fits."""
    if len(args) != len(prototype.takes):
        return TypeError(f"{name} takes {len(prototype.takes)} arguments, not {len(args)}; it is {prototype}")
    for parameter, kind, value in zip(prototype.names, prototype.takes, args, strict=True):
        if not as_it_is(kind, value) and (wrong := unfit(kind, value)):
            return type(wrong)(f"{name}: the argument {parameter} {wrong}")
    return None


def refuse_result(name: str, prototype: Prototype, returns: object) -> Exception | None:
    """Why this can never be what comes back, in one sentence, or None."""
    kind = prototype.gives
    if kind is None:
        return TypeError(f"{name}: it has no result, so returns={returns!r} can never come; leave it out")
    wrong = unfit(kind, returns) or _inexact(kind, returns)
    return wrong and type(wrong)(f"{name}: the result {wrong}")


def _inexact(kind: Type, value: Any) -> Exception | None:
    """A float that comes back is compared bit by bit."""
    if kind.kind == "struct":
        found = (_inexact(of, one) for (_, _, of), one in zip(kind.fields, value, strict=True))
        return next((wrong for wrong in found if wrong), None)
    if kind.kind != "float":
        return None
    if not isinstance(value, float):
        return TypeError(f"is {value!r}, and {kind} gives a float; write {float(value)!r}")
    near = struct.unpack("<f", struct.pack("<f", value))[0] if kind.size == _SINGLE else value
    if repr(near) != repr(value):
        return ValueError(f"is {value!r}, which {kind} cannot hold exactly; write {near!r}")
    return None


def digest(value: Any) -> int:
    """64 bits by which a value is known again: of an integer itself, so that a lost half can be read; of a
    float its bits; of all else FNV-1a over its bytes.  A bool is its number, a str its UTF-8."""
    if isinstance(value, int):
        return value & (1 << 64) - 1
    if isinstance(value, float):
        return int.from_bytes(struct.pack("<d", value), "little")
    if isinstance(value, tuple):
        data = b"".join(digest(one).to_bytes(8, "little") for one in value)
    else:
        data = b"" if value is None else text(value)
    found = 0xCBF29CE484222325
    for byte in data:
        found = (found ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return found
