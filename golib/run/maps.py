"""Whether a process has Go in it: which of the files that are mapped have a section .go.buildinfo."""

from __future__ import annotations

import struct
from functools import cache

_SECTION = ".go.buildinfo"


def go_libraries() -> list[str]:
    """Files with Go that are mapped in this process."""
    with open("/proc/self/maps") as maps:  # noqa: PTH123
        paths = dict.fromkeys(line.split(maxsplit=5)[5].rstrip("\n") for line in maps if "/" in line)
    return [path for path in paths if has_go(path)]


@cache
def has_go(path: str) -> bool:
    """Whether that file is a 64-bit ELF file with Go in it (ELF-64 Object File Format, sections)."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            header = file.read(64)
            if header[:5] != b"\x7fELF\x02":
                return False
            (start,) = struct.unpack_from("<Q", header, 0x28)
            size, count, names = struct.unpack_from("<HHH", header, 0x3A)
            file.seek(start)
            table = file.read(size * count)
            if not count or len(table) < size * count:
                return False
            offset, length = struct.unpack_from("<QQ", table, names * size + 0x18)
            file.seek(offset)
            return f"\0{_SECTION}\0".encode() in b"\0" + file.read(length)
    except (OSError, struct.error):
        return False
