"""golib drives real Go shared libraries from Python and says, crossing by crossing, whether the Go
runtime still knows which C stack it stands on.

    case/         what happens on the stacks, as data: nodes and world, what is legal, the script
    toolchains/   --go SPEC -> which Go -> the library that it builds, and where its fields are
    run/          one case in one child: fork servers, thunks, the trace in shared memory
    judge/        trace against script, how the child ended, which known issue explains it
    show/         what people read
    door          golib.open(library).run(case) -> Outcome: what everybody above goes through
    fuzz, reduce  searching, and the smallest case that still does it
    plugin        pytest: options, fixtures, what a run shows
    bridge/       the Go package that is linked into the library under test

A folder imports from those above it only (tests/framework/test_layers.py).  This module imports
case.calltree alone: the fork server, which must stay small, imports it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from golib.case import calltree
from golib.case.calltree import *

if TYPE_CHECKING:
    from golib.door import Subject
    from golib.toolchains.build import Library

# Not ``open``: whoever writes ``from golib import *`` has a built-in function of that name.
__all__: list[str] = []
__all__ += calltree.__all__


def open(library: Library) -> Subject:
    """A built bridge (``golib.toolchains.build.build``), ready to run cases."""
    from golib.door import Subject

    return Subject(library)
