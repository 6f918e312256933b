"""Which Go libraries a file, a folder or an installed distribution has, and what is said of anything else."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from golib.toolchains import outside, shipped
from golib.toolchains.shipped import ShippedError
from golib.toolchains.toolchain import Toolchain

E_TYPE, E_MACHINE, E_SHOFF, E_SHNUM, E_SHSTRNDX = 16, 18, 40, 60, 62
"""Where the ELF header of 64 bits has them (elf(5))."""


def changed(library: Path, folder: Path, offset: int, form: str, value: int) -> Path:
    data = bytearray(library.read_bytes())
    struct.pack_into(form, data, offset, value)
    copy = folder / library.name
    copy.write_bytes(data)
    return copy


def test_a_file_says_which_go_built_it(shipped_library: Path, go_on_path: Toolchain) -> None:
    (found,) = shipped.find(shipped_library)
    assert found.path == shipped_library.resolve()
    assert found.version.removeprefix("go") == go_on_path.version.removeprefix("go")
    assert found.machine == "x86-64"
    assert str(found) == f"libshipped.so, {found.version}, x86-64"


def test_without_section_headers_the_magic_is_looked_for(shipped_library: Path, tmp_path: Path) -> None:
    copy = changed(shipped_library, tmp_path, E_SHOFF, "<Q", 0)
    copy = changed(copy, tmp_path, E_SHNUM, "<H", 0)
    copy = changed(copy, tmp_path, E_SHSTRNDX, "<H", 0)
    assert shipped.read(copy).version == shipped.read(shipped_library).version


def test_a_folder_is_looked_through_and_what_is_no_go_library_passed_over(
    shipped_library: Path, tmp_path: Path
) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "text.so").write_text("no library")
    shutil.copy(outside.driver(), tmp_path / "c.so")
    (tmp_path / "dangling.so").symlink_to("nowhere")
    copy = Path(shutil.copy(shipped_library, below / "lib.so.1"))
    assert [found.path for found in shipped.find(tmp_path)] == [copy.resolve()]


def test_a_distribution_is_asked_for_its_files(
    shipped_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    information = tmp_path / "golib_example-3.1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: golib-example\nVersion: 3.1\n")
    (information / "RECORD").write_text("example/_native.so,,\nexample/__init__.py,,\n")
    package = tmp_path / "example"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copy(shipped_library, package / "_native.so")
    (found,) = shipped.find("golib-example")
    assert (found.distribution, found.folder) == ("golib-example 3.1", str(tmp_path))
    assert found.path == (package / "_native.so").resolve()


def refused(what: str | Path) -> str:
    with pytest.raises(ShippedError) as error:
        shipped.find(what)
    sentence = str(error.value)
    assert "\n" not in sentence
    return sentence


def test_what_is_not_there() -> None:
    assert refused("/nowhere/x.so") == (
        "/nowhere/x.so does not exist; name a shared library, a folder or a distribution"
    )
    assert refused("golib-nobody-has-this") == (
        "'golib-nobody-has-this' is no file, and no distribution of that name is installed for this Python;"
        " install it, or name a file"
    )


def test_a_library_for_another_machine(shipped_library: Path, tmp_path: Path) -> None:
    copy = changed(shipped_library, tmp_path, E_MACHINE, "<H", 183)
    assert refused(copy) == (
        f"{copy} is for arm64, and golib runs on x86-64; name the library for this machine"
    )
    assert refused(tmp_path) == (
        f"folder {tmp_path} has no shared library with Go in it for x86-64, but for arm64; name another"
    )


def test_a_library_without_go() -> None:
    library = outside.driver()
    assert refused(library) == (
        f"{library} has no Go in it (no .go.buildinfo); name the library that Go built"
    )


def test_what_is_no_library(tmp_path: Path, go_on_path: Toolchain) -> None:
    text = tmp_path / "text.so"
    text.write_text("no library")
    for path in (text, go_on_path.go):
        assert refused(path) == f"{path} is no shared library for Linux (ELF); name one"
    assert refused(tmp_path) == f"folder {tmp_path} has no shared library with Go in it; name another"


def test_a_distribution_without_go() -> None:
    assert "pytest-xdist" in refused("pytest-xdist")
    assert refused("pytest-xdist").endswith(" has no shared library with Go in it; name another")


@pytest.mark.parametrize("kept", [0, 3, 20, 64, 100, 5000, 200_000])
def test_a_damaged_file_is_no_traceback(shipped_library: Path, tmp_path: Path, kept: int) -> None:
    copy = tmp_path / "damaged.so"
    copy.write_bytes(shipped_library.read_bytes()[:kept])
    refused(copy)


def test_the_versions_are_those_that_go_says(shipped_library: Path, go_on_path: Toolchain) -> None:
    answer = subprocess.run(
        [str(go_on_path.go), "version", str(shipped_library)], capture_output=True, text=True, check=True
    )
    assert answer.stdout == f"{shipped_library}: {shipped.read(shipped_library).version}\n"
