"""One self-contained page: issues x releases, behaviours x releases, what failed, and pictures of the stacks.
It loads nothing, and says so to the browser.

jinja2 escapes all that comes from a process that failed.  The page has no inline event handler; its one
script is allowed by its hash.  Tests, texts and pictures are gzip in base64, which the script unpacks: a test
stands there once, with a character for each release.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from golib.judge.known import EFFECTS, KnownIssue
from golib.judge.release import CLEAN, GONE, KNOWN, NEW, UNAVAILABLE
from golib.show.report import behaviour

_FOLDER = Path(__file__).parent
TITLE = "Go releases, judged by golib"

MANY = 12
"""Releases from which on a cell has a sign alone, and a list of releases is told by its ends."""

_COLOURS = {CLEAN: "ok", KNOWN: "warn", NEW: "bad", GONE: "warn", UNAVAILABLE: "none"}
_SIGNS = {CLEAN: "✓", KNOWN: "!", NEW: "✗", GONE: "?", UNAVAILABLE: "\u2013"}
_FIRST_CODE = ord("0")
_NO_RESULT = ""


def render(document: Mapping[str, Any], issues: Sequence[KnownIssue], how: str = "") -> str:
    """The page of what ``golib validate --json`` writes.  ``how``: a sentence on how it was measured, where
    the document has no ``machine``."""
    # Of an unavailable one nothing else is known.
    empty: dict[str, Any] = {
        "issues": {},
        "gone": [],
        "failures": [],
        "counts": {},
        "tests": {},
        "pictures": {},
    }
    releases = [{**empty, **one} for one in document["releases"]]
    for one in releases:  # where proofs alone were run, maybe not all of them
        one["judged"] = one["proofs"] if one.get("ran") == "proofs" else {issue.id for issue in issues}
    seen = {name for one in releases for name in (*one["issues"], *one["gone"])}
    shown = sorted((one for one in issues if one.id in seen), key=lambda one: EFFECTS.index(one.effect))
    failures = [{**failure, "version": one["version"]} for one in releases for failure in one["failures"]]
    whole = [one for one in releases if one.get("ran") == "suite"]
    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    if not how:
        machine = document["machine"]
        how = (
            f"golib {document['golib']} ran Go as a C shared library in Python {machine['python']}, on Linux"
            f" {machine['arch']} with {machine['libc']}, and compared each call between C and Go with what Go"
            " promises."
        )
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((_FOLDER / "page.html").read_text(encoding="utf-8"))
    return template.render(
        policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{hashed}'",
        title=TITLE,
        style=Markup((_FOLDER / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        data=Markup(_packed(_rest(releases, failures, shown))),
        answer=answer(releases, asked=" that you asked for" if "machine" in document else ""),
        how=how,
        releases=releases,
        many=len(releases) > MANY,
        issues=shown,
        newest={issue.id: _newest(releases, issue) for issue in shown},
        effects=EFFECTS,
        behaviours=_behaviours(whole),
        whole=[one["version"] for one in whole],
        failures=[{**one, "headline": _headline(one)} for one in failures],
        colours=_COLOURS,
        signs=_SIGNS,
        by_effect=_by_effect,
        counted=_counted,
        quoted=shlex.quote,
    )


def _packed(data: object) -> str:
    text = json.dumps(data, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _rest(
    releases: Sequence[Mapping[str, Any]],
    failures: Sequence[Mapping[str, Any]],
    issues: Sequence[KnownIssue],
) -> dict[str, Any]:
    """What the script reads: ``tests``, each with its behaviour and a character a release, which stands for
    one of ``codes``; and the pictures, one an issue and signature."""
    codes: dict[str, int] = {_NO_RESULT: 0}
    names = sorted({name for one in releases for name in one["tests"]})
    tests = []
    for name in names:
        row = [one["tests"].get(name, _NO_RESULT) for one in releases]
        letters = "".join(chr(_FIRST_CODE + codes.setdefault(code, len(codes))) for code in row)
        tests.append((name, behaviour(name), letters))
    pictures: dict[str, list[tuple[str, Any]]] = {}
    for issue in issues:
        signatures: set[str] = set()
        for one in reversed(releases):  # of the newest
            for picture in one["pictures"].get(issue.id, ()):
                if picture["signature"] not in signatures:
                    signatures.add(picture["signature"])
                    pictures.setdefault(issue.id, []).append((one["version"], picture))
    return {
        "releases": [one["version"] for one in releases],
        "codes": list(codes),
        "tests": tests,
        "issues": pictures,
        "failures": [{"text": one["text"], "picture": one.get("picture")} for one in failures],
    }


def _behaviours(releases: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[str, int, int, int]]]:
    """Of each behaviour and release: how many tests passed, showed a known issue, failed."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for one in releases:
        for name, code in one["tests"].items():
            kind = code if code in ("passed", "failed", "skipped") else "known"
            counts.setdefault((behaviour(name), one["version"]), Counter())[kind] += 1
    return {
        name: [
            (one["version"], found["passed"], found["known"], found["failed"])
            for one in releases
            if (found := counts.get((name, one["version"]), Counter())) is not None
        ]
        for name in sorted({name for name, _ in counts})
    }


def _newest(releases: Iterable[Mapping[str, Any]], issue: KnownIssue) -> str:
    """The newest release that shows it."""
    return next(
        (str(one["version"]) for one in reversed(list(releases)) if issue.id in one["issues"]), "latest"
    )


def _headline(failure: Mapping[str, Any]) -> str:
    said = failure["text"].strip().splitlines() or [""]
    return str((failure["outcome"] or {}).get("headline") or said[0])


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def answer(releases: Sequence[Mapping[str, Any]], asked: str = " that you asked for") -> list[str]:
    """What a reader came for: a sentence for each verdict that there is, the worst first, and which releases
    have the fewest known issues that end a process."""
    sentences = {
        NEW: "have failures that no known issue explains",
        GONE: "no longer show a known issue that they should have",
        KNOWN: "have known issues and nothing else",
        CLEAN: "are clean",
        UNAVAILABLE: "could not be had from the module proxy",
    }
    total = len(releases)
    said: list[str] = []
    for verdict, words in sentences.items():
        names = [one["version"] for one in releases if one["verdict"] == verdict]
        if not names:
            continue
        if len(names) == total > 1:
            said.append(f"All {total} releases{asked} {words}.")
            continue
        of = f"Of the {total} releases{asked}, " if not said and total > 1 else ""
        said.append(f"{of}{_listed(names)} {words if len(names) > 1 else _singular(words)}.")
    return said + _fewest(releases)


def _fewest(releases: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which to take: those with the fewest crashes, where releases differ in that."""
    crashes = {
        one["version"]: [name for name, issue in one["issues"].items() if issue["effect"] == EFFECTS[0]]
        for one in releases
        if one["verdict"] != UNAVAILABLE and not one["failures"]
    }
    counts = {len(names) for names in crashes.values()}
    if len(counts) < 2:
        [count] = counts or {0}
        each = "Each of them has" if len(crashes) > 1 else "It has"
        they = "1 known issue that ends" if count == 1 else f"{count} known issues that end"
        return [f"{each} {they} a process (crash)."] if count else []
    best = [version for version, names in crashes.items() if len(names) == min(counts)]
    if len(best) > MANY:
        newest = list(crashes)[-1]
        count = len(crashes[newest])
        return [f"The newest, {newest}, has {count} known issues that end a process (crash)."]
    have = "has" if len(best) == 1 else "have"
    number = f"{min(counts)} of them" if min(counts) else "none"
    issues = {len(names) for version, names in crashes.items() if version not in best}
    others = f"{min(issues)} to {max(issues)}" if len(issues) > 1 else str(min(issues))
    return [
        f"Of the known issues that end a process (crash), {_listed(best)} {have} the fewest, {number};"
        f" the other releases have {others}."
    ]


def _singular(words: str) -> str:
    first, _, rest = words.partition(" ")
    words = {"have": "has", "are": "is", "no": "no", "could": "could"}[first] + " " + rest
    return words.replace("no longer show ", "no longer shows ").replace("they should", "it should")


def _listed(names: Sequence[str]) -> str:
    if len(names) > MANY:
        return f"{len(names)} of them, {names[0]} to {names[-1]},"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _by_effect(one: Mapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, issue in one["issues"].items():
        found.setdefault(issue["effect"], []).append(name)
    return found
