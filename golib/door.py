"""The one door: ``golib.open(library).run(case)``.  The suite, the fuzzer, replay and every tool go
through it, so what one sees, each sees."""

from __future__ import annotations

import atexit
import dataclasses
from collections.abc import Sequence
from functools import cache

from golib import binding, legality, outcome, symbols, trace
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

    def run(self, case: Case, timeout: float = DEADLINE, trace_file: str = "") -> Outcome:
        """Runs the case alone in a child of its own, at most ``timeout`` seconds.  ``trace_file``: where
        the execution trace goes of a case that has it on; complete when the case comes to its end.

        Raises calltree.IllegalCase before anything runs, and ServerError when no child could be had.
        """
        self._check(case)
        ended = self._children(case, (case,), timeout, trace_file)
        return outcome.judge(case, ended, self.library.layout.stack_guard)

    def run_in_a_row(self, cases: Sequence[Case], timeout: float = DEADLINE) -> list[Outcome]:
        """Runs cases of one world one after the other, in as few children as they leave alive: a death
        costs only the case that died.  For searching: the verdict that counts is ``run``'s.

        Raises as ``run`` does, and ValueError when the cases are not of one world.
        """
        outcomes: list[Outcome] = []
        for case in cases:
            self._check(case)
            if setting(case) != setting(cases[0]):
                raise ValueError(f"{case!r} is not of the world of {cases[0]!r}")
        while len(outcomes) < len(cases):
            rest = tuple(cases[len(outcomes) :])
            ended = self._children(rest[0], rest, timeout)
            outcomes += outcome.judge_row(rest, ended, self.library.layout.stack_guard)
        return outcomes

    def _check(self, case: Case) -> None:
        legality.check(case)
        if flavour(case) != self.library.flavour:
            raise ValueError(
                f"bounds={case.bounds!r} needs a bridge of flavour {flavour(case)!r}, "
                f"this is {self.library.flavour!r}"
            )

    def _children(
        self, first: Case, cases: tuple[Case, ...], timeout: float, trace_file: str = ""
    ) -> trace.Ended:
        request = Request(str(self.library.path), self._fields, cases, timeout, trace_file)
        ended = servers().run(World.of(first), request)
        if ended.stacks:
            before, mark, after = ended.stderr.partition(trace.OUT_OF_TIME)
            stacks = symbols.text(self.library.path, ended.stacks)
            ended = dataclasses.replace(ended, stderr=before + mark + stacks + after)
        return ended


def flavour(case: Case) -> str:
    """Of the bridge that a case needs: one of ``golib.build.FLAVOURS``."""
    return "absent" if case.bounds == "absent" else "real"


def setting(case: Case) -> tuple[object, ...]:
    """What cases must share to run in a row in one child, and whether one may at all."""
    alone = id(case) if legality.leaves_interpreter(case) else 0
    return flavour(case), World.of(case), case.on, case.signals, case.blocked, alone


def fields_of(library: Library) -> binding.Fields:
    """Where this library has the fields of the trace; one that the release lacks has size 0."""
    layout = library.layout.fields
    table = []
    for _, base, key in trace.FIELDS:
        field = layout.get(key)
        table.append((int(base), field.size, field.offset) if field else (int(base), 0, 0))
    to_m, to_g0, to_curg = (layout[key].offset for key in ("g.m", "m.g0", "m.curg"))
    return binding.Fields.of((to_m, to_g0, to_curg, library.layout.sched), table)
