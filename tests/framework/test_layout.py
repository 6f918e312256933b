"""The offsets read from a library's DWARF are those that Go's compiler gave the runtime's structs."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from golib.toolchains import layout
from golib.toolchains.build import Library, build
from golib.toolchains.layout import Field, Layout, LayoutError
from golib.toolchains.toolchain import Toolchain, resolve

# DWARF 4 and no m.g0StackAccurate; the one on PATH; DWARF 5 and the flag.
RELEASES = ("1.23.4", "go", "1.27.3")


@pytest.fixture(scope="module", params=RELEASES)
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    [release], _ = resolve([request.param])
    package = tmp_path_factory.mktemp("package")
    (package / "go.mod").write_text("module example/empty\n\ngo 1.21\n")
    (package / "empty.go").write_text(
        'package main\n\nimport "C"\n\n//export Empty\nfunc Empty() {}\n\nfunc main() {}\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        return build(release, package=package)


def compiled_offsets(release: Toolchain) -> dict[str, int]:
    """From go_asm.h, which Go's compiler writes for the runtime's assembly: {"g_stackguard0": 16, …}."""
    environment = os.environ | {"GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}
    answer = subprocess.run(
        [release.go, "build", "-a", "-work", "runtime"],
        env=environment, cwd="/", capture_output=True, text=True, check=True,
    )  # fmt: skip
    [work] = re.findall(r"WORK=(.*)", answer.stderr)
    try:
        for header in Path(work).glob("*/go_asm.h"):
            defined = dict(re.findall(r"#define (\w+) (\d+)", header.read_text()))
            if "g_stackguard0" in defined:
                return {name: int(value) for name, value in defined.items()}
        pytest.fail(f"no go_asm.h of the runtime in {work}")
    finally:
        subprocess.run(["rm", "-rf", "--", work], check=True)


def test_the_offsets_are_the_compilers(library: Library) -> None:
    expected = compiled_offsets(library.toolchain)
    compared = 0
    for name, field in library.layout.fields.items():
        base, *path = name.split(".")
        if len(path) == 1:
            struct = {"sched": "schedt", "memstats": "mstats"}.get(base, base)
            assert field.offset == expected[f"{struct}_{path[0]}"], name
            compared += 1
        elif path[0] in ("sched", "morebuf"):
            assert field.offset == expected[f"{base}_{path[0]}"] + expected[f"gobuf_{path[1]}"], name
            compared += 1
    assert compared > 100


def test_the_fields_that_a_callback_saves_are_there(library: Library) -> None:
    fields = library.layout.fields
    for name in (
        "g.stack.lo", "g.stack.hi", "g.stackguard0", "g.stackguard1", "g.sched.sp", "g.m", "g.goid",
        "m.g0", "m.curg", "m.gsignal", "m.procid", "m.mstartfn",
    ):  # fmt: skip
        assert fields[name].size == 8, name
        assert fields[name].base == name[0]
    assert fields["m.isextra"].size == 1
    assert fields["m.ncgo"].size == 4
    assert fields["m.cgoCallersUse.value"].size == 4
    assert fields["g.stack.hi"].offset == fields["g.stack.lo"].offset + 8


def test_the_fields_that_a_leaf_changes_are_there(library: Library) -> None:
    fields = library.layout.fields
    assert (fields["g.trackingSeq"].base, fields["g.trackingSeq"].size) == ("g", 1)
    assert (fields["memstats.numgc"].base, fields["memstats.numgc"].size) == ("memstats", 4)


def test_the_variables_lie_where_their_symbols_say(library: Library) -> None:
    with library.path.open("rb") as stream:
        symbols = ELFFile(stream).get_section_by_name(".symtab")
        [sched] = symbols.get_symbol_by_name("runtime.sched")
        [memstats] = symbols.get_symbol_by_name("runtime.memstats")
    assert library.layout.sched == sched["st_value"]
    assert library.layout.memstats == memstats["st_value"]


def test_a_field_that_the_release_does_not_have_is_absent(library: Library) -> None:
    had = library.toolchain.release >= (1, 23, 2, 5)
    assert ("m.g0StackAccurate" in library.layout.fields) == had


def test_the_stack_guard_is_the_runtimes(library: Library) -> None:
    """stackGuard = 928 + stackSystem, and stackSystem is 0 on Linux (internal/abi, runtime/stack.go)."""
    assert library.layout.stack_guard == 928


def test_no_field_lies_in_another(library: Library) -> None:
    for base in ("g", "m", "sched", "memstats"):
        fields = sorted((f.offset, f.size) for f in library.layout.fields.values() if f.base == base)
        for (offset, size), (following, _) in itertools.pairwise(fields):
            assert offset + size <= following


def test_it_survives_the_way_through_json(library: Library) -> None:
    assert Layout.from_json(json.loads(json.dumps(library.layout.to_json()))) == library.layout


def test_reading_costs_well_below_a_second(library: Library) -> None:
    start = time.process_time()
    layout.read(library.path)
    assert time.process_time() - start < 0.5  # some 0.03 s; walking all DIEs instead takes more than 0.5


def test_a_layout_is_data() -> None:
    one = Layout({"g.m": Field("g", 48, 8)}, None, 4096, 8192)
    assert one.to_json() == {
        "fields": {"g.m": ["g", 48, 8]},
        "stack_guard": None,
        "sched": 4096,
        "memstats": 8192,
    }
    assert Layout.from_json(one.to_json()) == one


# What is no Go library


def compiled(folder: Path, *flags: str) -> Path:
    source, library = folder / "c.c", folder / "c.so"
    source.write_text("struct g { long m; } runtime;\n")
    subprocess.run(["cc", "-shared", *flags, "-o", library, source], check=True)
    return library


def complaint(path: Path) -> str:
    with pytest.raises(LayoutError) as caught:
        layout.read(path)
    return str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "none.so"
    assert complaint(path) == f"{path}: cannot be read: No such file or directory"


def test_a_file_that_is_no_elf(tmp_path: Path) -> None:
    path = tmp_path / "text.so"
    path.write_text("not ELF")
    assert complaint(path) == f"{path}: not a readable ELF file: Magic number does not match"


def test_a_library_without_dwarf(tmp_path: Path) -> None:
    path = compiled(tmp_path, "-s")
    assert complaint(path) == f"{path}: has no DWARF; build it without -ldflags=-s or -w and do not strip it"


def test_a_library_that_is_not_gos(tmp_path: Path) -> None:
    path = compiled(tmp_path, "-g")
    assert complaint(path) == f"{path}: its DWARF does not describe runtime.g; is it a Go library?"


def test_a_library_for_another_machine(tmp_path: Path) -> None:
    path = compiled(tmp_path, "-g")
    content = bytearray(path.read_bytes())
    content[18:20] = (183).to_bytes(2, "little")  # e_machine: EM_AARCH64
    path.write_bytes(content)
    assert complaint(path) == f"{path}: made for EM_AARCH64, and golib reads x86-64 libraries only"


def test_half_a_library(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "half.so"
    content = library.path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert complaint(path).startswith(f"{path}: not a readable ELF file: ")
