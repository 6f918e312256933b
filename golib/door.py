"""The one door: ``golib.open(library).run(case)``.  The suite, the fuzzer, replay and every tool go
through it, so what one sees, each sees."""

from __future__ import annotations

import atexit
import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

from golib.case import legality, prototype
from golib.case.calltree import C, Case, Export, Go, IllegalCase, Node, Python, Thread, Together
from golib.judge import outcome, ranges
from golib.judge.outcome import Outcome
from golib.run import structs, trace
from golib.run.child import Request
from golib.run.forkserver import ForkServer, ServerError, World
from golib.toolchains import native, prototypes, sanitizers, shipped, symbols
from golib.toolchains.build import Library, NewerError
from golib.toolchains.outside import Outside, driver, variables
from golib.toolchains.prototypes import PrototypesError
from golib.toolchains.toolchain import version_key

DEADLINE = 20.0
"""Seconds that a case may take; the slowest case of the suite takes two on two busy cores."""


class Servers:
    """The fork servers of this process, one for each exec-time world, started when first needed."""

    def __init__(self) -> None:
        self._servers: dict[tuple[World, bytes], ForkServer] = {}
        self._refused: dict[tuple[World, bytes], str] = {}
        """Why there is none for scenarios, which would be the same for the next of them."""

    def run(self, world: World, request: Request, scenarios: bytes = b"") -> trace.Ended:
        """``scenarios``: for ForkServer.  Raises ServerError.  After any exception the next request gets a
        new server."""
        key = world, scenarios
        server = self._servers.get(key)
        if server is None:
            if why := self._refused.get(key):
                raise ServerError(why)
            try:
                server = self._servers[key] = ForkServer(world, scenarios)
            except ServerError as error:
                if scenarios:
                    self._refused[key] = str(error)
                raise
        try:
            return server.run(request)
        except BaseException:
            # Also of a timeout or Ctrl-C: the server still has a child, whose end would be the next answer.
            self._servers.pop(key).close()
            raise

    def close(self) -> None:
        while self._servers:
            self._servers.popitem()[1].close()


@cache
def servers() -> Servers:
    """The ones that this process uses."""
    ours = Servers()
    atexit.register(ours.close)
    return ours


class Subject:
    """A built bridge, ready to run cases."""

    def __init__(
        self, library: Library, tests: Mapping[str, str] = MappingProxyType({}), scenarios: bytes = b""
    ) -> None:
        """``tests``: those that a case may call, by their node ids, each as pytest is told to collect it;
        ``scenarios``: what their fork server is told (golib.scenario)."""
        self.library = library
        self._tests, self._scenarios = tests, scenarios
        self._fields = fields_of(library)
        self._stack_guard = library.layout.stack_guard

    def run(self, case: Case, timeout: float = DEADLINE, trace_file: str = "", *, load: int = 0) -> Outcome:
        """Runs the case alone in a child of its own, at most ``timeout`` seconds.  ``trace_file``: where
        the execution trace goes of a case that has it on; complete when the case comes to its end.
        ``load``: how many busy processes compete with the child for the processors.

        Raises calltree.IllegalCase before anything runs, BuildError when golib's own C cannot be compiled,
        and ServerError when no child could be had.
        """
        return self.judge(case, self.ended(case, timeout, trace_file, load=load))

    def ended(
        self, case: Case, timeout: float = DEADLINE, trace_file: str = "", *, load: int = 0
    ) -> trace.Ended:
        """How a child ended that ran the case alone: ``run`` before it is judged.  Raises as ``run`` does."""
        self._check(case)
        return self._children((case,), timeout, trace_file, load)

    def judge(self, case: Case, ended: trace.Ended) -> Outcome:
        """What such an end comes to."""
        return outcome.judge(case, ended, self._stack_guard, self._version)

    @property
    def _version(self) -> str:
        """The Go release, or nothing where that is not known."""
        return self.library.toolchain.version

    def run_in_a_row(
        self,
        cases: Sequence[Case],
        timeout: float = DEADLINE,
        *,
        load: int = 0,
        pinned: bool = False,
        legal: bool = False,
    ) -> list[Outcome]:
        """Runs cases of one world one after the other, in as few children as they leave alive: a death
        costs only the case that died.  For searching: the verdict that counts is ``run``'s.

        The cases share the main thread, which keeps what its first callback found out.  A case that is
        about this callback (``first_matters``) belongs first in its row: further back it tests less.
        ``timeout`` and ``load`` are as for ``run``, the timeout for each case.  ``pinned``: the child keeps
        to one processor, where threads do not get into each other's way; Go has one P then.  ``legal``:
        whoever drew the cases has asked ``legality.check``.

        Raises as ``run`` does, and ValueError when the cases are not of one world.
        """
        outcomes: list[Outcome] = []
        first = setting(cases[0]) if cases else ()
        for case in cases:
            self._check(case, legal)
            if setting(case) != first:
                raise ValueError(f"{case!r} is not of the world of {cases[0]!r}")
        while len(outcomes) < len(cases):
            rest = tuple(cases[len(outcomes) :])
            ended = self._children(rest, timeout, "", load, pinned)
            outcomes += outcome.judge_row(rest, ended, self._stack_guard)
        return outcomes

    def world(self, case: Case) -> World:
        """Of the fork server that the case needs with this library."""
        return World.of(case, sanitizers.variables(self.library))

    def _check(self, case: Case, legal: bool = False) -> None:
        if not legal:
            legality.check(case)
        self._check_release(case)
        self._check_calls(case)
        if flavour(case) != self.library.flavour:
            raise ValueError(
                f"bounds={case.bounds!r} needs a bridge of flavour {flavour(case)!r}, "
                f"this is {self.library.flavour!r}"
            )
        for export in _with_values(case):
            known = self.library.exports.get(export.name)
            if known is None:
                there = ", ".join(self.library.exports)
                raise IllegalCase(
                    f"{export.label}: the library exports no {export.name}; it has {there}"
                    if there
                    else f"{export.label}: the library does not say what exports take; add -g to CGO_CFLAGS"
                )
            wrong = prototype.refuse_call(export.name, known, export.args)
            if wrong is None and export.returns is not None:
                wrong = prototype.refuse_result(export.name, known, export.returns)
            if wrong is not None:
                raise IllegalCase(f"{export.label}: {wrong}")

    def _check_release(self, case: Case) -> None:
        """Raises IllegalCase for ranges that are none, NewerError where the release lacks what a node needs,
        and NotJudgedError where the build cannot be asked."""
        for text, _ in case.dies if isinstance(case.dies, tuple) else ():
            try:
                ranges.read(text)
            except ValueError as error:
                raise IllegalCase(f"dies: {text!r} is no range of releases: {error}") from None
        version = self._version
        for placed in case.walk():
            since = placed.node.since
            if since and version_key(version) < version_key(f"{since}.0"):
                raise NewerError(f"{placed.node.label} is there since Go {since}; this is {version}")
        if why := sanitizers.refusal(case, self.library.flags):
            raise sanitizers.NotJudgedError(why)

    def _check_calls(self, case: Case) -> None:
        """ "module:function" is looked up in the child, which alone may load what the module loads."""
        calls = case.calls()
        tests = [call for call in calls if "::" in call]
        if tests and len(calls) > 1:
            raise IllegalCase(f"a case that runs a test runs nothing else, this one {' and '.join(calls)}")
        for call in calls:
            module, colon, function = call.partition(":")
            if call not in self._tests and ("::" in call or not (module and colon and function)):
                raise IllegalCase(
                    f'call={call!r} is neither "module:function" nor a test of golib.everywhere that was'
                    " collected; correct it, or give the test's file on the command line"
                )

    def _children(
        self, cases: tuple[Case, ...], timeout: float, trace_file: str, load: int, pinned: bool = False
    ) -> trace.Ended:
        request = dataclasses.replace(self._request(cases, timeout, trace_file, load), pinned=pinned)
        calls = cases[0].calls()
        if calls:
            test = self._tests.get(calls[0], "")
            request = dataclasses.replace(
                request, calls=True, scenario=test, paths=(*request.paths, *sys.path)
            )
        ended = servers().run(self.world(cases[0]), request, self._scenarios if request.scenario else b"")
        if os.waitstatus_to_exitcode(ended.status) == trace.CALL_STATUS and ended.record.fault:
            raise IllegalCase(ended.record.fault)
        if ended.samples:
            before, mark, after = ended.stderr.partition(trace.OUT_OF_TIME)
            stacks = symbols.text(Path(request.library), ended.samples)
            ended = dataclasses.replace(ended, stderr=before + mark + stacks + after)
        return ended

    def _request(self, cases: tuple[Case, ...], timeout: float, trace_file: str, load: int) -> Request:
        exports = self.library.exports
        if not cases[0].calls():  # a scenario calls what it likes
            called = {export.name for case in cases for export in _with_values(case)}
            exports = {name: exports[name] for name in called}
        # A sanitizer has a word in each fork and load, which was tried with Python's alone.
        launcher = "" if sanitizers.variables(self.library) else str(native.launcher())
        return Request(
            *(str(self.library.path), self._fields, cases, timeout, trace_file, load, exports),
            launcher=launcher,
        )


class FromOutside(Subject):
    """A library as shipped, ready to run cases that have no Go frame of golib's: it has no ``library``.

    What is not seen without the bridge's probe is not judged: ``golib.toolchains.outside.NOT_SEEN``."""

    def __init__(
        self, outside: Outside, tests: Mapping[str, str] = MappingProxyType({}), scenarios: bytes = b""
    ) -> None:
        """``tests``, ``scenarios``: as for ``Subject``.

        Raises ShippedError when this is no Go library for this machine, BuildError when its driver cannot
        be had."""
        self.shipped = shipped.read(outside.path)
        self._tests, self._scenarios = tests, scenarios
        self._paths = outside.paths
        self._fields = structs.Fields.of(structs.RootsStruct(), ())
        self._stack_guard = None
        self._driver = driver()
        try:
            self._exports = prototypes.read(outside.path)
        except PrototypesError:  # a stripped one
            self._exports = {}

    @property
    def _version(self) -> str:
        return self.shipped.release

    def world(self, case: Case) -> World:
        return World.of(case, variables())

    def _check(self, case: Case, legal: bool = False) -> None:
        legality.check_from_outside(case)
        self._check_calls(case)

    def _request(self, cases: tuple[Case, ...], timeout: float, trace_file: str, load: int) -> Request:
        return Request(
            str(self.shipped.path),
            self._fields,
            cases,
            timeout,
            load=load,
            exports=self._exports if cases[0].calls() else {},
            driver=str(self._driver),
            paths=self._paths,
        )


def _with_values(case: Case) -> list[Export]:
    """The exports of a case that Python calls with arguments."""
    found = []
    waiting: list[Node] = [*case.trees]
    while waiting:
        node = waiting.pop()
        waiting += node.children()
        if isinstance(node, Export) and not node.seeds:
            found.append(node)
    return found


def flavour(case: Case) -> str:
    """Of the bridge that a case needs: one of ``golib.toolchains.build.FLAVOURS``."""
    return "absent" if case.bounds == "absent" else "real"


def setting(case: Case) -> tuple[object, ...]:
    """What cases must share to run in a row in one child, their whole world; and whether one may at all.

    The bounds, not the flavour that they need: what the main thread has been told once is cached, and a later
    case whose bounds are hidden would not have to do without.  One that blocks a signal has a child of its
    own: what Go unblocks, it unblocks at a thread's first callback."""
    ends = legality.leaves_interpreter(case) or case.calls() or case.dies
    alone = id(case) if ends or case.blocked else 0
    return (*sorted(case.world().items()), alone)


def first_matters(case: Case) -> bool:
    """Whether the case shows something that only the first case of a child can show: the main thread's first
    callback lies on another stack than the thread's own, or comes after a switch of stacks, a thread, a
    signal or a new limit on that thread."""
    special = False
    waiting: list[Node] = [*reversed(case.trees)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Go | Export):
            return special
        special = special or not isinstance(node, C | Python)
        if not isinstance(node, Thread | Together):  # what they run, they run on other threads
            waiting += reversed(node.body)
    return False


def fields_of(library: Library) -> structs.Fields:
    """Where this library has the fields of the trace; one that the release lacks has size 0."""
    layout = library.layout.fields
    table = []
    for _, base, key in trace.FIELDS:
        field = layout.get(key)
        table.append((int(base), field.size, field.offset) if field else (int(base), 0, 0))
    stops = layout.get("g.trackingSeq")
    roots = structs.RootsStruct(
        g_m=layout["g.m"].offset,
        m_g0=layout["m.g0"].offset,
        m_curg=layout["m.curg"].offset,
        g_hi=layout["g.stack.hi"].offset,
        g_stops=stops.offset if stops else 0,
        sched=library.layout.sched,
        memstats=library.layout.memstats,
    )
    return structs.Fields.of(roots, table)
