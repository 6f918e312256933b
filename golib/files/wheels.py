"""A wheel, or another zip, in one pass: nothing is unpacked to disk."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from golib.files import buildinfo, owners
from golib.files.buildinfo import Reader, TooLargeError
from golib.files.found import Found, Looked, Owner
from golib.files.tars import Behind

START = b"PK\x03\x04"
EMPTY = b"PK\x05\x06"
_LARGEST_DIRECTORY = 64 << 20  # bytes: 400,000 members of 100 characters each
_LARGEST_LIST = 4 << 20

LEAST_BUDGET = 1 << 30
MOST_RATIO = 200
"""An archive that expands to more than this many times its size, and to more than ``LEAST_BUDGET`` bytes, is
not read to its end: the largest ratio of a wheel seen is 7."""

DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, EOFError, RuntimeError),
    *(struct.error, OverflowError, KeyError, IndexError, OSError, TooLargeError),
)
"""What zipfile raises for what is damaged, encrypted or of another kind."""


class WheelError(Exception):
    """This is no zip that can be read: what is wrong, for a sentence."""


class Metered:
    """A file of which no more than so many bytes are read, together with others of the same budget."""

    def __init__(self, file: Reader, budget: list[int]) -> None:
        self._file, self._budget = file, budget

    def read(self, size: int, /) -> bytes:
        """Raises TooLargeError."""
        data = self._file.read(size)
        self._budget[0] -= len(data)
        if self._budget[0] < 0:
            raise TooLargeError(f"it expands to more than {MOST_RATIO} times its size, and is not read on")
        return data


def budget(size: int) -> list[int]:
    """For an archive of that size."""
    return [max(LEAST_BUDGET, MOST_RATIO * size)]


def look(file: BinaryIO, size: int, path: str, inside: str, looked: Looked) -> None:
    """Adds what is in it to ``looked``.  ``path``, ``inside``: what it is called itself.

    Raises WheelError where it is none."""
    try:
        _check_directory(file, size)
        archive = zipfile.ZipFile(file)
    except (*DAMAGED, UnicodeDecodeError) as error:
        raise WheelError(f"it is no zip that can be read ({said(error)})") from None
    with archive:
        owner = _owner(archive)
        left = budget(size)
        musl = "musllinux" in (inside or path).rpartition("/")[2]
        for member in archive.infolist():
            name = f"{inside}/{member.filename}" if inside else member.filename
            parts = member.filename.split("/")
            if not member.filename or member.filename.startswith("/") or ".." in parts:
                looked.problem(
                    path, name, "its name is empty or leads out of the archive, so it is not looked at"
                )
                continue
            if member.is_dir() or member.file_size < buildinfo.HEAD:
                continue
            try:
                binary = _read(archive, member, left)
            except DAMAGED as error:
                looked.problem(path, name, said(error))
                if left[0] < 0:
                    return
                continue
            if binary is not None:
                if musl and not binary.libc:
                    binary = buildinfo.with_libc(binary, "musl")
                looked.found.append(Found(path, name, binary, owner))


def _check_directory(file: BinaryIO, size: int) -> None:
    """zipfile takes the whole list of members into memory, ten times as large.  Raises BadZipFile."""
    file.seek(max(0, size - (1 << 16) - 22))
    tail = file.read((1 << 16) + 22)
    at = tail.rfind(EMPTY)
    if at != -1 and len(tail) >= at + 22:
        (length,) = struct.unpack_from("<I", tail, at + 12)
        wide = tail.rfind(b"PK\x06\x06", 0, at)
        if length == 0xFFFFFFFF and wide != -1 and len(tail) >= wide + 56:
            (length,) = struct.unpack_from("<Q", tail, wide + 40)
        if length > _LARGEST_DIRECTORY:
            raise zipfile.BadZipFile(f"its list of members is said to have {length:,} bytes")
    file.seek(0)


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, left: list[int]) -> buildinfo.Binary | None:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError("its compression is one that no wheel has")

    def opened() -> Reader:
        return Metered(archive.open(member), left)

    file = opened()
    head = file.read(buildinfo.HEAD)
    if not buildinfo.may_be(head):
        return None
    return buildinfo.read(buildinfo.Stream(Behind(head, file), opened))


def _owner(archive: zipfile.ZipFile) -> Owner | None:
    """By the folder .dist-info, of which a wheel has one."""
    folders = sorted(set(_informations(archive)))
    if len(folders) != 1:
        return None
    try:
        with archive.open(f"{folders[0]}/METADATA") as file:
            return owners.of_metadata(file.read(_LARGEST_LIST), folders[0])
    except DAMAGED:
        return owners.of_metadata(b"", folders[0])


def _informations(archive: zipfile.ZipFile) -> Iterator[str]:
    for name in archive.namelist():
        folder, _, rest = name.partition("/")
        if folder.endswith(".dist-info") and rest:
            yield folder


def said(error: BaseException) -> str:
    """One line of what was raised, for people."""
    text = str(error).strip() or type(error).__name__
    return " ".join(text.split())[:200]
