"""golib drives real Go shared libraries from Python and says, crossing by crossing, whether the Go
runtime still knows which C stack it stands on.

    toolchain    --go SPEC -> which Go          calltree   what happens on the stacks, as data
    build        -> the bridge, a .so           legality, script    which cases are legal; their steps
    layout       -> where its fields are        forkserver, child   one case, one forked process
    model        trace against script           trace, binding      what both sides of it agree on
    outcome      how the child ended            known      which fault explains what
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
