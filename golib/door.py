"""The one door: ``golib.open(library).run(case)``.  The suite, the fuzzer, replay and every tool go
through it, so what one sees, each sees."""

from __future__ import annotations

import atexit
from functools import cache

from golib import binding, calltree, outcome, trace
from golib.build import Library
from golib.calltree import Case
from golib.child import Request
from golib.forkserver import ForkServer, ServerError, World
from golib.outcome import Outcome

DEADLINE = 20.0
"""Seconds that a case may take; the slowest case of the suite takes two on two busy cores."""


class Servers:
    """The fork servers of this process, one for each exec-time world, started when first needed."""

    def __init__(self) -> None:
        self._servers: dict[World, ForkServer] = {}

    def run(self, world: World, request: Request) -> trace.Ended:
        """Raises ServerError; the next request then gets a new server."""
        server = self._servers.get(world)
        if server is None:
            server = self._servers[world] = ForkServer(world)
        try:
            return server.run(request)
        except ServerError:
            self._servers.pop(world).close()
            raise

    def close(self) -> None:
        for server in self._servers.values():
            server.close()
        self._servers.clear()


@cache
def servers() -> Servers:
    """The ones that this process uses."""
    ours = Servers()
    atexit.register(ours.close)
    return ours


class Subject:
    """A built bridge, ready to run cases."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._fields = fields_of(library)

    def run(self, case: Case, timeout: float = DEADLINE) -> Outcome:
        """Runs the case alone in a child of its own, at most ``timeout`` seconds.

        Raises calltree.IllegalCase before anything runs, and ServerError when no child could be had.
        """
        calltree.check(case)
        flavour = "absent" if case.bounds == "absent" else "real"
        if flavour != self.library.flavour:
            raise ValueError(
                f"bounds={case.bounds!r} needs a bridge of flavour {flavour!r}, "
                f"this is {self.library.flavour!r}"
            )
        request = Request(str(self.library.path), self._fields, (case,), timeout)
        ended = servers().run(World.of(case), request)
        return outcome.judge(case, ended, self.library.layout.stack_guard)


def fields_of(library: Library) -> binding.Fields:
    """Where this library has the fields of the trace; one that the release lacks has size 0."""
    layout = library.layout.fields
    table = []
    for _, base, key in trace.FIELDS:
        field = layout.get(key)
        table.append((int(base), field.size, field.offset) if field else (int(base), 0, 0))
    roots = tuple(layout[key].offset for key in ("g.m", "m.g0", "m.curg"))
    return binding.Fields((roots[0], roots[1], roots[2]), tuple(table))
