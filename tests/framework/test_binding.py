"""The headers of the bridge and of the launcher say the same as Python of every structure and constant.

A bridge whose sizes differ is refused when it is loaded; two members of one size that have changed
places pass there, and are found here.
"""

from __future__ import annotations

import ctypes
import itertools
import re
import struct
from collections.abc import Sequence
from typing import Any

import pytest

import golib
from golib.case import calltree
from golib.case.script import Phase
from golib.run import binding, launch, structs, trace
from golib.run.program import kind
from golib.toolchains.build import BRIDGE
from golib.toolchains.native import LAUNCH

HEADER = (BRIDGE / "golib.h").read_text() + (LAUNCH / "launch.h").read_text()

STRUCTS: dict[str, type[ctypes.Structure]] = {
    "thunk": structs.Thunk,
    "node": structs.NodeStruct,
    "event": trace.EventStruct,
    "header": trace.HeaderStruct,
    "field": structs.FieldStruct,
    "roots": structs.RootsStruct,
    "golib_name": launch.NameStruct,
    "golib_link": launch.LinkStruct,
    "golib_program": launch.ProgramStruct,
    "golib_launch": launch.LaunchStruct,
}
# The prefix of an enum's constants, their names in Python, and C's word for how many there are.
ENUMS: dict[str, tuple[str, Sequence[str], Sequence[str]]] = {
    "golib_phase": ("GOLIB_", Phase._member_names_, []),
    "golib_base": ("GOLIB_IN_", trace.Base._member_names_, ["BASES"]),
}

Member = tuple[str, str]
"""Name and type: "int32_t", "pointer", "char[1000]"."""

SCALARS: dict[type, str] = {
    ctypes.c_char: "char",
    ctypes.c_uint8: "uint8_t",
    ctypes.c_uint16: "uint16_t",
    ctypes.c_uint32: "uint32_t",
    ctypes.c_int32: "int32_t",
    ctypes.c_uint64: "uint64_t",
    ctypes.c_void_p: "pointer",
    ctypes.c_char_p: "pointer",
}


def in_python(structure: type[ctypes.Structure]) -> list[Member]:
    def spelled(kind: Any) -> str:
        if issubclass(kind, ctypes.Array):
            return f"{spelled(kind._type_)}[{kind._length_}]"
        return "pointer" if issubclass(kind, ctypes._Pointer) else SCALARS[kind]

    return [(name, spelled(kind)) for name, kind, *_ in structure._fields_]


def body_of(header: str, what: str) -> str:
    found = re.search(rf"^{what} {{(.*?)}};", re.sub(r"//.*", "", header), re.DOTALL | re.MULTILINE)
    assert found, f"golib.h declares no {what}"
    return found[1]


def in_c(header: str, structure: str) -> list[Member]:
    constants = dict(re.findall(r"^#define (\w+) (\d+)$", header, re.MULTILINE))
    members: list[Member] = []
    for declaration in filter(str.strip, body_of(header, f"struct {structure}").split(";")):
        if function := re.fullmatch(r"\s*void \(\*(\w+)\)\([^()]*\)", declaration):
            members.append((function[1], "pointer"))
            continue
        parts = re.fullmatch(r"\s*(?:_Atomic |struct |const )*(\w+) (.*)", declaration)
        assert parts, f"golib.h: this test does not understand {declaration!r}"
        for declarator in parts[2].split(","):
            one = re.fullmatch(r"\s*(\**)(\w+)(?:\[(\w+)\])?", declarator)
            assert one, f"golib.h: this test does not understand {declaration!r}"
            star, name, count = one.groups()
            length = f"[{constants.get(count, count)}]" if count else ""
            members.append((name, "pointer" if star else parts[1] + length))
    return members


def differences(header: str) -> set[str]:
    """What the header declares otherwise than Python does: "struct event: c ('sp', 'uint64_t'), python …"."""
    found = set()
    for name, ours in STRUCTS.items():
        for c, python in itertools.zip_longest(in_c(header, name), in_python(ours)):
            if c != python:
                found.add(f"struct {name}: c {c}, python {python}")
    for name, (prefix, members, count) in ENUMS.items():
        constants = re.findall(r"\w+", body_of(header, f"enum {name}"))
        expected = [prefix + member.upper() for member in members] + [f"GOLIB_{word}" for word in count]
        for c, python in itertools.zip_longest(constants, expected):
            if c != python:
                found.add(f"enum {name}: c {c}, python {python}")
    return found


def test_both_sides_declare_the_same() -> None:
    assert differences(HEADER) == set()
    assert [Phase(number) for number in range(len(Phase))] == list(Phase)
    assert [trace.Base(number) for number in range(len(trace.Base))] == list(trace.Base)
    assert f"#define GOLIB_VALUES {trace.VALUES}\n" in HEADER
    assert f"#define GOLIB_SIZES {len(binding.SIZES)}\n" in HEADER
    assert f"#define GOLIB_HARNESS_STATUS {trace.HARNESS_STATUS}\n" in HEADER


@pytest.mark.parametrize(
    ("what", "old", "new"),
    [
        ("struct thunk", "\tvoid (*fn)(void *);\n\tvoid *arg;", "\tvoid *arg;\n\tvoid (*fn)(void *);"),
        ("struct node", "*body, *deferred", "*deferred, *body"),
        ("struct node", "\tuint64_t region_lo, region_hi;", "\tuint64_t region_hi, region_lo;"),
        ("struct node", "\tuint64_t handle;", "\tuint64_t hand;"),
        ("struct node", "\tvoid (*join)(void *);", ""),
        ("struct node", "\tint32_t argument;", "\tuint32_t argument;"),
        ("struct event", "\tuint64_t sp, told_lo, told_hi;", "\tuint64_t told_lo, sp, told_hi;"),
        ("struct event", "\tuint32_t tid, queries, mxcsr;", "\tuint32_t tid, asked, mxcsr;"),
        ("struct event", "\tuint64_t did;", ""),
        ("struct header", "uint32_t running, finished;", "uint32_t finished, running;"),
        ("struct header", "fault[1000]", "fault[999]"),
        ("struct field", "\tuint32_t base;\n", ""),
        ("struct field", "\tuint64_t offset;", "\tuint64_t place;"),
        ("struct roots", "g_m, m_g0, m_curg", "g_m, m_curg, m_g0"),
        ("struct roots", "sched, memstats;", "sched;"),
        ("struct golib_name", "\tvoid *address;", ""),
        ("struct golib_link", "\tvoid **where;\n\tuint64_t name;", "\tuint64_t name;\n\tvoid **where;"),
        ("struct golib_program", "\tint32_t nlinks, nhandled;", "\tint32_t nhandled, nlinks;"),
        ("struct golib_launch", "\tint32_t out;", "\tint64_t out;"),
        ("struct golib_launch", "\tint32_t world;", "\tint32_t on;"),
        ("enum golib_phase", "GOLIB_LEAVING, GOLIB_RECOVERED,", "GOLIB_RECOVERED, GOLIB_LEAVING,"),
        ("enum golib_phase", "\tGOLIB_DID,", "\tGOLIB_DONE,"),
        ("enum golib_base", "GOLIB_IN_SCHED, GOLIB_IN_MEMSTATS,", "GOLIB_IN_MEMSTATS, GOLIB_IN_SCHED,"),
        ("enum golib_base", " GOLIB_IN_CURG,", ""),
    ],
)
def test_a_difference_is_found(what: str, old: str, new: str) -> None:
    assert HEADER.count(old) == 1, "golib.h has changed: plant this difference anew"
    found = differences(HEADER.replace(old, new))
    assert found
    assert {line.partition(":")[0] for line in found} == {what}


def test_events_are_read_where_the_structure_has_them() -> None:
    event = trace.EventStruct()
    numbers = {name: 1 + number for number, (name, *_) in enumerate(event._fields_[:-1])}
    for name, number in numbers.items():
        setattr(event, name, number)
    head = struct.Struct(trace._HEAD)
    assert head.size == trace.EventStruct.values.offset
    assert head.unpack_from(bytes(event)) == tuple(numbers.values())


# Nodes: their class says all of them, and the bridge has what they name.


def test_each_kind_has_a_number_of_its_own() -> None:
    assert len({kind(name) for name in calltree.NODES}) == len(calltree.NODES)


def test_gos_table_of_leaves_is_that_of_the_classes() -> None:
    named = re.findall(r'kind\("(\w+)"\)', (BRIDGE / "leaves.go").read_text())
    for newer in ("nocallback.go", "pull.go"):  # what some releases do not have
        named += re.findall(r'kind\("(\w+)"\)', (BRIDGE / newer).read_text())
    named.append("Do")  # one for each that a library registers
    leaves = {name for name, of in calltree.NODES.items() if issubclass(of, calltree.GoLeaf)}
    assert sorted(named) == sorted(leaves | {"Thread", "Together"})


def test_the_bridge_has_the_function_that_a_node_names() -> None:
    sources = "".join(path.read_text() for path in BRIDGE.glob("*.c"))
    for of in calltree.NODES.values():
        assert not of.symbol or f"\nvoid {of.symbol}(void *arg)\n" in sources, of.symbol


def test_every_node_is_a_public_name() -> None:
    assert set(calltree.NODES) <= set(calltree.__all__) == set(golib.__all__)
    assert "open" not in golib.__all__, "whoever imports * has a function of that name"
