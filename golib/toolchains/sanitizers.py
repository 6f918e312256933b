"""-race and -asan: what a process needs that loads such a library, and what cannot be judged in it.

A sanitizer ends the process with a report of its own, which is an outcome like Go's own words
(golib/judge/outcome.py).  All that can be said of another build is said of this one too, but for NOT_JUDGED.
"""

from __future__ import annotations

from collections.abc import Sequence

from golib.case.calltree import Case
from golib.toolchains.build import Library

SECOND = "a second Go library (second=): the race detectors of both want the same addresses"

NOT_JUDGED = {
    "-race": ("accesses of C, and so of the bridge's C frames: the race detector sees Go's alone", SECOND),
    "-asan": (
        "the variables of C frames: a panic leaves the frames behind without a word to the sanitizer, so C is"
        " built without red zones on the stack",
        "leaks: the interpreter has its own",
    ),
}
"""What is left out in such a build, and why."""

RACE_STATUS = 77
"""Exit status of a process in which a data race was found."""

_VARIABLES = {
    # A child leaves by _exit, which would swallow the status that a race has at a normal end; and what runs
    # after a race is not to be judged (https://go.dev/doc/articles/race_detector, "Options").  With the
    # longest history an access that lies far back still has its stack.
    "-race": {"GORACE": f"halt_on_error=1 exitcode={RACE_STATUS} history_size=7"},
    # Go's signal handlers and its alternate stacks are judged as anywhere, so the sanitizer sets none.
    "-asan": {
        "ASAN_OPTIONS": ":".join(
            (
                *("detect_leaks=0", "use_sigaltstack=0"),
                *(f"handle_{name}=0" for name in ("segv", "sigbus", "sigfpe", "sigill", "abort")),
            )
        )
    },
}


class NotJudgedError(Exception):
    """This build cannot be asked: one sentence."""


def refusal(case: Case, flags: Sequence[str]) -> str:
    """Why a library of that build cannot run the case, or nothing."""
    return f"not judged with -race: {SECOND}" if case.second and "-race" in flags else ""


def variables(library: Library) -> tuple[tuple[str, str], ...]:
    """What the environment of its process must have at exec."""
    found = {name: value for flag in library.flags for name, value in _VARIABLES[flag].items()}
    if library.preload:
        found["LD_PRELOAD"] = library.preload
    return tuple(sorted(found.items()))
