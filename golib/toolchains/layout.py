"""Where the fields of Go's runtime.g, runtime.m, runtime.sched and runtime.memstats lie, read from a
library's own DWARF.

The offsets differ from release to release, and a working GOROOT may move them at any time, so no
table of them could stay right. Go describes the structs in every library it links (src/cmd/link,
dwarf.go: runtime.g and runtime.m are always kept), in DWARF 4 up to Go 1.24 and DWARF 5 since.

Walking the DIEs would parse some forty thousand of them. Instead the name is
looked up in the raw section: Go's linker writes the name of a type or constant inline, as the first
attribute, so the DIE is where its abbreviation code stands right before its name. That takes 30 ms,
a walk over the smallest library half a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from elftools.common.exceptions import DWARFError, ELFError
from elftools.elf.elffile import ELFFile

FORMAT = 3
"""Raise it when `read` comes to see more or other fields: layouts cached under another one are stale."""

_STRUCTS = {
    "g": "runtime.g",
    "m": "runtime.m",
    "sched": "runtime.schedt",
    "memstats": "runtime.mstats",
}
_SCHED = "runtime.sched"
_MEMSTATS = "runtime.memstats"
_STACK_GUARD = "runtime.stackGuard"

# Sizes in bytes that one load of the bridge can fetch.
_SCALAR_SIZES = frozenset({1, 2, 4, 8})

# Go's linker gives pointers, funcs, maps and channels no byte size of their own.
_POINTER_SIZE = 8
_POINTER_TAGS = frozenset({"DW_TAG_pointer_type", "DW_TAG_subroutine_type"})

# Go's linker knows some fifty abbreviations, so each code is a single byte of ULEB128.
_ABBREVIATION_CODES = range(1, 0x80)


class LayoutError(Exception):
    """The library does not say where the runtime's fields are: one sentence."""


@dataclass(frozen=True)
class Field:
    """One scalar of runtime.g, runtime.m, runtime.schedt or runtime.mstats."""

    base: str
    """Which struct: "g", "m", "sched" or "memstats"."""
    offset: int
    """Bytes from the start of that struct."""
    size: int
    """Bytes: 1, 2, 4 or 8."""


@dataclass(frozen=True)
class Layout:
    """The scalars (numbers, bools, pointers) of runtime.g, runtime.m, runtime.schedt and runtime.mstats.

    Nested structs are flattened to dotted paths: "g.stack.lo", "g.sched.sp", "m.curg". Arrays are
    left out. A field that this release does not have is absent.
    """

    fields: Mapping[str, Field]
    stack_guard: int | None
    """runtime.stackGuard, in bytes above g.stack.lo, or None when the DWARF does not have it."""
    sched: int
    """Where runtime.sched, the one runtime.schedt, lies: bytes from where the library is loaded."""
    memstats: int
    """Where runtime.memstats, the one runtime.mstats, lies, likewise."""

    def to_json(self) -> dict[str, Any]:
        fields = {name: [field.base, field.offset, field.size] for name, field in self.fields.items()}
        return {
            "fields": fields,
            "stack_guard": self.stack_guard,
            "sched": self.sched,
            "memstats": self.memstats,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Layout:
        fields = {name: Field(base, offset, size) for name, (base, offset, size) in data["fields"].items()}
        return cls(MappingProxyType(fields), data["stack_guard"], data["sched"], data["memstats"])


def read(path: Path) -> Layout:
    """The layout of the Go runtime inside the shared library at path.

    Raises LayoutError when path is no ELF file, has no DWARF, or its DWARF does not describe the
    structs.
    """
    try:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            if elf["e_machine"] != "EM_X86_64":
                raise LayoutError(
                    f"{path}: made for {elf['e_machine']}, and golib reads x86-64 libraries only"
                )
            dwarf: Any = elf.get_dwarf_info(follow_links=False)
            if not dwarf.has_debug_info:
                raise LayoutError(
                    f"{path}: has no DWARF; build it without -ldflags=-s or -w and do not strip it"
                )
            fields: dict[str, Field] = {}
            for base, name in _STRUCTS.items():
                struct = _find(dwarf, name, "DW_TAG_structure_type")
                if struct is None:
                    raise LayoutError(f"{path}: its DWARF does not describe {name}; is it a Go library?")
                for member, offset, size in _scalars(struct):
                    fields[f"{base}.{member}"] = Field(base, offset, size)
            guard = _find(dwarf, _STACK_GUARD, "DW_TAG_constant")
            stack_guard = None if guard is None else int(guard.attributes["DW_AT_const_value"].value)
            addresses = []
            for name in (_SCHED, _MEMSTATS):
                variable = _find(dwarf, name, "DW_TAG_variable")
                if variable is None:
                    raise LayoutError(f"{path}: its DWARF does not describe {name}; is it a Go library?")
                # DW_OP_addr and the address: all that Go's linker says of a global variable.
                location = bytes(variable.attributes["DW_AT_location"].value[1:])
                addresses.append(int.from_bytes(location, "little") - load_address(elf))
    except OSError as error:
        raise LayoutError(f"{path}: cannot be read: {error.strerror}") from error
    except (ELFError, DWARFError) as error:
        raise LayoutError(f"{path}: not a readable ELF file: {error}") from error
    return Layout(MappingProxyType(fields), stack_guard, *addresses)


def load_address(elf: ELFFile) -> int:
    """Where the linker has placed a library: what addresses in it are relative to, 0 as a rule."""
    return min((int(segment["p_vaddr"]) for segment in elf.iter_segments("PT_LOAD")), default=0)


def _find(dwarf: Any, name: str, tag: str) -> Any | None:
    """The DIE of that tag and name, or None. pyelftools has no types, hence Any."""
    section: bytes = dwarf.debug_info_sec.stream.getvalue()
    wanted = name.encode() + b"\0"
    start = section.find(wanted)
    while start != -1:
        # The same bytes also end names such as "*runtime.g"; only a DIE's abbreviation code may precede.
        offset = start - 1
        unit = dwarf.get_CU_containing(offset)
        if section[offset] in _codes(unit, tag):
            return unit.get_DIE_from_refaddr(offset)
        start = section.find(wanted, start + 1)
    return None


def _codes(unit: Any, tag: str) -> set[int]:
    """The unit's abbreviation codes for DIEs of that tag that begin with an inline name."""
    codes = set()
    table = unit.get_abbrev_table()
    for code in _ABBREVIATION_CODES:
        try:
            declaration = table.get_abbrev(code)
        except KeyError:
            continue
        first = next(iter(declaration.iter_attr_specs()), None)
        if (
            declaration["tag"] == tag
            and first is not None
            and tuple(first)[:2] == ("DW_AT_name", "DW_FORM_string")
        ):
            codes.add(code)
    return codes


def _scalars(struct: Any) -> Iterator[tuple[str, int, int]]:
    """(dotted path, offset, size) of each scalar in the struct, bytes."""
    for member in struct.iter_children():
        if member.tag != "DW_TAG_member":
            continue
        name = member.attributes["DW_AT_name"].value.decode()
        if name == "_":  # padding, and several may share that name
            continue
        offset = member.attributes["DW_AT_data_member_location"].value
        kind = member.get_DIE_from_attribute("DW_AT_type")
        while kind.tag == "DW_TAG_typedef":
            kind = kind.get_DIE_from_attribute("DW_AT_type")
        if kind.tag == "DW_TAG_structure_type":
            for path, inner, size in _scalars(kind):
                yield f"{name}.{path}", offset + inner, size
        elif kind.tag in _POINTER_TAGS:
            yield name, offset, _POINTER_SIZE
        elif kind.tag == "DW_TAG_base_type":
            size = kind.attributes["DW_AT_byte_size"].value
            if size in _SCALAR_SIZES:
                yield name, offset, size
