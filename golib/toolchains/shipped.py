"""File, folder or installed distribution -> the Go shared libraries in it, by their content.

Go leaves a section .go.buildinfo in all that it links (debug/buildinfo); since 1.18 it begins with the
version in plain text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile

MAGIC = b"\xff Go buildinf:"
_ALIGNED = 16  # bytes, in the process's addresses
_HEADER = 32  # bytes; behind them stands the version, where the flag says so
_INLINE = 2
_RELEASE = re.compile(r"go(\d+\.\d+(?:\.\d+|(?:rc|beta)\d+)?)")
UNKNOWN = "unknown"
"""The version of a library by a Go before 1.18, which keeps it elsewhere."""

MACHINE = "EM_X86_64"
"""What golib drives."""
_MACHINES = {
    "EM_X86_64": "x86-64",
    "EM_AARCH64": "arm64",
    "EM_386": "386",
    "EM_ARM": "arm",
    "EM_S390": "s390x",
    "EM_PPC64": "ppc64le",
    "EM_RISCV": "riscv64",
}


class ShippedError(ValueError):
    """This cannot be driven as shipped: one sentence."""


@dataclass(frozen=True)
class Shipped:
    """A Go shared library as it was shipped."""

    path: Path
    version: str
    """The Go that built it, as it says: ``go1.22.5``, or ``UNKNOWN``."""
    machine: str
    """As people call it: ``x86-64``."""
    distribution: str = ""
    """Name and version of the installed distribution that it is from: ``starlark-go 1.0.1``."""
    folder: str = ""
    """Where that one's modules are: a folder for ``sys.path``."""

    @property
    def name(self) -> str:
        """In ids and tables: ``starlark-go-go1.22.5``."""
        return f"{self.distribution.partition(' ')[0] or self.path.stem}-{self.version}"

    @property
    def release(self) -> str:
        """The Go release that built it, without what follows its number; empty where that is not known."""
        found = _RELEASE.match(self.version)
        return found[1] if found else ""

    def __str__(self) -> str:
        of = f"{self.distribution}: " if self.distribution else ""
        return f"{of}{self.path.name}, {self.version}, {self.machine}"


def find(what: str | Path) -> list[Shipped]:
    """The Go shared libraries of a file, of a folder and those below it, or of an installed distribution,
    which is asked for its files and for no other's.  All are for this machine; at least one.

    Raises ShippedError, one sentence.
    """
    path = Path(what)
    if path.is_dir():
        return _those(path.rglob("*"), f"folder {path}")
    if path.exists():
        return [read(path)]
    if isinstance(what, Path) or os.sep in what or path.suffix == ".so":
        raise ShippedError(f"{path} does not exist; name a shared library, a folder or a distribution")
    return _of_distribution(what)


def read(path: Path) -> Shipped:
    """The one at that path.  Raises ShippedError unless it is a Go shared library for this machine."""
    try:
        found = _read(path)
    except OSError as error:
        raise ShippedError(f"{path} cannot be read: {error.strerror}; name a shared library") from error
    if found is None:
        raise ShippedError(f"{path} is no shared library for Linux (ELF); name one")
    if found.version == "":
        raise ShippedError(f"{path} has no Go in it (no .go.buildinfo); name the library that Go built")
    if found.machine != _MACHINES[MACHINE]:
        raise ShippedError(
            f"{path} is for {found.machine}, and golib runs on {_MACHINES[MACHINE]}; name the library for"
            " this machine"
        )
    return found


def _of_distribution(name: str) -> list[Shipped]:
    try:
        distribution = metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        raise ShippedError(
            f"{name!r} is no file, and no distribution of that name is installed for this Python; install it,"
            " or name a file"
        ) from None
    called = f"{distribution.metadata['Name']} {distribution.version}"
    files = [Path(str(file.locate())) for file in distribution.files or () if ".so" in file.name]
    folder = str(distribution.locate_file(""))
    return [
        Shipped(one.path, one.version, one.machine, called, folder)
        for one in _those(files, f"distribution {called}")
    ]


def _those(files: Iterable[Path], where: str) -> list[Shipped]:
    found = []
    for file in sorted(files):
        try:
            one = _read(file) if file.is_file() else None
        except OSError:
            continue  # not ours to read, as a rule: what it is for says somebody else
        if one is not None and one.version:
            found.append(one)
    ours = [one for one in found if one.machine == _MACHINES[MACHINE]]
    if not ours:
        rest = f" for {_MACHINES[MACHINE]}, but for {found[0].machine}" if found else ""
        raise ShippedError(f"{where} has no shared library with Go in it{rest}; name another")
    return ours


def _read(path: Path) -> Shipped | None:
    """None for what is no shared library; one without Go has no version.  Raises OSError."""
    with path.open("rb") as file:
        try:
            elf = ELFFile(file)
            # A program has an interpreter, and a library that can be run has, too: neither is for dlopen.
            if elf["e_type"] != "ET_DYN" or any(elf.iter_segments("PT_INTERP")):
                return None
            machine = str(elf["e_machine"])
            return Shipped(path.resolve(), _version(elf), _MACHINES.get(machine, machine))
        except (ELFError, ConstructError, UnicodeDecodeError):
            return None


def _version(elf: ELFFile) -> str:
    """Of the Go that linked it; nothing where none did."""
    section = elf.get_section_by_name(".go.buildinfo")
    if section is not None:
        return _inline(section.data(), 0)
    for segment in elf.iter_segments("PT_LOAD"):  # without section headers
        if segment["p_flags"] & 2:  # PF_W
            data, begin = segment.data(), segment["p_vaddr"]
            at = data.find(MAGIC)
            while at != -1:
                if (begin + at) % _ALIGNED == 0:
                    return _inline(data, at)
                at = data.find(MAGIC, at + 1)
    return ""


def _inline(data: bytes, at: int) -> str:
    header = data[at : at + _HEADER]
    if not header.startswith(MAGIC):
        return ""
    if len(header) < _HEADER or not header[15] & _INLINE:
        return UNKNOWN
    length, shift, at = 0, 0, at + _HEADER
    while at < len(data):  # a varint of encoding/binary
        byte, at = data[at], at + 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    return data[at : at + length].decode() or UNKNOWN
