"""python -m tools mutate: does the suite notice each line of the runtime's change being broken?

For each toolchain the suite must pass unmutated first. Then each mutant (tools/mutant.py) becomes an
overlay, the bridge is built with it, and tests/runtime judges it as it would judge a release:

    the files of the mutant's own behaviour ──> the other files ──> the fuzzer, a bounded number of cases

and stops at the first failure. Killed is a mutant that a test failed on because of what Go did; whatever
else keeps a run from passing (no build, a fault of golib's own, a time-out) is an error, never a kill.

Each verdict is written down at once, below golib's cache folder, under the toolchain's version and the
contents of golib/ and tests/runtime: an interrupted run goes on where it was, a changed suite begins anew.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fnmatch
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

import golib
from golib import fuzz
from golib.case.calltree import Case
from golib.door import Subject, flavour
from golib.judge import known
from golib.judge.outcome import Kind, Outcome
from golib.toolchains import build, native
from golib.toolchains.toolchain import SpecError, Toolchain, resolve
from tools import mutant as mutants
from tools.base import ROOT, Parser, Stop, console, writable, write_json
from tools.mutant import DoesNotApply, Mutant, MutantError

RUNTIME = ROOT / "tests" / "runtime"
FUZZER = RUNTIME / "test_fuzz.py"

FUZZ_CASES = 20
"""Of each shard of the fuzzer, after all tests have passed: some seconds, for a mutant they have missed."""

CASE_SECONDS = 8
"""For one case: a mutant that makes every case hang is found out in that time on each core. The slowest takes
two seconds on two busy ones."""

ROW = 8
"""Cases that the fuzzer alone runs in a row: few, for each may hang."""
AGAIN = 5
"""Runs alone of what failed in a row, until one fails: what shows less often does not count as found."""

JUDGE_SECONDS = 1800
"""For one run of pytest: the whole suite takes a minute or two, and a mutant may make many a case hang."""

DEEPSTACK = Path("src/cmd/cgo/internal/testcarchive")
"""Go's own test of the change: TestDeepStack in this package, below GOROOT."""
DEEPSTACK_SECONDS = 300
"""For building that package's test, or for running it, which builds a runtime: 10 to 20 s."""

KILLED = "killed"
SURVIVED = "SURVIVED"
EQUIVALENT = "EQUIVALENT"
REFUTED = "KILLED, THOUGH CALLED EQUIVALENT"
GONE = "a known issue that vanished, nothing else"
"""What kills a mutant that no test fails on, though the runtime no longer shows a fault that it has."""
NO_PLACE = "DOES NOT APPLY"
NO_BUILD = "DOES NOT COMPILE"
ERROR = "ERROR"

FINE = (KILLED, EQUIVALENT)
VERDICTS = (*FINE, SURVIVED, REFUTED)

# The exit statuses of pytest: https://docs.pytest.org/en/stable/reference/exit-codes.html
_PASSED, _FAILED, _INTERRUPTED, _NOTHING_COLLECTED = 0, 1, 2, 5


@dataclass(frozen=True)
class Row:
    """What became of one mutant."""

    mutant: str
    hunk: str
    verdict: str
    test: str = ""
    """The one that killed it."""
    field: str = ""
    """What that test saw: the outcome's signature, or "assertion" for one of the test's own."""
    detail: str = ""
    """The killing outcome's headline, or why there is no verdict."""
    build_seconds: float = 0
    judge_seconds: float = 0
    cases: int = 0
    """How many the fuzzer had run, where it was left to the fuzzer alone."""
    deepstack: str = ""
    """What Go's own test says: ok, FAIL, or skipped."""


@dataclass(frozen=True)
class Stage:
    """One run of pytest."""

    files: tuple[Path, ...]
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """The first failing test that speaks of Go."""

    test: str
    field: str
    headline: str
    cases: int = 0
    """Of the fuzzer alone: how many had run when it was seen."""


def main(argv: Sequence[str]) -> int:
    """0 when every mutant is killed or equivalent, 1 when one survives or has no verdict, 2 when there is
    nothing to be said: bad options, or a suite that fails unmutated."""
    options = _parser().parse_args(argv)
    try:
        return _mutate(options)
    except (Stop, SpecError, MutantError, build.BuildError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"it cannot go on: {error}; the same command goes on from here", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = Parser("mutate", __doc__)
    parser.add_argument(
        "--go",
        action="append",
        default=[],
        metavar="SPEC",
        help="the Go whose runtime is broken, as for pytest; repeatable",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="ID",
        help="these mutants only, * stands for anything; repeatable; an equivalent one, so named, is judged",
    )
    parser.add_argument("--generated", action="store_true", help="the mutants made by rule instead")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    parser.add_argument("--fresh", action="store_true", help="judge again what an earlier run has judged")
    parser.add_argument("--list", action="store_true", help="name the mutants, judge none")
    parser.add_argument(
        "--green",
        action="store_true",
        help="the suite has just passed with this Go: do not run it without a mutant first",
    )
    parser.add_argument("--testdeepstack", action="store_true", help="ask Go's own TestDeepStack as well")
    parser.add_argument(
        "--fuzz-only",
        type=_count,
        metavar="N",
        help="leave the judgement to the fuzzer alone: how many of at most N drawn cases run until one fails",
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of cases; give one from 1")
    return int(text)


def _mutate(options: argparse.Namespace) -> int:
    writable("--json", options.json)
    toolchains, _ = resolve(options.go)
    results: list[tuple[Toolchain, list[Row]]] = []
    for toolchain in toolchains:
        chosen = choose(toolchain, options.only, options.generated)
        if options.list:
            print("\n".join(f"{mutant.id}: {mutant.hunk}" for mutant in chosen))
            continue
        state = State(_state_path(toolchain, options.fuzz_only), fresh=options.fresh)
        state.baseline = state.baseline or options.green
        judge = Judge(toolchain, state, options.fuzz_only, deepstack=options.testdeepstack)
        rows = judge.judge_all(chosen, prove=bool(options.only))
        results.append((toolchain, rows))
        table(toolchain, rows)
    if options.json is not None:
        document = {"schema": 1, "toolchains": [to_json(toolchain, rows) for toolchain, rows in results]}
        write_json(options.json, document)
    return int(any(row.verdict not in FINE for _, rows in results for row in rows))


def choose(
    toolchain: Toolchain, only: Sequence[str], generated: bool, folder: Path = mutants.MUTANTS
) -> list[Mutant]:
    """The mutants for this toolchain, those that `only` names if it names any. Raises Stop, MutantError."""
    all_of_them = mutants.generated(toolchain, folder) if generated else mutants.load(folder)
    fitting = [mutant for mutant in all_of_them if mutant.fits(toolchain)]
    if not fitting:
        raise Stop(f"no mutant is for {toolchain.name}, which is older than the change; name 1.23.5 or newer")
    if not only:
        return fitting
    for pattern in only:
        if not any(_named(mutant, pattern) for mutant in fitting):
            tell = "--generated --list" if generated else "--list"
            raise Stop(f"--only {pattern}: no mutant for {toolchain.name} is called that; {tell} names them")
    return [mutant for mutant in fitting if any(_named(mutant, pattern) for pattern in only)]


def _named(mutant: Mutant, pattern: str) -> bool:
    # A generated one's name is Go text, in which * and [ stand for themselves.
    return mutant.id == pattern or fnmatch.fnmatchcase(mutant.id, pattern.replace("[", "[[]"))


# What was judged before.


class State:
    """The verdicts so far, a line each, the last one of a mutant counting."""

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        self._path = path
        self.baseline = False
        self.gone: frozenset[str] = frozenset()
        """Known issues that do not show without a mutant either: somebody's GOROOT has mended them."""
        self._rows: dict[tuple[str, str], Row] = {}
        if fresh:
            path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            for line in path.read_text().splitlines():
                # A killed run may have left half a line.
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    self._take(json.loads(line))

    def _take(self, data: dict[str, Any]) -> None:
        if data["digest"] == "":
            self.baseline, self.gone = True, frozenset(data.get("gone", ()))
        else:
            row = Row(**data["row"])
            self._rows[row.mutant, data["digest"]] = row

    def find(self, mutant: Mutant) -> Row | None:
        """Its verdict; errors do not count as one, for they may have been the machine's."""
        row = self._rows.get((mutant.id, mutant.digest()))
        return row if row is not None and row.verdict in VERDICTS else None

    def add(self, mutant: Mutant, row: Row) -> None:
        self._rows[mutant.id, mutant.digest()] = row
        self._append({"digest": mutant.digest(), "row": dataclasses.asdict(row)})

    def add_baseline(self, gone: Iterable[str]) -> None:
        """The suite passes unmutated."""
        self.baseline, self.gone = True, frozenset(gone)
        self._append({"digest": "", "gone": sorted(self.gone)})

    def _append(self, data: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            # On a line of its own, whatever a killed run has left of the one before.
            file.write("\n" + json.dumps(data) + "\n")


def _state_path(toolchain: Toolchain, fuzz_only: int | None) -> Path:
    mode = "" if fuzz_only is None else f"-fuzz{fuzz_only}"
    return _cache() / "mutate" / f"{toolchain.name}{mode}-{suite_digest()}.jsonl"


def _cache() -> Path:
    override = os.environ.get("GOLIB_CACHE")
    return Path(override).expanduser().absolute() if override else platformdirs.user_cache_path("golib")


def suite_digest(root: Path = ROOT) -> str:
    """Changes with the contents of golib/ and tests/runtime, and with the conftest.py they share."""
    digest = hashlib.sha256()
    files = [root / "conftest.py", *(root / "golib").rglob("*"), *(root / "tests" / "runtime").rglob("*")]
    for path in sorted(path for path in files if path.is_file() and "__pycache__" not in path.parts):
        digest.update(f"{path.relative_to(root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


# Judging.


class Judge:
    """All that is judged with one toolchain."""

    def __init__(self, toolchain: Toolchain, state: State, fuzz_only: int | None, *, deepstack: bool) -> None:
        self._toolchain = toolchain
        self._state = state
        self._fuzz_only = fuzz_only
        self._deepstack = deepstack

    def judge_all(self, chosen: Sequence[Mutant], *, prove: bool) -> list[Row]:
        """A row for each, in order. prove: one that is called equivalent is judged, too.

        Raises Stop when the suite fails unmutated.
        """
        if not self._state.baseline:
            self._baseline()
        native.launcher()  # built once in a process: not in a mutant's cache, which goes when that is judged
        with tempfile.TemporaryDirectory(prefix="golib-mutate-") as home:
            deepstack = DeepStack(self._toolchain, Path(home)) if self._deepstack else None
            rows: list[Row] = []
            judged, begin = 0, time.monotonic()
            for number, mutant in enumerate(chosen, 1):
                row = before = self._state.find(mutant)
                if row is None or (prove and row.verdict == EQUIVALENT):
                    row = self._judge(mutant, Path(home), prove=prove)
                if deepstack is not None and not row.deepstack and row.verdict not in (NO_PLACE, NO_BUILD):
                    row = dataclasses.replace(row, deepstack=deepstack.judge(mutant))
                rows.append(row)
                if row is before:
                    continue
                self._state.add(mutant, row)
                judged += 1
                left = sum(self._state.find(other) is None for other in chosen[number:])
                minutes = (time.monotonic() - begin) / judged * left / 60
                told = row.verdict if row.verdict == EQUIVALENT else f"{row.verdict} {row.test or row.detail}"
                print(f"[{number}/{len(chosen)}] {mutant.id}: {told}; {minutes:.0f} min left", flush=True)
            return rows

    def _baseline(self) -> None:
        print(f"{self._toolchain.name}: the suite without a mutant", flush=True)
        if self._fuzz_only is not None:
            failure = fuzz_alone(build.build(self._toolchain), self._fuzz_only)
            if failure:
                raise Stop(f"{self._toolchain.name}: the fuzzer fails without a mutant: {failure.headline}")
        gone: set[str] = set()
        for stage in [] if self._fuzz_only is not None else self._stages(()):
            try:
                failure = run_stage(self._toolchain, stage, None)
                if failure is not None and failure.test == GONE:
                    gone |= set(failure.field.split(", "))
                    continue
                said = f"{failure.test}: {failure.headline or failure.field}" if failure else ""
            except Stop as error:
                said = str(error)
            if said:
                name = self._toolchain.name
                raise Stop(
                    f"{name}: the suite fails without a mutant, so it can judge none; mend that first: {said}"
                )
        self._state.add_baseline(gone)

    def _judge(self, mutant: Mutant, home: Path, *, prove: bool) -> Row:
        row = Row(mutant.id, mutant.hunk, ERROR)
        with self._throwaway(home) as folder:
            begin = time.monotonic()
            try:
                overlay = mutant.write(self._toolchain, folder)
                library = build.build(self._toolchain, overlay=overlay, flavour=mutant.flavour)
            except DoesNotApply as error:
                return dataclasses.replace(row, verdict=NO_PLACE, detail=str(error))
            except build.BuildError as error:
                return dataclasses.replace(row, verdict=NO_BUILD, detail=str(error))
            built = time.monotonic()
            row = dataclasses.replace(row, build_seconds=round(built - begin, 1))
            if mutant.equivalent and not prove:
                return dataclasses.replace(row, verdict=EQUIVALENT, detail=mutant.equivalent)
            try:
                if self._fuzz_only is None:
                    failure = self._first_failure(mutant, overlay, home / "gocache")
                else:
                    failure = fuzz_alone(library, self._fuzz_only)
            except Stop as error:
                return dataclasses.replace(row, detail=str(error))
            row = dataclasses.replace(row, judge_seconds=round(time.monotonic() - built, 1))
        if failure is None:
            verdict, detail = (EQUIVALENT, mutant.equivalent) if mutant.equivalent else (SURVIVED, "")
            return dataclasses.replace(row, verdict=verdict, detail=detail)
        return dataclasses.replace(
            row,
            verdict=REFUTED if mutant.equivalent else KILLED,
            test=failure.test,
            field=failure.field,
            detail=failure.headline,
            cases=failure.cases,
        )

    @contextlib.contextmanager
    def _throwaway(self, home: Path) -> Iterator[Path]:
        """A folder, with caches of golib's and of Go's that go with it: a mutant leaves 30 MB in them that
        nobody asks for again. Go's begins with what compiles before the runtime, from the one in home."""
        gocache = home / "gocache"
        if not gocache.exists():
            gocache.mkdir()
            with _environment(GOLIB_CACHE=str(home / "cache"), GOCACHE=str(gocache)):
                build.build(self._toolchain)
        with tempfile.TemporaryDirectory(prefix="golib-mutate-") as name:
            folder = Path(name)
            shutil.copytree(gocache, folder / "gocache")
            with _environment(GOLIB_CACHE=str(folder / "cache"), GOCACHE=str(folder / "gocache")):
                yield folder

    def _warm(self, gocache: Path) -> None:
        """Compiles what test_execution_trace.py asks for, for the mutants after this one. Where that fails,
        the test will say so."""
        own = {"GOTOOLCHAIN": "local", "GOROOT": str(self._toolchain.goroot), "GOFLAGS": ""}
        subprocess.run(
            [str(self._toolchain.go), "build", "-o", os.devnull, "cmd/trace"],
            env={**os.environ, **own, "GOCACHE": str(gocache)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )

    def _first_failure(self, mutant: Mutant, overlay: Path, gocache: Path) -> Failure | None:
        """A failure; where there is none in any stage, an issue that has vanished."""
        gone: set[str] = set()
        for number, stage in enumerate(self._stages(mutant.behaviour)):
            if number:  # its own tests kill nearly every one
                self._warm(gocache)
            failure = run_stage(self._toolchain, stage, overlay)
            if failure is not None and failure.test != GONE:
                return failure
            gone |= set(failure.field.split(", ")) if failure else set()
        gone -= self._state.gone
        return Failure(GONE, ", ".join(sorted(gone)), "") if gone else None

    def _stages(self, behaviour: Sequence[str]) -> list[Stage]:
        """The most telling tests first, the fuzzer last."""
        files = [path for path in sorted(RUNTIME.glob("test_*.py")) if path != FUZZER]
        own = tuple(path for path in files if path.name in behaviour)
        others = tuple(path for path in files if path not in own)
        stages = [Stage(part) for part in (own, others) if part]
        return [*stages, Stage((FUZZER,), ("--golib-fuzz", str(FUZZ_CASES)))] if FUZZER.exists() else stages


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """For what runs below, in this process and in its children."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def run_stage(toolchain: Toolchain, stage: Stage, overlay: Path | None) -> Failure | None:
    """The first failure that speaks of Go; None when all passed. Raises Stop when the run says neither."""
    with tempfile.TemporaryDirectory(prefix="golib-mutate-") as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-m", "pytest", *map(str, stage.files), *stage.options]
        command += ["-x", "-q", "-n", "auto", "-p", "no:cacheprovider", "--golib-timeout", str(CASE_SECONDS)]
        command += ["--go", str(toolchain.goroot), "--golib-json", str(result)]
        command += ["--go-overlay", str(overlay)] if overlay else []
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=JUDGE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Stop(f"pytest did not end within {JUDGE_SECONDS} s") from error
        document = json.loads(result.read_text()) if result.exists() else {"results": []}
    if done.returncode in (_PASSED, _NOTHING_COLLECTED):
        return vanished(document)
    # Stopping at the first failure is an interruption where xdist runs the tests.
    told = done.returncode in (_FAILED, _INTERRUPTED)
    failure = first_failure(document) if told else None
    if failure is None:
        words = _last_words(done.stdout)
        raise Stop(f"pytest ended with {done.returncode} and blames nothing on Go: {words}")
    return failure


def fuzz_alone(library: build.Library, count: int) -> Failure | None:
    """The first of so many drawn cases, of those for the library's flavour, that fails in a row and again
    alone; one in EDGES of them stands at an edge. Raises Stop when golib itself fails."""
    subject = golib.open(library)
    ran = 0
    drawn = _drawn(count, library.flavour, library.toolchain.version)
    at_edges = [
        edge for edge in fuzz.generate_edges(count, "mutants") if flavour(edge.case) == library.flavour
    ]
    starts = range(0, len(drawn), ROW)
    for number, start in enumerate(starts):
        first, end = (len(at_edges) * one // len(starts) for one in (number, number + 1))
        for edge in at_edges[first:end]:
            probed = subject.run(edge.case, CASE_SECONDS)
            for case in filter(None, [edge.case, edge.fitted(probed)]):
                ran += 1
                if failed := _again_alone(library, subject, case):
                    verdict = known.verdict(failed, library.toolchain.version, known.shipped())
                    return Failure("the fuzzer", str(verdict.signature), failed.headline, ran)
        for row in fuzz.rows(drawn[start : start + ROW]):
            for case, outcome in zip(row, subject.run_in_a_row(row, CASE_SECONDS), strict=True):
                ran += 1
                if _fails(library, outcome) and (failed := _again_alone(library, subject, case)):
                    verdict = known.verdict(failed, library.toolchain.version, known.shipped())
                    return Failure("the fuzzer", str(verdict.signature), failed.headline, ran)
    return None


def _again_alone(library: build.Library, subject: Subject, case: Case) -> Outcome | None:
    alone = (subject.run(case, CASE_SECONDS) for _ in range(AGAIN))
    return next((outcome for outcome in alone if _fails(library, outcome)), None)


def _fails(library: build.Library, outcome: Outcome) -> bool:
    if outcome.kind is Kind.HARNESS:
        raise Stop(f"golib failed: {outcome.headline}")
    return known.verdict(outcome, library.toolchain.version, known.shipped()).status == "failed"


@functools.cache
def _drawn(count: int, wanted: str, release: str) -> list[Case]:
    return [case for case in fuzz.generate(count, "mutants", release) if flavour(case) == wanted]


_FOUND_FAULT = ("AssertionError", "Failed")
"""What a test raises that finds fault with Go: by assert, and by pytest.fail. All else is golib's own."""


def first_failure(document: dict[str, Any]) -> Failure | None:
    """From the JSON of --golib-json. A harness fault, an exception of golib's own, or a test that never ran a
    case, is none."""
    for result in document["results"]:
        outcome = result["outcome"]
        speaks_of_go = (
            outcome is not None and outcome["kind"] != "harness" and result.get("raised") in _FOUND_FAULT
        )
        if result["status"] == "failed" and speaks_of_go:
            # A test may find fault with a case that passed: then the assertion is its own.
            field = "assertion" if outcome["kind"] == "passed" else outcome["signature"]
            return Failure(result["test"], field, outcome["headline"])
    return None


def vanished(document: dict[str, Any]) -> Failure | None:
    """The known issues that should show and no longer do, where that is all that was noticed."""
    gone = sorted({name for result in document["results"] for name in result.get("gone", ())})
    return Failure(GONE, ", ".join(gone), "") if gone else None


def _last_words(output: str) -> str:
    """The last line that tells of an error, else the last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"E  |ERROR (?!: usage)|FAILED|.*error: ", line)]
    return (errors or lines or ["it said nothing"])[-1]


class DeepStack:
    """Go's own test of the change, against the mutant: its test binary is built once, of the unmodified
    runtime, and builds the mutated one by GOFLAGS."""

    def __init__(self, toolchain: Toolchain, home: Path) -> None:
        self._toolchain = toolchain
        self._package = toolchain.goroot / DEEPSTACK
        self._home = home
        self._binary = home / "testcarchive.test"
        self._gocache = home / "deepstack-gocache"

    def judge(self, mutant: Mutant) -> str:
        """ok, FAIL, skipped, or why there is no verdict. Raises Stop when it fails unmutated."""
        if not self._binary.exists():
            self._prepare()
        with tempfile.TemporaryDirectory(prefix="golib-deepstack-") as folder:
            gocache = Path(folder) / "gocache"
            shutil.copytree(self._gocache, gocache)
            try:
                return self._test(gocache, f"-overlay={mutant.write(self._toolchain, Path(folder))}")
            except DoesNotApply:
                return NO_PLACE

    def _prepare(self) -> None:
        try:
            done = self._run([str(self._toolchain.go), "test", "-c", "-o", str(self._binary), "."])
            said = "" if done.returncode == 0 else _last_words(done.stdout)
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error)
        verdict = said or self._test(self._gocache)
        if verdict not in ("ok", "skipped"):
            name = self._toolchain.name
            raise Stop(
                f"--testdeepstack: {name} does not pass it unmutated ({verdict}); leave the option out"
            )

    def _test(self, gocache: Path, flags: str = "") -> str:
        command = [str(self._binary), "-test.v", "-test.run=^TestDeepStack$"]
        try:
            done = self._run(command, GOFLAGS=flags, GOCACHE=str(gocache))
        except subprocess.TimeoutExpired:
            return f"no answer in {DEEPSTACK_SECONDS} s"
        match = re.search(r"^--- (PASS|FAIL|SKIP): TestDeepStack", done.stdout, re.MULTILINE)
        return {"PASS": "ok", "FAIL": "FAIL", "SKIP": "skipped"}[match[1]] if match else "no answer"

    def _run(self, command: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if name not in ("GOROOT", "GOFLAGS")}
        own = {
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            # The test says "go", and must find this one.
            "PATH": f"{self._toolchain.goroot / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            # An overlay may replace nothing below GOMODCACHE, where fetched toolchains lie.
            "GOMODCACHE": str(self._home / "modules"),
        }
        return subprocess.run(
            command,
            cwd=self._package,
            env=inherited | own | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=DEEPSTACK_SECONDS,
            check=False,
        )


# Reporting.


def to_json(toolchain: Toolchain, rows: Sequence[Row]) -> dict[str, Any]:
    """One toolchain's part of --json."""
    return {
        "spec": toolchain.spec,
        "version": toolchain.version,
        "mutants": [dataclasses.asdict(row) for row in rows],
    }


def table(toolchain: Toolchain, rows: Sequence[Row]) -> None:
    """Prints what became of each mutant."""
    screen = console()
    from rich.table import Table
    from rich.text import Text

    killed = sum(row.verdict == KILLED for row in rows)
    equivalent = sum(row.verdict == EQUIVALENT for row in rows)
    title = f"{toolchain.name}: {killed} of {len(rows) - equivalent} killed, {equivalent} equivalent"
    cases = [row.cases for row in rows if row.cases]
    if cases:
        title += f"; by the fuzzer after {sum(cases) / len(cases):.0f} cases in the mean"
    deepstack = any(row.deepstack for row in rows)
    columns = ["mutant", "hunk", "killed by", "seen", *(["TestDeepStack"] if deepstack else [])]
    sheet = Table(*columns, title=title, title_justify="left")
    for row in rows:
        told = row.test.removeprefix("tests/runtime/") if row.verdict == KILLED else row.verdict
        seen = row.field or ("" if row.verdict == EQUIVALENT else row.detail)
        # As they are: in rich's markup, a test's [parameters] would be a style.
        cells = (row.mutant, row.hunk, told, seen, *([row.deepstack] if deepstack else []))
        sheet.add_row(*map(Text, cells))
    screen.print(sheet)
