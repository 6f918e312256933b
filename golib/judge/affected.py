"""The Go that built a library -> the known issues that it has, and where each is fixed.

The ranges of ``known_issues.toml`` say which releases have an issue, and what was measured, ``history.json``,
says how far they reach: the last release of each minor line that anybody looked at.  The two agree
(tests/framework/test_validate.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from golib.judge import history
from golib.judge.known import EFFECTS, KnownIssue
from golib.toolchains.toolchain import OLDEST, version_key


@dataclass(frozen=True)
class Affected:
    """A known issue that a release has."""

    issue: KnownIssue
    same_line: str
    """The first release of the same minor line that has it fixed, or nothing."""
    first: str
    """The first later release of all that has it fixed, or nothing: it is open."""
    newest_line: str
    """The first release of the newest minor line that has it fixed, or nothing."""
    measured: bool
    """Whether its proof has run on this very release; else it was on releases before and after it, or another
    test of golib's shows the issue."""

    @property
    def fixed(self) -> str:
        """For people."""
        if not self.first:
            return "open"
        there = [one for one in (self.same_line or self.first, self.newest_line) if one]
        return " and ".join(dict.fromkeys(there))


def unjudged(version: str, release: str) -> str:
    """Why nothing can be said of a library by that Go, or nothing.  ``version``: what it says of itself;
    ``release``: the number in it."""
    if version.startswith("devel") or "devel" in version.partition(" ")[0]:
        return "built by a Go between releases, of which the list knows nothing"
    if not release:
        return "the Go that built it is not known"
    if "rc" in release or "beta" in release:
        return "built by a pre-release, of which the list knows nothing"
    if version_key(release)[:2] < OLDEST:
        return f"built by a Go before {OLDEST[0]}.{OLDEST[1]}, where the list begins"
    return ""


@cache
def _history() -> Mapping[str, Mapping[str, Any]]:
    return history.read()


@cache
def last() -> tuple[str, ...]:
    """The last release of each minor line that was measured, oldest first.  The newest lines may have got
    newer ones since, the others are over (https://go.dev/doc/devel/release#policy)."""
    return tuple({version_key(release)[:2]: release for release in _history()}.values())


def newer(release: str) -> bool:
    """Whether the list was made before that release: what is open it may have mended, or have more."""
    line = version_key(release)[:2]
    known = [one for one in last() if version_key(one)[:2] == line]
    return version_key(release) > version_key(known[0] if known else last()[-1])


def affected(release: str, issues: Sequence[KnownIssue]) -> list[Affected]:
    """Those that the release has, the worst effect first, and of one effect those first that are fixed in a
    later release."""
    found = [_fixes(release, issue) for issue in issues if issue.affects(release)]
    return sorted(found, key=lambda one: (EFFECTS.index(one.issue.effect), not one.first))


def _fixes(release: str, issue: KnownIssue) -> Affected:
    here = version_key(release)
    later = [one for one in _fixed_in(issue) if version_key(one) > here]
    newest = version_key(last()[-1])[:2]
    cell = _history().get(release, {}).get("cells", {}).get(issue.id)
    return Affected(
        issue,
        same_line=next((one for one in later if version_key(one)[:2] == here[:2]), ""),
        first=next(iter(later), ""),
        newest_line=next((one for one in later if version_key(one)[:2] == newest), ""),
        measured=cell is not None and cell["case"] == history.case_hash(issue),
    )


def _fixed_in(issue: KnownIssue) -> list[str]:
    """The releases that do not have it, oldest first; none of which a later one of its line has it."""
    found = []
    for end in last():
        major, minor, _, patch = version_key(end)
        line: list[str] = []
        for number in range(patch, -1, -1):
            release = f"{major}.{minor}.{number}"
            if issue.affects(release):
                break
            line.insert(0, release)
        found += line
    return found
