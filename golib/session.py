"""What golib does in a run of pytest whose tests use it: the toolchains and their libraries, the objects
behind the fixtures, the cases of --golib-replay, and what a run shows.

The controller resolves the specs of --go once and hands them to the workers; it also builds, between
collection and the first test, so that a progress line can be seen.  Without an option that names a Go, the
first test that uses one is what starts this, in the process that collects it: the Go on PATH is the same
for all.  ``golib.plugin`` loads this module when there is something to judge.
"""

from __future__ import annotations

import json
import os
import pickle
import platform
import re
import shlex
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from golib import exhaustive, fuzz, hunt, packages, scenario, shards
from golib.case import legality, phrases
from golib.case.calltree import Case, IllegalCase, Node
from golib.case.places import PLACES
from golib.door import DEADLINE, FromOutside, Subject, servers
from golib.edges import Edge
from golib.judge import known
from golib.judge.known import KnownIssue, Verdict
from golib.judge.outcome import Kind, Outcome
from golib.options import HANDED, HOSTS, OPTIONS, SHARDS, Options
from golib.packages import LIB
from golib.run.forkserver import ServerError
from golib.show import picture, report
from golib.toolchains import build, sanitizers, toolchain
from golib.toolchains.build import BuildError, Library
from golib.toolchains.outside import Outside
from golib.toolchains.shipped import Shipped
from golib.toolchains.toolchain import SpecError, Toolchain, Unavailable

Judged = Toolchain | Shipped
"""What a run judges: a Go, or a library that some Go has built."""

REPORTS = pytest.StashKey[list[pytest.TestReport]]()
SAID = pytest.StashKey[str]()
FUZZED = pytest.StashKey[dict[str, Any]]()
EXHAUSTED = pytest.StashKey[dict[str, Any]]()
HUNTED = pytest.StashKey[dict[str, Any]]()
SEEN = pytest.StashKey[str]()
OUTCOMES = pytest.StashKey[list[tuple[Outcome, Verdict]]]()
GONE = pytest.StashKey[list[str]]()
PROVEN = pytest.StashKey[dict[str, Any]]()
UNREADABLE = pytest.StashKey[list[str]]()


@dataclass
class Run:
    """What one run is about.  In an xdist worker it comes from the controller, as far as that knows it."""

    options: Options
    toolchains: list[Toolchain]
    unavailable: list[Unavailable]
    overlay: Path | None
    replay: list[tuple[str, Case]]
    """Each with the text that named it."""
    missing: str = ""
    """Why there is no toolchain, in a run that did not ask for one."""
    libraries: dict[tuple[Path, str, Path | None], Library] = field(default_factory=dict)

    @classmethod
    def begin(cls, options: Options, handed: dict[str, Any] | None) -> Run:
        """``handed``: what a worker has of its controller.  Raises pytest.UsageError, one sentence."""
        run = cls(
            options,
            toolchains=[],
            unavailable=[],
            overlay=_overlay(options.overlay),
            replay=[(text, _case(text)) for text in options.replay],
        )
        if handed is not None and "toolchains" in handed:
            run.toolchains = [Toolchain.from_json(data) for data in handed["toolchains"]]
            run.missing = handed["missing"]
            return run
        try:
            toolchain.check_platform()
            run.toolchains, run.unavailable = toolchain.resolve(options.go)
        except SpecError as error:
            if options.go or options.replay or options.required:
                raise pytest.UsageError(str(error)) from None
            run.missing = str(error)
        return run

    @property
    def timeout(self) -> float:
        """Seconds that a case may take."""
        return DEADLINE if self.options.timeout is None else self.options.timeout

    @property
    def issues(self) -> Sequence[KnownIssue]:
        """Those that are no failures in this run."""
        return known.shipped() if self.options.known_issues else ()

    def name(self, chosen: Judged) -> str:
        """The toolchain and its build in ids and tables: ``go1.27.4``, ``go1.27.4-race``, and ``go1.27.4@2``
        for a GOROOT that calls itself what a release is called."""
        if isinstance(chosen, Shipped):
            return chosen.name
        same = [one for one in self.toolchains if one.name == chosen.name]
        number = same.index(chosen) + 1
        name = chosen.name + "".join(self.options.flags)
        return name if number == 1 else f"{name}@{number}"

    def library(
        self,
        chosen: Toolchain,
        flavour: str,
        progress: Callable[[str], None] = lambda message: None,
        package: Path | None = None,
    ) -> Library:
        """``package``: the user's; else golib's own.  Raises BuildError."""
        key = (chosen.goroot, flavour, package)
        if key not in self.libraries:
            self.libraries[key] = build.build(
                chosen,
                flavour=flavour,
                overlay=self.overlay,
                flags=self.options.flags,
                session=self.options.session,
                progress=progress,
                package=package or build.SEED,
            )
        return self.libraries[key]


def _case(text: str) -> Case:
    try:
        return fuzz.read_case(text)
    except IllegalCase as error:
        raise pytest.UsageError(f"--golib-replay: {error}") from None


def _overlay(text: str | None) -> Path | None:
    if text is None:
        return None
    path = Path(text).expanduser().absolute()
    try:
        build.check_overlay(path)
    except BuildError as error:
        raise pytest.UsageError(str(error)) from None
    return path


class Session:
    """golib's part in the run of this process, a plugin of pytest's."""

    def __init__(self, config: pytest.Config) -> None:
        """Raises pytest.UsageError, one sentence, for an option that cannot be followed."""
        handed = config.stash.get(HANDED, None)
        self._config = config
        self._is_worker = handed is not None
        self.run = Run.begin(config.stash[OPTIONS], handed)
        self._complaints: list[str] = []
        """Of tests of golib.everywhere that make no sense."""
        self._announced = False
        """Whether the header was printed."""
        self._pictured: set[tuple[object, ...]] = set()
        """Toolchain, issues and signature of what this process has made a picture of."""
        self._controller = None if self._is_worker else _Controller(self.run, self._say)
        if self._controller is not None:
            config.pluginmanager.register(self._controller, "golib-controller")

    def handed(self) -> dict[str, Any]:
        """What a worker need not find out again."""
        toolchains = [one.to_json() for one in self.run.toolchains]
        return {"toolchains": toolchains, "missing": self.run.missing}

    # What the fixtures give.

    def bridge(self, chosen: Toolchain) -> Bridge:
        return Bridge(self.run, chosen)

    @cached_property
    def _setting(self) -> bytes:
        """What the servers of scenarios are told: the same for all, so that one serves a world."""
        config = self._config
        shown = [f"--tb={config.option.tbstyle}", *(["-l"] if config.option.showlocals else [])]
        shown += [f"-{'v' * config.option.verbose}"] if config.option.verbose > 0 else []
        shown += [part for name in config.option.plugins for part in ("-p", name)]
        shown += [part for text in config.option.override_ini or () for part in ("-o", text)]
        setting = scenario.Setting(
            folder=str(config.invocation_params.dir),
            arguments=(
                f"--rootdir={config.rootpath}",
                f"--config-file={config.inipath or os.devnull}",
                f"--import-mode={config.option.importmode}",
                *(part for text in config.option.pythonwarnings or () for part in ("-W", text)),
                *(f"--go-build={flag}" for flag in self.run.options.flags),
                *shown,
            ),
            options=_plain(vars(config.option)),
            handed=self.run.options.handed() | self.handed(),
            path=tuple(sys.path),
            pythonpath=os.environ.get("PYTHONPATH"),
        )
        return pickle.dumps(setting)

    def scenario(self, item: pytest.Item) -> Bridge:
        """What runs the scenario of that test."""
        spot = spot_of(item)
        assert spot is not None
        tests = {self.call(item): f"{item.path}::{item.nodeid.partition('::')[2]}"}
        return Bridge(self.run, spot.judged, spot.package.path, tests, self._setting)

    def call(self, item: pytest.Item) -> str:
        """The name of that test's scenario in a case: its node id without the toolchain, for a case is
        replayed on any."""
        spot = spot_of(item)
        assert spot is not None
        return _without(item.nodeid, self.run.name(spot.judged))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """The fixtures of a scenario are set up where it runs, in its child."""
        if spot_of(item) is not None and not self._config.stash.get(HOSTS, False):
            item.fixturenames = []  # type: ignore[attr-defined]

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Runs a scenario at its place, and judges what Go made of it."""
        spot = spot_of(pyfuncitem)
        if spot is None or self._config.stash.get(HOSTS, False):
            return None
        check = Check(self.scenario(pyfuncitem), self.run.issues, pyfuncitem)
        case = PLACES[spot.place].case(self.call(pyfuncitem))
        outcome = check.ran(case)
        pyfuncitem.stash[REPORTS] = _reports(self._config, outcome.reports)
        check.judge(outcome)
        return True

    def _from_child(self, item: pytest.Item, made: pytest.TestReport, excinfo: object) -> None:
        """Puts what the child reported of a scenario in this process's report."""
        reports = item.stash.get(REPORTS, [])
        if excinfo is not None or made.when == "setup":
            return
        theirs = [one for one in reports if one.when == made.when]
        if made.when == "call" and not theirs:
            theirs = [one for one in reports if one.when == "setup"]
        for one in theirs:
            made.outcome, made.longrepr = one.outcome, one.longrepr
            made.sections = [*one.sections, *made.sections]
            made.user_properties = one.user_properties
            made.__dict__.pop("wasxfail", None)
            if hasattr(one, "wasxfail"):
                made.wasxfail = one.wasxfail
        said = item.stash.get(SAID, "")
        if made.when == "call" and made.failed and said:
            made.sections.append(("golib", said))

    def check(self, bridge: Bridge, node: pytest.Item) -> Check:
        return Check(bridge, self.run.issues, node)

    def fuzz(self, bridge: Bridge, node: pytest.Item) -> Fuzz:
        return Fuzz(bridge, self.run.issues, node)

    # What is said of the run before its tests.

    def pytest_report_header(self) -> list[str]:
        self._announced = True
        return self._header()

    def pytest_report_collectionfinish(self) -> list[str]:
        return self._late_header()

    def _late_header(self) -> list[str]:
        """The header, where the first test that uses golib came after pytest's own."""
        if self._announced or self._config.get_verbosity() < 0:
            return []
        self._announced = True
        return self._header()

    def _header(self) -> list[str]:
        run = self.run
        if not run.toolchains:
            return [f"golib: no Go: {run.missing}"]
        names = ", ".join(f"{run.name(one)} ({one.goroot})" for one in run.toolchains)
        lines = [
            f"golib: {names}",
            f"golib: {_compiler()}, {_machine_line()}",
            f"golib: fuzz seed {run.options.seed}, {run.options.fuzz} cases a shard",
        ]
        lines += [
            f"golib: not judged with {flag}: {what}"
            for flag in run.options.flags
            for what in sanitizers.NOT_JUDGED[flag]
        ]
        lines += [f"golib: {line}" for line in build.ignored(os.environ)]
        return lines + [f"golib: {one.version} is not available: {one.why}" for one in run.unavailable]

    # Parametrization and building.

    def parametrize_everywhere(self, metafunc: pytest.Metafunc, mark: pytest.Mark) -> None:
        """A test of golib.everywhere runs on each toolchain in each place."""
        try:
            self._parametrize_everywhere(metafunc, mark)
        except pytest.UsageError as error:
            # pytest would take it for an error of that file's collection, with a traceback.
            self._complaints.append(str(error))

    def _parametrize_everywhere(self, metafunc: pytest.Metafunc, mark: pytest.Mark) -> None:
        run = self.run
        library, chosen = mark.args
        name = metafunc.definition.name
        if not isinstance(library, packages.Package):
            raise pytest.UsageError(
                f"golib.everywhere({library!r}) over {name}: it takes what golib.package() returns"
            )
        if strange := [one for one in chosen if one not in PLACES]:
            raise pytest.UsageError(
                f"golib.everywhere(places={strange[0]!r}) over {name}: places are {', '.join(PLACES)}"
            )
        if LIB not in metafunc.fixturenames:
            raise pytest.UsageError(f"golib.everywhere over {name}: the test needs the argument {LIB!r}")
        library.check()
        judged: Sequence[Judged] = [library.shipped] if library.shipped else run.toolchains
        if not judged:
            raise pytest.UsageError(run.missing)
        spots = [Spot(one, place, library) for one in judged for place in chosen or PLACES]
        # The place first: by an id that begins with a Go, a controller of xdist's builds golib's own library.
        params = [
            pytest.param(spot, marks=_unseen(spot), id=f"{spot.place}-{run.name(spot.judged)}")
            for spot in spots
        ]
        metafunc.parametrize(LIB, params)

    def parametrize(self, metafunc: pytest.Metafunc) -> None:
        """A test that uses golib runs on each toolchain, and a test of the fuzzer in shards."""
        run = self.run
        if not run.toolchains and not self._is_worker:
            raise pytest.UsageError(run.missing)
        ids = [run.name(one) for one in run.toolchains] or ["no-go"]
        metafunc.parametrize(
            "golib_toolchain", run.toolchains or [run.missing], ids=ids, scope="session", indirect=True
        )
        if "_golib_shard" in metafunc.fixturenames:
            skip = pytest.mark.skip(reason="--golib-fuzz 0 turns the fuzzer off")
            off = [pytest.param(0, id="off", marks=skip)]
            parts = [pytest.param(number, id=f"shard={number}") for number in range(SHARDS)]
            metafunc.parametrize("_golib_shard", parts if run.options.fuzz else off, indirect=True)
        if "_golib_block" in metafunc.fixturenames:
            nodes = run.options.exhaustive
            skip = pytest.mark.skip(reason="--golib-exhaustive 0 runs no small cases")
            off = [pytest.param(0, id="none", marks=skip)]
            parts = [pytest.param(one, id=f"block={one}") for one in range(exhaustive.blocks(nodes))]
            metafunc.parametrize("_golib_block", parts if nodes else off, indirect=True)
        if "_golib_slice" in metafunc.fixturenames:
            skip = pytest.mark.skip(reason="--golib-hunt SECONDS runs cases about time")
            off = [pytest.param(0, id="none", marks=skip)]
            number = len(hunt.slices(run.options.hunt))
            parts = [pytest.param(one, id=f"part={one}") for one in range(number)]
            metafunc.parametrize("_golib_slice", parts or off, indirect=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> None:
        """With --golib-replay, nothing is collected: whatever lies where pytest stands has no say in it.  But
        a case that calls a test calls one that was collected."""
        if self.run.replay and not any(case.calls() for _, case in self.run.replay):
            session.config.args = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """With --golib-replay, its cases are what runs; last, so that no -k or -m takes them away."""
        if self._complaints and not self._is_worker:
            raise pytest.UsageError(self._complaints[0])
        if self._is_worker and not self._config.option.collectonly:
            self._prepare_worker(items)
        if not self.run.replay:
            self._deal_out(items)
            return
        tests: dict[tuple[Judged, str], Bridge] = {}
        for item in items:
            if spot := spot_of(item):
                tests[spot.judged, self.call(item)] = self.scenario(item)
        collected = {call for _, call in tests}
        for text, case in self.run.replay:
            if strange := [call for call in case.calls() if call not in collected]:
                raise pytest.UsageError(
                    f"--golib-replay: {text}: call={strange[0]!r} names no test of golib.everywhere that was"
                    " collected, and nothing else is called; give the test's file on the command line"
                )
        shipped = dict.fromkeys(one for one, _ in tests if isinstance(one, Shipped))
        items[:] = [
            Replay.from_parent(session, run=self.run, chosen=chosen, number=number, tests=tests)
            for chosen in (*self.run.toolchains, *shipped)
            for number, (_, case) in enumerate(self.run.replay)
            if all((chosen, call) in tests for call in case.calls())
        ]

    def _deal_out(self, items: list[pytest.Item]) -> None:
        """Leaves, of golib's tests, those of --golib-shard."""
        number, count = self.run.options.shard or (1, 1)
        ours = [item for item in items if _judges(item)]
        others = {item for index, item in enumerate(ours) if index % count != number - 1}
        if others:
            self._config.hook.pytest_deselected(items=list(others))
            items[:] = [item for item in items if item not in others]

    def _prepare_worker(self, items: list[pytest.Item]) -> None:
        """Builds what the controller does not know of.  A worker cannot refuse to run, so it has nothing to
        run, and the controller ends with what it complains of."""
        try:
            self._build_for_scenarios(items)
        except pytest.UsageError as error:
            self._complaints.append(str(error))
        if self._complaints:
            items[:] = []
            self._config.workeroutput["golib"] = self._complaints[0]  # type: ignore[attr-defined]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Builds, where tests run in this process, what they will need.  Last, below the header."""
        if not self._is_worker and not self._config.option.collectonly:
            self._build_for_scenarios(session.items)
            self._build_for([item.nodeid for item in session.items if spot_of(item) is None])

    def _build_for_scenarios(self, items: Sequence[pytest.Item]) -> None:
        spots = [spot for item in items if (spot := spot_of(item))]
        for chosen, path in dict.fromkeys((spot.judged, spot.package.path) for spot in spots):
            if isinstance(chosen, Toolchain):
                self._build(chosen, path)

    def workers_collected(self, ids: Sequence[str]) -> None:
        """Builds what the workers will need.  Raises pytest.UsageError where it cannot be built."""
        for line in self._late_header():
            self._say(line)
        self._build_for(ids)

    def _build_for(self, ids: Sequence[str]) -> None:
        for chosen in self.run.toolchains:
            own = self.run.name(chosen)
            if any(f"[{own}-" in name or f"[{own}]" in name for name in ids):
                self._build(chosen)

    def _build(self, chosen: Toolchain, package: Path | None = None) -> None:
        # Whether a case needs the other flavour is known when it runs: who runs it builds that.
        try:
            self.run.library(chosen, "real", lambda message: self._say(f"golib: {message}"), package)
        except build.NewerError:
            return  # a skip, with that sentence
        except BuildError as error:
            raise pytest.UsageError(str(error)) from None

    def _say(self, line: str) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(line)

    # What a test came to.

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """Puts on the report, which travels from the worker to the controller, what the case came to."""
        made: pytest.TestReport = yield
        chosen: object
        spot = spot_of(item)
        if isinstance(item, Replay):
            chosen = item.chosen
        elif spot is not None:
            chosen = spot.judged
            if not self._config.stash.get(HOSTS, False):
                self._from_child(item, made, call.excinfo)
        else:
            callspec = getattr(item, "callspec", None)
            chosen = callspec.params.get("golib_toolchain") if callspec else None
        if not isinstance(chosen, Judged):
            return made
        name = self.run.name(chosen)
        # What a test that failed raised: an assertion of its own speaks of Go, an exception of golib's does
        # not.
        raised = call.excinfo.typename if call.excinfo is not None and made.failed else ""
        data: dict[str, Any] = {"toolchain": name, "outcome": None, "issue": None, "raised": raised}
        data["picture"] = None
        outcomes = item.stash.get(OUTCOMES, [])
        if outcomes:
            outcome, verdict = next((pair for pair in outcomes if pair[1].status != "passed"), outcomes[-1])
            data["outcome"] = {
                "kind": outcome.kind.value,
                "signature": str(verdict.signature),
                "headline": report.headline(outcome, verdict) if outcome.kind is not Kind.PASSED else "",
            }
            data["issue"] = ", ".join(verdict.issues) or None
            data["picture"] = self._picture(name, outcome, verdict, made)
        data["issue"] = data["issue"] or item.stash.get(SEEN, None)
        data["fuzz"] = item.stash.get(FUZZED, None)
        data["exhaustive"] = item.stash.get(EXHAUSTED, None)
        data["hunt"] = item.stash.get(HUNTED, None)
        data["unreadable"] = item.stash.get(UNREADABLE, [])
        data["gone"] = item.stash.get(GONE, [])
        data["proof"] = item.stash.get(PROVEN, None)
        # What a failure shows: the case, its trace, Go's words, the command that runs it again.
        data["text"] = made.longreprtext if made.failed else ""
        if isinstance(item, Replay):
            data["replayed"] = report.replayed(*outcomes[0]) if outcomes else []
        made.golib = data  # type: ignore[attr-defined]
        return made

    def _picture(
        self, name: str, outcome: Outcome, verdict: Verdict, made: pytest.TestReport
    ) -> dict[str, Any] | None:
        """For a page: of what failed, and of known issues one a signature, which a run may show thousands of
        times."""
        if not self.run.options.html or verdict.status == "passed":
            return None
        if outcome.kind in (Kind.HARNESS, Kind.RAISED):
            return None
        key = name, verdict.issues, picture.signature(verdict)
        if not made.failed and key in self._pictured:
            return None
        self._pictured.add(key)
        return picture.picture(outcome, verdict)

    def reported(self, report: pytest.TestReport) -> None:
        """Takes a report that came before this plugin's own hook was there to see it."""
        if self._controller is not None:
            self._controller.pytest_runtest_logreport(report)

    def pytest_unconfigure(self) -> None:
        servers().close()


@dataclass(frozen=True)
class Spot:
    """Where a test of golib.everywhere runs: the value of its argument ``lib`` until it is there."""

    judged: Judged
    place: str
    package: packages.Package


def _unseen(spot: Spot) -> tuple[pytest.MarkDecorator, ...]:
    """A library as shipped has no Go frames of golib's, and no switches of its own."""
    if isinstance(spot.judged, Toolchain):
        return ()
    try:
        legality.check_from_outside(PLACES[spot.place].case("it"))
    except IllegalCase as error:
        return (pytest.mark.skip(reason=f"not as shipped: {str(error).partition(': ')[2]}"),)
    return ()


def _judges(item: pytest.Item) -> bool:
    """Whether the test is one of golib's."""
    callspec = getattr(item, "callspec", None)
    return bool(callspec and callspec.params.keys() & {"golib_toolchain", LIB})


def spot_of(item: pytest.Item) -> Spot | None:
    callspec = getattr(item, "callspec", None)
    found = callspec.params.get(LIB) if callspec else None
    return found if isinstance(found, Spot) else None


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that can be handed to another process."""
    return {
        name: value
        for name, value in options.items()
        if isinstance(value, str | int | float | bool | None) or name in ("keyword", "markexpr")
    }


def _reports(config: pytest.Config, text: str) -> list[pytest.TestReport]:
    """What a child's test came to."""
    reports = []
    for data in json.loads(text or "[]"):
        if isinstance(data["longrepr"], list):
            data["longrepr"] = tuple(data["longrepr"])  # a skip's, which JSON has made a list
        reports.append(config.hook.pytest_report_from_serializable(config=config, data=data))
    return reports


def _without(nodeid: str, toolchain: str) -> str:
    """A test's node id without the name of the toolchain."""
    return re.sub(
        rf"\[{re.escape(toolchain)}\]|(?<=\[){re.escape(toolchain)}-|-{re.escape(toolchain)}(?=[-\]])",
        "",
        nodeid,
    )


def _compiler() -> str:
    command = shlex.split(os.environ.get("CC", "") or "gcc")[0]
    try:
        version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return command
    return version.splitlines()[0]


def _machine() -> dict[str, str | bool]:
    """What a result depends on beside the Go and the C compiler."""
    return {
        "libc": " ".join(platform.libc_ver()),
        "arch": platform.machine(),
        "python": platform.python_version(),
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
    }


def _machine_line() -> str:
    found = _machine()
    gil = "with" if found["gil"] else "without"
    return f"{found['libc']}, {found['arch']}, Python {found['python']} {gil} the GIL"


def _replay_id(run: Run, chosen: Judged, number: int) -> str:
    return f"replay[{run.name(chosen)}-{number}]"


def _replay_ids(run: Run) -> list[str]:
    return [_replay_id(run, chosen, number) for chosen in run.toolchains for number in range(len(run.replay))]


class Replay(pytest.Item):
    """A case of --golib-replay on one of the toolchains."""

    def __init__(
        self,
        *,
        run: Run,
        chosen: Judged,
        number: int,
        tests: Mapping[tuple[Judged, str], Bridge],
        **arguments: Any,
    ) -> None:
        """``tests``: what runs the scenarios of those that were collected."""
        name = _replay_id(run, chosen, number)
        super().__init__(name=name, nodeid=name, **arguments)
        self.chosen = chosen
        self._run = run
        self._text, self._case = run.replay[number]
        self._tests = tests

    def runtest(self) -> None:
        again = [f"--golib-replay={self._text}"]
        bridge = Bridge(self._run, self.chosen)
        for call in self._case.calls():
            bridge = self._tests.get((self.chosen, call), bridge)
            again.insert(0, call.partition("::")[0])
        outcome = Check(bridge, self._run.issues, self, *again).case(self._case)
        if outcome.kind is Kind.RAISED:
            raised = [one for one in _reports(self.config, outcome.reports) if one.failed]
            pytest.fail("\n".join([*(one.longreprtext for one in raised), self.stash[SAID]]), pytrace=False)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.name


class Bridge:
    """The bridge built by the Go that is judged: runs cases, judges nothing by itself."""

    def __init__(
        self,
        run: Run,
        chosen: Judged,
        package: Path | None = None,
        tests: Mapping[str, str] = MappingProxyType({}),
        scenarios: bytes = b"",
    ) -> None:
        """``package``: the library under test, where it is not golib's own; the rest is for ``Subject``."""
        self.toolchain = chosen
        self._package, self._tests, self._scenarios = package, tests, scenarios
        self.timeout = run.timeout
        self.context = run
        """The run that it belongs to."""
        self._subjects: dict[str, Subject] = {}

    def subject(self, flavour: str = "real") -> Subject:
        """The door to one flavour of the bridge."""
        if flavour not in self._subjects:
            if isinstance(self.toolchain, Shipped):
                outside = Outside(
                    self.toolchain.path, (self.toolchain.folder,) if self.toolchain.folder else ()
                )
                self._subjects[flavour] = FromOutside(outside, self._tests, self._scenarios)
            else:
                library = self.context.library(self.toolchain, flavour, package=self._package)
                self._subjects[flavour] = Subject(library, self._tests, self._scenarios)
        return self._subjects[flavour]

    @property
    def version(self) -> str:
        """The Go release that is judged; empty where nobody knows which built the library."""
        return self.toolchain.release if isinstance(self.toolchain, Shipped) else self.toolchain.version

    @property
    def official(self) -> bool:
        """Whether the Go that is judged is a release as it was published, see ``official``."""
        return isinstance(self.toolchain, Toolchain) and official(self.context, self.toolchain)

    def run(self, case: Case, timeout: float | None = None, trace_file: str = "") -> Outcome:
        """Runs one case alone in a child; see ``golib.door.Subject.run``."""
        flavour = "absent" if case.bounds == "absent" else "real"
        return self.subject(flavour).run(case, timeout or self.timeout, trace_file)


class Check:
    """Runs a case and judges it: a fault that is known makes the test xfail, another makes it fail."""

    def __init__(self, bridge: Bridge, issues: Sequence[KnownIssue], node: pytest.Item, *again: str) -> None:
        """``again``: the arguments of pytest's that run ``node`` again, where they do not name the node."""
        self._bridge = bridge
        self._issues = issues if bridge.version else ()
        self._node = node
        self._again = again or (_named(node),)
        self._node.stash[OUTCOMES] = []

    def __call__(self, *trees: Node, **world: Any) -> Outcome:
        """``check(Go(C(Go())), bounds="hidden")``: the call trees of a case, and its world."""
        return self.case(Case(*trees, **world))

    @property
    def official(self) -> bool:
        """Whether the Go that is judged is a release as it was published, see ``official``."""
        return self._bridge.official

    def case(self, case: Case, trace_file: str = "") -> Outcome:
        """Returns the outcome of a case that passed, for what a test wants to assert of its trace."""
        outcome = self.ran(case, trace_file=trace_file)
        self.judge(outcome)
        return outcome

    def look(self, case: Case, timeout: float | None = None) -> Outcome:
        """Runs a case that the test judges itself; its outcome is reported as the others are."""
        outcome = self.ran(case, timeout)
        self._note(outcome)
        return outcome

    def explained(self, outcome: Outcome) -> bool:
        """Whether known issues that this toolchain has explain all of the outcome."""
        return known.verdict(outcome, self._bridge.version, known.shipped()).status == "known"

    def gone(self, issue: str) -> None:
        """Notes that the known issue with that id should show on this toolchain and does not: the run's
        summary and results say so, and the test goes on."""
        self._node.stash.setdefault(GONE, []).append(issue)

    def proven(self, issue: KnownIssue, outcomes: Sequence[Outcome]) -> None:
        """Notes how many runs of a known issue's proof showed it, and how many of these other faults of the
        list explain all by themselves; the results say so."""
        shown = [outcome for outcome in outcomes if issue.shown_by(outcome)]
        rest = [other for other in known.shipped() if other.id != issue.id]
        others = [one for one in shown if known.verdict(one, self._bridge.version, rest).status == "known"]
        self._node.stash[PROVEN] = {
            "issue": issue.id,
            "runs": len(outcomes),
            "shown": len(shown),
            "others": len(others),
        }

    def ran(self, case: Case, timeout: float | None = None, trace_file: str = "") -> Outcome:
        """Runs a case; it is judged by ``judge``."""
        try:
            return self._bridge.run(case, timeout, trace_file)
        except (build.NewerError, sanitizers.NotJudgedError) as error:
            pytest.skip(str(error))
        except _NO_OUTCOME as error:
            pytest.fail(f"{type(error).__name__}: {error}", pytrace=False)

    def _note(self, outcome: Outcome) -> Verdict:
        verdict = known.verdict(outcome, self._bridge.version, self._issues)
        self._node.stash[OUTCOMES].append((outcome, verdict))
        return verdict

    def judge(self, outcome: Outcome) -> None:
        """Ends the test unless the outcome is a pass.  A known issue that shows seldom is run again: it is
        a failure where it shows more often than its rate explains."""
        chosen = self._bridge.toolchain
        verdict = self._note(outcome)
        if verdict.status == "passed":
            return
        if outcome.kind is Kind.RAISED:
            # The child's report says what it raised, and this what Go did.
            self._node.stash[SAID] = report.raised(
                outcome, verdict, _again(self._bridge.context, chosen, *self._again)
            )
            return
        often = None
        if verdict.status == "known":
            often = fuzz.too_often(
                verdict.issues, lambda: self._rerun(outcome.case), self._bridge.version, self._issues
            )
            if often is None:
                _xfail(self._node, ", ".join(verdict.issues))
        run = self._bridge.context
        again = _again(run, chosen, *self._again)
        reproduce = _reproduce(run, chosen, outcome.case)
        text = report.failure(outcome, verdict, run.name(chosen), again, reproduce)
        pytest.fail(f"{often}\n\n{text}" if often else text, pytrace=False)

    def _rerun(self, case: Case) -> Outcome:
        return self.ran(case, min(self._bridge.timeout, fuzz.RARE_DEADLINE))


@contextmanager
def _sentences() -> Iterator[None]:
    """Ends the test with a sentence where a case could not run at all."""
    try:
        yield
    except _NO_OUTCOME as error:
        pytest.fail(f"{type(error).__name__}: {error}", pytrace=False)


_NO_OUTCOME = (IllegalCase, ServerError, BuildError)
"""Why a case may not have run at all: a sentence each."""

_NAMED = re.compile(r"go|latest|(go)?\d+\.\d+(\.x|\.\d+|(rc|beta)\d+)?")
"""A spec that is no path: the go on PATH, or releases by version."""
_PUBLISHED = re.compile(r"\d+\.\d+(\.\d+|(rc|beta)\d+)")
"""What a published release calls itself: no development version, no GOEXPERIMENT."""


def official(run: Run, chosen: Toolchain) -> bool:
    """Whether a toolchain is a release as it was published: what the list of known issues says of its
    version must then be so.  A GOROOT that someone works on, or an overlay, may have a fault mended,
    and another build may hide it."""
    named = _NAMED.fullmatch(chosen.spec) and _PUBLISHED.fullmatch(chosen.version)
    return bool(named) and run.overlay is None and not run.options.flags


def _named(node: pytest.Item) -> str:
    """The argument of pytest's that names a test, from where this run was started."""
    return os.path.relpath(node.path) + "".join(node.nodeid.partition("::")[1:])


def _again(run: Run, chosen: Judged, *arguments: str) -> str:
    """The command line that runs it again, from where this run was started."""
    options = run.options
    command = ["pytest"]
    command += [f"--config-file={os.path.relpath(options.config_file)}"] if options.config_file else []
    command += arguments
    command += [f"--go={chosen.spec or chosen.version}"] if isinstance(chosen, Toolchain) else []
    command += [f"--go-overlay={options.overlay}"] if options.overlay else []
    command += [f"--go-build={flag}" for flag in options.flags]
    command += [f"--golib-timeout={options.timeout:g}"] if options.timeout is not None else []
    command += [] if options.known_issues else ["--golib-no-known-issues"]
    return shlex.join(command)


def _reproduce(run: Run, chosen: Judged, case: Case) -> str:
    """The command line that makes a C + Go program of the case; nothing where there is none: a scenario is
    Python, and the command knows neither overlays nor build flags."""
    options = run.options
    if not isinstance(chosen, Toolchain) or case.calls() or options.overlay or options.flags:
        return ""
    return shlex.join(["golib", "reproduce", f"{case!r}", f"--go={chosen.spec or chosen.version}"])


class Fuzz:
    """Searches one shard, or one block of all small cases, for the case that breaks Go."""

    def __init__(self, bridge: Bridge, issues: Sequence[KnownIssue], node: pytest.Item) -> None:
        self._bridge, self._issues, self._node = bridge, issues, node
        self._run = bridge.context
        self._name = self._run.name(bridge.toolchain)
        self._failures = fuzz.Failures(self._run.options.failures)

    def __call__(self, shard: int) -> None:
        """Ends the test unless every case passed: xfail where only known issues were seen."""
        options = self._run.options
        before = self._failures.cases(self._name)[shard::SHARDS]
        self._node.stash[UNREADABLE] = [
            f"{path} is passed over, it holds no case any more: {why}"
            for path, why in self._failures.unreadable.items()
        ]
        seed = f"{options.seed} {self._name} {shard}"
        drawn, at_edges = (
            fuzz.generate(options.fuzz, seed, self._bridge.version),
            fuzz.generate_edges(options.fuzz, seed),
        )
        search = self._search([*before, *drawn], at_edges)
        self._node.stash[FUZZED] = {
            "ran": search.ran,
            "first": search.first,
            "digest": fuzz.digest([*drawn, *at_edges]),
            "known": dict(search.known),
        }
        self._judge(search)

    def block(self, number: int) -> None:
        """The same with a block of every legal case of up to as many nodes as --golib-exhaustive says.  What
        ran in a run that was interrupted does not run again."""
        nodes = self._run.options.exhaustive
        plan = exhaustive.plan(nodes)
        refused: Counter[str] = Counter()
        cases = []
        for case in plan.block(number, exhaustive.blocks(nodes)):
            if why := self._refusal(case):
                refused[why] += 1
            else:
                cases.append(case)
        kept = exhaustive.Kept(_kept(self._run, self._name))
        library = self._bridge.subject().library.path
        fingerprint = exhaustive.fingerprint(
            library, cases, self._run.options.known_issues, self._run.timeout
        )
        before = kept.read(number, fingerprint)
        search = (
            fuzz.Search(ran=before["ran"], known=before["known"])
            if before
            else self._search(cases, small=exhaustive.SMALL)
        )
        self._node.stash[EXHAUSTED] = {
            "block": number,
            "nodes": nodes,
            "ran": search.ran,
            "known": dict(search.known),
            "of": len(plan.trees),
            "left_out": dict(plan.left_out),
            "refused": dict(refused),
            "anew": before is None,
        }
        if not search.findings:
            kept.write(number, fingerprint, search)
        self._judge(search)

    def hunt(self, number: int) -> None:
        """The same with cases about time, for as long as this part of --golib-hunt is."""
        options, bridge = self._run.options, self._bridge
        seconds = hunt.slices(options.hunt)[number]
        seed = f"{options.seed} {self._name} hunt {number}"
        made = hunt.Hunt()
        with _sentences():
            hunt.hunt(made, self._fuzzer(), bridge.subject, seed, seconds, self._run.timeout)
        search = made.search
        self._node.stash[HUNTED] = {"ran": search.ran, "seconds": made.busy, "known": dict(search.known)}
        self._judge(search)

    def _fuzzer(self) -> fuzz.Fuzzer:
        return fuzz.Fuzzer(self._bridge.subject, self._bridge.version, self._issues, self._run.timeout)

    def _refusal(self, case: Case) -> str:
        """Why this build of this release cannot run the case, or nothing."""
        if not fuzz.runs_on(case, self._bridge.version):
            return f"that need Go {phrases.since(case)}"
        return sanitizers.refusal(case, self._run.options.flags)

    def _search(self, cases: Sequence[Case], at_edges: Sequence[Edge] = (), small: int = 0) -> fuzz.Search:
        asked = [case for case in cases if not self._refusal(case)]
        with _sentences():
            return self._fuzzer().search(asked, at_edges, small)

    def _judge(self, search: fuzz.Search) -> None:
        run, bridge = self._run, self._bridge
        if search.findings:
            parts = []
            for finding in search.findings:
                path = self._failures.keep(finding, self._name)
                verdict = known.verdict(finding.outcome, bridge.version, self._issues)
                # The file of a shard stays on the machine that ran it.
                what = repr(finding.outcome.case) if run.options.shard else path
                again = _again(run, bridge.toolchain, f"--golib-replay={what}")
                rate = finding.note or (
                    f"the smallest has {finding.case.size()} nodes and shows it at a rate of {finding.rate:g}"
                )
                parts.append(
                    f"{finding.count} of {search.ran} cases came to this; {rate}\n"
                    + report.failure(
                        finding.outcome,
                        verdict,
                        self._name,
                        again,
                        _reproduce(run, bridge.toolchain, finding.outcome.case),
                    )
                )
                self._node.stash.setdefault(OUTCOMES, []).append((finding.outcome, verdict))
            pytest.fail("\n\n".join(parts), pytrace=False)
        if search.known:
            self._node.stash[SEEN] = ", ".join(sorted(search.known))
            _xfail(self._node, self._node.stash[SEEN])


def _xfail(node: pytest.Item, issues: str) -> None:
    """As ``pytest.xfail`` does, without a traceback: for one pytest parses the source of each of its frames,
    0.1 s of a test that takes a few ms."""
    if not node.config.option.runxfail:
        raise pytest.xfail.Exception(issues, pytrace=False)


def _kept(run: Run, name: str) -> Path:
    """Where it is kept which blocks of the small cases have run on that toolchain."""
    return run.options.failures / f"exhaustive-{run.options.exhaustive}-{name}"


def _results(run: Run) -> report.Results:
    path = run.options.json
    toolchains = [{"spec": one.spec, "version": one.version} for one in run.toolchains]
    for one in toolchains:
        # The key is there for a build that is not the usual one.
        one |= {"build": " ".join(run.options.flags)} if run.options.flags else {}
    options = run.options
    drawn = {"seed": options.seed, "fuzz": options.fuzz, "exhaustive": options.exhaustive}
    number, of = options.shard or (1, 1)
    about = {
        "toolchains": toolchains,
        "machine": _machine(),
        "drawn": drawn | {"hunt": options.hunt},
        "shard": {"number": number, "of": of},
    }
    try:
        return report.Results(Path(path).absolute() if path else None, about)
    except OSError as error:
        raise pytest.UsageError(f"--golib-json {path}: it can't be written: {error.strerror}") from None


def _check_page(path: str) -> None:
    try:
        report.check_writable(Path(path))
    except OSError as error:
        raise pytest.UsageError(f"--golib-html {path}: it can't be written: {error.strerror}") from None


def _page(rows: Sequence[Mapping[str, Any]]) -> str:
    """The page of a run: a column for each toolchain."""
    from golib.judge.release import release
    from golib.show import page  # jinja2 is for this alone

    names = dict.fromkeys(row["toolchain"] for row in rows)
    issues = known.shipped()
    releases = [
        {
            "version": re.sub(r"^go(?=\d)", "", name),
            "ran": "suite",
            **release([row for row in rows if row["toolchain"] == name], issues),
        }
        for name in names
    ]
    return page.render({"golib": _version(), "machine": _machine(), "releases": releases}, issues)


def _version() -> str:
    try:
        return metadata.version("pytest-golib")
    except metadata.PackageNotFoundError:
        return "from a checkout"


_NO_PAGE = "no page: "
ENDED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
"""Of a run that was not interrupted."""
SILENCE = 15.0
"""Seconds after which a long run says how far it has come."""


class _Controller:
    """Collects the results where the terminal is: in the controller, or in the only process."""

    def __init__(self, run: Run, say: Callable[[str], None]) -> None:
        """``say`` writes a line while tests run.

        Raises pytest.UsageError when the results cannot be written."""
        self._run = run
        self._say = say
        self._results = _results(run)
        self._said = ""
        """Of the page."""
        if run.options.html:
            _check_page(run.options.html)
        self._exhausted: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        self._began = self._told = time.monotonic()
        self._replayed: dict[str, list[str]] = {}
        self._unreadable: dict[str, None] = {}
        self._pictured: set[tuple[str, str | None, str]] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = getattr(report, "golib", None)
        if data is None or not (report.when == "call" or report.outcome != "passed"):
            return
        status: str = report.outcome
        if status == "skipped" and data["issue"] and hasattr(report, "wasxfail"):
            status = "known"
        name = _without(report.nodeid, data["toolchain"])
        if "replayed" in data:
            issues = f" {data['issue']}" if data["issue"] else ""
            self._replayed[report.nodeid] = [f"{report.nodeid}: {status}{issues}", *data.pop("replayed")]
        self._unreadable |= dict.fromkeys(data.pop("unreadable"))
        if data["picture"] and status != "failed":  # each worker has made one
            key = data["toolchain"], data["issue"], data["picture"]["signature"]
            data["picture"] = None if key in self._pictured else data["picture"]
            self._pictured.add(key)
        if part := data["exhaustive"]:
            self._exhausted[data["toolchain"]][part["block"]] = part
            self._tell(data["toolchain"])
        for rare in ("fuzz", "exhaustive", "hunt", "gone", "raised", "proof", "text", "picture"):
            if not data[rare]:
                del data[rare]
        self._results.add({"test": name, "toolchain": data["toolchain"], "status": status, **data})

    def _tell(self, chosen: str) -> None:
        """Says from time to time how far the small cases have come."""
        now, parts = time.monotonic(), self._exhausted[chosen]
        nodes = self._run.options.exhaustive
        if now - self._told > SILENCE and len(parts) < exhaustive.blocks(nodes):
            self._told = now
            anew = sum(part["anew"] for part in parts.values())
            self._say(f"golib: {exhaustive.progress(nodes, chosen, parts, now - self._began, anew)}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._results.finish()
        for chosen, parts in self._exhausted.items():
            mine = self._run.options.shard and session.exitstatus in ENDED
            if mine or len(parts) == exhaustive.blocks(self._run.options.exhaustive):
                exhaustive.Kept(_kept(self._run, chosen)).forget()
        self._write_page()
        if (
            self._results.trouble or self._said.startswith(_NO_PAGE)
        ) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    def _write_page(self) -> None:
        path = self._run.options.html
        if path and self._results.rows:
            try:
                report.write_atomically(Path(path).absolute(), _page(self._results.rows))
                self._said = f"the page is {path}"
            except OSError as error:
                self._said = f"{_NO_PAGE}{path} cannot be written: {error.strerror}"

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._said:
            terminalreporter.write_line(f"golib: {self._said}")
        if self._results.trouble:
            terminalreporter.write_line(f"golib: {self._results.trouble}", red=True)
        rows = self._results.rows
        if not rows:
            return
        if self._replayed:
            terminalreporter.section("replayed")
        for name in dict.fromkeys((*_replay_ids(self._run), *self._replayed)):
            for line in self._replayed.get(name, ()):
                terminalreporter.write_line(line)
        terminalreporter.section("Go's behaviour")
        names = dict.fromkeys(self._run.name(one) for one in self._run.toolchains)
        names |= dict.fromkeys(row["toolchain"] for row in rows)  # libraries as shipped, too
        # As wide as the terminal; into a file as wide as it gets.
        writer = terminalreporter.config.get_terminal_writer()
        width = writer.fullwidth if terminalreporter.isatty else 0
        for line in report.summary(rows, list(names), width):
            terminalreporter.write_line(line)
        for line in shards.searched(rows, self._run.options.seed):
            terminalreporter.write_line(line)
        titles = {issue.id: issue for issue in known.shipped()}
        seen = sorted({name for row in rows if row["status"] == "known" for name in row["issue"].split(", ")})
        for name in seen:
            terminalreporter.write_line(f"{name}: {titles[name].title} ({titles[name].url})")
        for row in rows:
            for name in row.get("gone", ()):
                title = f" ({titles[name].title})" if name in titles else ""
                terminalreporter.write_line(f"{name}: gone{title} with {row['toolchain']}")
        for line in self._unreadable:
            terminalreporter.write_line(f"golib: {line}")
        for one in self._run.unavailable:
            terminalreporter.write_line(f"not available: {one.version} ({one.why})")
