"""Searching: many cases in a row, what fails there again alone, and the smallest that still fails.

``tests/runtime/test_fuzz.py`` is the glue.  Cases come from ``grammar`` and are drawn before any of
them runs, so that they depend on the seed and the release alone and not on what an earlier one came to.
"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import json
import math
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import filelock

from golib import edges, reduce
from golib.case import calltree, grammar, legality, novelty, phrases
from golib.case.calltree import Case
from golib.door import Subject, first_matters, flavour, setting
from golib.edges import Edge
from golib.judge import known
from golib.judge.known import KnownIssue, Verdict
from golib.judge.outcome import Outcome, Signature
from golib.show import report
from golib.toolchains.toolchain import version_key

BOUNDS: tuple[calltree.Bounds, ...] = ("real", "hidden", "absent")
ROW = 64
"""Cases in a row in one child: few enough that a prefix that matters can be reduced."""
FEW = 8
"""A case that shows more as a child's first begins a new row once the last row has so many: half of what is
drawn is such a case, and a child for each would take half of the time."""
IN_A_WORLD = 6
"""Cases that are drawn for each world: a child for one alone takes three times as long as in a row."""
OF = 4
"""Cases of which one is taken where drawing is guided: the whole shows a fifth more by that, in as many
cases, and 15 % more in as many nodes (``python -m tools curve``)."""
EDGES = 8
"""Of so many cases, one more is drawn that is to stand at an edge."""
SUSPECTS = 3
"""Cases of one signature that are tried alone, the smallest first."""
DEADLINE = 8.0
"""Seconds for each case: a hundred times what the slowest takes, and more than the five that Go itself may
take to die (it relays SIGQUIT from thread to thread, and waits)."""
HANG_RETRIES = 6
"""Runs alone of a case that hung, each of which may take all that time."""
RUNS = 1500
"""Runs that reducing one fault may take, some ten seconds: one that shows seldom is reduced less."""
SECONDS = 40.0
"""That looking into one fault may take: a death of Go's can take five seconds."""
RETRIES = 20
"""Runs alone of a suspect, until one fails: what shows less often than once in twenty is not reduced."""
AGAIN = 20
"""Runs of each kind, as it stood and under load, of what did not show again alone."""
LOAD = 2 * len(os.sched_getaffinity(0))
"""Busy processes beside a child that runs under load: the kernel then takes each thread off its processor in
the midst of things."""
OFTEN = 0.5
"""An issue whose proof shows it in every second run shows seldom in no case that must be looked at."""
RARE_AGAIN = 4
"""Runs again of a case that showed a known issue which shows seldom."""
RARE_MOST = 3
"""Of those, how many show it before its rate does not explain it: at the highest rate of the list, 0.1, that
many show once in 270 times."""
RARE_DEADLINE = 5.0
"""Seconds for each of those: a rare issue is a hang as a rule, and the cases take a few tenths of one."""
RARE_SHARE = 1 / 3
"""Of the cases of a row: more that show one rare issue are looked into."""
RARE_LOOKED_INTO = 2
"""Cases of such a row that are run again."""


def chooser(seed: str) -> grammar.Choose:
    """Chooses as the seed says.

    Of the generator only ``random()`` is used, and a number seeds it: Python promises the same numbers in
    every version for no more than that (documentation of random, "Notes on Reproducibility").
    """
    numbers = random.Random(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))
    return lambda values: values[int(numbers.random() * len(values))]


def generate(count: int, seed: str, release: str = "", *, guided: bool = True) -> list[Case]:
    """``count`` legal cases that depend on the seed and the release alone, no two of them equal;
    without those that need a newer Go than that release.

    Every second one is, of OF that are drawn in its world, the one that for its size would show most that
    none before it shows (``golib.case.novelty``).  ``guided=False``: none is."""
    with _uncollected():
        return _generated(count, chooser(seed), release, guided)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Python's collector of cycles waits: it would take a quarter of the time, and drawing makes few."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _generated(count: int, choose: grammar.Choose, release: str, guided: bool) -> list[Case]:
    drawn: dict[Case, None] = {}
    shown: set[novelty.Pair] = set()
    while len(drawn) < count:
        world = grammar.world(choose, BOUNDS)
        for number in range(IN_A_WORLD):
            several = OF if guided and number % 2 else 1
            found = [case for case in _legal(choose, world, several, release) if case not in drawn]
            if not found:
                continue
            if guided:
                new = {case: novelty.pairs(case) - shown for case in found}
                best = max(found, key=lambda case: len(new[case]) / case.size())
                shown |= new[best]
            else:
                best = found[0]
            drawn[best] = None
    return list(drawn)[:count]


def _legal(choose: grammar.Choose, world: Mapping[str, Any], count: int, release: str) -> Iterator[Case]:
    """Of so many drawn cases those that are legal and that the release can run."""
    for _ in range(count):
        case = grammar.case_in(choose, world)
        try:
            legality.check(case)
        except calltree.IllegalCase:
            continue
        if runs_on(case, release):
            yield case


def runs_on(case: Case, release: str) -> bool:
    """Whether that release has all that the case needs; an empty one has."""
    newest = phrases.since(case) if release else ""
    return not newest or version_key(release) >= version_key(f"{newest}.0")


def generate_edges(count: int, seed: str) -> list[Edge]:
    """As many edges as belong to so many cases."""
    return edges.generate(count // EDGES, chooser(f"{seed} edges"))


def digest(drawn: Iterable[object]) -> str:
    """Of the cases as they are printed: the same digest, the same cases."""
    return hashlib.sha256("\n".join(map(repr, drawn)).encode()).hexdigest()[:16]


def combined(digests: Iterable[str]) -> str:
    """Of several digests, in order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Finding:
    """A fault, its smallest case, and how it showed."""

    signature: Signature
    case: Case
    outcome: Outcome
    rate: float
    """How often the case shows it, alone in a child: 1.0 always.  Of what the case did not show again by
    itself: how often it showed in all runs that looked for it, the first among them."""
    count: int
    """Of the cases that showed it in the search."""
    note: str = ""
    """What ``rate`` is made of, where that is not the case alone."""
    ran: Case | None = None
    """All that its child had run when it was first seen, where it did not show again by itself."""


@dataclass
class Search:
    """What a search came to."""

    ran: int = 0
    first: int | None = None
    """How many cases had run when the first fault was seen that is not known."""
    findings: list[Finding] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Known issues, and how many cases showed each."""


@dataclass(frozen=True)
class _Sighting:
    """A case of a row that showed something."""

    case: Case
    row: tuple[Case, ...]
    """What its child ran, one after the other, up to and with the case."""
    evidence: Outcome
    """The outcome as that of one case, which has grown by all that its child ran: with the whole trace."""

    @classmethod
    def of(cls, row: Sequence[Case], outcomes: Sequence[Outcome], number: int) -> _Sighting:
        """The case with that number.  An earlier one may have ended its child: then a new one began."""
        outcome = outcomes[number]
        first, trees = number, len(outcome.case.trees)
        while trees < len(outcome.ran.trees):
            first -= 1
            trees += len(row[first].trees)
        events = tuple(event for one in outcomes[first : number + 1] for event in one.events)
        evidence = dataclasses.replace(outcome, case=outcome.ran, events=events)
        return cls(outcome.case, tuple(row[first : number + 1]), evidence)


@dataclass
class _Tally:
    """The runs that looked for one fault."""

    runs: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    """Whether each showed it, by the way in which it was run."""
    seen: list[Outcome] = field(default_factory=list)

    def add(self, way: str, outcomes: Sequence[Outcome | None]) -> None:
        """``None`` is a run that did not show it."""
        self.runs[way] += [outcome is not None for outcome in outcomes]
        self.seen += [outcome for outcome in outcomes if outcome is not None]

    @property
    def counts(self) -> tuple[int, int]:
        """How often it was seen, in how many runs."""
        runs = [shown for one_way in self.runs.values() for shown in one_way]
        return sum(runs), len(runs)

    def __str__(self) -> str:
        shown, runs = self.counts
        ways = ", ".join(f"{way} in {sum(one)} of {len(one)}" for way, one in self.runs.items())
        return f"seen in {shown} of {runs} runs: {ways}"


@dataclass(frozen=True)
class Often:
    """A known issue that shows more often than its rate explains."""

    issue: KnownIssue
    shown: int
    runs: int
    outcome: Outcome
    """One that shows it."""

    def __str__(self) -> str:
        return (
            f"it showed {self.issue.id} in {self.shown} of {self.runs} runs; "
            f"the list says at a rate of {self.issue.rate:g}"
        )


def too_often(
    names: Iterable[str], run: Callable[[], Outcome], version: str, issues: Sequence[KnownIssue]
) -> Often | None:
    """Whether a case that showed the named issues shows one of them too often for its rate.

    ``run()`` runs the case again; it is called RARE_AGAIN times at the most, and not at all where each of
    the issues shows always.
    """
    rare = {issue.id: issue for issue in issues if issue.rate < OFTEN and issue.id in set(names)}
    shown = dict.fromkeys(rare, 0)
    for runs in range(1, RARE_AGAIN + 1):
        if max(shown.values(), default=-RARE_AGAIN) + RARE_AGAIN - runs + 1 < RARE_MOST:
            return None
        outcome = run()
        verdict = known.verdict(outcome, version, issues)
        for name in rare.keys() & set(verdict.issues):
            shown[name] += 1
            if shown[name] == RARE_MOST:
                return Often(rare[name], shown[name] + 1, runs + 1, outcome)
    return None


class Fuzzer:
    """Searches with one toolchain's bridges."""

    def __init__(
        self,
        subject: Callable[[str], Subject],
        version: str,
        issues: Sequence[KnownIssue],
        timeout: float,
    ) -> None:
        """``subject(flavour)`` is the door to one flavour of the bridge."""
        self._subject = subject
        self._version = version
        self._issues = issues
        self._timeout = min(DEADLINE, timeout)
        self._until = math.inf

    def search(self, drawn: Sequence[Case], at_edges: Sequence[Edge] = (), small: int = 0) -> Search:
        """Runs all of them, which are legal, and looks into each fault that no known issue covers.  Those at
        edges are run alone: as they are, and fitted.  ``small``: as for ``rows``."""
        search = Search()
        for edge in at_edges:
            for outcome in self._at_the_edge(edge):
                self.look_at(outcome, search)
        suspects: dict[Signature, list[_Sighting]] = defaultdict(list)
        for row in rows(drawn, small):
            pinned = not is_free(row[0])
            outcomes = self._subject(flavour(row[0])).run_in_a_row(
                row, self._timeout, pinned=pinned, legal=True
            )
            verdicts = [known.verdict(outcome, self._version, self._issues) for outcome in outcomes]
            for number, verdict in enumerate(verdicts):
                search.ran += 1
                for issue in verdict.issues:
                    search.known[issue] += 1
                if verdict.status == "failed":
                    search.first = search.first or search.ran
                    suspects[verdict.signature].append(_Sighting.of(row, outcomes, number))
            self._hold_against_rates(outcomes, verdicts, search)
        for signature, found in suspects.items():
            self._look_into(signature, found, search)
        return search

    def _at_the_edge(self, edge: Edge) -> Iterator[Outcome]:
        run = self._subject(flavour(edge.case)).run
        outcome = run(edge.case, self._timeout)
        yield outcome
        if fitted := edge.fitted(outcome):
            yield run(fitted, self._timeout)

    def explains(self, outcome: Outcome) -> bool:
        """Whether known issues explain all of it."""
        return known.verdict(outcome, self._version, self._issues).status == "known"

    def look_at(self, outcome: Outcome, search: Search) -> None:
        """Counts what a case came to alone, and looks into it where no known issue covers it."""
        search.ran += 1
        verdict = known.verdict(outcome, self._version, self._issues)
        for issue in verdict.issues:
            search.known[issue] += 1
        if verdict.status == "failed":
            search.first = search.first or search.ran
            for number, finding in enumerate(search.findings):
                if finding.signature == verdict.signature:
                    search.findings[number] = dataclasses.replace(finding, count=finding.count + 1)
                    return
            sighting = _Sighting(outcome.case, (outcome.case,), outcome)
            self._look_into(verdict.signature, [sighting], search)

    def _hold_against_rates(
        self, outcomes: Sequence[Outcome], verdicts: Sequence[Verdict], search: Search
    ) -> None:
        """Looks into a known issue that shows seldom and was shown by many cases of one row."""
        for issue in self._issues:
            showing = [
                (outcome, verdict)
                for outcome, verdict in zip(outcomes, verdicts, strict=True)
                if verdict.status == "known" and issue.id in verdict.issues
            ]
            if issue.rate >= OFTEN or len(showing) <= RARE_SHARE * len(outcomes):
                continue
            for outcome, verdict in showing[:RARE_LOOKED_INTO]:
                if any(finding.signature == verdict.signature for finding in search.findings):
                    break
                case = outcome.case
                again = partial(self._subject(flavour(case)).run, case, min(self._timeout, RARE_DEADLINE))
                often = too_often([issue.id], again, self._version, self._issues)
                if often is not None:
                    rate = often.shown / often.runs
                    search.findings.append(
                        Finding(verdict.signature, case, often.outcome, rate, len(showing), str(often))
                    )

    def _look_into(self, signature: Signature, found: list[_Sighting], search: Search) -> None:
        found.sort(key=lambda sighting: sighting.case.size())
        first = found[0]
        self._until = time.monotonic() + SECONDS
        # What Go prints of a death may be cut short, where another thread dies meanwhile.
        cut_short = signature.kind == "fatal" and not signature.frames
        if cut_short and (issues := self._known_alike(first.case, signature)):
            for issue in issues:
                search.known[issue] += len(found)
            return
        suspects = [("alone", sighting.case) for sighting in found[:SUSPECTS]]
        if len(first.row) > 1:
            suspects.append(("grown to one case", first.evidence.case))
        tally = _Tally()
        tally.runs["in the search"].append(True)
        for way, case in suspects:
            runs = self._runs(case, signature)
            tally.add(way, runs)
            rate = _rate(runs)
            if not rate:
                continue
            shows = partial(self._shows, signature=signature, rate=rate)
            smallest = reduce.reduce(case, shows, tries=min(reduce.TRIES, RUNS // attempts(rate)))
            self._until = math.inf
            outcome = shows(smallest) or shows(smallest, rate=rate / 4)
            if outcome is None:
                continue
            # The whole signature may have become another on the way; this is the one of the case kept.
            kept = known.verdict(outcome, self._version, self._issues).signature
            if all(other.signature != kept for other in search.findings):
                rate = _rate(self._runs(smallest, kept))
                search.findings.append(Finding(kept, smallest, outcome, rate, len(found)))
            return
        self._run_as_it_stood(signature, first, tally)
        outcome = min(tally.seen, key=lambda seen: seen.case.size(), default=first.evidence)
        kept = known.verdict(outcome, self._version, self._issues).signature
        if all(other.signature != kept for other in search.findings):
            shown, runs_in_all = tally.counts
            search.findings.append(
                Finding(
                    *(kept, outcome.case, outcome, shown / runs_in_all, len(found)),
                    note=str(tally),
                    ran=first.evidence.case,
                )
            )

    def _run_as_it_stood(self, signature: Signature, first: _Sighting, tally: _Tally) -> None:
        """What showed in a row and not by itself: the row again, and all again on a busy machine."""
        pinned = not is_free(first.case)
        ways = (
            ("as it stood", first.row, 0, pinned),
            ("alone under load", (first.case,), LOAD, False),
            ("as it stood under load", first.row, LOAD, False),
        )
        until = time.monotonic() + SECONDS
        for _ in range(AGAIN):
            for way, row, load, alone in ways:
                if time.monotonic() > until:
                    return
                tally.add(way, [self._once_in_a_row(row, signature, load, alone)])

    def _once_in_a_row(
        self, row: Sequence[Case], signature: Signature, load: int, pinned: bool
    ) -> Outcome | None:
        subject = self._subject(flavour(row[0]))
        outcomes = subject.run_in_a_row(row, self._timeout, load=load, pinned=pinned, legal=True)
        for number, outcome in enumerate(outcomes):
            if self._is(outcome, signature):
                return _Sighting.of(row, outcomes, number).evidence
        return None

    def _known_alike(self, case: Case, signature: Signature) -> tuple[str, ...]:
        """The known issues that the case shows in the same words, which then say where it was."""
        for _ in range(HANG_RETRIES if signature.kind == "hang" else RETRIES):
            outcome = self._subject(flavour(case)).run(case, self._timeout)
            verdict = known.verdict(outcome, self._version, self._issues)
            same = (outcome.signature.kind, outcome.signature.headline) == (
                signature.kind,
                signature.headline,
            )
            if verdict.status == "known" and same:
                return verdict.issues
        return ()

    def _runs(self, case: Case, signature: Signature) -> list[Outcome | None]:
        """What the case comes to alone, with None where that is not the fault: twice, and RETRIES times
        where that is not always the fault."""
        runs = [self._once(case, signature) for _ in range(2)]
        if all(runs):
            return runs
        retries = HANG_RETRIES if signature.kind == "hang" else RETRIES
        return runs + [self._once(case, signature) for _ in range(retries - 2)]

    def _shows(self, case: Case, signature: Signature, rate: float) -> Outcome | None:
        """An outcome with the fault, from as many runs as make it likely."""
        for _ in range(attempts(rate)):
            if time.monotonic() > self._until:
                return None
            outcome = self._once(case, signature)
            if outcome is not None:
                return outcome
        return None

    def _once(self, case: Case, signature: Signature) -> Outcome | None:
        outcome = self._subject(flavour(case)).run(case, self._timeout)
        return outcome if self._is(outcome, signature) else None

    def _is(self, outcome: Outcome, signature: Signature) -> bool:
        verdict = known.verdict(outcome, self._version, self._issues)
        return verdict.status == "failed" and verdict.signature.same_fault(signature)


def _rate(runs: Sequence[Outcome | None]) -> float:
    return sum(outcome is not None for outcome in runs) / len(runs)


def attempts(rate: float) -> int:
    """Runs after which a fault of that rate has shown, but for one time in twenty (e**-3)."""
    return 1 if rate == 1 else math.ceil(3 / max(rate, 1 / RETRIES))


def is_free(case: Case) -> bool:
    """Whether the case is to find more than one processor: threads of its own meet in it, or signals come.
    Any other is run on one, which takes half the time."""
    return bool(case.signals or case.processors or case.gomaxprocs > 1) or any(
        isinstance(placed.node, calltree.Together) for placed in case.walk()
    )


def rows(drawn: Sequence[Case], small: int = 0) -> list[list[Case]]:
    """The cases in rows that one child can run, each of one world and all free or none; order is kept within
    a world.

    What only a child's first case can show begins a row, where the last one has FEW cases already; and always
    where the case has at most ``small`` nodes.  What leaves the process another one ends its row."""
    made: list[list[Case]] = []
    filling: dict[tuple[object, ...], list[Case]] = {}
    for case in drawn:
        world = (*setting(case), is_free(case))
        row = filling.get(world)
        if row is None or len(row) >= _before(case, small):
            row = filling[world] = []
            made.append(row)
        row.append(case)
        if legality.leaves_its_mark(case):
            del filling[world]
    return made


def _before(case: Case, small: int) -> int:
    """How many cases a row may have before one more begins the next."""
    if not first_matters(case):
        return ROW
    return 1 if case.size() <= small else FEW


class Failures:
    """Failures as files: each distinct signature once, with its smallest case.

    One JSON file a signature: ``{"schema": 1, "toolchain", "signature", "count", "rate", "note", "case",
    "ran", "repr", "headline", "divergences", "ended", "trace": [...], "stderr"}``; ``ran`` is null or a case,
    see ``Finding``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.unreadable: dict[Path, str] = {}
        """Files that are no kept failure (any more), and why."""

    def keep(self, finding: Finding, toolchain: str) -> Path:
        """Adds to what is there: counts add up, the smaller case stays."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(f"{toolchain} {finding.signature}".encode()).hexdigest()[:16]
        path = self.folder / f"{finding.signature.kind}-{name}.json"
        with filelock.FileLock(self.folder / ".lock"):
            before = self._read(path) if path.exists() else None
            data = _as_json(finding, toolchain)
            if before is not None:
                if Case.from_json(before["case"]).size() < finding.case.size():
                    data, before = before, data
                data["count"] += before["count"]
            report.write_atomically(path, json.dumps(data, indent=1) + "\n")
        return path

    def cases(self, toolchain: str) -> list[Case]:
        """What failed before on this toolchain, in the order of file names.  What cannot be read is in
        ``unreadable`` then."""
        kept = (self._read(path) for path in sorted(self.folder.glob("*.json")))
        return [Case.from_json(data["case"]) for data in kept if data and data["toolchain"] == toolchain]

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(data, dict) or not {"case", "count", "toolchain"} <= data.keys():
                raise ValueError("it is no JSON object with a case, a count and a toolchain")
            legality.check(Case.from_json(data["case"]))
        except OSError as error:
            self.unreadable[path] = error.strerror or str(error)
        except ValueError as error:
            self.unreadable[path] = str(error)
        else:
            return data
        return None


def _as_json(finding: Finding, toolchain: str) -> dict[str, Any]:
    outcome = finding.outcome
    return {
        "schema": report.SCHEMA,
        "toolchain": toolchain,
        "signature": str(finding.signature),
        "count": finding.count,
        "rate": finding.rate,
        "note": finding.note,
        "case": finding.case.to_json(),
        "ran": finding.ran.to_json() if finding.ran else None,
        "repr": repr(finding.case),
        "headline": outcome.headline,
        "ended": outcome.ended,
        "divergences": [str(found) for found in outcome.divergences],
        "trace": report.table(outcome.case, outcome.events, outcome.divergences, None),
        "stderr": outcome.stderr,
    }


def read_case(text: str) -> Case:
    """The case of a failure's file, or of a pasted expression.  Raises calltree.IllegalCase."""
    path = Path(text)
    if text.lstrip().startswith(tuple(f"{name}(" for name in ("Case", *calltree.NODES))):
        case = calltree.parse(text)
    else:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise calltree.IllegalCase(f"{text} holds no case: {error}") from None
        try:
            case = Case.from_json(data.get("case", data) if isinstance(data, dict) else {})
            legality.check(case)
        except calltree.IllegalCase as error:
            raise calltree.IllegalCase(f"{text}: {error}") from None
        return case
    legality.check(case)
    return case
