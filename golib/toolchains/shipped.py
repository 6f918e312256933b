"""File, folder or installed distribution -> the Go shared libraries in it, by their content
(golib.files.buildinfo)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from golib.files import buildinfo

MACHINE = "x86-64"
"""What golib drives."""
_CALLED = {"amd64": MACHINE}
"""Machines that people call by another name than Go does."""


class ShippedError(ValueError):
    """This cannot be driven as shipped: one sentence."""


@dataclass(frozen=True)
class Shipped:
    """A Go shared library as it was shipped."""

    path: Path
    version: str
    """The Go that built it, as it says: ``go1.22.5``, or ``unknown``."""
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
        return buildinfo.release(self.version)

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
    if found.machine != MACHINE:
        raise ShippedError(
            f"{path} is for {found.machine}, and golib runs on {MACHINE}; name the library for this machine"
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
    ours = [one for one in found if one.machine == MACHINE]
    if not ours:
        rest = f" for {MACHINE}, but for {found[0].machine}" if found else ""
        raise ShippedError(f"{where} has no shared library with Go in it{rest}; name another")
    return ours


def _read(path: Path) -> Shipped | None:
    """None for what is no shared library; one without Go has no version.  Raises OSError."""
    with path.open("rb") as file:
        source = buildinfo.of_file(file.fileno())
        if not buildinfo.is_elf_library(source):
            return None
        try:
            found = buildinfo.read(source)
        except buildinfo.TooLargeError:
            found = None
    if found is None:
        return Shipped(path.resolve(), "", "")
    return Shipped(path.resolve(), found.version, _CALLED.get(found.machine, found.machine))
