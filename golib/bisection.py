"""golib bisect: the release, or the commit, with which a fault came or went.

CASE is a pasted case, a file of --golib-failures, or the id of a known issue.  --good names what passes it,
--bad what fails it; the good one may be the older (which release broke it?) or the newer (which one mended
it?).  Both are tried first.
"""

from __future__ import annotations

import argparse
import math
import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import golib
from golib import fuzz, reproduce
from golib.case.calltree import Case, IllegalCase
from golib.door import DEADLINE, flavour, servers
from golib.judge import known
from golib.judge.known import KnownIssue
from golib.judge.outcome import Kind, Outcome, Signature
from golib.run.forkserver import ServerError
from golib.run.process import die_with_parent
from golib.toolchains import build, checkout
from golib.toolchains.toolchain import (
    CannotBeHadError,
    SpecError,
    Toolchain,
    check_platform,
    resolve,
    version_key,
)

FOUND, USAGE, NOT_RUN = 0, 2, 3
"""Exit statuses: the change was found; a mistake; it could not be run."""

SURE = 3
"""Runs that must pass where the fault shows always."""
MISSED = 0.001
"""How seldom a fault that shows at a rate may be missed."""
LOOKING = 20
"""Runs of a pasted case on the bad end until it fails, and then to see at what rate."""
LOOKING_SECONDS = 60.0
"""For the second of these: a hang takes all its time."""
LOWEST_RATE = 0.05
RARE_SECONDS = 2.5
"""For a run of a known issue's proof that shows at a rate: where it passes it takes two tenths of one."""

AS_OLD, AS_NEW, SAYS_NOTHING, STOP = 0, 1, 125, 200
"""What ``git bisect run`` wants to hear of a commit."""


class EndError(SpecError):
    """An end is not what it was called: one sentence."""


@dataclass(frozen=True)
class Fault:
    """What is looked for, and how long it takes to be sure that it is not there."""

    case: Case
    issue: KnownIssue | None
    signatures: tuple[Signature, ...] = ()
    """Of a case that is no known issue's: what it came to on the bad end.  Empty: whatever goes wrong."""
    runs: int = SURE
    timeout: float = DEADLINE

    def shown_by(self, outcome: Outcome, version: str) -> bool | None:
        """None: it ended otherwise, before the fault could show."""
        if outcome.kind is Kind.PASSED:
            return False
        if self.issue is not None:
            shows = self.issue.shown_by(outcome)
            rest = [other for other in known.shipped() if other.id != self.issue.id]
            if shows and known.verdict(outcome, version, rest).status == "known":
                return False  # by other faults of the list
        else:
            shows = not self.signatures or any(
                one.same_fault(wanted) for one in outcome.signatures for wanted in self.signatures
            )
        return True if shows else False if outcome.kind is Kind.DIVERGENCE else None

    def words(self, outcome: Outcome) -> str:
        """What of the outcome shows it."""
        if outcome.kind is not Kind.DIVERGENCE:
            return outcome.headline
        keys = [found.key for found in outcome.divergences]
        wanted = self.issue.divergences[:1] if self.issue else [one.headline for one in self.signatures]
        return next((key for key in keys if key in wanted), keys[0])


@dataclass(frozen=True)
class Tried:
    """What the case came to with one Go."""

    shows: bool | None
    """None: this Go says nothing of the fault."""
    said: str


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    try:
        if options.runs < 0 or options.timeout < 0:
            raise IllegalCase("--runs and --timeout: each is a number above 0")
        if options.go and not options.goroot:
            raise SpecError(f"--go {options.go}: it compiles commits; name their repository by --goroot")
        issue = reproduce.issue_named(options.case)
        case = issue.proof if issue else fuzz.read_case(options.case)
        if case.calls():
            raise IllegalCase(f"{options.case}: it calls {case.calls()[0]}, and golib bisect runs no tests")
        check_platform()
        fault = _fault(case, issue, options)
        begun = time.monotonic()
        if options.goroot:
            _commits(fault, options)
        else:
            _releases(fault, options)
        print(f"in {time.monotonic() - begun:.0f} s")
        return FOUND
    except CannotBeHadError as error:
        return _complain(str(error), USAGE if error.refused else NOT_RUN)
    except (IllegalCase, SpecError) as error:
        return _complain(str(error), USAGE)
    except (build.BuildError, ServerError) as error:
        return _complain(str(error), NOT_RUN)
    except OSError as error:
        return _complain(f"{error.filename or 'a file'}: {error.strerror}", NOT_RUN)
    except KeyboardInterrupt:
        return _complain("stopped", NOT_RUN)
    finally:
        servers().close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="golib bisect", description=__doc__, allow_abbrev=False)
    parser.add_argument("case", metavar="CASE", help="a pasted case, a kept failure's file, or golib-1")
    parser.add_argument("--good", required=True, metavar="A", help="a release (1.24.0) or a commit")
    parser.add_argument("--bad", required=True, metavar="B", help="a release (1.24.4) or a commit")
    parser.add_argument(
        "--goroot", type=Path, metavar="DIR", help="search the commits of this checkout of Go, or of its src"
    )
    parser.add_argument(
        "--go",
        metavar="SPEC",
        help="with --goroot: what compiles each commit (default: bin/go of DIR, else its make.bash)",
    )
    parser.add_argument(
        "--any", action="store_true", help="whatever goes wrong counts, not only what B shows"
    )
    parser.add_argument("--runs", type=int, default=0, metavar="N", help="that must pass for a good one")
    parser.add_argument("--timeout", type=float, default=0, metavar="SECONDS", help="for each run")
    return parser


def _complain(sentence: str, exit_status: int) -> int:
    print(f"golib bisect: {sentence}", file=sys.stderr)
    return exit_status


def _say(line: str) -> None:
    print(line, flush=True)


def _fault(case: Case, issue: KnownIssue | None, options: argparse.Namespace) -> Fault:
    rate = issue.rate if issue else 1.0
    return Fault(
        case,
        None if options.any else issue,
        runs=options.runs or _runs(rate),
        timeout=options.timeout or (RARE_SECONDS if rate < 1 else DEADLINE),
    )


def _runs(rate: float) -> int:
    """That must pass before a fault of that rate is taken to be absent."""
    return SURE if rate == 1 else math.ceil(math.log(MISSED) / math.log(1 - rate))


# One Go.


def _run(fault: Fault, toolchain: Toolchain) -> Callable[[], Outcome]:
    subject = golib.open(build.build(toolchain, flavour=flavour(fault.case)))

    def once() -> Outcome:
        outcome = subject.run(fault.case, fault.timeout)
        if outcome.kind is Kind.HARNESS:
            raise ServerError(f"golib could not run the case with {toolchain.name}: {outcome.headline}")
        return outcome

    return once


def _try(fault: Fault, toolchain: Toolchain) -> Tried:
    """Runs the case until it shows the fault, or so often that it would have.  Raises BuildError."""
    once = _run(fault, toolchain)
    passed = 0
    otherwise: list[str] = []
    while max(passed, len(otherwise)) < fault.runs:
        outcome = once()
        shows = fault.shown_by(outcome, toolchain.version)
        if shows:
            number = passed + len(otherwise) + 1
            return Tried(True, f"bad: {outcome.kind.value}: {fault.words(outcome)} (run {number})")
        if shows is None:
            otherwise.append(str(outcome.signature))
        else:
            passed += 1
    if passed < fault.runs:
        return Tried(None, f"says nothing: it ends otherwise: {otherwise[0]}")
    return Tried(False, f"good: {passed} of {passed} runs without it")


def _ends(
    fault: Fault, options: argparse.Namespace, go: Callable[[str], Toolchain]
) -> tuple[Fault, dict[str, Tried]]:
    """Tries both ends: neither a search nor git asks whether they are what they were called.  What a pasted
    case comes to on the bad end is what is looked for.  Raises EndError."""
    good, bad = options.good, options.bad
    chosen = go(bad)
    if fault.issue is None:
        fault = _looked_at(fault, chosen, options)
    theirs = _try(fault, chosen)
    _say(f"{bad}: {theirs.said}")
    ours = _try(fault, go(good))
    _say(f"{good}: {ours.said}")
    for name, one, wanted in ((bad, theirs, True), (good, ours, False)):
        if one.shows is None:
            raise EndError(f"{name} {one.said}; name another end")
        if one.shows is not wanted and ours.shows is theirs.shows:
            which = "bad: both show it" if ours.shows else "good: it shows on neither"
            raise EndError(
                f"both ends are {which}; name an end where it {'does not' if ours.shows else 'does'}"
            )
    if not theirs.shows:
        raise EndError(f"it is {good} that shows it, and {bad} does not: exchange --good and --bad")
    return fault, {good: ours, bad: theirs}


def _looked_at(fault: Fault, toolchain: Toolchain, options: argparse.Namespace) -> Fault:
    """With what the case comes to on the bad end, and at what rate."""
    once = _run(fault, toolchain)
    runs = max(LOOKING, options.runs)
    first = next((one for one in (once() for _ in range(runs)) if one.kind is not Kind.PASSED), None)
    if first is None:
        return fault
    wanted = replace(fault, signatures=() if options.any else first.signatures)
    shown = [True]
    begun = time.monotonic()
    while len(shown) <= LOOKING and time.monotonic() - begun < LOOKING_SECONDS:
        shown.append(wanted.shown_by(once(), toolchain.version) is True)
    if all(shown):
        return wanted
    # Half of what was seen: the ends are where the search cannot go wrong again.
    rate = max(LOWEST_RATE, sum(shown) / len(shown) / 2)
    _say(f"{options.bad}: it shows in {sum(shown)} of {len(shown)} runs")
    return replace(wanted, runs=options.runs or _runs(rate))


# Releases.


def _releases(fault: Fault, options: argparse.Namespace) -> None:
    for name in (options.good, options.bad):
        if "/" in name or name == "go":
            raise SpecError(f"{name}: golib bisect takes releases, such as 1.24.0; commits need --goroot DIR")

    def go(spec: str) -> Toolchain:
        [toolchain], _ = resolve([spec])
        return toolchain

    options.good, options.bad = go(options.good).version, go(options.bad).version
    older, newer = sorted((options.good, options.bad), key=version_key)
    if older == newer:
        raise EndError(f"both ends are {older}; name two releases")
    fault, tried = _ends(fault, options, go)

    def shows(version: str) -> bool | None:
        if version not in tried:
            try:
                tried[version] = _try(fault, go(version))
            except CannotBeHadError as error:
                if not error.refused:
                    raise
                tried[version] = Tried(None, "says nothing: it is not available")
            _say(f"{version}: {tried[version].said}")
        return tried[version].shows

    def newest(version: str) -> str:
        """Of that release's minor line."""
        return go(".".join(version.split(".")[:2])).version

    for left, right, silent in search(older, newer, shows, newest):
        word = "bad" if shows(right) else "good"
        between = f", and {', '.join(silent)} between them {_say_nothing(silent)}" if silent else ""
        _say(f"first {word}: {right} (the last {_other(word)} one is {left}{between})")
        _say(f"    https://github.com/golang/go/compare/go{left}...go{right}")
        if version_key(right) <= version_key(older):
            _say(f"    it is a change of that line alone: the next .0 is as {_first(older)} is")
    _say(f"{len(tried)} releases tried")


def _say_nothing(silent: Sequence[str]) -> str:
    return "says nothing" if len(silent) == 1 else "say nothing"


def _other(word: str) -> str:
    return "bad" if word == "good" else "good"


Change = tuple[str, str, list[str]]
"""The last release that is as the older end is, the first that is as the newer is, and those between that say
nothing."""


def search(
    older: str, newer: str, shows: Callable[[str], bool | None], newest: Callable[[str], str]
) -> list[Change]:
    """Where what ``shows`` says changes between the two, or in the line of the older one.

    A minor line leaves the main one at its .0, and what is mended there later need not be in the next .0
    (go.dev/issue/72870: absent in 1.23.8, there in 1.24.0).  So the .0s are asked first, the newest first,
    and then the line in which it changed.  A change between two .0s may have gone into the line of the
    older one, too: then there are two changes.
    """
    new = shows(newer)
    if _line(older) == _line(newer):
        return [_within(older, newer, shows)]
    steps = [_first(newer)] if _first(newer) != newer else []
    minors = range(_line(newer)[1] - 1, _line(older)[1], -1)
    steps += [f"{_line(newer)[0]}.{minor}.0" for minor in minors]
    last = newer
    silent: list[str] = []
    for step in [*steps, _first(older)]:
        state = shows(step)
        if state is None:
            silent.insert(0, step)
        elif state is new:
            last, silent = step, []
        elif _line(step) == _line(last):
            return [_within(step, last, shows)]
        else:
            changes: list[Change] = [(step, last, silent)]
            start = older if _line(step) == _line(older) else step
            end = newest(step)
            if version_key(end) > version_key(start) and shows(end) is new:
                changes.insert(0, _within(start, end, shows))
            return changes
    # The main line is as the newer end is, all the way: the older end's own line has changed.
    return [_within(_first(older), older, shows)]


def _line(version: str) -> tuple[int, int]:
    return version_key(version)[:2]


def _first(version: str) -> str:
    """Where its line leaves the main one: its .0, or itself where it came before that."""
    major, minor, *rest = version_key(version)
    return f"{major}.{minor}.0" if tuple(rest) > _FIRST else version


_FIRST = version_key("1.21.0")[2:]


def _within(left: str, right: str, shows: Callable[[str], bool | None]) -> Change:
    """The same between two releases of a line that differ."""
    new = shows(right)
    waiting = _between(left, right)
    silent: list[str] = []
    while waiting:
        middle = waiting[len(waiting) // 2]
        state = shows(middle)
        if state is None:
            silent.append(middle)
            waiting.remove(middle)
        elif state is new:
            right, waiting = middle, waiting[: waiting.index(middle)]
        else:
            left, waiting = middle, waiting[waiting.index(middle) + 1 :]
    ends = version_key(left), version_key(right)
    return (
        left,
        right,
        [one for one in sorted(silent, key=version_key) if ends[0] < version_key(one) < ends[1]],
    )


def _between(left: str, right: str) -> list[str]:
    major, minor, stage, number = version_key(left)
    _, _, last_stage, last = version_key(right)
    if stage == last_stage:
        name = ".{}" if stage == _FIRST[0] else "rc{}" if "rc" in left else "beta{}"
        return [f"{major}.{minor}{name.format(one)}" for one in range(number + 1, last)]
    # From a pre-release to the releases: how many candidates there were is not known.
    return [f"{major}.{minor}.{one}" for one in range(last)]


# Commits.


_STOPPED = "stopped: "


@dataclass(frozen=True)
class Job:
    """What the process is told that ``git bisect run`` starts for each commit."""

    fault: Fault
    goroot: Path
    toolchain: Toolchain | None
    newer_shows: bool
    log: Path


def _commits(fault: Fault, options: argparse.Namespace) -> None:
    repository = options.goroot.expanduser().absolute()
    own = checkout.own_toolchain(repository)
    spec = options.go or (str(own) if own else None)
    toolchain = resolve([spec])[0][0] if spec else None
    with tempfile.TemporaryDirectory(prefix="golib-bisect-") as name:
        folder = Path(name)
        clone = checkout.clone(repository, folder, toolchain)
        good, bad = clone.commit(options.good), clone.commit(options.bad)
        if good == bad:
            raise EndError(f"both ends are {clone.title(good)}; name two commits")
        options.good, options.bad = good[:12], bad[:12]  # HEAD is another one from here on

        def go(commit: str) -> Toolchain:
            clone.check_out(clone.commit(commit))
            return _commit_toolchain(clone.goroot, toolchain)

        try:
            fault, _ = _ends(fault, options, go)
        except (checkout.CommitError, build.BuildError) as error:
            raise EndError(
                f"an end does not build: {error}; name another commit, or what compiles it by --go"
            ) from None
        mended = clone.is_ancestor(bad, good)
        old, new = (bad, good) if mended else (good, bad)
        word = "good" if mended else "bad"
        _say(
            f"{clone.distance(old, new)} commits, compiled by {toolchain.name if toolchain else 'make.bash'}"
        )
        job = Job(fault, clone.goroot, toolchain, not mended, folder / "log")
        job.log.touch()
        (folder / "job").write_bytes(pickle.dumps(job))
        command = [sys.executable, "-P", "-m", "golib.bisection", str(folder / "job")]
        said = clone.bisect(old, new, command, die_with_parent)
        lines = job.log.read_text().splitlines()
        if lines and lines[-1].startswith(_STOPPED):
            raise ServerError(lines[-1].removeprefix(_STOPPED))
        left = clone.last()
        if len(left) == 1:
            _say(f"first {word}: {clone.title(left[0])}")
        elif left and len(lines):
            _say(f"first {word}: one of these, of which all but the newest do not build or say nothing:")
            for commit in left:
                _say(f"    {clone.title(commit)}")
        else:
            raise ServerError(f"git bisect gave no answer: {' '.join(said.split())[-300:]}")
        _say(f"{2 + len(lines)} commits tried, the two ends among them")


def _commit_toolchain(goroot: Path, toolchain: Toolchain | None) -> Toolchain:
    """Raises CommitError, and SpecError where what was built is no Go."""
    checkout.prepare(goroot, toolchain)
    [made], _ = resolve([str(goroot)])
    return made


def at_commit(path: Path) -> int:
    """What ``git bisect run`` asks of the commit that is checked out."""
    die_with_parent()  # and git, which started this, dies with golib
    job: Job = pickle.loads(path.read_bytes())
    try:
        tried = _try(job.fault, _commit_toolchain(job.goroot, job.toolchain))
        status = SAYS_NOTHING if tried.shows is None else AS_NEW if tried.shows is job.newer_shows else AS_OLD
        said = tried.said
    except (checkout.CommitError, build.BuildError, SpecError) as error:
        status, said = SAYS_NOTHING, f"does not build: {error}"
    except (ServerError, IllegalCase, OSError) as error:
        status, said = STOP, f"{_STOPPED}{error}"
    with job.log.open("a") as log:
        log.write(f"{' '.join(said.split())}\n")
    title = checkout.Clone(job.goroot / "src", job.goroot, None).title("HEAD")
    print(f"{title}: {' '.join(said.split())}", file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(at_commit(Path(sys.argv[1])))
