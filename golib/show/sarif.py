"""What an audit found, as SARIF 2.1.0, as code scanning takes it:
https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any
from urllib.parse import quote

from golib.judge.affected import Affected
from golib.judge.known import KnownIssue
from golib.show.audit import TOGETHER_TEXT, TOGETHER_URL, Audit, Judged, fixed, printable, seen_on

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"crash": "error", "hang": "error", "corruption": "error", "slow": "warning", "silent": "note"}
_TOGETHER = "several-go-runtimes"


def as_sarif(audit: Audit, version: str) -> str:
    rules = {issue.issue.id: issue.issue for one in audit.judged for issue in one.issues}
    results = [_result(one, issue) for one in audit.judged for issue in one.issues]
    for _, libraries in audit.together():
        message = f"{len(libraries)} Go libraries: {TOGETHER_TEXT}."
        results.append(
            {
                "ruleId": _TOGETHER,
                "level": "note",
                "message": {"text": message},
                "locations": [_location(one.found.path, one.found.inside) for one in libraries[:10]],
                "partialFingerprints": {
                    "golibTogether/v1": _hash(_TOGETHER, *sorted(one.called for one in libraries))
                },
            }
        )
    notes = [
        _notification(
            f"unjudged: {one.called}, {one.found.binary.version}: {one.unjudged}",
            one.found.path,
            one.found.inside,
        )
        for one in audit.judged
        if one.unjudged
    ]
    for looked in audit.looked:
        notes += [
            _notification(problem.why, problem.path, problem.inside, "warning") for problem in looked.problems
        ]
    notes += [{"level": "error", "message": {"text": why}} for why in audit.unreadable]
    numbered: dict[str, int] = {}
    for result in results:  # the same fault of two files of one name in one package
        for key, value in result["partialFingerprints"].items():
            numbered[value] = numbered.get(value, 0) + 1
            if numbered[value] > 1:
                result["partialFingerprints"][key] = f"{value}:{numbered[value]}"
    together = [{"id": _TOGETHER, "shortDescription": {"text": "several Go runtimes in one environment"},
                 "helpUri": TOGETHER_URL, "defaultConfiguration": {"level": "note"}}]  # fmt: skip
    document = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "golib",
                        "version": version,
                        "rules": [
                            *(_rule(issue) for issue in rules.values()),
                            *(together if any(one["ruleId"] == _TOGETHER for one in results) else ()),
                        ],
                    }
                },
                "originalUriBaseIds": {
                    "SRCROOT": {"uri": f"file://{_quoted(os.getcwd())}/"},
                    "FILESYSTEM": {"uri": "file:///"},
                },
                "invocations": [
                    {"executionSuccessful": not audit.unreadable, "toolExecutionNotifications": notes}
                ],
                "results": results,
            }
        ],
    }
    return json.dumps(document, indent=2)


def _rule(issue: KnownIssue) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "id": issue.id,
        "shortDescription": {"text": issue.title},
        "fullDescription": {"text": f"{issue.title}. It happens with: {issue.trigger}."},
        "defaultConfiguration": {"level": _LEVELS[issue.effect]},
        "properties": {"effect": issue.effect, "tags": ["go", issue.effect]},
    }
    if issue.url.startswith("http"):
        rule["helpUri"] = issue.url
    return rule


def _result(one: Judged, found: Affected) -> dict[str, Any]:
    issue = found.issue
    where = "" if one.seen_there else f" Seen on {seen_on()} only."
    shown = " A short run has shown it." if issue.id in one.shown else ""
    remedy = fixed(found, one.found.binary.release)
    package = one.found.owner.name if one.found.owner else _uri(one.found.path)[0]
    name = (one.found.inside or one.found.path).rpartition("/")[2]
    return {
        "ruleId": issue.id,
        "level": _LEVELS[issue.effect],
        "message": {
            "text": f"{one.called} was built by {printable(one.found.binary.version)}, which has {issue.id}"
            f" ({issue.effect}): {issue.title}. It happens with: {issue.trigger}."
            f" It is {remedy}.{where}{shown}"
        },
        "locations": [_location(one.found.path, one.found.inside)],
        "partialFingerprints": {
            "golibLibraryAndIssue/v1": _hash(package, name, one.found.binary.machine, issue.id)
        },
    }


def _location(path: str, inside: str) -> dict[str, Any]:
    uri, base = _uri(path)
    place: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": uri, "uriBaseId": base}}}
    if inside:
        place["logicalLocations"] = [{"fullyQualifiedName": printable(inside), "kind": "member"}]
    return place


def _notification(text: str, path: str, inside: str, level: str = "note") -> dict[str, Any]:
    return {"level": level, "message": {"text": printable(text)}, "locations": [_location(path, inside)]}


def _uri(path: str) -> tuple[str, str]:
    """Relative to the current folder where it lies there, else to the root of the file system."""
    absolute, here = os.path.abspath(path), os.getcwd()
    if absolute == here or absolute.startswith(here.rstrip("/") + "/"):
        return _quoted(os.path.relpath(absolute, here)), "SRCROOT"
    return _quoted(absolute.lstrip("/")) or ".", "FILESYSTEM"


def _quoted(path: str) -> str:
    return quote(os.fsencode(path))


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]
