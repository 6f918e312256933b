"""python -m tools filters: does what --golib-exhaustive leaves out say no more than what it runs?

All cases of up to so many nodes are run both ways, those that are left out among them: the faults that are
seen must be the same.  And of those that are left out some are run alone, each beside the case that is run in
its place: both must come to the same verdict.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from golib import fuzz, options
from golib.case import calltree, every, legality
from golib.case.calltree import Case
from golib.door import Subject, flavour
from golib.judge import known
from golib.judge.outcome import Outcome
from golib.toolchains import build, toolchain
from tools import base

TIMEOUT = 20.0
"""Seconds for each case."""
TOP = every.top({})
"""Where the trees of a case stand in a process that has turned nothing on."""


def main(argv: Sequence[str]) -> int:
    """Exit status 1 where something that is left out says more, 2 where the options make no sense."""
    parser = base.Parser("filters", __doc__)
    parser.add_argument("--go", metavar="SPEC", default="go", help="the Go that runs them")
    parser.add_argument(
        "--nodes", type=int, default=2, metavar="N", help="of the cases that run both ways (2)"
    )
    parser.add_argument("--sample", type=int, default=500, metavar="N", help="cases beside their own (500)")
    given = parser.parse_args(argv)
    if not 1 <= given.nodes <= options.MOST_EXHAUSTIVE:
        parser.error(f"--nodes {given.nodes}: it must be from 1 to {options.MOST_EXHAUSTIVE}")
    if given.sample < 0:
        parser.error(f"--sample {given.sample}: it must be 0 or more")
    try:
        toolchain.check_platform()
        chosen = base.one_go(given.go)
        libraries = {name: build.build(chosen, flavour=name) for name in build.FLAVOURS}
    except (toolchain.SpecError, build.BuildError) as error:
        print(error, file=sys.stderr)
        return 2
    judge = Judge({name: Subject(library) for name, library in libraries.items()}, chosen.version)
    run, left_out = judge.both_ways(given.nodes)
    more = left_out.keys() - run.keys()
    print(f"{chosen.name}, every case of up to {given.nodes} nodes in each of the modes of the bounds")
    print(f"run: {run.total():,} cases, {_shown(run)}")
    print(f"left out: {left_out.total():,} cases, {_shown(left_out)}")
    for one in sorted(more):
        print(f"seen in what is left out alone: {one}")
    sampled = sample(given.nodes, given.sample, chosen.version)
    differing = list(judge.beside(sampled))
    print(f"{len(sampled)} of those left out beside the case run in their place: {len(differing)} differ")
    for line in differing:
        print(line)
    return 1 if more or differing else 0


def _shown(seen: Counter[str]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in sorted(seen.items()))


class Judge:
    """Runs cases of one toolchain and says what they show."""

    def __init__(self, subjects: dict[str, Subject], version: str) -> None:
        self._subjects, self._version = subjects, version

    def both_ways(self, nodes: int) -> tuple[Counter[str], Counter[str]]:
        """How many cases show what: of those that are run, and of those that are left out."""
        kept = set(_legal(nodes, self._version, whole=False))
        found: tuple[Counter[str], Counter[str]] = Counter(), Counter()
        for row in fuzz.rows(list(_legal(nodes, self._version, whole=True))):
            subject = self._subjects[flavour(row[0])]
            outcomes = subject.run_in_a_row(row, TIMEOUT, pinned=not fuzz.is_free(row[0]))
            for case, outcome in zip(row, outcomes, strict=True):
                found[case not in kept][self._shown(outcome)] += 1
        return found

    def beside(self, cases: Iterable[Case]) -> Iterator[str]:
        """A line for each case that comes to another verdict than the one that is run in its place."""
        for case in cases:
            instead = every.representative(case)
            expected = self._alone(instead) if instead else "passed"
            seen = self._alone(case)
            if seen != expected:
                yield f"{case!r}: {seen}; {instead!r}: {expected}"

    def _alone(self, case: Case) -> str:
        return self._shown(self._subjects[flavour(case)].run(case, TIMEOUT))

    def _shown(self, outcome: Outcome) -> str:
        verdict = known.verdict(outcome, self._version, known.shipped())
        if verdict.status == "passed":
            return "passed"
        return ", ".join(verdict.issues) if verdict.status == "known" else str(verdict.signature)


def sample(nodes: int, count: int, version: str = "") -> list[Case]:
    """So many of the cases that are left out."""
    cases = [case for case in _legal(nodes, version, whole=True) if every.representative(case) != case]
    return random.Random(1).sample(cases, min(count, len(cases)))


def _legal(nodes: int, version: str, whole: bool) -> Iterator[Case]:
    for size in range(1, nodes + 1):
        for trees in every.trees(size, TOP, whole).kept:
            for bounds in fuzz.BOUNDS:
                case = Case(*trees, bounds=bounds)
                try:
                    legality.check(case)
                except calltree.IllegalCase:
                    continue
                if fuzz.runs_on(case, version):
                    yield case
