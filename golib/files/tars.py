"""A tar, read forwards: what its members are called, and their bytes.

Python's tarfile keeps every member, takes headers of any size into memory, and ends without a word where a
header is damaged; this one does none of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

BLOCK = 512  # bytes
_LONGEST_NAME = 1 << 16
_LARGEST_PAX = 1 << 20
_MOST_HEADERS = 16  # of one member
_SKIPPED = 1 << 18


class TarError(Exception):
    """This is no tar, or a damaged one: what is wrong, for a sentence."""


class Forward(Protocol):
    """What a tar is read from."""

    def read(self, size: int, /) -> bytes: ...


class Part:
    """A piece of what is read forwards: the bytes of one member.

    ``skip`` takes the file's own way of skipping, where it has one."""

    def __init__(self, file: Forward, size: int) -> None:
        self._file, self.left = file, size

    def read(self, size: int = -1, /) -> bytes:
        """Raises TarError where the file ends before."""
        size = self.left if size < 0 else min(size, self.left)
        data = self._file.read(size) if size else b""
        if len(data) < size:
            data += _exactly(self._file, size - len(data))
        self.left -= size
        return data

    def skip(self, size: int) -> None:
        size = min(size, self.left)
        self.left -= size
        skip(self._file, size)


class Behind:
    """A file whose first bytes were read already."""

    def __init__(self, head: bytes, file: Forward) -> None:
        self._head, self._file = head, file

    def read(self, size: int, /) -> bytes:
        if not self._head:
            return self._file.read(size)
        data, self._head = self._head[:size], self._head[size:]
        return data + self._file.read(size - len(data)) if len(data) < size else data

    def skip(self, size: int) -> None:
        rest = size - len(self._head)
        self._head = self._head[size:]
        if rest > 0:
            skip(self._file, rest)


@dataclass(frozen=True)
class Member:
    name: str
    """Without ``./`` before it; never outside the folder in which the tar stands."""
    kind: str
    """``file``, ``folder``, ``link`` (a second name of ``target``) or ``other``."""
    target: str
    size: int
    data: Part


def members(file: Forward) -> Iterator[Member]:
    """Each before the next: what was not read of it is skipped.  One whose name leads out of the folder is
    given with an empty name.  Raises TarError, and what reading raises."""
    pax: dict[str, str] = {}
    name = target = ""
    headers = 0
    while True:
        block = file.read(BLOCK)
        if 0 < len(block) < BLOCK:
            block += _exactly(file, BLOCK - len(block))
        if not block:
            raise TarError("it is cut off: the empty blocks of a tar's end are missing")
        if not block.strip(b"\0"):
            return  # GNU tar, too, takes one of them for the end
        _check(block)
        kind = block[156:157]
        size = _number(block[124:136])
        headers += 1
        if headers > _MOST_HEADERS:
            raise TarError(f"a member has more than {_MOST_HEADERS} headers")
        if kind in b"LKxX":
            if size > (_LARGEST_PAX if kind in b"xX" else _LONGEST_NAME):
                raise TarError(f"a header of {size:,} bytes")
            data = _exactly(file, _padded(size))[:size]
            if kind == b"L":
                name = _text(data)
            elif kind == b"K":
                target = _text(data)
            else:
                pax |= _pax(data)
            continue
        if kind == b"g":
            skip(file, _padded(size))
            continue
        if "size" in pax:
            size = int(pax["size"]) if pax["size"].isdigit() and len(pax["size"]) < 20 else -1
        if size < 0:
            raise TarError("a member of a size that is none")
        if kind == b"S":  # of GNU's old sparse files
            block = _sparse(file, block)
        prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
        own = pax.get("GNU.sparse.name") or pax.get("path") or name
        own = own or "/".join(filter(None, (prefix, _text(block[:100]))))
        target = pax.get("linkpath") or target or _text(block[157:257])
        what = {b"0": "file", b"\0": "file", b"7": "file", b"S": "file", b"5": "folder", b"1": "link"}.get(
            kind, "other"
        )
        if what == "file" and own.endswith("/"):
            what = "folder"  # before POSIX
        data_size = 0 if kind in b"123456" else size  # links, folders and devices have none
        part = Part(file, data_size)
        yield Member(clean(own), what, clean(target), data_size, part)
        part.skip(part.left)
        skip(file, _padded(data_size) - data_size)
        pax, name, target, headers = {}, "", "", 0


def clean(name: str) -> str:
    """Relative to the folder that the archive is for; empty where it leads out of it."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return "" if ".." in parts else "/".join(parts)


def is_tar(block: bytes) -> bool:
    """Whether that is the first block of one."""
    try:
        _check(block)
    except TarError:
        return False
    return len(block) == BLOCK


def _check(block: bytes) -> None:
    if len(block) < BLOCK:
        raise TarError("it is cut off")
    said = _number(block[148:156])
    if said != sum(block[:148]) + 8 * ord(" ") + sum(block[156:]):
        raise TarError("a header's checksum is wrong")


def _number(field: bytes) -> int:
    """Octal digits, or GNU's binary; -1 for neither."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        return -1


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _pax(data: bytes) -> dict[str, str]:
    """Of lines, each behind its length."""
    found, at = {}, 0
    while at < len(data):
        digits, space, _ = data[at : at + 8].partition(b" ")
        if not space or not digits.isdigit() or int(digits) < 5:
            raise TarError("a header of pax that is none")
        key, _, value = data[at + len(digits) + 1 : at + int(digits)].partition(b"=")
        found[_text(key)] = value.rstrip(b"\n").decode("utf-8", "surrogateescape")
        at += int(digits)
    return found


def _sparse(file: Forward, block: bytes) -> bytes:
    """Past the blocks that list the holes.  Returns the header."""
    more, first = block[482:483] != b"\0", block
    for _ in range(1 << 16):
        if not more:
            return first
        more = _exactly(file, BLOCK)[504:505] != b"\0"
    raise TarError("a sparse file of too many holes")


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _exactly(file: Forward, size: int) -> bytes:
    found = []
    while size > 0:
        data = file.read(size)
        if not data:
            raise TarError("it is cut off")
        found.append(data)
        size -= len(data)
    return b"".join(found)


def skip(file: Forward, size: int) -> None:
    own = getattr(file, "skip", None)
    if own is not None:
        own(size)
        return
    while size > 0:
        data = file.read(min(size, _SKIPPED))
        if not data:
            raise TarError("it is cut off")
        size -= len(data)
