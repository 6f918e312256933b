"""ELF -> names: of functions, for what the threads of a hung child were doing, and of libraries needed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from golib.toolchains.layout import load_address

ELSEWHERE = "?"
"""A program counter that lies in none of the library's functions."""


def needed(path: Path) -> list[str]:
    """The shared libraries that a library asks for, as it names them."""
    with path.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".dynamic")
        tags = section.iter_tags("DT_NEEDED") if isinstance(section, DynamicSection) else ()
        return [tag.needed for tag in tags]  # type: ignore[attr-defined]


class Symbols:
    """The functions of one library."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            elf = ELFFile(file)
            table, base = elf.get_section_by_name(".symtab"), load_address(elf)
            found = []
            if isinstance(table, SymbolTableSection):
                found = [
                    (symbol["st_value"] - base, symbol["st_size"], symbol.name)
                    for symbol in table.iter_symbols()
                    if symbol["st_info"]["type"] == "STT_FUNC"
                ]
        found.sort()
        self._starts = [start for start, _, _ in found]
        self._functions = found

    def name(self, offset: int) -> str:
        """Of the function at that offset from where the library is loaded."""
        index = bisect_right(self._starts, offset) - 1
        if index < 0:
            return ELSEWHERE
        start, size, name = self._functions[index]
        return str(name) if offset < start + max(size, 1) else ELSEWHERE


@cache
def of(path: Path) -> Symbols:
    """A library's symbols, read once; what lies at a path never changes (``build``)."""
    return Symbols(path)


def text(path: Path, samples: Sequence[Sequence[tuple[int, Sequence[int]]]]) -> str:
    """The stacks of each sample as Go would print them: a header for each thread, a line a function, then an
    empty line."""
    if not samples:
        return ""
    names = of(path)
    lines = []
    for number, stacks in enumerate(samples, 1):
        lines.append(f"golib: sample {number} of {len(samples)}")
        for tid, counters in stacks:
            lines.append(f"golib: thread {tid}, by its frame pointers:")
            lines += [f"{name}(...)" for pc in counters if (name := names.name(pc)) != ELSEWHERE]
            lines.append("")
    return "\n".join(lines) + "\n"
