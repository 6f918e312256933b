"""Faults with an id: which failure is one of them, on which releases.

``known_issues.toml`` is the list; a test proves it (tests/runtime/test_known_issues.py): inside an
entry's ranges its proof case shows the fault, outside it does not.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from golib import calltree, legality
from golib.outcome import Kind, Outcome, Signature
from golib.toolchain import version_key

FILE = Path(__file__).with_name("known_issues.toml")


class KnownIssueError(ValueError):
    """The list does not say what it must: names the entry and the rule."""


@dataclass(frozen=True)
class KnownIssue:
    """One fault of Go's."""

    id: str
    url: str
    title: str
    releases: tuple[tuple[str, str], ...]
    """Ranges in Go's order, both ends included; an empty second end means "and later"."""
    signatures: tuple[re.Pattern[str], ...]
    """Matched against the whole of ``str(Signature)``; the first is what the proof shows."""
    rate: float
    """How often the proof case shows it: 1.0 always."""
    proof: calltree.Case

    def affects(self, version: str) -> bool:
        key = version_key(version)
        return any(
            version_key(first) <= key and (not last or key <= version_key(last))
            for first, last in self.releases
        )

    def shown_by(self, outcome: Outcome) -> bool:
        """Whether a run of the proof shows it."""
        return any(self.signatures[0].fullmatch(str(signature)) for signature in outcome.signatures)

    def matches(self, signature: Signature) -> bool:
        return any(pattern.fullmatch(str(signature)) for pattern in self.signatures)


def read(path: Path = FILE) -> tuple[KnownIssue, ...]:
    """The list.  Raises KnownIssueError."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("issue", [])
    issues = tuple(_entry(entry) for entry in entries)
    for issue in issues:
        if sum(other.id == issue.id for other in issues) > 1:
            raise KnownIssueError(f"known issue {issue.id}: an id stands for one entry")
    return issues


@cache
def shipped() -> tuple[KnownIssue, ...]:
    """The list that golib ships."""
    return read()


def _entry(entry: dict[str, Any]) -> KnownIssue:
    name = entry.get("id", "?")
    keys = {"id", "url", "title", "releases", "signatures", "rate", "proof"}
    if set(entry) - {"note"} != keys:
        raise KnownIssueError(
            f"known issue {name}: an entry has the keys {', '.join(sorted(keys))} and may have a note"
        )
    try:
        if not entry["releases"] or not entry["signatures"]:
            raise ValueError("an entry names releases and signatures")
        if not 0 < float(entry["rate"]) <= 1:
            raise ValueError(f"rate = {entry['rate']}: a rate is above 0, and 1 at the most")
        proof = calltree.parse(entry["proof"])
        legality.check(proof)
        return KnownIssue(
            id=name,
            url=entry["url"],
            title=entry["title"],
            releases=tuple(_range(text) for text in entry["releases"]),
            signatures=tuple(re.compile(text, re.DOTALL) for text in entry["signatures"]),
            rate=float(entry["rate"]),
            proof=proof,
        )
    except (ValueError, re.error) as error:
        raise KnownIssueError(f"known issue {name}: {error}") from None


def _range(text: str) -> tuple[str, str]:
    """``"1.22.5 - 1.22.12"``, ``"1.21.0"``, ``"1.23.5 and later"``."""
    if text.endswith(" and later"):
        first, last = text.removesuffix(" and later"), ""
    else:
        first, _, last = text.partition(" - ")
        last = last or first
    first, last = first.strip(), last.strip()
    if last and version_key(last) < version_key(first):
        raise ValueError(f"{text!r} ends before it begins")
    version_key(first)
    return first, last


@dataclass(frozen=True)
class Verdict:
    """An outcome in the light of the known issues."""

    status: str
    """passed, known, or failed."""
    issues: tuple[str, ...]
    """Ids of the known issues that it shows."""
    signature: Signature
    """The one that decides: of the first fault that is not known, if there is one."""
    decisive: int
    """Which of the outcome's divergences that is; 0 where it is none."""


def verdict(outcome: Outcome, version: str, issues: Sequence[KnownIssue]) -> Verdict:
    """Whether the outcome is a pass, shows known issues only, or fails, on that release."""
    if outcome.kind is Kind.PASSED:
        return Verdict("passed", (), outcome.signature, 0)
    if outcome.kind is Kind.HARNESS:
        return Verdict("failed", (), outcome.signature, 0)
    candidates = [issue for issue in issues if issue.affects(version)]
    shown: dict[str, None] = {}
    for signature in outcome.signatures:
        matching = [issue.id for issue in candidates if issue.matches(signature)]
        if not matching:
            decisive = next(
                (i for i, found in enumerate(outcome.divergences) if found.key == signature.headline), 0
            )
            return Verdict("failed", tuple(shown), signature, decisive)
        shown[matching[0]] = None
    return Verdict("known", tuple(shown), outcome.signature, 0)
