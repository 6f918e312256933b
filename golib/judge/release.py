"""What the results of one release come to: its verdict, as data that a pipeline or a page can use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from golib.judge.known import EFFECTS, KnownIssue
from golib.judge.outcome import Kind

CLEAN, KNOWN, NEW, GONE, UNAVAILABLE = "clean", "known issues", "new failures", "gone", "unavailable"
VERDICTS = (CLEAN, KNOWN, NEW, GONE, UNAVAILABLE)
"""new failures: a test fails and no known issue explains it.  gone: an issue that the list says this release
has does not show.  unavailable: the module proxy refuses to give the release."""

_SAYS_SO = ("Failed", "AssertionError")
"""What a test raises that speaks of Go; any other exception is golib's, or the machine's."""


def ours(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The failures that say nothing of Go: golib could not run the case, or build the library."""
    return [
        row
        for row in rows
        if row["status"] == "failed"
        and (
            row["outcome"] is None
            or row["outcome"]["kind"] == "harness"
            or row.get("raised", "Failed") not in _SAYS_SO
        )
    ]


def release(rows: Sequence[Mapping[str, Any]], issues: Sequence[KnownIssue]) -> dict[str, Any]:
    """``verdict``, ``issues`` (id -> effect, and how many tests showed it), ``gone``, ``failures``,
    ``counts``, ``proofs``, ``tests`` (name -> passed, skipped, failed, or the issues that it showed) and
    ``pictures`` (id -> some of how it showed) of a release, from the rows of ``--golib-json``."""
    effects = {issue.id: issue.effect for issue in issues}
    shown: Counter[str] = Counter()
    proofs: dict[str, dict[str, int]] = {}
    gone: list[str] = []
    failures = []
    tests: dict[str, str] = {}
    pictures: dict[str, list[Any]] = {}
    for row in rows:
        failed = row["status"] == "failed"
        tests[row["test"]] = "failed" if failed else row["issue"] or row["status"]
        if "picture" in row and not failed:
            for name in row["issue"].split(", ") if row["issue"] else ():
                pictures.setdefault(name, []).append(row["picture"])
        proof = row.get("proof")
        if proof is not None:
            proofs[proof["issue"]] = {name: proof[name] for name in ("runs", "shown", "others")}
        if proof is not None and row["status"] == "failed" and not proof["shown"]:
            gone.append(proof["issue"])
        elif row["status"] == "failed":
            failures.append(row)
        elif row["issue"]:
            shown.update(row["issue"].split(", "))
        gone += row.get("gone", ())
    # A proof of many runs shows in its row only what its first run that did not pass came to.
    shown.update(
        {name: 1 for name, one in proofs.items() if one["shown"] > one["others"] and not shown[name]}
    )
    shown = +shown
    failures.sort(key=lambda row: row["test"])
    order = sorted(shown, key=lambda name: (EFFECTS.index(effects[name]), _natural(name)))
    return {
        "verdict": NEW if failures else GONE if gone else KNOWN if shown else CLEAN,
        "issues": {name: {"effect": effects[name], "tests": shown[name]} for name in order},
        "gone": sorted(set(gone), key=_natural),
        "failures": [
            {
                "test": row["test"],
                "outcome": row["outcome"],
                "text": row.get("text", ""),
                "picture": row.get("picture"),
            }
            for row in failures
        ],
        "counts": dict(Counter(row["status"] for row in rows)),
        "proofs": dict(sorted(proofs.items(), key=lambda pair: _natural(pair[0]))),
        "tests": dict(sorted(tests.items())),
        "pictures": {name: _apart(pictures[name], alone=name) for name in sorted(pictures, key=_natural)},
    }


PICTURES = 3
"""Of one issue in one release."""


def _apart(pictures: Sequence[dict[str, Any]], alone: str) -> list[dict[str, Any]]:
    """One a signature, those first that show the issue alone, then the deaths, then the short ones."""

    def rank(one: dict[str, Any]) -> tuple[Any, ...]:
        silent = one["signature"].startswith(Kind.DIVERGENCE.value)
        return one["issues"] != [alone], silent, len(one["steps"]), one["case"]

    order = sorted(pictures, key=rank)
    found: dict[str, dict[str, Any]] = {}
    for one in order:
        found.setdefault(one["signature"], one)
    return list(found.values())[:PICTURES]


def _natural(name: str) -> tuple[str, int]:
    """golib-9 before golib-10."""
    head = name.rstrip("0123456789")
    return head, int(name[len(head) :] or 0)
