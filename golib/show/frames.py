"""Of the tracebacks that Go prints, the frames of the user's own library: of no package of Go's and none of
golib's."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

GOROUTINES = 8
"""That are shown; those of a hang come to more than anybody reads."""
FRAMES = 3
"""Of each, the innermost."""

_GOROUTINE = re.compile(r"goroutine (\d+) .*?\[([^],]*).*\]:")
_FRAME = re.compile(r"([\w./~-]+(?:\.\(\*?\w+(?:\[.*\])?\))?(?:\.[\w.]+)*)\(.*\)")
_LINE = re.compile(r"\t(?:.*/)?([^/]+:\d+)")


def of_the_library(stderr: str) -> list[str]:
    """A line each: ``main.Visit (visit.go:12), goroutine 17, syscall``."""
    found: dict[str, None] = {}
    goroutines: dict[str, None] = {}
    for number, state, name, line in _frames(stderr):
        goroutines[number] = None
        if len(goroutines) <= GOROUTINES:
            found[f"{name} ({line}), goroutine {number}, {state}"] = None
    return list(found)


def _frames(stderr: str) -> Iterator[tuple[str, str, str, str]]:
    number = state = ""
    left = 0
    lines = stderr.splitlines()
    for here, below in itertools.pairwise([*lines, ""]):
        if begun := _GOROUTINE.match(here):
            (number, state), left = begun.groups(), FRAMES
        elif not here:
            number = ""
        elif number and left and (frame := _FRAME.match(here)) and _is_the_users(frame[1]):
            line = _LINE.match(below)
            if line and not line[1].startswith("_cgo_gotypes.go"):
                left -= 1
                yield number, state, frame[1], line[1]


def _is_the_users(name: str) -> bool:
    """Go's own packages have no dot in the first part of their paths (go help importpath)."""
    first, slash, _ = name.partition("/")
    return name.startswith("main.") or bool(slash and "." in first and first != "pytest-golib.invalid")
