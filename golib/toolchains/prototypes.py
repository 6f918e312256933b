"""The prototypes of a library's exports, read from its own DWARF.

cgo writes a C function for each export into ``_cgo_export.c`` (cmd/cgo, out.go) and the C compiler describes
it whole: function pointers by their typedefs, GoString, structures of several results with offsets.  The
header would need a C preprocessor, and nobody ships it.  Reading takes 0.1 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elftools.common.exceptions import DWARFError, ELFError
from elftools.elf.elffile import ELFFile

from golib.case.prototype import Prototype, Type

FORMAT = 2
"""Raise it when ``read`` comes to see more: prototypes cached under another one are stale."""

_UNIT = "_cgo_export.c"
# Declared in that file for each export: the Go side that its C function calls.
_GO_SIDE = "_cgoexp_"

_POINTER = 8
"""Bytes."""
_SIGNED = frozenset((0x05, 0x06, 0x0D))
_UNSIGNED = frozenset((0x02, 0x07, 0x08))
_FLOAT = 0x04
"""DWARF's encodings of base types: signed, signed_char and signed_fixed; boolean, unsigned, unsigned_char."""

# Structures that cgo's header gives a name by typedef only.
_GO_TYPES = {
    "GoString": "string",
    "_GoString_": "string",
    "GoSlice": "slice",
    "GoInterface": "interface",
}
_QUALIFIERS = frozenset(
    ("DW_TAG_const_type", "DW_TAG_volatile_type", "DW_TAG_restrict_type", "DW_TAG_atomic_type")
)


class PrototypesError(Exception):
    """The library does not say what its exports are: one sentence."""


def read(path: Path) -> dict[str, Prototype]:
    """The exports of the shared library at path, by name.

    Raises PrototypesError when path is no ELF file, or its DWARF does not describe cgo's exports.
    """
    try:
        with path.open("rb") as stream:
            dwarf: Any = ELFFile(stream).get_dwarf_info(follow_links=False)
            found: dict[str, Prototype] = {}
            units = list(_units(dwarf)) if dwarf.has_debug_info else []
            for unit in units:
                found |= _exports(unit)
    except OSError as error:
        raise PrototypesError(f"{path}: cannot be read: {error.strerror}") from error
    except (ELFError, DWARFError) as error:
        raise PrototypesError(f"{path}: not a readable ELF file: {error}") from error
    if not units:
        raise PrototypesError(
            f"{path}: has no DWARF of cgo's exports; build it without -ldflags=-s or -w, with -g in"
            " CGO_CFLAGS, with at least one //export, and do not strip it"
        )
    return dict(sorted(found.items()))


def _units(dwarf: Any) -> Iterator[Any]:
    """Of each package with exports, what the C compiler says of its ``_cgo_export.c``."""
    for unit in dwarf.iter_CUs():
        name = unit.get_top_DIE().attributes.get("DW_AT_name")
        if name is not None and name.value.decode().rpartition("/")[2] == _UNIT:
            yield unit.get_top_DIE()


def _exports(top: Any) -> dict[str, Prototype]:
    functions = [die for die in top.iter_children() if die.tag == "DW_TAG_subprogram" and _name(die)]
    declared = [_name(die) for die in functions if "DW_AT_declaration" in die.attributes]
    # _cgoexp_0123456789ab_NAME, and before a hash was there _cgoexp_NAME.
    exported = {
        name.removeprefix(_GO_SIDE).partition("_")[2] for name in declared if name.startswith(_GO_SIDE)
    }
    return {
        _name(die): Prototype(
            tuple(_name(one) or f"p{number}" for number, one in enumerate(_parameters(die))),
            tuple(_of(one) for one in _parameters(die)),
            _of(die) if "DW_AT_type" in die.attributes else None,
        )
        for die in functions
        if "DW_AT_declaration" not in die.attributes and _name(die) in exported
    }


def _name(die: Any) -> str:
    name = die.attributes.get("DW_AT_name")
    return name.value.decode() if name is not None else ""


def _parameters(die: Any) -> list[Any]:
    return [one for one in die.iter_children() if one.tag == "DW_TAG_formal_parameter"]


def _of(die: Any) -> Type:
    """The type that a parameter, a member, a typedef or a function has: void without DW_AT_type."""
    name = ""
    while "DW_AT_type" in die.attributes:
        die = die.get_DIE_from_attribute("DW_AT_type")
        if die.tag == "DW_TAG_typedef":
            # The outermost name is the one that cgo's header and its user know.
            name = name or _name(die)
            if _name(die) in _GO_TYPES:
                return _go_type(die)
        elif die.tag not in _QUALIFIERS:
            return _plain(die, name)
    return Type("other", 0, name or "void")


def _go_type(die: Any) -> Type:
    size = 24 if _name(die) == "GoSlice" else 16
    return Type(_GO_TYPES[_name(die)], size, _name(die))


def _plain(die: Any, name: str) -> Type:
    size = int(die.attributes["DW_AT_byte_size"].value) if "DW_AT_byte_size" in die.attributes else _POINTER
    match die.tag:
        case "DW_TAG_base_type":
            encoding = die.attributes["DW_AT_encoding"].value
            kind = "int" if encoding in _SIGNED else "uint" if encoding in _UNSIGNED else "other"
            if encoding == _FLOAT and size <= _POINTER:
                kind = "float"
            return Type(kind, size, name or _name(die))
        case "DW_TAG_enumeration_type":
            return Type("uint", size, name or f"enum {_name(die)}")
        case "DW_TAG_pointer_type":
            return _pointer(die, name)
        case "DW_TAG_structure_type":
            fields = [one for one in die.iter_children() if one.tag == "DW_TAG_member"]
            if any("DW_AT_data_bit_offset" in one.attributes for one in fields):
                return Type("other", size, name or f"struct {_name(die)}")
            members = tuple(
                (_name(one), int(one.attributes["DW_AT_data_member_location"].value), _of(one))
                for one in fields
            )
            return Type("struct", size, name or f"struct {_name(die)}", members)
    return Type("other", size, name or _name(die) or die.tag.removeprefix("DW_TAG_"))


def _pointer(die: Any, name: str) -> Type:
    """To a function, to characters, or to anything else, which is not looked at."""
    target, points_to = die, ""  # a function's type may have the name, and not the pointer's
    while "DW_AT_type" in target.attributes:
        target = target.get_DIE_from_attribute("DW_AT_type")
        if target.tag == "DW_TAG_subroutine_type":
            gives = _of(target) if "DW_AT_type" in target.attributes else None
            takes = tuple(_of(one) for one in _parameters(target))
            return Type("function", _POINTER, name or points_to or "function", takes=takes, gives=gives)
        if target.tag == "DW_TAG_base_type" and _name(target) == "char":
            return Type("chars", _POINTER, name or "char*")
        if target.tag == "DW_TAG_typedef":
            points_to = points_to or _name(target)
        elif target.tag not in _QUALIFIERS:
            break
    return Type("pointer", _POINTER, name or "pointer")
