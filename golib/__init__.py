"""golib drives real Go shared libraries from Python and says, crossing by crossing, whether the Go
runtime still knows which C stack it stands on.

    toolchain    --go SPEC -> which Go          calltree   what happens on the stacks, as data
    build        -> the bridge, a .so           forkserver, child   one case, one forked process
    layout       -> where its fields are        trace, binding      what both sides of it agree on
    model        what has to be true            outcome, known      what a run came to
    door         golib.open(library).run(case) -> Outcome
    plugin, report   pytest: options, fixtures, what a failure shows

A module imports only what stands above or beside it here (tests/framework/test_layers.py).  This
one imports calltree alone: the fork server, which must stay small, imports it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from golib.calltree import (
    GC,
    Block,
    C,
    Case,
    Export,
    Go,
    Goexit,
    Grow,
    IllegalCase,
    LockThread,
    Node,
    Panic,
    Python,
    Setrlimit,
    Signal,
    Stack,
    Thread,
    Together,
    Traceback,
    Wake,
    Yield,
    parse,
)

if TYPE_CHECKING:
    from golib.build import Library
    from golib.door import Subject

__all__ = [
    "GC",
    "Block",
    "C",
    "Case",
    "Export",
    "Go",
    "Goexit",
    "Grow",
    "IllegalCase",
    "LockThread",
    "Node",
    "Panic",
    "Python",
    "Setrlimit",
    "Signal",
    "Stack",
    "Thread",
    "Together",
    "Traceback",
    "Wake",
    "Yield",
    "open",
    "parse",
]


def open(library: Library) -> Subject:
    """A built bridge (``golib.build.build``), ready to run cases."""
    from golib.door import Subject

    return Subject(library)
