"""golib drives real Go shared libraries from Python and says, crossing by crossing, whether the Go
runtime still knows which C stack it stands on.

    case/         what happens on the stacks, as data: nodes and world, what is legal, the script
    files/        what files say of the Go that linked them: folders, wheels, images; nothing is loaded
    toolchains/   --go SPEC -> which Go -> the library that it builds, and where its fields are
    run/          one case in one child: fork servers, thunks, the trace in shared memory
    judge/        trace against script, how the child ended, which known issue explains it
    show/         what people read
    door          golib.open(library).run(case) -> Outcome: what everybody above goes through
    fuzz, reduce  searching, and the smallest case that still does it
    reproduce     a case as a C + Go program, built, run and judged
    bisection     the release or the commit with which a fault came or went
    measure       what calls of a library as shipped cost, and where they die
    audit         golib audit: files and what is known of their Go, put together
    scenario      the fork server of scenarios: tests of the user's that run at a place
    packages      what a user writes: golib.package and golib.everywhere
    options       pytest's side: the options of the plugin and what their values must be
    session       what golib does in a run of pytest that uses it: what the fixtures give, what a run shows
    plugin        the hooks and fixtures, which load the rest when a test uses golib
    commands      the command golib, also python -m golib
    bridge/       the Go package that is linked into the library under test
    seed/         the library under test where nobody names another: a Go main package like any
    outside/      the C that stands in its place where a library cannot be rebuilt
    launch/       the C by which a fork server forks a child in which no Python runs

A folder imports from those above it only (tests/framework/test_layers.py).  This module imports nothing
until it is asked for a name: every pytest run of an environment loads it with the plugin, and the fork
server, which must stay small, loads it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from golib.case import calltree
    from golib.case.calltree import *
    from golib.door import Subject
    from golib.packages import everywhere as everywhere
    from golib.packages import package as package
    from golib.toolchains.build import Library
    from golib.toolchains.outside import Outside

    __all__: list[str] = []
    __all__ += calltree.__all__


def __getattr__(name: str) -> Any:
    """The words of a case, which ``golib.case.calltree`` has.

    ``__all__`` is these alone, without ``open``: whoever writes ``from golib import *`` has a built-in
    function of that name.
    """
    from golib.case import calltree

    if name == "__all__":
        return calltree.__all__
    if name in calltree.__all__:
        return getattr(calltree, name)
    if name in ("package", "everywhere"):
        from golib import packages

        return getattr(packages, name)
    raise AttributeError(f"module 'golib' has no attribute {name!r}")


def open(library: Library | Outside) -> Subject:
    """A built bridge (``golib.toolchains.build.build``), or a library as shipped
    (``golib.toolchains.outside.Outside``), ready to run cases.

    Raises TypeError, one sentence, for anything else, such as a path; ShippedError, one sentence, for a file
    that is no Go library for this machine.
    """
    from golib.door import FromOutside, Subject
    from golib.toolchains.build import Library
    from golib.toolchains.outside import Outside

    if isinstance(library, Outside):
        return FromOutside(library)
    if not isinstance(library, Library):
        raise TypeError(
            f"golib.open({library!r}): it opens what golib.toolchains.build.build() returns, a Library, and "
            f"this is a {type(library).__name__}; a file that golib did not build is opened as"
            " golib.toolchains.outside.Outside(path)"
        )
    return Subject(library)
