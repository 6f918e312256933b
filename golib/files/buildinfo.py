"""Bytes of a file -> the Go that linked it, by its content and never by its name.

Go leaves a section .go.buildinfo in all that it links since 1.13 (debug/buildinfo).  Since 1.18 the version
and the settings stand in it as text; before, it has pointers to them.  Linkers put it in writable data, at
an address that 16 divides.

Nothing is loaded and nothing is trusted: of a file of any size the headers are read, its writable data only
where no section header says where to look, and never more of it than ``SEARCHED``.  It knows of no process.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol

MAGIC = b"\xff Go buildinf:"
_ALIGNED = 16  # bytes, in the process's addresses
_HEADER = 32  # bytes; behind them stand the texts, where the flag says so
_BIG_ENDIAN, _INLINE = 1, 2
_SENTINEL = 16  # bytes before and behind the settings (cmd/go/internal/modload)

UNKNOWN = "unknown"
"""The version where Go linked the file and none could be read."""

HEAD = 64
"""Bytes that say what a file is."""
CHUNK = 1 << 18
SEARCHED = 256 << 20
"""Bytes of writable data that are searched in one file: the largest library seen has 40 MiB."""
_STARTS = 1 << 18
"""Bytes at a file's start in which the name of its C library is looked for."""
_FARTHEST = 1 << 62
_MOST_SECTIONS = 4096
_LARGEST_ENTRY = 128  # bytes: twice what each of these tables has
_MOST_NAMES = 1 << 20
_MOST_SEGMENTS = 512
_LONGEST_VERSION = 1 << 10
_LONGEST_SETTINGS = 1 << 20

_ELF_MACHINES = {
    3: "386",
    8: "mips",
    21: "ppc64le",
    22: "s390x",
    40: "arm",
    62: "amd64",
    183: "arm64",
    243: "riscv64",
    258: "loong64",
}
_MACHO_MACHINES = {7: "386", 0x01000007: "amd64", 12: "arm", 0x0100000C: "arm64"}
_PE_MACHINES = {0x14C: "386", 0x8664: "amd64", 0x1C4: "arm", 0xAA64: "arm64"}
_MACHO = {
    b"\xcf\xfa\xed\xfe": ("<", 8),
    b"\xce\xfa\xed\xfe": ("<", 4),
    b"\xfe\xed\xfa\xcf": (">", 8),
    b"\xfe\xed\xfa\xce": (">", 4),
}
_FAT = b"\xca\xfe\xba\xbe"  # also a Java class, whose next number is a version from 45 on
_MOST_SLICES = 30
FIRSTS = frozenset(magic[:1] for magic in (b"\x7fELF", b"MZ", b"PK", _FAT, *_MACHO))
"""How a file begins that is worth a look; a wheel is, too."""

_RELEASE = re.compile(r"go(\d+\.\d+(?:\.\d+|(?:rc|beta)\d+)?)")


class Source(Protocol):
    def __call__(self, offset: int, size: int) -> bytes:
        """The bytes there; fewer at the file's end.  Raises OSError and BehindError."""
        ...


class BehindError(Exception):
    """These bytes have passed, and the stream cannot be read again."""


class TooLargeError(Exception):
    """The file says of itself that there is more to search than is searched: one sentence."""


@dataclass(frozen=True)
class Binary:
    """A shared library or an executable that Go linked, or into which a c-archive was linked."""

    version: str
    """As it stands there: ``go1.22.5``, ``go1.26.7 (Red Hat 1.26.7-1)``, or ``UNKNOWN``."""
    form: str
    """``ELF``, ``Mach-O`` or ``PE``."""
    machine: str
    """As GOARCH has it, by the file's header."""
    library: bool
    """For dlopen: neither a program nor a library that can be run."""
    c: bool = True
    """Whether C is linked in or asked for: a Go program of Go alone has neither an interpreter nor C's
    unwinding tables."""
    libc: str = ""
    """``glibc``, ``musl``, or nothing where it names neither."""
    path: str = ""
    """The import path of its main package."""
    module: str = ""
    """The main module and its version."""
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """As ``go version -m`` shows them; empty where none were recorded, as before 1.18."""

    @property
    def release(self) -> str:
        """The release that built it, without what a vendor added; empty where it is not known."""
        return release(self.version)


def release(version: str) -> str:
    """The release in what a library says: "1.26.7" of "go1.26.7 (Red Hat 1.26.7-1)"; empty without one."""
    found = _RELEASE.match(version)
    return found[1] if found else ""


@dataclass(frozen=True)
class _Range:
    offset: int
    size: int
    address: int


@dataclass(frozen=True)
class _Layout:
    """Where in a file to look."""

    form: str
    machine: str
    order: str
    """``<`` or ``>``, for struct."""
    pointer: int
    """Bytes."""
    library: bool
    found: _Range | None = None
    """The section, where a header names it."""
    searched: tuple[_Range, ...] = ()
    """Where else it may be."""
    mapped: tuple[_Range, ...] = ()
    """Where addresses lie in the file."""
    go: bool = False
    """Other sections say that Go linked it."""
    c: bool = True


def may_be(head: bytes) -> bool:
    """Whether a file that begins so is worth a look."""
    start = head[:4]
    return start == b"\x7fELF" or start[:2] == b"MZ" or start in _MACHO or start == _FAT


def with_libc(binary: Binary, libc: str) -> Binary:
    """Where something beside the file says which C library it is for."""
    return replace(binary, libc=libc)


def of_file(descriptor: int) -> Source:
    """The bytes of an open file."""
    return lambda offset, size: os.pread(descriptor, size, offset) if 0 <= offset < _FARTHEST else b""


def is_elf_library(source: Source) -> bool:
    """Whether it is one for dlopen on Linux."""
    return any(layout.form == "ELF" and layout.library for _, layout in _layouts(source))


def read(source: Source) -> Binary | None:
    """What Go linked, or None.

    Raises OSError as the source does, and TooLargeError."""
    for base, layout in _layouts(source):
        try:
            binary = _binary(source, base, layout)
        except (struct.error, OverflowError, BehindError):  # a file that lies
            binary = None
        if binary is not None:
            return binary
    return None


def _layouts(source: Source) -> Iterator[tuple[int, _Layout]]:
    """With where in the file it begins."""
    head = source(0, HEAD)
    if head[:4] == _FAT and len(head) >= 8:
        count = int(struct.unpack_from(">I", head, 4)[0])
        if not 0 < count <= _MOST_SLICES:
            return
        slices = source(8, 20 * count)
        bases = [struct.unpack_from(">I", slices, at + 8)[0] for at in range(0, len(slices) - 19, 20)]
    else:
        bases = [0]
    for base in bases:
        head = source(base, HEAD)
        try:
            layout = (
                _elf(source, head)
                if head[:4] == b"\x7fELF"
                else _pe(source, head)
                if head[:2] == b"MZ"
                else _macho(source, base, head)
                if head[:4] in _MACHO
                else None
            )
        except (struct.error, OverflowError):
            layout = None
        if layout is not None:
            yield base, layout


_PROGRAM, _LIBRARY = 2, 3
_LOAD, _INTERPRETER, _UNWINDING = 1, 3, 0x6474E550
_WRITABLE, _RUNNABLE = 2, 1
_NOTHING_IN_THE_FILE = 8  # SHT_NOBITS


def _elf(source: Source, head: bytes) -> _Layout | None:
    if len(head) < 52 or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    kind, machine = struct.unpack_from(order + "HH", head, 16)
    if kind not in (_PROGRAM, _LIBRARY):
        return None
    headers, sections = struct.unpack_from(order + ("QQ" if wide else "II"), head, 32 if wide else 28)
    sizes = struct.unpack_from(order + "5H", head, 54 if wide else 42)
    size, count, section_size, section_count, names = sizes
    if not (56 if wide else 32) <= size <= _LARGEST_ENTRY:
        return None
    count = min(count, _MOST_SEGMENTS)
    table = source(headers, size * count)
    loaded, searched, kinds = [], [], set()
    for at in range(0, len(table) - size + 1, size):
        if wide:
            what, flags, offset, address, _, filled = struct.unpack_from(order + "IIQQQQ", table, at)
        else:
            what, offset, address, _, filled, _, flags = struct.unpack_from(order + "7I", table, at)
        kinds.add(what)
        if what == _LOAD:
            loaded.append(_Range(offset, filled, address))
            if flags & _WRITABLE:
                searched.append(loaded[-1])
    named, go = None, False
    # A stream has them at its end, when all the rest has passed.
    if not isinstance(source, Stream) and 0 < section_count <= _MOST_SECTIONS and names < section_count:
        found = dict(_elf_sections(source, order, wide, (sections, section_size, section_count, names)))
        named = found.get(b".go.buildinfo")
        go = any(name in found for name in (b".gopclntab", b".data.rel.ro.gopclntab", b".note.go.buildid"))
        if found and named is None and not go:
            searched = []  # it has section headers, and they say that this is not Go's
    return _Layout(
        form="ELF",
        machine=_ELF_MACHINES.get(machine, f"machine {machine}"),
        order=order,
        pointer=8 if wide else 4,
        library=kind == _LIBRARY and _INTERPRETER not in kinds,
        found=named,
        searched=tuple(searched),
        mapped=tuple(loaded),
        go=go,
        c=bool(kinds & {_INTERPRETER, _UNWINDING}) or kind == _LIBRARY,
    )


def _elf_sections(
    source: Source, order: str, wide: bool, where: tuple[int, int, int, int]
) -> Iterator[tuple[bytes, _Range]]:
    """None where the headers make no sense."""
    offset, size, count, names = where
    if not (64 if wide else 40) <= size <= _LARGEST_ENTRY or offset == 0:
        return
    form = order + ("IIQQQQ" if wide else "6I")
    try:
        table = source(offset, size * count)
        if len(table) < size * count:
            return
        _, _, _, _, start, length = struct.unpack_from(form, table, size * names)
        strings = source(start, min(length, _MOST_NAMES))
    except struct.error:
        return
    for at in range(0, len(table), size):
        name, kind, _, address, start, length = struct.unpack_from(form, table, at)
        if kind == _NOTHING_IN_THE_FILE or not 0 <= name < len(strings):
            continue
        yield strings[name : strings.find(b"\0", name)], _Range(start, length, address)


def _macho(source: Source, base: int, head: bytes) -> _Layout | None:
    order, pointer = _MACHO[head[:4]]
    cpu, _, kind, count, size = struct.unpack_from(order + "5I", head, 4)
    commands = source(base + (32 if pointer == 8 else 28), min(size, _MOST_NAMES))
    segment, begins, section = (0x19, 72, 80) if pointer == 8 else (0x1, 56, 68)
    found, mapped, at = None, [], 0
    for _ in range(min(count, _MOST_SEGMENTS)):
        command, length = struct.unpack_from(order + "II", commands, at)
        if command == segment:
            form = order + ("QQQQ" if pointer == 8 else "IIII")
            address, _, offset, filled = struct.unpack_from(form, commands, at + 24)
            mapped.append(_Range(base + offset, filled, address))
            (sections,) = struct.unpack_from(order + "I", commands, at + begins - 8)
            for each in range(min(sections, _MOST_SEGMENTS)):
                begin = at + begins + each * section
                form = order + ("QQI" if pointer == 8 else "III")
                address, filled, offset = struct.unpack_from(form, commands, begin + 32)
                if commands[begin : begin + 16].rstrip(b"\0") == b"__go_buildinfo":
                    found = _Range(base + offset, filled, address)
        if length < 8:
            break
        at += length
    machine = _MACHO_MACHINES.get(cpu, f"machine {cpu}")
    library = kind in (6, 8)  # MH_DYLIB, MH_BUNDLE
    return _Layout("Mach-O", machine, order, pointer, library, found, (), tuple(mapped))


def _pe(source: Source, head: bytes) -> _Layout | None:
    (at,) = struct.unpack_from("<I", head, 60)
    coff = source(at, 24)
    if coff[:4] != b"PE\0\0" or len(coff) < 24:
        return None
    machine, count, _, _, _, optional, traits = struct.unpack_from("<HHIIIHH", coff, 4)
    start = source(at + 24, 32)
    wide = start[:2] == b"\x0b\x02"
    (image,) = struct.unpack_from("<Q" if wide else "<I", start, 24 if wide else 28)
    table = source(at + 24 + optional, 40 * min(count, 96))
    mapped, searched = [], []
    for begin in range(0, len(table) - 39, 40):
        _, address, filled, offset = struct.unpack_from("<4I", table, begin + 8)
        (flags,) = struct.unpack_from("<I", table, begin + 36)
        mapped.append(_Range(offset, filled, image + address))
        if flags & 0x80000000:  # writable
            searched.append(mapped[-1])
    called = _PE_MACHINES.get(machine, f"machine {machine}")
    library = bool(traits & 0x2000)
    return _Layout("PE", called, "<", 8 if wide else 4, library, None, tuple(searched), tuple(mapped))


def _binary(source: Source, base: int, layout: _Layout) -> Binary | None:
    version, settings = "", b""
    if layout.found is not None:
        version, settings = _texts(source, layout, layout.found.offset)
    if not version:
        for at in _places(source, layout):
            version, settings = _texts(source, layout, at)
            if version:
                break
    if not version and not layout.go:
        return None
    try:
        starts = source(base, _STARTS)
    except BehindError:
        starts = b""
    libc = (
        "musl"
        if b"libc.musl-" in starts or b"/ld-musl-" in starts
        else "glibc"
        if b"\0libc.so.6\0" in starts
        else ""
    )
    path, module, recorded = _settings(settings)
    return Binary(
        version=version or UNKNOWN,
        form=layout.form,
        machine=layout.machine,
        library=layout.library,
        c=layout.c and recorded.get("CGO_ENABLED") != "0",
        libc=libc if layout.form == "ELF" else "",
        path=path,
        module=module,
        settings=MappingProxyType(recorded),
    )


def _places(source: Source, layout: _Layout) -> Iterator[int]:
    """Offsets of what may be the section, in order."""
    left = SEARCHED
    for one in sorted(layout.searched, key=lambda one: one.offset):
        at, end, before = one.offset, one.offset + one.size, b""
        while at < end:
            if left <= 0:
                raise TooLargeError(f"its writable data of {one.size:,} bytes is not searched to its end")
            data = source(at, min(CHUNK, end - at))
            if not data:
                break
            left -= len(data)
            window, begin = before + data, at - len(before)
            hit = window.find(MAGIC)
            while hit != -1:
                if (begin + hit - one.offset + one.address) % _ALIGNED == 0:
                    yield begin + hit
                hit = window.find(MAGIC, hit + 1)
            before = window[-len(MAGIC) + 1 :]
            at += len(data)


def _texts(source: Source, layout: _Layout, at: int) -> tuple[str, bytes]:
    """The version and the settings that stand there; no version where this is not the section."""
    header = source(at, _HEADER)
    if not header.startswith(MAGIC):
        return "", b""
    if len(header) < _HEADER:
        return UNKNOWN, b""
    flags = header[15]
    if flags & _INLINE:
        version, after = _inline(source, at + _HEADER, _LONGEST_VERSION)
        settings, _ = _inline(source, after, _LONGEST_SETTINGS)
        if not _sounds_right(version):
            return "", b""
    else:
        form = (">" if flags & _BIG_ENDIAN else "<") + ("Q" if header[14] == 8 else "I")
        pointer = struct.calcsize(form)
        try:
            version, settings = (
                _string(source, layout, form, struct.unpack_from(form, header, 16 + n * pointer)[0], most)
                for n, most in enumerate((_LONGEST_VERSION, _LONGEST_SETTINGS))
            )
        except BehindError:
            version, settings = b"", b""
    return (version.decode("utf-8", "replace") if _sounds_right(version) else UNKNOWN), settings


def _sounds_right(version: bytes) -> bool:
    return version.startswith((b"go", b"devel")) and version.decode("utf-8", "replace").isprintable()


def _inline(source: Source, at: int, most: int) -> tuple[bytes, int]:
    """A string behind its length (a varint of encoding/binary), and where the next begins."""
    prefix = source(at, 10)
    length, used = 0, 0
    for shift, byte in enumerate(prefix):
        length |= (byte & 0x7F) << (7 * shift)
        used += 1
        if not byte & 0x80:
            break
    if length > most:
        return b"", at
    return source(at + used, length), at + used + length


def _string(source: Source, layout: _Layout, form: str, address: int, most: int) -> bytes:
    """A Go string by the address of its header."""
    header = _at(source, layout, address, 2 * struct.calcsize(form))
    begin, length = struct.unpack(form[0] + 2 * form[1], header)
    return _at(source, layout, begin, length) if length <= most else b""


def _at(source: Source, layout: _Layout, address: int, size: int) -> bytes:
    """Raises struct.error, as unpacking too little does."""
    for one in layout.mapped:
        if one.address <= address and address + size <= one.address + one.size:
            return source(one.offset + address - one.address, size)
    raise struct.error("no such address")


def _settings(data: bytes) -> tuple[str, str, dict[str, str]]:
    """The main package, the main module and the settings."""
    if len(data) >= 2 * _SENTINEL + 1 and data[-_SENTINEL - 1 : -_SENTINEL] == b"\n":
        data = data[_SENTINEL:-_SENTINEL]
    path, module, settings = "", "", {}
    for line in data.decode("utf-8", "replace").split("\n"):
        kind, _, rest = line.partition("\t")
        if kind == "path":
            path = rest
        elif kind == "mod":
            module = " ".join(rest.split("\t")[:2])
        elif kind == "build":
            key, _, value = rest.partition("=")
            settings[_unquoted(key)] = _unquoted(value)
    return path, module, settings


def _unquoted(text: str) -> str:
    """What strconv.Quote made of it, near enough for people."""
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in '"`' else text


class Stream:
    """A source over what can only be read forwards, such as a member of a wheel: it keeps the file's start
    and what has passed last."""

    def __init__(self, file: Reader, again: Callable[[], Reader] | None = None) -> None:
        """``again`` opens it anew, for whoever must go back."""
        self._file, self._again = file, again
        self._start = file.read(_STARTS)
        self._begin, self._window = 0, self._start
        self.passed = len(self._start)
        """Bytes that were read of it."""

    def __call__(self, offset: int, size: int) -> bytes:
        if offset + size <= len(self._start) or len(self._start) < _STARTS:
            return self._start[offset : offset + size]
        if offset < self._begin:
            if self._again is None:
                raise BehindError
            self._file = self._again()
            self._begin, self._window = 0, b""
        while (end := self._begin + len(self._window)) < offset + size:
            data = self._file.read(CHUNK)
            self.passed += len(data)
            if not data:
                break
            kept = max(0, min(len(self._window), end - min(offset, end - CHUNK)))
            self._window = self._window[len(self._window) - kept :] + data
            self._begin = end - kept
        at = offset - self._begin
        return self._window[at : at + size] if at >= 0 else b""


class Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...
