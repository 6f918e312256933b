"""The Go that built a library -> the known issues that it has, and where each is fixed.

Derived from the ranges of ``known_issues.toml``; ``_affects`` alone knows how these are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from golib.judge.known import EFFECTS, KnownIssue
from golib.toolchains.toolchain import OLDEST, version_key

LAST = ("1.21.13", "1.22.12", "1.23.12", "1.24.13", "1.25.14", "1.26.11", "1.27.4")
"""The last release of each minor line, when the list was made.  The last two lines may have got newer ones
since, the others are over (https://go.dev/doc/devel/release#policy)."""


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


def newer(release: str) -> bool:
    """Whether the list was made before that release: what is open it may have mended, or have more."""
    line = version_key(release)[:2]
    known = [last for last in LAST if version_key(last)[:2] == line]
    return version_key(release) > version_key(known[0] if known else LAST[-1])


def affected(release: str, issues: Sequence[KnownIssue]) -> list[Affected]:
    """Those that the release has, the worst effect first."""
    found = [_fixes(release, issue) for issue in issues if _affects(issue, release)]
    return sorted(found, key=lambda one: EFFECTS.index(one.issue.effect))


def _affects(issue: KnownIssue, release: str) -> bool:
    return issue.affects(release)


def _fixes(release: str, issue: KnownIssue) -> Affected:
    here = version_key(release)
    later = [one for one in _fixed_in(issue) if version_key(one) > here]
    newest = version_key(LAST[-1])[:2]
    return Affected(
        issue,
        same_line=next((one for one in later if version_key(one)[:2] == here[:2]), ""),
        first=next(iter(later), ""),
        newest_line=next((one for one in later if version_key(one)[:2] == newest), ""),
    )


def _fixed_in(issue: KnownIssue) -> list[str]:
    """The releases that do not have it, oldest first; none of which a later one of its line has it."""
    found = []
    for last in LAST:
        major, minor, _, patch = version_key(last)
        line: list[str] = []
        for number in range(patch, -1, -1):
            release = f"{major}.{minor}.{number}"
            if _affects(issue, release):
                break
            line.insert(0, release)
        found += line
    return found
