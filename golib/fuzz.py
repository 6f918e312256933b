"""Searching: many cases in a row, what fails there again alone, and the smallest that still fails.

``tests/runtime/test_fuzz.py`` is the glue.  Cases come from ``strategies`` and are drawn before any of
them runs, so that they depend on the seed alone and not on what an earlier one came to.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import filelock
import hypothesis

from golib import calltree, known, legality, reduce, report
from golib.calltree import Case
from golib.door import Subject, flavour, setting
from golib.known import KnownIssue
from golib.outcome import Outcome, Signature
from golib.strategies import cases

ROW = 64
"""Cases in a row in one child: few enough that a prefix that matters can be reduced."""
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
"""Runs alone of a suspect, until one fails: what shows less often than once in twenty is left alone."""


def generate(count: int, seed: str) -> list[Case]:
    """``count`` legal cases that depend on the seed alone.

    An own profile: no deadline, no database (``Failures`` keeps what failed), generation only.
    """
    drawn: list[Case] = []
    if count < 1:
        return drawn

    @hypothesis.seed(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))
    @hypothesis.settings(
        max_examples=count,
        phases=[hypothesis.Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(cases())
    def draw(case: Case) -> None:
        drawn.append(case)

    draw()
    return drawn


def digest(drawn: Iterable[Case]) -> str:
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
    """How often the case shows it, alone in a child: 1.0 always."""
    count: int
    """Of the cases that showed it in the search."""


@dataclass
class Search:
    """What a search came to."""

    ran: int = 0
    first: int | None = None
    """How many cases had run when the first fault was seen that is not known."""
    findings: list[Finding] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Known issues, and how many cases showed each."""
    unconfirmed: dict[Signature, Case] = field(default_factory=dict)
    """What showed in a row and neither alone nor behind its prefix."""


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

    def search(self, drawn: Sequence[Case]) -> Search:
        """Runs all of them, and looks into each fault that no known issue covers."""
        search = Search()
        suspects: dict[Signature, list[tuple[Case, Case]]] = defaultdict(list)
        for row in rows(drawn):
            outcomes = self._subject(flavour(row[0])).run_in_a_row(row, self._timeout)
            for number, outcome in enumerate(outcomes):
                search.ran += 1
                signature = self._fault(outcome, search)
                if signature is not None:
                    search.first = search.first or search.ran
                    grown = outcome.case.having(*(tree for case in row[: number + 1] for tree in case.trees))
                    suspects[signature].append((outcome.case, grown))
        for signature, found in suspects.items():
            self._look_into(signature, found, search)
        return search

    def _fault(self, outcome: Outcome, search: Search) -> Signature | None:
        """The outcome's first fault that is not known."""
        verdict = known.verdict(outcome, self._version, self._issues)
        for issue in verdict.issues:
            search.known[issue] += 1
        return verdict.signature if verdict.status == "failed" else None

    def _look_into(self, signature: Signature, found: list[tuple[Case, Case]], search: Search) -> None:
        found.sort(key=lambda pair: pair[0].size())
        self._until = time.monotonic() + SECONDS
        # What Go prints of a death may be cut short, where another thread dies meanwhile.
        cut_short = signature.kind == "fatal" and not signature.frames
        if cut_short and (issues := self._known_alike(found[0][0], signature)):
            for issue in issues:
                search.known[issue] += len(found)
            return
        for case in [pair[0] for pair in found[:SUSPECTS]] + [found[0][1]]:
            rate = self._rate(case, signature)
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
                rate = self._rate(smallest, kept)
                search.findings.append(Finding(kept, smallest, outcome, rate, len(found)))
            return
        search.unconfirmed[signature] = found[0][0]

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

    def _rate(self, case: Case, signature: Signature) -> float:
        """How often the case shows the fault alone: twice in a row is always, else of RETRIES runs."""
        runs = [self._once(case, signature) is not None for _ in range(2)]
        if all(runs):
            return 1.0
        retries = HANG_RETRIES if signature.kind == "hang" else RETRIES
        runs += [self._once(case, signature) is not None for _ in range(retries - 2)]
        return sum(runs) / len(runs)

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
        verdict = known.verdict(outcome, self._version, self._issues)
        same = verdict.status == "failed" and verdict.signature.same_fault(signature)
        return outcome if same else None


def attempts(rate: float) -> int:
    """Runs after which a fault of that rate has shown, but for one time in twenty (e**-3)."""
    return 1 if rate == 1 else math.ceil(3 / max(rate, 1 / RETRIES))


def rows(drawn: Sequence[Case]) -> list[list[Case]]:
    """The cases in rows that one child can run, each of one world; order is kept within a world."""
    made: list[list[Case]] = []
    filling: dict[tuple[object, ...], list[Case]] = {}
    for case in drawn:
        world = setting(case)
        row = filling.get(world)
        if row is None or len(row) >= ROW:
            row = filling[world] = []
            made.append(row)
        row.append(case)
    return made


class Failures:
    """Failures as files: each distinct signature once, with its smallest case.

    One JSON file a signature: ``{"schema": 1, "toolchain", "signature", "count", "rate", "case", "repr",
    "headline", "ended", "trace": [...], "stderr"}``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, finding: Finding, toolchain: str) -> Path:
        """Adds to what is there: counts add up, the smaller case stays."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(f"{toolchain} {finding.signature}".encode()).hexdigest()[:16]
        path = self.folder / f"{finding.signature.kind}-{name}.json"
        with filelock.FileLock(self.folder / ".lock"):
            before = self._read(path)
            data = _as_json(finding, toolchain)
            if before is not None:
                if Case.from_json(before["case"]).size() < finding.case.size():
                    data, before = before, data
                data["count"] += before["count"]
            report.write_atomically(path, json.dumps(data, indent=1) + "\n")
        return path

    def cases(self, toolchain: str) -> list[Case]:
        """What failed before on this toolchain, in the order of file names."""
        kept = (self._read(path) for path in sorted(self.folder.glob("*.json")))
        return [Case.from_json(data["case"]) for data in kept if data and data["toolchain"] == toolchain]

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            legality.check(Case.from_json(data["case"]))
        except (OSError, ValueError, KeyError):
            return None
        return data


def _as_json(finding: Finding, toolchain: str) -> dict[str, Any]:
    outcome = finding.outcome
    return {
        "schema": report.SCHEMA,
        "toolchain": toolchain,
        "signature": str(finding.signature),
        "count": finding.count,
        "rate": finding.rate,
        "case": finding.case.to_json(),
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
        except (OSError, ValueError) as error:
            raise calltree.IllegalCase(f"{text} holds no case: {error}") from None
        case = Case.from_json(data.get("case", data) if isinstance(data, dict) else {})
    legality.check(case)
    return case
