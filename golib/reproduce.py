"""golib reproduce: a case as a small program in C and Go, built and run with each toolchain, and judged as
golib judges.

CASE is a pasted case, a file of --golib-failures, or the id of a known issue. The program is written to
--out, with the text of an issue beside it.
"""

from __future__ import annotations

import argparse
import difflib
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import golib
from golib import fuzz
from golib.case import calltree, legality
from golib.case.calltree import Case
from golib.door import Subject, flavour
from golib.judge import known
from golib.judge.known import KnownIssue
from golib.judge.outcome import Kind, Outcome, judge_program
from golib.show import issue_text, reproducer, visits
from golib.toolchains import build, program
from golib.toolchains.toolchain import SpecError, Toolchain, check_platform, resolve

USAGE = 2
SURE = 3
"""Runs of a program whose fault shows always: the memory that it gets differs."""
MISSED = 0.05
"""How seldom a fault that shows at its rate may be missed."""
SECONDS = 60
"""For one run of a program; one that hangs is looked at then."""


@dataclass(frozen=True)
class Wanted:
    """What the program has to show, and of which case."""

    case: Case
    issues: tuple[KnownIssue, ...]
    """Ids of known issues, one of which explains its end."""
    outcome: Outcome | None = None
    """What golib saw itself, where no known issue explains it."""
    checks: frozenset[str] = frozenset()
    said: tuple[str, ...] = ()
    """How it came to that case."""


@dataclass(frozen=True)
class Result:
    """What the program came to with one toolchain."""

    toolchain: Toolchain
    reproduced: bool
    said: str
    output: str
    frames: str = ""
    """Of a program with its trace: where its last run left the script's order."""


def main(argv: Sequence[str]) -> int:
    """0 when it was reproduced on one of the toolchains, with the overlay where one is given, 1 when on none,
    2 where it cannot be tried."""
    parser = argparse.ArgumentParser(prog="golib reproduce", description=__doc__)
    parser.add_argument("case", metavar="CASE", help="a pasted case, a kept failure's file, or golib-1")
    parser.add_argument("--go", action="append", default=[], metavar="SPEC", help="as for pytest; repeatable")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write it (reproducer-ID)")
    parser.add_argument("--mode", choices=("c-archive", "c-shared"), default="c-archive")
    parser.add_argument("--runs", type=int, default=0, metavar="N", help="of a program that does not show it")
    parser.add_argument(
        "--go-overlay", type=Path, metavar="FILE", help="try it with this change of Go's, too, as for pytest"
    )
    parser.add_argument("--trace", action="store_true", help="each frame of the program says its name first")
    parser.add_argument("--seconds", type=int, default=SECONDS, metavar="S", help="for each run")
    options = parser.parse_args(argv)
    try:
        if options.runs < 0 or options.seconds < 1:
            raise calltree.IllegalCase("--runs and --seconds: each is a number above 0")
        check_platform()
        if not program.bash():
            raise SpecError("no bash on PATH: a reproducer is built and run by its run.sh; install bash")
        return _reproduce(options)
    except (calltree.IllegalCase, reproducer.Untranslatable, SpecError, build.BuildError) as error:
        print(f"golib reproduce: {error}", file=sys.stderr)
        return USAGE


def _reproduce(options: argparse.Namespace) -> int:
    issue = issue_named(options.case)
    case = issue.proof if issue else fuzz.read_case(options.case)
    reproducer.program(case)  # refuses before anything is built
    if options.go_overlay:
        build.check_overlay(options.go_overlay)
    toolchains, missing = resolve(options.go)
    for one in missing:
        print(f"{one.spec}: not available: {one.why}")
    wanted = Wanted(case, (issue,), checks=_checks(issue)) if issue else seen(case, toolchains[0])
    for line in wanted.said:
        print(line)
    made = reproducer.program(wanted.case, wanted.checks, options.seconds, options.trace)
    folder = (options.out or Path(f"reproducer-{issue.id.replace('#', '-') if issue else 'case'}")).absolute()
    program.write(made.files, folder)
    for change in made.changes:
        print(f"translated otherwise: {change}")
    results = []
    for toolchain in toolchains:
        result = attempt(
            wanted, made, toolchain, folder, mode=options.mode, runs=options.runs, seconds=options.seconds
        )
        results.append(result)
        print(result.said, flush=True)
        if options.trace:
            print(f"its frames: {result.frames or 'in the order of the script'}")
    counted, mend = results, ""
    if options.go_overlay:
        counted, mend = _mended(wanted, made, toolchains, folder, options)
        results = [*counted, *results]
    program.clean(folder)
    text = issue_text.issue(
        wanted.issues[0] if wanted.issues else None,
        wanted.case,
        made,
        [(one.toolchain.name, one.reproduced, one.said, one.output) for one in results],
        mend,
    )
    program.write({"issue.md": text}, folder)
    print(f"written: {options.out or folder.name}/ ({', '.join([*made.files, 'issue.md'])})")
    return 0 if any(result.reproduced for result in counted) else 1


def _mended(
    wanted: Wanted,
    made: reproducer.Program,
    toolchains: Sequence[Toolchain],
    folder: Path,
    options: argparse.Namespace,
) -> tuple[list[Result], str]:
    """What it comes to with the overlay, which counts instead of what it came to without; and the overlay as
    a diff against the last of the releases."""
    results, diff = [], ""
    with tempfile.TemporaryDirectory(prefix="golib-overlay-") as temporary:
        for toolchain in toolchains:
            overlay, texts = build.resolved_overlay(toolchain, options.go_overlay, Path(temporary))
            given = {"mode": options.mode, "runs": options.runs, "seconds": options.seconds}
            result = attempt(wanted, made, toolchain, folder, **given, overlay=overlay)
            print(f"with {options.go_overlay.name}: {result.said}", flush=True)
            results.append(replace(result, said=f"with the change below: {result.said}"))
            diff = "".join(_diff(path, text, toolchain.goroot) for path, text in texts.items())
    return results, diff


def _diff(path: Path, text: bytes | None, goroot: Path) -> str:
    name = path.relative_to(goroot) if path.is_relative_to(goroot) else path.name
    before = path.read_text().splitlines(True) if path.exists() else []  # it may add a file
    after = (text or b"").decode().splitlines(True)
    return "".join(difflib.unified_diff(before, after, f"a/{name}", f"b/{name}"))


def issue_named(text: str) -> KnownIssue | None:
    """The known issue of that id.  Raises IllegalCase for an id that there is not."""
    issues = known.shipped()
    found = next((issue for issue in issues if issue.id == text), None)
    if found is None and text.startswith(("golib-", "go#")):
        raise calltree.IllegalCase(
            f"{text}: no known issue has this id; there are {', '.join(issue.id for issue in issues)}"
        )
    return found


def _checks(issue: KnownIssue) -> frozenset[str]:
    """A death is seen anyway."""
    return frozenset() if issue.ends else reproducer.checks_of(issue.divergences[:1])


def seen(case: Case, toolchain: Toolchain) -> Wanted:
    """What golib itself sees of the case on that toolchain: the program must show the same."""
    issues = known.shipped()
    outcome = subject(toolchain, flavour(case)).run(case)
    verdict = known.verdict(outcome, toolchain.version, issues)
    explaining = tuple(issue for issue in issues if issue.id in verdict.issues)
    said = [f"golib sees on {toolchain.name}: {', '.join(verdict.issues) or verdict.signature}"]
    if outcome.kind is Kind.HARNESS:
        raise calltree.IllegalCase(f"golib could not run the case: {outcome.headline}")
    if outcome.kind is Kind.PASSED:
        said.append("the case passes there, and so should the program")
        return Wanted(case, (), outcome, said=tuple(said))
    if outcome.kind is not Kind.DIVERGENCE:
        return Wanted(case, explaining, outcome, said=tuple(said))
    for neighbour in _neighbours(case):
        tried = subject(toolchain, flavour(neighbour)).run(neighbour)
        judged = known.verdict(tried, toolchain.version, issues)
        ending = next((issue for issue in explaining if judged.issues[:1] == (issue.id,)), None)
        if ending and tried.kind in (Kind.FATAL, Kind.SIGNAL) and ending.explains_end(tried):
            said.append(f"the case is silent; a neighbour dies of {ending.id}: {neighbour!r}")
            return Wanted(neighbour, (ending,), tried, said=tuple(said))
    checks = reproducer.checks_of(found.key for found in outcome.divergences)
    if not checks:
        said.append("the case is silent, and nothing visible follows: no program of C and Go can show it")
    return Wanted(case, explaining, outcome, checks, tuple(said))


@cache
def subject(toolchain: Toolchain, kind: str) -> Subject:
    """The go command looks once for what has changed, not for each neighbour of a case."""
    return golib.open(build.build(toolchain, flavour=kind))


def _neighbours(case: Case) -> Iterator[Case]:
    """The case with one callback on a stack at higher addresses, and then with one of its foreign stacks
    elsewhere, as far as that is legal."""
    nodes = [placed.node for placed in case.walk()]
    for node in nodes:
        if isinstance(node, calltree.Go | calltree.Export):
            for region in reversed(calltree.REGIONS):
                changed = _with(case, node, calltree.Stack(node, region=region))
                if _is_legal(changed):
                    yield changed
                    break
    for node in nodes:
        if isinstance(node, calltree.Stack):
            for region in calltree.REGIONS:
                changed = _with(case, node, calltree.Stack(*node.body, region=region))
                if region != node.region and _is_legal(changed):
                    yield changed


def _is_legal(case: Case) -> bool:
    try:
        legality.check(case)
    except calltree.IllegalCase:
        return False
    return True


def _with(case: Case, gone: calltree.Node, instead: calltree.Node) -> Case:
    """The case with another node in that one's place."""

    def changed(node: calltree.Node) -> calltree.Node:
        if node is gone:
            return instead
        for index, child in enumerate(node.children()):
            node = node.having(index, changed(child))
        return node

    return case.having(*map(changed, case.trees))


def attempt(
    wanted: Wanted,
    made: reproducer.Program,
    toolchain: Toolchain,
    folder: Path,
    *,
    mode: str = "c-archive",
    runs: int = 0,
    seconds: int = SECONDS,
    overlay: Path | None = None,
) -> Result:
    """Builds what was written there and runs it until it shows the fault, or so often that it would have.
    ``seconds``: as the program was made with.  Raises BuildError."""
    program.build(toolchain, folder, mode, overlay)
    runs = runs or _runs(wanted.issues)
    reproduced, said, output, frames = False, "", "", ""
    for number in range(1, runs + 1):
        ran = program.run(folder, seconds)
        frames = visits.difference(made.visits, ran.stderr) if made.visits else ""
        ran = replace(ran, stderr=visits.without(ran.stderr)) if made.visits else ran
        output = program.readable(ran.stderr or ran.stdout, folder)
        words = _shows(wanted, toolchain, ran)
        if words:
            reproduced = True
            said = f"reproduced on {toolchain.name}: {words} (run {number} of {runs})"
            break
        if other := _otherwise(wanted.case, toolchain, ran):
            said = f"not reproduced on {toolchain.name}: {other}"
            break
    said = said or f"not reproduced on {toolchain.name} (0 of {runs}: it passes)"
    return Result(toolchain, reproduced, said, output, frames)


def _runs(issues: Sequence[KnownIssue]) -> int:
    rate = min((issue.rate for issue in issues), default=1.0)
    return SURE if rate == 1 else math.ceil(math.log(MISSED) / math.log(1 - rate))


def _judged(case: Case, ran: program.Run) -> Outcome:
    complete = ran.status == 0 and ran.stdout.endswith(f"{reproducer.PASSED}\n")
    return judge_program(case, ran.status, ran.stderr, timed_out=ran.timed_out, complete=complete)


def _wrong(ran: program.Run) -> str:
    """What the program has seen by itself."""
    lines = (line for line in ran.stdout.splitlines() if line.startswith(reproducer.WRONG))
    return next(lines, "")


def _shows(wanted: Wanted, toolchain: Toolchain, ran: program.Run) -> str:
    """In which words it shows what it has to; empty where it does not."""
    if wrong := _wrong(ran):
        has = any(issue.affects(toolchain.version) for issue in wanted.issues) or not wanted.issues
        return wrong if wanted.checks and has else ""
    outcome = _judged(wanted.case, ran)
    if outcome.kind in (Kind.PASSED, Kind.HARNESS):
        return ""
    hangs = any(issue.affects(toolchain.version) and issue.effect == "hang" for issue in wanted.issues)
    unread = wanted.case.second or not outcome.signature.frames
    if ran.timed_out and hangs and wanted.outcome is None and unread:
        # Of an id's own program: a runtime that hangs may print no stacks, or another library's.
        return outcome.headline
    explained = any(
        issue.affects(toolchain.version) and issue.explains_end(outcome) for issue in wanted.issues
    )
    same = wanted.outcome is not None and outcome.signature.same_fault(wanted.outcome.signature)
    return outcome.headline if explained or same else ""


def _of_another(case: Case, toolchain: Toolchain) -> str:
    """The known issues of that release by which a program of the case may see something wrong."""
    has = (one for one in known.shipped() if one.affects(toolchain.version) and one.caused_by(case))
    return ", ".join(one.id for one in has if _checks(one)) or "a fault without an id"


def _otherwise(case: Case, toolchain: Toolchain, ran: program.Run) -> str:
    """What else has ended it; empty where it passed."""
    if wrong := _wrong(ran):
        return f"shows {_of_another(case, toolchain)}: {wrong}"
    outcome = _judged(case, ran)
    if outcome.kind is Kind.PASSED:
        return ""
    verdict = known.verdict(outcome, toolchain.version, known.shipped())
    return (
        f"dies of {', '.join(verdict.issues)}" if verdict.issues else f"dies otherwise: {outcome.signature}"
    )
