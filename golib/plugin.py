"""The pytest plugin: options, fixtures, parametrization, and what a run shows.

The controller resolves the specs of --go once and hands them to the workers; it also builds, between
collection and the first test, so that a progress line can be seen.  Nothing is resolved or built in a
run that uses no toolchain.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import shlex
import subprocess
import sys
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import golib
from golib import fuzz
from golib.case.calltree import Case, IllegalCase, Node
from golib.door import DEADLINE, Subject, servers
from golib.judge import known
from golib.judge.known import KnownIssue, Verdict
from golib.judge.outcome import Kind, Outcome
from golib.run.forkserver import ServerError
from golib.show import report
from golib.toolchains import build, toolchain
from golib.toolchains.build import BuildError, Library
from golib.toolchains.toolchain import SpecError, Toolchain, Unavailable

STASH = pytest.StashKey["Run"]()
FUZZED = pytest.StashKey[dict[str, Any]]()
SEEN = pytest.StashKey[str]()
OUTCOMES = pytest.StashKey[list[tuple[Outcome, Verdict]]]()
GONE = pytest.StashKey[list[str]]()
UNREADABLE = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Starts pytest again as ``--go=PATH`` where it was started as ``--go PATH``.

    pytest looks for the suite's ini file before it has loaded a plugin, and takes a path behind an
    option that it does not know for that of a test: the suite would lose its settings to a GOROOT.
    """
    given = list(early_config.invocation_params.args)
    joined = _joined(given)
    if joined != given and list(map(str, given)) == sys.argv[1:]:
        before = sys.orig_argv[1 : len(sys.orig_argv) - len(given)]
        if capture := early_config.pluginmanager.get_plugin("capturemanager"):
            capture.stop_global_capturing()  # it has our stdout and stderr by now
        os.execv(sys.executable, [sys.executable, *before, *joined])


_PATH_OPTIONS = ("--go", "--go-overlay", "--golib-json", "--failures", "--replay")


def _joined(arguments: Sequence[str]) -> list[str]:
    """The arguments, with each of our options and a path behind it made one."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in _PATH_OPTIONS and Path(argument).exists():
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("golib", "a Go toolchain, judged (golib)")
    group.addoption(
        "--go",
        action="append",
        default=[],
        metavar="SPEC",
        help="the Go to judge, repeatable: 1.23.4, 1.23 (its newest), 1.23.x (all), latest, a GOROOT "
        "or a go binary; nothing: the go on PATH",
    )
    group.addoption(
        "--go-overlay",
        metavar="FILE",
        help="Go's own overlay JSON for the build; a key may begin with $GOROOT",
    )
    group.addoption(
        "--case-timeout",
        metavar="SECONDS",
        help=f"how long a case may take before it is a hang (default: {DEADLINE:g})",
    )
    group.addoption("--no-known-issues", action="store_true", help="report known issues of Go as failures")
    group.addoption("--golib-json", metavar="FILE", help="write the results there")
    group.addoption(
        "--fuzz", metavar="N", help=f"cases that each shard of the fuzzer draws (default: {FUZZ}; 0: none)"
    )
    group.addoption(
        "--fuzz-seed",
        metavar="S",
        default="0",
        help="what cases and random depths are drawn from (default: 0; random: a new one, printed)",
    )
    group.addoption(
        "--depths", metavar="N", help="random stack depths, added to every test that takes a depth"
    )
    group.addoption(
        "--failures",
        metavar="DIR",
        help="where the fuzzer keeps each distinct failure, and looks first (default: in pytest's cache)",
    )
    group.addoption(
        "--replay",
        action="append",
        default=[],
        metavar="CASE",
        help="run only this case: a failure's file, or a pasted expression; repeatable",
    )
    parser.addini(
        "golib_required", "this suite is of no use without a Go: complain at once", type="bool", default=False
    )


FUZZ = 40
"""Cases a shard in an everyday run: all shards take some five seconds on two cores."""
SHARDS = 16
"""Parameters of a fuzz test, so that workers share the work."""


@dataclass
class Run:
    """What one run is about.  In an xdist worker it comes from the controller."""

    toolchains: list[Toolchain]
    unavailable: list[Unavailable]
    session: str
    timeout: float
    overlay: Path | None
    fuzz: int
    seed: str
    failures: Path
    depths: int
    replay: list[tuple[str, Case]]
    """Each with the text that named it."""
    missing: str = ""
    """Why there is no toolchain, in a run that did not ask for one."""
    libraries: dict[tuple[Path, str], Library] = field(default_factory=dict)
    results: report.Results | None = None

    def name(self, chosen: Toolchain) -> str:
        """The toolchain in ids and tables: a GOROOT may call itself what a release is called."""
        same = [one for one in self.toolchains if one.name == chosen.name]
        number = same.index(chosen) + 1
        return chosen.name if number == 1 else f"{chosen.name}@{number}"

    def library(self, chosen: Toolchain, flavour: str, progress: Any = lambda message: None) -> Library:
        key = (chosen.goroot, flavour)
        if key not in self.libraries:
            self.libraries[key] = build.build(
                chosen, flavour=flavour, overlay=self.overlay, session=self.session, progress=progress
            )
        return self.libraries[key]


def pytest_configure(config: pytest.Config) -> None:
    handed = getattr(config, "workerinput", None)
    run = Run(
        toolchains=[],
        unavailable=[],
        session=uuid.uuid4().hex,
        timeout=_seconds(config.getoption("case_timeout")),
        overlay=_overlay(config.getoption("go_overlay")),
        fuzz=_count("--fuzz", config.getoption("fuzz"), FUZZ),
        seed=config.getoption("fuzz_seed"),
        failures=_failures(config),
        depths=_count("--depths", config.getoption("depths"), 0),
        replay=[(text, _case(text)) for text in config.getoption("replay")],
    )
    config.stash[STASH] = run
    if handed is not None:
        ours = handed["golib"]
        run.toolchains = [Toolchain.from_json(data) for data in ours["toolchains"]]
        run.session, run.missing, run.seed = ours["session"], ours["missing"], ours["seed"]
        return
    if run.seed == "random":
        run.seed = secrets.token_hex(4)
    specs = config.getoption("go")
    try:
        toolchain.check_platform()
        run.toolchains, run.unavailable = toolchain.resolve(specs)
    except SpecError as error:
        if specs or run.replay or config.getini("golib_required"):
            raise pytest.UsageError(str(error)) from None
        run.missing = str(error)
    path = config.getoption("golib_json")
    try:
        run.results = report.Results(
            Path(path).absolute() if path else None,
            [{"spec": one.spec, "version": one.version} for one in run.toolchains],
        )
    except OSError as error:
        raise pytest.UsageError(f"--golib-json {path}: it can't be written: {error.strerror}") from None


def _seconds(text: str | None) -> float:
    try:
        seconds = DEADLINE if text is None else float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < 1e6:
        raise pytest.UsageError(f"--case-timeout {text}: it is a number of seconds above 0")
    return seconds


def _count(option: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 9:
        raise pytest.UsageError(f"{option} {text}: it is a number from 0")
    return int(text)


def _failures(config: pytest.Config) -> Path:
    given = config.getoption("failures")
    return Path(given).absolute() if given else config.rootpath / ".pytest_cache" / "golib-failures"


def _case(text: str) -> Case:
    try:
        return fuzz.read_case(text)
    except IllegalCase as error:
        raise pytest.UsageError(f"--replay: {error}") from None


def _overlay(text: str | None) -> Path | None:
    if text is None:
        return None
    path = Path(text).expanduser().absolute()
    try:
        build.check_overlay(path)
    except BuildError as error:
        raise pytest.UsageError(str(error)) from None
    return path


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    run = node.config.stash[STASH]
    node.workerinput["golib"] = {
        "toolchains": [one.to_json() for one in run.toolchains],
        "session": run.session,
        "missing": run.missing,
        "seed": run.seed,
    }


def pytest_report_header(config: pytest.Config) -> list[str]:
    run = config.stash[STASH]
    if not run.toolchains:
        return [f"golib: no Go: {run.missing}"]
    names = ", ".join(f"{run.name(one)} ({one.goroot})" for one in run.toolchains)
    libc = " ".join(platform.libc_ver())
    lines = [f"golib: {names}", f"golib: {_compiler()}, {libc}, Python {platform.python_version()}"]
    lines.append(f"golib: fuzz seed {run.seed}, {run.fuzz} cases a shard")
    lines += [f"golib: {one.version} is not available: {one.why}" for one in run.unavailable]
    return lines


def _compiler() -> str:
    command = shlex.split(os.environ.get("CC", "") or "gcc")[0]
    try:
        version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return command
    return version.splitlines()[0]


# Parametrization and building.


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    run = metafunc.config.stash[STASH]
    if "toolchain" in metafunc.fixturenames:
        if not run.toolchains and not hasattr(metafunc.config, "workerinput"):
            raise pytest.UsageError(run.missing)
        ids = [run.name(one) for one in run.toolchains] or ["no-go"]
        metafunc.parametrize(
            "toolchain", run.toolchains or [run.missing], ids=ids, scope="session", indirect=True
        )
    if "shard" in metafunc.fixturenames:
        off = [pytest.param(0, id="off", marks=pytest.mark.skip(reason="--fuzz 0 turns the fuzzer off"))]
        shards = [pytest.param(number, id=f"shard={number}") for number in range(SHARDS)]
        metafunc.parametrize("shard", shards if run.fuzz else off)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """With --replay, nothing is collected: whatever lies where pytest stands has no say in it."""
    if session.config.stash[STASH].replay:
        session.config.args = []


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """With --replay, its cases are what runs; last, so that no -k or -m takes them away."""
    run = config.stash[STASH]
    items += [
        Replay.from_parent(session, chosen=chosen, number=number)
        for chosen in run.toolchains
        for number in range(len(run.replay))
    ]


def _replay_id(run: Run, chosen: Toolchain, number: int) -> str:
    return f"replay[{run.name(chosen)}-{number}]"


def _replay_ids(run: Run) -> list[str]:
    return [_replay_id(run, chosen, number) for chosen in run.toolchains for number in range(len(run.replay))]


class Replay(pytest.Item):
    """A case of --replay on one of the toolchains."""

    def __init__(self, *, chosen: Toolchain, number: int, **arguments: Any) -> None:
        run = arguments["parent"].config.stash[STASH]
        name = _replay_id(run, chosen, number)
        super().__init__(name=name, nodeid=name, **arguments)
        self.chosen = chosen
        self._text, self._case = run.replay[number]

    def runtest(self) -> None:
        run = self.config.stash[STASH]
        bridge = Bridge(run, self.chosen)
        Check(bridge, _issues(self.config), self, f"--replay={self._text}").case(self._case)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.name


@pytest.fixture(scope="session", name="toolchain")
def _toolchain(request: pytest.FixtureRequest) -> Toolchain:
    """The Go that is judged."""
    if isinstance(request.param, str):
        pytest.fail(request.param, pytrace=False)
    chosen: Toolchain = request.param
    return chosen


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds, where tests run in this process, what they will need."""
    config = session.config
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    _build_for(config, [item.nodeid for item in session.items])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """Builds, in the controller, what the workers will need; they find it in the cache."""
    _build_for(node.config, ids)


def _build_for(config: pytest.Config, ids: Sequence[str]) -> None:
    run = config.stash[STASH]
    terminal = config.pluginmanager.get_plugin("terminalreporter")

    def progress(message: str) -> None:
        if terminal is not None:
            terminal.write_line(f"golib: {message}")

    for chosen in run.toolchains:
        own = run.name(chosen)
        if any(f"[{own}-" in name or f"[{own}]" in name for name in ids):
            # Whether a case needs the other flavour is known when it runs: who runs it builds that.
            try:
                run.library(chosen, "real", progress)
            except BuildError as error:
                raise pytest.UsageError(str(error)) from None


# Running cases.


class Bridge:
    """The bridge built by the Go that is judged: runs cases, judges nothing by itself."""

    def __init__(self, run: Run, chosen: Toolchain) -> None:
        self.toolchain = chosen
        self.timeout = run.timeout
        self._run = run
        self._subjects: dict[str, Subject] = {}

    def subject(self, flavour: str = "real") -> Subject:
        """The door to one flavour of the bridge."""
        if flavour not in self._subjects:
            self._subjects[flavour] = golib.open(self._run.library(self.toolchain, flavour))
        return self._subjects[flavour]

    def run(self, case: Case, timeout: float | None = None, trace_file: str = "") -> Outcome:
        """Runs one case alone in a child; see ``golib.door.Subject.run``."""
        flavour = "absent" if case.bounds == "absent" else "real"
        return self.subject(flavour).run(case, timeout or self.timeout, trace_file)


@pytest.fixture(scope="session")
def bridge(toolchain: Toolchain, pytestconfig: pytest.Config) -> Bridge:
    """The bridge, built by the Go that is judged."""
    return Bridge(pytestconfig.stash[STASH], toolchain)


class Check:
    """Runs a case and judges it: a fault that is known makes the test xfail, another makes it fail."""

    def __init__(
        self, bridge: Bridge, issues: Sequence[KnownIssue], node: pytest.Item, again: str = ""
    ) -> None:
        """``again``: the argument of pytest's that runs ``node`` again, where that is not its id."""
        self._bridge = bridge
        self._issues = issues
        self._node = node
        self._again = again or node.nodeid
        self._node.stash[OUTCOMES] = []

    def __call__(self, *trees: Node, **world: Any) -> Outcome:
        """``check(Go(C(Go())), bounds="hidden")``: the call trees of a case, and its world."""
        return self.case(Case(*trees, **world))

    @property
    def official(self) -> bool:
        """Whether the Go that is judged is a release as it was published, see ``official``."""
        return official(self._node.config.stash[STASH], self._bridge.toolchain)

    def case(self, case: Case, trace_file: str = "") -> Outcome:
        """Returns the outcome of a case that passed, for what a test wants to assert of its trace."""
        outcome = self._ran(case, trace_file=trace_file)
        self.judge(outcome)
        return outcome

    def look(self, case: Case, timeout: float | None = None) -> Outcome:
        """Runs a case that the test judges itself; its outcome is reported as the others are."""
        outcome = self._ran(case, timeout)
        self._note(outcome)
        return outcome

    def explained(self, outcome: Outcome) -> bool:
        """Whether known issues that this toolchain has explain all of the outcome."""
        version = self._bridge.toolchain.version
        return known.verdict(outcome, version, known.shipped()).status == "known"

    def gone(self, issue: str) -> None:
        """Notes that the known issue with that id should show on this toolchain and does not: the run's
        summary and results say so, and the test goes on."""
        self._node.stash.setdefault(GONE, []).append(issue)

    def _ran(self, case: Case, timeout: float | None = None, trace_file: str = "") -> Outcome:
        try:
            return self._bridge.run(case, timeout, trace_file)
        except _NO_OUTCOME as error:
            pytest.fail(f"{type(error).__name__}: {error}", pytrace=False)

    def _note(self, outcome: Outcome) -> Verdict:
        verdict = known.verdict(outcome, self._bridge.toolchain.version, self._issues)
        self._node.stash[OUTCOMES].append((outcome, verdict))
        return verdict

    def judge(self, outcome: Outcome) -> None:
        """Ends the test unless the outcome is a pass.  A known issue that shows seldom is run again: it is
        a failure where it shows more often than its rate explains."""
        chosen = self._bridge.toolchain
        verdict = self._note(outcome)
        if verdict.status == "passed":
            return
        often = None
        if verdict.status == "known":
            often = fuzz.too_often(
                verdict.issues, lambda: self._rerun(outcome.case), chosen.version, self._issues
            )
            if often is None:
                pytest.xfail(", ".join(verdict.issues))
        again = _again(self._node.config, chosen, self._again)
        text = report.failure(outcome, verdict, chosen.name, again)
        pytest.fail(f"{often}\n\n{text}" if often else text, pytrace=False)

    def _rerun(self, case: Case) -> Outcome:
        return self._ran(case, min(self._bridge.timeout, fuzz.RARE_DEADLINE))


_NO_OUTCOME = (IllegalCase, ServerError, BuildError)
"""Why a case may not have run at all: a sentence each."""

_NAMED = re.compile(r"go|latest|(go)?\d+\.\d+(\.x|\.\d+|(rc|beta)\d+)?")
"""A spec that is no path: the go on PATH, or releases by version."""
_PUBLISHED = re.compile(r"\d+\.\d+(\.\d+|(rc|beta)\d+)")
"""What a published release calls itself: no development version, no GOEXPERIMENT."""


def official(run: Run, chosen: Toolchain) -> bool:
    """Whether a toolchain is a release as it was published: what the list of known issues says of its
    version must then be so.  A GOROOT that someone works on, or an overlay, may have a fault mended."""
    named = _NAMED.fullmatch(chosen.spec) and _PUBLISHED.fullmatch(chosen.version)
    return bool(named) and run.overlay is None


def _issues(config: pytest.Config) -> Sequence[KnownIssue]:
    """Those that are no failures in this run."""
    return () if config.getoption("no_known_issues") else known.shipped()


def _again(config: pytest.Config, chosen: Toolchain, *arguments: str) -> str:
    """The command line that runs it again, from where this run was started."""
    command = ["pytest"]
    for argument in arguments:
        path, separator, rest = argument.partition("::")
        command.append(os.path.relpath(config.rootpath / path) + separator + rest if rest else argument)
    command.append(f"--go={chosen.spec or chosen.version}")
    for option in ("go_overlay", "case_timeout"):
        value = config.getoption(option)
        command += [f"--{option.replace('_', '-')}={value}"] if value else []
    command += ["--no-known-issues"] if config.getoption("no_known_issues") else []
    return shlex.join(command)


@pytest.fixture
def check(bridge: Bridge, request: pytest.FixtureRequest) -> Check:
    """``check(Go(C(Go(), stack=40000)))`` runs a case and judges it."""
    return Check(bridge, _issues(request.config), request.node)


class Fuzz:
    """Searches one shard for the case that breaks Go."""

    def __init__(self, bridge: Bridge, run: Run, issues: Sequence[KnownIssue], node: pytest.Item) -> None:
        self._bridge, self._run, self._issues, self._node = bridge, run, issues, node

    def __call__(self, shard: int) -> None:
        """Ends the test unless every case passed: xfail where only known issues were seen."""
        run, bridge = self._run, self._bridge
        name = run.name(bridge.toolchain)
        failures = fuzz.Failures(run.failures)
        before = failures.cases(name)[shard::SHARDS]
        self._node.stash[UNREADABLE] = [
            f"{path} is passed over, it holds no case any more: {why}"
            for path, why in failures.unreadable.items()
        ]
        drawn = fuzz.generate(run.fuzz, f"{run.seed} {name} {shard}")
        fuzzer = fuzz.Fuzzer(bridge.subject, bridge.toolchain.version, self._issues, run.timeout)
        try:
            search = fuzzer.search([*before, *drawn])
        except _NO_OUTCOME as error:
            pytest.fail(f"{type(error).__name__}: {error}", pytrace=False)
        data = {
            "ran": search.ran,
            "first": search.first,
            "digest": fuzz.digest(drawn),
            "known": dict(search.known),
        }
        self._node.stash[FUZZED] = data
        if search.findings:
            parts = []
            for finding in search.findings:
                path = failures.keep(finding, name)
                verdict = known.verdict(finding.outcome, bridge.toolchain.version, self._issues)
                again = _again(self._node.config, bridge.toolchain, f"--replay={path}")
                rate = finding.note or (
                    f"the smallest has {finding.case.size()} nodes and shows it at a rate of {finding.rate:g}"
                )
                parts.append(
                    f"{finding.count} of {search.ran} cases came to this; {rate}\n"
                    + report.failure(finding.outcome, verdict, name, again)
                )
                self._node.stash.setdefault(OUTCOMES, []).append((finding.outcome, verdict))
            pytest.fail("\n\n".join(parts), pytrace=False)
        if search.known:
            self._node.stash[SEEN] = ", ".join(sorted(search.known))
            pytest.xfail(self._node.stash[SEEN])


@pytest.fixture(name="fuzz")
def _fuzz(bridge: Bridge, request: pytest.FixtureRequest) -> Fuzz:
    """``fuzz(shard)`` draws cases, runs them, and reduces what fails."""
    config = request.config
    return Fuzz(bridge, config.stash[STASH], _issues(config), request.node)


# Reporting.


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Puts on the report, which travels from the worker to the controller, what the case came to."""
    made: pytest.TestReport = yield
    chosen: object
    if isinstance(item, Replay):
        chosen = item.chosen
    else:
        callspec = getattr(item, "callspec", None)
        chosen = callspec.params.get("toolchain") if callspec else None
    if not isinstance(chosen, Toolchain):
        return made
    name = item.config.stash[STASH].name(chosen)
    # What a test that failed raised: an assertion of its own speaks of Go, an exception of golib's does not.
    raised = call.excinfo.typename if call.excinfo is not None and made.failed else ""
    data: dict[str, Any] = {"toolchain": name, "outcome": None, "issue": None, "raised": raised}
    outcomes = item.stash.get(OUTCOMES, [])
    if outcomes:
        outcome, verdict = next((pair for pair in outcomes if pair[1].status != "passed"), outcomes[-1])
        data["outcome"] = {
            "kind": outcome.kind.value,
            "signature": str(verdict.signature),
            "headline": report.headline(outcome, verdict) if outcome.kind is not Kind.PASSED else "",
        }
        data["issue"] = ", ".join(verdict.issues) or None
    data["issue"] = data["issue"] or item.stash.get(SEEN, None)
    data["fuzz"] = item.stash.get(FUZZED, None)
    data["unreadable"] = item.stash.get(UNREADABLE, [])
    data["gone"] = item.stash.get(GONE, [])
    if isinstance(item, Replay):
        data["replayed"] = report.replayed(*outcomes[0]) if outcomes else []
    made.golib = data  # type: ignore[attr-defined]
    return made


class _Controller:
    """Collects the results where the terminal is: in the controller, or in the only process."""

    def __init__(self, config: pytest.Config, results: report.Results) -> None:
        self._run = config.stash[STASH]
        self._results = results
        self._searched: dict[str, dict[str, Any]] = defaultdict(dict)
        self._replayed: dict[str, list[str]] = {}
        self._unreadable: dict[str, None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = getattr(report, "golib", None)
        if data is None or not (report.when == "call" or report.outcome != "passed"):
            return
        status: str = report.outcome
        if status == "skipped" and data["issue"] and hasattr(report, "wasxfail"):
            status = "known"
        name = report.nodeid.replace(f"[{data['toolchain']}]", "").replace(f"[{data['toolchain']}-", "[")
        if "replayed" in data:
            issues = f" {data['issue']}" if data["issue"] else ""
            self._replayed[report.nodeid] = [f"{report.nodeid}: {status}{issues}", *data.pop("replayed")]
        self._unreadable |= dict.fromkeys(data.pop("unreadable"))
        if data["fuzz"]:
            self._searched[data["toolchain"]][name] = data["fuzz"]
        for rare in ("fuzz", "gone", "raised"):
            if not data[rare]:
                del data[rare]
        self._results.add({"test": name, "toolchain": data["toolchain"], "status": status, **data})

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._results.finish()
        if self._results.trouble and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._results.trouble:
            terminalreporter.write_line(f"golib: {self._results.trouble}", red=True)
        rows = self._results.rows
        if not rows:
            return
        if self._replayed:
            terminalreporter.section("replayed")
        for name in _replay_ids(self._run):
            for line in self._replayed.get(name, ()):
                terminalreporter.write_line(line)
        terminalreporter.section("Go's behaviour")
        for line in report.summary(rows, [self._run.name(one) for one in self._run.toolchains]):
            terminalreporter.write_line(line)
        for chosen, shards in sorted(self._searched.items()):
            ran = sum(data["ran"] for data in shards.values())
            digest = fuzz.combined(data["digest"] for _, data in sorted(shards.items()))
            terminalreporter.write_line(
                f"fuzz {chosen}: {ran} cases, seed {self._run.seed}, sha256 of what was drawn {digest}"
            )
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


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    run = session.config.stash[STASH]
    if run.results is not None:
        session.config.pluginmanager.register(_Controller(session.config, run.results), "golib-controller")


def pytest_unconfigure(config: pytest.Config) -> None:
    servers().close()
