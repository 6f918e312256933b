"""What a library's DWARF says of its exports is what Go and C have compiled."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import kinds
import pytest

from golib.case import prototype
from golib.case.prototype import Prototype, Type
from golib.toolchains import build, prototypes
from golib.toolchains.build import Library
from golib.toolchains.prototypes import PrototypesError
from golib.toolchains.toolchain import resolve


@pytest.fixture(scope="module", params=["1.21.0", "go", "1.27.4"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    [release], _ = resolve([request.param])
    package = kinds.write_package(tmp_path_factory.mktemp("package"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        return build.build(release, package=package)


def test_each_export_has_its_prototype(library: Library) -> None:
    seen = {name: str(one) for name, one in library.exports.items()}
    assert seen == {
        "KAny": "GoUint8 (GoInterface a)",
        "KChar": "char* (void)",
        "KCharLen": "GoInt (char* s)",
        "KComplex": "GoComplex128 (GoComplex128 c)",
        "KConst": "GoString (void)",
        "KDouble": "GoInt64 (GoSlice s)",
        "KEcho": "GoString (GoString s)",
        "KFloat": "GoFloat32 (GoFloat32 f)",
        "KHeap": "GoString (GoInt n)",
        "KLen": "GoInt (GoString s)",
        "KMap": "GoInt64 (GoInt64 n, map_fn f, pointer p)",
        "KNot": "GoUint8 (GoUint8 b)",
        "KPlain": "int (int n, plain_fn f)",
        "KPoint": "struct point (struct point p)",
        "KSame": "GoUint64 (GoUint64 v)",
        "KSlice": "GoSlice (GoSlice s)",
        "KTwo": "struct KTwo_return (GoInt8 a, GoUint64 b)",
        "KVisit": "void (int n, visit_fn f)",
        "KVisitElsewhere": "void (visit_fn f)",
    }


def test_numbers_have_width_and_sign_and_structures_their_offsets(library: Library) -> None:
    assert library.exports["KTwo"] == Prototype(
        ("a", "b"),
        (Type("int", 1, "GoInt8"), Type("uint", 8, "GoUint64")),
        Type(
            "struct",
            16,
            "struct KTwo_return",
            (
                ("r0", 0, Type("int", 4, "GoInt32")),
                ("r1", 4, Type("uint", 1, "GoUint8")),
                ("r2", 8, Type("float", 8, "GoFloat64")),
            ),
        ),
    )


def test_a_function_pointer_has_a_prototype_of_its_own(library: Library) -> None:
    number = Type("int", 8, "int64_t")
    takes = (number, Type("pointer", 8, "pointer"))
    assert library.exports["KMap"].takes[1] == Type("function", 8, "map_fn", takes=takes, gives=number)


def test_prototypes_survive_json(library: Library) -> None:
    text = json.dumps(prototype.to_json(library.exports))
    assert prototype.from_json(json.loads(text)) == library.exports
    assert Library.from_json(json.loads(json.dumps(library.to_json()))) == library


def test_a_library_without_dwarf_is_told_so(library: Library, tmp_path: Path) -> None:
    stripped = tmp_path / "stripped.so"
    subprocess.run(["strip", "-g", "-o", stripped, library.path], check=True)
    with pytest.raises(
        PrototypesError, match=r"stripped\.so: has no DWARF of cgo's exports; build it without"
    ):
        prototypes.read(stripped)


def test_what_is_no_library_is_told_so(tmp_path: Path) -> None:
    other = tmp_path / "other.so"
    other.write_text("text")
    with pytest.raises(PrototypesError, match="not a readable ELF file"):
        prototypes.read(other)
    with pytest.raises(PrototypesError, match="cannot be read: No such file"):
        prototypes.read(tmp_path / "none.so")
